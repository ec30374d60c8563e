"""Repair: whether the work is good, and what the citizen says of it. Nobody looks at their own work."""

from __future__ import annotations

from schemas.types.cases import TimerFired
from schemas.types.merging import RequestProgressed
from schemas.types.requests import RequestCommented, RequestRated, RequestReopened, RequestWithdrawn
from schemas.types.workorders import WorkOrderDefectFound, WorkOrderInspected
from services.workflows.definition import CLOSED, Step
from services.workflows.repair.case import (
    AWAITING_INSPECTION,
    OPEN,
    ORDERED,
    RESOLVED,
    RepairCase,
    repair,
)
from services.workflows.repair.steps import (
    above_of,
    ask_to_inspect,
    cancel_order,
    close,
    escalate,
    order,
    progress,
    resolve,
)


@repair.on(WorkOrderInspected, states=[AWAITING_INSPECTION], to=[RESOLVED])
def inspected(case: RepairCase, data: WorkOrderInspected, step: Step) -> RepairCase:
    """It is good: the citizen hears so, and may rate it or reopen."""
    step.require_sender(case.inspectors, "the inspection")
    return resolve(case, step, data.status_notes)


@repair.on(WorkOrderDefectFound, states=[AWAITING_INSPECTION], to=[ORDERED, CLOSED])
def defect_found(case: RepairCase, data: WorkOrderDefectFound, step: Step) -> RepairCase:
    """It is not good: the same agency is ordered again."""
    step.require_sender(case.inspectors, "the inspection")
    step.stop_timer("inspect")
    return order(case, case.executor, step, description=data.description)


@repair.on_timer("inspect", states=[AWAITING_INSPECTION], to=[AWAITING_INSPECTION, RESOLVED])
def not_inspected(case: RepairCase, data: TimerFired, step: Step) -> RepairCase:
    """Nobody looked in time: the level above may look too; after that the work counts as done, and the note says so."""
    above = above_of(case.inspectors[-1], step, already=(*case.inspectors, *case.workers))
    if above is None or len(case.inspectors) > 1:
        return resolve(case, step, "Nobody inspected the work in time.")
    case = escalate(case, case.inspectors[-1], above, "The work was not inspected in time.", step)
    return ask_to_inspect(case, above, step)


@repair.on(RequestRated, states=[RESOLVED], to=[CLOSED])
def rated(case: RepairCase, data: RequestRated, step: Step) -> RepairCase:
    """The citizen's word on it ends the case."""
    return close(case, "rated", step)


@repair.on_timer("rate", states=[RESOLVED], to=[CLOSED])
def not_rated(case: RepairCase, data: TimerFired, step: Step) -> RepairCase:
    """The citizen says nothing: the case ends."""
    return close(case, "unrated", step)


@repair.on(RequestReopened, states=[RESOLVED], to=[ORDERED, CLOSED])
def reopened(case: RepairCase, data: RequestReopened, step: Step) -> RepairCase:
    """The citizen says it is not settled: the work is ordered again."""
    step.stop_timer("rate")
    progress(case, step, RequestProgressed(from_case=case.id, step="reopened", reason=data.reason))
    return order(case, case.executor, step, description=data.reason)


@repair.on(RequestWithdrawn, states=OPEN, to=[CLOSED])
def withdrawn(case: RepairCase, data: RequestWithdrawn, step: Step) -> RepairCase:
    """The citizen no longer asks: an order that runs is taken back."""
    cancel_order(case, step, "The citizen withdrew the request.")
    return close(case, "withdrawn", step, reason=data.reason)


@repair.on(RequestCommented, states=OPEN, to="same")
def commented(case: RepairCase, data: RequestCommented, step: Step) -> RepairCase:
    """A remark changes nothing, and no deadline."""
    return case
