"""What passes in the city's log now: the last minutes in memory, and each new event for whoever looks.

Only headers are read, never data: no personal field can come into a page this way. Memory is bounded, and a browser
that does not keep up loses the oldest of what waits for it. Kafka away is no failure: it is waited for, and told.
"""

from __future__ import annotations

import asyncio
import time
from collections import deque
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass

from bus.city import City
from bus.kafka import KafkaSettings, TopicReader, partitions_of
from bus.logs import get_logger
from bus.records import Record
from bus.topics import EVENTS
from schemas.envelope import Event
from schemas.failures import Retryable, Unprocessable

log = get_logger("live")

WINDOW_SECONDS = 900
"""How far back the page looks."""

EVENTS_MAX = 5_000
"""Events in memory: under a load that brings more in a window, the page looks less far back."""

WAITING_MAX = 200
"""Events that wait for one browser."""

BROWSERS_MAX = 100
"""Browsers that look at once."""

GATHER_SECONDS = 0.25
"""How long the broker lets events come together before the page hears of them."""

AGAIN_SECONDS = 3.0
"""Pause before Kafka is tried again."""


@dataclass(frozen=True, slots=True)
class Passed:
    """One event that passed, by its headers alone."""

    id: str
    case_id: str
    type: str
    agency: str
    """Who said it: an agency, or a process of the bus."""
    recipient: str | None
    cause: str | None
    """The event that it answers."""
    jurisdiction: str | None
    at: float
    """When the log took it, in seconds since 1970."""


class Live:
    """Follows the log. `run` it once; look at `recent`, or `follow`."""

    def __init__(self, kafka: KafkaSettings, city: City) -> None:
        self.city = city
        self.away: str | None = "the log has not been read yet"
        """Why nothing new is seen, in words; None where all is well."""
        self.clock: Callable[[], float] = time.time
        self._kafka = kafka
        self._recent: deque[Passed] = deque(maxlen=EVENTS_MAX)
        self._browsers: set[asyncio.Queue[Passed]] = set()

    async def run(self) -> None:
        """Follow until cancelled.

        Raises:
            Misconfigured: the topic is not there, or has other partitions.
        """
        while True:
            try:
                await self._follow()
            except Retryable as error:
                self.away = str(error)
                log.warning("log_not_followed", error=str(error))
                await asyncio.sleep(AGAIN_SECONDS)

    async def _follow(self) -> None:
        reader = TopicReader(self._kafka, name="console", gather_seconds=GATHER_SECONDS)
        try:
            await reader.start(partitions_of([EVENTS], self._kafka.partitions))
            since = self._recent[-1].at + 0.001 if self._recent else self.clock() - WINDOW_SECONDS
            await reader.seek(await reader.offsets_at(int(since * 1000)))
            async for records in reader.to_end():
                self.take(sorted(records, key=lambda record: record.timestamp_ms))
            self.away = None
            while True:
                self.take(await reader.read(wait_seconds=0.5))
        finally:
            await reader.stop()

    def take(self, records: Iterable[Record]) -> None:
        """These passed."""
        for record in records:
            passed = self._passed(record)
            if passed is None:
                continue
            self._recent.append(passed)
            for browser in self._browsers:
                if browser.full():
                    browser.get_nowait()
                browser.put_nowait(passed)

    def recent(self) -> list[Passed]:
        """What passed in the last minutes, the oldest first."""
        since = self.clock() - WINDOW_SECONDS
        return [passed for passed in self._recent if passed.at >= since]

    @property
    def window_seconds(self) -> float:
        """How far back `recent` looks: less than the window, where memory is full of what is newer."""
        is_full = len(self._recent) == EVENTS_MAX
        return min(WINDOW_SECONDS, max(self.clock() - self._recent[0].at, 0.0)) if is_full else WINDOW_SECONDS

    def since(self, id: str, most: int) -> list[Passed]:
        """The newest of what passed behind that event, at most so many; all where it passed too long ago."""
        recent = self.recent()
        behind = next((place for place in range(len(recent), 0, -1) if recent[place - 1].id == id), 0)
        return recent[behind:][-most:]

    @contextmanager
    def following(self) -> Iterator[asyncio.Queue[Passed] | None]:
        """What passes from now on; None where too many look already."""
        if len(self._browsers) >= BROWSERS_MAX:
            yield None
            return
        browser: asyncio.Queue[Passed] = asyncio.Queue(WAITING_MAX)
        self._browsers.add(browser)
        try:
            yield browser
        finally:
            self._browsers.discard(browser)

    def _passed(self, record: Record) -> Passed | None:
        try:
            event = Event.from_record(record.headers, record.value)
        except Unprocessable:
            return None
        return Passed(
            id=event.id,
            case_id=event.subject,
            type=event.type,
            agency=event.source.rpartition(":")[2],
            recipient=event.recipient,
            cause=event.causationid,
            jurisdiction=event.jurisdiction,
            at=record.timestamp_ms / 1000,
        )
