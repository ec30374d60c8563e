"""What docs/how-to/back-up.md says of an adapter's PostgreSQL, by its own commands, with a real Kafka beside it."""

from __future__ import annotations

import asyncio
import contextlib
import random
from collections import Counter
from collections.abc import AsyncIterator, Iterable, Sequence
from contextlib import asynccontextmanager
from pathlib import Path

import pytest
from sqlalchemy import Connection, Table, create_engine, func, select

from adapters.delivery import Delivery
from adapters.outcome import DELIVERED, Outcome
from bus.agency_migrations import STEPS
from bus.agency_tables import NAME, TABLES, VERSION, inbox, outbox, outbox_positions
from bus.cases import KnownCases
from bus.database import Database
from bus.inbox import Arrived, Inbox, InboxReader
from bus.inbox.views import read_page
from bus.kafka import KafkaSettings, Output, TransactionalProducer, ensure_topics
from bus.topics import in_topic
from deploy.local.kafka import LocalKafka
from schemas.failures import Misconfigured
from schemas.identifiers import new_id
from tests.bus.test_relay import Side, until
from tests.support.copies import Copies
from tests.support.counting import settings_for
from tests.support.events import comment, source
from tests.support.postgresql import PostgreSQL

OLD = Path(__file__).parents[1] / "bus" / "old" / "adapter-1.postgresql.sql"


@pytest.fixture
def copies(tmp_path: Path, postgresql: PostgreSQL) -> Copies:
    return Copies(tmp_path, postgresql)


@pytest.fixture
async def agency(kafka: LocalKafka) -> str:
    """An agency that nobody had before, with its topics."""
    found = f"copied-{new_id()[-12:]}"
    await ensure_topics(settings_for(kafka.bootstrap_servers), [found])
    return found


def opened(url: str) -> Database:
    return Database(url, tables=TABLES, name=NAME, version=VERSION, steps=STEPS)


def everything(url: str) -> dict[str, list[tuple[object, ...]]]:
    """Every row of every table."""
    engine = create_engine(url)
    with engine.connect() as connection:
        found = {
            name: sorted(tuple(row) for row in connection.execute(select(table)))
            for name, table in TABLES.tables.items()
        }
    engine.dispose()
    return found


def last_id(connection: Connection, table: Table) -> int:
    return connection.scalar(select(func.max(table.c.id))) or 0


# -- the outbox


@pytest.mark.kafka
@pytest.mark.parametrize("place", ["the same database", "an empty one of another role", "another adapter's"])
async def test_an_outbox_goes_on_from_a_copy_that_was_made_while_it_worked(
    tmp_path: Path, kafka: LocalKafka, postgresql: PostgreSQL, copies: Copies, agency: str, place: str
) -> None:
    """All that was answered for reaches Kafka; twice only what waited when the copy was made. No id is given again."""
    settings, url = settings_for(kafka.bootstrap_servers), postgresql.new_database()
    answered: list[str] = []
    async with Side(tmp_path / "first", agency, settings, url) as side:

        async def write() -> None:
            for number in range(120):
                await side.add(f"e-{number}", case=number)
                answered.append(f"e-{number}")

        relaying = asyncio.create_task(side.relay().run())
        writing = asyncio.create_task(write())
        await until(lambda: len(answered) >= 30)
        before = list(answered)
        await asyncio.to_thread(copies.make, url)
        await writing
        await until(lambda: side.outbox.waiting[agency] == 0)
        await ended(relaying)
        await side.add("only-here")  # accepted after the copy, and in Kafka nowhere: this one is lost
        given = await side.database.run(lambda connection: last_id(connection, outbox))
        now = side.now
    if place != "the same database":
        url = postgresql.new_database("an-agency" if place.endswith("role") else "tester")
    if place == "another adapter's":
        async with Side(tmp_path / "another", agency, settings, url) as another:
            await another.add("of-another")
    await asyncio.to_thread(copies.restore, url)
    async with restored(tmp_path / "second", agency, settings, url, now=now + 1) as side:
        ids, position = await side.database.run(in_copy)
        assert set(before) <= ids.keys() <= set(answered)
        waited = {event_id for event_id, id in ids.items() if id >= position}
        await side.add("after-1", "after-2")
        new = [id for event_id, id in (await side.database.run(in_copy))[0].items() if event_id.startswith("after")]
        assert min(new) > given
        await side.relay_all()
        published = Counter(await side.published_ids())
    assert published.keys() == {*answered, "after-1", "after-2"}
    assert {id for id, times in published.items() if times > 1} <= waited


async def ended(task: asyncio.Task[None]) -> None:
    task.cancel()
    with contextlib.suppress(asyncio.CancelledError):
        await task


@asynccontextmanager
async def restored(folder: Path, agency: str, settings: KafkaSettings, url: str, *, now: float) -> AsyncIterator[Side]:
    """The adapter's side on a restored database, some time later."""
    side = Side(folder, agency, settings, url)
    side.now = now
    async with side:
        yield side


def in_copy(connection: Connection) -> tuple[dict[str, int], int]:
    """Event id → row, and the copy's position."""
    rows = connection.execute(select(outbox.c.event_id, outbox.c.id))
    return {row.event_id: row.id for row in rows}, connection.scalar(select(outbox_positions.c.position)) or 0


# -- the inbox


class Hearing:
    """An agency's system: what it was told, and what it finds when it asks."""

    def __init__(self) -> None:
        self.heard: list[str] = []

    async def call(self, event: Arrived) -> Outcome:
        self.heard.append(event.event_id)
        return DELIVERED


@asynccontextmanager
async def receiving(agency: str, kafka: KafkaSettings, url: str) -> AsyncIterator[tuple[Inbox, Hearing]]:
    """An adapter's inbox, read from Kafka and delivered."""
    database, hearing = opened(url), Hearing()
    await database.start()
    box = Inbox(database, KnownCases(database), agency_of={in_topic(agency): agency}, source_of=source)
    reading = asyncio.create_task(InboxReader(f"adapter-{agency}", [agency], box, kafka).run())
    delivering = asyncio.create_task(Delivery(agency, box, hearing).run())
    try:
        yield box, hearing
    finally:
        await ended(reading)
        await ended(delivering)
        await database.stop()


async def send(agency: str, kafka: KafkaSettings, ids: Iterable[str]) -> None:
    """The bus tells the agency of these, one case each."""
    producer = TransactionalProducer(kafka, transactional_id=f"test-{agency}")
    await producer.start()
    events = [comment(id=id, case=id) for id in ids]
    await producer.commit([Output(in_topic(agency), e.key, e.data, e.headers()) for e in events], {}, "test")
    await producer.stop()


async def rows_after(box: Inbox, agency: str, after: int) -> Sequence[Arrived]:
    return await box.database.run(lambda connection: read_page(connection, agency, after=after, rows_max=1000))


@pytest.mark.kafka
async def test_an_inbox_that_goes_back_to_a_copy_reads_and_delivers_again_what_came_since(
    kafka: LocalKafka, postgresql: PostgreSQL, copies: Copies, agency: str
) -> None:
    """Also a system that asks with the position that it had finds all of it: no id is given a second time."""
    settings, url = settings_for(kafka.bootstrap_servers), postgresql.new_database()
    first, since, late = ([f"{part}-{n}" for n in range(15)] for part in ("first", "since", "late"))
    await send(agency, settings, first)
    async with receiving(agency, settings, url) as (box, hearing):
        await until(lambda: set(hearing.heard) == set(first))
        await asyncio.to_thread(copies.make, url)
        await send(agency, settings, since)
        await until(lambda: set(hearing.heard) == {*first, *since})
        asked_up_to = await box.database.run(lambda connection: last_id(connection, inbox))
    await send(agency, settings, late)
    await asyncio.to_thread(copies.restore, url)
    async with receiving(agency, settings, url) as (box, hearing):
        await until(lambda: {*since, *late} <= set(hearing.heard))
        again = await rows_after(box, agency, asked_up_to)
        assert sorted(row.event_id for row in again) == sorted([*since, *late])
        everything_told = await rows_after(box, agency, 0)
    assert len({row.event_id for row in everything_told}) == len(everything_told) == 45
    assert set(hearing.heard) - {*since, *late} <= set(first), "what was delivered and not yet marked may come again"


# -- copies that are no good


@pytest.fixture
async def filled(tmp_path: Path, postgresql: PostgreSQL) -> str:
    """A database that an adapter used. Most of its copy is rows, which cannot be pressed together."""
    url, chance = postgresql.new_database(), random.Random(1)
    async with Side(tmp_path / "filled", "water-utility", KafkaSettings(bootstrap_servers="127.0.0.1:1"), url) as side:
        texts = [chance.randbytes(500).hex() for _ in range(300)]
        await side.outbox.add(side.agency, [comment(text, agency=side.agency) for text in texts])
    return url


@pytest.mark.parametrize("share", [0.5, 0.97])
async def test_a_copy_that_was_cut_is_told_and_changes_nothing(copies: Copies, filled: str, share: float) -> None:
    copies.make(filled)
    before = everything(filled)
    copies.cut(share)
    assert copies.check().returncode != 0
    failed = copies.run(filled, "pg_restore --clean")
    assert failed.returncode != 0
    assert "end of file" in failed.stderr
    assert everything(filled) == before
    await works(filled)


async def works(url: str) -> None:
    database = opened(url)
    await database.start()
    await database.stop()


@pytest.mark.parametrize("share", [0.5, 0.97])
async def test_tables_that_were_restored_only_in_part_are_refused_in_words(
    copies: Copies, filled: str, share: float
) -> None:
    """As `pg_restore` leaves them that was told less than the page says."""
    copies.make(filled)
    whole = copies.file.read_bytes()
    copies.cut(share)
    assert copies.run(filled, "pg_restore --clean", without=" --single-transaction").returncode != 0
    with pytest.raises(Misconfigured, match=r"tables have no keys.*restored only in part.*--single-transaction"):
        await works(filled)
    copies.file.write_bytes(whole)
    copies.restore(filled)
    await works(filled)


async def test_a_copy_of_an_older_version_is_upgraded_and_over_a_newer_database_refused(
    copies: Copies, filled: str, postgresql: PostgreSQL
) -> None:
    old = postgresql.new_database()
    engine = create_engine(old)
    with engine.begin() as connection:
        for statement in OLD.read_text("utf-8").split(";\n"):
            if statement.strip():
                connection.exec_driver_sql(statement)
    engine.dispose()
    copies.make(old)
    copies.restore(filled)
    with pytest.raises(Misconfigured, match=r"version 1, and tables of a newer one.*into an empty database"):
        await works(filled)
    empty = postgresql.new_database()
    copies.restore(empty)
    await works(empty)
