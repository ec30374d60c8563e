"""Whatever the weather of system, bus, disk, clock and network: nothing is lost, doubled in Kafka or out of order."""

from __future__ import annotations

import asyncio
import contextlib
import json
import random
import resource
import signal
import sqlite3
import time
from collections import Counter
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import aiohttp
import httpx
import pytest
from aiohttp import web

from adapters.delivery import Delivery
from adapters.outcome import DELIVERED, Outcome
from adapters.schedule import ScheduleSettings
from bus import connections
from bus.inbox import Arrived
from bus.kafka import KafkaSettings
from deploy.local.kafka import LocalKafka
from tests.adapters.test_process import (
    AGENCY,
    SECRET,
    TOKEN,
    AdapterProcess,
    System,
    bring,
    in_order,
    published,
    settings,
    system,
    until,
)
from tests.support.adapter import SmallAdapter
from tests.support.events import case_id, comment

assert settings, system
"""Fixtures."""

BAD_CASE = 7


class Weather(System):
    """An agency's system: slow, failing, overloaded, moved, breaking off; and there is one case that it never takes."""

    def __init__(self, seed: int) -> None:
        super().__init__()
        self.fair = False
        self.told: Counter[str] = Counter()
        self._random = random.Random(seed)

    async def receive(self, request: web.Request) -> web.Response:
        event = json.loads(await request.read())
        if event["subject"] == case_id(BAD_CASE):
            return web.Response(status=400, text="unknown ward")
        kind = (
            "taken" if self.fair else self._random.choice(("slow", "500", "429", "redirect", "cut", "taken", "taken"))
        )
        self.told[kind] += 1
        if kind == "slow":
            await asyncio.sleep(30)
        elif kind == "500":
            return web.Response(status=500, text="no database")
        elif kind == "429":
            return web.Response(status=429, headers={"Retry-After": "1"})
        elif kind == "redirect":
            return web.Response(status=302, headers={"Location": "/elsewhere"})
        elif kind == "cut":
            assert request.transport is not None
            request.transport.abort()
        else:
            self.heard.append(event)
        return web.Response(status=204)


@contextlib.asynccontextmanager
async def weather(seed: int) -> AsyncIterator[Weather]:
    found = Weather(seed)
    app = web.Application()
    app.router.add_post("/events", found.receive)

    async def elsewhere(_: web.Request) -> web.Response:
        found.told["elsewhere"] += 1
        return web.Response()

    app.router.add_route("*", "/elsewhere", elsewhere)
    runner = web.AppRunner(app, shutdown_timeout=0.1)
    await runner.setup()
    site = web.TCPSite(runner, "127.0.0.1", 0)
    await site.start()
    found.url = f"http://127.0.0.1:{site._server.sockets[0].getsockname()[1]}/events"  # type: ignore[union-attr]
    yield found
    await runner.cleanup()


async def through_weather(folder: Path, kafka: LocalKafka, settings: KafkaSettings, seed: int, seconds: float) -> None:
    """One run: events arrive while the weather is bad, and then it clears."""
    async with weather(seed) as system:
        keys = "timeout_seconds = 0.3\n  tries_max = 3"
        adapter = AdapterProcess(folder, kafka, system.url, webhook_keys=keys)
        await adapter.start()
        try:
            ids = [(f"{case}-{number:03}", case) for number in range(12) for case in range(8)]
            await bring(settings, ids)
            await asyncio.sleep(seconds)
            system.fair = True
            good = {id for id, case in ids if case != BAD_CASE}
            await until(lambda: {event["id"] for event in system.heard} == good, 120)
            first_heard = list(dict.fromkeys(event["id"] for event in system.heard))
            assert in_order(first_heard)
            assert system.told["elsewhere"] == 0, "no redirect carries an event elsewhere"
            async with httpx.AsyncClient(headers={"Authorization": f"Bearer {TOKEN}"}) as client, asyncio.timeout(60):
                while not (parked := (await client.get(f"{adapter.url}/agencies/{AGENCY}/parked")).json()["parked"]):
                    await asyncio.sleep(0.1)
            assert [row["id"] for row in parked] == [f"{BAD_CASE}-000"], "what it refuses holds up its own case only"
            log = (folder / "adapter.log").read_text()
            assert SECRET not in log
            assert TOKEN not in log
        finally:
            await adapter.end(signal.SIGKILL)


@pytest.mark.kafka
async def test_an_agencys_system_in_bad_weather_gets_everything_in_order_once_it_clears(
    tmp_path: Path, kafka: LocalKafka, settings: KafkaSettings, pytestconfig: pytest.Config
) -> None:
    await through_weather(tmp_path, kafka, settings, pytestconfig.getoption("--seed"), 3)


@pytest.mark.kafka
@pytest.mark.soak
@pytest.mark.timeout(0)
async def test_bad_weather_for_as_long_as_you_like(
    tmp_path: Path, kafka: LocalKafka, settings: KafkaSettings, pytestconfig: pytest.Config
) -> None:
    minutes = pytestconfig.getoption("--minutes")
    await through_weather(tmp_path, kafka, settings, pytestconfig.getoption("--seed"), max(60.0, minutes * 60))


async def bus_away(folder: Path, kafka: LocalKafka, settings: KafkaSettings, system: System, events: int) -> float:
    """The broker stops, `events` are posted and answered 202, it comes back. Gives how many left in a second."""
    adapter = AdapterProcess(folder, kafka, system.url)
    await adapter.start()
    try:
        kafka.stop()
        try:
            async with aiohttp.ClientSession(headers={"Authorization": f"Bearer {TOKEN}"}) as session:
                for start in range(0, events, 500):
                    body = [
                        {
                            "id": f"{number % 20}-{number:06}",
                            "type": "subak.workorder.started.v1",
                            "subject": case_id(number % 20),
                            "data": {"status_notes": str(number)},
                        }
                        for number in range(start, min(events, start + 500))
                    ]
                    async with session.post(adapter.events_url, json=body) as answer:
                        assert answer.status == 202, await answer.text()
        finally:
            kafka.start()
        rate = await left_in_a_second(adapter, events)
        seen = 0
        async with asyncio.timeout(120 + events / 500):
            while seen < events:
                assert adapter.process is not None
                assert adapter.process.returncode is None, "the adapter ended"
                await asyncio.sleep(0.5)
                out = [event.id for event in await published(settings)]
                seen = len(out)
        assert len(set(out)) == len(out) == events
        assert in_order(out)
        return rate
    finally:
        await adapter.end(signal.SIGKILL)


async def left_in_a_second(adapter: AdapterProcess, events: int) -> float:
    """By the adapter's own count, from the first that left to the last."""
    began: tuple[float, float] | None = None
    async with httpx.AsyncClient() as client, asyncio.timeout(120 + events / 500):
        while True:
            lines = (await client.get(f"{adapter.url}/metrics")).text.splitlines()
            depth = next(float(line.split()[-1]) for line in lines if line.startswith("subak_outbox_depth{"))
            now = time.monotonic()
            if began is None and depth < events:
                began = (now, depth)
            if depth == 0 and began is not None:
                return began[1] / max(now - began[0], 0.001)
            await asyncio.sleep(0.05)


@pytest.mark.kafka
async def test_what_waits_while_the_bus_is_away_leaves_in_order_and_once(
    tmp_path: Path, kafka: LocalKafka, settings: KafkaSettings, system: System
) -> None:
    await bus_away(tmp_path, kafka, settings, system, 2000)


@pytest.mark.kafka
@pytest.mark.soak
@pytest.mark.timeout(0)
async def test_a_days_events_wait_on_disk_and_leave_in_order(
    tmp_path: Path, kafka: LocalKafka, settings: KafkaSettings, system: System
) -> None:
    rate = await bus_away(tmp_path, kafka, settings, system, 100_000)
    print(f"100,000 events that waited left at {rate:,.0f}/s")
    assert rate > 2000


def request(number: int) -> dict[str, Any]:
    data = {"service_code": "drain", "area": "51.71.01.1005", "description": "Saluran tersumbat. " * 100}
    return {"type": "subak.request.submitted.v1", "id": f"r-{number}", "data": data}


async def test_a_full_disk_is_answered_507_nothing_is_half_stored_and_it_goes_on_when_there_is_space(
    tmp_path: Path,
) -> None:
    """SQLite's own bound on pages fails as a full disk does: in the middle of a transaction."""
    url = "/agencies/communications/events"
    async with SmallAdapter.opened(tmp_path) as adapter, adapter.served() as client:
        pages = await adapter.database.run(lambda c: int(c.exec_driver_sql("PRAGMA page_count").scalar() or 0))
        await adapter.database.run(lambda c: c.exec_driver_sql(f"PRAGMA max_page_count = {pages + 40}").scalar())
        taken: list[str] = []
        number = 0
        while True:
            answer = await client.post(url, json=request(number))
            if answer.status_code != 202:
                break
            taken.append(f"r-{number}")
            number += 1
            assert number < 1000
        assert (answer.status_code, answer.json()["reasons"][0]["code"]) == (507, "disk_full")
        assert (await client.post(url, json=[request(place) for place in range(2000, 2050)])).status_code == 507
        with contextlib.closing(sqlite3.connect(adapter.database.url.removeprefix("sqlite:///"))) as other:
            stored = [row[0] for row in other.execute("SELECT event_id FROM subak_outbox ORDER BY id")]
        assert stored == taken, "what was answered 202, and nothing else"
        await adapter.database.run(lambda c: c.exec_driver_sql("PRAGMA max_page_count = 1000000").scalar())
        assert (await client.post(url, json=request(number))).status_code == 202


async def test_ids_of_ten_kilobytes_are_refused_with_a_short_answer(tmp_path: Path) -> None:
    url = "/agencies/communications/events"
    async with SmallAdapter.opened(tmp_path) as adapter, adapter.served() as client:
        for key in ("id", "subject", "source", "type"):
            answer = await client.post(url, json=request(1) | {key: "x" * 10_240})
            assert (answer.status_code, len(answer.content) < 4000) == (422, True), answer.text
        answer = await client.post(url, json=request(1), headers={"Idempotency-Key": "x" * 10_240})
        assert (answer.status_code, len(answer.content) < 4000) == (422, True), answer.text
        assert (await client.get(f"{url}/{'x' * 10_240}")).status_code == 404
        assert (await client.post(url, json=request(2))).status_code == 202


class Refusing:
    """A system that refuses each event once, and counts."""

    def __init__(self) -> None:
        self.calls: Counter[str] = Counter()

    async def call(self, event: Arrived) -> Outcome:
        self.calls[event.event_id] += 1
        return Outcome("refused", "not yet") if self.calls[event.event_id] == 1 else DELIVERED


@pytest.mark.parametrize("hours", [-1, 1])
async def test_a_clock_that_is_set_by_an_hour_delays_no_retry(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, hours: int
) -> None:
    true_time = time.time
    patience = ScheduleSettings(retry_seconds_first=0.2, retry_seconds_max=0.4)
    async with SmallAdapter.opened(tmp_path) as adapter:
        system = Refusing()
        delivery = Delivery("water-utility", adapter.inbox, system, settings=patience)
        running = asyncio.create_task(delivery.run())
        await adapter.arrive("water-utility", [comment(id="e-1")])
        await until(lambda: system.calls["e-1"] == 1, 10)
        with monkeypatch.context() as patch:
            patch.setattr(time, "time", lambda: true_time() + hours * 3600)
            await until(lambda: system.calls["e-1"] == 2, 10)
            running.cancel()
            await asyncio.gather(running, return_exceptions=True)


async def test_a_retry_that_was_stored_by_a_clock_ahead_is_not_waited_for(tmp_path: Path) -> None:
    patience = ScheduleSettings(retry_seconds_first=0.2, retry_seconds_max=0.4)
    system = Refusing()
    async with SmallAdapter.opened(tmp_path) as adapter:
        await adapter.arrive("water-utility", [comment(id="e-1")])
        ahead = Delivery("water-utility", adapter.inbox, system, settings=patience, clock=lambda: time.time() + 3600)
        for delivery, calls in ((ahead, 1), (Delivery("water-utility", adapter.inbox, system, settings=patience), 2)):
            running = asyncio.create_task(delivery.run())
            await until(lambda calls=calls: system.calls["e-1"] == calls, 10)  # type: ignore[misc]
            running.cancel()
            await asyncio.gather(running, return_exceptions=True)


async def test_a_thousand_slow_connections_keep_nobody_out_and_are_closed(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(connections, "CONNECTIONS_MAX", 200)
    monkeypatch.setattr(connections, "HEAD_WAIT_SECONDS", 3.0)
    async with SmallAdapter.opened(tmp_path) as adapter, adapter.served() as client:
        host, port = client.base_url.host, client.base_url.port
        slow = []
        for number in range(1000):
            reader, writer = await asyncio.open_connection(host, port)
            writer.write(b"" if number % 2 else b"POST /agencies/communications/events HTTP/1.1\r\nHost: x\r\nX-Sl")
            slow.append((reader, writer))
        for number in range(20):
            assert (await client.post("/agencies/communications/events", json=request(number))).status_code == 202
        assert len(connections.BoundedProtocol.waiting) <= 200
        async with asyncio.timeout(20):
            for reader, writer in slow:
                with contextlib.suppress(ConnectionError):
                    assert await reader.read(100) == b""
                writer.close()
        assert len(connections.BoundedProtocol.waiting) <= 1


@pytest.mark.slow
async def test_ten_thousand_slow_connections_keep_nobody_out(tmp_path: Path) -> None:
    """With the bound that every process has. Half of them say nothing, half a header that never ends."""
    descriptors, _ = resource.getrlimit(resource.RLIMIT_NOFILE)
    if descriptors < 12_000:
        pytest.skip(f"10,000 connections need more than the {descriptors} descriptors that this process may have")
    async with SmallAdapter.opened(tmp_path) as adapter, adapter.served() as client:
        host, port = client.base_url.host, client.base_url.port
        slow = []
        slowest = 0.0
        try:
            for number in range(10_000):
                _, writer = await asyncio.open_connection(host, port)
                writer.write(b"" if number % 2 else b"POST /agencies/communications/events HTTP/1.1\r\nHost: x\r\nX-Sl")
                slow.append(writer)
                if number % 500 == 499:
                    began = time.monotonic()
                    answer = await client.post("/agencies/communications/events", json=request(number))
                    slowest = max(slowest, time.monotonic() - began)
                    assert answer.status_code == 202
            assert len(connections.BoundedProtocol.waiting) <= connections.CONNECTIONS_MAX
            assert slowest < 5.0
        finally:
            for writer in slow:
                writer.transport.abort()
