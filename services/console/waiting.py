"""What waits for each process and how long, measured from Kafka at most every few seconds, however many look."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Awaitable, Callable
from dataclasses import dataclass, field
from typing import Any

from bus.behind import Behind, totals
from bus.logs import get_logger
from schemas.failures import SubakError

log = get_logger("waiting")

KEEP_SECONDS = 4.0
"""How old what is shown may be before it is measured again."""

MEASURE_SECONDS_MAX = 60.0
"""How long one measurement may take."""

SLOW_SECONDS = 10.0
"""From this age on, what waits is shown as late."""

Measuring = Callable[[], Awaitable[list[Behind]]]


@dataclass(frozen=True)
class Look:
    """One measurement."""

    processes: list[dict[str, Any]] = field(default_factory=list)
    """As `bus.behind.totals` gives them."""
    at: float = 0.0
    """When, in seconds since 1970; 0 where nothing was measured yet."""
    away: str | None = None
    """Why it could not be measured, in words."""

    @property
    def critical_seconds(self) -> float:
        """The age of the oldest record that waits anywhere."""
        return max((row["lag_seconds"] for row in self.processes), default=0.0)


class Waiting:
    """Measures in the background. Call `look` as often as you like."""

    def __init__(self, measuring: Measuring) -> None:
        self._measuring = measuring
        self._last = Look()
        self._work: asyncio.Task[None] | None = None

    async def look(self, *, patience_seconds: float) -> Look:
        """The newest measurement; a new one is begun where it is old, and waited for no longer than that."""
        if time.time() - self._last.at > KEEP_SECONDS and self._work is None:
            self._work = asyncio.create_task(self._measure(), name="measuring lag")
        if self._work is not None:
            await asyncio.wait([self._work], timeout=patience_seconds)
        return self._last

    async def _measure(self) -> None:
        try:
            async with asyncio.timeout(MEASURE_SECONDS_MAX):
                found = await self._measuring()
            self._last = Look(totals(found), time.time())
        except (SubakError, TimeoutError) as error:
            log.warning("lag_not_measured", error=str(error) or "no answer in time")
            self._last = Look(at=time.time(), away=str(error) or "Kafka did not answer in time")
        finally:
            self._work = None

    async def close(self) -> None:
        """Give up what is being measured."""
        if self._work is not None:
            self._work.cancel()
            await asyncio.wait([self._work])
