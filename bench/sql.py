"""How fast an agency's SQL database is heard: triggers on PostgreSQL, outbox on SQLite, a real Kafka.

- `rows_per_second`: from rows that wait in the table of changes to their events in the outbox, until the rows are gone.
- `commit_to_kafka_ms`: from the return of the agency's COMMIT until a reader of committed records has the event, one
  change at a time, woken by LISTEN/NOTIFY.
"""

from __future__ import annotations

import argparse
import asyncio
import contextlib
import statistics
import tempfile
import time
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import msgspec
import psycopg
import pytest
from rich.table import Table

from adapters.intake import Intake
from adapters.kinds import Place
from adapters.sources.sql.build import build
from adapters.sources.sql.config import SqlSourceConfig
from adapters.sources.sql.ddl import ddl
from bench.agency_side import AGENCY, MAPPING, row
from bus.agency_tables import NAME, TABLES, VERSION
from bus.cases import KnownCases
from bus.city import city_path, load_city
from bus.database import Database
from bus.kafka import KafkaSettings, TopicReader, ensure_topics, partitions_of
from bus.outbox import Horizon, Outbox, Relay
from bus.topics import out_topic
from deploy.local.kafka import LocalKafka
from tests.support.postgresql import postgresql_server

COLUMNS = ("nomor", "dibuat", "jenis", "wilayah", "keluhan", "bujur", "lintang")
BETWEEN_SECONDS = 0.05
"""Between two changes whose latency is measured."""


async def measure(arguments: argparse.Namespace) -> dict[str, Any]:
    """What the command line asks for; only the reason where PostgreSQL is not installed."""
    servers = postgresql_server()
    try:
        server = next(servers)
    except pytest.skip.Exception as error:
        return {"skipped": str(error)}
    with tempfile.TemporaryDirectory() as home:
        broker = LocalKafka(Path(home) / "kafka")
        broker.start()
        try:
            address = server.new_database()
            return await run(Path(home), address, broker.bootstrap_servers, arguments.rows, arguments.changes)
        finally:
            broker.stop()
            next(servers, None)  # it stops the server


async def run(folder: Path, url: str, bootstrap_servers: str, rows: int, changes: int) -> dict[str, Any]:
    """Both measures, one after the other."""
    (folder / "mapping.toml").write_text(MAPPING, encoding="utf-8")
    config = SqlSourceConfig.model_validate(
        {"url": url, "mapping": "mapping.toml", "table": ({"name": "aduan", "columns": COLUMNS},)}
    )
    address = url.replace("postgresql+psycopg", "postgresql")
    kafka = KafkaSettings(bootstrap_servers=bootstrap_servers, compression="none")
    async with _side(folder, config, kafka) as (source, relay, count):
        with psycopg.connect(address, autocommit=True) as connection:
            connection.execute(f"CREATE TABLE aduan ({', '.join(f'{name} text' for name in COLUMNS)})".encode())
            for statement in ddl("postgresql", config.changes, config.table):
                connection.execute(statement.encode())
            began = time.perf_counter()
            await asyncio.to_thread(_write, connection, 0, rows)
            wrote = time.perf_counter() - began
            began, worked = time.perf_counter(), time.process_time()
            while await source.read_once():
                pass
            seconds, cpu_seconds = time.perf_counter() - began, time.process_time() - worked
            assert await count() == rows
            running = [asyncio.create_task(one.run()) for one in (source, relay)]
            latencies = await _latencies(kafka, connection, rows, changes)
            for task in running:
                task.cancel()
            await asyncio.gather(*running, return_exceptions=True)
    return {
        "rows": rows,
        "rows_per_second": round(rows / seconds),
        "cpu_us_per_row": round(cpu_seconds / rows * 1e6),
        "agency_writes_per_second": round(rows / wrote),
        "changes": changes,
        "commit_to_kafka_ms": {
            "p50": round(statistics.median(latencies), 1),
            "p95": round(statistics.quantiles(latencies, n=20)[-1], 1),
            "max": round(max(latencies), 1),
        },
    }


@contextlib.asynccontextmanager
async def _side(folder: Path, config: SqlSourceConfig, kafka: KafkaSettings) -> AsyncIterator[Any]:
    city = load_city(city_path("denpasar"))
    await ensure_topics(kafka, [AGENCY])
    database = Database(f"sqlite:///{folder / 'agency.sqlite3'}", tables=TABLES, name=NAME, version=VERSION)
    await database.start()
    cases = KnownCases(database)
    outbox = Outbox(database, cases)
    await outbox.start([AGENCY])
    place = Place(agency=AGENCY, name="aduan", folder=folder, environment={}, city=city, database=database)
    source = build(config, place, Intake(city, outbox, cases))

    async def count() -> int:
        return outbox.waiting[AGENCY]

    try:
        yield source, Relay(AGENCY, outbox, kafka, horizon=Horizon(), turns=asyncio.Semaphore(1)), count
    finally:
        await database.stop()


def _write(connection: psycopg.Connection[Any], first: int, count: int) -> None:
    """The agency's own system: so many rows, a hundred in each transaction."""
    insert = f"INSERT INTO aduan VALUES ({', '.join(['%s'] * len(COLUMNS))})".encode()
    for start in range(first, first + count, 100):
        with connection.transaction(), connection.cursor() as cursor:
            cursor.executemany(insert, [row(number)[:7] for number in range(start, min(start + 100, first + count))])


async def _latencies(kafka: KafkaSettings, connection: psycopg.Connection[Any], first: int, count: int) -> list[float]:
    """Milliseconds from commit to Kafka, once the relay has sent what came before."""
    reader = TopicReader(kafka, name="bench-sql")
    await reader.start(dict.fromkeys(partitions_of([out_topic(AGENCY)], kafka.partitions), 0))
    heard: dict[str, float] = {}
    read = 0

    async def listen() -> None:
        nonlocal read
        while True:
            records = await reader.read(records_max=5000)
            now = time.perf_counter()
            read += len(records)
            for record in records:
                heard[msgspec.json.decode(record.value or b"{}").get("service_request_id")] = now

    listening = asyncio.create_task(listen())
    while read < first:  # noqa: ASYNC110 - a measure waits, and hurries nobody
        await asyncio.sleep(0.1)
    committed: dict[str, float] = {}
    for number in range(first, first + count):
        await asyncio.to_thread(_write, connection, number, 1)
        committed[row(number)[0]] = time.perf_counter()
        await asyncio.sleep(BETWEEN_SECONDS)
    while not committed.keys() <= heard.keys():  # noqa: ASYNC110
        await asyncio.sleep(0.1)
    listening.cancel()
    await asyncio.gather(listening, return_exceptions=True)
    await reader.stop()
    return [(heard[name] - at) * 1000 for name, at in committed.items()]


def table(found: dict[str, Any]) -> Table:
    """The result for a person."""
    result = Table(title="An agency's SQL database, by triggers on PostgreSQL")
    result.add_column("measure")
    result.add_column("found", justify="right")
    if "skipped" in found:
        result.add_row("skipped", found["skipped"])
        return result
    result.add_row("rows from the table of changes to the outbox, a second", f"{found['rows_per_second']:,}")
    for name, value in found["commit_to_kafka_ms"].items():
        result.add_row(f"commit to Kafka, {name}, ms", f"{value}")
    return result
