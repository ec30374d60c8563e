"""The two desks: parked cases and rejected events. By cause; one; and what can be done, each deed asked for twice.

Both have one shape: a list in groups, a confirmation that says which are meant and asks who acts and why, and the page
that tells what became of each. What differs is in `parked.py` and `refusals.py`.
"""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from typing import Annotated, Any, Literal, Protocol, get_args

from fastapi import APIRouter, Form, Query, Request
from pydantic import BaseModel, ConfigDict, StringConstraints
from starlette.responses import HTMLResponse, RedirectResponse, Response

from bus.repairing import REASON_MAX, NotDone, checked_reason
from schemas.envelope import Event
from services.console.callers import caller_in
from services.console.casebook import Answer, NotThere
from services.console.doings import ACTS_MAX
from services.console.parts import Parts
from services.console.security import COOKIE, FormTooOld

ROWS = 50
"""Rows on one page."""

NAME_MAX = 200
"""Characters of an operator's name."""

Word = Annotated[str, StringConstraints(max_length=400, strip_whitespace=True)]
Error = Annotated[str, StringConstraints(max_length=4000)]
Deed = Literal["replay", "discard"]


class Asked(BaseModel):
    """Which rows: one, or a group."""

    model_config = ConfigDict(extra="forbid")

    id: Word = ""
    code: Word = ""
    event_type: Word = ""
    error: Error = ""
    agency: Word = ""
    cursor: Word = ""


class Desk(Protocol):
    """What one of the two has to say."""

    name: str
    """Its address, and the name of its words."""
    group: frozenset[str]
    """The fields of `Asked` that choose a group."""

    async def rows(self, asked: dict[str, str], *, limit: int) -> Answer:
        """The rows of a group that a deed may concern, and whether there are more (`next`)."""

    async def row(self, id: str) -> dict[str, Any]:
        """One row that a deed may concern.

        Raises:
            NotThere: there is none, or somebody has seen to it already.
        """

    async def acts(self, rows: Sequence[dict[str, Any]], deed: Deed, *, by: str, reason: str) -> list[Event]:
        """The acts of this deed, in order."""


def who(request: Request, text: str) -> str:
    """The operator: whoever is signed in, whatever the form says; where nobody is asked, as the form says.

    Raises:
        NotDone: nobody is named.
    """
    caller = caller_in(request)
    name = caller.name if caller.is_asked else " ".join(text.split())
    if not name:
        raise NotDone("say who acts: the name stands in the log. Nothing was done.")
    return name


def add_deeds(routes: APIRouter, parts: Parts, desk: Desk) -> None:
    """The addresses of both deeds."""
    for deed in get_args(Deed):
        _add_deed(routes, parts, desk, deed)


def _add_deed(routes: APIRouter, parts: Parts, desk: Desk, deed: Deed) -> None:
    pages = parts.pages

    @routes.get(f"/{desk.name}/{deed}")
    async def confirm(request: Request, asked: Annotated[Asked, Query()]) -> HTMLResponse:
        if asked.id:
            rows, more = [await desk.row(asked.id)], False
        else:
            page = await desk.rows(asked.model_dump(include=set(desk.group)), limit=ACTS_MAX)
            rows, more = page["rows"], page["next"] is not None
        return pages.answer(
            request, "deed.html", desk=desk.name, deed=deed, rows=rows, more=more,
            reason_max=REASON_MAX, name_max=NAME_MAX,
        )  # fmt: skip

    @routes.post(f"/{desk.name}/{deed}")
    async def do(
        request: Request,
        token: Annotated[str, Form(max_length=100)] = "",
        id: Annotated[list[Word], Form(max_length=ACTS_MAX)] = [],  # noqa: B006 - FastAPI copies it
        by: Annotated[str, Form(max_length=NAME_MAX)] = "",
        reason: Annotated[str, Form(max_length=20_000)] = "",
    ) -> Response:
        if not parts.tokens.fits(request.cookies.get(COOKIE), token):
            raise FormTooOld
        name, because = who(request, by), checked_reason(reason)
        found = await asyncio.gather(*(_still(desk, each) for each in dict.fromkeys(id)))
        rows = [row for row in found if row is not None]
        if not rows:
            raise NotThere("none of these waits any more: somebody has seen to them already.")
        acts = await desk.acts(rows, deed, by=name, reason=because)
        batch = await parts.doings.do(acts, by=name, reason=because)
        return RedirectResponse(f"/acts/{batch.id}", status_code=303)


async def _still(desk: Desk, id: str) -> dict[str, Any] | None:
    try:
        return await desk.row(id)
    except NotThere:
        return None
