"""Fetches return at once with the first byte, however idle the bus; where what comes is late they are few and full."""

from __future__ import annotations

import asyncio
import time
from dataclasses import replace
from types import SimpleNamespace

import pytest
from aiokafka.errors import ConcurrentTransactions
from aiokafka.producer.sender import AddPartitionsToTxnHandler

from bus.kafka import Output, TopicReader, TransactionalProducer, ensure_topics, partitions_of
from bus.kafka.pace import BEHIND_SECONDS, PROMPT_WAIT_SECONDS, STAYS_BEHIND_SECONDS, Lateness
from bus.kafka.transactions import PUT_OFF_SECONDS
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
    await reader.read(wait_seconds=0.05)
    await poll(reader, 1.0)
    asked.clear()
    await poll(reader, 3.0)
    assert 0 < len(asked) <= 3.0 / PROMPT_WAIT_SECONDS + 2, "fetches at rest do not wait"
    producer = TransactionalProducer(settings, transactional_id="pace")
    await producer.start()
    await producer.commit([Output(EVENTS, b"k", b"v")], {}, "pace")
    began = time.monotonic()
    while not await reader.read(wait_seconds=1):
        assert time.monotonic() - began < 5, "a record at rest did not come"
    await asyncio.sleep(BEHIND_SECONDS + 0.05)
    await reader.seek(ends)
    while not await reader.read(wait_seconds=0.05):
        assert time.monotonic() - began < 10, "the record did not come again"
    fetcher = reader._client()._fetcher
    assert fetcher._fetch_min_bytes == settings.fetch_bytes_min, "the record was late, and fetches do not gather"
    await poll(reader, STAYS_BEHIND_SECONDS + 0.1)
    assert fetcher._fetch_min_bytes == 1, "nothing is late any more, and fetches still gather"
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


async def test_a_reader_that_nobody_waits_for_lets_records_come_together(kafka: LocalKafka) -> None:
    settings = settings_for(kafka.bootstrap_servers)
    await ensure_topics(settings, [])
    reader = TopicReader(settings, name="patient", gather_seconds=0.3)
    await reader.start(partitions_of([EVENTS], settings.partitions))
    await reader.seek(await reader.end_offsets())
    await poll(reader, STAYS_BEHIND_SECONDS + 0.1)
    fetcher = reader._client()._fetcher
    assert (fetcher._fetch_min_bytes, fetcher._fetch_max_wait_ms) == (settings.fetch_bytes_min, 300)
    await reader.stop()


def test_the_client_opens_a_transaction_that_kafka_put_off_again_when_it_is_told_to() -> None:
    client = SimpleNamespace(_txn_manager=SimpleNamespace(txn_partitions=set()), _retry_backoff=1.0)
    put_off = SimpleNamespace(errors=[("topic", [(0, ConcurrentTransactions.errno)])])
    assert AddPartitionsToTxnHandler(client, []).handle_response(put_off) == PUT_OFF_SECONDS


def test_a_hop_that_waits_does_not_keep_itself_behind() -> None:
    now = [100.0]
    lateness = Lateness(0.06, clock=lambda: now[0])
    waited = BEHIND_SECONDS + 0.05
    behind = []
    for seconds, age in (
        (0.0, waited),  # it has not waited, so this is late
        (STAYS_BEHIND_SECONDS - 0.01, waited),  # its own wait explains that
        (0.02, waited),  # and this too: it waited until a moment ago
        (STAYS_BEHIND_SECONDS, waited),
        (STAYS_BEHIND_SECONDS - 0.01, waited + 0.02),  # later than its own wait explains
        (STAYS_BEHIND_SECONDS - 0.01, 0.0),
    ):
        now[0] += seconds
        lateness.saw(age)
        behind.append(lateness.behind)
    assert behind == [True, True, False, True, True, True]


def test_a_hop_is_behind_for_a_while_after_the_last_late_record() -> None:
    now = [100.0]
    lateness = Lateness(0.0, clock=lambda: now[0])
    behind = []
    for seconds, age in (
        (0.0, BEHIND_SECONDS),
        (0.0, BEHIND_SECONDS + 0.01),
        (STAYS_BEHIND_SECONDS - 0.01, 0.0),
        (0.02, 0),
    ):
        now[0] += seconds
        lateness.saw(age)
        behind.append(lateness.behind)
    assert behind == [False, True, True, False]
