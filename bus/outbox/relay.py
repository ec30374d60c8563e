"""The relay of one agency: moves its outbox rows to Kafka, each exactly once, in their order.

One Kafka transaction holds the records and, as the committed offset of the relay's group, the position after them: both
become visible or neither. A copy of the position stands beside the outbox, at most one transaction behind. A relay that
starts fences its forerunner, then asks where that one ended. So a crash at any step repeats nothing and skips nothing;
what is in doubt (another outbox, a position that Kafka forgot) is decided in `position.py`.

Kafka forgets the offsets of a group that is silent for a week: a quiet agency's position is committed again each day.
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from typing import TypeVar

from sqlalchemy import Connection, select

from bus import metrics, tracing
from bus.agency_tables import outbox, outbox_positions
from bus.backoff import Backoff
from bus.kafka import Fenced, KafkaSettings, Lateness, NotAllowed, TransactionalProducer, committed, ends
from bus.logs import get_logger
from bus.outbox.horizon import Horizon
from bus.outbox.outbox import Outbox
from bus.outbox.position import Begin, Found, begin_at
from bus.outbox.rows import Waiting, read_rows
from bus.records import Output
from bus.statements import set_rows
from bus.topics import out_topic, relay_group
from schemas.failures import Retryable

log = get_logger("relay")

T = TypeVar("T")


@dataclass(frozen=True, kw_only=True)
class RelaySettings:
    """How hard one relay works its outbox."""

    batch_records_max: int = 1000
    """Records in one transaction. More is faster; a crash leaves at most so many in doubt until the next start."""

    batch_bytes_max: int = 8 * 1024 * 1024
    """Data in one transaction: it is in memory at once."""

    gather_seconds: float = 0.005
    """Pause before a batch, so that more rows come together: a transaction costs the same for one as for many."""

    interval_seconds_min: float = 0.1
    """From one transaction to the next where rows have waited for long (`bus/kafka/pace.py`): more share one. Nothing
    that is fresh waits for it."""

    held_back_wait_seconds: float = 0.02
    """Pause before rows are looked for again that a running transaction holds back (PostgreSQL)."""

    commit_again_seconds: float = 86_400.0
    """A position that did not move for so long is committed again, before Kafka forgets it."""

    retry_seconds_first: float = 0.2
    retry_seconds_max: float = 10.0
    """Pause while the broker or the database is away: doubles from first to max, jittered."""

    refused_wait_seconds: float = 2.0
    """Pause after Kafka refused this agency (suspended, or credentials that ended), before it is asked again."""

    fenced_wait_seconds: float = 5.0
    """Pause after another process took the outbox over, before this one claims it back."""


class Relay:
    """One agency's relay, for as long as nobody newer starts."""

    def __init__(
        self,
        agency: str,
        outbox: Outbox,
        kafka: KafkaSettings,
        *,
        horizon: Horizon,
        turns: asyncio.Semaphore,
        settings: RelaySettings | None = None,
        accept_new_outbox: bool = False,
        clock: Callable[[], float] = time.time,
    ) -> None:
        """
        Args:
            horizon: of this database, shared by its relays.
            turns: how many relays of this process may be in a transaction at once. Those that wait gather more rows.
        """
        self.agency = agency
        self.problem: str | None = None
        """Why nothing leaves just now, in words; None when all is well."""
        self._outbox = outbox
        self._kafka = kafka
        self._horizon = horizon
        self._turns = turns
        self._settings = settings or RelaySettings()
        self._accept_new_outbox = accept_new_outbox
        self._clock = clock
        self._topic = out_topic(agency)
        self._group = relay_group(agency)
        self._producer: TransactionalProducer | None = None
        self._position = 0
        self._committed_at = 0.0
        self._batched_at = 0.0
        self._lateness = Lateness(self._settings.interval_seconds_min)
        self._moved = False
        """Whether the copy of the position is behind."""
        self._held_back = False
        self._woken = asyncio.Event()
        self._backoff = Backoff(self._settings.retry_seconds_first, self._settings.retry_seconds_max)
        outbox.wake(agency, self._woken.set)

    async def run(self) -> None:
        """Relay for ever.

        Raises:
            Misconfigured: a person must act (a position was lost, a topic is missing). Who is refused by Kafka waits:
                it is suspended, or gets new credentials, and other agencies of this adapter go on.
        """
        try:
            await self._with_patience(self._read_copy)
            while True:
                self._woken.clear()
                if not await self._with_patience(self.relay_batch):
                    await self._rest()
        finally:
            await self._let_go()

    async def relay_batch(self) -> int:
        """Publish the oldest waiting rows and move the position past them, in one transaction.

        Returns:
            The number of rows published; 0 where none wait.

        Raises:
            Fenced: another process has taken the outbox over; the next pass claims it back.
            BrokerUnavailable, DatabaseUnavailable: the outcome is unknown. The producer is thrown away; the next pass
                reads the committed position and begins there.
        """
        if self._producer is None and not self._must_commit_again() and not await self._rows(rows_max=1):
            return 0
        pause = self._settings.gather_seconds
        if self._lateness.behind:
            pause = max(pause, self._settings.interval_seconds_min - (time.monotonic() - self._batched_at))
        await asyncio.sleep(pause)
        async with self._turns:
            if self._producer is None:
                await self._begin()
            rows = await self._rows(rows_max=self._settings.batch_records_max)
            if rows:
                self._lateness.saw(self._clock() - rows[0].recorded_at)
            if rows or self._must_commit_again():
                await self._commit(rows)
        return len(rows)

    async def _commit(self, rows: list[Waiting]) -> None:
        """One transaction: the rows' records, and the position after them."""
        assert self._producer is not None
        position = rows[-1].id + 1 if rows else self._position
        outputs = [self._output(row) for row in rows]
        began = time.perf_counter()
        await self._producer.commit(outputs, {(self._topic, 0): position}, self._group)
        if tracing.is_on():
            tracing.relayed(self.agency, [row.attributes for row in rows], time.perf_counter() - began)
        self._position, self._moved, self._committed_at = position, True, self._clock()
        self._batched_at = time.monotonic()
        self._outbox.relayed(self.agency, len(rows))

    def _output(self, row: Waiting) -> Output:
        headers = [("ce_specversion", b"1.0")]
        headers += [("ce_" + name, value.encode()) for name, value in row.attributes.items()]
        headers.append(("content-type", b"application/json"))
        return Output(self._topic, row.attributes["subject"].encode(), row.data, headers)

    async def _begin(self) -> None:
        """Fence the forerunner, then learn where it ended."""
        producer = TransactionalProducer(self._kafka, transactional_id=self._group)
        await producer.start()
        self._producer = producer
        await producer.require_partitions(self._topic)
        held = (await committed(self._kafka, self._group, [(self._topic, 0)]))[self._topic, 0]
        copy, ours = await self._outbox.database.run(lambda connection: _copy_and_ours(connection, self.agency, held))
        begin = begin_at(
            Found(
                agency=self.agency,
                committed=held,
                committed_is_ours=ours,
                copy=copy,
                topic_used=held is None and copy is None and await self._topic_used(),
                accept_new_outbox=self._accept_new_outbox,
            )
        )
        self._position = begin.position
        await self._outbox.database.run(self._keep_copy)
        self._log_begin(begin, held, copy)

    def _log_begin(self, begin: Begin, held: int | None, copy: int | None) -> None:
        warn = begin.because in ("committed_is_of_another_outbox", "outbox_is_new")
        (log.warning if warn else log.info)(
            "outbox_relay_began",
            agency=self.agency,
            position=begin.position,
            because=begin.because,
            committed=held,
            copy=copy,
        )

    async def _topic_used(self) -> bool:
        return any(last > 0 for _, last in (await ends(self._kafka, [self._topic])).values())

    async def _rows(self, *, rows_max: int) -> list[Waiting]:
        """The oldest rows that wait; the copy of the position is brought up to date in the same transaction."""
        moved = self._moved
        settings = self._settings

        def unit(connection: Connection) -> tuple[list[Waiting], bool]:
            up_to = self._horizon.reach(connection)
            if moved:
                self._keep_copy(connection)
            rows = read_rows(
                connection,
                self.agency,
                position=self._position,
                up_to=up_to,
                rows_max=rows_max,
                bytes_max=settings.batch_bytes_max,
            )
            return rows, up_to is not None and not rows and _any_waits(connection, self.agency, self._position)

        database = self._outbox.database
        rows, self._held_back = await database.run(unit, alone=database.dialect == "postgresql")
        self._moved = False
        return rows

    def _keep_copy(self, connection: Connection) -> None:
        row = {"agency": self.agency, "position": self._position, "committed_at": self._committed_at}
        set_rows(connection, outbox_positions, [row])

    async def _read_copy(self) -> None:
        row = await self._outbox.database.run(lambda connection: _copy(connection, self.agency))
        if row is not None:
            self._position, self._committed_at = row

    def _must_commit_again(self) -> bool:
        return self._position > 0 and self._clock() - self._committed_at > self._settings.commit_again_seconds

    async def _rest(self) -> None:
        """Wait for a row, for the day to pass, or for a transaction that holds rows back."""
        pause = self._settings.commit_again_seconds / 24
        if self._held_back:
            pause = self._settings.held_back_wait_seconds
        try:
            async with asyncio.timeout(pause):
                await self._woken.wait()
        except TimeoutError:
            return

    async def _with_patience(self, step: Callable[[], Awaitable[T]]) -> T:
        """The step's outcome, however long it takes: what is retryable is tried again after a pause."""
        while True:
            try:
                outcome = await step()
            except Fenced as error:
                metrics.relay_fenced.labels(self.agency).inc()
                log.warning("outbox_relay_fenced", agency=self.agency, error=str(error))
                await self._set_back(error, self._settings.fenced_wait_seconds)
            except NotAllowed as error:
                log.error("outbox_relay_refused", agency=self.agency, error=str(error))
                await self._set_back(error, self._settings.refused_wait_seconds)
            except Retryable as error:
                log.warning(
                    "outbox_relay_waited", agency=self.agency, error=str(error), failures=self._backoff.failures
                )
                await self._set_back(error, 0.0)
            else:
                self._backoff.reset()
                self.problem = None
                return outcome

    async def _set_back(self, error: Exception, at_least_seconds: float) -> None:
        """Throw the producer away, whose transaction may stand or not, and wait."""
        self.problem = f"the relay of {self.agency} waits: {error}"
        await self._let_go()
        await asyncio.sleep(max(at_least_seconds, self._backoff.next_seconds()))

    async def _let_go(self) -> None:
        producer, self._producer = self._producer, None
        if producer is not None:
            await producer.stop()


def _copy(connection: Connection, agency: str) -> tuple[int, float] | None:
    row = connection.execute(
        select(outbox_positions.c.position, outbox_positions.c.committed_at).where(outbox_positions.c.agency == agency)
    ).one_or_none()
    return (row[0], row[1]) if row is not None else None


def _copy_and_ours(connection: Connection, agency: str, held: int | None) -> tuple[int | None, bool]:
    """The copy of the position, and whether the row before `held` is this outbox's own."""
    copy = _copy(connection, agency)
    if held is None:
        return (copy[0] if copy is not None else None), False
    before = select(outbox.c.id).where(outbox.c.agency == agency, outbox.c.id == held - 1)
    return (copy[0] if copy is not None else None), connection.scalar(before) is not None


def _any_waits(connection: Connection, agency: str, position: int) -> bool:
    waits = select(outbox.c.id).where(outbox.c.agency == agency, outbox.c.id >= position).limit(1)
    return connection.scalar(waits) is not None
