"""What open cases cost: memory a case, and how long a process takes to read them back when it is given the partitions.

The changelog is made from cases that the stage's own logic opened and brought to many states: of the catalogue's four
workflows, in the mix of `MIX`. It is written into `city-cases` of a fresh broker under new ids. Then a process of its
own, as `subak run workflows` is one, is assigned every partition and reads it back. Memory is what the process has
grown by; the time is from its start until the last partition is ready, joining the group included.
"""

from __future__ import annotations

import argparse
import asyncio
import json
import sys
import tempfile
import time
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from itertools import cycle, islice
from pathlib import Path
from typing import Any

import uvloop
from rich.table import Table

from bus.city import City, city_path, load_city
from bus.collecting import tune_collector
from bus.kafka import KafkaSettings, Output, TransactionalProducer, ensure_topics, partition_for
from bus.kafka.stage import Stage
from bus.logs import configure_logs
from bus.records import Record
from bus.topics import CASES, EVENTS
from deploy.local.kafka import LocalKafka
from schemas.envelope import Event
from schemas.identifiers import derived_id
from schemas.registry import EventData
from schemas.types.budgets import BudgetAppropriated, BudgetCeilingSet
from schemas.types.permits import PermitAccepted, PermitApplied
from schemas.types.proposals import ProposalEndorsed, ProposalRanked, ProposalSubmitted
from schemas.types.requests import RequestAcknowledged, RequestSubmitted
from schemas.types.workorders import WorkOrderAccepted, WorkOrderCompleted, WorkOrderInspected, WorkOrderStarted
from schemas.values import NonNegativeMoney, Point
from services.workflows.catalogue import WORKFLOWS
from services.workflows.logic import Workflows

CASES_DEFAULT = 200_000
MIX = {"repair": 84, "permit": 8, "proposal": 7, "budget": 1}
"""Of a hundred open cases."""

GOALS = {"bytes_per_case": 1536, "seconds": 60}
"""For a million cases."""

START = datetime(2026, 11, 24, 1, tzinfo=UTC)
WRITTEN_AT_ONCE = 5_000

Said = tuple[str, EventData]


def lives(city: City) -> dict[str, list[Said]]:
    """For each workflow the events of one case's life, in order."""
    service = "road-damage"
    holder, ward = city.candidates(service, AREA)[0], city.offices_of(AREA)[0]
    permit = city.permits["building-permit"]
    report = RequestSubmitted(
        service_code=service,
        area=AREA,
        description="Lubang di jalan depan sekolah, dalam dan berbahaya saat hujan.",
        location=Point(type="Point", coordinates=(115.2126, -8.6705)),
        address_string="Jalan Hayam Wuruk 42",
    )
    assert city.proposals is not None
    money = NonNegativeMoney(amount="1000000000", currency="IDR")
    return {
        "repair": [
            (city.citizens_channel, report),
            (holder, RequestAcknowledged()),
            (holder, WorkOrderAccepted()),
            (holder, WorkOrderStarted()),
            (holder, WorkOrderCompleted()),
            (city.inspector_of(AREA), WorkOrderInspected()),
        ],
        "permit": [
            (city.citizens_channel, PermitApplied(service_code="building-permit", area=AREA, title="Rumah tinggal")),
            (permit.office, PermitAccepted()),
        ],
        "proposal": [
            (ward, ProposalSubmitted(title="Saluran air Gang Melati", service_code="drain", area=AREA, estimate=money)),
            (ward, ProposalEndorsed(attendance=64)),
            (ward, ProposalRanked(rank=1)),
        ],
        "budget": [
            (
                city.proposals.finance,
                BudgetCeilingSet(
                    budget_line="1.03.02.2.01",
                    name="Drainase",
                    fiscal_year=2027,
                    amount=money,
                    agency=holder,
                    area=city.area,
                ),
            ),
            (city.proposals.finance, BudgetAppropriated(amount=money)),
        ],
    }


AREA = "51.71.01.1005"


Pattern = tuple[tuple[bytes, bytes, bytes], list[tuple[str, bytes]]]
"""What the changelog has of a case before its id, between it and its first event's id, and after; and the headers."""


def open_cases(city: City) -> dict[str, list[Pattern]]:
    """For each workflow one case in each state of its life."""
    logic = Workflows(0, city=city, workflows=WORKFLOWS)
    found: dict[str, list[Pattern]] = {}
    offset = 0
    for name, said in lives(city).items():
        for length in range(1, len(said) + 1):
            id = derived_id("bench state", f"{name} {length}")
            last: Output | None = None
            for step, (agency, data) in enumerate(said[:length]):
                at = START + timedelta(hours=step)
                event = Event.of(data, source=city.source_of(agency), subject=id, time=at.isoformat())
                offset += 1
                record = Record(EVENTS, 0, offset, int(at.timestamp() * 1000), event.key, event.data, event.headers())
                decided = logic.decide([record], at)
                logic.apply(decided)
                last = next((output for output in decided.outputs if output.topic == CASES), None)
                assert last is not None, f"{name}: {type(data).__name__} was not taken"
            assert last is not None
            value = last.value or b""
            before, between = value.split(id.encode())
            between, after = between.split(logic.memory.cases[id].correlation.encode())
            found.setdefault(name, []).append(((before, between, after), last.headers))
    return found


def changelog(city: City, count: int, partitions: int) -> Iterator[Output]:
    """So many open cases, as `city-cases` has them."""
    places = {name: cycle(cases) for name, cases in open_cases(city).items()}
    mix = [name for name, share in MIX.items() for _ in range(share)]
    for number, name in enumerate(islice(cycle(mix), count)):
        (before, between, after), headers = next(places[name])
        id, first = b"%08x-0000-7000-8000-00000000ca5e" % number, b"%08x-0000-7000-8000-0000000f1257" % number
        value = before + id + between + first + after
        yield Output(CASES, id, value, headers, partition_for(id, partitions))


async def write(kafka: KafkaSettings, city: City, count: int) -> int:
    """Write the changelog. Returns its bytes, as they are before compression."""
    producer = TransactionalProducer(kafka, transactional_id="bench-state")
    await producer.start()
    size, outputs = 0, changelog(city, count, kafka.partitions)
    while batch := list(islice(outputs, WRITTEN_AT_ONCE)):
        size += sum(len(output.value or b"") for output in batch)
        await producer.commit(batch, {}, "bench-state")
    await producer.stop()
    return size


def resident_bytes() -> int:
    """The memory that this process holds now."""
    pages = int(Path("/proc/self/statm").read_text(encoding="utf-8").split()[1])
    return pages * 4096


async def read_back(kafka: KafkaSettings, count: int) -> dict[str, float]:
    """Be the process that is assigned all partitions: seconds of the clock and the processor, and bytes grown by."""
    city = load_city(city_path("denpasar"))
    before = resident_bytes()
    stage = Stage(
        name="workflows", logic=lambda n: Workflows(n, city=city, workflows=WORKFLOWS), kafka=kafka, topics=(EVENTS,)
    )
    began, processor = time.perf_counter(), time.process_time()
    await stage.start()
    while sum(lane.ready for lane in stage.lanes.values()) < kafka.partitions:  # noqa: ASYNC110 - lanes have no event
        await asyncio.sleep(0.05)
    seconds, processor = time.perf_counter() - began, time.process_time() - processor
    live = sum(lane.sizes()["live"] for lane in stage.lanes.values())
    grown = resident_bytes() - before
    await stage.stop()
    assert live == count, f"{live} cases came back of {count}"
    return {"seconds": seconds, "processor_seconds": processor, "grown_bytes": grown}


async def run(count: int) -> dict[str, Any]:
    """Write, and let another process read."""
    city = load_city(city_path("denpasar"))
    with tempfile.TemporaryDirectory() as home:
        broker = LocalKafka(Path(home))
        broker.start()
        try:
            kafka = KafkaSettings(bootstrap_servers=broker.bootstrap_servers)
            await ensure_topics(kafka, [])
            size = await write(kafka, city, count)
            reader = await asyncio.create_subprocess_exec(
                sys.executable,
                "-m",
                "bench.state",
                broker.bootstrap_servers,
                str(count),
                stdout=asyncio.subprocess.PIPE,
            )
            said, _ = await reader.communicate()
        finally:
            broker.stop()
    found = json.loads(said.splitlines()[-1])
    return {
        "cases": count,
        "bytes_per_case": round(found["grown_bytes"] / count),
        "seconds": round(found["seconds"], 1),
        "processor_seconds": round(found["processor_seconds"], 1),
        "changelog_bytes_per_case": round(size / count),
        "workflows": sorted(WORKFLOWS),
        "goals_for_a_million": GOALS,
    }


async def measure(arguments: argparse.Namespace) -> dict[str, Any]:
    """What the command line asks for."""
    return await run(arguments.cases or CASES_DEFAULT)


def table(found: dict[str, Any]) -> Table:
    """The result for a person."""
    title = f"{found['cases']:,} open cases of {', '.join(found['workflows'])}"
    result = Table(title=title, caption="goals for 1,000,000: under 1.5 KiB a case, 60 s")
    for column in ("what", "measured"):
        result.add_column(column, justify="left" if column == "what" else "right")
    result.add_row("memory a case", f"{found['bytes_per_case']:,} bytes")
    result.add_row("read back on assignment", f"{found['seconds']:,} s")
    result.add_row("of that the process's own processor time", f"{found['processor_seconds']:,} s")
    result.add_row("a case in the changelog", f"{found['changelog_bytes_per_case']:,} bytes")
    return result


def _read_back_here() -> None:
    configure_logs("error", "console")
    tune_collector()
    kafka = KafkaSettings(bootstrap_servers=sys.argv[1])
    print(json.dumps(uvloop.run(read_back(kafka, int(sys.argv[2])))))


if __name__ == "__main__":
    _read_back_here()
