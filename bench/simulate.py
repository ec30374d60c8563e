"""How fast a changed workflow is played over the recorded log: records of the log a second, on one core, no Kafka.

The log is made by the stage's own logic from whole lifecycles of repairs, so it has the mix that a city's log has: for
each event of an agency about one of the workflows.
"""

from __future__ import annotations

import argparse
import time
from datetime import UTC, datetime, timedelta
from typing import Any

import msgspec
from rich.table import Table

from bench.lifecycle import CASES_DEFAULT
from bus.city import City, city_path, load_city
from bus.records import Record
from bus.topics import EVENTS
from schemas.envelope import Event
from schemas.identifiers import derived_id
from schemas.registry import EventData
from schemas.types.requests import RequestAcknowledged, RequestRated, RequestSubmitted
from schemas.types.workorders import WorkOrderAccepted, WorkOrderCompleted, WorkOrderInspected, WorkOrderStarted
from services.workflows.catalogue import WORKFLOWS
from services.workflows.logic import Workflows
from services.workflows.simulation import Simulation

START = datetime(2026, 1, 5, 1, tzinfo=UTC)
SERVICE = "road-damage"


def log(city: City, cases: int) -> list[Record]:
    """The log of so many repairs, a minute apart, each with seven events of agencies."""
    logic = Workflows(0, city=city, workflows=WORKFLOWS)
    holder, inspector = city.candidates(SERVICE, city.area)[0], city.inspector_of(city.area)
    acts: list[tuple[str, EventData]] = [
        (city.citizens_channel, RequestSubmitted(service_code=SERVICE, area=city.area, description="A hole.")),
        (holder, RequestAcknowledged()),
        (holder, WorkOrderAccepted()),
        (holder, WorkOrderStarted()),
        (holder, WorkOrderCompleted()),
        (inspector, WorkOrderInspected()),
        (city.citizens_channel, RequestRated(score=4)),
    ]
    records: list[Record] = []
    for number in range(cases):
        case = derived_id("simulated", number)
        for step, (agency, data) in enumerate(acts):
            at = START + timedelta(minutes=number, hours=step)
            event = Event.of(
                data, id=derived_id(case, step), source=city.source_of(agency), subject=case, time=at.isoformat()
            )
            records.append(_record(event, len(records), at))
            decided = logic.decide(records[-1:], at)
            logic.apply(decided)
            for output in decided.outputs:
                if output.topic == EVENTS:
                    records.append(
                        Record(EVENTS, 0, len(records), _ms(at), output.key, output.value, tuple(output.headers))
                    )
    records.sort(key=lambda record: record.timestamp_ms)
    return [msgspec.structs.replace(record, offset=offset) for offset, record in enumerate(records)]


async def measure(arguments: argparse.Namespace) -> dict[str, Any]:
    """Play the log once. Processor time counts: what else the machine does is not the simulation's."""
    city = load_city(city_path("denpasar"))
    records = log(city, arguments.cases or CASES_DEFAULT)
    simulation = Simulation(city, WORKFLOWS, only=WORKFLOWS["repair@2"])
    began = time.process_time()
    simulation.take(records)
    report = simulation.report()
    seconds = time.process_time() - began
    return {
        "recorded_per_second": round(len(records) / seconds),
        "agencies_events_per_second": round(report.events / seconds),
        "recorded": len(records),
        "cases": report.cases,
        "otherwise": len(report.differences),
    }


def table(found: dict[str, Any]) -> Table:
    """The result for a person."""
    result = Table(title="Simulating a workflow over the recorded log, one core", caption=f"{found['cases']:,} cases")
    for column in ("what", "a second"):
        result.add_column(column, justify="left" if column == "what" else "right")
    result.add_row("records of the log", f"{found['recorded_per_second']:,}")
    result.add_row("events of agencies, decided anew", f"{found['agencies_events_per_second']:,}")
    return result


def _record(event: Event, offset: int, at: datetime) -> Record:
    return Record(EVENTS, 0, offset, _ms(at), event.key, event.data, tuple(event.headers()))


def _ms(at: datetime) -> int:
    return int(at.timestamp() * 1000)
