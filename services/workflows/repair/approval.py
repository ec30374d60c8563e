"""Repair: whether the money may be spent. Nobody spends above its own limit without the approver's word."""

from __future__ import annotations

from schemas.types.approvals import ApprovalExpired, ApprovalGranted, ApprovalRefused, ApprovalSentBack
from schemas.types.cases import TimerFired
from services.workflows.definition import CLOSED, Step
from services.workflows.repair.case import (
    AWAITING_APPROVAL,
    FORWARDED,
    JOINT_WORK,
    ORDERED,
    Amount,
    RepairCase,
    change,
    repair,
)
from services.workflows.repair.joint import start_work
from services.workflows.repair.steps import above_of, close, escalate, forward


@repair.on(ApprovalGranted, states=[AWAITING_APPROVAL], to=[ORDERED, JOINT_WORK])
def granted(case: RepairCase, data: ApprovalGranted, step: Step) -> RepairCase:
    """The money may be spent: the work is ordered."""
    step.require_sender(case.approvers, "deciding on the money")
    step.stop_timer("approve")
    return start_work(change(case, estimate=Amount.of(data.amount)), step)


@repair.on(ApprovalRefused, states=[AWAITING_APPROVAL], to=[CLOSED])
def refused(case: RepairCase, data: ApprovalRefused, step: Step) -> RepairCase:
    """The money may not be spent: the case ends, and the citizen hears why."""
    step.require_sender(case.approvers, "deciding on the money")
    return close(case, "refused", step, reason=data.reason)


@repair.on(ApprovalSentBack, states=[AWAITING_APPROVAL], to=[FORWARDED])
def sent_back(case: RepairCase, data: ApprovalSentBack, step: Step) -> RepairCase:
    """The approver wants another estimate: the agency is asked again. Until it sends one, what it asked for stands."""
    step.require_sender(case.approvers, "deciding on the money")
    step.stop_timer("approve")
    return forward(case, case.holder, step, reason=data.reason)


@repair.on_timer("approve", states=[AWAITING_APPROVAL], to=[AWAITING_APPROVAL])
def not_approved(case: RepairCase, data: TimerFired, step: Step) -> RepairCase:
    """No decision in time: the approver's parent may decide too, and never who asks for the money."""
    approver = case.approvers[-1]
    if case.estimate is not None:
        step.emit(ApprovalExpired(amount=case.estimate.money, agency=case.holder), to=approver, parties=case.parties)
    above = above_of(approver, step, already=(*case.approvers, case.holder))
    step.start_timer("approve", step.city.service(case.service_code).approve_within)
    reason = "The approval was not decided in time."
    if above is None:
        return escalate(case, approver, step.city.default_agency, reason, step)
    return change(escalate(case, approver, above, reason, step), approvers=(*case.approvers, above))
