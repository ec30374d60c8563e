"""Pauses between attempts: doubling, bounded, jittered: many who failed together do not come back together."""

from __future__ import annotations

import random


class Backoff:
    """The pauses of one thing that is tried again."""

    def __init__(self, first_seconds: float, seconds_max: float) -> None:
        self._first = first_seconds
        self._most = seconds_max
        self.failures = 0
        """Failures in a row."""

    def next_seconds(self) -> float:
        """How long to wait after one more failure: between half of the pause and all of it."""
        pause = pause_seconds(self.failures, self._first, self._most)
        self.failures += 1
        return pause

    def reset(self) -> None:
        """It worked."""
        self.failures = 0


def pause_seconds(failures: int, first_seconds: float, seconds_max: float) -> float:
    """The pause after `failures` earlier failures, jittered."""
    pause = min(seconds_max, first_seconds * 2.0 ** min(failures, 60))
    return pause * random.uniform(0.5, 1.0)  # noqa: S311 - jitter needs no secret
