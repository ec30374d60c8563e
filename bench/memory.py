"""Whether memory stays flat: a whole city at a steady 100 events a second, each process's memory every ten seconds.

The city is the demo's: Kafka, all services, an adapter for each agency, the agencies' systems, of every kind. The first
half of the time is for caches to fill (SQLite's pages, an adapter's latest 20,000 cases) and is not counted. Of the
rest, each process has the median of each quarter of the time, and the slope of a line through all (Theil and Sen: the
median of the slopes between two points, which one moment of much work does not bend).

Where a case is stuck, or an event lost, doubled or out of order, `troubles` says which, and all data are kept.

`flat` says whether the last quarter holds at most 3 MiB, or a fiftieth where that is more, above the third: what grows
with the cases that ever were is a leak, or says in the capacity page what it keeps, and for how long.
"""

from __future__ import annotations

import argparse
import asyncio
import shutil
import statistics
import tempfile
import time
from collections import defaultdict
from collections.abc import Callable, Mapping, Sequence
from itertools import combinations
from pathlib import Path
from typing import Any

import psutil
from rich.table import Table

from bench.lifecycle import Agencies
from bus.kafka import KafkaSettings, TopicReader
from bus.topics import EVENTS
from deploy.local.up import LocalCity
from deploy.simulation.city import NAME as SIMULATION
from deploy.simulation.city import SimulatedCity

MINUTES_DEFAULT = 60.0
EVENTS_PER_SECOND = 100
EVENTS_PER_CASE = 13
"""In the city's log, for one repair: seven or eight of agencies, five or six of the bus."""
SAMPLE_SECONDS = 10.0
MIB = 2**20
GROWN_SHARE_MAX, GROWN_MIB_MAX = 0.02, 3.0

ENVIRONMENT = {"SUBAK_REMEMBER_IDS_SECONDS": "600"}
"""The gateway remembers a day's ids and so grows for a day. Here for ten minutes: then it forgets as it learns."""

LOOK_SECONDS = 0.2

Look = Callable[[LocalCity], None]
Samples = Sequence[tuple[float, float]]
"""Of one process: (seconds since the beginning, MiB)."""


def run(minutes: float, *, with_adapters: bool = True) -> dict[str, Any]:
    """Let the city work for so long, and look at its memory."""
    seconds, rate = minutes * 60, EVENTS_PER_SECOND / EVENTS_PER_CASE
    samples: dict[str, list[tuple[float, float]]] = defaultdict(list)
    began, next_sample = 0.0, 0.0

    def look(local: LocalCity) -> None:
        nonlocal next_sample
        at = time.monotonic() - began
        if next_sample <= at < seconds:
            next_sample = at + SAMPLE_SECONDS
            for name, mib in memory(local.pids).items():
                samples[name].append((at, mib))

    folder = Path(tempfile.mkdtemp(prefix="subak-memory-"))
    began = time.monotonic()
    play = _play if with_adapters else _play_on_the_bus
    counted = play(folder, rate, seconds, look)
    if counted.get("troubles"):
        counted["kept"] = str(folder)
    else:
        shutil.rmtree(folder)
    samples.pop(SIMULATION, None)  # the agencies' systems, which keep all that they ever heard to be counted
    processes = {name: verdict(found, seconds) for name, found in sorted(samples.items())}
    return {
        "minutes": minutes,
        **counted,
        "flat": all(found["flat"] for found in processes.values()),
        "processes": processes,
        "samples": {name: [[round(at), round(mib, 1)] for at, mib in found] for name, found in samples.items()},
    }


def _play(home: Path, rate: float, seconds: float, look: Look) -> dict[str, Any]:
    """The demo's city, which counts what was lost from its agencies' own databases."""
    simulated = SimulatedCity("denpasar", home=home, environment=ENVIRONMENT)
    simulated.start()
    try:
        began = time.monotonic()
        simulated.submit(simulated.made_up(max(1, round(rate * seconds))), per_second=rate)
        for _ in simulated.follow():
            look(simulated.local)
        took = time.monotonic() - began
        events = asyncio.run(_events(simulated.local.settings))
        ledgers, counts = simulated.outcome()
        stuck = simulated.stuck(ledgers, counts)
    finally:
        simulated.stop()
    return {
        "events_per_second": round(events / took, 1),
        "cases": counts.cases,
        "closed": counts.closed,
        "lost": len(counts.lost),
        "duplicated": len(counts.duplicated),
        "out_of_order": len(counts.out_of_order),
        "troubles": [
            *counts.lost,
            *counts.duplicated,
            *counts.out_of_order,
            *counts.misdelivered,
            *(f"{case}: {where}" for case, where in stuck.items()),
        ],
    }


def _play_on_the_bus(home: Path, rate: float, seconds: float, look: Look) -> dict[str, Any]:
    """The services alone, a fraction of the work: the agencies answer in this process, as `lifecycle` has them."""
    local = LocalCity("denpasar", home=home, with_adapters=False, environment=ENVIRONMENT)
    local.start()
    agencies = Agencies(local.city, local.settings, home)

    async def play() -> float:
        await agencies.start()
        began = time.monotonic()
        try:
            while (at := time.monotonic() - began) < seconds or agencies.closed < agencies.target:
                due = int(rate * min(at, seconds)) - agencies.target
                if due > 0:
                    agencies.target += due
                    await agencies.open(due)
                look(local)
                await asyncio.sleep(LOOK_SECONDS)
        finally:
            await agencies.stop()
        return time.monotonic() - began

    try:
        took = asyncio.run(play())
        events = asyncio.run(_events(local.settings))
    finally:
        local.stop()
    return {"events_per_second": round(events / took, 1), "cases": agencies.target, "closed": agencies.closed}


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


def verdict(samples: Samples, seconds: float) -> dict[str, Any]:
    """What one process's samples say, once its caches are full."""
    counted = [one for one in samples if one[0] >= seconds / 2]
    half = max(1, len(counted) // 2)
    before, after = (statistics.median(mib for _, mib in part) for part in (counted[:half], counted[-half:]))
    slopes = [(b - a) / (until - since) for (since, a), (until, b) in combinations(counted, 2)]
    return {
        "mib_third_quarter": round(before, 1),
        "mib_last_quarter": round(after, 1),
        "mib_per_hour": round(statistics.median(slopes) * 3600, 1) if slopes else 0.0,
        "flat": after <= before + max(GROWN_MIB_MAX, before * GROWN_SHARE_MAX),
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
    return await asyncio.to_thread(run, arguments.minutes, with_adapters=arguments.adapters)


def table(found: dict[str, Any]) -> Table:
    """The result for a person."""
    result = Table(title=f"Memory of each process over {found['minutes']:g} minutes, in MiB")
    cases = f"{found['closed']:,} of {found['cases']:,} cases closed"
    result.caption = f"{found['events_per_second']} events/s in the city's log, {cases}"
    if "lost" in found:
        result.caption += (
            f"; lost {found['lost']}, duplicated {found['duplicated']}, out of order {found['out_of_order']}"
        )
    result.add_column("process")
    for name in ("third quarter", "last quarter", "an hour more", "flat"):
        result.add_column(name, justify="right")
    for name, one in found["processes"].items():
        result.add_row(
            name,
            f"{one['mib_third_quarter']}",
            f"{one['mib_last_quarter']}",
            f"{one['mib_per_hour']:+}",
            "yes" if one["flat"] else "[red]no[/]",
        )
    return result
