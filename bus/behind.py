"""How far each process is behind: its position against the end of what it reads, and the age of what waits.

A topic that is written in transactions ends with a marker, so a process that has read everything still stands one short
of the end. Where little waits the records are therefore counted by reading them; the first that is found tells the age.
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from bus.kafka import KafkaSettings, TopicReader, ends, group_positions
from bus.topics import EVENTS, PLACES, REJECTED, in_topic, out_topic

Place = tuple[str, int]

RELAY_SUFFIX = "-relay"
"""Groups of this name hold positions of outboxes, not of topics."""

LOOK_SECONDS_MAX = 10.0
"""How long the waiting records of one process may take to be looked at."""


@dataclass(frozen=True, slots=True)
class Behind:
    """One process's lag in one partition."""

    process: str
    topic: str
    partition: int
    position: int | None
    """Where it reads on; None where it has committed nothing yet."""
    end: int
    lag_records: int
    """Records that wait: exact where few do, else with the transactions' markers among them."""
    lag_seconds: float
    """Age of the oldest record that waits; 0 where none does."""

    def as_dict(self) -> dict[str, Any]:
        """For `--json`."""
        return {
            "process": self.process,
            "topic": self.topic,
            "partition": self.partition,
            "position": self.position,
            "end": self.end,
            "lag_records": self.lag_records,
            "lag_seconds": round(self.lag_seconds, 3),
        }


async def measure(kafka: KafkaSettings, agencies: Iterable[str]) -> list[Behind]:
    """The lag of every process that reads from this bus.

    Raises:
        BrokerUnavailable: Kafka does not answer.
        Misconfigured: the bus's topics are not there.
    """
    groups = await group_positions(kafka)
    reads = topics_of_processes(groups, agencies)
    bounds = await ends(kafka, sorted({topic for topics in reads.values() for topic in topics}))
    found: list[Behind] = []
    for process, topics in reads.items():
        committed = groups.get(process, {})
        places = [(topic, number) for topic in topics for number in range(kafka.partitions)]
        # What its topic no longer holds cannot be looked at: whoever stands before its beginning is counted from there.
        reads_on = {place: max(committed.get(place, 0), bounds[place][0]) for place in places}
        waiting = {place: position for place, position in reads_on.items() if bounds[place][1] > position}
        seen = await _look(kafka, waiting, {place: bounds[place][1] for place in waiting}) if waiting else {}
        now = time.time()
        for place in places:
            count, oldest_ms = seen.get(place, (0, None))
            age = max(0.0, now - oldest_ms / 1000) if oldest_ms is not None else 0.0
            found.append(Behind(process, *place, committed.get(place), bounds[place][1], count, age))
    return found


def totals(found: Sequence[Behind]) -> list[dict[str, Any]]:
    """By process: records that wait, the age of the oldest, partitions in which something waits."""
    names = list(dict.fromkeys(one.process for one in found))
    return [
        {
            "process": name,
            "lag_records": sum(one.lag_records for one in found if one.process == name),
            "lag_seconds": round(max(one.lag_seconds for one in found if one.process == name), 3),
            "partitions_behind": sum(1 for one in found if one.process == name and one.lag_records),
            "partitions": sum(1 for one in found if one.process == name),
        }
        for name in names
    ]


def topics_of_processes(groups: Mapping[str, Mapping[Place, int]], agencies: Iterable[str]) -> dict[str, list[str]]:
    """Which topics each process reads: the bus's own by its plan, an adapter by what it has committed."""
    reads = {
        "gateway": sorted(out_topic(agency) for agency in agencies),
        "workflows": [EVENTS],
        "router": [EVENTS],
        "places": [EVENTS, PLACES],
        "casebook": [EVENTS, REJECTED],
    }
    inboxes = {in_topic(agency) for agency in agencies}
    for group, committed in sorted(groups.items()):
        topics = sorted({topic for topic, _ in committed} & inboxes)
        if group not in reads and not group.endswith(RELAY_SUFFIX) and topics:
            reads[group] = topics
    return reads


async def _look(
    kafka: KafkaSettings, positions: Mapping[Place, int], bounds: Mapping[Place, int]
) -> dict[Place, tuple[int, int | None]]:
    """For each place: how many records wait there, and when the oldest was written (milliseconds since 1970)."""
    reader = TopicReader(kafka, name="lag")
    counts: dict[Place, int] = dict.fromkeys(positions, 0)
    oldest: dict[Place, int] = {}
    try:
        async with asyncio.timeout(LOOK_SECONDS_MAX):
            await reader.start(positions)
            standing: dict[Place, int] = dict(positions)
            while any(place not in oldest and standing[place] < bounds[place] for place in positions):
                for record in await reader.read(records_max=2000, wait_seconds=0.1):
                    place = (record.topic, record.partition)
                    if record.offset < bounds[place]:
                        oldest.setdefault(place, record.timestamp_ms)
                        counts[place] += 1
                standing = await reader.positions()
    except TimeoutError:
        standing = dict(positions)
    finally:
        await reader.stop()
    found: dict[Place, tuple[int, int | None]] = {}
    for place, position in positions.items():
        exact = standing[place] >= bounds[place]
        found[place] = (counts[place] if exact else bounds[place] - position, oldest.get(place))
    return found
