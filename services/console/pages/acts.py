"""What operators did: the history of acts from the log, and what became of those that were asked for here."""

from __future__ import annotations

from typing import Annotated

from fastapi import APIRouter, Path, Query, Request
from starlette.responses import HTMLResponse

from services.console.pages.desks import ROWS, Word
from services.console.parts import Parts


def router(parts: Parts) -> APIRouter:
    """Its addresses."""
    routes = APIRouter()
    pages, casebook = parts.pages, parts.casebook

    @routes.get("/acts")
    async def acts(request: Request, cursor: Annotated[Word, Query()] = "") -> HTMLResponse:
        page = await casebook.ask("/api/acts", limit=ROWS, cursor=cursor)
        return pages.answer(request, "acts.html", page=page, cursor=cursor)

    @routes.get("/acts/{batch_id}")
    async def became(request: Request, batch_id: Annotated[str, Path(max_length=64)]) -> HTMLResponse:
        batch, part = parts.doings.get(batch_id), request.headers.get("hx-request") == "true"
        if batch is None:
            error = "this console does not know that act (any more): the cases' timelines tell of it."
            answer = pages.failure(request, 404, "not_there", error)
            if part:
                answer.headers["hx-refresh"] = "true"  # an open page would ask for ever: it is loaded anew, and says so
            return answer
        return pages.answer(request, "part_became.html" if part else "became.html", batch=batch)

    return routes
