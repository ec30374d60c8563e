"""`subak route`: who hears of an event and why, and the history that an agency has missed."""

from __future__ import annotations

import asyncio
from typing import Annotated, Any

import typer
from rich.markup import escape
from rich.table import Table

from bus.city import City, city_path, load_city
from bus.explaining import Verdict, explain
from schemas.envelope import Event
from schemas.personal import personal_fields
from schemas.registry import registry
from services.cli.finding import Whereabouts
from services.cli.route_catch_up import catch_up_agency
from services.cli.route_events import BLANK, event_of_file, event_on_bus, is_file
from services.cli.showing import console, event_type, moment, say_json, table

app = typer.Typer(no_args_is_help=True, help="Routing: who hears of what, why, and what an agency has missed.")

NAMED_MAX = 3
"""Agencies of one verdict that are named; the others are counted."""

BUS_PROCESSES = ("workflows", "places")
"""Who says something of its own on a bus, beside the agencies."""


app.command("catch-up")(catch_up_agency)


@app.command("explain")
def explain_event(
    event: Annotated[
        str, typer.Argument(help="An event of the running bus: CASE#5, or its id. Or a JSON file; - reads one.")
    ],
    city: Annotated[
        str | None, typer.Option(help="The city, or the folder of a changed one. Default: the bus's.")
    ] = None,
    agency: Annotated[list[str] | None, typer.Option(help="Only these agencies.")] = None,
    all_: Annotated[bool, typer.Option("--all", help="Also agencies that subscribe to nothing of this type.")] = False,
    as_json: Annotated[bool, typer.Option("--json", help="One JSON object: event, hears, agencies.")] = False,
) -> None:
    """Tell who gets an event, who does not, and why. Of a file only `type` is needed; no bus has to run."""
    here = Whereabouts.here()
    known = load_city(city_path(city)) if city is not None else here.city
    found = event_of_file(event, known) if is_file(event) else asyncio.run(event_on_bus(here, event))
    for name in agency or ():
        known.agency(name)
    verdicts = explain(known, found)
    shown = [one for one in verdicts if (one.agency in agency if agency else all_ or one.is_near)]
    if as_json:
        say_json(
            {
                "event": found.attributes(),
                "hears": [one.agency for one in verdicts if one.hears],
                "agencies": [one.as_dict() for one in (shown if agency else verdicts)],
            }
        )
        return
    _print(found, known, shown, asked=bool(agency), left_out=0 if agency else len(verdicts) - len(shown))


def _print(event: Event, city: City, shown: list[Verdict], *, asked: bool, left_out: int) -> None:
    out = console()
    personal = personal_fields(event.type) if event.type in registry else []
    out.print(_head(event, city, personal))
    rows = table("agency", "hears", "why", *(["personal fields"] if personal else []))
    for column in rows.columns:
        column.overflow = "fold"
    groups: dict[Any, list[Verdict]] = {}
    for verdict in shown:
        says = tuple(dict.fromkeys((ground.says, ground.failed) for ground in verdict.grounds))
        groups.setdefault((not verdict.hears, says, verdict.reads, verdict.withheld), []).append(verdict)
    for (silent, says, *_), verdicts in sorted(groups.items(), key=lambda group: group[0][0]):
        failed = any(failed for _, failed in says)
        rows.add_row(
            escape(_named([verdict.agency for verdict in verdicts])),
            "[red]failed[/]" if failed else "no" if silent else "[green]yes[/]",
            "\n".join(_why(what, verdicts) for what, _ in says),
            *([_personal(verdicts[0])] if personal else []),
            style="dim" if silent and not failed else None,
        )
    out.print(rows)
    hearing = sum(verdict.hears for verdict in shown)
    among = f"the {_agencies(len(shown))} asked about" if asked else _agencies(len(shown) + left_out)
    told = f"{hearing or 'None'} of {among} {'hear' if hearing > 1 else 'hears'} of it"
    more = f"; {left_out} subscribe to nothing of this type (--all)" if left_out else ""
    out.print(f"[dim]{told}{more}.[/]")


def _head(event: Event, city: City, personal: list[str]) -> Table:
    head = Table.grid(padding=(0, 2))
    head.add_column(style="dim")
    head.add_row("type", event_type(event.type))
    for name, id in (("event", event.id), ("case", event.subject)):
        if id != BLANK:
            head.add_row(name, escape(id))
    by_bus = next((name for name in BUS_PROCESSES if city.source_of(name) == event.source), None)
    sender = f"{by_bus}, a process of the bus" if by_bus else city.agency_of(event.source) or event.source
    when = f", {moment(event.time, city.zone)}" if event.time else ""
    head.add_row("said by", f"{escape(sender or 'nobody in particular')}{when}")
    area = city.lookups.known(event.jurisdiction)
    head.add_row("area", f"{escape(city.areas[area].name)} [dim]{escape(area)}[/]")
    for name, value in (("addressed to", event.recipient), ("parties", event.parties), ("history", event.history)):
        if value:
            head.add_row(name, escape(value.replace(",", ", ")))
    if personal:
        head.add_row("personal", escape(", ".join(personal)))
    return head


def _why(says: str, verdicts: list[Verdict]) -> str:
    """One ground, and below it where the subscriptions are written that are of that mind."""
    origins = dict.fromkeys(
        ground.origin for verdict in verdicts for ground in verdict.grounds if ground.says == says and ground.origin
    )
    return escape(says) + (f"\n[dim]{escape(_named(list(origins)))}[/]" if origins else "")


def _named(names: list[str]) -> str:
    more = f" and {len(names) - NAMED_MAX} more" if len(names) > NAMED_MAX else ""
    return ", ".join(names[:NAMED_MAX]) + more


def _agencies(count: int) -> str:
    return f"{count} agenc{'y' if count == 1 else 'ies'}"


def _personal(verdict: Verdict) -> str:
    if not verdict.hears:
        return ""
    if not verdict.withheld:
        return "all"
    return f"only {escape(', '.join(verdict.reads))}" if verdict.reads else "left out"
