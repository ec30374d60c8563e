"""How many whole lifecycles a second: from the citizen's request to the closed case, through every process of the bus.

- `bus_per_second`: from outbox to inbox. The agencies' side (outboxes, relays, inboxes, on SQLite) runs in this process
  and answers at once; gateway, workflows, router and casebook are processes of their own; nothing speaks HTTP. A case
  takes seven events of agencies (eight where it needs approval), five or six of the bus, and a dozen deliveries.
- `http_per_second`: `subak demo`, whose agencies have systems and databases of their own: POST into the adapters,
  webhooks out of them, both ways.
- `latency_ms`: one event, source to target, at 20 requests a second, over HTTP.
"""

from __future__ import annotations

import argparse
import asyncio
import contextlib
import json
import subprocess
import sys
import tempfile
import time
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import psutil
from rich.table import Table

from bus.agency_tables import NAME, TABLES, VERSION
from bus.cases import KnownCases
from bus.city import City
from bus.database import Database
from bus.inbox import Inbox, InboxReader
from bus.kafka import KafkaSettings
from bus.outbox import Horizon, Outbox, Relay
from bus.records import Record
from bus.topics import in_topic
from deploy.local.up import LocalCity
from schemas.envelope import Event
from schemas.identifiers import derived_id
from schemas.registry import EventData
from schemas.types.approvals import ApprovalGranted
from schemas.types.requests import RequestAcknowledged, RequestRated, RequestSubmitted
from schemas.types.workorders import (
    WorkOrderAccepted,
    WorkOrderCompleted,
    WorkOrderInspected,
    WorkOrderStarted,
)
from schemas.values import Money
from services.workflows.catalogue import WORKFLOWS

CASES_DEFAULT = 2_000

IN_FLIGHT_MAX = 600
"""Cases that are under way at once: what keeps the bus busy without a queue that only grows."""


class Agencies:
    """All agencies' side of the bus, answering at once: one database, a relay for each, one reader of all in topics."""

    def __init__(self, city: City, kafka: KafkaSettings, folder: Path) -> None:
        self.city = city
        self.closed = 0
        self.finished = asyncio.Event()
        self.target = 0
        self._opened = 0
        self._kafka = kafka
        url = f"sqlite:///{folder / 'agencies.sqlite3'}"
        self._database = Database(url, tables=TABLES, name=NAME, version=VERSION)
        known = KnownCases(self._database)
        agencies = [agency for agency in city.agencies if agency != "operations"]
        self._agency_of = {in_topic(agency): agency for agency in agencies}
        self._outbox = Outbox(self._database, known)
        self._inbox = _Answering(self, self._database, known)
        self._agencies = agencies
        self._known = known
        self._services = sorted(city.services)
        self._areas = sorted(code for code in city.areas if city.within(code, city.area))
        self._answers: set[asyncio.Task[None]] = set()
        self._tasks: list[asyncio.Task[None]] = []

    async def start(self) -> None:
        """Open the database; start relays and the reader."""
        await self._database.start()
        await self._outbox.start(self._agencies)
        horizon, turns = Horizon(), asyncio.Semaphore(8)
        relays = [Relay(a, self._outbox, self._kafka, horizon=horizon, turns=turns) for a in self._agencies]
        reader = InboxReader("adapter-bench", self._agencies, self._inbox, self._kafka)
        self._tasks = [asyncio.create_task(relay.run()) for relay in relays]
        self._tasks.append(asyncio.create_task(reader.run()))

    async def stop(self) -> None:
        """Stop them."""
        for task in self._tasks:
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)
        await self._database.stop()

    async def run(self, cases: int) -> float:
        """Let so many further cases run from request to close; returns the seconds that it took."""
        self.finished.clear()
        self.target = self._opened + cases
        began = time.perf_counter()
        await self.open(min(IN_FLIGHT_MAX, cases))
        await self.finished.wait()
        return time.perf_counter() - began

    async def open(self, count: int) -> None:
        """Citizens ask for something, so many times."""
        city = self.city
        events = []
        for number in range(self._opened, min(self._opened + count, self.target)):
            case = derived_id("lifecycle", number)
            data = RequestSubmitted(
                service_code=self._services[number % len(self._services)],
                area=self._areas[number % len(self._areas)],
                description="Air tidak mengalir, sudah tiga hari. " * 3,
            )
            events.append(self._event(city.citizens_channel, data, case, f"{case}/submitted"))
        self._opened += len(events)
        if events:
            await self._outbox.add(city.citizens_channel, events)

    def _event(self, agency: str, data: EventData, case: str, label: str) -> Event:
        now = time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime())
        return Event(
            id=derived_id(label, data.registered.name),
            type=data.registered.name,
            source=self.city.source_of(agency),
            subject=case,
            time=now,
            recordedtime=now,
            data=data.encode(),
        )

    def hear(self, records: Sequence[Record]) -> None:
        """The agencies' systems take what arrived, and answer."""
        answers: dict[str, list[Event]] = {}
        closed = 0
        for record in records:
            event = Event.from_record(record.headers, record.value)
            agency = self._agency_of[record.topic]
            if event.type == "subak.request.closed.v1" and agency == self.city.citizens_channel:
                closed += 1
            for data in self._react(agency, event):
                answer = self._event(agency, data, event.subject, event.id).follow(event)
                answers.setdefault(agency, []).append(answer)
        for agency, events in answers.items():
            self._later(self._outbox.add(agency, events))
        self.closed += closed
        if closed:
            self._later(self.open(closed))
        if self.closed >= self.target:
            self.finished.set()

    def _later(self, work: Any) -> None:
        task = asyncio.ensure_future(work)
        self._answers.add(task)
        task.add_done_callback(self._answers.discard)

    def _react(self, agency: str, event: Event) -> list[EventData]:
        mine = event.recipient == agency
        if event.type == "subak.request.forwarded.v1" and mine:
            threshold = self.city.agencies[agency].approval_threshold
            dear = int(event.subject[:2], 16) < 51  # a fifth of the cases
            if threshold is None:
                return [RequestAcknowledged()]
            amount = f"{int(float(threshold.amount)) * (2 if dear else 1)}"
            return [RequestAcknowledged(estimate=Money(amount=amount, currency=threshold.currency))]
        if event.type == "subak.approval.requested.v1" and mine:
            return [ApprovalGranted(amount=Money(**json.loads(event.data)["amount"]))]
        if event.type == "subak.workorder.issued.v1" and mine:
            return [WorkOrderAccepted(), WorkOrderStarted(), WorkOrderCompleted()]
        if event.type == "subak.workorder.inspectionrequested.v1" and mine:
            return [WorkOrderInspected()]
        if event.type == "subak.request.resolved.v1" and agency == self.city.citizens_channel:
            return [RequestRated(score=5)]
        return []


class _Answering(Inbox):
    """An inbox whose agencies answer as soon as their rows are stored."""

    def __init__(self, agencies: Agencies, database: Database, known: KnownCases) -> None:
        super().__init__(database, known, agency_of=agencies._agency_of, source_of=agencies.city.source_of)
        self._heard_by = agencies

    async def take(self, records: Sequence[Record]) -> None:
        await super().take(records)
        self._heard_by.hear(records)


async def bus_rate(cases: int, curve: Sequence[int]) -> dict[str, Any]:
    """Lifecycles a second from outbox to inbox, and how the rate goes as cases pile up."""
    with tempfile.TemporaryDirectory() as folder:
        local = LocalCity("denpasar", home=Path(folder), with_adapters=False)
        await asyncio.to_thread(local.start)
        agencies = Agencies(local.city, local.settings, Path(folder))
        try:
            await agencies.start()
            await agencies.run(100)  # producers start, processes get warm
            before_use = processor_seconds(local)
            seconds = await agencies.run(cases)
            processes = sorted(local.pids)
            used = {name: round(total - before_use.get(name, 0), 2) for name, total in processor_seconds(local).items()}
            points = {}
            for total in sorted(curve):
                before = agencies.closed
                if total > before:
                    points[total] = round((total - before) / await agencies.run(total - before), 1)
        finally:
            await agencies.stop()
            await asyncio.to_thread(local.stop)
    return {
        "bus_per_second": round(cases / seconds, 1),
        "curve": points,
        "processes": processes,
        "workflows": sorted(WORKFLOWS),
        "processor_ms_per_case": {name: round(total * 1000 / cases, 2) for name, total in used.items()},
    }


def processor_seconds(local: LocalCity) -> dict[str, float]:
    """What each process has used of the processors so far: what limits the rate."""
    times = {name: psutil.Process(pid).cpu_times() for name, pid in local.pids.items()}
    times["agencies (this process)"] = psutil.Process().cpu_times()
    return {name: found.user + found.system for name, found in times.items()}


def demo(cases: int, *flags: str) -> dict[str, Any]:
    """What `subak demo` says of itself."""
    with tempfile.TemporaryDirectory() as folder:
        done = subprocess.run(
            [
                sys.executable,
                "-m",
                "services.cli",
                "demo",
                "--json",
                "--home",
                folder,
                "--count",
                str(cases),
                "--no-meetings",
                "--http-only",
                *flags,
            ],
            capture_output=True,
            text=True,
            check=False,
        )
    lines = done.stdout.strip().splitlines()
    if done.returncode or not lines:
        raise SystemExit(f"subak demo failed:\n{done.stderr[-2000:]}")
    found: dict[str, Any] = json.loads(lines[-1])
    return found


async def measure(arguments: argparse.Namespace) -> dict[str, Any]:
    """What the command line asks for."""
    bus = await bus_rate(arguments.cases or CASES_DEFAULT, arguments.curve)
    http = demo(arguments.http_cases, "--rate", "1000", "--speed", "1000")
    slow = demo(200, "--rate", "20", "--speed", "1000")
    return {
        "bus_per_second": bus["bus_per_second"],
        "http_per_second": http["lifecycles_per_second"],
        "latency_ms": slow["latency_ms"],
        "cases": {"bus": arguments.cases or CASES_DEFAULT, "http": arguments.http_cases},
        "curve": bus["curve"],
        "processes": bus["processes"],
        "workflows": bus["workflows"],
        "processor_ms_per_case": bus["processor_ms_per_case"],
        "lost": http["lost"] + slow["lost"],
        "duplicated": http["duplicated"] + slow["duplicated"],
        "out_of_order": http["out_of_order"] + slow["out_of_order"],
    }


def table(found: dict[str, Any]) -> Table:
    """The result for a person."""
    result = Table(title="Whole lifecycles, from the request to the closed case")
    result.caption = f"with {', '.join(found['processes'])}; workflows {', '.join(found['workflows'])}"
    result.add_column("way")
    result.add_column("result", justify="right")
    result.add_row("outbox to inbox, through every process", f"{found['bus_per_second']}/s")
    for total, rate in found["curve"].items():
        result.add_row(f"  the same, up to {int(total):,} cases", f"{rate}/s")
    result.add_row("HTTP on both sides", f"{found['http_per_second']}/s")
    latency = found["latency_ms"]
    result.add_row("one event, source to target, at 20 requests/s", f"p50 {latency['p50']} ms, p99 {latency['p99']} ms")
    result.add_row("lost, duplicated, out of order", f"{found['lost']}, {found['duplicated']}, {found['out_of_order']}")
    return result


if __name__ == "__main__":
    with contextlib.suppress(KeyboardInterrupt):
        print(json.dumps(asyncio.run(bus_rate(int(sys.argv[1]), []))))
