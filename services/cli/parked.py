"""`subak parked`: cases whose decision failed and that wait for a person; the replay, once the cause is repaired."""

from __future__ import annotations

import asyncio
import time
from datetime import UTC, datetime
from typing import Annotated, Any

import typer
from rich.markup import escape

from bus.city.model import OPERATIONS
from bus.kafka import KafkaSettings, Output, TransactionalProducer
from bus.topics import out_topic
from schemas.envelope import Event
from schemas.failures import Retryable
from schemas.identifiers import new_id
from schemas.types.cases import ReplayRequested
from services.cli.asking import Casebook, NotThere
from services.cli.case import show as show_case
from services.cli.finding import Whereabouts
from services.cli.showing import console, event_type, moment, say_json, since, state, table
from services.cli.zone import zone_here

app = typer.Typer(no_args_is_help=True, help="Parked cases: what failed, and the replay after the repair.")

SEND_SECONDS_MAX = 30.0
"""How long the request may take into Kafka."""

LOOK_SECONDS = 0.3
"""Pause between looks at what became of a replay."""

SETTLE_SECONDS = 1.5
"""How long a case must stay unparked before that counts as the outcome."""

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
    show_case(id, as_json)


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
        request = Event.of(
            ReplayRequested(reason=reason),
            source=here.city.source_of(OPERATIONS),
            subject=case["id"],
            time=datetime.now(UTC).isoformat(),
        )
        asyncio.run(_send(here.kafka, request))
        after = _until_replayed(casebook, case, wait)
    outcome = _outcome(case, after)
    if as_json:
        say_json({"case": case["id"], "event_id": request.id, "outcome": outcome, "state": after["state"]})
    else:
        out = console()
        if outcome == "unparked":
            out.print(f"[green]It runs, and was not parked again.[/] The case is {state(after)}.")
        elif outcome == "failed_again":
            out.print(f"[red]It failed again[/] and is parked: {escape(after['parked']['error'] or '')}")
        else:
            out.print(f"Sent, and not seen yet. `subak case show {case['id']}` shows what becomes of it.")
    raise typer.Exit(1 if outcome == "failed_again" else 0)


async def _send(kafka: KafkaSettings, event: Event) -> None:
    """Into the operators' own topic; from there it goes the way of every agency's event.

    Raises:
        Retryable: whether it was sent is unknown. Sending again is harmless: a case that is not parked refuses it.
    """
    producer = TransactionalProducer(kafka, transactional_id=f"{OPERATIONS}-{new_id()}")
    try:
        async with asyncio.timeout(SEND_SECONDS_MAX):
            await producer.start()
            await producer.commit(
                [Output(out_topic(OPERATIONS), event.key, event.data, event.headers())], {}, OPERATIONS
            )
    except TimeoutError as error:
        raise Retryable(
            f"Kafka did not answer within {SEND_SECONDS_MAX:.0f} s: whether the replay was asked for is unknown. "
            "Ask again; a case that is not parked any more refuses it."
        ) from error
    finally:
        await producer.stop()


def _until_replayed(casebook: Casebook, before: dict[str, Any], wait: float) -> dict[str, Any]:
    """The case as soon as the replay has shown an effect, or after `wait` seconds.

    The request alone unparks it; where the decision fails again, the next parking follows within moments.
    """
    deadline = time.monotonic() + wait
    unparked_at: float | None = None
    while True:
        case = casebook.ask(f"/api/cases/{before['id']}")
        now = time.monotonic()
        if _outcome(before, case) == "failed_again" or now >= deadline:
            return case
        if case["parked"] is None:
            unparked_at = unparked_at or now
            if now - unparked_at >= SETTLE_SECONDS:
                return case
        time.sleep(LOOK_SECONDS)


def _outcome(before: dict[str, Any], after: dict[str, Any]) -> str:
    if after["parked"] is None:
        return "unparked"
    return "failed_again" if after["parked"]["at"] != before["parked"]["at"] else "sent"
