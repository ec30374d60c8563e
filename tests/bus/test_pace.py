"""At rest fetches wait long and return at once with the first byte; under load they are few and full."""

from __future__ import annotations

import asyncio
import time
from dataclasses import replace

import pytest

from bus.kafka import Output, TopicReader, TransactionalProducer, ensure_topics, partitions_of
from bus.kafka.pace import REST_AFTER_SECONDS, REST_WAIT_SECONDS
from bus.topics import EVENTS
from deploy.local.kafka import LocalKafka
from schemas.failures import Misconfigured
from tests.support.counting import settings_for

pytestmark = pytest.mark.kafka


async def test_the_client_fetches_at_the_pace_that_it_is_told(kafka: LocalKafka) -> None:
    settings = settings_for(kafka.bootstrap_servers)
    await ensure_topics(settings, [])
    reader = TopicReader(settings, name="pace")
    await reader.start(partitions_of([EVENTS], settings.partitions))
    ends = await reader.end_offsets()
    await reader.seek(ends)
    client = reader._client()._client
    asked: list[float] = []
    send = client.send

    async def counting(node: int, request: object, **more: object) -> object:
        if type(request).__name__.startswith("Fetch"):
            asked.append(time.monotonic())
        return await send(node, request, **more)

    client.send = counting
    await poll(reader, REST_AFTER_SECONDS + 0.5)
    asked.clear()
    await poll(reader, 3.0)
    assert 0 < len(asked) <= 3.0 / REST_WAIT_SECONDS + 2, "fetches at rest do not wait"
    producer = TransactionalProducer(settings, transactional_id="pace")
    await producer.start()
    await producer.commit([Output(EVENTS, b"k", b"v")], {}, "pace")
    began = time.monotonic()
    while not await reader.read(wait_seconds=0.1):
        assert time.monotonic() - began < 5, "a record at rest did not come"
    asked.clear()
    await poll(reader, REST_AFTER_SECONDS * 0.8)
    assert len(asked) > 2 * REST_AFTER_SECONDS / REST_WAIT_SECONDS, "fetches under load wait as long as at rest"
    await producer.stop()
    await reader.stop()


async def poll(reader: TopicReader, seconds: float) -> None:
    end = time.monotonic() + seconds
    while time.monotonic() < end:
        await reader.read(wait_seconds=0.05)
        await asyncio.sleep(0)


async def test_a_reader_that_was_told_of_fewer_partitions_than_there_are_reads_nothing(kafka: LocalKafka) -> None:
    settings = settings_for(kafka.bootstrap_servers)
    await ensure_topics(settings, [])
    reader = TopicReader(replace(settings, partitions=1), name="fewer")
    with pytest.raises(Misconfigured, match="SUBAK_KAFKA_PARTITIONS=4"):
        await reader.start(partitions_of([EVENTS], 1))
