"""The one part of the API that shows personal fields: an event as an agency may read it, from the log, as it is asked.

An agency, and nobody else: of events that it said or must hear of, the fields that the city's files let it read, and
with the purpose that they state. The tables hold none of it, and each answer is logged with who asked.
"""

from __future__ import annotations

import json
from collections.abc import Awaitable, Callable, Iterable, Mapping
from typing import Annotated, Any

from fastapi import FastAPI, Path, Request
from starlette.concurrency import run_in_threadpool

from bus.city import City
from bus.hearing import heard_by, readable
from bus.identity import Caller
from bus.logs import get_logger
from bus.records import Record
from schemas.envelope import Event
from schemas.personal import personal_fields
from schemas.registry import registry
from services.casebook.answers import Answer, Problem
from services.casebook.entrance import caller_in
from services.casebook.problems import MISSING, NotForCaller, NotFound
from services.casebook.questions import Questions

log = get_logger("entitled")

ReadLog = Callable[[Iterable[tuple[int, int]]], Awaitable[Mapping[tuple[int, int], Record]]]
"""Gives the records of city-events at these places (partition, offset)."""


class EntitledEvent(Answer):
    """One event, as an agency may read it."""

    case_id: str
    event_id: str
    type: str
    source: str
    agency: str
    """For which agency it is shown."""
    personal: list[str]
    """The personal fields of this type that the agency may read."""
    purposes: list[str]
    """What it may read them for, where the city's files say so."""
    data: dict[str, Any]


class EntitledEvents(Answer):
    """The events of one id: one, unless two agencies chose the same."""

    events: list[EntitledEvent]


_NOT_ENTITLED: dict[int | str, dict[str, Any]] = {
    403: {"model": Problem, "description": "Not signed in for an agency that may read this."}
}


def add_entitled(
    app: FastAPI,
    questions: Questions,
    city: City,
    read_log: ReadLog | None,
) -> None:
    """Add the address."""

    @app.get("/api/entitled/{event_id:path}", tags=["entitled"], responses={**MISSING, **_NOT_ENTITLED})
    async def show_entitled(
        request: Request, event_id: Annotated[str, Path(max_length=128, description="The event's id.")]
    ) -> EntitledEvents:
        """The event of that id with the personal fields that the caller's agency may read."""
        caller = caller_in(request)
        if caller.agency is None or read_log is None:
            raise NotForCaller(
                "Personal fields are shown to whoever is signed in for an agency, as far as the city entitles it."
            )
        places = {(row.log_partition, row.log_offset) for row in await run_in_threadpool(questions.events, event_id)}
        events = [Event.from_record(each.headers, each.value) for each in (await read_log(places)).values()]
        if not events:
            raise NotFound(f"There is no event {event_id} in the city's log.")
        heard = [event for event in events if _concerns(city, caller.agency, event)]
        if not heard:
            log.warning("personal_fields_refused", subject=caller.subject, agency=caller.agency, event_id=event_id)
            raise NotForCaller(
                f"The event {event_id} was not told to {caller.agency}: its personal fields are not for it."
            )
        found = [_shown(city, caller.agency, event) for event in heard]
        _tell(caller, found)
        return EntitledEvents(events=found)


def _concerns(city: City, agency: str, event: Event) -> bool:
    """Whether the agency said it or must hear of it."""
    return city.agency_of(event.source) == agency or agency in heard_by(city, event).agencies


def _shown(city: City, agency: str, event: Event) -> EntitledEvent:
    fields = personal_fields(event.type) if event.type in registry else []
    may = city.reads(agency, event.type)
    read = fields if may is None else sorted(may & set(fields))
    purposes = [
        one.purpose for one in city.agencies[agency].personal if any(one.covers(event.type, each) for each in read)
    ]
    return EntitledEvent(
        case_id=event.subject,
        event_id=event.id,
        type=event.type,
        source=event.source,
        agency=agency,
        personal=read,
        purposes=purposes,
        data=json.loads(readable(city, agency, event)),
    )


def _tell(caller: Caller, found: list[EntitledEvent]) -> None:
    """Who read personal fields, of what: never the fields themselves."""
    for each in found:
        log.info(
            "personal_fields_read",
            subject=caller.subject,
            agency=each.agency,
            case=each.case_id,
            event_id=each.event_id,
            fields=each.personal,
        )
