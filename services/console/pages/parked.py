"""The desk of parked cases: by cause, by type, by agency; what can be done about one, or about a group."""

from __future__ import annotations

import asyncio
import json
from collections.abc import Sequence
from typing import Annotated, Any
from urllib.parse import quote

from fastapi import APIRouter, Form, Query, Request
from starlette.responses import HTMLResponse, RedirectResponse, Response

from bus.acting import records_at
from bus.admission import reasons_against
from bus.repairing import (
    REASON_MAX,
    NotDone,
    checked_reason,
    correction_of,
    discard_of_parked,
    parked_document,
    replay_of,
)
from bus.topics import EVENTS
from schemas.envelope import Event
from schemas.failures import Refused
from schemas.personal import redact, unredacted
from services.console.casebook import Answer, NotThere
from services.console.pages.desks import NAME_MAX, ROWS, Asked, Deed, Word, add_deeds, who
from services.console.parts import Parts
from services.console.security import COOKIE, FormTooOld

DATA_MAX = 500_000
"""Characters of a corrected event's data."""


class ParkedDesk:
    """Parked cases, as the deeds need them."""

    name = "parked"
    group = frozenset({"event_type", "error", "agency"})

    def __init__(self, parts: Parts) -> None:
        self._parts = parts

    async def rows(self, asked: dict[str, str], *, limit: int) -> Answer:
        """The parked cases of a group, the longest waiting first."""
        page = await self._parts.casebook.ask("/api/parked", limit=limit, **asked)
        if not page["parked"]:
            raise NotThere("no case is parked by this cause.")
        return {"rows": page["parked"], "next": page["next"]}

    async def row(self, id: str) -> dict[str, Any]:
        """One parked case."""
        found = await self._parts.casebook.ask(f"/api/cases/{quote(id, safe='')}")
        if found["parked"] is None:
            raise NotThere(f"the case {found['id']} is not parked.")
        return found

    async def acts(self, rows: Sequence[dict[str, Any]], deed: Deed, *, by: str, reason: str) -> list[Event]:
        """One act a case, at the event at which it is parked."""
        city = self._parts.city
        if deed == "replay":
            return [
                replay_of(city, row["id"], event_id=row["parked"]["event_id"], by=by, reason=reason) for row in rows
            ]
        return [
            discard_of_parked(city, row["id"], event_id=row["parked"]["event_id"] or "?", by=by, reason=reason)
            for row in rows
        ]

    async def wrong(self, id: str) -> Event:
        """The event at which the case is parked, whole, from the log."""
        case = await self.row(id)
        found = await self._parts.casebook.ask(f"/api/events/{quote(case['parked']['event_id'] or '?', safe='')}")
        for entry in found["events"]:
            if entry["case_id"] == case["id"]:
                place = (entry["partition"], entry["offset"])
                record = (await records_at(self._parts.kafka, EVENTS, [place])).get(place)
                if record is not None:
                    return Event.from_record(record.headers, record.value)
        raise NotThere(f"the event at which {case['id']} is parked is not in the log.")


def router(parts: Parts) -> APIRouter:
    """Its addresses."""
    routes = APIRouter()
    pages, casebook, desk = parts.pages, parts.casebook, ParkedDesk(parts)

    @routes.get("/parked")
    async def parked(request: Request, asked: Annotated[Asked, Query()]) -> HTMLResponse:
        known = asked.model_dump(include={*desk.group, "cursor"})
        causes, page = await asyncio.gather(
            casebook.ask("/api/parked/causes"), casebook.ask("/api/parked", limit=ROWS, **known)
        )
        return pages.answer(request, "parked.html", asked=known, causes=causes["causes"], page=page)

    @routes.get("/parked/edit")
    async def edit(request: Request, id: Annotated[Word, Query()] = "") -> HTMLResponse:
        wrong = await desk.wrong(id)
        shown = json.loads(redact(wrong.type, wrong.data))
        return pages.answer(
            request, "edit.html", desk="parked", id=id, attributes=wrong.attributes(), data=shown,
            reason_max=REASON_MAX, name_max=NAME_MAX, data_max=DATA_MAX,
        )  # fmt: skip

    @routes.post("/parked/edit")
    async def correct(
        request: Request,
        token: Annotated[str, Form(max_length=100)] = "",
        id: Annotated[Word, Form()] = "",
        data: Annotated[str, Form(max_length=DATA_MAX)] = "",
        by: Annotated[str, Form(max_length=NAME_MAX)] = "",
        reason: Annotated[str, Form(max_length=20_000)] = "",
    ) -> Response:
        if not parts.tokens.fits(request.cookies.get(COOKIE), token):
            raise FormTooOld
        name, because = who(request, by), checked_reason(reason)
        wrong = await desk.wrong(id)
        document = {**parked_document(wrong), "data": unredacted(wrong.type, wrong.data, data_in(data))}
        act = correction_of(parts.city, wrong, document, by=name, reason=because)
        _require_sayable(parts, wrong, document)
        batch = await parts.doings.do([act], by=name, reason=because)
        return RedirectResponse(f"/acts/{batch.id}", status_code=303)

    add_deeds(routes, parts, desk)
    return routes


def data_in(text: str) -> dict[str, Any]:
    """The JSON object that a form holds.

    Raises:
        NotDone: it holds none.
    """
    try:
        found = json.loads(text)
        json.dumps(found, ensure_ascii=False, allow_nan=False).encode()  # half a character, a number that is none
    except (ValueError, RecursionError) as error:
        raise NotDone(f"the data is no JSON: {error}. Nothing was done.") from error
    if not isinstance(found, dict):
        raise NotDone("the data must be a JSON object. Nothing was done.")
    return found


def _require_sayable(parts: Parts, wrong: Event, document: dict[str, Any]) -> None:
    """Refuse what the schema or the city refuses, before it leaves."""
    import msgspec

    sender = parts.city.agency_of(wrong.source) or ""
    event = msgspec.structs.replace(wrong, data=json.dumps(document["data"], ensure_ascii=False).encode())
    if reasons := reasons_against(event, sender, parts.city):
        raise NotDone(f"{Refused(reasons)} Nothing was sent.")
