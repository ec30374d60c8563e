"""What Kafka must do with each topic of the bus: how long it keeps what, and how large a record may be. Pure."""

from __future__ import annotations

from bus.topics import CASES, EVENTS, PLACES, POSITIONS, REJECTED

RECORD_BYTES_MAX = 1_200_000
"""One event: 1 MiB of data, and its headers."""

REJECTED_BYTES_MAX = 3_000_000
"""A rejected record carries the original in base64."""

_DAY = str(24 * 3600 * 1000)
_WEEKS_2 = str(14 * 24 * 3600 * 1000)
_COMPACT = {"cleanup.policy": "compact", "min.cleanable.dirty.ratio": "0.1", "segment.ms": "600000"}


def topic_settings(topic: str, min_insync_replicas: int) -> dict[str, str]:
    """What Kafka must do with `topic`: the log keeps everything, what agencies exchange stays two weeks."""
    common = {"min.insync.replicas": str(min_insync_replicas), "max.message.bytes": str(RECORD_BYTES_MAX)}
    if topic == PLACES:  # read as a queue too: what is new stands for a day before a newer word may replace it
        return common | _COMPACT | {"min.compaction.lag.ms": _DAY}
    if topic in (CASES, POSITIONS):
        return common | _COMPACT
    if topic == EVENTS:
        return common | {"cleanup.policy": "delete", "retention.ms": "-1", "retention.bytes": "-1"}
    if topic == REJECTED:
        return common | {"retention.ms": "-1", "max.message.bytes": str(REJECTED_BYTES_MAX)}
    return common | {"cleanup.policy": "delete", "retention.ms": _WEEKS_2}
