"""Delivers one agency's inbox to its system: at least once, a case's events in order, no case held up by another.

A call and the mark that it was made cannot be one transaction: a crash between them calls again, with the same event
id, by which the system knows it. Marks are stored in batches, beside the calls that go on. What is in memory is
bounded; the rest waits in the inbox, from which a start (or a restart) reads in the order of arrival.
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable
from typing import Protocol

from sqlalchemy import Connection

from adapters.outcome import Outcome
from adapters.schedule import Schedule, ScheduleSettings
from bus import metrics, tracing
from bus.backoff import Backoff
from bus.inbox import Arrived, Inbox, Mark
from bus.inbox.rows import replay_rows
from bus.inbox.views import read_waiting
from bus.logs import get_logger
from schemas.failures import Retryable

log = get_logger("delivery")

MARKS_WAITING_MAX = 2000
"""Marks that may wait for the database. When so many do, no further calls are made: a crash would repeat them all."""

LAST_MARKS_SECONDS_MAX = 5.0
"""How long a process that ends waits for the database to take its last marks."""

CASE_ROWS_MAX = 50
READ_BYTES_MAX = 8 * 1024 * 1024
"""How much of one case, and how much in all, is read from the inbox at once."""


class Target(Protocol):
    """The agency's system."""

    async def call(self, event: Arrived) -> Outcome:
        """Hand one event over."""


class Delivery:
    """One agency's deliveries."""

    def __init__(
        self,
        agency: str,
        inbox: Inbox,
        target: Target,
        *,
        concurrency_max: int = 16,
        settings: ScheduleSettings | None = None,
        clock: Callable[[], float] | None = None,
    ) -> None:
        self.agency = agency
        self._inbox = inbox
        self._target = target
        self._concurrency_max = concurrency_max
        self._schedule = Schedule(settings or ScheduleSettings())
        self._clock = clock or _steady_clock()
        self._changed = asyncio.Event()
        self._unread = True
        """Whether the inbox may hold rows after `_read_up_to`."""
        self._read_up_to = 0
        self._calls: set[asyncio.Task[None]] = set()
        self._marks: list[Mark] = []
        self._marks_waiting = asyncio.Event()
        self._parked: list[tuple[str, Mark]] = []
        """Cases whose parking has been stored since the last pass."""
        self._replays: list[tuple[str, asyncio.Future[tuple[int, bool]]]] = []
        self._subjects: dict[int, str] = {}
        self._seconds = metrics.delivery_seconds.labels(agency)
        self._counts = {
            kind: metrics.deliveries.labels(agency, outcome)
            for kind, outcome in (("delivered", "delivered"), ("refused", "refused"), ("away", "retried"))
        }
        inbox.wake(agency, self._wake)

    @property
    def away(self) -> bool:
        """Whether the agency's system gives no answer at present."""
        return self._schedule.away

    async def run(self) -> None:
        """Deliver for ever. Cancelled, it breaks off its calls (they are made again) and stores the marks it has."""
        storing = asyncio.create_task(self._store_marks())
        storing.add_done_callback(lambda _: self._changed.set())  # it ends by a failure alone, which must be seen
        backoff = Backoff(0.2, 10.0)
        try:
            while not storing.done():
                self._changed.clear()
                try:
                    await self._pass()
                    backoff.reset()
                except Retryable as error:
                    log.warning("delivery_waited", agency=self.agency, error=str(error))
                    await asyncio.sleep(backoff.next_seconds())
                    continue
                await self._rest()
            storing.result()
        finally:
            for call in self._calls:
                call.cancel()
            await asyncio.gather(*self._calls, return_exceptions=True)
            storing.cancel()
            await asyncio.gather(storing, return_exceptions=True)
            if self._marks:
                last = asyncio.wait_for(self._inbox.mark(self.agency, self._marks), LAST_MARKS_SECONDS_MAX)
                await asyncio.gather(last, return_exceptions=True)

    async def replay(self, event_id: str) -> tuple[int, bool]:
        """Let parked events of this id be delivered again, and what waits behind them after them.

        Returns:
            How many were parked under that id, and whether one of them is no event at all, which stays.

        Raises:
            DatabaseUnavailable: ask again.
        """
        done: asyncio.Future[tuple[int, bool]] = asyncio.get_running_loop().create_future()
        self._replays.append((event_id, done))
        self._changed.set()
        return await done

    def _wake(self) -> None:
        self._unread = True
        self._changed.set()

    async def _pass(self) -> None:
        """One round, in an order that keeps each case's: what is parked is out of the lines before rows are read."""
        parked, self._parked = self._parked, []
        self._schedule.parking_stored(parked)
        while self._replays:
            await self._replay(*self._replays[0])
            self._replays.pop(0)
        if self._unread and (room := self._schedule.room):
            await self._read(room)
        if wanted := self._schedule.wanted(self._clock()):
            await self._refill(wanted)
        self._start_calls()

    def _start_calls(self) -> None:
        while len(self._calls) < self._concurrency_max and len(self._marks) < MARKS_WAITING_MAX:
            event = self._schedule.next(self._clock())
            if event is None:
                break
            call = asyncio.create_task(self._call(event))
            self._calls.add(call)
            call.add_done_callback(self._calls.discard)

    async def _read(self, room: int) -> None:
        self._unread = False
        after = self._read_up_to

        def unit(connection: Connection) -> list[Arrived]:
            return read_waiting(connection, self.agency, after=after, rows_max=room, bytes_max=READ_BYTES_MAX)

        try:
            arrived = await self._inbox.database.run(unit)
        except BaseException:
            self._unread = True
            raise
        if arrived:
            self._unread |= len(arrived) >= room or sum(len(event.data) for event in arrived) >= READ_BYTES_MAX
            self._read_up_to = arrived[-1].id
            self._schedule.offer(arrived, self._clock())

    async def _refill(self, wanted: list[tuple[str, int]]) -> None:
        """Read the next rows of these cases, up to where reading has come: what lies beyond is offered in its turn."""
        up_to = self._read_up_to

        def unit(connection: Connection) -> list[tuple[str, list[Arrived]]]:
            left = READ_BYTES_MAX
            found = []
            for case, after in wanted:
                rows = read_waiting(
                    connection,
                    self.agency,
                    after=after,
                    up_to=up_to,
                    rows_max=CASE_ROWS_MAX,
                    bytes_max=max(1, left),
                    subject=case,
                )
                left -= sum(len(row.data) for row in rows)
                found.append((case, rows))
                if left <= 0:
                    break
            return found

        now = self._clock()
        for case, rows in await self._inbox.database.run(unit):
            self._schedule.refill(case, rows, partial=bool(rows), now=now)

    async def _replay(self, event_id: str, done: asyncio.Future[tuple[int, bool]]) -> None:
        try:
            cases, unreadable = await self._inbox.database.run(
                lambda connection: replay_rows(connection, self.agency, event_id)
            )
        except Exception as error:
            if not done.done():
                done.set_exception(error)
            return
        for case in cases:
            self._schedule.resume(case)
        self._unread = True  # what arrived meanwhile was left out of reading, as long as its case was parked
        self._inbox.taken(self.agency, -len(cases))
        if not done.done():
            done.set_result((len(cases), unreadable))

    async def _call(self, event: Arrived) -> None:
        began = time.perf_counter()
        try:
            with tracing.delivering(self.agency, event.attributes):
                outcome = await self._target.call(event)
        except Exception as error:
            log.exception("delivery_failed", agency=self.agency, event_id=event.event_id)
            outcome = Outcome("away", f"the adapter itself failed: {error!r}")
        self._seconds.observe(time.perf_counter() - began)
        self._counts[outcome.kind].inc()
        mark = self._schedule.settle(event, outcome, self._clock())
        if mark.state == "parked":
            self._subjects[mark.id] = event.subject
            log.warning("delivery_parked", agency=self.agency, event_id=event.event_id, reason=outcome.reason)
        self._marks.append(mark)
        self._marks_waiting.set()
        self._changed.set()
        if (call := asyncio.current_task()) is not None:
            self._calls.discard(call)
        self._start_calls()  # at once, whatever the inbox is busy with

    async def _store_marks(self) -> None:
        """Store what became of calls, as many at once as have come together."""
        backoff = Backoff(0.2, 10.0)
        while True:
            await self._marks_waiting.wait()
            self._marks_waiting.clear()
            while marks := list(self._marks):
                try:
                    await self._inbox.mark(self.agency, marks)
                except Retryable as error:
                    log.warning("delivery_marks_waited", agency=self.agency, error=str(error), marks=len(marks))
                    await asyncio.sleep(backoff.next_seconds())
                    continue
                backoff.reset()
                del self._marks[: len(marks)]
                self._parked += [(self._subjects.pop(mark.id), mark) for mark in marks if mark.state == "parked"]
                self._changed.set()

    async def _rest(self) -> None:
        """Wait until something has changed, or a pause is over."""
        if self._unread and self._schedule.room:
            return
        at = self._schedule.next_at()
        if at is not None and (len(self._calls) >= self._concurrency_max or (self.away and self._calls)):
            at = None  # the end of a call is what it waits for
        pause = None if at is None else max(0.0, at - self._clock())
        if pause == 0.0 and len(self._marks) >= MARKS_WAITING_MAX:
            pause = None
        try:
            async with asyncio.timeout(pause):
                await self._changed.wait()
        except TimeoutError:
            return


def _steady_clock() -> Callable[[], float]:
    """The time of day as it was at the start, and on from there evenly: a clock that is set back delays no retry."""
    began_at, began = time.time(), time.monotonic()
    return lambda: began_at + time.monotonic() - began
