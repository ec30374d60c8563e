"""What each event type tells of its case: one small function a type, found by the type's name. Pure.

This is the index of the casebook: to see what a type changes, read its function. Tolerant: what is missing or of
another form than its schema says is left as it was.
"""

from __future__ import annotations

from collections.abc import Callable

from bus.history import HISTORY, OUTCOME
from schemas.registry import EventData, registry
from schemas.types import (
    ApprovalExpired,
    ApprovalGranted,
    ApprovalRefused,
    ApprovalRequested,
    ApprovalSentBack,
    CaseEscalated,
    CaseParked,
    CaseReplayed,
    RequestAcknowledged,
    RequestAssigned,
    RequestClosed,
    RequestForwarded,
    RequestJoined,
    RequestRated,
    RequestReopened,
    RequestResolved,
    RequestSubmitted,
    RequestWithdrawn,
)
from services.casebook.case import Case
from services.casebook.entry import Entry
from services.casebook.fields import Content, moment_in, money_in, text_in
from services.casebook.states import (
    ACKNOWLEDGED,
    APPROVAL_EXPIRED,
    APPROVAL_REFUSED,
    APPROVED,
    ASSIGNED,
    AWAITING_APPROVAL,
    CLOSED,
    FORWARDED,
    MERGED,
    RATED,
    REOPENED,
    RESOLVED,
    SENT_BACK,
    SUBMITTED,
    WITHDRAWN,
)

Teller = Callable[[Case, Entry, Content], None]

_tellers: dict[str, Teller] = {}
_openers: dict[str, tuple[str, str | None]] = {}
"""Types that begin a case → the state that it begins in, and the field that names it."""


def opens(entry: Entry, content: Content) -> Case | None:
    """The case that this event begins, or None where it begins none."""
    opener = _openers.get(entry.type)
    if opener is None and not (entry.type in registry and registry.get(entry.type).opens_case):
        return None
    state, title = opener or (SUBMITTED, "title")  # a kind that nothing is known of is shown with its timeline
    case = Case(
        id=entry.case_id,
        kind=entry.type.split(".")[1],
        title=text_in(content, title) if title is not None else None,
        service_code=text_in(content, "service_code") or "",
        area=text_in(content, "area") or entry.jurisdiction or "",
        state=state,
        opened_by=entry.agency,
        opened_at=entry.occurred_at,
        updated_at=entry.logged_at,
        events=0,
        log_partition=entry.log_partition,
        log_offset=-1,
    )
    case.held_by(entry.agency, entry.occurred_at)
    return case


def tell(case: Case, entry: Entry, content: Content) -> None:
    """Let the case know what this event says. It changes `case`."""
    case.workflow = case.workflow or entry.workflowversion
    case.updated_at = entry.logged_at
    case.joined(entry.agency, entry.recipient, *(entry.parties or "").split(","))
    teller = _tellers.get(entry.type)
    history = entry.workflowversion == HISTORY == case.workflow
    if teller is not None and (history or not case.is_closed):
        teller(case, entry, content)
    if history:  # whatever it says of a step, nobody waits for the next one
        case.state, case.outcome, case.closed_at = CLOSED, OUTCOME, entry.occurred_at
        case.holder = case.held_since = case.answer_by = case.due_at = None


def tells(kind: type[EventData]) -> Callable[[Teller], Teller]:
    """Register what this type tells of its case."""

    def register(teller: Teller) -> Teller:
        _tellers[kind.registered.name] = teller
        return teller

    return register


def begins(kind: type[EventData], state: str, title: str | None = None) -> None:
    """Register a type that begins a case, in which state, and which of its fields names the case."""
    _openers[kind.registered.name] = (state, title)


begins(RequestSubmitted, SUBMITTED)


# -- requests


@tells(RequestForwarded)
def _forwarded(case: Case, entry: Entry, content: Content) -> None:
    case.state = FORWARDED
    case.held_by(text_in(content, "agency") or entry.recipient, entry.occurred_at)
    case.answer_by = moment_in(content, "acknowledge_by")


@tells(RequestAcknowledged)
def _acknowledged(case: Case, entry: Entry, content: Content) -> None:
    case.state = ACKNOWLEDGED
    case.agency = entry.agency
    case.held_by(entry.agency, entry.occurred_at)
    case.answer_by = None
    take_estimate(case, content, "estimate")


@tells(RequestAssigned)
def _assigned(case: Case, entry: Entry, content: Content) -> None:
    case.state = ASSIGNED
    case.agency = text_in(content, "agency") or case.agency
    case.held_by(case.agency, entry.occurred_at)
    case.due_at = moment_in(content, "expected_datetime") or case.due_at


@tells(RequestResolved)
def _resolved(case: Case, entry: Entry, content: Content) -> None:
    case.state = RESOLVED
    case.agency = text_in(content, "agency") or case.agency
    case.answer_by = None
    case.held_by(case.opened_by, entry.occurred_at)  # it waits for the citizen's word
    take_cost(case, content)


@tells(RequestReopened)
def _reopened(case: Case, entry: Entry, content: Content) -> None:
    case.state = REOPENED
    case.held_by(case.agency, entry.occurred_at)


@tells(RequestRated)
def _rated(case: Case, entry: Entry, content: Content) -> None:
    case.state = RATED


@tells(RequestWithdrawn)
def _withdrawn(case: Case, entry: Entry, content: Content) -> None:
    case.state = WITHDRAWN
    case.answer_by = None


@tells(RequestJoined)
def _joined(case: Case, entry: Entry, content: Content) -> None:
    case.state = MERGED
    case.held_by(text_in(content, "agency"), entry.occurred_at)
    case.answer_by = None


@tells(RequestClosed)
def _closed(case: Case, entry: Entry, content: Content) -> None:
    case.state = CLOSED
    case.outcome = text_in(content, "outcome")
    case.agency = text_in(content, "agency") or case.agency
    case.closed_at = entry.occurred_at
    case.holder = case.held_since = case.answer_by = None
    take_cost(case, content)


# -- approvals


@tells(ApprovalRequested)
def _approval_requested(case: Case, entry: Entry, content: Content) -> None:
    case.state = AWAITING_APPROVAL
    case.agency = text_in(content, "agency") or case.agency
    case.held_by(entry.recipient, entry.occurred_at)
    case.answer_by = moment_in(content, "decide_by")
    take_estimate(case, content, "amount")


@tells(ApprovalGranted)
def _granted(case: Case, entry: Entry, content: Content) -> None:
    _decided(case, entry, APPROVED)
    take_estimate(case, content, "amount")


@tells(ApprovalRefused)
def _refused(case: Case, entry: Entry, content: Content) -> None:
    _decided(case, entry, APPROVAL_REFUSED)


@tells(ApprovalSentBack)
def _sent_back(case: Case, entry: Entry, content: Content) -> None:
    _decided(case, entry, SENT_BACK)


@tells(ApprovalExpired)
def _approval_expired(case: Case, entry: Entry, content: Content) -> None:
    case.state = APPROVAL_EXPIRED  # whoever was asked may still decide: it stays in their hands


def _decided(case: Case, entry: Entry, state: str) -> None:
    case.state = state
    case.answer_by = None
    case.held_by(case.agency, entry.occurred_at)


# -- the case as such


@tells(CaseEscalated)
def _escalated(case: Case, entry: Entry, content: Content) -> None:
    step = content.get("step")
    if isinstance(step, int):
        case.escalation_step = max(case.escalation_step, step)
    case.held_by(text_in(content, "to_agency") or entry.recipient, entry.occurred_at)


@tells(CaseParked)
def _parked(case: Case, entry: Entry, content: Content) -> None:
    case.parked_at = entry.occurred_at
    case.parked_event_id = text_in(content, "event_id")
    case.parked_event_type = text_in(content, "event_type")
    case.parked_error = text_in(content, "error")
    case.parked_seq = entry.seq


@tells(CaseReplayed)
def _replayed(case: Case, entry: Entry, content: Content) -> None:
    # Not at the operator's request: that may help nothing, be refused, or wait for a stage that is away.
    case.parked_at = case.parked_event_id = case.parked_event_type = case.parked_error = None
    case.parked_seq = None


# -- what several of these do


def take_estimate(case: Case, content: Content, name: str) -> None:
    """The amount in that field is what it is thought to cost."""
    if (money := money_in(content, name)) is not None:
        case.estimate_amount, case.estimate_currency = money


def take_cost(case: Case, content: Content, name: str = "cost") -> None:
    """The amount in that field is what it cost."""
    if (money := money_in(content, name)) is not None:
        case.cost_amount, case.cost_currency = money
