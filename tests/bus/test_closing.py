"""Closing a client of Kafka's never ends whoever closes it, wherever the broker is."""

from __future__ import annotations

import asyncio

import pytest

from bus.kafka import KafkaSettings, TopicReader, ensure_topics, partitions_of
from bus.kafka.closing import closed
from bus.kafka.tool_offsets import ToolOffsets
from bus.process import until_stopped
from bus.topics import EVENTS
from deploy.local.kafka import LocalKafka
from schemas.failures import Retryable
from tests.support.counting import settings_for


@pytest.mark.kafka
async def test_a_reader_that_is_stopped_while_the_broker_is_gone_does_not_cancel_its_owner(kafka: LocalKafka) -> None:
    settings: KafkaSettings = settings_for(kafka.bootstrap_servers)
    await ensure_topics(settings, [])
    readers = [TopicReader(settings, name=f"closing-{number}") for number in range(10)]
    for reader in readers:
        await reader.start(partitions_of([EVENTS], settings.partitions))
        await reader.read(wait_seconds=0.05)
    await asyncio.to_thread(kafka.kill)
    try:
        await asyncio.sleep(0.5)
        ended = await asyncio.gather(*(reader.stop() for reader in readers), return_exceptions=True)
    finally:
        await asyncio.to_thread(kafka.start)
    assert ended == [None] * len(readers)


@pytest.mark.kafka
async def test_the_copy_of_a_position_ends_nobody_while_the_broker_is_gone(kafka: LocalKafka) -> None:
    settings = settings_for(kafka.bootstrap_servers)
    await ensure_topics(settings, [])
    copies = [ToolOffsets(settings, f"copy-{number}") for number in range(10)]
    for copy in copies:
        await copy.commit({(EVENTS, 0): 0})
    await asyncio.to_thread(kafka.kill)
    try:
        await asyncio.sleep(0.5)
        ended = await asyncio.gather(*(copy.stop() for copy in copies), return_exceptions=True)
    finally:
        await asyncio.to_thread(kafka.start)
    assert ended == [None] * len(copies)


async def test_what_a_client_raises_while_it_closes_is_only_told() -> None:
    async def cancelled() -> None:
        raise asyncio.CancelledError

    async def failing() -> None:
        raise OSError("gone")

    async def endless() -> None:
        await asyncio.sleep(3600)

    async def well() -> None:
        await asyncio.sleep(0)

    assert [await closed(close, seconds=0.05) for close in (cancelled, failing, endless, well)] == [False] * 3 + [True]


async def test_a_process_whose_part_was_cancelled_from_within_does_not_end_as_if_it_was_asked_to() -> None:
    async def part() -> None:
        raise asyncio.CancelledError

    with pytest.raises(Retryable, match=r"inbox.*nobody had asked"):
        await until_stopped(asyncio.Event(), asyncio.create_task(part(), name="inbox"))
