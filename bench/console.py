"""How long the console's pages take with 100,000 cases: casebook and console as they serve, asked over HTTP.

The tables are filled with rows directly, as the log would have made them; the pages are asked one after the other, and
the summary is asked anew each time, so no answer comes from memory.
"""

from __future__ import annotations

import argparse
import random
import statistics
import tempfile
import time
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import httpx
import msgspec
from rich.table import Table
from sqlalchemy import Engine, insert

from bus.city import City, load_city
from bus.city.load import city_path
from bus.kafka import KafkaSettings
from bus.process import serving
from schemas.identifiers import derived_id
from services.casebook import tables
from services.casebook.api import casebook_api
from services.casebook.case import COLUMNS
from services.casebook.database import reader_engine, writer_engine
from services.casebook.questions import Questions
from services.casebook.states import CLOSED, STATES
from services.console.app import console_app
from services.console.parts import Parts
from services.console.security import LOOPBACK
from services.console.waiting import Waiting

ROUNDS = 15
"""How often each page is asked."""

ENTRIES_EACH = 6
"""Events in a case's timeline."""

PORTION = 5_000
"""Rows written at once."""

OPEN_SHARE, OVERDUE_SHARE, PARKED, REJECTED = 0.2, 0.05, 500, 20_000


async def measure(arguments: argparse.Namespace) -> dict[str, Any]:
    """Milliseconds of each page, in the middle and at worst."""
    city = load_city(city_path("denpasar"))
    with tempfile.TemporaryDirectory() as folder:
        url = f"sqlite:///{Path(folder) / 'casebook.sqlite3'}"
        writing = writer_engine(url)
        began = time.perf_counter()
        one = _fill(writing, city, arguments.console_cases)
        filled_seconds = time.perf_counter() - began
        reading = reader_engine(url)
        try:
            found = await _ask(reading, city, one)
        finally:
            reading.dispose()
            writing.dispose()
    return {"cases": arguments.console_cases, "filled_seconds": round(filled_seconds, 1), "pages": found}


async def _ask(reading: Engine, city: City, one: str) -> dict[str, dict[str, float]]:
    casebook = casebook_api(Questions(reading), city, why_not_ready=lambda: None)
    kafka = KafkaSettings(bootstrap_servers="127.0.0.1:1")
    found: dict[str, dict[str, float]] = {}
    async with serving(casebook, host="127.0.0.1", port=0) as casebook_port:
        parts = Parts.of(city, kafka, f"http://127.0.0.1:{casebook_port}")
        parts.waiting = Waiting(_nothing_waits)
        async with (
            serving(console_app(parts, LOOPBACK), host="127.0.0.1", port=0) as port,
            httpx.AsyncClient(base_url=f"http://127.0.0.1:{port}", timeout=60) as client,
        ):
            for name, address in _pages(one).items():
                found[name] = await _time(client, parts, address)
        await parts.close()
    return found


async def _time(client: httpx.AsyncClient, parts: Parts, address: str) -> dict[str, float]:
    times = []
    for _ in range(ROUNDS):
        parts.casebook.forget()
        began = time.perf_counter()
        answer = await client.get(address)
        times.append((time.perf_counter() - began) * 1000)
        answer.raise_for_status()
    return {"median_ms": round(statistics.median(times), 1), "worst_ms": round(max(times), 1)}


def _pages(one: str) -> dict[str, str]:
    return {
        "now": "/",
        "cases": "/cases",
        "cases, of one state": "/cases?state=in_progress",
        "cases, of one agency": "/cases?agency=public-works",
        "cases, held by an agency": "/cases?agency=transport&role=holder",
        "cases, of a service in an area": "/cases?service_code=road-damage&area=51.71.01.1005",
        "cases, overdue": "/cases?overdue=true",
        "cases, open": "/cases?open=true",
        "cases, by id": f"/cases?id={one[:6]}",
        "one case": f"/cases/{one}",
        "rejected": "/rejected",
        "rejected, by cause": "/rejected?code=unknown_service&agency=transport",
        "parked": "/parked",
        "a group to replay": "/parked/replay?event_type=subak.request.acknowledged.v1",
        "catalogue": "/catalogue",
    }


async def _nothing_waits() -> list[Any]:
    return []


def table(found: dict[str, Any]) -> Table:
    """For people."""
    shown = Table("page", "median ms", "worst ms", title=f"Console, {found['cases']:,} cases")
    for name, times in found["pages"].items():
        shown.add_row(name, f"{times['median_ms']:.0f}", f"{times['worst_ms']:.0f}")
    return shown


def _fill(writing: Engine, city: City, count: int) -> str:
    """Make the tables, with that many cases. Returns the id of one of them."""
    dice, now = random.Random(1), datetime.now(UTC)
    tables.metadata.create_all(writing)
    cases = [_case(number, dice, city, now) for number in range(count)]
    with writing.begin() as connection:
        for part in _portions(cases):
            connection.execute(insert(tables.cases), part)
            parties = [{"agency": id, "case_id": case["id"]} for case in part for id in case["parties"].split(",")]
            connection.execute(insert(tables.case_parties), parties)
            connection.execute(insert(tables.timeline), [line for case in part for line in _lines(case, city)])
        for part in _portions([_rejection(number, dice, city, now) for number in range(REJECTED)]):
            connection.execute(insert(tables.rejected), part)
        connection.exec_driver_sql("ANALYZE")
    return str(cases[count // 2]["id"])


def _portions(rows: list[dict[str, Any]]) -> Iterator[list[dict[str, Any]]]:
    for start in range(0, len(rows), PORTION):
        yield rows[start : start + PORTION]


def _utc(moment: datetime) -> str:
    return moment.strftime("%Y-%m-%dT%H:%M:%S.%fZ")


def _case(number: int, dice: random.Random, city: City, now: datetime) -> dict[str, Any]:
    service, area = dice.choice(list(city.services)), dice.choice(list(city.areas))
    holder, opened = city.candidates(service, area)[0], now - timedelta(minutes=number * 5)
    is_open, is_late, is_parked = dice.random() < OPEN_SHARE, dice.random() < OVERDUE_SHARE, number < PARKED
    due = now + timedelta(days=-1 if is_late else 3)
    is_open = is_open or is_parked
    known = {
        "id": derived_id("bench console", number),
        "workflow": "repair@2",
        "service_code": service,
        "area": area,
        "state": dice.choice([state for state in STATES if state != CLOSED]) if is_open else CLOSED,
        "outcome": None if is_open else "rated",
        "opened_by": city.citizens_channel,
        "holder": holder if is_open else None,
        "held_since": _utc(opened) if is_open else None,
        "agency": holder,
        "parties": ",".join(dict.fromkeys((city.citizens_channel, holder, city.inspector_of(area)))),
        "opened_at": _utc(opened),
        "updated_at": _utc(opened),
        "closed_at": None if is_open else _utc(opened + timedelta(days=2)),
        "due_at": _utc(due),
        "escalation_step": 0,
        "parked_at": _utc(opened) if is_parked else None,
        "parked_event_type": "subak.request.acknowledged.v1" if is_parked else None,
        "parked_error": "ZeroDivisionError: division by zero" if is_parked else None,
        "parked_seq": 3 if is_parked else None,
        "events": ENTRIES_EACH,
        "log_partition": 0,
        "log_offset": number * ENTRIES_EACH,
    }
    return {name: known.get(name, "" if not tables.cases.c[name].nullable else None) for name in COLUMNS}


def _lines(case: dict[str, Any], city: City) -> Iterator[dict[str, Any]]:
    for seq in range(1, ENTRIES_EACH + 1):
        yield {
            "case_id": case["id"],
            "seq": seq,
            "event_id": f"{case['id']}-{seq}",
            "type": "subak.request.commented.v1",
            "source": city.source_of(case["agency"]),
            "agency": case["agency"],
            "time": case["opened_at"],
            "logged_at": case["opened_at"],
            "data": '{"text":"The drain is open again."}',
            "log_partition": 0,
            "log_offset": case["log_offset"] + seq,
        }


def _rejection(number: int, dice: random.Random, city: City, now: datetime) -> dict[str, Any]:
    code = dice.choice(["unknown_service", "outside_city", "too_large", "not_of_its_type"])
    agency = dice.choice(list(city.agencies))
    reason = {"code": code, "field": "data.x", "problem": "it is wrong", "fix": "Correct it."}
    return {
        "id": derived_id("bench console rejection", number),
        "rejected_at": _utc(now - timedelta(minutes=number)),
        "rejected_by": "gateway",
        "case_id": derived_id("bench console", number),
        "agency": agency,
        "event_id": derived_id("bench console event", number),
        "event_type": "subak.request.submitted.v1",
        "topic": f"agency-{agency}-out",
        "partition": 0,
        "offset": number,
        "reasons": msgspec.json.encode([reason]).decode(),
        "code": code,
        "headers": "[]",
        "data": "{}",
        "size_bytes": 2,
        "log_partition": 0,
        "log_offset": number,
    }
