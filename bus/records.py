"""What travels: a record as it was read, and an output as it will be written. No client's types leave this package."""

from __future__ import annotations

from collections.abc import Sequence
from functools import lru_cache
from struct import unpack

import msgspec

IDS_MAX = 5000
"""Case ids whose partition is remembered."""


class Record(msgspec.Struct, frozen=True, gc=False):
    """One record as it stands in a topic. Header values and the value may be null; a good event's are not."""

    topic: str
    partition: int
    offset: int
    timestamp_ms: int
    """When the broker's log took it, or its producer sent it: milliseconds since 1970 (UTC)."""
    key: bytes | None
    value: bytes | None
    headers: Sequence[tuple[str, bytes | None]]


class Output(msgspec.Struct, frozen=True, gc=False):
    """One record to write."""

    topic: str
    key: bytes
    value: bytes | None
    headers: list[tuple[str, bytes]] = []
    partition: int | None = None
    """The partition, where the writer knows it; by key (`partition_for`) where not."""


def partition_for(key: bytes, partitions: int) -> int:
    """The partition of `key` among `partitions`: Kafka's own murmur2, as every client of the bus must use.

    The same on all topics of a bus, so a case has one partition number everywhere and one stage owns it whole.
    """
    return (_murmur2(key) & 0x7FFFFFFF) % partitions


@lru_cache(maxsize=IDS_MAX)
def _murmur2(data: bytes) -> int:
    """MurmurHash2, 32 bit, seed 0x9747b28c, as `org.apache.kafka.common.utils.Utils.murmur2`.

    Remembered for the latest ids, since a case's comes again with each of its events: 0.3 KB each, in every process.
    """
    length = len(data)
    mask = 0xFFFFFFFF
    m = 0x5BD1E995
    h = 0x9747B28C ^ length
    whole = length & ~3
    for k in unpack(f"<{whole // 4}I", data[:whole]):
        k = k * m & mask
        k = (k ^ (k >> 24)) * m & mask
        h = (h * m & mask) ^ k
    rest = data[whole:]
    if rest:
        h = (h ^ int.from_bytes(rest, "little")) * m & mask
    h = (h ^ (h >> 13)) * m & mask
    return h ^ (h >> 15)
