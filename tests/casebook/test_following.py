"""From the real Kafka into the tables: each event once, whatever is killed or away; and never from another log."""

from __future__ import annotations

import asyncio
import itertools
import os
import random
import signal
import sys
from collections.abc import AsyncIterator, Callable, Iterator
from contextlib import asynccontextmanager, suppress
from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import Any

import pytest
from prometheus_client import REGISTRY
from sqlalchemy import Engine

from bus.kafka import KafkaSettings, Output, TransactionalProducer, committed, ensure_topics, partitions_of
from bus.records import Record
from bus.topics import EVENTS, REJECTED
from deploy.local.kafka import LocalKafka
from schemas.failures import Misconfigured
from schemas.types.requests import RequestAcknowledged, RequestRated, RequestSubmitted
from schemas.types.workorders import WorkOrderAccepted, WorkOrderCompleted, WorkOrderInspected, WorkOrderStarted
from services.casebook.database import DatabaseUnavailable, writer_engine
from services.casebook.following import Following, FollowingSettings
from services.casebook.positions import AnotherCasebook
from services.casebook.writer import Writer
from tests.casebook.tables import contents, rows
from tests.support.bus import SmallBus, forget_topics
from tests.support.logbook import Logbook
from tests.support.postgresql import PostgreSQL

pytestmark = pytest.mark.kafka

QUICK = FollowingSettings(
    batch_records_max=50, read_wait_seconds=0.05, report_seconds=0.2, leader_wait_seconds=1, retry_seconds_max=0.5
)


async def write(settings: KafkaSettings, records: list[Record], *, portion: int = 20, pause: float = 0.0) -> None:
    """Put these records into the log, a few in each transaction."""
    producer = TransactionalProducer(settings, transactional_id="test-log")
    await producer.start()
    for start in range(0, len(records), portion):
        outputs = [
            Output(
                record.topic,
                record.key or b"",
                record.value,
                [(n, v or b"") for n, v in record.headers],
                record.partition,
            )
            for record in records[start : start + portion]
        ]
        await producer.commit(outputs, {}, "test")
        await asyncio.sleep(pause)
    await producer.stop()


@asynccontextmanager
async def following(bus: SmallBus, engine: Engine, **changes: Any) -> AsyncIterator[Following]:
    """A casebook at work. What it raises, the block's end raises."""
    found = Following(Writer(engine), city=bus.city.id, kafka=bus.settings, settings=QUICK, **changes)
    task = asyncio.create_task(found.run())
    try:
        yield found
    finally:
        found.stop()
        async with asyncio.timeout(20):
            await task


async def until(check: Callable[[], Any], seconds: float = 30) -> None:
    deadline = asyncio.get_running_loop().time() + seconds
    while not await asyncio.to_thread(check):
        assert asyncio.get_running_loop().time() < deadline, "it did not happen in time"
        await asyncio.sleep(0.05)


def count(engine: Engine, table: str = "timeline") -> int:
    with suppress(Exception):  # the tables are not there yet, or the database is away
        return len(rows(engine, table))
    return -1


def has(engine: Engine, entries: int) -> bool:
    return count(engine) >= entries


@pytest.fixture
def other(tmp_path: Path) -> Iterator[Engine]:
    """A second database, for a rebuild to compare with."""
    engine = writer_engine(f"sqlite:///{tmp_path / 'other.sqlite3'}")
    yield engine
    engine.dispose()


async def rebuilt(bus: SmallBus, engine: Engine) -> dict[str, list[Any]]:
    """The tables as one undisturbed reading makes them."""
    ends = sum((await _ends(bus)).values())
    async with following(bus, engine, rebuild=True) as found:
        await until(lambda: found.why_not_ready() is None)
        await until(lambda: sum(p.next_offset for p in Writer(engine).positions().values()) >= ends)
    return without_positions(engine)


def without_positions(engine: Engine) -> dict[str, list[Any]]:
    found = contents(engine)
    del found["meta"]
    return found


async def _ends(bus: SmallBus) -> dict[tuple[str, int], int]:
    found = [record for topic in (EVENTS, REJECTED) for record in await bus.read(topic)]
    return {(record.topic, record.partition): record.offset + 1 for record in found}


async def test_what_agencies_say_is_in_the_tables_and_a_rebuild_gives_the_same_rows(
    bus: SmallBus, writing: Engine, other: Engine
) -> None:
    city = bus.city
    service = sorted(city.services)[0]
    holder, ward = city.candidates(service, city.area)[0], city.inspector_of(city.area)
    said = Logbook(city)  # only to make events
    journey = [
        (city.citizens_channel, RequestSubmitted(service_code=service, area=city.area)),
        (holder, RequestAcknowledged()),
        (holder, WorkOrderAccepted()),
        (holder, WorkOrderAccepted()),  # refused: it is accepted already
        (holder, WorkOrderStarted()),
        (holder, WorkOrderCompleted()),
        (ward, WorkOrderInspected()),
        (city.citizens_channel, RequestRated(score=5)),
    ]
    async with bus.running("gateway", "workflows"), following(bus, writing):
        for agency, data in journey:
            before = max(0, count(writing))
            for number in range(3):
                await bus.publish(agency, said.say(agency, data, case=number))
            await until(partial(has, writing, before + 3))
            await asyncio.sleep(0.3)
        await until(lambda: count(writing, "rejected") == 3)
        await until(lambda: {row["state"] for row in rows(writing, "cases")} == {"closed"})
    refused = [row for row in rows(writing, "timeline") if row["refusal_id"]]
    assert [row["type"] for row in refused] == ["subak.workorder.accepted.v1"] * 3
    assert await rebuilt(bus, other) == without_positions(writing)


@pytest.mark.slow
@pytest.mark.parametrize("seed", [1])
async def test_a_casebook_that_is_killed_again_and_again_takes_each_event_in_once(
    bus: SmallBus, logbook: Logbook, url: str, other: Engine, tmp_path: Path, seed: int
) -> None:
    chance = random.Random(seed)
    environment = os.environ | {
        "SUBAK_KAFKA_BOOTSTRAP_SERVERS": bus.settings.bootstrap_servers,
        "SUBAK_KAFKA_PARTITIONS": str(bus.settings.partitions),
        "SUBAK_CITY": "san-francisco",
        "SUBAK_HOME": str(tmp_path),
        "SUBAK_DATABASE_URL": url,
        "SUBAK_BATCH_RECORDS_MAX": "7",
    }
    log = (tmp_path / "casebook.log").open("wb")

    async def start() -> asyncio.subprocess.Process:
        return await asyncio.create_subprocess_exec(
            sys.executable, "-m", "services.cli", "run", "casebook", env=environment, stdout=log, stderr=log
        )

    engine = writer_engine(url)
    process = await start()
    writing = asyncio.create_task(write(bus.settings, logbook.records, portion=3, pause=0.25))
    for _ in range(4):
        wanted = count(engine) + chance.randrange(5, 40)
        await until(partial(has, engine, min(wanted, len(logbook.records))), 60)
        await asyncio.sleep(chance.random() * 0.2)
        process.send_signal(signal.SIGKILL)
        await process.wait()
        process = await start()
    await writing
    await until(lambda: count(engine) == len(logbook.records), 60)
    await until(lambda: (tmp_path / "casebook.log").read_text().count("casebook_started") == 5)
    process.send_signal(signal.SIGTERM)
    assert await process.wait() == 0, "a clean stop"
    log.close()
    assert await rebuilt(bus, other) == without_positions(engine)
    engine.dispose()


async def test_a_commit_whose_outcome_is_unknown_is_not_made_twice(
    bus: SmallBus, logbook: Logbook, writing: Engine, other: Engine, monkeypatch: pytest.MonkeyPatch
) -> None:
    take = Writer.take
    outcomes = itertools.cycle(["it stands", "it is lost", "all is well", "it is lost"])

    def uncertain(self: Writer, *arguments: Any) -> Any:
        outcome = next(outcomes)
        if outcome == "all is well":
            return take(self, *arguments)
        if outcome == "it stands":
            take(self, *arguments)
        raise DatabaseUnavailable("the connection broke")

    monkeypatch.setattr(Writer, "take", uncertain)
    await write(bus.settings, logbook.records)
    async with following(bus, writing):
        await until(lambda: count(writing) == len(logbook.records))
    monkeypatch.undo()
    assert await rebuilt(bus, other) == without_positions(writing)


async def test_a_second_casebook_at_work_stops_with_a_sentence(
    bus: SmallBus, logbook: Logbook, writing: Engine, url: str
) -> None:
    other = writer_engine(url)
    works = [
        Following(Writer(engine), city=bus.city.id, kafka=bus.settings, settings=QUICK) for engine in (writing, other)
    ]
    tasks = [asyncio.create_task(work.run()) for work in works]
    await until(lambda: all(work.why_not_ready() is None for work in works))
    await write(bus.settings, logbook.records, portion=10, pause=0.01)
    done, working = await asyncio.wait(tasks, timeout=20, return_when=asyncio.FIRST_COMPLETED)
    for task in done:
        with pytest.raises(AnotherCasebook, match="One database has one casebook"):
            await task
    assert working, "one of them goes on"
    await until(lambda: count(writing) == len(logbook.records))
    for work in works:
        work.stop()
    await asyncio.gather(*working)
    places = [(row["log_partition"], row["log_offset"]) for row in rows(writing, "timeline")]
    assert len(places) == len(set(places)), "an event was taken in twice"
    other.dispose()


@pytest.mark.parametrize("log", ["shorter", "other", "empty"])
async def test_tables_of_another_log_are_not_continued(
    bus: SmallBus, logbook: Logbook, writing: Engine, log: str
) -> None:
    await write(bus.settings, logbook.records)
    async with following(bus, writing):
        await until(lambda: count(writing) == len(logbook.records))
    await forget_topics(bus.settings)
    await ensure_topics(bus.settings, bus.city.agencies)
    if log != "empty":
        anew = Logbook(bus.city)
        for number in range(1000, 1040 if log == "other" else 1003):
            anew.repair(number, service=sorted(bus.city.services)[0], area=bus.city.area, steps=8)
        await write(bus.settings, anew.records)
    before = contents(writing)
    with pytest.raises(Misconfigured, match=r"made from another log: in city-events/\d .*--rebuild"):
        async with following(bus, writing) as found:
            await until(lambda: found.why_not_ready() is None, 10)
    assert contents(writing) == before


async def test_when_it_has_read_all_no_lag_is_left_and_tools_see_its_position(
    bus: SmallBus, logbook: Logbook, writing: Engine
) -> None:
    await write(bus.settings, logbook.records)
    names = [("casebook", str(number)) for number in range(bus.settings.partitions)]

    def lag() -> list[float | None]:
        return [
            REGISTRY.get_sample_value("subak_lag_records", {"process": process, "partition": number})
            for process, number in names
        ]

    async with following(bus, writing):
        await until(lambda: count(writing) == len(logbook.records))
        await until(lambda: lag() == [0.0] * len(names))
        await asyncio.sleep(0.5)
        assert lag() == [0.0] * len(names), "a transaction's marker is no record"
        places = partitions_of([EVENTS], bus.settings.partitions)
        stored = {place: position.next_offset for place, position in Writer(writing).positions().items()}
        found = await committed(bus.settings, "casebook", places)
        assert found == {place: stored[place] for place in places}


async def test_while_kafka_is_away_it_says_so_and_then_goes_on(
    bus: SmallBus, logbook: Logbook, writing: Engine, kafka: LocalKafka
) -> None:
    bus.settings = replace(bus.settings, request_timeout_seconds=2.0)
    half = len(logbook.records) // 2
    await write(bus.settings, logbook.records[:half])
    async with following(bus, writing) as found:
        await until(lambda: count(writing) == half)
        await asyncio.to_thread(kafka.stop)
        try:
            await until(lambda: "Kafka did not answer" in (found.why_not_ready() or ""))
        finally:
            await asyncio.to_thread(kafka.start)
        await write(bus.settings, logbook.records[half:])
        await until(lambda: count(writing) == len(logbook.records), 60)
        await until(lambda: found.why_not_ready() is None)


async def test_while_the_database_is_away_it_says_so_and_then_goes_on(
    bus: SmallBus, logbook: Logbook, postgresql: PostgreSQL, other: Engine
) -> None:
    engine = writer_engine(postgresql.new_database())
    half = len(logbook.records) // 2
    await write(bus.settings, logbook.records[:half])
    async with following(bus, engine) as found:
        await until(lambda: count(engine) == half)
        postgresql.stop()
        try:
            await write(bus.settings, logbook.records[half:])
            await until(lambda: "the database failed" in (found.why_not_ready() or ""))
        finally:
            await asyncio.to_thread(postgresql.start)
        await until(lambda: count(engine) == len(logbook.records), 60)
        assert found.why_not_ready() is None
    assert await rebuilt(bus, other) == without_positions(engine)
    engine.dispose()


async def test_a_casebook_that_starts_before_kafka_waits_for_it(writing: Engine, bus: SmallBus) -> None:
    nowhere = KafkaSettings(bootstrap_servers="127.0.0.1:1", request_timeout_seconds=2)
    waiting = Following(Writer(writing), city=bus.city.id, kafka=nowhere, settings=QUICK)
    task = asyncio.create_task(waiting.run())
    await until(lambda: "Kafka did not answer" in (waiting.why_not_ready() or ""))
    waiting.stop()
    async with asyncio.timeout(10):
        await task
