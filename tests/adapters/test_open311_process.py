"""The Open311 server in the adapter as an agency runs it, on the real Kafka: killed at any moment, it loses nothing."""

from __future__ import annotations

import asyncio
import contextlib
import json
import signal
from collections.abc import AsyncIterator
from pathlib import Path

import httpx
import pytest
from aiokafka.admin import AIOKafkaAdminClient

from bus.kafka import KafkaSettings, TopicReader, TransactionalProducer, ensure_topics, partitions_of
from bus.records import Output
from bus.topics import in_topic, out_topic
from deploy.local.kafka import LocalKafka
from schemas.envelope import Event
from tests.adapters.test_process import AGENCY, AdapterProcess
from tests.support.events import source

pytestmark = pytest.mark.kafka

CHANNEL = "communications"
KEY = "key-of-the-citizens-app"
REQUESTS = 12


@pytest.fixture
async def settings(kafka: LocalKafka) -> KafkaSettings:
    """The bus, with the channel's topics made anew."""
    admin = AIOKafkaAdminClient(bootstrap_servers=kafka.bootstrap_servers)
    await admin.start()
    mine = {in_topic(CHANNEL), out_topic(CHANNEL)}
    if found := mine & set(await admin.list_topics()):
        await admin.delete_topics(list(found))
        while mine & set(await admin.list_topics()):
            await asyncio.sleep(0.1)
    await admin.close()
    settings = KafkaSettings(bootstrap_servers=kafka.bootstrap_servers, partitions=4)
    await ensure_topics(settings, [CHANNEL])
    return settings


@pytest.fixture
async def adapter(tmp_path: Path, kafka: LocalKafka, settings: KafkaSettings) -> AsyncIterator[AdapterProcess]:
    adapter = AdapterProcess(tmp_path, kafka, "http://127.0.0.1:1/")
    file = tmp_path / "adapter.toml"
    text, _, _ = file.read_text().replace(f'"{AGENCY}"', f'"{CHANNEL}"').partition("  [agency.webhook]")
    app = f'kind = "open311"\n[[agency.source.app]]\nname = "app"\nkey = "{KEY}"\n'
    file.write_text(f"{text}[[agency.source]]\n{app}")
    await adapter.start()
    yield adapter
    await adapter.end(signal.SIGKILL)


async def submitted(adapter: AdapterProcess, number: int) -> str:
    """POST a request until it is answered, as a careful app does; gives its id."""
    form = {"api_key": KEY, "service_code": "drain", "address_id": "51.71.01.1005", "description": f"No. {number}"}
    async with httpx.AsyncClient(timeout=10) as client:
        while True:
            with contextlib.suppress(httpx.TransportError):
                url = f"{adapter.url}/open311/{CHANNEL}/v2/requests.json"
                answer = await client.post(url, data=form, headers={"Idempotency-Key": str(number)})
                if answer.status_code != 503:
                    assert answer.status_code == 200, answer.text
                    id: str = answer.json()[0]["service_request_id"]
                    return id
            await asyncio.sleep(0.05)


async def resolve(settings: KafkaSettings, cases: list[str]) -> None:
    """The router writes into the channel's in topic that the work is done."""
    producer = TransactionalProducer(settings, transactional_id="test-open311-router")
    await producer.start()
    events = [
        Event(
            id=f"resolved-{case}",
            type="subak.request.resolved.v1",
            source=source("workflows"),
            subject=case,
            time="2026-11-25T09:00:00+08:00",
            data=json.dumps({"agency": "public-works", "status_notes": f"Selesai {case}."}).encode(),
        )
        for case in cases
    ]
    outputs = [Output(in_topic(CHANNEL), event.key, event.data, event.headers()) for event in events]
    await producer.commit(outputs, {}, "test-open311-router")
    await producer.stop()


async def published(settings: KafkaSettings) -> list[str]:
    """The cases of what the channel's out topic holds."""
    reader = TopicReader(settings, name="test")
    await reader.start(partitions_of([out_topic(CHANNEL)], settings.partitions))
    found = [Event.from_record(r.headers, r.value) async for records in reader.to_end() for r in records]
    await reader.stop()
    return [event.subject for event in found]


async def test_killed_again_and_again_each_request_is_there_once_with_what_became_of_it(
    adapter: AdapterProcess, settings: KafkaSettings
) -> None:
    work = [asyncio.create_task(submitted(adapter, number)) for number in range(REQUESTS)]
    for _ in range(2):
        await asyncio.sleep(0.15)
        await adapter.end(signal.SIGKILL)
        await adapter.start()
    cases = await asyncio.gather(*work)
    assert len(set(cases)) == REQUESTS

    resolving = asyncio.create_task(resolve(settings, cases[::2]))
    await asyncio.sleep(0.3)
    await adapter.end(signal.SIGKILL)
    await resolving
    await adapter.start()
    url = f"{adapter.url}/open311/{CHANNEL}/v2"
    async with httpx.AsyncClient(timeout=30) as client, asyncio.timeout(90):
        while len((await client.get(f"{url}/requests.json?status=closed")).json()) < REQUESTS // 2:
            await asyncio.sleep(0.2)
        found = {one["service_request_id"]: one for one in (await client.get(f"{url}/requests.json")).json()}
        updates = (await client.get(f"{url}/servicerequestupdates.json")).json()
        while len(out := await published(settings)) < REQUESTS:
            await asyncio.sleep(0.2)
    assert [found[case]["status"] for case in cases] == ["closed", "open"] * (REQUESTS // 2)
    assert found[cases[2]]["status_notes"] == f"Selesai {cases[2]}."
    assert sorted(one["service_request_id"] for one in updates) == sorted(cases[::2])
    assert sorted(out) == sorted(cases), "in Kafka each exactly once"
