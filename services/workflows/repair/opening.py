"""Repair: who takes the request on. Silence goes up the levels, and nobody is passed over for ever."""

from __future__ import annotations

from schemas.envelope import Event
from schemas.failures import Reason, Refused
from schemas.types.approvals import ApprovalRequested
from schemas.types.cases import TimerFired
from schemas.types.merging import RequestProgressed
from schemas.types.requests import RequestAcknowledged, RequestAssigned, RequestForwarded, RequestSubmitted
from services.workflows.definition import Step
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
from services.workflows.repair.steps import above_of, escalate, forward, progress

FORWARDS_MAX = 8
"""Agencies may pass a request on so many times; then it goes to the default agency, which keeps it."""


@repair.opens
def submitted(event: Event, data: RequestSubmitted, step: Step) -> RepairCase:
    """A citizen asks: the first agency that the catalogue names is asked to take it on."""
    holder = step.city.candidates(data.service_code, data.area)[0]
    case = RepairCase(
        id=event.subject,
        workflow=repair.id,
        state=FORWARDED,
        opened_ms=step.at_ms,
        correlation=event.id,
        jurisdiction=data.area,
        service_code=data.service_code,
        area=data.area,
        holder=holder,
        description=data.description,
        location=data.location.coordinates if data.location is not None else None,
        address_string=data.address_string,
        media_url=data.media_url,
    )
    return forward(case, holder, step, reason=None, reporter=data)


@repair.on(RequestAcknowledged, states=[FORWARDED], to=[ORDERED, JOINT_WORK, AWAITING_APPROVAL])
def acknowledged(case: RepairCase, data: RequestAcknowledged, step: Step) -> RepairCase:
    """The agency takes it on. What costs more than it may spend alone needs the approver first."""
    step.require_sender(case.asked, "taking the request on")
    service = step.city.service(case.service_code)
    step.stop_timer("acknowledge")
    estimate = Amount.of(data.estimate) or case.estimate
    case = change(case, holder=step.sender, estimate=estimate)
    expected = step.after(service.resolve_within)
    step.emit(
        RequestAssigned(agency=case.holder, service_code=case.service_code, area=case.area, expected_datetime=expected),
        parties=case.parties,
    )
    if case.followers:
        progress(
            case,
            step,
            RequestProgressed(from_case=case.id, step="assigned", agency=case.holder, expected_datetime=expected),
        )
    threshold = step.city.agencies[case.holder].approval_threshold
    limit = Amount(threshold.amount, threshold.currency) if threshold is not None else None
    if estimate is None or limit is None or not estimate.exceeds(limit):
        return start_work(case, step)
    approver = step.city.approver
    decide_by = step.start_timer("approve", service.approve_within)
    step.emit(
        ApprovalRequested(
            amount=estimate.money,
            threshold=limit.money,
            purpose=case.description[:1000] if case.description else case.service_code,
            service_code=case.service_code,
            area=case.area,
            agency=case.holder,
            decide_by=decide_by,
        ),
        to=approver,
        parties=case.parties,
    )
    return change(case, state=AWAITING_APPROVAL, approvers=(approver,))


@repair.on(RequestForwarded, states=[FORWARDED], to=[FORWARDED])
def passed_on(case: RepairCase, data: RequestForwarded, step: Step) -> RepairCase:
    """An agency says whose matter it is. After too many of these the default agency keeps it."""
    step.require_sender(case.asked, "passing the request on")
    if data.agency not in step.city.agencies:
        problem = f"the city has no agency {data.agency}"
        raise Refused([Reason("unknown_agency", "data.agency", problem, "Name an agency of the city's directory.")])
    target = data.agency if case.forwards < FORWARDS_MAX else step.city.default_agency
    if target == case.holder:
        fix = "Take it on, with subak.request.acknowledged.v1, or name another agency."
        if case.forwards >= FORWARDS_MAX:
            fix = f"It was passed on {FORWARDS_MAX} times, and {target} keeps it: it takes it on or answers for it."
        raise Refused([Reason("holds_it_already", "data.agency", f"{target} holds the request already", fix)])
    return forward(change(case, forwards=case.forwards + 1), target, step, reason=data.reason)


@repair.on_timer("acknowledge", states=[FORWARDED], to=[FORWARDED])
def not_acknowledged(case: RepairCase, data: TimerFired, step: Step) -> RepairCase:
    """Nobody took it on in time: the parent level is asked, and answers for it from now on."""
    above = above_of(case.holder, step, already=case.asked)
    if above is None:  # Everybody was asked: whoever answers in the end is reminded, again and again.
        step.start_timer("acknowledge", step.city.service(case.service_code).acknowledge_within)
        return escalate(case, case.holder, step.city.default_agency, "Nobody acknowledged the request.", step)
    case = escalate(case, case.holder, above, "The request was not acknowledged in time.", step)
    return forward(case, above, step, reason=f"Escalated: {case.holder} did not acknowledge in time.")
