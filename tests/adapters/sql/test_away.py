"""An agency's database that goes away and comes back costs time and nothing else; NOTIFY wakes at once."""

from __future__ import annotations

import asyncio
import time
from pathlib import Path
from typing import Any

import pytest

from bus.agency_tables import NAME, TABLES, VERSION
from bus.database import Database
from tests.adapters.sql.test_target import arrived, target
from tests.support.adapter import SmallAdapter
from tests.support.agency_sql import AgencySql, stored, until, until_stored
from tests.support.events import comment
from tests.support.mariadb import MariaDB
from tests.support.postgresql import PostgreSQL

SERVERS = ("postgresql", "mariadb")


@pytest.fixture(params=SERVERS)
def server(request: pytest.FixtureRequest) -> PostgreSQL | MariaDB:
    """One that may be stopped. A test leaves it running."""
    found: PostgreSQL | MariaDB = request.getfixturevalue(request.param)
    return found


@pytest.fixture
def agency(server: PostgreSQL | MariaDB, tmp_path: Path) -> AgencySql:
    """An agency on that server, with the triggers."""
    agency = AgencySql(server.new_database(), tmp_path)
    agency.make_complaints()
    agency.run_ddl()
    return agency


async def test_a_source_goes_on_when_its_database_is_back(
    adapter: SmallAdapter, agency: AgencySql, server: PostgreSQL | MariaDB
) -> None:
    source: Any = agency.source(adapter)
    task = asyncio.create_task(source.run())
    agency.complain(1)
    await until_stored(adapter, 1)
    await until(lambda: agency.waiting() == 0)
    server.kill() if isinstance(server, MariaDB) else server.stop()
    try:
        await until(lambda: source.problem is not None)
        assert "away" in source.problem
        assert "away" in (await agency.source(adapter).check())[0]
    finally:
        server.start()
    agency.complain(2)
    await until_stored(adapter, 2, seconds=40)
    await until(lambda: source.problem is None)
    task.cancel()
    await asyncio.gather(task, return_exceptions=True)
    assert len(await stored(adapter)) == 2


async def test_a_target_waits_for_its_database(
    adapter: SmallAdapter, agency: AgencySql, server: PostgreSQL | MariaDB
) -> None:
    agency.do("CREATE TABLE pekerjaan (kasus VARCHAR(36) PRIMARY KEY, catatan VARCHAR(20), waktu VARCHAR(40))")
    from adapters.targets.sql.rows import TAKEN_DDL

    agency.do(TAKEN_DDL)
    to = target(agency, adapter)
    assert (await to.call(arrived(comment("satu")))).kind == "delivered"
    server.kill() if isinstance(server, MariaDB) else server.stop()
    try:
        assert (await to.call(arrived(comment("dua")))).kind == "away"
    finally:
        server.start()
    second = comment("dua")
    for _ in range(2):
        await to.call(arrived(second))
    assert agency.rows("SELECT catatan FROM pekerjaan") == [("dua",)]
    await to.close()


async def test_notify_wakes_a_source_that_would_look_in_an_hour(
    adapter: SmallAdapter, postgresql: PostgreSQL, tmp_path: Path
) -> None:
    agency = AgencySql(postgresql.new_database(), tmp_path)
    agency.make_complaints()
    agency.run_ddl()
    async with agency.read(adapter, poll_seconds=3600.0):
        await asyncio.sleep(1.0)
        agency.complain(1)
        began = time.monotonic()
        await until_stored(adapter, 1, seconds=30)
        assert time.monotonic() - began < 20


async def test_while_the_adapters_own_database_is_away_rows_stay_where_they_are(
    agency: AgencySql, postgresql: PostgreSQL
) -> None:
    if agency.kind == "postgresql":
        pytest.skip("the same server holds both, and the other kind shows it")
    database = Database(postgresql.new_database(), tables=TABLES, name=NAME, version=VERSION)
    await database.start()
    adapter = SmallAdapter(database)
    source: Any = agency.source(adapter)
    agency.complain(1)
    postgresql.stop()
    try:
        task = asyncio.create_task(source.run())
        await until(lambda: source.problem is not None)
        assert agency.waiting() == 1
    finally:
        postgresql.start()
    await until(lambda: agency.waiting() == 0, seconds=40)
    assert len(await stored(adapter)) == 1
    task.cancel()
    await asyncio.gather(task, return_exceptions=True)
    await database.stop()
