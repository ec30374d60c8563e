"""Repair: the steps that several handlers take. Each says through the step what follows, and returns the case."""

from __future__ import annotations

from datetime import datetime

from schemas.types.cases import CaseEscalated
from schemas.types.merging import RequestProgressed
from schemas.types.requests import RequestClosed, RequestForwarded, RequestResolved, RequestSubmitted
from schemas.types.workorders import (
    WorkOrderCancelled,
    WorkOrderCompleted,
    WorkOrderInspectionRequested,
    WorkOrderIssued,
)
from services.workflows.definition import CLOSED, Step
from services.workflows.repair.case import (
    AWAITING_APPROVAL,
    AWAITING_INSPECTION,
    FOLLOWING,
    FORWARDED,
    JOINT_WORK,
    ORDERED,
    PART_DONE,
    RESOLVED,
    UNDER_ORDER,
    RepairCase,
    change,
)

ORDERS_MAX = 12
"""Work is ordered so many times at most: after declines, defects and reopenings without end a person must decide."""

ESCALATIONS_MAX = 1000
"""The highest step that the schema counts; reminders go on."""


def forward(
    case: RepairCase, agency: str, step: Step, *, reason: str | None, reporter: RequestSubmitted | None = None
) -> RepairCase:
    acknowledge_by = step.start_timer("acknowledge", step.city.service(case.service_code).acknowledge_within)
    step.emit(
        RequestForwarded(
            agency=agency,
            service_code=case.service_code,
            area=case.area,
            reason=reason,
            description=case.description,
            location=case.point,
            address_string=case.address_string,
            media_url=case.media_url,
            acknowledge_by=acknowledge_by,
            reporter=reporter.reporter if reporter is not None else None,
            attachments=reporter.attachments if reporter is not None else None,
        ),
        to=agency,
    )
    asked = case.asked if agency in case.asked else (*case.asked, agency)
    return change(case, state=FORWARDED, holder=agency, asked=asked)


def order(case: RepairCase, agency: str, step: Step, *, description: str | None = None) -> RepairCase:
    if case.orders >= ORDERS_MAX:
        return close(case, "unserviceable", step, reason=f"The work was ordered {ORDERS_MAX} times without success.")
    service = step.city.service(case.service_code)
    step.start_timer("accept", service.acknowledge_within)
    due = step.start_timer("resolve", service.resolve_within)
    if service.warn_at is not None:
        step.start_timer("warn", service.resolve_within, share=service.warn_at)
    case = change(case, state=ORDERED, executor=agency, orders=case.orders + 1, inspectors=())
    issue(case, agency, step, description=description or case.description, due=due)
    return case


def issue(case: RepairCase, agency: str, step: Step, *, description: str | None, due: datetime | None) -> None:
    """The order as the agency gets it: what is to be done, where, for how much, and by when."""
    step.emit(
        WorkOrderIssued(
            agency=agency,
            service_code=case.service_code,
            area=case.area,
            description=description,
            location=case.point,
            address_string=case.address_string,
            amount=case.estimate.money if case.estimate is not None else None,
            due=due,
            attempt=case.orders,
        ),
        to=agency,
        parties=case.parties,
    )


def next_executor(case: RepairCase, step: Step, *, reason: str) -> RepairCase:
    """Order whoever comes next: the catalogue's next candidate, then the levels above, each once."""
    tried = (*case.declined, case.executor)
    candidates = step.city.candidates(case.service_code, case.area)
    following = next((agency for agency in candidates if agency not in tried), None)
    if following is None:
        above = above_of(case.executor, step, already=tried)
        if above is None:
            return close(change(case, declined=tried), "unserviceable", step, reason=reason)
        case = escalate(case, case.executor, above, f"Nobody accepted the order: {reason}"[:1000], step)
        following = above
    return order(change(case, declined=tried), following, step)


def resolve(case: RepairCase, step: Step, notes: str | None) -> RepairCase:
    step.stop_timer("inspect", "resolve", "warn")
    step.start_timer("rate", step.city.service(case.service_code).rate_within)
    step.emit(
        RequestResolved(
            agency=case.executor, cost=case.cost.money if case.cost is not None else None, status_notes=notes
        ),
        parties=case.parties,
    )
    if case.followers:
        cost = case.cost.money if case.cost is not None else None
        told = RequestProgressed(
            from_case=case.id, step="resolved", agency=case.executor, cost=cost, status_notes=notes
        )
        progress(case, step, told)
    return change(case, state=RESOLVED)


def to_inspection(case: RepairCase, data: WorkOrderCompleted, step: Step) -> RepairCase:
    """Whoever is nearest looks at what the executor did, and nobody looks at their own work."""
    inspector = step.city.inspector_of(case.area)
    if inspector in case.workers:
        above = above_of(inspector, step, already=case.workers)
        if above is None:
            return resolve(case, step, data.status_notes)
        case = escalate(case, inspector, above, "Nobody inspects their own work: look at it, please.", step)
        inspector = above
    case = change(case, state=AWAITING_INSPECTION, inspectors=())
    return ask_to_inspect(case, inspector, step, done=data)


def ask_to_inspect(
    case: RepairCase, inspector: str, step: Step, *, done: WorkOrderCompleted | None = None
) -> RepairCase:
    """Ask this agency too to look at the work."""
    inspect_by = step.start_timer("inspect", step.city.service(case.service_code).inspect_within)
    step.emit(
        WorkOrderInspectionRequested(
            agency=inspector,
            executor=case.executor,
            service_code=case.service_code,
            area=case.area,
            description=case.description,
            location=case.point,
            address_string=case.address_string,
            cost=case.cost.money if case.cost is not None else None,
            status_notes=done.status_notes if done is not None else None,
            attachments=done.attachments if done is not None else None,
            inspect_by=inspect_by,
        ),
        to=inspector,
        parties=case.parties,
    )
    return change(case, inspectors=(*case.inspectors, inspector))


def close(case: RepairCase, outcome: str, step: Step, *, reason: str | None = None) -> RepairCase:
    step.emit(
        RequestClosed(
            outcome=outcome,  # type: ignore[arg-type]  # one of the schema's literals, which pydantic checks
            agency=case.executor or None,
            cost=case.cost.money if case.cost is not None else None,
            reason=reason,
        ),
        parties=(*case.parties, *asked_now(case)),
    )
    if case.followers:
        told = RequestProgressed(
            from_case=case.id,
            step="closed",
            agency=case.executor or None,
            cost=case.cost.money if case.cost is not None else None,
            outcome=outcome,
            reason=reason,
            heir=_heir(case, outcome),
        )
        progress(case, step, told)
    return change(case, state=CLOSED)


def _heir(case: RepairCase, outcome: str) -> str | None:
    """Where those that follow go on, when the case ends and the matter does not."""
    if case.state == FOLLOWING and outcome in ("rated", "withdrawn"):
        return case.into  # its own citizen's word: the case that all of them followed goes on
    return case.followers[0] if outcome == "withdrawn" else None


def progress(case: RepairCase, step: Step, told: RequestProgressed) -> None:
    """Those that go on in this case hear of it, so that their citizens do."""
    for follower in case.followers:
        step.tell(follower, told)


def asked_now(case: RepairCase) -> tuple[str, ...]:
    """Those whose decision the case waits for: when it ends without one, they must hear of it."""
    if case.state == AWAITING_APPROVAL:
        return case.approvers
    return case.inspectors if case.state == AWAITING_INSPECTION else ()


def cancel_order(case: RepairCase, step: Step, reason: str) -> None:
    """Take back what is ordered: of joint work all parts, the newest first, also those that are done."""
    if case.state in UNDER_ORDER:
        step.emit(WorkOrderCancelled(reason=reason, agency=case.executor), to=case.executor, parties=case.parties)
    elif case.state == JOINT_WORK:
        for part in reversed(case.parts):
            told = f"{reason} Your part is done: make the site safe." if part.state == PART_DONE else reason
            step.emit(WorkOrderCancelled(reason=told[:1000], agency=part.agency), to=part.agency, parties=case.parties)


def escalate(case: RepairCase, frm: str, to: str, reason: str, step: Step) -> RepairCase:
    number = min(case.escalations + 1, ESCALATIONS_MAX)
    step.emit(CaseEscalated(from_agency=frm, to_agency=to, reason=reason, step=number), to=to, parties=case.parties)
    return change(case, escalations=number)


def above_of(agency: str, step: Step, *, already: tuple[str, ...]) -> str | None:
    """The nearest level above that was not asked yet, then the city's default agency, then nobody."""
    above = step.city.parent_of(agency)
    while above is not None and above in already:
        above = step.city.parent_of(above)
    if above is not None:
        return above
    default = step.city.default_agency
    return default if default not in already and default != agency else None
