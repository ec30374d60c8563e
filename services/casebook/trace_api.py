"""The part of the API that tells a matter's way, from the meeting to the payment, and back from a payment."""

from __future__ import annotations

from collections.abc import Callable
from datetime import datetime
from typing import Annotated

import msgspec
from fastapi import FastAPI, Path

from bus.city import City
from services.casebook.filters import utc_now
from services.casebook.problems import MISSING, NotFound
from services.casebook.shaping import Shaper
from services.casebook.trace_answers import TraceAnswer, TraceLink, VanishedAnswer
from services.casebook.trace_questions import PROPOSALS_MAX, TraceQuestions
from services.casebook.tracing import money, stopped, story, vanished


def add_traces(
    app: FastAPI,
    questions: TraceQuestions,
    shaper: Shaper,
    city: City,
    clock: Callable[[], datetime],
) -> None:
    """Add the two addresses."""

    @app.get("/api/trace/{ref:path}", tags=["traces"], responses=MISSING)
    def trace(
        ref: Annotated[str, Path(max_length=200, description="A case id or its beginning, or a reference in a case.")],
    ) -> TraceAnswer:
        """A matter's whole way, from whatever is known of it: its case, a contract, a payment, an asset, an ocid."""
        found = questions.resolve(ref)
        if not found:
            raise NotFound(
                f"Nothing in the casebook is called {ref}: no case, contract, payment or asset. What has just happened "
                "is here a moment later."
            )
        if len(found) > 1:
            shown = ", ".join(f"{row.id} ({row.title or row.kind})" for _, row in found[:5])
            raise NotFound(f"{ref} leads to several cases: {shown}. Ask for one of them.")
        ((found_by, row),) = found
        now = utc_now(clock())
        case = shaper.case(row, now)
        rows, count = questions.whole(row.id)
        entries = [shaper.entry(line) for line in rows]
        names, cases = questions.links(row.id)
        lines, rest = story(entries), stopped(case, entries)
        told = (case.opened_by, case.holder, case.agency, rest.agency, *case.parties, *(line.agency for line in lines))
        return TraceAnswer(
            asked=ref,
            found_by=found_by,
            case=case,
            stopped=rest,
            story=lines,
            left_out=count - len(lines),
            money=money(case, entries),
            links=[
                TraceLink(kind=kind, ref=name, case=shaper.case(cases[name], now) if name in cases else None)
                for kind, name in names
            ],
            agencies=shaper.agencies(told),
        )

    @app.get("/api/vanished", tags=["traces"])
    def list_vanished() -> VanishedAnswer:
        """Proposals that ended nowhere, or rest without a next step. Empty in a city that keeps its word."""
        rows, ends, merged, known = questions.proposals()
        now = utc_now(clock())
        proposals = [shaper.case(row, now) for row in rows[:PROPOSALS_MAX]]
        reasons = {id: _reason(data) for id, data in ends.items()}
        found = vanished(proposals, reasons, merged, known, city)
        return VanishedAnswer(
            vanished=found,
            looked_at=len(proposals),
            more=len(rows) > PROPOSALS_MAX,
            agencies=shaper.agencies(one.case.holder for one in found),
        )


def _reason(data: str | None) -> str | None:
    """What the end of a proposal gives as its reason."""
    content = msgspec.json.decode(data) if data else {}
    reason = content.get("reason") if isinstance(content, dict) else None
    return reason if isinstance(reason, str) else None
