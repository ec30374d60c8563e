"""How long `subak reconcile` counts: outboxes, topics, the log and inboxes of so many events, held against each other.

The events are those of whole repairs, as agencies send them over three days. Each stands where it would after its
journey: in its sender's outbox and out topic, in the city's log, and in the in topic and the inbox of each agency that
hears of it. Then the reconciler counts all of it, with every adapter's answer over HTTP, and once more with one event
taken out of an inbox, which it must find and name: that reads the topic of the agency that lacks it a second time.
"""

from __future__ import annotations

import argparse
import asyncio
import json
import tempfile
import time
from collections import Counter
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from itertools import islice
from pathlib import Path
from typing import Any

import msgspec
from rich.table import Table
from sqlalchemy import Connection, delete, insert, select
from starlette.applications import Starlette

from adapters.http_app import HttpApp
from adapters.ledger import Ledger
from bus.agency_tables import NAME, TABLES, VERSION, inbox, inbox_positions, outbox, outbox_positions
from bus.city import City, city_path, load_city
from bus.database import Database
from bus.hearing import heard_by
from bus.kafka import KafkaSettings, Output, TransactionalProducer, ensure_topics, partition_for
from bus.process import serving
from bus.topics import EVENTS, in_topic, out_topic
from deploy.local.kafka import LocalKafka
from schemas.envelope import Event
from schemas.identifiers import derived_id
from schemas.registry import EventData
from schemas.types.requests import (
    RequestAcknowledged,
    RequestAssigned,
    RequestClosed,
    RequestForwarded,
    RequestRated,
    RequestResolved,
    RequestSubmitted,
)
from schemas.types.workorders import (
    WorkOrderAccepted,
    WorkOrderCompleted,
    WorkOrderInspected,
    WorkOrderInspectionRequested,
    WorkOrderIssued,
    WorkOrderStarted,
)
from services.cli.reconciling import Counted, Reconciler

EVENTS_DEFAULT = 200_000
WRITTEN_AT_ONCE = 4_000
DAYS = 3
TOKEN = "a-token-of-the-bench"


def life(city: City, service: str, area: str) -> list[tuple[str | None, str | None, EventData]]:
    """One repair: who says it (None: the workflow), to whom (the workflow only), and what."""
    citizens, holder, inspector = city.citizens_channel, city.candidates(service, area)[0], city.inspector_of(area)
    place: dict[str, Any] = {"service_code": service, "area": area}
    return [
        (citizens, None, RequestSubmitted(description="Air tidak mengalir, sudah tiga hari.", **place)),
        (None, holder, RequestForwarded(agency=holder, **place)),
        (holder, None, RequestAcknowledged()),
        (None, citizens, RequestAssigned(agency=holder, **place)),
        (None, holder, WorkOrderIssued(agency=holder, attempt=1, **place)),
        (holder, None, WorkOrderAccepted()),
        (holder, None, WorkOrderStarted()),
        (holder, None, WorkOrderCompleted()),
        (None, inspector, WorkOrderInspectionRequested(agency=inspector, executor=holder, **place)),
        (inspector, None, WorkOrderInspected()),
        (None, citizens, RequestResolved(agency=holder)),
        (citizens, None, RequestRated(score=5)),
        (None, holder, RequestClosed(outcome="rated")),
    ]


def journeys(city: City, count: int, until: datetime) -> Iterator[tuple[Event, str | None]]:
    """The log of whole repairs in which agencies say `count` events, over the days before `until`; who says each."""
    services = sorted(city.services)
    areas = sorted(code for code in city.areas if city.within(code, city.area))
    step = timedelta(days=DAYS) / (count * 2 + 20)
    at, said, number = until - timedelta(days=DAYS), 0, 0
    while said < count:
        case, area = derived_id("reconcile", number), areas[number % len(areas)]
        for place, (agency, to, data) in enumerate(life(city, services[number % len(services)], area)):
            at += step
            moment = at.isoformat(timespec="milliseconds").replace("+00:00", "Z")
            source = city.source_of(agency or "workflows")
            event = Event.of(data, id=derived_id(case, str(place)), source=source, subject=case, time=moment)
            yield msgspec.structs.replace(event, recordedtime=moment, jurisdiction=area, recipient=to), agency
            said += agency is not None
        number += 1


class Filled:
    """A bus that so many events have crossed."""

    def __init__(self, city: City, kafka: KafkaSettings, database: Database) -> None:
        self.sent = self.told = 0
        self._city = city
        self._kafka = kafka
        self._database = database
        self._offsets: Counter[tuple[str, int]] = Counter()

    async def fill(self, count: int, until: datetime) -> None:
        """Write them everywhere that they would be."""
        producer = TransactionalProducer(self._kafka, transactional_id="bench-writer")
        await producer.start()
        coming = journeys(self._city, count, until)
        while batch := list(islice(coming, WRITTEN_AT_ONCE)):
            outputs: list[Output] = []
            sent_rows: list[dict[str, Any]] = []
            told_rows: list[dict[str, Any]] = []
            for event, agency in batch:
                row = self._row(event)
                outputs.append(self._output(EVENTS, event))
                if agency is not None:
                    outputs.append(self._output(out_topic(agency), event))
                    sent_rows.append({**row, "agency": agency, "recorded_at": until.timestamp()})
                for hearer in heard_by(self._city, event).agencies:
                    outputs.append(self._output(in_topic(hearer), event))
                    told_rows.append({**row, "agency": hearer, "received_at": until.timestamp(), "state": "delivered"})
            self.told += len(told_rows)
            self.sent += len(sent_rows)
            await producer.commit(outputs)
            await self._database.run(lambda c, s=sent_rows, t=told_rows: _store(c, s, t))  # type: ignore[misc]
        await producer.stop()
        await self._database.run(self._store_positions)

    def _output(self, topic: str, event: Event) -> Output:
        number = partition_for(event.key, self._kafka.partitions)
        self._offsets[topic, number] += 1
        return Output(topic, event.key, event.data, event.headers(), number)

    def _row(self, event: Event) -> dict[str, Any]:
        return {
            "source": event.source,
            "event_id": event.id,
            "type": event.type,
            "subject": event.subject,
            "attributes": json.dumps(event.attributes()),
            "data": event.data,
        }

    def _store_positions(self, connection: Connection) -> None:
        rows = [{"agency": id, "position": 2**62, "committed_at": time.time()} for id in self._city.agencies]
        connection.execute(insert(outbox_positions), rows)
        rows = [
            {"topic": topic, "partition": number, "next_offset": count + 1_000_000}
            for (topic, number), count in self._offsets.items()
            if topic.endswith("-in")
        ]
        connection.execute(insert(inbox_positions), rows)


def _store(connection: Connection, sent_rows: list[dict[str, Any]], told_rows: list[dict[str, Any]]) -> None:
    if sent_rows:
        connection.execute(insert(outbox), sent_rows)
    if told_rows:
        connection.execute(insert(inbox), told_rows)


def _lose_one(connection: Connection) -> None:
    lost = connection.scalar(select(inbox.c.id).order_by(inbox.c.id.desc()).limit(1))
    connection.execute(delete(inbox).where(inbox.c.id == lost))


async def run(count: int) -> dict[str, Any]:
    """Fill a bus, then reconcile it twice."""
    city = load_city(city_path("denpasar"))
    until = datetime.now(UTC) - timedelta(minutes=1)
    with tempfile.TemporaryDirectory() as home:
        broker = LocalKafka(Path(home) / "kafka")
        await asyncio.to_thread(broker.start)
        url = f"sqlite:///{Path(home) / 'agencies.sqlite3'}"
        database = Database(url, tables=TABLES, name=NAME, version=VERSION)
        try:
            kafka = KafkaSettings(bootstrap_servers=broker.bootstrap_servers)
            await ensure_topics(kafka, city.agencies)
            await database.start()
            filled = Filled(city, kafka, database)
            await filled.fill(count, until)
            ledger = Ledger(database, agency_of=city.agency_of, outbox_keep_seconds=30 * 86_400)
            app = HttpApp(dict.fromkeys(city.agencies, TOKEN), ledger.routes(), Starlette())
            async with serving(app, host="127.0.0.1", port=0) as port:
                adapters = {
                    id: {"url": f"http://127.0.0.1:{port}/agencies/{id}/events", "token": TOKEN} for id in city.agencies
                }
                clean, seconds = await _timed(city, kafka, adapters, until)
                await database.run(_lose_one)
                lacking, seconds_lacking = await _timed(city, kafka, adapters, until)
        finally:
            await database.stop()
            await asyncio.to_thread(broker.stop)
    return {
        "events": filled.sent,
        "told": filled.told,
        "records": clean.events,
        "seconds": round(seconds, 1),
        "discrepancies": sum(len(one.events) for one in clean.discrepancies),
        "seconds_with_one_lost": round(seconds_lacking, 1),
        "found_of_one_lost": sum(len(one.events) for one in lacking.discrepancies),
    }


async def _timed(
    city: City, kafka: KafkaSettings, adapters: dict[str, dict[str, str]], until: datetime
) -> tuple[Counted, float]:
    since = (until - timedelta(days=DAYS + 1)).date()
    began = time.perf_counter()
    counted = await Reconciler(city, kafka, adapters, since=since, until=until).count()
    return counted, time.perf_counter() - began


async def measure(arguments: argparse.Namespace) -> dict[str, Any]:
    """What the command line asks for."""
    return await run(arguments.reconciled)


def table(found: dict[str, Any]) -> Table:
    """The result for a person."""
    result = Table(title="Reconciling: outboxes, topics, log and inboxes held against each other")
    result.caption = f"{found['records']:,} records in Kafka, {found['told']:,} rows in inboxes"
    result.add_column("bus")
    result.add_column("events", justify="right")
    result.add_column("seconds", justify="right")
    result.add_column("found", justify="right")
    result.add_row("whole", f"{found['events']:,}", f"{found['seconds']}", f"{found['discrepancies']}")
    result.add_row(
        "one event lost from an inbox",
        f"{found['events']:,}",
        f"{found['seconds_with_one_lost']}",
        f"{found['found_of_one_lost']}",
    )
    return result
