"""`subak route`: who hears of an event and why, and the history that an agency has missed."""

from __future__ import annotations

import asyncio
import json
import sys
from dataclasses import replace
from pathlib import Path
from typing import Annotated, Any

import typer
from rich.markup import escape
from rich.table import Table

from bus.city import City, city_path, load_city
from bus.city.problems import nearest
from bus.explaining import Verdict, explain
from bus.kafka import KafkaSettings, TopicReader
from bus.topics import EVENTS
from schemas.envelope import OPTIONAL_ATTRIBUTES, REQUIRED_ATTRIBUTES, Event
from schemas.failures import Retryable, Unprocessable
from schemas.registry import registry
from services.cli.asking import Casebook, NotThere
from services.cli.finding import Whereabouts
from services.cli.route_catch_up import catch_up_agency
from services.cli.showing import console, event_type, say_json, table

app = typer.Typer(no_args_is_help=True, help="Routing: who hears of what, why, and what an agency has missed.")

NAMED_MAX = 3
"""Agencies of one verdict that are named; the others are counted."""

READ_SECONDS_MAX = 15.0
"""How long the event may take to come from Kafka."""

KEYS = (*REQUIRED_ATTRIBUTES, *OPTIONAL_ATTRIBUTES, "data", "specversion", "datacontenttype", "partitionkey")
"""What a file may say of an event: CloudEvents' JSON form."""


app.command("catch-up")(catch_up_agency)


@app.command("explain")
def explain_event(
    event: Annotated[str, typer.Argument(help="An event's id on the running bus, or a JSON file; - reads one.")],
    city: Annotated[str | None, typer.Option(help="For a file: the city, or its folder. Default: as set.")] = None,
    agency: Annotated[list[str] | None, typer.Option(help="Only these agencies.")] = None,
    all_: Annotated[bool, typer.Option("--all", help="Also agencies that subscribe to nothing of this type.")] = False,
    as_json: Annotated[bool, typer.Option("--json", help="One JSON object: event, hears, agencies.")] = False,
) -> None:
    """Tell who gets an event, who does not, and why. Of a file only `type` is needed; no bus has to run."""
    here = Whereabouts.here()
    is_file = event == "-" or event.endswith(".json") or Path(event).is_file()
    known = load_city(city_path(city)) if city is not None else here.city
    found = event_of_file(event, known) if is_file else asyncio.run(event_on_bus(here, event))
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
    _print(found, known, shown, left_out=len(verdicts) - len(shown) if not agency else 0)


def event_of_file(name: str, city: City) -> Event:
    """The event that a file tells, in CloudEvents' JSON form; all but its type may be left out.

    Raises:
        Unprocessable: it tells none, in words.
    """
    try:
        told: Any = json.loads(sys.stdin.read() if name == "-" else Path(name).read_text(encoding="utf-8"))
    except OSError as error:
        raise Unprocessable(f"{name}: {error.strerror}. Name a file, or an event's id.") from error
    except ValueError as error:
        raise Unprocessable(f"{name} is not JSON: {error}.") from error
    if not isinstance(told, dict) or not isinstance(told.get("type"), str):
        raise Unprocessable(f'{name} tells no event: write an object with at least "type", and "data".')
    for key, value in told.items():
        if key not in KEYS:
            raise Unprocessable(f"{name}: events have no {key!r}. {nearest(key, KEYS)}")
        if key != "data" and not isinstance(value, str):
            raise Unprocessable(f"{name}: {key} must be a text.")
    if told["type"] not in registry:
        raise Unprocessable(
            f"{name}: there is no type {told['type']}. {nearest(told['type'], (known.name for known in registry))}"
        )
    area = told.get("jurisdiction")
    if area is not None and area not in city.areas:
        raise Unprocessable(f"{name}: {city.id} has no area {area}. {nearest(area, city.areas)}")
    attributes = {key: told[key] for key in (*REQUIRED_ATTRIBUTES, *OPTIONAL_ATTRIBUTES) if key in told}
    if (source := attributes.get("source")) in city.agencies:
        attributes["source"] = city.source_of(source)
    blank = {"id": "-", "source": "", "subject": "-", "time": ""}
    return Event(**{**blank, **attributes}, data=json.dumps(told.get("data", {})).encode())


async def event_on_bus(here: Whereabouts, event_id: str) -> Event:
    """The event of that id, whole, from the city's log: the casebook says where it stands.

    Raises:
        NotThere: the casebook has no such event.
        Unprocessable: several senders have given that id.
        Retryable: Kafka does not answer.
    """
    with Casebook.at(here) as casebook:
        entries = casebook.ask(f"/api/events/{event_id}")["events"]
    if len(entries) > 1:
        senders = ", ".join(str(entry["agency"]) for entry in entries)
        raise Unprocessable(f"{len(entries)} events have the id {event_id}, of {senders}: write one into a file.")
    return await read_event(here.kafka, int(entries[0]["partition"]), int(entries[0]["offset"]))


async def read_event(kafka: KafkaSettings, number: int, offset: int) -> Event:
    """The event at a place of the city's log.

    Raises:
        Retryable: Kafka does not give it in time.
        NotThere: the log does not reach so far: it is another one.
    """
    place = (EVENTS, number)
    reader = TopicReader(kafka, name="route-explain")
    try:
        async with asyncio.timeout(READ_SECONDS_MAX):
            await reader.start({place: offset})
            if (await reader.end_offsets())[place] <= offset:
                raise NotThere(f"{EVENTS}/{number} does not hold offset {offset}: is it another cluster?")
            while not (records := await reader.read(records_max=1)):
                pass
    except TimeoutError as error:
        raise Retryable(f"Kafka did not give the event within {READ_SECONDS_MAX:.0f} s; try again.") from error
    finally:
        await reader.stop()
    return Event.from_record(records[0].headers, records[0].value)


def _print(event: Event, city: City, shown: list[Verdict], left_out: int) -> None:
    out = console()
    head = Table.grid(padding=(0, 2))
    head.add_column(style="dim")
    head.add_row("type", event_type(event.type))
    head.add_row("said by", escape(city.agency_of(event.source) or event.source or "nobody in particular"))
    area = city.lookups.known(event.jurisdiction)
    head.add_row("area", f"{escape(city.areas[area].name)} [dim]{escape(area)}[/]")
    for name, value in (("addressed to", event.recipient), ("parties", event.parties), ("history", event.history)):
        if value:
            head.add_row(name, escape(value.replace(",", ", ")))
    out.print(head)
    rows = table("agency", "hears", "why", "written at", "personal fields")
    groups: dict[Any, list[str]] = {}
    for verdict in shown:
        groups.setdefault(replace(verdict, agency=""), []).append(verdict.agency)
    for verdict, agencies in sorted(groups.items(), key=lambda group: not group[0].hears):
        for place, ground in enumerate(verdict.grounds):
            mark = "[green]yes[/]" if verdict.hears else "[red]failed[/]" if ground.failed else "no"
            rows.add_row(
                escape(_named(agencies)) if place == 0 else "",
                mark if place == 0 or ground.failed else "",
                escape(ground.says),
                f"[dim]{escape(ground.origin or '')}[/]",
                _personal(verdict) if place == 0 else "",
                style=None if verdict.hears else "dim",
            )
    out.print(rows)
    hearing = sum(verdict.hears for verdict in shown)
    more = f"; {left_out} more subscribe to nothing of this type (--all)" if left_out else ""
    out.print(f"[dim]{hearing} of {len(shown)} agencies here are told{more}.[/]")


def _named(agencies: list[str]) -> str:
    more = f" and {len(agencies) - NAMED_MAX} more" if len(agencies) > NAMED_MAX else ""
    return ", ".join(agencies[:NAMED_MAX]) + more


def _personal(verdict: Verdict) -> str:
    if not verdict.hears or not (verdict.reads or verdict.withheld):
        return ""
    if not verdict.withheld:
        return "all"
    return f"only {escape(', '.join(verdict.reads))}" if verdict.reads else "left out"
