"""The outbox: events that are safe on disk and wait for Kafka.

`add` returns when the event is on disk, and the same event twice is stored once. Requests that come while a commit is
under way share the next one. It is bounded: where the bus is away for so long that `rows_max` events wait, `add`
refuses with `OutboxFull`, and nothing that was accepted is lost.
"""

from __future__ import annotations

import asyncio
import time
from collections import Counter
from collections.abc import Callable, Iterable, Sequence
from functools import partial

from sqlalchemy import Connection, bindparam, delete, func, select

from bus import metrics, tracing
from bus.agency_tables import outbox, outbox_positions
from bus.cases import KnownCases, Learned, store_cases
from bus.database import Database
from bus.listening import Listeners
from bus.outbox.rows import Receipt, Submission, insert_submissions
from bus.restored import advance_ids
from schemas.envelope import Event
from schemas.failures import Refused, Retryable

SUBMISSIONS_MAX = 500
"""Requests in one transaction."""

PRUNED_MAX = 2000
"""Rows removed in one transaction: others wait behind it."""


class OutboxFull(Retryable):
    """As many events wait for Kafka as the outbox may hold: the bus has been away for long. Nothing was stored."""


class Outbox:
    """The outboxes of all agencies of one adapter."""

    def __init__(
        self,
        database: Database,
        cases: KnownCases,
        *,
        rows_max: int = 1_000_000,
        clock: Callable[[], float] = time.time,
    ) -> None:
        self.database = database
        self.waiting: Counter[str] = Counter()
        """Events that wait for Kafka, by agency, as far as this process knows."""
        self.listeners = Listeners()
        """Who hears of what is stored, in the transaction that stores it."""
        self._cases = cases
        self._rows_max = rows_max
        self._clock = clock
        self._pending: list[tuple[Submission, asyncio.Future[list[Receipt]]]] = []
        self._flushing: asyncio.Task[None] | None = None
        self._wakers: dict[str, Callable[[], None]] = {}

    async def start(self, agencies: Iterable[str]) -> None:
        """Begin above all ids that were ever given out, and count what waits.

        Raises:
            DatabaseUnavailable: call again.
        """
        now = self._clock()
        await self.database.run(lambda connection: advance_ids(connection, outbox, now))
        agencies = list(agencies)
        counts = await self.database.run(lambda connection: _count_waiting(connection, agencies))
        self.waiting |= Counter(dict.fromkeys(agencies, 0))
        for agency in agencies:
            self.waiting[agency] = counts.get(agency, 0)

    def wake(self, agency: str, waker: Callable[[], None]) -> None:
        """Call `waker` whenever an event of the agency has been stored."""
        self._wakers[agency] = waker

    async def add(self, agency: str, events: Sequence[Event]) -> list[Receipt]:
        """Store events of one agency, all or none, and return when they are on disk.

        Raises:
            Refused: an id stands for other content; nothing was stored.
            OutboxFull, DatabaseUnavailable: nothing was stored, or the outcome is unknown; sending again is safe.
        """
        if not events:
            return []
        if self.waiting.total() + len(events) > self._rows_max:
            raise OutboxFull(
                f"{self.waiting.total()} events wait for Kafka, and the outbox may hold {self._rows_max}: the bus is "
                "away. Send again later."
            )
        if not tracing.is_on():
            return await self._add(agency, events)
        with tracing.storing(agency, events) as traced:
            return await self._add(agency, traced)

    async def _add(self, agency: str, events: Sequence[Event]) -> list[Receipt]:
        done: asyncio.Future[list[Receipt]] = asyncio.get_running_loop().create_future()
        self._pending.append((Submission(agency, tuple(events), self._clock()), done))
        if self._flushing is None or self._flushing.done():
            self._flushing = asyncio.create_task(self._flush())
        return await done

    async def _flush(self) -> None:
        while self._pending:
            batch, self._pending = self._pending[:SUBMISSIONS_MAX], self._pending[SUBMISSIONS_MAX:]
            submissions = [submission for submission, _ in batch]
            outcomes: Sequence[list[Receipt] | BaseException]
            try:
                outcomes, learned = await self.database.run(partial(self._store, submissions))
                self._cases.remember(learned)
            except Exception as error:
                outcomes = [error] * len(batch)
            for (submission, done), outcome in zip(batch, outcomes, strict=True):
                self._answer(submission, done, outcome)

    def _store(
        self, submissions: Sequence[Submission], connection: Connection
    ) -> tuple[list[list[Receipt] | Refused], Learned]:
        outcomes = insert_submissions(connection, submissions)
        stored = [
            (submission.agency, event)
            for submission, outcome in zip(submissions, outcomes, strict=True)
            if not isinstance(outcome, Refused)
            for event in submission.events
        ]
        learned = self._cases.news(stored)
        store_cases(connection, learned)
        self.listeners.tell(connection, stored)
        return outcomes, learned

    def _answer(
        self, submission: Submission, done: asyncio.Future[list[Receipt]], outcome: list[Receipt] | BaseException
    ) -> None:
        if isinstance(outcome, BaseException):
            if not done.done():
                done.set_exception(outcome)
            return
        new = sum(not receipt.known for receipt in outcome)
        if new:
            self.waiting[submission.agency] += new
            metrics.outbox_depth.labels(submission.agency).set(self.waiting[submission.agency])
            if waker := self._wakers.get(submission.agency):
                waker()
        if not done.done():
            done.set_result(outcome)

    def relayed(self, agency: str, rows: int) -> None:
        """So many rows of the agency are in Kafka now."""
        self.waiting[agency] = max(0, self.waiting[agency] - rows)
        metrics.outbox_depth.labels(agency).set(self.waiting[agency])
        metrics.relayed_records.labels(agency).inc(rows)

    async def measure(self, agencies: Sequence[str]) -> None:
        """Set the ages, and notice rows that another process stored: an agency's own transaction wakes nobody here."""
        oldest = await self.database.run(lambda connection: _oldest_waiting(connection, agencies))
        unseen = [agency for agency in oldest if not self.waiting[agency]]
        counted = await self.database.run(lambda connection: _count_waiting(connection, unseen)) if unseen else {}
        now = self._clock()
        for agency in agencies:
            age = max(0.0, now - oldest[agency]) if agency in oldest else 0.0
            metrics.outbox_oldest_age_seconds.labels(agency).set(age)
            if agency in counted:
                self.waiting[agency] = counted[agency]
                if waker := self._wakers.get(agency):
                    waker()
            elif agency not in oldest:
                self.waiting[agency] = 0
            metrics.outbox_depth.labels(agency).set(self.waiting[agency])

    async def prune(self, agency: str, keep_seconds: float) -> int:
        """Remove rows that Kafka has had for so long; returns how many. What waits is never removed."""
        before = self._clock() - keep_seconds
        removed = 0
        while part := await self.database.run(lambda connection: _prune(connection, agency, before)):
            removed += part
        return removed


def _count_waiting(connection: Connection, agencies: Sequence[str]) -> dict[str, int]:
    return {agency: connection.scalar(_COUNT, {"of": agency}) or 0 for agency in agencies}


def _oldest_waiting(connection: Connection, agencies: Sequence[str]) -> dict[str, float]:
    found = ((agency, connection.scalar(_OLDEST, {"of": agency})) for agency in agencies)
    return {agency: recorded_at for agency, recorded_at in found if recorded_at is not None}


_POSITION = select(outbox_positions.c.position).where(outbox_positions.c.agency == bindparam("of"))
_WAITS = (outbox.c.agency == bindparam("of"), outbox.c.id >= func.coalesce(_POSITION.scalar_subquery(), 0))
_COUNT = select(func.count()).where(*_WAITS)
_OLDEST = select(outbox.c.recorded_at).where(*_WAITS).order_by(outbox.c.id).limit(1)


def _prune(connection: Connection, agency: str, before: float) -> int:
    oldest = (
        select(outbox.c.id, outbox.c.recorded_at)
        .where(outbox.c.agency == agency, outbox.c.id < func.coalesce(_POSITION.scalar_subquery(), 0))
        .order_by(outbox.c.id)
        .limit(PRUNED_MAX)
        .subquery()
    )
    old = select(oldest.c.id).where(oldest.c.recorded_at < before)
    return connection.execute(delete(outbox).where(outbox.c.id.in_(old)), {"of": agency}).rowcount
