"""Repair: the work, from the order to its end. A no, or silence, goes to whoever comes next."""

from __future__ import annotations

from schemas.types.cases import CaseWarned, TimerFired
from schemas.types.workorders import (
    WorkOrderAccepted,
    WorkOrderCancelled,
    WorkOrderCompleted,
    WorkOrderDeclined,
    WorkOrderStarted,
    WorkOrderSuspended,
)
from services.workflows.definition import CLOSED, Step, moment_of
from services.workflows.repair.case import (
    ACCEPTED,
    AWAITING_INSPECTION,
    IN_PROGRESS,
    ORDERED,
    RESOLVED,
    SUSPENDED,
    UNDER_ORDER,
    Amount,
    RepairCase,
    change,
    repair,
)
from services.workflows.repair.steps import above_of, escalate, next_executor, to_inspection


@repair.on(WorkOrderAccepted, states=[ORDERED], to=[ACCEPTED])
def accepted(case: RepairCase, data: WorkOrderAccepted, step: Step) -> RepairCase:
    """The agency will do the work."""
    step.require_sender([case.executor], "the work order")
    step.stop_timer("accept")
    return change(case, state=ACCEPTED)


@repair.on(WorkOrderDeclined, states=[ORDERED, ACCEPTED], to=[ORDERED, CLOSED])
def declined(case: RepairCase, data: WorkOrderDeclined, step: Step) -> RepairCase:
    """The agency will not: the next one of the catalogue is ordered, then the levels above."""
    step.require_sender([case.executor], "the work order")
    return next_executor(case, step, reason=data.reason)


@repair.on_timer("accept", states=[ORDERED], to=[ORDERED, CLOSED])
def not_accepted(case: RepairCase, data: TimerFired, step: Step) -> RepairCase:
    """No answer to the order counts as a no."""
    step.emit(
        WorkOrderCancelled(reason="The order was not answered in time.", agency=case.executor),
        to=case.executor,
        parties=case.parties,
    )
    return next_executor(case, step, reason="The order was not answered in time.")


@repair.on(WorkOrderStarted, states=[ACCEPTED, SUSPENDED], to=[IN_PROGRESS])
def started(case: RepairCase, data: WorkOrderStarted, step: Step) -> RepairCase:
    """The work begins, or goes on."""
    step.require_sender([case.executor], "the work order")
    return change(case, state=IN_PROGRESS)


@repair.on(WorkOrderSuspended, states=[ACCEPTED, IN_PROGRESS], to=[SUSPENDED])
def suspended(case: RepairCase, data: WorkOrderSuspended, step: Step) -> RepairCase:
    """The work rests. The target stands: whoever is named is responsible for the time."""
    step.require_sender([case.executor], "the work order")
    return change(case, state=SUSPENDED)


@repair.on(WorkOrderCompleted, states=[ACCEPTED, IN_PROGRESS, SUSPENDED], to=[AWAITING_INSPECTION, RESOLVED])
def completed(case: RepairCase, data: WorkOrderCompleted, step: Step) -> RepairCase:
    """The agency says it is done: whoever is nearest looks at it, and nobody looks at their own work."""
    step.require_sender([case.executor], "the work order")
    step.stop_timer("resolve", "warn")
    case = change(case, cost=Amount.of(data.cost) or case.cost)
    return to_inspection(case, data, step)


@repair.on_timer("warn", states=UNDER_ORDER[:4], to="same")
def due_soon(case: RepairCase, data: TimerFired, step: Step) -> RepairCase:
    """Most of the time is over: whoever does the work is told, before it is too late."""
    due = case.timers.get("resolve", 0)
    if due > 0:
        step.emit(CaseWarned(target="resolve", agency=case.executor, due=moment_of(due)), to=case.executor)
    return case


def overdue(case: RepairCase, data: TimerFired, step: Step) -> RepairCase:
    """The target has passed: the level above the executor hears of it, again each time, and the work goes on.

    Of an agency that the city no longer has nobody would ever say that it is done: the next one is ordered.
    """
    if case.executor not in step.city.agencies:
        reason = f"The city no longer has the agency {case.executor}."
        step.emit(WorkOrderCancelled(reason=reason, agency=case.executor), parties=case.parties)
        return next_executor(case, step, reason=reason)
    step.start_timer("resolve", step.city.service(case.service_code).resolve_within)
    above = above_of(case.executor, step, already=()) or step.city.default_agency
    return escalate(case, case.executor, above, "The work was not done by its target.", step)


for _state in UNDER_ORDER[:4]:
    repair.on_timer("resolve", states=[_state], to={_state, ORDERED, CLOSED})(overdue)
