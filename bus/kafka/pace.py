"""When it pays to wait for company: not while what comes is fresh, and a little when it is late already.

A fetch, and a transaction, cost the broker the same for one record as for a thousand. So under a load that leaves
nothing idle, fetches and transactions that wait a moment are fuller, and more gets done; what comes is late then in any
case. With processors to spare the same wait would only be a delay. What tells the two apart is the age of what comes:
each hop looks how old the oldest record is that it is given, and waits only where that is more than `BEHIND_SECONDS`.
What a hop that waits adds to that age by itself does not count: it would keep itself waiting for ever.

The client has one setting for its life. `Pace` changes it between two fetches, in the fetcher that builds the requests:
`tests/bus/test_pace.py` holds that the client still reads it there.
"""

from __future__ import annotations

import time
from collections.abc import Callable
from typing import Any

from bus.kafka.settings import KafkaSettings

BEHIND_SECONDS = 0.08
"""What is older than this when it comes is late: one hop takes less where nothing queues."""

STAYS_BEHIND_SECONDS = 0.25
"""So long after the last late record its consumer still counts as behind."""

PROMPT_WAIT_SECONDS = 0.5
"""How long a fetch waits for its first byte. A partition that is resumed flows again after so long at the latest."""


class Lateness:
    """Whether one hop is behind, by the age of what it was given last."""

    def __init__(self, own_wait_seconds: float, clock: Callable[[], float] = time.monotonic) -> None:
        """
        Args:
            own_wait_seconds: how much older a record may become by what this hop waits while it is behind.
        """
        self._own_wait_seconds = own_wait_seconds
        self._clock = clock
        self._late_at = float("-inf")

    def saw(self, age_seconds: float) -> None:
        """The oldest of what came just now is so old."""
        # The first records after it has caught up have still waited.
        has_waited = self._clock() - self._late_at < STAYS_BEHIND_SECONDS + BEHIND_SECONDS + self._own_wait_seconds
        if age_seconds > BEHIND_SECONDS + (self._own_wait_seconds if has_waited else 0.0):
            self._late_at = self._clock()

    @property
    def behind(self) -> bool:
        """Whether it pays to wait for more."""
        return self._clock() - self._late_at < STAYS_BEHIND_SECONDS


class Pace:
    """The pace of one consumer's fetches: at once with the first byte, or full, where it is behind."""

    def __init__(self, consumer: Any, settings: KafkaSettings, gather_seconds: float | None = None) -> None:
        """
        Args:
            gather_seconds: nobody waits for this consumer, so its fetches always gather for so long. None: it hurries.
        """
        self._consumer = consumer
        self._bytes_min = settings.fetch_bytes_min
        self._wait_seconds = gather_seconds or settings.fetch_wait_seconds
        self._always = gather_seconds is not None
        self._lateness = Lateness(self._wait_seconds)
        self._behind: bool | None = None

    def saw(self, oldest_ms: int | None) -> None:
        """What came just now: when the log took the oldest (milliseconds since 1970), None where nothing came.

        Call it at each poll, or now and then where polls are not seen.
        """
        if oldest_ms is not None:
            self._lateness.saw(time.time() - oldest_ms / 1000)
        behind = self._always or self._lateness.behind
        if behind != self._behind:
            self._behind = behind
            fetcher = self._consumer._fetcher
            wait = self._wait_seconds if behind else PROMPT_WAIT_SECONDS
            fetcher._fetch_max_wait_ms = int(wait * 1000)
            fetcher._fetch_min_bytes = self._bytes_min if behind else 1
