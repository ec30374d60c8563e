"""The adapter as an agency's IT team runs it, on the real Kafka: killed at any moment, it loses and repeats nothing."""

from __future__ import annotations

import asyncio
import contextlib
import json
import os
import random
import signal
import sys
from collections.abc import AsyncIterator, Callable
from pathlib import Path

import aiohttp
import httpx
import pytest
from aiohttp import web
from aiokafka.admin import AIOKafkaAdminClient

from bus.kafka import KafkaSettings, TopicReader, TransactionalProducer, ensure_topics, partitions_of
from bus.records import Output
from bus.topics import in_topic, out_topic
from deploy.local.kafka import LocalKafka
from deploy.local.ports import free_ports
from schemas.envelope import Event
from tests.support.events import case_id, comment

pytestmark = pytest.mark.kafka

AGENCY = "animal-welfare"
TOKEN = "a-token-that-is-long-enough"
COMMAND = (sys.executable, "-c", "from services.cli.main import main; main()", "run", "adapter")
SECRET = "a-secret-that-is-long-enough-too"


class System:
    """The agency's own system: its webhook, on a port that stays, and what it heard."""

    def __init__(self) -> None:
        self.heard: list[dict[str, str]] = []
        self.url = ""

    async def receive(self, request: web.Request) -> web.Response:
        self.heard.append(json.loads(await request.read()))
        return web.Response(status=204)


class AdapterProcess:
    """`subak run adapter adapter.toml`, started and ended as often as a test likes."""

    def __init__(self, folder: Path, kafka: LocalKafka, webhook: str, *, webhook_keys: str = "") -> None:
        (self._port,) = free_ports(1)
        self.url = f"http://127.0.0.1:{self._port}"
        self.events_url = f"{self.url}/agencies/{AGENCY}/events"
        self._file = folder / "adapter.toml"
        self._log = folder / "adapter.log"
        self._file.write_text(
            f"""
[adapter]
name = "test"
listen = "127.0.0.1:{self._port}"
[[agency]]
id = "{AGENCY}"
token = "{TOKEN}"
accept_new_outbox = true
  [agency.webhook]
  url = "{webhook}"
  secret = "{SECRET}"
  allow_private = ["127.0.0.1"]
  retry_seconds_first = 0.05
  retry_seconds_max = 1
  {webhook_keys}
"""
        )
        self.environment = {
            **{name: value for name, value in os.environ.items() if not name.startswith("SUBAK_")},
            "SUBAK_KAFKA_BOOTSTRAP_SERVERS": kafka.bootstrap_servers,
            "SUBAK_CITY": "denpasar",
            "SUBAK_KAFKA_PARTITIONS": "4",
            "SUBAK_HOME": str(folder),
        }
        self.process: asyncio.subprocess.Process | None = None

    async def start(self) -> None:
        """Start it, and wait until it is ready."""
        with self._log.open("a") as log:
            self.process = await asyncio.create_subprocess_exec(
                *(*COMMAND, str(self._file)), env=self.environment, stderr=log
            )
        async with httpx.AsyncClient() as client, asyncio.timeout(60):
            while True:
                with contextlib.suppress(httpx.TransportError):
                    if (await client.get(f"{self.url}/health/ready")).status_code == 200:
                        return
                assert self.process.returncode is None, "the adapter ended"
                await asyncio.sleep(0.05)

    async def end(self, number: signal.Signals) -> int:
        """Send it a signal, and give its exit code."""
        assert self.process is not None
        with contextlib.suppress(ProcessLookupError):
            self.process.send_signal(number)
        return await self.process.wait()


@pytest.fixture
async def settings(kafka: LocalKafka) -> KafkaSettings:
    """The bus, with the agency's topics made anew."""
    settings = KafkaSettings(bootstrap_servers=kafka.bootstrap_servers, partitions=4)
    admin = AIOKafkaAdminClient(bootstrap_servers=kafka.bootstrap_servers)
    await admin.start()
    mine = {in_topic(AGENCY), out_topic(AGENCY)}
    if found := mine & set(await admin.list_topics()):
        await admin.delete_topics(list(found))
        while mine & set(await admin.list_topics()):
            await asyncio.sleep(0.1)
    await admin.close()
    await ensure_topics(settings, [AGENCY])
    return settings


@pytest.fixture
async def system() -> AsyncIterator[System]:
    system = System()
    app = web.Application()
    app.router.add_post("/events", system.receive)
    runner = web.AppRunner(app)
    await runner.setup()
    (port,) = free_ports(1)
    await web.TCPSite(runner, "127.0.0.1", port).start()
    system.url = f"http://127.0.0.1:{port}/events"
    yield system
    await runner.cleanup()


@pytest.fixture
async def adapter(
    tmp_path: Path, kafka: LocalKafka, settings: KafkaSettings, system: System
) -> AsyncIterator[AdapterProcess]:
    adapter = AdapterProcess(tmp_path, kafka, system.url)
    await adapter.start()
    yield adapter
    await adapter.end(signal.SIGKILL)


async def published(settings: KafkaSettings) -> list[Event]:
    reader = TopicReader(settings, name="test")
    await reader.start(partitions_of([out_topic(AGENCY)], settings.partitions))
    found = [Event.from_record(r.headers, r.value) async for records in reader.to_end() for r in records]
    await reader.stop()
    return found


async def until(holds: Callable[[], bool], seconds: float = 60) -> None:
    async with asyncio.timeout(seconds):
        while not holds():
            await asyncio.sleep(0.02)


async def post(session: aiohttp.ClientSession, adapter: AdapterProcess, id: str, case: int) -> None:
    """POST one event until it is answered 202, as a careful system does."""
    data = {"status_notes": id}
    event = {"id": id, "type": "subak.workorder.started.v1", "subject": case_id(case), "data": data}
    while True:
        with contextlib.suppress(aiohttp.ClientError, OSError):
            headers = {"Authorization": f"Bearer {TOKEN}"}
            async with session.post(adapter.events_url, json=event, headers=headers) as answer:
                if answer.status == 202:
                    return
                assert answer.status == 503, await answer.text()
        await asyncio.sleep(0.02)


async def bring(settings: KafkaSettings, ids: list[tuple[str, int]]) -> None:
    """The router writes events into the agency's in topic."""
    producer = TransactionalProducer(settings, transactional_id="test-router")
    await producer.start()
    for start in range(0, len(ids), 10):
        events = [comment(id=id, case=case, agency="communications") for id, case in ids[start : start + 10]]
        outputs = [Output(in_topic(AGENCY), event.key, event.data, event.headers()) for event in events]
        await producer.commit(outputs, {}, "test-router")
        await asyncio.sleep(0.02)
    await producer.stop()


def in_order(ids: list[str]) -> bool:
    """Whether ids such as `3-012` come in the order of their numbers within what stands before the hyphen."""
    cases: dict[str, list[str]] = {}
    for id in ids:
        cases.setdefault(id.split("-")[0], []).append(id)
    return all(order == sorted(order) for order in cases.values())


async def test_an_adapter_killed_again_and_again_loses_nothing_repeats_nothing_and_keeps_each_cases_order(
    adapter: AdapterProcess, settings: KafkaSettings, system: System
) -> None:
    rng = random.Random(20261124)
    cases, each = 8, 40
    async with aiohttp.ClientSession() as session:

        async def post_case(case: int) -> None:
            for number in range(each):
                await post(session, adapter, f"{case}-{number:03}", case)

        arriving = [(f"{case}-{number:03}", case) for number in range(each) for case in range(cases)]
        work = [asyncio.create_task(post_case(case)) for case in range(cases)]
        work.append(asyncio.create_task(bring(settings, arriving)))
        for _ in range(4):
            await asyncio.sleep(rng.uniform(0.1, 1.5))
            await adapter.end(signal.SIGKILL)
            await adapter.start()
        await asyncio.gather(*work)

    ids = {id for id, _ in arriving}
    await until(lambda: {event["id"] for event in system.heard} == ids)
    async with asyncio.timeout(60):
        while len(out := [event.id for event in await published(settings)]) < len(ids):
            await asyncio.sleep(0.2)
    assert sorted(out) == sorted(ids), "in Kafka each exactly once"
    assert in_order(out)
    first_heard = list(dict.fromkeys(event["id"] for event in system.heard))
    assert in_order(first_heard), "the webhook may be called twice, and never out of order"


async def test_while_the_broker_is_away_posts_are_answered_202_and_leave_when_it_is_back(
    adapter: AdapterProcess, settings: KafkaSettings, kafka: LocalKafka
) -> None:
    async with aiohttp.ClientSession() as session:
        await post(session, adapter, "0-000", 0)
        kafka.stop()
        try:
            for number in range(1, 30):
                await post(session, adapter, f"0-{number:03}", 0)
        finally:
            kafka.start()
    async with asyncio.timeout(60):
        while len(out := [event.id for event in await published(settings)]) < 30:
            await asyncio.sleep(0.2)
    assert out == [f"0-{number:03}" for number in range(30)]


async def test_sigterm_ends_it_cleanly_and_nothing_is_left_half_done(
    adapter: AdapterProcess, settings: KafkaSettings, system: System
) -> None:
    async with aiohttp.ClientSession() as session:
        await post(session, adapter, "0-000", 0)
    await bring(settings, [("1-000", 1)])
    await until(lambda: len(system.heard) == 1)
    await asyncio.sleep(0.5)
    assert await adapter.end(signal.SIGTERM) == 0
    await adapter.start()
    await asyncio.sleep(1)
    assert len(system.heard) == 1
    assert [event.id for event in await published(settings)] == ["0-000"]


async def test_metrics_tell_of_outbox_and_inbox(
    adapter: AdapterProcess, settings: KafkaSettings, system: System
) -> None:
    async with aiohttp.ClientSession() as session:
        await post(session, adapter, "0-000", 0)
    await bring(settings, [("1-000", 1)])
    await until(lambda: len(system.heard) == 1)
    await asyncio.sleep(6)
    async with httpx.AsyncClient() as client:
        text = (await client.get(f"{adapter.url}/metrics")).text
        assert (await client.get(f"{adapter.url}/health/live")).status_code == 200
    for line in (
        f'subak_outbox_depth{{agency="{AGENCY}"}} 0.0',
        f'subak_relay_records_total{{agency="{AGENCY}"}} 1.0',
        f'subak_inbox_waiting{{agency="{AGENCY}"}} 0.0',
        f'subak_deliveries_total{{agency="{AGENCY}",outcome="delivered"}} 1.0',
        f'subak_deliveries_parked{{agency="{AGENCY}"}} 0.0',
        f'subak_source_requests_total{{agency="{AGENCY}",status="202"}} 1.0',
    ):
        assert line in text, text


async def test_a_wrong_configuration_ends_it_with_its_sentence(tmp_path: Path, kafka: LocalKafka) -> None:
    adapter = AdapterProcess(tmp_path, kafka, "http://127.0.0.1:1/")
    file = tmp_path / "adapter.toml"
    file.write_text(file.read_text().replace(AGENCY, "animal-warfare"))
    process = await asyncio.create_subprocess_exec(
        *(*COMMAND, str(file)),
        env=adapter.environment,
        stderr=asyncio.subprocess.PIPE,
    )
    _, said = await process.communicate()
    assert process.returncode == 78
    assert 'denpasar has no agency "animal-warfare". Did you mean "animal-welfare"?' in said.decode()


async def test_a_wrong_number_of_partitions_ends_it_before_anything_is_missed(
    tmp_path: Path, kafka: LocalKafka, settings: KafkaSettings
) -> None:
    adapter = AdapterProcess(tmp_path, kafka, "http://127.0.0.1:1/")
    process = await asyncio.create_subprocess_exec(
        *(*COMMAND, str(tmp_path / "adapter.toml")),
        env={**adapter.environment, "SUBAK_KAFKA_PARTITIONS": "2"},
        stderr=asyncio.subprocess.PIPE,
    )
    _, said = await process.communicate()
    assert process.returncode == 78
    assert "has 4 partitions and the bus 2" in said.decode()
    assert "set SUBAK_KAFKA_PARTITIONS=4" in said.decode()
