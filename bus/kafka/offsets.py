"""Positions of groups and ends of topics, asked once: for relays that start, and for tools that show lag."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import AsyncIterator, Awaitable, Callable, Iterable
from typing import TypeVar

from aiokafka import TopicPartition
from aiokafka.admin import AIOKafkaAdminClient

from bus.kafka.closing import closed_for_good
from bus.kafka.errors import BrokerUnavailable
from bus.kafka.reader import TopicReader
from bus.kafka.refusal import explained
from bus.kafka.settings import KafkaSettings


@contextlib.asynccontextmanager
async def admin_client(settings: KafkaSettings, doing: str) -> AsyncIterator[AIOKafkaAdminClient]:
    """A client for administration that is closed whatever happens; its errors are sorted."""
    client = AIOKafkaAdminClient(**settings.client("admin"))
    try:
        async with asyncio.timeout(30):
            await client.start()
        yield client
    except Exception as error:
        raise await explained(error, doing, settings) from error
    finally:
        await closed_for_good(client.close, tls=settings.security.protocol != "PLAINTEXT")


T = TypeVar("T")
ASKED_TIMES_MAX = 10
"""One of three is the wrong one: six times in a row once in 700, and a doctor asks more often than that."""
ASKED_AGAIN_SECONDS = 0.5


async def asked_again(ask: Callable[[], Awaitable[T]]) -> T:
    """What `ask` gives. The client asks any broker that it heard of, and of three one may be gone: then another one.

    Raises:
        BrokerUnavailable: none has answered in several tries.
    """
    for _ in range(ASKED_TIMES_MAX - 1):
        try:
            return await ask()
        except BrokerUnavailable:
            await asyncio.sleep(ASKED_AGAIN_SECONDS)
    return await ask()


async def committed(
    settings: KafkaSettings, group: str, partitions: Iterable[tuple[str, int]]
) -> dict[tuple[str, int], int | None]:
    """The committed offset of `group` for each partition; None where it has none.

    Raises:
        BrokerUnavailable: no answer in time.
    """
    wanted = [TopicPartition(topic, number) for topic, number in partitions]
    async with admin_client(settings, f"asking for the offsets of {group}") as client:
        found = await client.list_consumer_group_offsets(group, partitions=wanted)
    return {
        (tp.topic, tp.partition): found[tp].offset if tp in found and found[tp].offset >= 0 else None for tp in wanted
    }


async def group_positions(settings: KafkaSettings) -> dict[str, dict[tuple[str, int], int]]:
    """What every group of the cluster has committed: group → (topic, partition) → offset. For tools that show lag.

    Raises:
        BrokerUnavailable: no answer in time.
    """

    async def ask() -> dict[str, dict[tuple[str, int], int]]:
        found: dict[str, dict[tuple[str, int], int]] = {}
        async with admin_client(settings, "asking for the groups' offsets") as client:
            for group, *_ in await client.list_consumer_groups():
                offsets = await client.list_consumer_group_offsets(group)
                found[group] = {(tp.topic, tp.partition): at.offset for tp, at in offsets.items() if at.offset >= 0}
        return found

    return await asked_again(ask)


async def ends(settings: KafkaSettings, topics: Iterable[str]) -> dict[tuple[str, int], tuple[int, int]]:
    """For every partition of `topics`: its oldest offset, and where it ends for a reader of committed records."""
    reader = TopicReader(settings, name="ends")
    await reader.start({(topic, number): 0 for topic in topics for number in range(settings.partitions)})
    try:
        first, last = await reader.beginning_offsets(), await reader.end_offsets()
    finally:
        await reader.stop()
    return {tp: (first[tp], last[tp]) for tp in last}
