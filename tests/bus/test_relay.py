"""Each outbox row reaches Kafka exactly once and in its order, whatever befalls relay, broker or database."""

from __future__ import annotations

import asyncio
import contextlib
import shutil
from collections.abc import AsyncIterator, Callable
from dataclasses import replace
from pathlib import Path

import pytest
from aiokafka.admin import AIOKafkaAdminClient
from aiokafka.protocol.admin import DeleteGroupsRequest
from sqlalchemy import NullPool, create_engine

from bus.agency_tables import NAME, TABLES, VERSION
from bus.cases import KnownCases
from bus.database import Database, DatabaseUnavailable
from bus.kafka import (
    Fenced,
    KafkaSettings,
    TopicReader,
    TransactionalProducer,
    committed,
    ensure_topics,
    partition_for,
    partitions_of,
)
from bus.outbox import Horizon, Outbox, Relay, RelaySettings, Submission, insert_events
from bus.records import Record
from bus.topics import out_topic
from deploy.local.kafka import LocalKafka
from schemas.envelope import Event
from schemas.failures import Misconfigured
from schemas.identifiers import new_id
from tests.support.databases import sqlite_url
from tests.support.events import comment

pytestmark = pytest.mark.kafka

QUICK = RelaySettings(fenced_wait_seconds=0.1, retry_seconds_first=0.05, retry_seconds_max=0.5)


class Side:
    """One agency's outbox and relay, in a folder."""

    def __init__(self, folder: Path, agency: str, kafka: KafkaSettings, url: str | None = None) -> None:
        self.folder = folder
        self.url = url or sqlite_url(folder)
        self.agency = agency
        self.kafka = kafka
        self.now = 1_790_000_000.0

    async def __aenter__(self) -> Side:
        self.folder.mkdir(exist_ok=True)
        self.database = Database(self.url, tables=TABLES, name=NAME, version=VERSION)
        await self.database.start()
        self.outbox = Outbox(self.database, KnownCases(self.database), clock=lambda: self.now)
        await self.outbox.start([self.agency])
        return self

    async def __aexit__(self, *_: object) -> None:
        await self.database.stop()

    def relay(self, settings: RelaySettings = QUICK, *, accept_new_outbox: bool = False) -> Relay:
        return Relay(
            self.agency,
            self.outbox,
            self.kafka,
            horizon=Horizon(),
            turns=asyncio.Semaphore(4),
            settings=settings,
            accept_new_outbox=accept_new_outbox,
            clock=lambda: self.now,
        )

    async def add(self, *ids: str, case: str | int = 1) -> None:
        await self.outbox.add(self.agency, [comment(id=id, agency=self.agency, case=case) for id in ids])

    async def relay_all(self, relay: Relay | None = None) -> None:
        """Run a relay until nothing waits."""
        relay = relay or self.relay()
        running = asyncio.create_task(relay.run())
        await until(lambda: running.done() or self.outbox.waiting[self.agency] == 0)
        await asyncio.sleep(0.05)
        running.cancel()
        with contextlib.suppress(asyncio.CancelledError):
            await running

    async def published(self) -> list[Record]:
        reader = TopicReader(self.kafka, name="test")
        await reader.start(partitions_of([out_topic(self.agency)], self.kafka.partitions))
        found = [record async for records in reader.to_end() for record in records]
        await reader.stop()
        return found

    async def published_ids(self) -> list[str]:
        return [Event.from_record(record.headers, record.value).id for record in await self.published()]

    async def committed(self) -> int | None:
        tp = (out_topic(self.agency), 0)
        return (await committed(self.kafka, f"agency-{self.agency}-relay", [tp]))[tp]

    async def forget_position(self) -> None:
        """As Kafka does with a group that is silent for a week."""
        admin = AIOKafkaAdminClient(bootstrap_servers=self.kafka.bootstrap_servers)
        await admin.start()
        group = f"agency-{self.agency}-relay"
        await admin._send_request_to_node(await admin.find_coordinator(group), DeleteGroupsRequest([group]))
        await admin.close()
        assert await self.committed() is None


def has_producer(relay: Relay) -> bool:
    return relay._producer is not None


async def until(holds: Callable[[], bool], seconds: float = 30) -> None:
    async with asyncio.timeout(seconds):
        while not holds():
            await asyncio.sleep(0.01)


@pytest.fixture
def settings(kafka: LocalKafka) -> KafkaSettings:
    return KafkaSettings(bootstrap_servers=kafka.bootstrap_servers, partitions=4, request_timeout_seconds=5)


@pytest.fixture
async def side(settings: KafkaSettings, tmp_path: Path) -> AsyncIterator[Side]:
    agency = f"relay-{new_id()[-12:]}"
    await ensure_topics(settings, [agency])
    async with Side(tmp_path / "first", agency, settings) as side:
        yield side


async def test_rows_reach_kafka_as_events_in_order_with_the_position_after_them(side: Side) -> None:
    for case in range(5):
        await side.add(*(f"{case}-{n}" for n in range(20)), case=case)
    await side.relay_all()
    records = await side.published()
    events = [Event.from_record(record.headers, record.value) for record in records]
    for case in range(5):
        assert [event.id for event in events if event.id.startswith(f"{case}-")] == [f"{case}-{n}" for n in range(20)]
    for record, event in zip(records, events, strict=True):
        assert record.key == event.key
        assert record.partition == partition_for(event.key, side.kafka.partitions)
    last = await side.database.run(lambda c: c.exec_driver_sql("SELECT max(id) FROM subak_outbox").scalar_one())
    assert await side.committed() == last + 1


async def test_a_relay_begins_where_its_forerunner_ended(side: Side) -> None:
    for turn in range(3):
        await side.add(f"{turn}-a", f"{turn}-b")
        await side.relay_all()
    assert sorted(await side.published_ids()) == ["0-a", "0-b", "1-a", "1-b", "2-a", "2-b"]


async def test_a_quiet_agency_costs_no_producer(side: Side) -> None:
    relay = side.relay()
    running = asyncio.create_task(relay.run())
    await asyncio.sleep(0.3)
    assert not has_producer(relay)
    await side.add("first")
    await until(lambda: side.outbox.waiting[side.agency] == 0)
    assert has_producer(relay)
    running.cancel()
    with contextlib.suppress(asyncio.CancelledError):
        await running


async def test_a_crash_after_the_commit_and_before_the_copy_repeats_nothing(side: Side) -> None:
    await side.add("a", "b")
    relay = side.relay()
    assert await relay.relay_batch() == 2
    await relay._let_go()  # the copy was not written: it is brought up to date with the next reading
    await side.add("c")
    await side.relay_all()
    assert sorted(await side.published_ids()) == ["a", "b", "c"]


async def test_a_crash_before_the_commit_loses_nothing_and_shows_nothing_twice(
    side: Side, monkeypatch: pytest.MonkeyPatch
) -> None:
    await side.add("a", "b")
    relay = side.relay()
    await relay._begin()
    assert relay._producer is not None
    client = relay._producer._producer
    assert client is not None

    async def crash() -> None:
        await client.flush()
        raise asyncio.CancelledError

    monkeypatch.setattr(client, "commit_transaction", crash)
    with pytest.raises(asyncio.CancelledError):
        await relay.relay_batch()
    await side.relay_all()
    await relay._let_go()
    assert sorted(await side.published_ids()) == ["a", "b"]


async def test_a_fenced_relay_writes_nothing_and_claims_its_outbox_back(side: Side) -> None:
    old, new = side.relay(), side.relay()
    await side.add("a")
    assert await old.relay_batch() == 1
    await side.add("b")
    assert await new.relay_batch() == 1
    await side.add("c")
    with pytest.raises(Fenced):
        await old.relay_batch()
    assert await new.relay_batch() == 1
    await new._let_go()
    await side.add("d")
    await side.relay_all(old)
    assert sorted(await side.published_ids()) == ["a", "b", "c", "d"]


async def test_two_relays_of_one_outbox_at_once_publish_each_row_once(side: Side) -> None:
    relays = [asyncio.create_task(side.relay().run()) for _ in range(2)]
    for n in range(40):
        await side.add(f"{n}")
        await asyncio.sleep(0.03)
    await until(lambda: side.outbox.waiting[side.agency] == 0)
    for relay in relays:
        relay.cancel()
    await asyncio.gather(*relays, return_exceptions=True)
    await side.relay_all()
    assert sorted(await side.published_ids(), key=int) == [f"{n}" for n in range(40)]


async def test_where_kafka_forgot_the_position_the_copy_counts(side: Side) -> None:
    await side.add("a", "b")
    await side.relay_all()
    await side.forget_position()
    await side.add("c")
    await side.relay_all()
    assert sorted(await side.published_ids()) == ["a", "b", "c"]


async def test_where_both_positions_are_gone_and_the_topic_is_used_the_relay_stops_and_says_so(
    side: Side, tmp_path: Path
) -> None:
    await side.add("a")
    await side.relay_all()
    await side.forget_position()
    async with Side(tmp_path / "new", side.agency, side.kafka) as new:
        await new.add("b")
        with pytest.raises(Misconfigured, match=r"an outbox was lost.*accept_new_outbox = true"):
            await new.relay().run()
        await new.relay_all(new.relay(accept_new_outbox=True))
        assert sorted(await new.published_ids()) == ["a", "b"]


async def test_a_new_database_skips_none_of_its_rows_for_the_old_ones_position(side: Side, tmp_path: Path) -> None:
    await side.add(*(f"old-{n}" for n in range(10)))
    await side.relay_all()
    async with Side(tmp_path / "new", side.agency, side.kafka) as new:
        await new.add("new-1", "new-2")
        await new.relay_all()
        await new.add("new-3")
        await new.relay_all()
        assert sorted(id for id in await new.published_ids() if id.startswith("new")) == ["new-1", "new-2", "new-3"]


async def test_a_restored_backup_skips_none_of_its_rows(side: Side, tmp_path: Path) -> None:
    await side.add("before-1", "before-2")
    await side.relay_all()
    await side.database.stop()
    shutil.copytree(side.folder, tmp_path / "backup")
    await side.database.start()
    await side.add(*(f"lost-{n}" for n in range(30)))
    await side.relay_all()
    side.now += 1
    async with Side(tmp_path / "backup", side.agency, side.kafka) as restored:
        await restored.add("after-1", "after-2")
        await restored.relay_all()
        found = await restored.published_ids()
        assert len(found) == len(set(found)) == 34
        assert {"after-1", "after-2"} <= set(found)


async def test_a_quiet_agencys_position_is_committed_again_each_day(side: Side) -> None:
    await side.add("a")
    await side.relay_all()
    position = await side.committed()
    await side.forget_position()
    side.now += 86_401
    relay = side.relay()
    running = asyncio.create_task(relay.run())
    await until(lambda: has_producer(relay))
    await asyncio.sleep(0.3)
    running.cancel()
    await asyncio.gather(running, return_exceptions=True)
    assert await side.committed() == position
    assert await side.published_ids() == ["a"]


async def test_while_the_database_is_away_nothing_is_lost_or_repeated(
    side: Side, monkeypatch: pytest.MonkeyPatch
) -> None:
    relay = side.relay()
    running = asyncio.create_task(relay.run())
    run = side.database.run
    for n in range(5):
        await side.add(f"{n}")

        async def away(*args: object, **options: object) -> None:
            raise DatabaseUnavailable("the database is away")

        monkeypatch.setattr(side.database, "run", away)
        await asyncio.sleep(0.1)
        monkeypatch.setattr(side.database, "run", run)
        await asyncio.sleep(0.1)
    await until(lambda: side.outbox.waiting[side.agency] == 0)
    await asyncio.sleep(0.1)
    running.cancel()
    await asyncio.gather(running, return_exceptions=True)
    assert await side.published_ids() == ["0", "1", "2", "3", "4"]


async def test_while_the_broker_is_away_rows_wait_and_then_leave(side: Side, kafka: LocalKafka) -> None:
    relay = side.relay()
    running = asyncio.create_task(relay.run())
    await side.add("before")
    await until(lambda: side.outbox.waiting[side.agency] == 0)
    kafka.stop()
    try:
        for n in range(20):
            await side.add(f"{n}")
            await asyncio.sleep(0.05)
        await until(lambda: relay.problem is not None)
        assert side.outbox.waiting[side.agency] == 20
    finally:
        kafka.start()
    await until(lambda: side.outbox.waiting[side.agency] == 0, seconds=60)
    assert relay.problem is None
    running.cancel()
    await asyncio.gather(running, return_exceptions=True)
    assert await side.published_ids() == ["before", *(f"{n}" for n in range(20))]


async def test_a_large_backlog_leaves_in_bounded_transactions(side: Side, monkeypatch: pytest.MonkeyPatch) -> None:
    sizes: list[int] = []
    commit = TransactionalProducer.commit

    async def noting(self: TransactionalProducer, outputs: list[object], *rest: object) -> None:
        sizes.append(len(outputs))
        await commit(self, outputs, *rest)  # type: ignore[arg-type]

    monkeypatch.setattr(TransactionalProducer, "commit", noting)
    for start in range(0, 2500, 500):
        await side.add(*(f"{n}" for n in range(start, start + 500)))
    await side.relay_all(side.relay(RelaySettings(batch_records_max=700)))
    assert max(sizes) == 700
    assert await side.published_ids() == [f"{n}" for n in range(2500)]


async def test_on_postgresql_a_row_that_commits_late_is_relayed_and_none_before_it(
    side: Side, tmp_path: Path, postgres_url: str
) -> None:
    """The agency's own transaction wakes nobody here, and holds back what was numbered after it."""
    async with Side(tmp_path / "postgresql", side.agency, side.kafka, postgres_url) as here:
        relay = here.relay()
        running = asyncio.create_task(relay.run())
        await here.add("before")
        await until(lambda: here.outbox.waiting[here.agency] == 0)
        engine = create_engine(postgres_url, poolclass=NullPool)
        with engine.connect() as connection, connection.begin():
            late = comment(id="late", agency=here.agency)
            insert_events(connection, Submission(here.agency, (late,), here.now))
            await here.add("after")
            await asyncio.sleep(0.5)
            assert await here.published_ids() == ["before"]
        async with asyncio.timeout(30):
            while len(found := await here.published_ids()) < 3:
                await asyncio.sleep(0.1)
        assert found == ["before", "late", "after"]
        running.cancel()
        await asyncio.gather(running, return_exceptions=True)


async def test_a_wrong_number_of_partitions_stops_the_relay_before_a_case_is_broken_apart(side: Side) -> None:
    await side.add("a")
    side.kafka = replace(side.kafka, partitions=side.kafka.partitions + 1)
    with pytest.raises(Misconfigured, match=r"set SUBAK_KAFKA_PARTITIONS=\d"):
        await side.relay().run()
