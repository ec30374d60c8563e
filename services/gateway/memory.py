"""The ids of the last day, by partition: so that the same event, sent twice, enters the log once. Pure.

Nothing is stored apart: the ids stand in the log itself, and are read back from its tail. Older ids are forgotten; an
event that is sent again after that is caught by the inboxes, which remember for ever.
"""

from __future__ import annotations

from collections.abc import Iterable
from hashlib import blake2b
from typing import Literal, NamedTuple

from schemas.envelope import Event

Known = Literal["new", "same", "other"]


class Seen(NamedTuple):
    """One event as it is remembered."""

    source: str
    id: str
    digest: bytes
    at_ms: int
    """When the log took it: milliseconds since 1970."""


def digest_of(event: Event) -> bytes:
    """What makes two events with one id the same: type, case and data."""
    return blake2b(b"\x1f".join((event.type.encode(), event.key, event.data)), digest_size=12).digest()


class Memory:
    """Remembered ids, oldest first, none older than `seconds`."""

    def __init__(self, seconds: float) -> None:
        self._keep_ms = int(seconds * 1000)
        self._digests: dict[tuple[str, str], tuple[bytes, int]] = {}

    def look(self, seen: Seen, also: dict[tuple[str, str], bytes]) -> Known:
        """Whether this id is new, known with the same content, or known with other. `also`: not yet remembered."""
        key = (seen.source, seen.id)
        remembered = self._digests.get(key)
        known = also.get(key) or (remembered[0] if remembered else None)
        if known is None:
            return "new"
        return "same" if known == seen.digest else "other"

    def remember(self, events: Iterable[Seen]) -> None:
        """Take in events in the order of the log, and forget what has become too old."""
        newest = 0
        for seen in events:
            self._digests[seen.source, seen.id] = (seen.digest, seen.at_ms)
            newest = max(newest, seen.at_ms)
        too_old = []
        for key, (_, at_ms) in self._digests.items():
            if at_ms >= newest - self._keep_ms:
                break
            too_old.append(key)
        for key in too_old:
            del self._digests[key]

    def __len__(self) -> int:
        return len(self._digests)
