"""How much each app, and each address without a key, may ask: a bucket each, refilled by the minute, bounded in all."""

from __future__ import annotations

import time
from collections import OrderedDict
from collections.abc import Callable
from math import ceil

BUCKETS_MAX = 10_000
"""Addresses remembered. The longest silent is forgotten first: its bucket was full again by then, or nearly."""


class Limits:
    """Token buckets by name."""

    def __init__(self, *, clock: Callable[[], float] = time.monotonic) -> None:
        self._clock = clock
        self._buckets: OrderedDict[str, tuple[float, float]] = OrderedDict()

    def seconds_until_free(self, name: str, per_minute: int) -> int:
        """0, and one request is taken from the bucket; or how many seconds to wait, where it is empty."""
        now = self._clock()
        left, since = self._buckets.pop(name, (float(per_minute), now))
        left = min(float(per_minute), left + (now - since) * per_minute / 60)
        free = left >= 1
        self._buckets[name] = (left - 1 if free else left, now)
        while len(self._buckets) > BUCKETS_MAX:
            self._buckets.popitem(last=False)
        return 0 if free else max(1, ceil((1 - left) * 60 / per_minute))
