"""The ids of the last day, by partition: so that the same event, sent twice, enters the log once. Pure.

Nothing is stored apart: the ids stand in the log itself, and are read back from its tail. Older ids are forgotten; an
event that is sent again after that is caught by the inboxes, which remember for ever.

A busy city says millions of events a day, so an id is kept as a short digest, in one of a few slices of the time: the
oldest slice is dropped whole. (One dictionary whose oldest keys are deleted one by one is searched from its emptied
beginning each time.)
"""

from __future__ import annotations

from collections import deque
from collections.abc import Iterable
from hashlib import blake2b
from typing import Literal, NamedTuple

from schemas.envelope import Event

Known = Literal["new", "same", "other"]

SLICES = 8
"""How many parts of the time are dropped one by one: what is kept is this much of the time more than asked for."""

_DIGEST_BYTES = 15
"""120 bits: that two of ten million ids have the same is less likely than 1 in 10^22. (15 bytes and their header fill
what Python's allocator gives; one more would cost 16.)"""


class Seen(NamedTuple):
    """One event as it is remembered."""

    key: bytes
    """Stands for its source and id."""
    digest: bytes
    """Stands for its type, case and data."""
    at_ms: int
    """When the log took it: milliseconds since 1970."""

    @classmethod
    def of(cls, event: Event, at_ms: int) -> Seen:
        """What is remembered of this event: what its type, case and data are makes it the same or another."""
        content = b"\x1f".join((event.type.encode(), event.key, event.data))
        return cls(_digest(f"{event.source}\x1f{event.id}".encode()), _digest(content), at_ms)


def _digest(data: bytes) -> bytes:
    return blake2b(data, digest_size=_DIGEST_BYTES).digest()


class _Slice:
    __slots__ = ("digests", "first_ms", "newest_ms")

    def __init__(self, first_ms: int) -> None:
        self.first_ms = self.newest_ms = first_ms
        self.digests: dict[bytes, bytes] = {}


class Memory:
    """Remembered ids: all of the last `seconds`, and some that are up to a slice older."""

    def __init__(self, seconds: float) -> None:
        self._keep_ms = int(seconds * 1000)
        self._slice_ms = max(1, self._keep_ms // SLICES)
        self._slices: deque[_Slice] = deque()

    def look(self, seen: Seen, also: dict[bytes, bytes]) -> Known:
        """Whether this id is new, known with the same content, or known with other. `also`: not yet remembered."""
        known = also.get(seen.key)
        if known is None:
            for part in reversed(self._slices):
                if (known := part.digests.get(seen.key)) is not None:
                    break
            else:
                return "new"
        return "same" if known == seen.digest else "other"

    def remember(self, events: Iterable[Seen]) -> None:
        """Take in events in the order of the log, and forget what has become too old."""
        for seen in events:
            last = self._slices[-1] if self._slices else None
            if last is None or seen.at_ms - last.first_ms >= self._slice_ms:
                last = _Slice(seen.at_ms)
                self._slices.append(last)
            last.digests[seen.key] = seen.digest
            last.newest_ms = max(last.newest_ms, seen.at_ms)
        while self._slices and self._slices[0].newest_ms < self._slices[-1].newest_ms - self._keep_ms:
            self._slices.popleft()

    def __len__(self) -> int:
        return sum(len(part.digests) for part in self._slices)
