"""The casebook's loop: read both topics from where the tables stand, take each batch in, say how far behind it is.

Nothing is lost and nothing taken in twice, whatever fails: the position lives in the tables, and moves with the rows.
While the broker or the database is away the loop waits, with a growing pause, and says so in readiness. It stops with
a sentence where the log is not the one that the tables were made from: a casebook never starts over by itself.
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass
from typing import TypeVar

from bus import metrics, tracing
from bus.kafka import KafkaSettings, TopicReader, partitions_of
from bus.kafka.topics import require_topics
from bus.logs import get_logger
from bus.records import Record
from bus.topics import EVENTS, REJECTED
from schemas.failures import Misconfigured, Retryable
from services.casebook.positions import AnotherCasebook, Positions, digest_of, positions_after
from services.casebook.writer import Taken, Writer

log = get_logger("casebook")

T = TypeVar("T")

NAME = "casebook"
"""The process, and the group under which tools find a copy of its position."""


@dataclass(frozen=True, kw_only=True)
class FollowingSettings:
    """How the casebook reads and waits."""

    batch_records_max: int = 2000
    """Records in one SQL transaction. More is faster, up to some thousands; memory and readers' patience bound it."""

    gather_seconds: float = 0.1
    """How long the broker lets records come together: people read the casebook, and no agency waits for it."""

    read_wait_seconds: float = 0.2
    """How long an empty read waits: how soon a stop is heard."""

    report_seconds: float = 2.0
    """How often lag is measured and the copy of the position stored for tools."""

    leader_wait_seconds: float = 60.0
    """How long the log may seem shorter than what was read of it: a new leader learns its end late."""

    retry_seconds_min: float = 0.2
    retry_seconds_max: float = 5.0
    """Pause between attempts while something is away: doubles from min to max."""


class Following:
    """One casebook at work. `run` ends when `stop` is called, or raises what a person must see to."""

    def __init__(
        self,
        writer: Writer,
        *,
        city: str,
        kafka: KafkaSettings,
        rebuild: bool = False,
        settings: FollowingSettings = FollowingSettings(),
        clock: Callable[[], float] = time.time,
    ) -> None:
        """
        Args:
            city: the city's id.
            rebuild: forget the tables and read the log from its beginning.
            clock: seconds since 1970.
        """
        self._writer = writer
        self._city = city
        self._rebuild = rebuild
        self._settings = settings
        self._clock = clock
        self._kafka = kafka
        self._partitions = partitions_of([EVENTS, REJECTED], kafka.partitions)
        self._reader = TopicReader(kafka, name=NAME, gather_seconds=settings.gather_seconds)
        self._positions: Positions = {}
        self._copied: dict[tuple[str, int], int] = {}
        self._newest_ms: dict[tuple[str, int], int] = {}
        self.opened = asyncio.Event()
        """Set once the tables are there, as this version needs them."""
        self._stopping = asyncio.Event()
        self._away: str | None = "it has not read the log yet"
        self._blind: str | None = None
        """Why Kafka does not answer. A read says nothing of that: the client keeps trying, and finds nothing."""

    def why_not_ready(self) -> str | None:
        """Why the tables are not kept up to date now, in words; None when they are."""
        return self._away or self._blind

    def stop(self) -> None:
        """Let `run` end after the batch in hand."""
        self._stopping.set()

    async def run(self) -> None:
        """Follow the log until `stop`.

        Raises:
            AnotherCasebook: another one writes to this database.
            Misconfigured: the tables and the log do not belong together.
        """
        reporting = None
        try:
            if await self._patiently(self._begin, "starting") is None:
                return
            reporting = asyncio.create_task(self._report_often())
            while not self._stopping.is_set():
                if records := await self._patiently(self._read, "reading"):
                    await self._take(records)
        finally:
            if reporting is not None:
                reporting.cancel()
                await asyncio.gather(reporting, return_exceptions=True)
            await self._reader.stop()

    # -- beginning

    async def _begin(self) -> bool:
        await self._reader.stop()
        await require_topics(self._kafka, [EVENTS, REJECTED])
        await self._reader.start(self._partitions)
        beginnings = await self._reader.beginning_offsets()
        self._positions = await asyncio.to_thread(self._writer.open, self._city, beginnings, rebuild=self._rebuild)
        self.opened.set()
        self._rebuild = False  # done: a failure from here on must not forget the tables again
        await self._check_log()
        await self._reader.seek({place: position.next_offset for place, position in self._positions.items()})
        log.info("casebook_started", positions=self._shown())
        return True

    async def _check_log(self) -> None:
        """The last record of each partition must still stand in the log, the same: or it is another log."""
        read = {place: position for place, position in self._positions.items() if position.last_offset is not None}
        patience = time.monotonic() + self._settings.leader_wait_seconds
        while True:
            ends = await self._reader.end_offsets()
            beyond = {place: position for place, position in read.items() if position.next_offset > ends[place]}
            if not beyond:
                break
            if time.monotonic() > patience or self._stopping.is_set():
                place, position = next(iter(beyond.items()))
                raise _another_log(place, f"the log ends at {ends[place]}, and the tables hold {position.next_offset}")
            await asyncio.sleep(0.5)
        found: dict[tuple[str, int], Record] = {}
        await self._reader.seek({place: position.last_offset or 0 for place, position in read.items()})
        deadline = time.monotonic() + 30
        while not found.keys() >= read.keys():  # partitions that were never read give records too
            if time.monotonic() > deadline:
                raise Retryable("Kafka did not give the last records back in time")
            for record in await self._reader.read(records_max=1000):
                found.setdefault((record.topic, record.partition), record)
        for place, position in read.items():
            record = found[place]
            if record.offset != position.last_offset or digest_of(record) != position.last_digest:
                raise _another_log(place, f"at offset {position.last_offset} stands another record")

    # -- reading and writing

    async def _read(self) -> list[Record]:
        settings = self._settings
        return await self._reader.read(records_max=settings.batch_records_max, wait_seconds=settings.read_wait_seconds)

    async def _take(self, records: Sequence[Record]) -> None:
        """Take a batch in, however often it needs. Where the outcome was unknown, the tables' position tells it."""
        after = positions_after(records)
        unknown = False

        async def attempt() -> Taken:
            nonlocal unknown
            if unknown:
                self._positions = await self._known_outcome(after)
                unknown = False
            try:
                return await asyncio.to_thread(self._writer.take, records, self._positions)
            except Retryable:
                unknown = True
                raise

        began = time.monotonic()
        taken = await self._patiently(attempt, "writing")
        if taken is None:
            return
        self._positions.update(taken.positions)
        took = time.monotonic() - began
        metrics.casebook_batch_seconds.observe(took)
        if tracing.is_on():
            tracing.handled(NAME, records, took)
        metrics.casebook_events.labels("taken").inc(taken.entries)
        metrics.casebook_events.labels("rejection").inc(taken.rejections)
        if taken.unreadable:
            metrics.casebook_events.labels("unreadable").inc(taken.unreadable)
            log.warning("records_unreadable", count=taken.unreadable, positions=self._shown())
        for record in records:
            self._newest_ms[record.topic, record.partition] = record.timestamp_ms

    async def _known_outcome(self, after: Positions) -> Positions:
        """Where the tables stand after a commit of unknown outcome: before the batch or after it, or somebody wrote."""
        stored = await asyncio.to_thread(self._writer.positions)
        for place, position in stored.items():
            if position not in (self._positions[place], after.get(place)):
                raise AnotherCasebook(
                    f"while the database was away another casebook moved {place[0]}/{place[1]} on to "
                    f"{position.next_offset}. One database has one casebook: stop the other."
                )
        return stored

    async def _patiently(self, attempt: Callable[[], Awaitable[T]], doing: str) -> T | None:
        """The result of `attempt`, tried again while something is away; None when it is time to stop."""
        pause = self._settings.retry_seconds_min
        while not self._stopping.is_set():
            try:
                result = await attempt()
            except Retryable as error:
                if self._away != str(error):
                    log.warning("casebook_waits", doing=doing, error=str(error))
                self._away = str(error)
                await self._pause(pause)
                pause = min(pause * 2, self._settings.retry_seconds_max)
                continue
            if self._away is not None:
                log.info("casebook_goes_on", doing=doing)
            self._away = None
            return result
        return None

    async def _pause(self, seconds: float) -> None:
        try:
            async with asyncio.timeout(seconds):
                await self._stopping.wait()
        except TimeoutError:
            return

    # -- telling

    async def _report_often(self) -> None:
        """Beside the work, since it waits for Kafka when Kafka is away."""
        while True:
            try:
                await self._report()
                self._blind = None
            except Retryable as error:
                if self._blind is None:
                    log.warning("kafka_not_answering", error=str(error))
                self._blind = str(error)
            await asyncio.sleep(self._settings.report_seconds)

    async def _report(self) -> None:
        """Set the lag metrics, and store a copy of the position for tools.

        Raises:
            BrokerUnavailable: Kafka does not answer.
        """
        ends = await self._reader.end_offsets()
        standing = await self._reader.positions()
        moved = {
            place: position.next_offset
            for place, position in self._positions.items()
            if self._copied.get(place) != position.next_offset
        }
        if moved:
            await self._reader.commit_copy(moved)
            self._copied.update(moved)
        for number in sorted({number for _, number in self._partitions}):
            behind = {place: max(0, ends[place] - standing[place]) for place in self._partitions if place[1] == number}
            taken_ms = [self._newest_ms[place] for place, count in behind.items() if count and place in self._newest_ms]
            age = self._clock() - min(taken_ms, default=0) / 1000 if taken_ms else 0.0
            metrics.lag_records.labels(NAME, str(number)).set(sum(behind.values()))
            metrics.lag_seconds.labels(NAME, str(number)).set(max(0.0, age))

    def _shown(self) -> dict[str, int]:
        return {f"{topic}/{number}": position.next_offset for (topic, number), position in self._positions.items()}


def _another_log(place: tuple[str, int], problem: str) -> Misconfigured:
    return Misconfigured(
        f"the casebook's tables were made from another log: in {place[0]}/{place[1]} {problem}. "
        "If this log is the right one, make the tables anew with `subak run casebook --rebuild`."
    )
