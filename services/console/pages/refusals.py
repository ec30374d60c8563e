"""The pages of rejected events: by cause, agency and type; one with its headers, its data and the reasons."""

from __future__ import annotations

import asyncio
from typing import Annotated
from urllib.parse import quote

from fastapi import APIRouter, Path, Query, Request
from pydantic import BaseModel, ConfigDict, StringConstraints
from starlette.responses import HTMLResponse

from services.console.parts import Parts

ROWS = 50
"""Rejections on one page."""

Word = Annotated[str, StringConstraints(max_length=400, strip_whitespace=True)]


class Asked(BaseModel):
    """What a form or a link asks for."""

    model_config = ConfigDict(extra="ignore")

    code: Word = ""
    agency: Word = ""
    event_type: Word = ""
    cursor: Word = ""


def router(parts: Parts) -> APIRouter:
    """Its addresses."""
    routes = APIRouter()
    pages, casebook = parts.pages, parts.casebook

    @routes.get("/rejected")
    async def rejected(request: Request, asked: Annotated[Asked, Query()]) -> HTMLResponse:
        known = asked.model_dump()
        causes, page = await asyncio.gather(
            casebook.ask("/api/rejected/causes"), casebook.ask("/api/rejected", limit=ROWS, **known)
        )
        return pages.answer(request, "rejected.html", asked=known, causes=causes["causes"], page=page)

    @routes.get("/rejected/{rejection_id}")
    async def rejection(request: Request, rejection_id: Annotated[str, Path(max_length=128)]) -> HTMLResponse:
        found = await casebook.ask(f"/api/rejected/{quote(rejection_id, safe='')}")
        return pages.answer(request, "rejection.html", found=found)

    return routes
