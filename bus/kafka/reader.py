"""A reader without a group: it goes where it is told to begin, and its caller keeps the position.

For those whose position lives beside what they write (casebook, inbox), and for whoever reads a topic to its end
(state, ids of the last day, the operator's `tail`). It sees committed records only and never starts over by itself.
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import AsyncIterator, Iterable, Mapping

from aiokafka import AIOKafkaConsumer, ConsumerRecord, TopicPartition
from aiokafka.errors import OffsetOutOfRangeError, UnknownTopicOrPartitionError

from bus.kafka.closing import discard
from bus.kafka.errors import sorted_error
from bus.kafka.pace import Pace
from bus.kafka.refusal import explained
from bus.kafka.settings import KafkaSettings
from bus.kafka.tool_offsets import ToolOffsets
from bus.records import Record
from schemas.failures import Misconfigured

START_SECONDS_MAX = 60.0
"""How long the first connection may take before the reader gives up."""

METADATA_WAIT_SECONDS = 15.0
"""How long a topic may be unknown: a broker that has just started knows none, and says so of those that exist."""


def record_of(raw: ConsumerRecord[bytes, bytes]) -> Record:
    """A client's record as ours."""
    return Record(raw.topic, raw.partition, raw.offset, raw.timestamp, raw.key, raw.value, raw.headers)


class TopicReader:
    """Reads chosen partitions from chosen offsets."""

    def __init__(self, settings: KafkaSettings, *, name: str, gather_seconds: float | None = None) -> None:
        """
        Args:
            gather_seconds: nobody waits for this reader, so its fetches gather for so long. None: it hurries.
        """
        self.name = name
        self._settings = settings
        self._gather_seconds = gather_seconds
        self._consumer: AIOKafkaConsumer | None = None
        self._assigned: set[TopicPartition] = set()
        self._tool_offsets: ToolOffsets | None = None
        self._pace: Pace | None = None

    async def start(self, positions: Mapping[tuple[str, int], int]) -> None:
        """Begin to read each (topic, partition) at its offset.

        Raises:
            BrokerUnavailable: no answer in time.
            Misconfigured: a topic or partition does not exist.
        """
        consumer = AIOKafkaConsumer(group_id=None, **self._settings.consumer(self.name))
        try:
            async with asyncio.timeout(START_SECONDS_MAX):
                await consumer.start()
                self._assigned = {TopicPartition(topic, number) for topic, number in positions}
                for topic in {topic for topic, _ in positions}:
                    await _require(consumer, topic, self._settings.partitions)
                if self._assigned:
                    consumer.assign(self._assigned)
                for (topic, number), offset in positions.items():
                    consumer.seek(TopicPartition(topic, number), offset)
        except BaseException as error:
            await discard(consumer)
            if isinstance(error, Exception):
                raise await explained(error, f"starting the reader {self.name}", self._settings) from error
            raise
        self._consumer = consumer
        self._pace = Pace(consumer, self._settings, self._gather_seconds)

    async def read(self, *, records_max: int = 1000, wait_seconds: float = 0.2) -> list[Record]:
        """The next records, in order within each partition; empty when none came within `wait_seconds`.

        Raises:
            BrokerUnavailable: try again; positions are kept.
            Misconfigured: the position lies outside what the topic still holds.
        """
        try:
            found = await self._client().getmany(timeout_ms=int(wait_seconds * 1000), max_records=records_max)
        except OffsetOutOfRangeError as error:
            raise Misconfigured(
                f"{self.name} stands at {error.args[0] if error.args else 'a position'}, which its topic no longer "
                "holds (retention, or a topic made anew). Rebuild from the beginning, or restore the topic."
            ) from error
        except Exception as error:
            raise sorted_error(error, f"reading as {self.name}") from error
        records = [record_of(raw) for raws in found.values() for raw in raws]
        if self._pace is not None:
            self._pace.saw(min((record.timestamp_ms for record in records), default=None))
        return records

    async def to_end(self, *, records_max: int = 5000) -> AsyncIterator[list[Record]]:
        """All records up to the end as it is now, in parts. Ends also where the last records are only markers."""
        ends = await self.end_offsets()
        while await self._behind(ends):
            records = await self.read(records_max=records_max, wait_seconds=0.1)
            if records:
                yield records

    async def _behind(self, ends: Mapping[tuple[str, int], int]) -> bool:
        client = self._client()
        for (topic, number), end in ends.items():
            if await client.position(TopicPartition(topic, number)) < end:
                return True
        return False

    async def end_offsets(self) -> dict[tuple[str, int], int]:
        """Where each partition ends for a reader of committed records (its last stable offset)."""
        return await self._offsets("end")

    async def beginning_offsets(self) -> dict[tuple[str, int], int]:
        """The oldest offset that each partition still holds."""
        return await self._offsets("beginning")

    async def _offsets(self, which: str) -> dict[tuple[str, int], int]:
        client = self._client()
        ask = client.end_offsets if which == "end" else client.beginning_offsets
        try:
            async with asyncio.timeout(self._settings.request_timeout_seconds * 2):
                found = await ask(list(self._assigned))
        except Exception as error:
            raise sorted_error(error, f"asking for the {which} of topics as {self.name}") from error
        return {(tp.topic, tp.partition): offset for tp, offset in found.items()}

    async def positions(self) -> dict[tuple[str, int], int]:
        """Where the next `read` begins: past what it has given, and past the transactions' markers that it skipped."""
        client = self._client()
        return {(tp.topic, tp.partition): await client.position(tp) for tp in self._assigned}

    async def seek(self, positions: Mapping[tuple[str, int], int]) -> None:
        """Go on from other offsets."""
        for (topic, number), offset in positions.items():
            self._client().seek(TopicPartition(topic, number), offset)

    async def offsets_at(self, timestamp_ms: int) -> dict[tuple[str, int], int]:
        """The first offset of each partition at or after that moment; its end where nothing is so young."""
        client = self._client()
        try:
            async with asyncio.timeout(self._settings.request_timeout_seconds * 2):
                found = await client.offsets_for_times(dict.fromkeys(self._assigned, timestamp_ms))
        except Exception as error:
            raise sorted_error(error, f"asking for offsets by time as {self.name}") from error
        ends = await self.end_offsets()
        return {
            (tp.topic, tp.partition): at.offset if at is not None else ends[tp.topic, tp.partition]
            for tp, at in found.items()
        }

    async def commit_copy(self, positions: Mapping[tuple[str, int], int]) -> None:
        """Store the positions under the group `name` too, so that tools which look at groups see the lag.

        A copy for the eye: nothing starts from it.
        """
        if self._tool_offsets is None:
            self._tool_offsets = ToolOffsets(self._settings, self.name)
        await self._tool_offsets.commit(positions)

    async def stop(self) -> None:
        """Close the connections."""
        if self._tool_offsets is not None:
            await self._tool_offsets.stop()
        consumer, self._consumer = self._consumer, None
        if consumer is not None:
            await discard(consumer)

    def _client(self) -> AIOKafkaConsumer:
        if self._consumer is None:
            raise Misconfigured(f"the reader {self.name} is not started")
        return self._consumer


async def _require(consumer: AIOKafkaConsumer, topic: str, partitions: int) -> None:
    """Refuse a topic that does not exist, or that has other partitions than the bus: some would never be read."""
    deadline = time.monotonic() + METADATA_WAIT_SECONDS
    while True:
        try:
            there = len(await consumer._client._wait_on_metadata(topic))
            break
        except UnknownTopicOrPartitionError:
            if time.monotonic() > deadline:
                raise Misconfigured(
                    f"the topic {topic} is missing. Create the bus's topics: `subak topics create`."
                ) from None
            await asyncio.sleep(0.25)
    if there != partitions:
        raise Misconfigured(
            f"the topic {topic} has {there} partitions and this process was told of {partitions}, so some would be "
            f"read by nobody. Set SUBAK_KAFKA_PARTITIONS={there}."
        )


def partitions_of(topics: Iterable[str], partitions: int) -> dict[tuple[str, int], int]:
    """The beginning of every partition of `topics`, as positions for `TopicReader.start`."""
    return {(topic, number): 0 for topic in topics for number in range(partitions)}
