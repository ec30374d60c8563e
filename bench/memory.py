"""Whether memory stays flat: a whole city at a steady 100 events a second, each process's memory every ten seconds.

The city is the demo's: Kafka, all services, an adapter for each agency, the agencies' systems, of every kind. The first
quarter of the time is for caches to fill and is not counted. Of the rest, each process has the median of its first and
of its last third, and the slope of a line through all (Theil and Sen: the median of the slopes between two points,
which one moment of much work does not bend).

`flat` says whether the last third holds at most a twentieth, or 8 MiB where that is more, above the first. A case that
is open is in memory, and one that is closed is not: what grows with the cases that ever were is a leak.
"""

from __future__ import annotations

import argparse
import asyncio
import statistics
import tempfile
import time
from collections import defaultdict
from collections.abc import Mapping, Sequence
from itertools import combinations
from pathlib import Path
from typing import Any

import psutil
from rich.table import Table

from bus.kafka import KafkaSettings, TopicReader
from bus.topics import EVENTS
from deploy.simulation.city import NAME as SIMULATION
from deploy.simulation.city import SimulatedCity

MINUTES_DEFAULT = 60.0
EVENTS_PER_SECOND = 100
EVENTS_PER_CASE = 13
"""In the city's log, for one repair: seven or eight of agencies, five or six of the bus."""
SAMPLE_SECONDS = 10.0
MIB = 2**20
GROWN_SHARE_MAX, GROWN_MIB_MAX = 0.05, 8.0

ENVIRONMENT = {"SUBAK_REMEMBER_IDS_SECONDS": "600"}
"""The gateway remembers a day's ids and so grows for a day. Here for ten minutes: then it forgets as it learns."""

Samples = Mapping[str, Sequence[tuple[float, float]]]
"""Process → (seconds since the beginning, MiB)."""


def run(minutes: float) -> dict[str, Any]:
    """Let the city work for so long, and look at its memory."""
    rate = EVENTS_PER_SECOND / EVENTS_PER_CASE
    samples: dict[str, list[tuple[float, float]]] = defaultdict(list)
    with tempfile.TemporaryDirectory() as home:
        simulated = SimulatedCity("denpasar", home=Path(home), environment=ENVIRONMENT)
        simulated.start()
        try:
            requests = simulated.made_up(max(1, round(rate * minutes * 60)))
            began = time.monotonic()
            simulated.submit(requests, per_second=rate)
            next_sample = 0.0
            for _ in simulated.follow():
                seconds = time.monotonic() - began
                if next_sample <= seconds < minutes * 60:
                    next_sample = seconds + SAMPLE_SECONDS
                    for name, mib in memory(simulated.local.pids).items():
                        samples[name].append((seconds, mib))
            took = time.monotonic() - began
            events = asyncio.run(_events(simulated.local.settings))
            counts = simulated.outcome()[1]
        finally:
            simulated.stop()
    samples.pop(SIMULATION, None)  # the agencies' systems, which keep all that they ever heard to be counted
    processes = {name: verdict(found, minutes * 60) for name, found in sorted(samples.items())}
    return {
        "minutes": minutes,
        "events_per_second": round(events / took, 1),
        "cases": counts.cases,
        "closed": counts.closed,
        "lost": len(counts.lost),
        "duplicated": len(counts.duplicated),
        "out_of_order": len(counts.out_of_order),
        "flat": all(found["flat"] for found in processes.values()),
        "processes": processes,
        "samples": {name: [[round(at), round(mib, 1)] for at, mib in found] for name, found in samples.items()},
    }


def memory(pids: Mapping[str, int]) -> dict[str, float]:
    """MiB that each process holds, its children with it."""
    found: dict[str, float] = {}
    for name, pid in pids.items():
        try:
            process = psutil.Process(pid)
            held = [process, *process.children(recursive=True)]
            found[name] = sum(one.memory_info().rss for one in held) / MIB
        except psutil.NoSuchProcess:
            continue
    return found


def verdict(samples: Sequence[tuple[float, float]], seconds: float) -> dict[str, Any]:
    """What one process's samples say, once its caches are full."""
    counted = [one for one in samples if one[0] >= seconds / 4]
    third = max(1, len(counted) // 3)
    first, last = (statistics.median(mib for _, mib in part) for part in (counted[:third], counted[-third:]))
    slopes = [(b - a) / (until - since) for (since, a), (until, b) in combinations(counted, 2)]
    return {
        "mib_first_third": round(first, 1),
        "mib_last_third": round(last, 1),
        "mib_per_hour": round(statistics.median(slopes) * 3600, 1) if slopes else 0.0,
        "flat": last <= first + max(GROWN_MIB_MAX, first * GROWN_SHARE_MAX),
    }


async def _events(kafka: KafkaSettings) -> int:
    """Events in the city's log: records, without the transactions' markers that offsets count too."""
    reader = TopicReader(kafka, name="bench-memory")
    await reader.start({(EVENTS, number): 0 for number in range(kafka.partitions)})
    try:
        return sum([len(records) async for records in reader.to_end()])
    finally:
        await reader.stop()


async def measure(arguments: argparse.Namespace) -> dict[str, Any]:
    """What the command line asks for."""
    return await asyncio.to_thread(run, arguments.minutes)


def table(found: dict[str, Any]) -> Table:
    """The result for a person."""
    result = Table(title=f"Memory of each process over {found['minutes']:g} minutes, in MiB")
    result.caption = (
        f"{found['events_per_second']} events/s, {found['closed']:,} of {found['cases']:,} cases closed; "
        f"lost, duplicated, out of order: {found['lost']}, {found['duplicated']}, {found['out_of_order']}"
    )
    result.add_column("process")
    for name in ("first third", "last third", "an hour more", "flat"):
        result.add_column(name, justify="right")
    for name, one in found["processes"].items():
        result.add_row(
            name,
            f"{one['mib_first_third']}",
            f"{one['mib_last_third']}",
            f"{one['mib_per_hour']:+}",
            "yes" if one["flat"] else "[red]no[/]",
        )
    return result
