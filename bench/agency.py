"""How fast one agency's side is: a file's rows, posts over HTTP, calls of a webhook. Without Kafka, on SQLite.

- `files`: from the moment a file of `--rows` rows stands in the folder until all its events are on disk, CSV and XLSX,
  with the peak memory of the process that reads (XLSX: and of the one that unpacks).
- `http_source`: events on disk a second, posted one by one from 32 connections, and in lists.
- `webhook`: calls a second of a system that answers after 20 ms, and whether each case's order was kept.
"""

from __future__ import annotations

import argparse
import asyncio
import contextlib
import csv
import json
import sys
import tempfile
import time
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import aiohttp
import openpyxl
import psutil
from rich.table import Table

from adapters.config import Webhook
from adapters.delivery import Delivery
from adapters.webhook import WebhookTarget
from bench.agency_side import AGENCY, HEADER, TOKEN, parts, row
from bus.records import Record
from bus.topics import in_topic
from schemas.envelope import Event
from schemas.identifiers import derived_id

CONNECTIONS = 32
IN_A_LIST = 1000
CALLS_AT_ONCE = 64
CASES = 1000
ANSWER_SECONDS = 0.02
LOOK_SECONDS = 0.05


async def measure_files(arguments: argparse.Namespace) -> dict[str, Any]:
    """Seconds and memory for a CSV and an XLSX file."""
    found: dict[str, Any] = {}
    for name in ("rows.csv", "rows.xlsx"):
        with tempfile.TemporaryDirectory() as folder:
            incoming = Path(folder) / "incoming"
            incoming.mkdir()
            await asyncio.to_thread(_write, incoming / name, arguments.rows)
            async with _side("files", folder, name) as said:
                found[name.removeprefix("rows.")] = {
                    "rows": arguments.rows,
                    "events": said["events"],
                    "seconds": round(said["seconds"], 1),
                    "cpu_seconds": round(said["cpu_seconds"], 1),
                    "rows_per_second": round(arguments.rows / said["seconds"]),
                    "peak_rss_mib": round(said["peak_rss_mib"]),
                }
    return found


async def measure_http(arguments: argparse.Namespace) -> dict[str, Any]:
    """Events on disk a second."""
    with tempfile.TemporaryDirectory() as folder:
        async with _side("http", folder) as said:
            url = f"http://127.0.0.1:{said['port']}/agencies/{AGENCY}/events"
            headers = {"Authorization": f"Bearer {TOKEN}", "Content-Type": "application/json"}
            connector = aiohttp.TCPConnector(limit=CONNECTIONS)
            async with aiohttp.ClientSession(connector=connector, headers=headers) as session:
                bodies = [json.dumps(_request(number)).encode() for number in range(arguments.posts)]
                one_by_one = await _post(session, url, bodies, arguments.posts)
                start = arguments.posts
                lists = [
                    json.dumps([_request(start + place * IN_A_LIST + number) for number in range(IN_A_LIST)]).encode()
                    for place in range(max(1, arguments.posts // 200))
                ]
                in_lists = await _post(session, url, lists, len(lists) * IN_A_LIST)
    return {
        "connections": CONNECTIONS,
        "one_by_one_per_second": round(one_by_one),
        "in_lists_per_second": round(in_lists),
        "in_a_list": IN_A_LIST,
    }


async def _post(session: aiohttp.ClientSession, url: str, bodies: list[bytes], events: int) -> float:
    waiting = iter(bodies)
    began = time.perf_counter()

    async def post() -> None:
        for body in waiting:
            async with session.post(url, data=body) as answer:
                assert answer.status == 202, await answer.text()
                await answer.read()

    await asyncio.gather(*(post() for _ in range(CONNECTIONS)))
    return events / (time.perf_counter() - began)


async def measure_webhook(arguments: argparse.Namespace) -> dict[str, Any]:
    """Calls a second."""
    with tempfile.TemporaryDirectory() as folder:
        async with _side("slow", str(ANSWER_SECONDS)) as said, parts(Path(folder)) as (city, _, _, inbox):
            url = f"http://127.0.0.1:{said['port']}"
            source = city.source_of("public-works")
            cases = [derived_id("bench", case) for case in range(CASES)]
            records = [_record(number, cases[number % CASES], source) for number in range(arguments.calls)]
            for start in range(0, len(records), 1000):
                await inbox.take(records[start : start + 1000])
            target = WebhookTarget(Webhook(url=f"{url}/events", key=b"k" * 32, allow_private=("127.0.0.1",)))
            delivery = Delivery(AGENCY, inbox, target, concurrency_max=CALLS_AT_ONCE)
            began = time.perf_counter()
            running = asyncio.create_task(delivery.run())
            async with aiohttp.ClientSession() as session:
                heard: list[list[str]] = []
                while len(heard) < arguments.calls:
                    await asyncio.sleep(0.2)
                    async with session.get(f"{url}/heard") as answer:
                        heard = await answer.json()
                    seconds = time.perf_counter() - began
            running.cancel()
            await asyncio.gather(running, return_exceptions=True)
            await target.close()
    last: dict[str, int] = {}
    out_of_order = 0
    for case, id in heard:
        number = int(id)
        out_of_order += number <= last.get(case, -1)
        last[case] = number
    return {
        "calls": len(heard),
        "answer_ms": ANSWER_SECONDS * 1000,
        "at_once": CALLS_AT_ONCE,
        "calls_per_second": round(len(heard) / seconds),
        "out_of_order": out_of_order,
    }


def _record(number: int, case: str, source: str) -> Record:
    event = Event(
        id=str(number),
        type="subak.request.commented.v1",
        source=source,
        subject=case,
        time="2026-11-24T08:00:00+08:00",
        data=b'{"text":"Petugas sudah di lokasi, saluran dibersihkan hari ini."}',
    )
    return Record(in_topic(AGENCY), 0, number, 0, event.key, event.data, event.headers())


def _request(number: int) -> dict[str, Any]:
    data = {
        "service_code": "drain",
        "area": "51.71.01.1005",
        "description": f"Saluran air tersumbat di depan rumah nomor {number}, jalan tergenang setiap hujan deras.",
        "location": {"type": "Point", "coordinates": [115.2373, -8.6733]},
    }
    return {"type": "subak.request.submitted.v1", "id": f"r-{number}", "data": data}


@contextlib.asynccontextmanager
async def _side(*arguments: str) -> AsyncIterator[dict[str, Any]]:
    """The agency's side in a process of its own, and what it says first."""
    process = await asyncio.create_subprocess_exec(
        *(sys.executable, "-m", "bench.agency_side", *arguments),
        stdin=asyncio.subprocess.PIPE,
        stdout=asyncio.subprocess.PIPE,
    )
    assert process.stdout is not None
    assert process.stdin is not None
    try:
        answering = asyncio.create_task(process.stdout.readline())
        peak = 0
        while not answering.done():  # its memory is looked at from outside: the meter is not measured
            with contextlib.suppress(psutil.Error):
                measured = psutil.Process(process.pid)
                peak = max(peak, _rss_bytes([measured, *measured.children()]))
            await asyncio.wait([answering], timeout=LOOK_SECONDS)
        yield json.loads(answering.result()) | {"peak_rss_mib": peak / 2**20}
    finally:
        process.stdin.close()
        await process.wait()


def _rss_bytes(processes: list[psutil.Process]) -> int:
    found = 0
    for process in processes:
        with contextlib.suppress(psutil.Error):  # it has ended
            found += process.memory_info().rss
    return found


def _write(path: Path, rows: int) -> None:
    if path.suffix == ".csv":
        with path.open("w", encoding="utf-8", newline="") as file:
            writer = csv.writer(file)
            writer.writerow(HEADER)
            writer.writerows(row(number) for number in range(rows))
        return
    book = openpyxl.Workbook(write_only=True)
    sheet = book.create_sheet("Laporan")
    sheet.append(HEADER)
    for number in range(rows):
        sheet.append(row(number))
    book.save(path)


def table(result: dict[str, Any]) -> Table:
    """What was measured, a line each."""
    shown = Table("what", "measured")
    for name, value in result.items():
        if isinstance(value, dict):
            for inner, found in value.items():
                shown.add_row(f"{name} {inner}".replace("_", " "), f"{found}")
        else:
            shown.add_row(name.replace("_", " "), f"{value}")
    return shown
