"""The repair workflow: from a citizen's request to the closed case, with a deadline on every wait.

    submitted → forwarded → acknowledged [→ awaiting approval] → ordered → accepted → in progress → awaiting inspection
    → resolved → closed

Every wait has a timer, and every timer leads to somebody: to the next agency that the catalogue names, then up the
levels, and at the end to a close with its reason. So no agency can make a case stall by silence. Who is asked comes
from the city's files; nothing of a city is in here.
"""

from __future__ import annotations

from decimal import Decimal

import msgspec

from schemas.envelope import Event
from schemas.failures import Reason, Refused
from schemas.types.approvals import (
    ApprovalExpired,
    ApprovalGranted,
    ApprovalRefused,
    ApprovalRequested,
    ApprovalSentBack,
)
from schemas.types.cases import CaseEscalated, CaseWarned, TimerFired
from schemas.types.requests import (
    RequestAcknowledged,
    RequestAssigned,
    RequestClosed,
    RequestCommented,
    RequestForwarded,
    RequestMerged,
    RequestRated,
    RequestReopened,
    RequestResolved,
    RequestSubmitted,
    RequestWithdrawn,
)
from schemas.types.workorders import (
    WorkOrderAccepted,
    WorkOrderCancelled,
    WorkOrderCompleted,
    WorkOrderDeclined,
    WorkOrderDefectFound,
    WorkOrderInspected,
    WorkOrderIssued,
    WorkOrderStarted,
    WorkOrderSuspended,
)
from schemas.values import Money, Point
from services.workflows.asking import of_each_area, of_each_service, of_the_city
from services.workflows.definition import CLOSED, CaseState, Step, Workflow, moment_of

FORWARDED = "forwarded"
AWAITING_APPROVAL = "awaiting_approval"
ORDERED = "ordered"
ACCEPTED = "accepted"
IN_PROGRESS = "in_progress"
SUSPENDED = "suspended"
AWAITING_INSPECTION = "awaiting_inspection"
RESOLVED = "resolved"

BEFORE_WORK = (FORWARDED, AWAITING_APPROVAL)
UNDER_ORDER = (ORDERED, ACCEPTED, IN_PROGRESS, SUSPENDED, AWAITING_INSPECTION)
OPEN = (*BEFORE_WORK, *UNDER_ORDER, RESOLVED)

FORWARDS_MAX = 8
"""Agencies may pass a request on so many times; then it goes to the default agency, which keeps it."""

ORDERS_MAX = 12
"""Work is ordered so many times at most: after declines, defects and reopenings without end a person must decide."""


ESCALATIONS_MAX = 1000
"""The highest step that the schema counts; reminders go on."""


class Amount(msgspec.Struct, frozen=True, array_like=True, gc=False):
    """An amount of money as it is remembered: `["1250000", "IDR"]`."""

    amount: str
    currency: str

    @classmethod
    def of(cls, money: Money | None) -> Amount | None:
        """As it came in an event."""
        return cls(money.amount, money.currency) if money is not None else None

    @property
    def money(self) -> Money:
        """As it travels in events."""
        return Money(amount=self.amount, currency=self.currency)

    def exceeds(self, limit: Amount) -> bool:
        """Whether it is more than `limit`, or in a currency that the limit says nothing of."""
        return self.currency != limit.currency or Decimal(self.amount) > Decimal(limit.amount)


class RepairCase(CaseState, frozen=True, kw_only=True, omit_defaults=True, gc=False):
    """What is remembered of a repair."""

    service_code: str
    area: str
    holder: str
    """The agency that answers for the case now."""
    asked: tuple[str, ...] = ()
    """All agencies that were asked to take the request on, the newest last: any of them may still acknowledge it."""
    executor: str = ""
    """The agency under order, where one is."""
    approvers: tuple[str, ...] = ()
    inspectors: tuple[str, ...] = ()
    orders: int = 0
    declined: tuple[str, ...] = ()
    escalations: int = 0
    estimate: Amount | None = None
    cost: Amount | None = None
    description: str | None = None
    location: tuple[float, float] | None = None
    address_string: str | None = None
    media_url: str | None = None

    @property
    def parties(self) -> tuple[str, ...]:
        """The agencies that take part: who holds it, and who works on it."""
        return (self.holder, self.executor) if self.executor and self.executor != self.holder else (self.holder,)

    @property
    def point(self) -> Point | None:
        """The place as it travels in events."""
        return Point(type="Point", coordinates=self.location) if self.location is not None else None


repair = Workflow("repair", version=1, case=RepairCase, opened_by=RequestSubmitted, begins_in=[FORWARDED])
change = msgspec.structs.replace

repair.role("holder", answers=[RequestAcknowledged], found=of_each_service)
repair.role("executor", answers=[WorkOrderAccepted], found=of_each_service)
repair.role("approver", answers=[ApprovalGranted], found=of_the_city(lambda city: city.approver))
repair.role("inspector", answers=[WorkOrderInspected], found=of_each_area(lambda city, area: city.inspector_of(area)))


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
    return _forward(case, holder, step, reason=None, reporter=data)


# -- who takes it on


@repair.on(RequestAcknowledged, states=[FORWARDED], to=[ORDERED, AWAITING_APPROVAL])
def acknowledged(case: RepairCase, data: RequestAcknowledged, step: Step) -> RepairCase:
    """The agency takes it on. What costs more than it may spend alone needs the approver first."""
    step.require_sender(case.asked, "taking the request on")
    service = step.city.services[case.service_code]
    step.stop_timer("acknowledge")
    estimate = Amount.of(data.estimate) or case.estimate
    case = change(case, holder=step.sender, estimate=estimate)
    step.emit(
        RequestAssigned(
            agency=case.holder,
            service_code=case.service_code,
            area=case.area,
            expected_datetime=step.after(service.resolve_within),
        ),
        parties=case.parties,
    )
    threshold = step.city.agencies[case.holder].approval_threshold
    limit = Amount(threshold.amount, threshold.currency) if threshold is not None else None
    if estimate is None or limit is None or not estimate.exceeds(limit):
        return _order(case, case.holder, step)
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
    target = data.agency if len(case.asked) < FORWARDS_MAX else step.city.default_agency
    return _forward(case, target, step, reason=data.reason)


@repair.on_timer("acknowledge", states=[FORWARDED], to=[FORWARDED])
def not_acknowledged(case: RepairCase, data: TimerFired, step: Step) -> RepairCase:
    """Nobody took it on in time: the parent level is asked, and answers for it from now on."""
    above = _above(case.holder, step, already=case.asked)
    if above is None:  # Everybody was asked: whoever answers in the end is reminded, again and again.
        step.start_timer("acknowledge", step.city.services[case.service_code].acknowledge_within)
        return _escalate(case, case.holder, step.city.default_agency, "Nobody acknowledged the request.", step)
    case = _escalate(case, case.holder, above, "The request was not acknowledged in time.", step)
    return _forward(case, above, step, reason=f"Escalated: {case.holder} did not acknowledge in time.")


# -- whether the money may be spent


@repair.on(ApprovalGranted, states=[AWAITING_APPROVAL], to=[ORDERED])
def granted(case: RepairCase, data: ApprovalGranted, step: Step) -> RepairCase:
    """The money may be spent: the work is ordered."""
    step.require_sender(case.approvers, "deciding on the money")
    step.stop_timer("approve")
    return _order(change(case, estimate=Amount.of(data.amount)), case.holder, step)


@repair.on(ApprovalRefused, states=[AWAITING_APPROVAL], to=[CLOSED])
def refused(case: RepairCase, data: ApprovalRefused, step: Step) -> RepairCase:
    """The money may not be spent: the case ends, and the citizen hears why."""
    step.require_sender(case.approvers, "deciding on the money")
    return _close(case, "refused", step, reason=data.reason)


@repair.on(ApprovalSentBack, states=[AWAITING_APPROVAL], to=[FORWARDED])
def sent_back(case: RepairCase, data: ApprovalSentBack, step: Step) -> RepairCase:
    """The approver wants another estimate: the agency is asked again."""
    step.require_sender(case.approvers, "deciding on the money")
    step.stop_timer("approve")
    return _forward(change(case, estimate=None), case.holder, step, reason=data.reason)


@repair.on_timer("approve", states=[AWAITING_APPROVAL], to=[AWAITING_APPROVAL])
def not_approved(case: RepairCase, data: TimerFired, step: Step) -> RepairCase:
    """No decision in time: the approver's parent may decide too."""
    approver = case.approvers[-1]
    if case.estimate is not None:
        step.emit(ApprovalExpired(amount=case.estimate.money, agency=case.holder), to=approver, parties=case.parties)
    above = _above(approver, step, already=case.approvers)
    step.start_timer("approve", step.city.services[case.service_code].approve_within)
    reason = "The approval was not decided in time."
    if above is None:
        return _escalate(case, approver, step.city.default_agency, reason, step)
    return change(_escalate(case, approver, above, reason, step), approvers=(*case.approvers, above))


# -- the work


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
    return _next_executor(case, step, reason=data.reason)


@repair.on_timer("accept", states=[ORDERED], to=[ORDERED, CLOSED])
def not_accepted(case: RepairCase, data: TimerFired, step: Step) -> RepairCase:
    """No answer to the order counts as a no."""
    step.emit(
        WorkOrderCancelled(reason="The order was not answered in time.", agency=case.executor),
        to=case.executor,
        parties=case.parties,
    )
    return _next_executor(case, step, reason="The order was not answered in time.")


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
    inspector = step.city.inspector_of(case.area)
    if inspector == case.executor:
        above = _above(case.executor, step, already=(case.executor,))
        if above is None:
            return _resolve(case, step, data.status_notes)
        case = _escalate(case, case.executor, above, "Nobody inspects their own work: look at it, please.", step)
        inspector = above
    step.start_timer("inspect", step.city.services[case.service_code].inspect_within)
    return change(case, state=AWAITING_INSPECTION, inspectors=(inspector,))


@repair.on_timer("warn", states=UNDER_ORDER[:4], to="same")
def due_soon(case: RepairCase, data: TimerFired, step: Step) -> RepairCase:
    """Most of the time is over: whoever does the work is told, before it is too late."""
    due = case.timers.get("resolve", 0)
    if due > 0:
        step.emit(CaseWarned(target="resolve", agency=case.executor, due=moment_of(due)), to=case.executor)
    return case


@repair.on_timer("resolve", states=UNDER_ORDER[:4], to="same")
def overdue(case: RepairCase, data: TimerFired, step: Step) -> RepairCase:
    """The target has passed: the level above the executor hears of it, again each time, and the work goes on."""
    step.start_timer("resolve", step.city.services[case.service_code].resolve_within)
    above = _above(case.executor, step, already=()) or step.city.default_agency
    return _escalate(case, case.executor, above, "The work was not done by its target.", step)


# -- whether it is good


@repair.on(WorkOrderInspected, states=[AWAITING_INSPECTION], to=[RESOLVED])
def inspected(case: RepairCase, data: WorkOrderInspected, step: Step) -> RepairCase:
    """It is good: the citizen hears so, and may rate it or reopen."""
    step.require_sender(case.inspectors, "the inspection")
    return _resolve(case, step, data.status_notes)


@repair.on(WorkOrderDefectFound, states=[AWAITING_INSPECTION], to=[ORDERED, CLOSED])
def defect_found(case: RepairCase, data: WorkOrderDefectFound, step: Step) -> RepairCase:
    """It is not good: the same agency is ordered again."""
    step.require_sender(case.inspectors, "the inspection")
    step.stop_timer("inspect")
    return _order(case, case.executor, step, description=data.description)


@repair.on_timer("inspect", states=[AWAITING_INSPECTION], to=[AWAITING_INSPECTION, RESOLVED])
def not_inspected(case: RepairCase, data: TimerFired, step: Step) -> RepairCase:
    """Nobody looked in time: the level above may look too; after that the work counts as done, and the note says so."""
    above = _above(case.inspectors[-1], step, already=case.inspectors)
    if above is None or len(case.inspectors) > 1:
        return _resolve(case, step, "Nobody inspected the work in time.")
    case = _escalate(case, case.inspectors[-1], above, "The work was not inspected in time.", step)
    step.start_timer("inspect", step.city.services[case.service_code].inspect_within)
    return change(case, inspectors=(*case.inspectors, above))


# -- what the citizen says


@repair.on(RequestRated, states=[RESOLVED], to=[CLOSED])
def rated(case: RepairCase, data: RequestRated, step: Step) -> RepairCase:
    """The citizen's word on it ends the case."""
    return _close(case, "rated", step)


@repair.on_timer("rate", states=[RESOLVED], to=[CLOSED])
def not_rated(case: RepairCase, data: TimerFired, step: Step) -> RepairCase:
    """The citizen says nothing: the case ends."""
    return _close(case, "unrated", step)


@repair.on(RequestReopened, states=[RESOLVED], to=[ORDERED, CLOSED])
def reopened(case: RepairCase, data: RequestReopened, step: Step) -> RepairCase:
    """The citizen says it is not settled: the work is ordered again."""
    step.stop_timer("rate")
    return _order(case, case.executor, step, description=data.reason)


@repair.on(RequestWithdrawn, states=OPEN, to=[CLOSED])
def withdrawn(case: RepairCase, data: RequestWithdrawn, step: Step) -> RepairCase:
    """The citizen no longer asks: an order that runs is taken back."""
    _cancel_order(case, step, "The citizen withdrew the request.")
    return _close(case, "withdrawn", step, reason=data.reason)


@repair.on(RequestMerged, states=OPEN, to=[CLOSED])
def merged(case: RepairCase, data: RequestMerged, step: Step) -> RepairCase:
    """The same matter goes on in another case."""
    _cancel_order(case, step, f"The request was merged into {data.into}.")
    return _close(case, "merged", step, reason=f"It goes on in the case {data.into}.")


@repair.on(RequestCommented, states=OPEN, to="same")
def commented(case: RepairCase, data: RequestCommented, step: Step) -> RepairCase:
    """A remark changes nothing, and no deadline."""
    return case


# -- the steps that several of these take


def _forward(
    case: RepairCase, agency: str, step: Step, *, reason: str | None, reporter: RequestSubmitted | None = None
) -> RepairCase:
    acknowledge_by = step.start_timer("acknowledge", step.city.services[case.service_code].acknowledge_within)
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


def _order(case: RepairCase, agency: str, step: Step, *, description: str | None = None) -> RepairCase:
    if case.orders >= ORDERS_MAX:
        return _close(case, "unserviceable", step, reason=f"The work was ordered {ORDERS_MAX} times without success.")
    service = step.city.services[case.service_code]
    step.start_timer("accept", service.acknowledge_within)
    due = step.start_timer("resolve", service.resolve_within)
    if service.warn_at is not None:
        step.start_timer("warn", service.resolve_within, share=service.warn_at)
    case = change(case, state=ORDERED, executor=agency, orders=case.orders + 1, inspectors=())
    step.emit(
        WorkOrderIssued(
            agency=agency,
            service_code=case.service_code,
            area=case.area,
            description=description or case.description,
            location=case.point,
            address_string=case.address_string,
            amount=case.estimate.money if case.estimate is not None else None,
            due=due,
            attempt=case.orders,
        ),
        to=agency,
        parties=case.parties,
    )
    return case


def _next_executor(case: RepairCase, step: Step, *, reason: str) -> RepairCase:
    """Order whoever comes next: the catalogue's next candidate, then the levels above, each once."""
    tried = (*case.declined, case.executor)
    candidates = step.city.candidates(case.service_code, case.area)
    following = next((agency for agency in candidates if agency not in tried), None)
    if following is None:
        above = _above(case.executor, step, already=tried)
        if above is None:
            return _close(change(case, declined=tried), "unserviceable", step, reason=reason)
        case = _escalate(case, case.executor, above, f"Nobody accepted the order: {reason}"[:1000], step)
        following = above
    return _order(change(case, declined=tried), following, step)


def _resolve(case: RepairCase, step: Step, notes: str | None) -> RepairCase:
    step.stop_timer("inspect", "resolve", "warn")
    step.start_timer("rate", step.city.services[case.service_code].rate_within)
    step.emit(
        RequestResolved(
            agency=case.executor, cost=case.cost.money if case.cost is not None else None, status_notes=notes
        ),
        parties=case.parties,
    )
    return change(case, state=RESOLVED)


def _close(case: RepairCase, outcome: str, step: Step, *, reason: str | None = None) -> RepairCase:
    step.emit(
        RequestClosed(
            outcome=outcome,  # type: ignore[arg-type]  # one of the schema's literals, which pydantic checks
            agency=case.executor or None,
            cost=case.cost.money if case.cost is not None else None,
            reason=reason,
        ),
        parties=(*case.parties, *_asked_now(case)),
    )
    return change(case, state=CLOSED)


def _asked_now(case: RepairCase) -> tuple[str, ...]:
    """Those whose decision the case waits for: when it ends without one, they must hear of it."""
    if case.state == AWAITING_APPROVAL:
        return case.approvers
    return case.inspectors if case.state == AWAITING_INSPECTION else ()


def _cancel_order(case: RepairCase, step: Step, reason: str) -> None:
    if case.state in UNDER_ORDER:
        step.emit(WorkOrderCancelled(reason=reason, agency=case.executor), to=case.executor, parties=case.parties)


def _escalate(case: RepairCase, frm: str, to: str, reason: str, step: Step) -> RepairCase:
    number = min(case.escalations + 1, ESCALATIONS_MAX)
    step.emit(CaseEscalated(from_agency=frm, to_agency=to, reason=reason, step=number), to=to, parties=case.parties)
    return change(case, escalations=number)


def _above(agency: str, step: Step, *, already: tuple[str, ...]) -> str | None:
    """The nearest level above that was not asked yet, then the city's default agency, then nobody."""
    above = step.city.parent_of(agency)
    while above is not None and above in already:
        above = step.city.parent_of(above)
    if above is not None:
        return above
    default = step.city.default_agency
    return default if default not in already and default != agency else None
