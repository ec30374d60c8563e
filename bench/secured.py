"""What identity costs: the workflows stage on a Kafka with TLS, passwords (SCRAM) and ACLs, against one in plaintext.

Each measurement is a process and a broker of its own; plain and secured take turns, and the best of each counts: a
Java machine that still compiles what TLS needs is no measure of it.
The work is that of `bench/stage.py`, with records packed as they are in a city.
"""

from __future__ import annotations

import argparse
import asyncio
import json
import sys
import tempfile
from pathlib import Path
from typing import Any

import uvloop
from rich.table import Table

from bench.stage import subak_stage
from bus.city import city_path, load_city
from bus.collecting import tune_collector
from bus.kafka import KafkaSettings, ensure_topics
from bus.logs import configure_logs
from deploy.local.kafka import LocalKafka

TURNS = 3


async def one(way: str, count: int) -> float:
    """Events per second of the stage, on a fresh broker."""
    with tempfile.TemporaryDirectory() as home:
        broker = LocalKafka(Path(home), secure=way == "secured")
        await asyncio.to_thread(broker.start)
        try:
            kafka = KafkaSettings(bootstrap_servers=broker.bootstrap_servers, security=broker.security)
            city = load_city(city_path("denpasar"))
            await ensure_topics(kafka, city.agencies)
            return (await subak_stage(kafka, city, count))["acknowledged"]
        finally:
            await asyncio.to_thread(broker.stop)


async def measure(arguments: argparse.Namespace) -> dict[str, Any]:
    """What the command line asks for."""
    rates: dict[str, list[float]] = {"plain": [], "secured": []}
    for _ in range(TURNS):
        for way, found in rates.items():
            process = await asyncio.create_subprocess_exec(
                sys.executable,
                "-m",
                "bench.secured",
                way,
                str(arguments.events // 2),
                stdin=asyncio.subprocess.DEVNULL,
                stdout=asyncio.subprocess.PIPE,
            )
            said, _ = await process.communicate()
            if process.returncode:
                raise SystemExit(f"the stage on a {way} Kafka failed")
            found.append(json.loads(said.splitlines()[-1]))
    plain, secured = (max(found) for found in rates.values())
    return {
        "plain_per_second": round(plain),
        "secured_per_second": round(secured),
        "ratio": round(secured / plain, 2),
        "all": {way: [round(rate) for rate in found] for way, found in rates.items()},
        "events": arguments.events // 2,
    }


def table(found: dict[str, Any]) -> Table:
    """The result for a person."""
    caption = f"{found['events']:,} events, the best of {TURNS} turns each"
    result = Table(title="One stage, plain and secured (TLS, SCRAM, ACLs): events in per second", caption=caption)
    result.add_column("Kafka")
    result.add_column("events/s", justify="right")
    result.add_column("", justify="right")
    result.add_row("plain", f"{found['plain_per_second']:,}", "")
    result.add_row("secured", f"{found['secured_per_second']:,}", f"{found['ratio']} x")
    return result


if __name__ == "__main__":
    configure_logs("error", "console")
    tune_collector()
    print(json.dumps(uvloop.run(one(sys.argv[1], int(sys.argv[2])))))
