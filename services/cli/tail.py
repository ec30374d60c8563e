"""`subak tail`: the city's log as it grows, one line an event. Personal fields are never shown."""

from __future__ import annotations

import asyncio
import re
import time
from collections.abc import AsyncGenerator, Mapping
from contextlib import aclosing
from dataclasses import dataclass
from typing import Annotated, Any
from zoneinfo import ZoneInfo

import typer
from rich.console import Console
from rich.markup import escape

from bus.city import City
from bus.city.model import matches
from bus.city.problems import nearest
from bus.kafka import KafkaSettings, TopicReader, partitions_of
from bus.kafka.topics import partition_counts
from bus.records import Record
from bus.topics import EVENTS
from schemas.envelope import Event
from schemas.failures import Misconfigured, Unprocessable
from services.casebook.entry import agency_in
from services.casebook.public import public_data
from services.casebook.summaries import summary_of
from services.cli.finding import Whereabouts
from services.cli.showing import console, event_type, moment, say_json

TYPE_COLUMNS = 22
"""Width of the column of types."""

UNITS = {"s": 1, "m": 60, "h": 3600, "d": 86_400}


@dataclass(frozen=True)
class Wanted:
    """Which events to show. All that is given must hold."""

    type: str | None = None
    """A type's name, or a pattern: `subak.request.*`, or shorter `request.*`, `*.submitted`."""
    case: str | None = None
    """The beginning of a case id."""
    agency: str | None = None
    """Who says it, to whom it is addressed, or who takes part."""

    def takes(self, event: Event) -> bool:
        """Whether the event is wanted."""
        if self.type is not None and not _type_matches(self.type, event.type):
            return False
        if self.case is not None and not event.subject.startswith(self.case.lower()):
            return False
        if self.agency is None:
            return True
        return self.agency in (agency_in(event.source), event.recipient, *(event.parties or "").split(","))


def tail(
    topic: Annotated[str, typer.Option(help="Another topic, such as agency-public-works-in.")] = EVENTS,
    type_: Annotated[str | None, typer.Option("--type", help="Of this type: workorder.*, or a whole name.")] = None,
    case: Annotated[str | None, typer.Option(help="Of the case whose id begins so.")] = None,
    agency: Annotated[str | None, typer.Option(help="Which this agency says, is told, or takes part in.")] = None,
    since: Annotated[
        str | None, typer.Option(help="Begin so long ago: 30s, 10m, 2h, 3d; `all` from the start.")
    ] = None,
    follow: Annotated[bool, typer.Option(help="Wait for what comes, until Ctrl-C.")] = True,
    as_json: Annotated[bool, typer.Option("--json", help="One JSON object a line: attributes, data, place.")] = False,
) -> None:
    """Follow the city's log, one line an event. Without --since: from now on; with --no-follow: from the start."""
    here = Whereabouts.here()
    start_ms = _start_ms(since, follow=follow, now=time.time())
    printer = _Printer(here.city, console(), as_json=as_json)
    wanted = Wanted(type_, case, agency)
    try:
        asyncio.run(_follow(here.kafka, topic, start_ms, follow, wanted, printer))
    except KeyboardInterrupt:
        raise typer.Exit(0) from None


async def _follow(
    kafka: KafkaSettings, topic: str, start_ms: int | None, follow: bool, wanted: Wanted, printer: _Printer
) -> None:
    await _require(kafka, topic, printer.city)
    async with aclosing(_records(kafka, topic, start_ms, follow)) as batches:
        async for records in batches:
            for record in records:
                try:
                    event = Event.from_record(record.headers, record.value)
                except Unprocessable as error:
                    printer.not_an_event(record, error)
                    continue
                if wanted.takes(event):
                    printer.event(event, record)


async def _require(kafka: KafkaSettings, topic: str, city: City) -> None:
    """Refuse a topic that is not there, at once.

    Raises:
        Misconfigured: naming the nearest that the bus has.
    """
    if not (await partition_counts(kafka, [topic]))[topic]:
        raise Misconfigured(f"the cluster has no topic {topic}. {nearest(topic, city.topics())}")


async def _records(
    kafka: KafkaSettings, topic: str, start_ms: int | None, follow: bool
) -> AsyncGenerator[list[Record], None]:
    """The topic's records from that moment on (None: from now); the older ones in portions, each in order of time."""
    reader = TopicReader(kafka, name="tail")
    await reader.start(partitions_of([topic], kafka.partitions))
    try:
        if start_ms is None:
            await reader.seek(await reader.end_offsets())
        else:
            begin = await reader.offsets_at(start_ms) if start_ms > 0 else await reader.beginning_offsets()
            await reader.seek(begin)
            async for records in reader.to_end():
                yield sorted(records, key=lambda record: record.timestamp_ms)
        while follow:
            yield await reader.read(wait_seconds=0.5)
    finally:
        await reader.stop()


class _Printer:
    """Writes events as people or machines want them."""

    def __init__(self, city: City, out: Console, *, as_json: bool) -> None:
        self.city = city
        self._zone: ZoneInfo = city.zone
        self._out = out
        self._as_json = as_json

    def event(self, event: Event, record: Record) -> None:
        """One event."""
        data = _data(event)
        if self._as_json:
            place = {"topic": record.topic, "partition": record.partition, "offset": record.offset}
            say_json({**event.attributes(), "data": data, **place})
            return
        agency = agency_in(event.source)
        summary = summary_of(event.type, data or {}, sender=agency, recipient=event.recipient, city=self.city)
        told = f" → {escape(event.recipient)}" if event.recipient else ""
        when, what = moment(event.time, self._zone), event_type(event.type) + _padding(event.type)
        who = f"[bold]{escape(agency)}[/]{told}"
        line = f"[dim]{when}[/] {what} [dim]{escape(event.subject)}[/] {who}  {escape(summary['en'])}"
        self._out.print(line, soft_wrap=True)

    def not_an_event(self, record: Record, error: Unprocessable) -> None:
        """A record that cannot be read as an event."""
        if self._as_json:
            place = {"topic": record.topic, "partition": record.partition, "offset": record.offset}
            say_json({"problem": str(error), **place})
            return
        where = f"{record.topic}/{record.partition} at {record.offset}"
        self._out.print(f"[red]{escape(where)}: {escape(str(error))}[/]", soft_wrap=True)


def _data(event: Event) -> Mapping[str, Any] | None:
    """The data without personal fields; None where nothing may be shown. A rejection's original may hold anything."""
    found, _ = public_data(event.type, event.data)
    return {name: value for name, value in found.items() if name != "original"} if found is not None else None


def _padding(type_: str) -> str:
    """Blanks behind a type's name, so that what follows stands in a column."""
    return " " * max(0, TYPE_COLUMNS - len(".".join(type_.split(".")[1:-1])))


def _type_matches(pattern: str, name: str) -> bool:
    """`subak.request.*` as in the city's files; `request.*`, `*.submitted` and `submitted` for the fingers' sake."""
    if pattern.startswith("subak."):
        return matches(pattern, name)
    short = ".".join(name.split(".")[1:-1])
    expression = "".join(".*" if part == "*" else re.escape(part) for part in re.split(r"(\*)", pattern))
    return re.fullmatch(expression, short) is not None or pattern == short.rpartition(".")[2]


def _start_ms(since: str | None, *, follow: bool, now: float) -> int | None:
    """Where to begin, in milliseconds since 1970; 0 is the beginning, None is now.

    Raises:
        Misconfigured: `since` is no span of time.
    """
    if since is None:
        return None if follow else 0
    if since == "all":
        return 0
    found = re.fullmatch(r"(\d{1,6})([smhd])", since)
    if found is None:
        raise Misconfigured(f"--since {since} is no span of time: write 30s, 10m, 2h, 3d, or all.")
    return int((now - int(found[1]) * UNITS[found[2]]) * 1000)
