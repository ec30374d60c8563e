"""A stage: consume, decide, produce, exactly once. FastStream reads and lives; lanes decide and commit.

FastStream's part is the life of the consumer, the rebalance listener and the loop that reads. It must never commit, so
the policy is MANUAL and nothing calls `ack`. Its parser must never fail, or the record would vanish: ours looks at
nothing. Its decoder is asynchronous, or each batch would hop through a thread. So a batch costs less than a microsecond
for each record, and arrives as the raw records of the client.
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any

from aiokafka import ConsumerRebalanceListener, ConsumerRecord, TopicPartition
from aiokafka.coordinator.assignors.range import RangePartitionAssignor
from aiokafka.errors import KafkaError
from faststream import AckPolicy
from faststream.kafka import KafkaBroker
from faststream.kafka.message import KafkaMessage

from bus import metrics
from bus.backoff import Backoff
from bus.kafka.closing import closed
from bus.kafka.faststream_security import faststream_security
from bus.kafka.lane import Lane, LaneSettings
from bus.kafka.offsets import admin_client
from bus.kafka.pace import Pace
from bus.kafka.reader import record_of
from bus.kafka.settings import KafkaSettings
from bus.logic import Logic
from bus.logs import get_logger
from bus.records import Record
from schemas.failures import Misconfigured, Retryable

log = get_logger("stage")


STOP_SECONDS_MAX = 5.0
"""How long leaving the group may take, where Kafka does not answer."""


SHOW_SECONDS_MAX = 2.0
"""How long showing the positions may take: it also stands between a revocation and the next owner."""


@dataclass(frozen=True, kw_only=True)
class StageSettings:
    """One stage's reading."""

    poll_records_max: int = 4000
    """Records that one poll may bring."""

    poll_wait_seconds: float = 0.02
    """How long a poll waits, and then sleeps again when it was empty: bounds latency and idle work."""

    gather_seconds: float | None = None
    """Nobody waits for what this stage says: its fetches, and so its transactions, gather for so long. None: hurry."""

    lane: LaneSettings = field(default_factory=LaneSettings)

    show_seconds: float = 1.0
    """How often the positions are shown as the group's offsets, for tools that look at groups."""

    stalled_seconds: float = 60.0
    """Records wait and no lane has moved for so long: the stage is not alive. After half of it, it is not ready."""


class Stage(ConsumerRebalanceListener):  # type: ignore[misc]  # aiokafka has no types
    """Consumes topics as the group `name`, with one lane for each partition number that it is assigned."""

    def __init__(
        self,
        *,
        name: str,
        logic: Callable[[int], Logic],
        kafka: KafkaSettings,
        topics: tuple[str, ...] = (),
        pattern: str | None = None,
        settings: StageSettings | None = None,
    ) -> None:
        self.name = name
        self.lanes: dict[int, Lane] = {}
        self.failed: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        """Never has a result: raises what stopped the stage, if something did."""
        self._logic = logic
        self._kafka = kafka
        self._settings = settings or StageSettings()
        self._pace: Pace | None = None
        self._assigned_once = False
        self._shown: dict[tuple[str, int], int] = {}
        self._showing: asyncio.Task[None] | None = None
        self._away: str | None = None
        """Why Kafka cannot be joined, in words; None when it can."""
        self._broker = KafkaBroker(
            kafka.bootstrap_servers.split(","),  # FastStream takes one text for one host, commas and all
            client_id=f"{kafka.client_id}-{name}",
            logger=None,
            allow_auto_create_topics=False,
            request_timeout_ms=int(kafka.request_timeout_seconds * 1000),
            security=faststream_security(kafka.security),
        )
        self._subscriber = self._broker.subscriber(
            *topics,
            pattern=pattern,
            group_id=name,
            batch=True,
            ack_policy=AckPolicy.MANUAL,
            max_records=self._settings.poll_records_max,
            batch_timeout_ms=int(self._settings.poll_wait_seconds * 1000),
            parser=_parse,
            decoder=_decode,
            listener=self,
            isolation_level="read_committed",
            auto_offset_reset="none",
            partition_assignment_strategy=[RangePartitionAssignor],
            session_timeout_ms=int(kafka.session_timeout_seconds * 1000),
            heartbeat_interval_ms=int(kafka.session_timeout_seconds * 1000 / 4),
            rebalance_timeout_ms=30_000,
            max_poll_interval_ms=300_000,
            fetch_max_wait_ms=int(kafka.fetch_wait_seconds * 1000),
            fetch_min_bytes=kafka.fetch_bytes_min,
            max_partition_fetch_bytes=4 * 1024 * 1024,
        )
        self._subscriber(self._receive)

    async def start(self) -> None:
        """Join the group, as soon as Kafka is there. Lanes start as partitions are assigned."""
        await self._until_kafka_answers()
        await self._broker.start()
        self._showing = asyncio.create_task(self._show_positions(), name=f"{self.name}-positions")

    async def stop(self) -> None:
        """Finish what is in hand, commit it, leave the group."""
        if self._showing is not None:
            self._showing.cancel()
        await self._stop_lanes()
        await closed(self._broker.stop, seconds=STOP_SECONDS_MAX)

    async def _stop_lanes(self) -> None:
        """Give all numbers up, with their last positions shown."""
        lanes = list(self.lanes.values())
        await asyncio.gather(*(lane.stop() for lane in lanes))
        self.lanes.clear()
        await self._show({place: offset for lane in lanes for place, offset in lane.positions.items()})

    # -- the group's offsets: a copy for the eye, since nothing of Subak starts from it

    async def _show_positions(self) -> None:
        while True:
            await asyncio.sleep(self._settings.show_seconds)
            lanes = [lane for lane in self.lanes.values() if lane.ready]
            await self._show({place: offset for lane in lanes for place, offset in lane.positions.items()})

    async def _show(self, positions: Mapping[tuple[str, int], int]) -> None:
        """Commit what moved since the last time. A failure is no harm: the next time brings newer ones."""
        moved = {TopicPartition(*place): at for place, at in positions.items() if self._shown.get(place) != at}
        consumer = self._subscriber.consumer
        if not moved or consumer is None:
            return
        try:
            async with asyncio.timeout(SHOW_SECONDS_MAX):
                await consumer.commit(moved)
        except (KafkaError, TimeoutError) as error:
            log.debug("positions_not_shown", stage=self.name, error=repr(error))
        else:
            self._shown.update(positions)

    async def _until_kafka_answers(self) -> None:
        """A broker that is away is waited for: FastStream gives up at the first refusal."""
        backoff = Backoff(self._settings.lane.retry_seconds_min, self._settings.lane.retry_seconds_max)
        while True:
            try:
                async with admin_client(self._kafka, f"starting the stage {self.name}"):
                    break
            except Retryable as error:
                self._away = str(error)
                log.warning("stage_waited", stage=self.name, error=self._away, failures=backoff.failures)
                await asyncio.sleep(backoff.next_seconds())
        self._away = None

    # -- what FastStream calls

    async def _receive(self, records: Any) -> None:
        """Hand records over. FastStream passes over what this raises and goes on with the next ones: then those of
        this batch would be lost, since a lane counts what it was given last. So a failure is the stage's, and from
        then on no lane is given anything."""
        if self.failed.done():
            return
        try:
            self._hand_over(records)
        except Exception as error:
            self._fail(error)
            raise

    def _hand_over(self, records: Any) -> None:
        self._keep_pace(min((raw.timestamp for raw in records), default=None))
        by_number: dict[int, list[Record]] = {}
        for raw in records:
            by_number.setdefault(raw.partition, []).append(record_of(raw))
        for number, group in by_number.items():
            lane = self.lanes.get(number)
            if lane is not None:
                lane.put(group)

    def _keep_pace(self, oldest_ms: int | None) -> None:
        if self._subscriber.consumer is not None:
            self._pace = self._pace or Pace(self._subscriber.consumer, self._kafka, self._settings.gather_seconds)
            self._pace.saw(oldest_ms)

    async def on_partitions_revoked(self, revoked: set[TopicPartition]) -> None:
        """Stop every lane: the assignor is eager, so all numbers are given up before any is given out."""
        if self.lanes:
            log.info("partitions_revoked", stage=self.name, partitions=sorted(self.lanes))
        await self._stop_lanes()

    async def on_partitions_assigned(self, assigned: set[TopicPartition]) -> None:
        """Start a lane for each number. It fences, restores and seeks by itself, while the group goes on."""
        self._assigned_once = True
        topics: dict[int, set[str]] = {}
        for tp in assigned:
            topics.setdefault(tp.partition, set()).add(tp.topic)
        log.info("partitions_assigned", stage=self.name, partitions=sorted(topics))
        if topics and max(topics) >= self._kafka.partitions:
            self._fail(
                Misconfigured(
                    f"{self.name} was assigned partition {max(topics)}, but the bus has {self._kafka.partitions} "
                    "partitions. All topics must have the same number: compare `subak topics check`."
                )
            )
            return
        for tp in assigned:
            # A partition without a position makes the client's fetch fail for all; lanes seek to the true one.
            self._consumer().seek(tp, 0)
        for number, names in topics.items():
            self.pause(number)
            lane = Lane(
                stage=self.name,
                number=number,
                topics=frozenset(names),
                logic=self._logic,
                source=self,
                kafka=self._kafka,
                settings=self._settings.lane,
                on_fatal=self._fail,
            )
            self.lanes[number] = lane
            lane.start()

    def _fail(self, error: Exception) -> None:
        if not self.failed.done():
            self.failed.set_exception(error)

    # -- what lanes call (lane.Source)

    def seek(self, positions: Mapping[tuple[str, int], int]) -> None:
        """Read from here on. Partitions that were revoked meanwhile are left alone."""
        for tp in self._mine():
            if (tp.topic, tp.partition) in positions:
                self._consumer().seek(tp, positions[tp.topic, tp.partition])

    def pause(self, number: int) -> None:
        """Let the broker keep what comes for this number."""
        self._consumer().pause(*(tp for tp in self._mine() if tp.partition == number))

    def resume(self, number: int) -> None:
        """Fetch this number again."""
        self._consumer().resume(*(tp for tp in self._mine() if tp.partition == number))

    def _mine(self) -> frozenset[TopicPartition]:
        return frozenset(self._consumer().assignment())

    def _consumer(self) -> Any:
        consumer = self._subscriber.consumer
        if consumer is None:
            raise Misconfigured(f"the stage {self.name} is not started")
        return consumer

    # -- health

    async def report(self) -> None:
        """Set the metrics of lag and memory of each partition number: lag from what the last fetches told."""
        self._keep_pace(None)
        for number, claimed in self.lanes.items():
            for kind, count in claimed.sizes().items():
                metrics.memory_entries.labels(self.name, str(number), kind).set(count)
        if self._subscriber.consumer is None:
            return
        now_ms = time.time() * 1000
        records: dict[int, int] = {}
        for tp in self._mine():
            end = self._consumer().last_stable_offset(tp)
            lane = self.lanes.get(tp.partition)
            if end is not None and lane is not None and lane.ready:
                # The reading position, since it passes over the markers that end each transaction.
                unread = max(0, end - await self._consumer().position(tp))
                records[tp.partition] = records.get(tp.partition, lane.waiting) + unread
        for number, count in records.items():
            metrics.lag_records.labels(self.name, str(number)).set(count)
            lane = self.lanes.get(number)
            oldest_ms = lane.oldest_waiting_ms if lane is not None else None
            seconds = max(0.0, (now_ms - oldest_ms) / 1000) if oldest_ms is not None else 0.0
            metrics.lag_seconds.labels(self.name, str(number)).set(seconds)

    def why_not_ready(self) -> str | None:
        """Why this stage cannot work now, in words; None when it can. A member without partitions is ready."""
        if self._away is not None:
            return self._away
        if not self._assigned_once:
            return "the group has not assigned partitions yet"
        waiting = sorted(number for number, lane in self.lanes.items() if not lane.ready)
        if waiting:
            return f"partitions {waiting} are being claimed"
        return self._stalled(self._settings.stalled_seconds / 2)

    def why_not_alive(self) -> str | None:
        """Why a restart would help, in words; None when all moves: lag that stands still is a dead stage."""
        return self._stalled(self._settings.stalled_seconds)

    def _stalled(self, seconds: float) -> str | None:
        now = time.monotonic()
        for number, lane in self.lanes.items():
            if lane.waiting and lane.ready and now - lane.last_progress > seconds:
                return f"partition {number}: {lane.waiting} records wait and nothing moved for {seconds:.0f} s"
        return None


async def _parse(raw: tuple[ConsumerRecord[bytes, bytes], ...]) -> KafkaMessage:
    """A batch as FastStream's message, looking at no header: one bad byte in one would lose the whole batch."""
    return KafkaMessage(
        body=b"", headers={}, batch_headers=[], raw_message=raw, content_type=None, consumer=_NoConsumer()
    )


async def _decode(message: KafkaMessage) -> Any:
    return message.raw_message


class _NoConsumer:
    """Stands where FastStream would commit or seek by itself. Nothing may."""

    async def commit(self) -> None:
        raise Misconfigured("a stage commits in its transactions only")

    def seek(self, partition: TopicPartition, offset: int) -> None:
        raise Misconfigured("only a lane moves its position")
