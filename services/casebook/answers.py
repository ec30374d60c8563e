"""What the casebook answers, as the documented shapes of its API. No personal field is in any of them.

Times of the casebook's own are UTC (`2026-11-24T08:00:00.000000Z`); an event's `time` stands as it was sent.
"""

from __future__ import annotations

from typing import Any

from pydantic import BaseModel, ConfigDict


class Answer(BaseModel):
    """Base of all answers."""

    model_config = ConfigDict(use_attribute_docstrings=True, frozen=True)


class Amount(Answer):
    """Money: a decimal string and its currency (ISO 4217)."""

    amount: str
    currency: str


class Parking(Answer):
    """A decision that failed, and that a person must see to."""

    at: str
    """Since when."""
    event_id: str | None
    """The event at which it failed."""
    event_type: str | None
    error: str | None
    """What went wrong."""
    waiting: int | None = None
    """Events that came since and wait behind it. Told by `/api/parked` and for one case."""
    workflow: str | None = None
    """The workflow and version whose decision failed; null where the case had not begun. Told where `waiting` is."""


class Delay(Answer):
    """One party's share of the time that a case has taken so far."""

    agency: str
    working_hours: float
    """In which it waited for this party, by the city's calendar."""
    share: float
    """Of the whole, 0 to 1."""


class CaseAnswer(Answer):
    """One case, as everybody sees it."""

    id: str
    workflow: str | None
    """The workflow and version that it is pinned to."""
    kind: str
    """What it is about: `request`, `proposal`, `budget`."""
    title: str | None
    """What it is called, where it has a name."""
    service_code: str
    service_name: dict[str, str]
    """By language."""
    area: str
    area_name: str | None
    state: str
    outcome: str | None
    """How it ended, once it is closed."""
    opened_by: str
    """The agency through which it came."""
    holder: str | None
    """In whose hands it is now."""
    held_since: str | None
    agency: str | None
    """Who does the work."""
    parties: list[str]
    """All agencies that took part."""
    opened_at: str
    updated_at: str
    """When the city's log took its newest event."""
    closed_at: str | None
    due_at: str | None
    """By when the city means to have it done (Open311 expected_datetime)."""
    answer_by: str | None
    """By when the step that it is in should end."""
    overdue: bool
    """Whether it is open and one of the two has passed."""
    overdue_days: int | None = None
    """By how many working days, where it is overdue: 0 on the day itself."""
    delays: list[Delay] = []
    """Who held it how long, the longest first. Told for one case, not in lists."""
    estimate: Amount | None
    cost: Amount | None
    escalation_step: int
    """How often it went a level up."""
    parked: Parking | None
    events: int
    """Entries in its timeline."""


class CasePage(Answer):
    """Some cases, the newest first."""

    cases: list[CaseAnswer]
    next: str | None
    """The cursor of the next page; null where this is the last."""


class EntryAnswer(Answer):
    """One event, as its case's timeline holds it."""

    case_id: str
    seq: int
    """Its place in the case, from 1."""
    event_id: str
    type: str
    source: str
    agency: str
    """Who said it: an agency, or a process of the bus."""
    time: str
    """When it happened there, as sent."""
    recordedtime: str | None
    """When the sender's outbox took it, as sent."""
    logged_at: str
    """When the city's log took it."""
    correlationid: str | None
    causationid: str | None
    """The event that it answers."""
    recipient: str | None
    """The one agency that a command is addressed to."""
    jurisdiction: str | None
    parties: list[str]
    workflowversion: str | None
    summary: dict[str, str]
    """What it says, in one line, by language."""
    data: dict[str, Any] | None
    """Its data, without personal fields; null where it may not be shown."""
    withheld: str | None
    """Why there is no data here."""
    refusal_id: str | None
    """The rejection by which the case refused it: it counts for nothing. `/api/rejected/{id}` says why."""
    partition: int
    """Where it stands in city-events."""
    offset: int


class Timeline(Answer):
    """What befell a case, in order."""

    case_id: str
    entries: list[EntryAnswer]
    next: str | None
    """The cursor of the next page; null where this is the last."""


class Events(Answer):
    """The events of one id: one, unless two agencies chose the same."""

    events: list[EntryAnswer]


class StateCount(Answer):
    """How many cases are in one state."""

    state: str
    cases: int
    overdue: int


class AgencyCount(Answer):
    """How many cases an agency holds, or has done where they are closed."""

    agency: str
    name: dict[str, str]
    """By language; empty for an agency that the city's directory no longer has."""
    open: int
    closed: int
    overdue: int
    states: dict[str, int]
    """By state."""


class Summary(Answer):
    """The whole city at one moment."""

    at: str
    """The moment for which `overdue` was reckoned."""
    cases: int
    open: int
    closed: int
    overdue: int
    parked: int
    rejected: int
    """Events that were refused."""
    by_state: list[StateCount]
    by_agency: list[AgencyCount]


class ActAnswer(Answer):
    """What an operator did to a parked case or a rejected event."""

    case_id: str
    seq: int
    """Where in the case's timeline."""
    kind: str
    """`replay`, `discard`, `correction` (of parked cases), `resend`."""
    at: str
    """When the log took it."""
    by: str | None
    """The operator."""
    reason: str | None
    event_id: str | None
    """The event to which it was done."""
    rejection_id: str | None
    """The rejection to which it was done."""
    new_event_id: str | None
    """The event that took its place."""
    refusal_id: str | None = None
    """The rejection by which the case refused it: somebody was quicker, or it would not have helped."""
    ran_seq: int | None = None
    """Where in the case's timeline it says that the case runs again; null where it does not, or failed again."""


class ActPage(Answer):
    """Some acts, the newest first."""

    acts: list[ActAnswer]
    next: str | None


class RejectionReason(Answer):
    """One thing that was wrong."""

    code: str
    field: str
    problem: str
    fix: str


class RejectionAnswer(Answer):
    """One refused event: what, whose, why."""

    id: str
    rejected_at: str
    rejected_by: str
    """The process that refused it: the gateway, or workflows where a case could not take it."""
    case_id: str
    agency: str
    """Who sent it, by the topic that it came from."""
    event_id: str | None
    event_type: str | None
    topic: str
    partition: int
    offset: int
    reasons: list[RejectionReason]
    log_partition: int
    """Where city-rejected holds it whole."""
    log_offset: int
    act: ActAnswer | None = None
    """What an operator did about it: sent it again, or set it aside."""


class Original(Answer):
    """The refused record, as far as it may be shown. city-rejected holds it whole."""

    headers: list[dict[str, Any]]
    """Name and value of CloudEvents' headers; of any other the name and its size."""
    data: dict[str, Any] | None
    """The fields that the type's schema names and does not mark as personal."""
    withheld: str | None
    """Why there is no data here."""
    size_bytes: int | None


class RejectionWhole(RejectionAnswer):
    """The same with the record."""

    original: Original | None


class RejectionPage(Answer):
    """Some rejections, the newest first."""

    rejected: list[RejectionAnswer]
    next: str | None


class ParkedPage(Answer):
    """Cases that wait for a person, the longest waiting first."""

    parked: list[CaseAnswer]
    next: str | None


class RejectionCause(Answer):
    """Refusals that have one cause."""

    code: str
    """The first reason's."""
    agency: str
    event_type: str | None
    rejected: int
    """How many there are."""
    newest: str
    """When the newest was refused."""


class RejectionCauses(Answer):
    """Causes of refusals, the most frequent first."""

    causes: list[RejectionCause]


class ParkedCause(Answer):
    """Parked cases that have one cause; or one type, or one agency, where that is asked for."""

    event_type: str | None = None
    """The type of the event at which the decision failed."""
    error: str | None = None
    agency: str | None = None
    """In whose hands they are."""
    cases: int
    oldest: str
    """Since when the longest waiting one is parked."""


class ParkedCauses(Answer):
    """Causes of parking, the most frequent first."""

    causes: list[ParkedCause]


class Mistake(Answer):
    """One thing that is wrong with a question."""

    field: str
    problem: str
    fix: str


class Problem(Answer):
    """Why there is no answer (RFC 9457)."""

    title: str
    status: int
    detail: str
    """In words: what is wrong and what to do."""
    errors: list[Mistake] = []
