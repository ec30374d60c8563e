"""Repair: works of several agencies, as the catalogue says: step after step, those of a step at the same time.

The water utility digs before public works paves. A step begins when every part of the one before it is done. A no, or
silence, gives a part to the level above. Where nobody is left, and where the case ends meanwhile, all orders are taken
back, the newest first: who has done a part is told too, since what was opened has to be made safe. Of the last step the
first agency answers for the whole.
"""

from __future__ import annotations

from schemas.failures import Reason, Refused
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
    JOINT_WORK,
    ORDERED,
    PART_DONE,
    RESOLVED,
    SUSPENDED,
    Amount,
    Part,
    RepairCase,
    change,
    repair,
)
from services.workflows.repair.steps import above_of, cancel_order, close, escalate, issue, order, to_inspection

NOT_ANSWERED = "The order was not answered in time."


def start_work(case: RepairCase, step: Step) -> RepairCase:
    """Order the work: of the agency that holds the case, or of all that the catalogue names for it."""
    service = step.city.service(case.service_code)
    if not service.works:
        return order(case, case.holder, step)
    step.start_timer("resolve", service.resolve_within)
    if service.warn_at is not None:
        step.start_timer("warn", service.resolve_within, share=service.warn_at)
    case = change(case, state=JOINT_WORK, orders=case.orders + 1, parts=(), executor="")
    return _begin(case, 0, step)


def _begin(case: RepairCase, number: int, step: Step) -> RepairCase:
    """Order all parts of a step."""
    for agency in step.city.service(case.service_code).works[number]:
        case = change(case, parts=(*case.parts, Part(agency, number, ORDERED)))
        _issue(case, agency, number, step)
    step.start_timer("accept", step.city.service(case.service_code).acknowledge_within)
    return case


def _issue(case: RepairCase, agency: str, number: int, step: Step) -> None:
    works = step.city.service(case.service_code).works
    others = [", ".join(agencies) for agencies in works]
    told = f"Step {number + 1} of {len(works)} ({' → '.join(others)}). {case.description or ''}".strip()
    due = step.timers.get("resolve") or case.timers.get("resolve", 0)
    issue(case, agency, step, description=told[:4000], due=moment_of(due) if due > 0 else None)


# -- what the agencies say


@repair.on(WorkOrderAccepted, states=[JOINT_WORK], to="same")
def part_accepted(case: RepairCase, data: WorkOrderAccepted, step: Step) -> RepairCase:
    """The agency will do its part."""
    case = _moved(case, step, frm=(ORDERED,), to=ACCEPTED)
    if not _waiting(case):
        step.stop_timer("accept")
    return case


@repair.on(WorkOrderStarted, states=[JOINT_WORK], to="same")
def part_started(case: RepairCase, data: WorkOrderStarted, step: Step) -> RepairCase:
    """The part begins, or goes on."""
    return _moved(case, step, frm=(ACCEPTED, SUSPENDED), to=IN_PROGRESS)


@repair.on(WorkOrderSuspended, states=[JOINT_WORK], to="same")
def part_suspended(case: RepairCase, data: WorkOrderSuspended, step: Step) -> RepairCase:
    """The part rests; the others go on."""
    return _moved(case, step, frm=(ACCEPTED, IN_PROGRESS), to=SUSPENDED)


@repair.on(WorkOrderCompleted, states=[JOINT_WORK], to=[JOINT_WORK, AWAITING_INSPECTION, RESOLVED])
def part_completed(case: RepairCase, data: WorkOrderCompleted, step: Step) -> RepairCase:
    """The part is done. With the last one of a step the next step begins; with the last step it is looked at."""
    case = _moved(case, step, frm=(ACCEPTED, IN_PROGRESS, SUSPENDED), to=PART_DONE)
    cost = Amount.of(data.cost)
    case = change(case, cost=cost.with_(case.cost) if cost is not None else case.cost)
    if any(part.state != PART_DONE for part in case.parts):
        return case
    works = step.city.service(case.service_code).works
    number = max(part.step for part in case.parts) + 1
    if number < len(works):
        return _begin(case, number, step)
    step.stop_timer("accept", "resolve", "warn")
    last = next(part.agency for part in case.parts if part.step == number - 1)
    return to_inspection(change(case, executor=last), data, step)


@repair.on(WorkOrderDeclined, states=[JOINT_WORK], to=[JOINT_WORK, CLOSED])
def part_declined(case: RepairCase, data: WorkOrderDeclined, step: Step) -> RepairCase:
    """The agency will not: the level above it is to do the part, or nobody is left and all is taken back."""
    _moved(case, step, frm=(ORDERED, ACCEPTED), to=ORDERED)
    case = _given_up(case, step.sender, data.reason, step)
    if case.state != CLOSED:
        step.start_timer("accept", step.city.service(case.service_code).acknowledge_within)
    return case


@repair.on_timer("accept", states=[JOINT_WORK], to=[JOINT_WORK, CLOSED])
def parts_not_accepted(case: RepairCase, data: TimerFired, step: Step) -> RepairCase:
    """No answer to an order counts as a no."""
    step.start_timer("accept", step.city.service(case.service_code).acknowledge_within)
    for part in _waiting(case):
        if case.state != CLOSED:
            step.emit(WorkOrderCancelled(reason=NOT_ANSWERED, agency=part.agency), to=part.agency, parties=case.parties)
            case = _given_up(case, part.agency, NOT_ANSWERED, step)
    return case


@repair.on_timer("warn", states=[JOINT_WORK], to="same")
def parts_due_soon(case: RepairCase, data: TimerFired, step: Step) -> RepairCase:
    """Most of the time is over: whoever has a part to do is told."""
    due = case.timers.get("resolve", 0)
    for part in case.parts:
        if due > 0 and part.state != PART_DONE:
            step.emit(CaseWarned(target="resolve", agency=part.agency, due=moment_of(due)), to=part.agency)
    return case


@repair.on_timer("resolve", states=[JOINT_WORK], to=[JOINT_WORK, CLOSED])
def parts_overdue(case: RepairCase, data: TimerFired, step: Step) -> RepairCase:
    """The target has passed: the level above each agency that is late hears of it, and the work goes on.

    The part of an agency that the city no longer has goes to the level above.
    """
    step.start_timer("resolve", step.city.service(case.service_code).resolve_within)
    for part in case.parts:
        if part.state == PART_DONE or case.state == CLOSED:
            continue
        if part.agency in step.city.agencies:
            above = above_of(part.agency, step, already=()) or step.city.default_agency
            case = escalate(case, part.agency, above, "The part was not done by the target of the whole.", step)
            continue
        reason = f"The city no longer has the agency {part.agency}."
        step.emit(WorkOrderCancelled(reason=reason, agency=part.agency), parties=case.parties)
        step.start_timer("accept", step.city.service(case.service_code).acknowledge_within)
        case = _given_up(case, part.agency, reason, step)
    return case


# -- the steps that several of these take


def _waiting(case: RepairCase) -> list[Part]:
    return [part for part in case.parts if part.state == ORDERED]


def _part_of(case: RepairCase, agency: str) -> Part:
    """The agency's newest part: whoever took an earlier one in another's place may have one of its own later."""
    return next(part for part in reversed(case.parts) if part.agency == agency)


def _moved(case: RepairCase, step: Step, *, frm: tuple[str, ...], to: str) -> RepairCase:
    """The sender's part in another state.

    Raises:
        Refused: it has none, or the part is not in one of `frm`.
    """
    step.require_sender([part.agency for part in case.parts], "a part of the work")
    mine = _part_of(case, step.sender)
    if mine.state not in frm:
        problem = f"the part of {mine.agency} is {mine.state.replace('_', ' ')}"
        raise Refused([Reason("wrong_state", "type", problem, "Look at the case first: `subak case show`.")])
    return change(case, parts=tuple(Part(p.agency, p.step, to) if p is mine else p for p in case.parts))


def _given_up(case: RepairCase, agency: str, reason: str, step: Step) -> RepairCase:
    """Give the part to the level above; where nobody is left, take everything back and end."""
    declined = (*case.declined, agency)
    taken = (*declined, *(part.agency for part in case.parts))
    above = above_of(agency, step, already=taken)
    part = _part_of(case, agency)
    left = tuple(other for other in case.parts if other is not part)
    case = change(case, declined=declined, parts=left)
    if above is None:
        cancel_order(case, step, f"A part of the work finds nobody: {reason}"[:1000])
        return close(case, "unserviceable", step, reason=reason)
    case = escalate(case, agency, above, f"The order of a part was not taken: {reason}"[:1000], step)
    case = change(case, parts=(*left, Part(above, part.step, ORDERED)))
    _issue(case, above, part.step, step)
    return case
