"""A unit of work is on disk when `run` returns; those that wait together commit together; none suffers for another."""

from __future__ import annotations

import asyncio
import sqlite3
import subprocess
import sys
import threading
import time
from collections.abc import AsyncIterator, Callable
from pathlib import Path

import pytest
from sqlalchemy import Column, Connection, Integer, MetaData, Table, Text, event, func, insert, select
from sqlalchemy.exc import IntegrityError

from bus.database import Database, DatabaseUnavailable, DiskFull
from schemas.failures import Misconfigured
from tests.support.databases import sqlite_url

TABLES = MetaData()
notes = Table("notes", TABLES, Column("id", Integer, primary_key=True), Column("note", Text, nullable=False))


def keep(note: str) -> Callable[[Connection], None]:
    def unit(connection: Connection) -> None:
        connection.execute(insert(notes).values(note=note))

    return unit


def count(connection: Connection) -> int:
    return connection.scalar(select(func.count()).select_from(notes)) or 0


@pytest.fixture
async def database(url: str) -> AsyncIterator[Database]:
    database = Database(url, tables=TABLES, name="notes", version=1)
    await database.start()
    yield database
    await database.stop()


def commits_of(database: Database) -> list[int]:
    seen: list[int] = []
    event.listen(database._engine, "commit", lambda connection: seen.append(1))
    return seen


async def test_units_that_wait_together_share_one_commit(database: Database) -> None:
    commits = commits_of(database)
    blocked = threading.Event()
    first = asyncio.create_task(database.run(lambda connection: blocked.wait(10)))
    await asyncio.sleep(0.05)
    others = [asyncio.create_task(database.run(keep(str(number)))) for number in range(50)]
    await asyncio.sleep(0.05)
    blocked.set()
    await asyncio.gather(first, *others)
    assert len(commits) == 2
    assert await database.run(count) == 50


async def test_a_unit_that_fails_harms_none_of_those_that_share_its_transaction(database: Database) -> None:
    def fails(connection: Connection) -> None:
        keep("half done")(connection)
        raise ValueError("no")

    blocked = threading.Event()
    first = asyncio.create_task(database.run(lambda connection: blocked.wait(10)))
    await asyncio.sleep(0.05)
    units = [keep("a"), fails, keep("b")]
    others = [asyncio.create_task(database.run(unit)) for unit in units]
    await asyncio.sleep(0.05)
    blocked.set()
    await first
    outcomes = await asyncio.gather(*others, return_exceptions=True)
    assert [type(outcome) for outcome in outcomes] == [type(None), ValueError, type(None)]
    kept = await database.run(lambda connection: sorted(connection.scalars(select(notes.c.note))))
    assert kept == ["a", "b"]


async def test_a_unit_alone_shares_its_transaction_with_nobody(database: Database) -> None:
    commits = commits_of(database)
    blocked = threading.Event()
    first = asyncio.create_task(database.run(lambda connection: blocked.wait(10)))
    await asyncio.sleep(0.05)
    others = [
        asyncio.create_task(database.run(keep(str(number)), alone=alone))
        for number, alone in enumerate([False, False, True, False, False])
    ]
    await asyncio.sleep(0.05)
    blocked.set()
    await asyncio.gather(first, *others)
    assert len(commits) == 4


async def test_a_caller_that_gives_up_stops_nobody(database: Database) -> None:
    blocked = threading.Event()
    given_up = asyncio.create_task(database.run(lambda connection: blocked.wait(10)))
    await asyncio.sleep(0.05)
    given_up.cancel()
    other = asyncio.create_task(database.run(keep("kept")))
    blocked.set()
    await other
    assert await database.run(count) == 1


async def test_what_waits_is_bounded(url: str) -> None:
    database = Database(url, tables=TABLES, name="notes", version=1, waiting_max=3)
    await database.start()
    blocked = threading.Event()
    first = asyncio.create_task(database.run(lambda connection: blocked.wait(10)))
    await asyncio.sleep(0.05)
    others = [asyncio.create_task(database.run(keep(str(number)))) for number in range(5)]
    await asyncio.sleep(0.05)
    blocked.set()
    outcomes = await asyncio.gather(first, *others, return_exceptions=True)
    assert sum(isinstance(outcome, DatabaseUnavailable) for outcome in outcomes) == 2
    await database.stop()


async def test_stop_finishes_what_waits(url: str) -> None:
    database = Database(url, tables=TABLES, name="notes", version=1)
    await database.start()
    waiting = [asyncio.create_task(database.run(keep(str(number)))) for number in range(20)]
    await asyncio.sleep(0)
    await database.stop()
    await asyncio.gather(*waiting)
    with pytest.raises(DatabaseUnavailable, match="not started"):
        await database.run(count)


async def test_tables_of_another_version_are_refused_and_left_alone(url: str, database: Database) -> None:
    await database.run(keep("old"))
    newer = Database(url, tables=TABLES, name="notes", version=2)
    with pytest.raises(Misconfigured, match=r"are of version 1, and this program knows version 2"):
        await newer.start()
    assert await database.run(count) == 1


async def test_what_was_committed_outlives_a_killed_process(tmp_path: Path) -> None:
    url = sqlite_url(tmp_path)
    program = f"""
import asyncio, os, signal
from bus.database import Database
from tests.bus.test_database import TABLES, keep
async def main():
    database = Database({url!r}, tables=TABLES, name="notes", version=1)
    await database.start()
    await asyncio.gather(*(database.run(keep(str(number))) for number in range(100)))
    os.kill(os.getpid(), signal.SIGKILL)
asyncio.run(main())
"""
    done = subprocess.run([sys.executable, "-c", program], check=False)
    assert done.returncode == -9
    database = Database(url, tables=TABLES, name="notes", version=1)
    await database.start()
    assert await database.run(count) == 100
    await database.stop()


async def test_sqlite_flushes_each_commit_to_disk(tmp_path: Path) -> None:
    database = Database(sqlite_url(tmp_path), tables=TABLES, name="notes", version=1)
    await database.start()
    pragmas = ("journal_mode", "synchronous", "foreign_keys", "busy_timeout")
    found = await database.run(lambda c: [c.exec_driver_sql(f"PRAGMA {name}").scalar() for name in pragmas])
    assert found == ["wal", 2, 1, 5000]
    await database.stop()


async def test_a_file_that_another_process_holds_is_waited_for_then_named(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("bus.database.BUSY_WAIT_SECONDS", 0.3)
    url = sqlite_url(tmp_path)
    database = Database(url, tables=TABLES, name="notes", version=1)
    await database.start()
    other = sqlite3.connect(tmp_path / "adapter.sqlite3", isolation_level=None)
    other.execute("BEGIN IMMEDIATE")
    began = time.monotonic()
    with pytest.raises(DatabaseUnavailable, match="locked"):
        await database.run(keep("late"))
    assert time.monotonic() - began >= 0.25
    other.execute("COMMIT")
    other.close()
    await database.run(keep("in time"))
    assert await database.run(count) == 1
    await database.stop()


async def test_a_full_disk_is_named_and_nothing_is_half_stored(tmp_path: Path) -> None:
    database = Database(sqlite_url(tmp_path), tables=TABLES, name="notes", version=1)
    await database.start()
    await database.run(lambda connection: connection.exec_driver_sql("PRAGMA max_page_count = 20").scalar())

    def much(connection: Connection) -> None:
        connection.execute(insert(notes), [{"note": "x" * 1000} for _ in range(500)])

    with pytest.raises(DiskFull, match="disk of the database notes is full, nothing was stored"):
        await database.run(much)
    assert await database.run(count) == 0
    await database.run(keep("small"))
    await database.stop()


@pytest.mark.parametrize(
    ("url", "sentence"),
    [
        ("sqlite:////nowhere/at/all.sqlite3", "cannot be used: unable to open"),
        ("nonsense", "not the URL of a database"),
        ("oracle://x", "not the URL of a database"),
    ],
)
async def test_a_database_that_cannot_be_used_is_named(url: str, sentence: str) -> None:
    with pytest.raises(Misconfigured, match=sentence):
        await Database(url, tables=TABLES, name="notes", version=1).start()


async def test_a_server_that_was_started_anew_is_found_again(postgres_url: str) -> None:
    database = Database(postgres_url, tables=TABLES, name="notes", version=1)
    await database.start()
    await database.run(keep("before"))
    other = Database(postgres_url, tables=MetaData(), name="other", version=1)
    await other.start()
    others = "datname = current_database() AND pid <> pg_backend_pid()"
    kill = f"SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE {others}"
    await other.run(lambda connection: connection.exec_driver_sql(kill).all())
    await database.run(keep("after"))
    assert await database.run(count) == 2
    await other.stop()
    await database.stop()


async def test_what_an_error_says_is_nothing_that_a_statement_carried(database: Database) -> None:
    """It is logged, and a note may hold somebody's name."""

    def twice(connection: Connection) -> None:
        connection.execute(
            insert(notes), [{"id": 7, "note": "Ni Made of Sanur"}, {"id": 7, "note": "Ni Made of Sanur"}]
        )

    with pytest.raises(IntegrityError) as caught:
        await database.run(twice)
    assert "Ni Made" not in str(caught.value)
