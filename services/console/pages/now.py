"""The page of now: the flow between agencies, what waits and how long, cases by state, the newest events, live."""

from __future__ import annotations

import asyncio
import time
from collections.abc import AsyncIterator
from typing import Any
from urllib.parse import quote, unquote

from fastapi import APIRouter, Request
from starlette.responses import HTMLResponse, Response, StreamingResponse

from services.console.casebook import CasebookAway
from services.console.flow import drawing, edges
from services.console.live import Passed
from services.console.parts import Parts
from services.console.rendering import Reader
from services.console.sessions import Session
from services.console.waiting import SLOW_SECONDS

LATEST = 30
"""Events that the page shows."""

FLOWS_SHOWN = 12
"""Flows in the table beside the drawing."""

FIRST_PATIENCE_SECONDS, PATIENCE_SECONDS = 0.0, 8.0
"""How long the page, and later its part alone, waits for a measurement."""

PULSE_SECONDS = 15.0
"""A silent stream says at least so often that it lives."""


def router(parts: Parts) -> APIRouter:
    """Its addresses."""
    routes = APIRouter()
    pages = parts.pages

    @routes.get("/")
    async def now(request: Request) -> HTMLResponse:
        return pages.answer(
            request,
            "now.html",
            **await _figures(parts),
            **_flow(parts),
            **await _waiting(parts, FIRST_PATIENCE_SECONDS),
            latest=parts.live.recent()[: -LATEST - 1 : -1],
        )

    @routes.get("/now/figures")
    async def figures(request: Request) -> HTMLResponse:
        return pages.answer(request, "part_figures.html", **await _figures(parts))

    @routes.get("/now/states")
    async def states(request: Request) -> HTMLResponse:
        return pages.answer(request, "part_states.html", **await _figures(parts))

    @routes.get("/now/flow")
    async def flow(request: Request) -> HTMLResponse:
        return pages.answer(request, "part_flow.html", **_flow(parts))

    @routes.get("/now/waiting")
    async def waiting(request: Request) -> HTMLResponse:
        return pages.answer(request, "part_waiting.html", **await _waiting(parts, PATIENCE_SECONDS))

    @routes.get("/now/events")
    async def events(request: Request) -> Response:
        reader, session = pages.reader(request), getattr(request.state, "session", None)
        last = unquote(request.headers.get("last-event-id", ""))
        return StreamingResponse(_stream(parts, reader, session, last), media_type="text/event-stream")

    return routes


async def _figures(parts: Parts) -> dict[str, Any]:
    try:
        return {"summary": await parts.casebook.summary(), "summary_away": None}
    except CasebookAway as error:
        return {"summary": None, "summary_away": str(error)}


def _flow(parts: Parts) -> dict[str, Any]:
    passed = parts.live.recent()
    found = edges(passed)
    return {
        "flows": found[:FLOWS_SHOWN],
        "flows_more": max(0, len(found) - FLOWS_SHOWN),
        "drawing": drawing(found) if found else None,
        "passed": len(passed),
        "window_minutes": round(parts.live.window_seconds / 60, 1),
        "live_away": parts.live.away,
    }


async def _waiting(parts: Parts, patience_seconds: float) -> dict[str, Any]:
    look = await parts.waiting.look(patience_seconds=patience_seconds)
    own = ("gateway", "workflows", "router", "places", "casebook")
    shown = [row for row in look.processes if row["process"] in own or row["lag_records"]]
    return {"look": look, "processes": shown, "quiet": len(look.processes) - len(shown), "slow_seconds": SLOW_SECONDS}


async def _stream(parts: Parts, reader: Reader, session: Session | None, last: str) -> AsyncIterator[str]:
    """New events as rows of HTML, until the browser, the process or whoever is signed in goes.

    `last`: the last one that the browser has, where its stream was cut off; what it missed comes first.
    """

    def row(passed: Passed) -> str:
        html = parts.pages.html(reader, "part_event.html", passed=passed)
        return f"id: {quote(passed.id, safe='')}\nevent: passed\ndata: {' '.join(html.split())}\n\n"

    with parts.live.following() as browser:
        if browser is None:
            yield "event: full\ndata:\n\n"
            return
        missed = parts.live.since(last, LATEST) if last else []
        yield ": here\n\n"
        for each in missed:
            yield row(each)
        pulse_at = time.monotonic() + PULSE_SECONDS
        while not parts.stopping.is_set():
            if session is not None and parts.sessions is not None and parts.sessions.is_over(session):
                return
            try:
                passed = await asyncio.wait_for(browser.get(), timeout=0.5)
            except TimeoutError:
                if time.monotonic() > pulse_at:
                    pulse_at = time.monotonic() + PULSE_SECONDS
                    yield ": still here\n\n"
                continue
            yield row(passed)
