"""The pages of parked cases: by cause; the replay of one or of all of a cause, asked for twice before it is done."""

from __future__ import annotations

import asyncio
from typing import Annotated, Any
from urllib.parse import quote

from fastapi import APIRouter, Form, Path, Query, Request
from pydantic import BaseModel, ConfigDict, StringConstraints
from starlette.responses import HTMLResponse, RedirectResponse, Response

from services.console.casebook import NotThere
from services.console.parts import Parts
from services.console.replays import CASES_MAX
from services.console.security import COOKIE, FormTooOld

ROWS = 50
"""Cases on one page."""

REASON_MAX = 500
"""Characters of a reason."""

Word = Annotated[str, StringConstraints(max_length=400, strip_whitespace=True)]
Error = Annotated[str, StringConstraints(max_length=4000)]


class Asked(BaseModel):
    """Which parked cases: one, or all of a cause."""

    model_config = ConfigDict(extra="ignore")

    case: Word = ""
    event_type: Word = ""
    error: Error = ""
    cursor: Word = ""


def router(parts: Parts) -> APIRouter:
    """Its addresses."""
    routes = APIRouter()
    pages, casebook = parts.pages, parts.casebook

    @routes.get("/parked")
    async def parked(request: Request, asked: Annotated[Asked, Query()]) -> HTMLResponse:
        known = asked.model_dump(exclude={"case"})
        causes, page = await asyncio.gather(
            casebook.ask("/api/parked/causes"), casebook.ask("/api/parked", limit=ROWS, **known)
        )
        return pages.answer(request, "parked.html", asked=known, causes=causes["causes"], page=page)

    @routes.get("/parked/replay")
    async def confirm(request: Request, asked: Annotated[Asked, Query()]) -> HTMLResponse:
        cases, more = await _chosen(parts, asked)
        return pages.answer(
            request, "replay.html", asked=asked.model_dump(), cases=cases, more=more, reason_max=REASON_MAX
        )

    @routes.post("/parked/replay")
    async def replay(
        request: Request,
        token: Annotated[str, Form(max_length=100)] = "",
        case: Annotated[list[Word], Form(max_length=CASES_MAX)] = [],  # noqa: B006 - FastAPI copies it
        reason: Annotated[str, Form(max_length=REASON_MAX)] = "",
    ) -> Response:
        if not parts.tokens.fits(request.cookies.get(COOKIE), token):
            raise FormTooOld
        found = await asyncio.gather(*(_still_parked(parts, id) for id in dict.fromkeys(case)))
        waiting = [id for id in found if id is not None]
        if not waiting:
            raise NotThere("none of these cases is parked any more: somebody has replayed them already.")
        batch = await parts.replays.ask(waiting, reason.strip() or None)
        return RedirectResponse(f"/parked/replays/{batch.id}", status_code=303)

    @routes.get("/parked/replays/{batch_id}")
    async def became(request: Request, batch_id: Annotated[str, Path(max_length=64)]) -> HTMLResponse:
        batch = parts.replays.get(batch_id)
        if batch is None:
            raise NotThere("this console does not know that replay (any more): the cases' timelines tell of it.")
        part = request.headers.get("hx-request") == "true"
        return pages.answer(request, "part_replayed.html" if part else "replayed.html", batch=batch)

    return routes


async def _chosen(parts: Parts, asked: Asked) -> tuple[list[dict[str, Any]], bool]:
    """The parked cases that are meant, the longest waiting first, and whether there are more than one act takes."""
    if asked.case:
        found = await parts.casebook.ask(f"/api/cases/{quote(asked.case, safe='')}")
        if found["parked"] is None:
            raise NotThere(f"the case {found['id']} is not parked.")
        return [found], False
    page = await parts.casebook.ask(
        "/api/parked", limit=CASES_MAX, event_type=asked.event_type or None, error=asked.error or None
    )
    if not page["parked"]:
        raise NotThere("no case is parked by this cause.")
    return page["parked"], page["next"] is not None


async def _still_parked(parts: Parts, id: str) -> str | None:
    try:
        found = await parts.casebook.ask(f"/api/cases/{quote(id, safe='')}")
    except NotThere:
        return None
    return str(found["id"]) if found["parked"] is not None else None
