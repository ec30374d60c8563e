"""The part of the API that tells which agencies must have an event and which have applied it."""

from __future__ import annotations

import asyncio
from collections.abc import Iterable
from threading import BoundedSemaphore
from typing import Annotated, Any

from fastapi import FastAPI, Path
from sqlalchemy import Row

from bus.city import City
from bus.deliveries import EVENTS_MAX, AdapterBook, Delivered, deliveries
from bus.history import HISTORY
from schemas.envelope import Event
from services.casebook.answers import Answer
from services.casebook.entry import Entry
from services.casebook.problems import MISSING, NotFound
from services.casebook.questions import Questions

QUESTIONS_MAX = 4
"""Matrices asked for at once; whoever waits longer than `TURN_SECONDS_MAX` is told what is due, and no more."""

TURN_SECONDS_MAX = 3.0


class DeliveryAnswer(Answer):
    """One event at one agency."""

    agency: str
    state: str
    """`applied`: its system has it; `waiting` or `parked`: in its inbox; `not_there`: not in its inbox (yet);
    `unknown`: its adapter did not say."""
    at: str | None
    """Since when."""
    why: str | None
    """Why it is parked, or why that is not known."""


class EventDeliveries(Answer):
    """One event and all agencies that must have it, by the city's files as they are now."""

    case_id: str
    event_id: str
    source: str
    type: str
    due: int
    """How many must have it."""
    applied: int
    """How many of them have."""
    unknown: int
    """Of how many that is not known."""
    deliveries: list[DeliveryAnswer]


class Deliveries(Answer):
    """Events with their deliveries, in the order of the log."""

    events: list[EventDeliveries]
    more: bool
    """Whether older events of the case were left out."""


def add_deliveries(
    app: FastAPI,
    questions: Questions,
    city: City,
    adapters: AdapterBook,
) -> None:
    """Add the two addresses."""
    turns = BoundedSemaphore(QUESTIONS_MAX)

    @app.get("/api/cases/{case_id}/deliveries", tags=["deliveries"], responses=MISSING)
    def of_case(case_id: Annotated[str, Path(max_length=128, description="The case id.")]) -> Deliveries:
        """Every event of a case: who must have it, who has applied it. The adapters are asked as you wait."""
        entries = questions.whole_timeline(case_id)
        if not entries:
            raise NotFound(f"There is no event of a case {case_id}. Look its id up with /api/cases?id=<its beginning>.")
        return _answer(entries[-EVENTS_MAX:], more=len(entries) > EVENTS_MAX)

    @app.get("/api/deliveries/{event_id:path}", tags=["deliveries"], responses=MISSING)
    def of_event(
        event_id: Annotated[str, Path(max_length=128, description="The event's id.")],
    ) -> Deliveries:
        """The event of that id: who must have it, who has applied it. Ids are unique for each source only."""
        rows = questions.events(event_id)
        if not rows:
            raise NotFound(f"There is no event {event_id} in the city's log. What was refused is under /api/rejected.")
        return _answer(rows, more=False)

    def _answer(rows: Iterable[Entry | Row[Any]], *, more: bool) -> Deliveries:
        events = [_event(row) for row in rows]
        asks = turns.acquire(timeout=TURN_SECONDS_MAX)  # so that many who look cannot make the adapters busy
        try:
            found = asyncio.run(deliveries(city, events, adapters.read() if asks else {}))
        finally:
            if asks:
                turns.release()
        return Deliveries(events=[_shown(one) for one in found], more=more)


def _event(row: Entry | Row[Any]) -> Event:
    """The event of a line of a timeline, without its personal fields."""
    return Event(
        id=row.event_id,
        type=row.type,
        source=row.source,
        subject=row.case_id,
        time=row.time,
        data=(row.data or "{}").encode(),
        recipient=row.recipient,
        jurisdiction=row.jurisdiction,
        parties=row.parties,
        history="history" if row.workflowversion == HISTORY else None,
    )


def _shown(one: Delivered) -> EventDeliveries:
    return EventDeliveries(
        case_id=one.event.subject,
        event_id=one.event.id,
        source=one.event.source,
        type=one.event.type,
        due=len(one.deliveries),
        applied=one.count("applied"),
        unknown=one.count("unknown"),
        deliveries=[
            DeliveryAnswer(agency=each.agency, state=each.state, at=each.at, why=each.why) for each in one.deliveries
        ],
    )
