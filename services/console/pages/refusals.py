"""The desk of rejected events: by cause, agency and type; one with its headers, its data and the reasons; its deeds."""

from __future__ import annotations

import asyncio
import json
from collections.abc import Sequence
from typing import Annotated, Any
from urllib.parse import quote

from fastapi import APIRouter, Form, Path, Query, Request
from starlette.responses import HTMLResponse, RedirectResponse, Response

from bus.acting import records_at
from bus.city.model import OPERATIONS
from bus.repairing import REASON_MAX, NotDone, checked_reason, discard_of_rejected, rejected_document, resend_of
from bus.topics import REJECTED
from schemas.envelope import Event
from schemas.failures import Refused
from schemas.personal import redact, unredacted
from services.console.casebook import Answer, NotThere
from services.console.pages.desks import NAME_MAX, ROWS, Asked, Deed, Word, add_deeds, who
from services.console.pages.parked import DATA_MAX, data_in
from services.console.parts import Parts
from services.console.security import COOKIE, FormTooOld


class RejectedDesk:
    """Rejected events, as the deeds need them."""

    name = "rejected"
    group = frozenset({"code", "agency", "event_type"})

    def __init__(self, parts: Parts) -> None:
        self._parts = parts

    async def rows(self, asked: dict[str, str], *, limit: int) -> Answer:
        """The open rejections of a group."""
        page = await self._parts.casebook.ask("/api/rejected", limit=limit, settled="false", **asked)
        rows = [row for row in page["rejected"] if row["agency"] != OPERATIONS]
        if not rows:
            raise NotThere("no rejected event of this cause is open.")
        return {"rows": rows, "next": page["next"]}

    async def row(self, id: str) -> dict[str, Any]:
        """One open rejection."""
        found = await self._parts.casebook.ask(f"/api/rejected/{quote(id, safe='')}")
        if found["act"] is not None:
            raise NotThere(f"{found['act']['by'] or 'an operator'} has seen to the rejection {id} already.")
        if found["agency"] == OPERATIONS:
            raise NotThere(f"{id} is an operator's own act: act again instead.")
        return found

    async def acts(self, rows: Sequence[dict[str, Any]], deed: Deed, *, by: str, reason: str) -> list[Event]:
        """One act a rejection, in the order in which they were refused: a case's own."""
        city = self._parts.city
        ordered = sorted(rows, key=lambda row: (row["log_partition"], row["log_offset"]))
        if deed == "discard":
            return [discard_of_rejected(city, row, by=by, reason=reason) for row in ordered]
        documents = await self.documents(ordered)
        try:
            return [resend_of(city, row, documents[row["id"]], by=by, reason=reason) for row in ordered]
        except Refused as refused:
            raise NotDone(f"{refused} Nothing was sent.") from refused

    async def documents(self, rows: Sequence[dict[str, Any]]) -> dict[str, dict[str, Any]]:
        """The events whole, from Kafka."""
        places = {row["id"]: (int(row["log_partition"]), int(row["log_offset"])) for row in rows}
        records = await records_at(self._parts.kafka, REJECTED, places.values())
        if len(records) < len(set(places.values())):
            raise NotThere("city-rejected does not hold the record any more.")
        return {id: rejected_document(records[place]) for id, place in places.items()}


def router(parts: Parts) -> APIRouter:
    """Its addresses."""
    routes = APIRouter()
    pages, casebook, desk = parts.pages, parts.casebook, RejectedDesk(parts)

    @routes.get("/rejected")
    async def rejected(request: Request, asked: Annotated[Asked, Query()]) -> HTMLResponse:
        known = asked.model_dump(include={*desk.group, "cursor"})
        causes, page = await asyncio.gather(
            casebook.ask("/api/rejected/causes", settled="false"), casebook.ask("/api/rejected", limit=ROWS, **known)
        )
        return pages.answer(request, "rejected.html", asked=known, causes=causes["causes"], page=page)

    @routes.get("/rejected/edit")
    async def edit(request: Request, id: Annotated[Word, Query()] = "") -> HTMLResponse:
        row = await desk.row(id)
        document = (await desk.documents([row]))[row["id"]]
        shown = json.loads(redact(str(document.get("type")), json.dumps(document["data"]).encode()))
        attributes = {name: value for name, value in document.items() if name != "data"}
        return pages.answer(
            request, "edit.html", desk="rejected", id=id, attributes=attributes, data=shown,
            reason_max=REASON_MAX, name_max=NAME_MAX, data_max=DATA_MAX,
        )  # fmt: skip

    @routes.post("/rejected/edit")
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
        row = await desk.row(id)
        before = (await desk.documents([row]))[row["id"]]
        whole = unredacted(str(before.get("type")), json.dumps(before["data"]).encode(), data_in(data))
        try:
            act = resend_of(parts.city, row, before, by=name, reason=because, document={**before, "data": whole})
        except Refused as refused:
            raise NotDone(f"{refused} Nothing was sent.") from refused
        batch = await parts.doings.do([act], by=name, reason=because)
        return RedirectResponse(f"/acts/{batch.id}", status_code=303)

    add_deeds(routes, parts, desk)

    @routes.get("/rejected/{rejection_id}")
    async def rejection(request: Request, rejection_id: Annotated[str, Path(max_length=128)]) -> HTMLResponse:
        found = await casebook.ask(f"/api/rejected/{quote(rejection_id, safe='')}")
        is_known = await casebook.has_case(found["case_id"])
        return pages.answer(request, "rejection.html", found=found, case_is_known=is_known)

    return routes
