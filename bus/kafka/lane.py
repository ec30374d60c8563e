"""A lane: one partition number of one stage, from the fence to the commit. It owns its cases whole and alone.

The order on assignment is what makes it exactly-once, and each step needs the one before it:
1. start the producer of this number: every older owner is fenced, its open transaction aborted;
2. take the position from the log, where each transaction wrote it together with what it covers;
3. read memory back from the changelog, which nobody else can write to any more;
4. seek there, and only then let records in. What came before is dropped, and read again from the position.

After a transaction whose outcome is unknown, the same four steps run again. A lane that is fenced waits for its group
to say who owns the number now. Nothing here is shared between lanes but the connection that reads.
"""

from __future__ import annotations

import asyncio
import time
from collections import deque
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Protocol

import msgspec

from bus import metrics, tracing
from bus.kafka.errors import BrokerUnavailable, Fenced
from bus.kafka.pace import Lateness
from bus.kafka.position import Position, standing_position
from bus.kafka.reader import TopicReader
from bus.kafka.settings import KafkaSettings
from bus.kafka.topics import position_key
from bus.kafka.transactions import TransactionalProducer
from bus.logic import Decided, Logic
from bus.logs import get_logger
from bus.records import Output, Record
from bus.topics import POSITIONS
from schemas.failures import Retryable
from schemas.identifiers import new_id

log = get_logger("lane")


@dataclass(frozen=True, kw_only=True)
class LaneSettings:
    """How one lane batches and how long it waits."""

    batch_records_max: int = 2000
    """Records in one transaction. More is faster; an abort repeats at most this many."""

    queue_records_max: int = 4000
    """Records that may wait in memory before reading of this number pauses (one more poll may come); it goes on at
    half of that."""

    interval_seconds_min: float = 0.05
    """From one transaction to the next where the lane is behind (`pace.py`): more records share one, which spares the
    broker. Nothing that is fresh waits for it."""

    timer_check_seconds: float = 1.0
    """How exact timers are."""

    retry_seconds_min: float = 0.2
    retry_seconds_max: float = 5.0
    """Pause between attempts while the broker is away: doubles from min to max."""

    fenced_wait_seconds: float = 12.0
    """How long a fenced lane waits for a rebalance before it claims its number again: two session timeouts."""

    drain_seconds_max: float = 15.0
    """How long a revocation waits for the batch in hand before it cancels it."""


class Source(Protocol):
    """The stage's consumer, as far as a lane may move it."""

    def seek(self, positions: Mapping[tuple[str, int], int]) -> None:
        """Read these partitions from these offsets."""

    def pause(self, number: int) -> None:
        """Read nothing more of this partition number for now."""

    def resume(self, number: int) -> None:
        """Read this number again."""


class Lane:
    """One partition number's loop: wait, take a batch, decide, commit, apply."""

    def __init__(
        self,
        *,
        stage: str,
        number: int,
        topics: frozenset[str],
        logic: Callable[[int], Logic],
        source: Source,
        kafka: KafkaSettings,
        settings: LaneSettings,
        on_fatal: Callable[[Exception], None],
        clock: Callable[[], datetime] = lambda: datetime.now(UTC),
    ) -> None:
        self.stage = stage
        self.number = number
        self.topics = topics
        self.ready = False
        self.last_progress = time.monotonic()
        """When this lane last committed, or had nothing to do (monotonic seconds)."""
        self._make_logic = logic
        self._logic = logic(number)
        self._source = source
        self._kafka = kafka
        self._settings = settings
        self._on_fatal = on_fatal
        self._clock = clock
        self._producer: TransactionalProducer | None = None
        self._positions: dict[str, int] = {}
        self._transaction = ""
        self._in_hand: tuple[str, Decided] | None = None
        self._committed_at = 0.0
        self._lateness = Lateness(settings.interval_seconds_min + kafka.fetch_wait_seconds)
        self._life = new_id()
        self._count = 0
        self._queue: deque[Record] = deque()
        self._wake = asyncio.Event()
        self._paused = False
        self._busy = asyncio.Lock()
        self._task: asyncio.Task[None] | None = None
        self._counts = metrics.LaneMetrics(stage, number)

    def start(self) -> None:
        """Begin in the background. Records are dropped until the lane is ready."""
        self._task = asyncio.create_task(self._run(), name=f"{self.stage}-{self.number}")
        self._task.add_done_callback(self._ended)

    def _ended(self, task: asyncio.Task[None]) -> None:
        """Cancelled, though nobody gave this lane up: then nobody would ever claim its number again."""
        if task.cancelled() and self._task is task:
            self.ready = False
            self._on_fatal(BrokerUnavailable(f"the lane {task.get_name()} was cancelled, and nobody had asked for it"))

    def put(self, records: list[Record]) -> None:
        """Hand over records of this number, in order. Dropped while the lane is not ready: it will seek."""
        if not self.ready:
            return
        self._queue.extend(records)
        self._wake.set()
        if not self._paused and len(self._queue) >= self._settings.queue_records_max:
            self._paused = True
            self._source.pause(self.number)

    @property
    def waiting(self) -> int:
        """Records in memory that no transaction has taken yet."""
        return len(self._queue)

    @property
    def oldest_waiting_ms(self) -> int | None:
        """When the log took the oldest record in memory, in milliseconds since 1970; None where none waits."""
        return self._queue[0].timestamp_ms if self._queue else None

    @property
    def positions(self) -> dict[tuple[str, int], int]:
        """Where each topic of this number goes on: (topic, number) → the offset after the last one committed."""
        return {(topic, self.number): offset for topic, offset in self._positions.items()}

    def sizes(self) -> dict[str, int]:
        """How much this lane remembers, by kind."""
        return self._logic.sizes()

    async def stop(self) -> None:
        """Finish the batch in hand, within its deadline, and give the number up."""
        self.ready = False
        self._queue.clear()
        task, self._task = self._task, None
        if task is not None:
            try:
                async with asyncio.timeout(self._settings.drain_seconds_max):
                    async with self._busy:
                        task.cancel()
            except TimeoutError:
                log.warning("lane_drain_timed_out", stage=self.stage, partition=self.number)
                task.cancel()
            await asyncio.gather(task, return_exceptions=True)
        await self._drop_producer()

    # -- the loop

    async def _run(self) -> None:
        pause = self._settings.retry_seconds_min
        while True:
            try:
                await self._claim()
                pause = self._settings.retry_seconds_min
                await self._work()
            except Fenced as error:
                self._counts.fenced.inc()
                log.warning("lane_fenced", stage=self.stage, partition=self.number, error=str(error))
                await self._forget(self._settings.fenced_wait_seconds)
            except Retryable as error:
                log.warning("lane_retried", stage=self.stage, partition=self.number, error=str(error), pause=pause)
                await self._forget(pause)
                pause = min(pause * 2, self._settings.retry_seconds_max)
            except Exception as error:
                self.ready = False
                self._on_fatal(error)
                return

    async def _forget(self, pause: float) -> None:
        """Give up what is in hand and wait; the next claim reads it again."""
        self.ready = False
        self._queue.clear()
        await self._drop_producer()
        await asyncio.sleep(pause)

    async def _drop_producer(self) -> None:
        producer, self._producer = self._producer, None
        if producer is not None:
            await producer.stop()

    async def _claim(self) -> None:
        """The four steps of the module's promise."""
        began = time.monotonic()
        producer = TransactionalProducer(self._kafka, transactional_id=f"{self.stage}-{self.number}")
        await producer.start()
        self._producer = producer
        found = await standing_position(self._kafka, self.stage, self.number, self.topics)
        restored = await self._remember(found)
        self._positions, self._transaction = found.positions, found.transaction
        self._queue.clear()
        self._wake.clear()
        self._source.seek({(topic, self.number): self._positions.get(topic, 0) for topic in self.topics})
        self._paused = False
        self._source.resume(self.number)
        self.ready = True
        self.last_progress = time.monotonic()
        log.info(
            "lane_ready",
            stage=self.stage,
            partition=self.number,
            restored=restored,
            seconds=round(time.monotonic() - began, 3),
        )

    async def _remember(self, found: Position) -> int:
        """Make memory what the log says. Returns the number of records that had to be read for it.

        The last transaction that stands tells how memory is to be mended: it is the last one applied (what was in
        hand is void), or the one in hand (it stands after all), or another's, and then all is read back.
        """
        in_hand, self._in_hand = self._in_hand, None
        if found.transaction and found.transaction == self._transaction:
            return 0
        if in_hand is not None and found.transaction == in_hand[0]:
            self._logic.apply(in_hand[1])
            return 0
        self._logic = self._make_logic(self.number)
        return await self._restore(found)

    async def _restore(self, found: Position) -> int:
        topic = self._logic.restores_from
        if topic is None:
            return 0
        position = found.positions.get(topic, 0) if topic in self.topics else None
        reader = TopicReader(self._kafka, name=f"{self.stage}-{self.number}-restore")
        await reader.start({(topic, self.number): 0})
        count = 0
        try:
            since = self._logic.restores_since_seconds
            if since is not None:
                start = int((self._clock().timestamp() - since) * 1000)
                await reader.seek(await reader.offsets_at(start))
            else:
                await reader.seek(await reader.beginning_offsets())
            async for records in reader.to_end():
                count += len(records)
                self._logic.restore(records, position)
            self._logic.restore((), position)
        finally:
            await reader.stop()
        return count

    async def _work(self) -> None:
        settings = self._settings
        while True:
            if not self._queue:
                self.last_progress = time.monotonic()
                self._wake.clear()
                await self._wait()
            if self._queue:
                self._lateness.saw(self._clock().timestamp() - self._queue[0].timestamp_ms / 1000)
            pause = settings.interval_seconds_min - (time.monotonic() - self._committed_at)
            if pause > 0 and self._lateness.behind:
                await asyncio.sleep(pause)
            async with self._busy:
                now = self._clock()
                due = self._logic.next_due()
                if due is not None and due <= now:
                    await self._commit((), self._logic.decide_due(now))
                if self._queue and self.ready:
                    await self._batch(now)

    async def _wait(self) -> None:
        """Until records come, or a timer may be due."""
        due = self._logic.next_due()
        pause = None
        if due is not None:
            pause = max((due - self._clock()).total_seconds(), 0.0)
            pause = min(max(pause, 0.01), self._settings.timer_check_seconds)
        try:
            async with asyncio.timeout(pause):
                await self._wake.wait()
        except TimeoutError:
            return

    async def _batch(self, now: datetime) -> None:
        queue = self._queue
        count = min(len(queue), self._settings.batch_records_max)
        records = [queue.popleft() for _ in range(count)]
        if self._paused and len(queue) <= self._settings.queue_records_max // 2:
            self._paused = False
            self._source.resume(self.number)
        await self._commit(records, self._logic.decide(records, now))

    async def _commit(self, records: list[Record] | tuple[()], decided: Decided) -> None:
        producer = self._producer
        if producer is None:
            raise BrokerUnavailable("the lane has no producer")
        positions = dict(self._positions)
        for record in records:
            positions[record.topic] = record.offset + 1
        self._count += 1
        transaction = f"{self._life}-{self._count}"
        position = msgspec.json.encode(Position(positions=positions, transaction=transaction))
        copy = Output(POSITIONS, position_key(self.stage, self.number), position, [], self.number)
        self._in_hand = (transaction, decided)
        began = time.perf_counter()
        try:
            await producer.commit([*decided.outputs, copy])
        except Retryable:
            self._counts.aborted.inc()
            raise
        self._logic.apply(decided)
        self._in_hand = None
        self._positions, self._transaction = positions, transaction
        self.last_progress = self._committed_at = time.monotonic()
        took = time.perf_counter() - began
        self._counts.committed(records, decided, took, self._clock().timestamp())
        if tracing.is_on():
            tracing.handled(self.stage, records, took)
