"""A casebook that goes on from a copy (docs/how-to/back-up.md, its own commands) ends as one that never stopped."""

from __future__ import annotations

import asyncio
from collections.abc import Iterator
from pathlib import Path

import pytest
from sqlalchemy import Engine

from schemas.failures import Misconfigured
from services.casebook.database import writer_engine
from services.casebook.writer import Writer
from tests.casebook.tables import contents
from tests.casebook.test_following import count, following, rebuilt, until, without_positions, write
from tests.support.bus import SmallBus
from tests.support.copies import Copies
from tests.support.logbook import Logbook
from tests.support.postgresql import PostgreSQL

pytestmark = pytest.mark.kafka


@pytest.fixture
def copies(tmp_path: Path, postgresql: PostgreSQL) -> Copies:
    return Copies(tmp_path, postgresql)


@pytest.fixture
def url(postgresql: PostgreSQL) -> str:
    return postgresql.new_database()


@pytest.fixture
def engine(url: str) -> Iterator[Engine]:
    """The casebook's own, on PostgreSQL."""
    found = writer_engine(url)
    yield found
    found.dispose()


async def test_from_a_copy_made_while_it_worked_it_ends_as_one_that_was_never_restored(
    bus: SmallBus, logbook: Logbook, engine: Engine, url: str, copies: Copies, postgresql: PostgreSQL, tmp_path: Path
) -> None:
    """Restored in its place, with PostgreSQL restarted while it catches up; and elsewhere, under another role."""
    records = logbook.records
    third = len(records) // 3
    await write(bus.settings, records[:third])
    async with following(bus, engine):
        await until(lambda: count(engine) > 0)
        writing = asyncio.create_task(write(bus.settings, records[third : 2 * third], portion=3, pause=0.02))
        await until(lambda: count(engine) >= third)
        await asyncio.to_thread(copies.make, url)
        await writing
        await until(lambda: count(engine) == 2 * third)
    never_restored = without_positions(engine)
    engine.dispose()
    await asyncio.to_thread(copies.restore, url)
    at_the_copy = count(engine)
    assert third <= at_the_copy <= 2 * third
    async with following(bus, engine):
        await until(lambda: count(engine) == 2 * third)
        assert without_positions(engine) == never_restored
        writing = asyncio.create_task(write(bus.settings, records[2 * third :], portion=5, pause=0.02))
        await until(lambda: count(engine) > 2 * third)
        postgresql.stop()
        await asyncio.to_thread(postgresql.start)
        await writing
        await until(lambda: count(engine) == len(records), 60)
    moved = postgresql.new_database("a-city")
    await asyncio.to_thread(copies.restore, moved)
    elsewhere = writer_engine(moved)
    async with following(bus, elsewhere):
        await until(lambda: count(elsewhere) == len(records))
    assert contents(elsewhere) == contents(engine)
    undisturbed = writer_engine(f"sqlite:///{tmp_path / 'undisturbed.sqlite3'}")
    assert await rebuilt(bus, undisturbed) == without_positions(engine)
    for each in (elsewhere, undisturbed):
        each.dispose()


async def test_a_part_of_a_copy_is_not_gone_on_from(
    bus: SmallBus, logbook: Logbook, engine: Engine, url: str, copies: Copies
) -> None:
    """Positions without the timeline before them: so `pg_restore` leaves it that was told less than the page says."""
    await write(bus.settings, logbook.records)
    async with following(bus, engine):
        await until(lambda: count(engine) == len(logbook.records))
    before = contents(engine)
    engine.dispose()
    await asyncio.to_thread(copies.make, url)
    copies.cut(0.95)
    assert copies.run(url, "pg_restore --clean").returncode != 0
    assert contents(engine) == before
    engine.dispose()
    assert copies.run(url, "pg_restore --clean", without=" --single-transaction").returncode != 0
    beginnings = dict.fromkeys(Writer(engine).positions() or logbook.beginnings, 0)
    with pytest.raises(Misconfigured, match=r"no keys.*restored only in part.*run casebook --rebuild"):
        Writer(engine).open(bus.city.id, beginnings)
    async with following(bus, engine, rebuild=True):
        await until(lambda: count(engine) == len(logbook.records))
    assert contents(engine) == before
