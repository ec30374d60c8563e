"""The pages of cases: a list that is filtered and turned by key, and one case as a timeline across agencies."""

from __future__ import annotations

import asyncio
from typing import Annotated, Any
from urllib.parse import quote

from fastapi import APIRouter, Path, Query, Request
from pydantic import BaseModel, ConfigDict, StringConstraints
from starlette.responses import HTMLResponse

import schemas.types  # noqa: F401  # fills the registry
from schemas.personal import has_personal
from schemas.registry import registry
from services.console import words
from services.console.parts import Parts

ROWS = 50
"""Cases on one page."""

ENTRIES = 200
"""Events of a timeline on one page."""

Word = Annotated[str, StringConstraints(max_length=400, strip_whitespace=True)]
CaseId = Annotated[str, Path(max_length=128)]


class Asked(BaseModel):
    """What a form or a link asks for. Empty fields count as not asked; the casebook checks the values.

    A field that is not here is refused: a filter that is spelled wrong would show all cases as if they were of it.
    """

    model_config = ConfigDict(extra="forbid")

    id: Word = ""
    state: Word = ""
    agency: Word = ""
    role: Word = ""
    service_code: Word = ""
    area: Word = ""
    overdue: Word = ""
    open: Word = ""
    parked: Word = ""
    cursor: Word = ""

    def known(self) -> dict[str, str]:
        """The fields that say something."""
        return {name: value for name, value in self.model_dump().items() if value}


def router(parts: Parts) -> APIRouter:
    """Its addresses."""
    routes = APIRouter()
    pages, casebook = parts.pages, parts.casebook

    @routes.get("/cases")
    async def cases(request: Request, asked: Annotated[Asked, Query()]) -> HTMLResponse:
        known = asked.known()
        page = await casebook.ask("/api/cases", limit=ROWS, **known | {"id": known.get("id", "").lower()})
        return pages.answer(request, "cases.html", asked=asked.model_dump(), page=page, states=words.STATES)

    @routes.get("/cases/{case_id}")
    async def case(request: Request, case_id: CaseId, cursor: Annotated[Word, Query()] = "") -> HTMLResponse:
        address = f"/api/cases/{quote(case_id, safe='')}"
        found, timeline = await asyncio.gather(
            casebook.ask(address), casebook.ask(f"{address}/timeline", limit=ENTRIES, cursor=cursor)
        )
        return pages.answer(request, "case.html", case=found, timeline=_caused(timeline), cursor=cursor)

    @routes.get("/entitled/{event_id:path}")
    async def entitled(request: Request, event_id: CaseId) -> HTMLResponse:
        found = await casebook.ask(f"/api/entitled/{quote(event_id, safe='')}")
        return pages.answer(request, "entitled.html", event_id=event_id, events=found["events"])

    return routes


def _caused(timeline: dict[str, Any]) -> dict[str, Any]:
    """Each entry with the place on this page of the event that it answers, and what is known of its type."""
    places = {entry["event_id"]: entry["seq"] for entry in timeline["entries"]}
    for entry in timeline["entries"]:
        entry["cause_seq"] = places.get(entry["causationid"])
        entry["is_known"] = entry["type"] in registry
        entry["has_personal"] = has_personal(entry["type"])
    return timeline
