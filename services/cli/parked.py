"""`subak parked`: cases whose decision failed and that wait for a person; the replay, once the cause is repaired."""

from __future__ import annotations

import asyncio
import time
from datetime import UTC, datetime
from typing import Annotated, Any

import typer
from rich.markup import escape

from bus.kafka import KafkaSettings
from bus.replay import LOOK_SECONDS, Outcome, outcome_of, replay_request, send_replays
from schemas.envelope import Event
from services.cli.asking import Casebook, NotThere
from services.cli.case import show as show_case
from services.cli.finding import Whereabouts
from services.cli.showing import console, event_type, moment, say_json, since, state, table
from services.cli.zone import zone_here

app = typer.Typer(no_args_is_help=True, help="Parked cases: what failed, and the replay after the repair.")

AsJson = Annotated[bool, typer.Option("--json", help="One JSON object, with the keys of the casebook's API.")]
CaseId = Annotated[str, typer.Argument(help="The case's id, or its beginning.")]


@app.command("list")
def list_parked(
    limit: Annotated[int, typer.Option(min=1, max=100_000, help="At most so many, the longest waiting first.")] = 50,
    as_json: AsJson = False,
) -> None:
    """List the cases that wait for a person, the longest waiting first."""
    with Casebook.here() as casebook:
        found = list(casebook.rows("/api/parked", "parked", limit=limit))
    if as_json:
        say_json({"parked": found})
        return
    out = console()
    if not found:
        out.print("[green]No case is parked.[/]")
        return
    now, zone = datetime.now(UTC), zone_here()
    shown = table("case", "state", "since", "for", "failed at", "waiting", "error")
    for case in found:
        parked = case["parked"]
        shown.add_row(
            case["id"],
            state(case),
            moment(parked["at"], zone),
            since(parked["at"], now),
            event_type(parked["event_type"] or "?"),
            str(parked["waiting"]),
            escape(parked["error"] or ""),
        )
    out.print(shown)
    out.print("[dim]After the repair: `subak parked replay CASE`.[/]")


@app.command()
def show(id: CaseId, as_json: AsJson = False) -> None:
    """Show a parked case, with its error and its timeline."""
    show_case(id, as_json=as_json)


@app.command()
def replay(
    id: CaseId,
    reason: Annotated[str | None, typer.Option(help="What was repaired. It stands in the case's timeline.")] = None,
    wait: Annotated[float, typer.Option(min=0, max=600, help="Seconds to wait for what becomes of it.")] = 15.0,
    as_json: Annotated[bool, typer.Option("--json", help="One JSON object: case, event_id, outcome, state.")] = False,
) -> None:
    """Run what waits in a parked case, in order. Repair the cause first: it will fail again otherwise."""
    here = Whereabouts.here()
    with Casebook(here.casebook_url) as casebook:
        case = casebook.ask(f"/api/cases/{casebook.whole_id(id)}")
        if case["parked"] is None:
            raise NotThere(f"the case {case['id']} is not parked. `subak parked list` shows those that are.")
        request = replay_request(here.city, case["id"], reason)
        asyncio.run(send_replays(here.kafka, [request]))
        deadline = time.monotonic() + wait
        outcome, last = _outcome(casebook, here.kafka, request, deadline)
        _find(casebook, last, deadline)
        after = casebook.ask(f"/api/cases/{case['id']}")
    if as_json:
        say_json({"case": case["id"], "event_id": request.id, "outcome": outcome, "state": after["state"]})
    else:
        out = console()
        if outcome == "unparked":
            out.print(f"[green]It runs, and was not parked again.[/] The case is {state(after)}.")
        elif outcome == "failed_again":
            error = (after["parked"] or {}).get("error") or ""
            out.print(f"[red]It failed again[/] and is parked: {escape(error)}")
        else:
            out.print(f"Sent, and not seen yet. `subak case show {case['id']}` shows what becomes of it.")
    raise typer.Exit(1 if outcome == "failed_again" else 0)


def _outcome(casebook: Casebook, kafka: KafkaSettings, request: Event, deadline: float) -> tuple[Outcome, str]:
    """What became of the replay, and the last event that it led to: from the log itself, which holds both."""
    entry = _find(casebook, request.id, deadline)
    if entry is None:
        return "sent", request.id
    return asyncio.run(outcome_of(kafka, request, entry["partition"], entry["offset"], deadline))


def _find(casebook: Casebook, event_id: str, deadline: float) -> dict[str, Any] | None:
    """The event as soon as the casebook has it; None where it has not by the deadline."""
    while True:
        try:
            entry: dict[str, Any] = casebook.ask(f"/api/events/{event_id}")["events"][0]
            return entry
        except NotThere:
            if time.monotonic() >= deadline:
                return None
            time.sleep(LOOK_SECONDS)
