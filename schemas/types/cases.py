"""Cases: what befalls a case as such, whatever its matter. The bus says so."""

from __future__ import annotations

from typing import Annotated

from pydantic import Field

from schemas.registry import EventData, event_type
from schemas.values import AgencyId, EventId, Moment, Text64, Text200, Text1000, Text4000, Uuid

OWNER = "bus"

RAN_NAMED_MAX = 1000
"""Events that the word of a replay names by their ids: with ids of any length it still fits into a record."""


class Message(EventData):
    """What one case says to another. Only the bus publishes these; the case that they are about is the one told."""

    from_case: Uuid
    """The case that says so."""
    hops: Annotated[int, Field(ge=1, le=1000)] | None = None
    """How many messages in a row led to this one, itself included, with no agency and no deadline in between."""
    allowance: Annotated[int, Field(ge=0, le=1_000_000_000)] | None = None
    """How many messages more it may lead to, those that they lead to included."""


@event_type("subak.case.parked.v1", owner=OWNER, publisher="bus")
class CaseParked(EventData):
    """A decision on the case failed. It and what comes after wait, in order, for a person."""

    event_id: EventId
    """The event at which it failed."""
    event_type: Text200
    """That event's type."""
    error: Text4000
    """What went wrong."""


@event_type("subak.case.replayed.v1", owner=OWNER, publisher="bus")
class CaseReplayed(EventData):
    """A case is parked no more: an operator saw to it, and all that waited has run, in order. Caused by that act."""

    act_type: Text200
    """What the operator did, by the type of that act: a replay; or the event at which it was parked was left out, or
    corrected."""
    by: Text200 | None = None
    """The operator, by the name under which the bus knows them."""
    reason: Text1000 | None = None
    """Why, as the operator said it."""
    events: Annotated[int, Field(ge=0, le=1_000_000)]
    """How many events have run: 0 where the one event was left out, and nothing waited behind it."""
    event_ids: Annotated[tuple[EventId, ...], Field(max_length=RAN_NAMED_MAX)]
    """Which they are, in the order in which they ran: the first of them, where they are very many."""
    refused: Annotated[int, Field(ge=0, le=1_000_000)] | None = None
    """How many of them the case did not take. Their senders are told; left out where there is none."""


@event_type("subak.case.escalated.v1", owner=OWNER, publisher="bus")
class CaseEscalated(EventData):
    """A deadline passed: the next level up is told, and answers for the case from now on."""

    from_agency: AgencyId
    """Whose deadline it was."""
    to_agency: AgencyId
    """Who is told."""
    reason: Text1000
    """Which deadline passed."""
    step: Annotated[int, Field(ge=1, le=1000)]
    """Which step up it is, from 1."""


@event_type("subak.case.warned.v1", owner=OWNER, publisher="bus")
class CaseWarned(EventData):
    """Most of the time for something is over. Whoever must act is told before the deadline passes."""

    target: Text64
    """What is due, by the workflow's own name for its timer: `resolve`."""
    agency: AgencyId
    """Who must act."""
    due: Moment
    """When the deadline passes."""


@event_type("subak.case.timerfired.v1", owner=OWNER, publisher="bus")
class TimerFired(EventData):
    """A time that the case was waiting for has come."""

    timer: Text64
    """Which timer, by the workflow's own name."""
    due: Moment
    """When it was to fire. The event's `time` says when it did."""


@event_type("subak.case.messagerefused.v1", owner=OWNER, publisher="bus")
class MessageRefused(Message):
    """Another case, `from_case`, could not take what this one told it. Nothing changed there."""

    message_id: EventId
    """The message."""
    message_type: Text200
    """Its type."""
    message: Text4000
    """Its data, as JSON: what this case has to take back."""
    reason: Text4000
    """Why it was refused."""
