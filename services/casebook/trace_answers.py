"""What the casebook answers about a matter's way: documented shapes of its API. No personal field is in any of them."""

from __future__ import annotations

from services.casebook.answers import Amount, Answer, CaseAnswer


class Stopped(Answer):
    """Where a matter rests or ended, whose word that was, and why."""

    ended: bool
    """Whether it has ended; else it waits."""
    step: str | None
    """What it waits for, or waited for when it ended."""
    agency: str | None
    """Whose turn it is; or whose word ended it: none where a deadline or another case did."""
    since: str | None
    until: str | None
    """By when an answer is due, where it waits."""
    overdue: bool
    outcome: str | None
    reason: str | None
    """Why it ended so, or why this agency is asked."""


class TraceLine(Answer):
    """One thing that happened on the way."""

    chapter: str
    """`proposed`, `deliberated`, `budgeted`, `procured`, `built`, `paid`, `ended`; `line`: a budget line's own.

    For a permit: `applied`, `examined`, `decided`, `held`, `ended`."""
    time: str
    """When it happened there, as sent."""
    agency: str
    """Who said it."""
    says: dict[str, str]
    """In one line, by language."""
    type: str
    event_id: str
    seq: int
    """Its place in the case's timeline."""
    refusal_id: str | None
    """The rejection by which the case refused it: it counts for nothing."""


class TraceContract(Answer):
    """One contract and its money."""

    id: str
    ocid: str | None
    supplier: str | None
    value: Amount
    billed: str
    paid: str
    """In the currency of `value`."""
    terminated: bool


class TraceMoney(Answer):
    """What was asked for, given, bound and paid."""

    estimate: Amount | None
    given: Amount | None
    """By all budget lines together."""
    contracts: list[TraceContract]
    paid: Amount | None


class TraceLink(Answer):
    """Something that the matter names, or that names it."""

    kind: str
    """`case`, `contract`, `payment`, `asset` ..."""
    ref: str
    case: CaseAnswer | None
    """The case itself, where it is one and is known."""


class TraceAnswer(Answer):
    """A matter's whole way, to be read as a story."""

    asked: str
    """What was looked up: a case id, or the reference of a contract, a payment, an asset."""
    found_by: str
    """What kind of thing that is."""
    case: CaseAnswer
    stopped: Stopped
    story: list[TraceLine]
    left_out: int
    """Entries of the timeline that are no part of the story, or past its bound. `/api/cases/{id}/timeline` has all."""
    money: TraceMoney
    links: list[TraceLink]
    agencies: dict[str, dict[str, str]]
    """The names of all agencies above, by id and by language."""


class Vanished(Answer):
    """A proposal that ended nowhere, or rests without a next step."""

    case: CaseAnswer
    why: str
    """`nobody_asked`, `overdue`, `parked`, `no_reason`, `merged_into_nothing`, `merged_into_vanished`."""
    says: dict[str, str]
    """In one line, by language."""


class VanishedAnswer(Answer):
    """The proposals that vanished, the oldest first."""

    vanished: list[Vanished]
    looked_at: int
    """How many proposals were looked at."""
    more: bool
    """Whether there are more proposals than were looked at."""
    agencies: dict[str, dict[str, str]]
    """The names of the agencies that they wait for, by id and by language."""
