"""`subak lag`: what waits for which process, and for how long already. It asks Kafka, not the processes."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Sequence
from typing import Annotated, Any

import typer
from rich.console import Group
from rich.live import Live
from rich.table import Table

from bus.behind import Behind, measure, totals
from services.cli.finding import Whereabouts
from services.cli.showing import console, say_json, span, table

WATCH_SECONDS = 2.0
"""Pause between looks with `--watch`."""

NOTE = "[dim]Casebook and adapters keep their own positions and tell Kafka every few seconds: theirs are that old.[/]"

MEASURE_SECONDS_MAX = 60.0
"""How long one look may take."""

SLOW_SECONDS = 10.0
"""From this age on, what waits is shown in red."""


def lag(
    partitions: Annotated[
        bool, typer.Option("--partitions", "-p", help="Each partition in which something waits, too.")
    ] = False,
    all_: Annotated[bool, typer.Option("--all", "-a", help="With every partition, also where nothing waits.")] = False,
    watch: Annotated[bool, typer.Option("--watch", "-w", help="Look again and again, until Ctrl-C.")] = False,
    as_json: Annotated[
        bool, typer.Option("--json", help="One JSON object (with --watch one a look): processes, partitions.")
    ] = False,
) -> None:
    """Show what waits for each process, in records and in seconds: the age of the oldest."""
    here = Whereabouts.here()
    kafka, agencies = here.kafka, sorted(here.city.agencies)

    def look() -> list[Behind]:
        async def bounded() -> list[Behind]:
            async with asyncio.timeout(MEASURE_SECONDS_MAX):
                return await measure(kafka, agencies)

        return asyncio.run(bounded())

    if as_json:
        say_json(_as_dict(look()))
        while watch:
            time.sleep(WATCH_SECONDS)
            say_json(_as_dict(look()))
        return
    out = console()
    first = _shown(look(), partitions=partitions or all_, all_=all_)
    if not watch:
        out.print(first)
        return
    with Live(first, console=out, auto_refresh=False) as live:
        while True:
            time.sleep(WATCH_SECONDS)
            live.update(_shown(look(), partitions=partitions or all_, all_=all_), refresh=True)


def _as_dict(found: Sequence[Behind]) -> dict[str, Any]:
    return {"processes": totals(found), "partitions": [one.as_dict() for one in found]}


def _shown(found: Sequence[Behind], *, partitions: bool, all_: bool) -> Group:
    parts: list[Table | str] = []
    if partitions:
        rows = [one for one in found if all_ or one.lag_records]
        shown = table("process", "topic", "partition", "position", "end", "lag", "oldest")
        for one in rows:
            position = str(one.position) if one.position is not None else "none yet"
            shown.add_row(
                one.process,
                one.topic,
                str(one.partition),
                position,
                str(one.end),
                *_lag(one.lag_records, one.lag_seconds),
            )
        parts.append(shown if rows else "Nothing waits anywhere.")
    summary = table("process", "lag", "oldest", "partitions behind")
    for row in totals(found):
        behind = f"{row['partitions_behind']} of {row['partitions']}"
        summary.add_row(row["process"], *_lag(row["lag_records"], row["lag_seconds"]), behind)
    return Group(*parts, summary, NOTE)


def _lag(records: int, seconds: float) -> tuple[str, str]:
    if records == 0:
        return "[green]0[/]", ""
    colour = "red" if seconds >= SLOW_SECONDS else "yellow"
    return f"[{colour}]{records}[/]", f"[{colour}]{span(seconds)}[/]"
