"""On PostgreSQL no row is passed over because its transaction commits late, in whatever order numbers were given."""

from __future__ import annotations

from collections.abc import AsyncIterator, Iterator
from contextlib import ExitStack, contextmanager

import pytest
from sqlalchemy import Connection, NullPool, create_engine

from bus.cases import KnownCases
from bus.database import Database
from bus.outbox import Horizon, Outbox, Submission, insert_events
from bus.outbox.rows import read_rows
from tests.support.events import comment

AGENCY = "public-works"


class Reader:
    """Reads as a relay does: each row once, position after the last."""

    def __init__(self, database: Database) -> None:
        self.horizon = Horizon()
        self._database = database
        self._position = 0

    async def read(self) -> list[str]:
        def unit(connection: Connection) -> list[str]:
            up_to = self.horizon.reach(connection)
            rows = read_rows(
                connection, AGENCY, position=self._position, up_to=up_to, rows_max=100, bytes_max=1_000_000
            )
            if rows:
                self._position = rows[-1].id + 1
            return [row.attributes["id"] for row in rows]

        return await self._database.run(unit, alone=True)


@contextmanager
def transaction(url: str) -> Iterator[Connection]:
    """An agency's own transaction, on a connection of its own; commits at the end, if nobody has ended it."""
    engine = create_engine(url, poolclass=NullPool)
    with engine.connect() as connection:
        running = connection.begin()
        try:
            yield connection
        finally:
            if running.is_active:
                running.commit()


def put(connection: Connection, id: str) -> None:
    insert_events(connection, Submission(AGENCY, (comment(id=id),), 0.0))


@pytest.fixture
async def started(postgres_url: str) -> AsyncIterator[tuple[str, Database, Outbox]]:
    from bus.agency_tables import NAME, TABLES, VERSION

    database = Database(postgres_url, tables=TABLES, name=NAME, version=VERSION)
    await database.start()
    box = Outbox(database, KnownCases(database))
    await box.start([AGENCY])
    yield postgres_url, database, box
    await database.stop()


async def test_a_row_that_commits_late_is_not_passed_over(started: tuple[str, Database, Outbox]) -> None:
    url, database, box = started
    reader = Reader(database)
    with transaction(url) as held_open:
        put(held_open, "early number, late commit")
        await box.add(AGENCY, [comment(id="late number, early commit")])
        assert await reader.read() == []
        assert await reader.read() == []
    assert await reader.read() == ["early number, late commit", "late number, early commit"]


async def test_rows_before_a_running_transaction_do_not_wait_for_it(started: tuple[str, Database, Outbox]) -> None:
    url, database, box = started
    reader = Reader(database)
    await box.add(AGENCY, [comment(id="before")])
    assert await reader.read() == ["before"]
    with transaction(url) as held_open:
        put(held_open, "held")
        assert await reader.read() == []
        await box.add(AGENCY, [comment(id="after")])
        assert await reader.read() == []
    assert await reader.read() == ["held", "after"]


async def test_a_transaction_that_began_first_and_inserts_last_is_not_passed_over(
    started: tuple[str, Database, Outbox],
) -> None:
    """Its row has the higher number and the lower xid: "xid below pg_snapshot_xmin" would pass over the other."""
    url, database, _ = started
    reader = Reader(database)
    with transaction(url) as second:
        with transaction(url) as first:
            first.exec_driver_sql("SELECT pg_current_xact_id()")
            put(second, "lower number, higher xid")
            put(first, "higher number, lower xid")
        assert await reader.read() == []
        assert await reader.read() == []
    assert await reader.read() == ["lower number, higher xid", "higher number, lower xid"]


async def test_what_ended_is_read_while_later_transactions_always_run(started: tuple[str, Database, Outbox]) -> None:
    """Some transaction runs at each moment, each shorter than for ever: reading still goes on."""
    url, database, _ = started
    reader = Reader(database)
    read: list[str] = []
    with ExitStack() as last:
        with ExitStack() as middle:
            with transaction(url) as first:
                put(first, "1")
                put(middle.enter_context(transaction(url)), "2")
                read += await reader.read()
            read += await reader.read()
            put(last.enter_context(transaction(url)), "3")
        for _ in range(3):
            read += await reader.read()
        assert read == ["1", "2"]
    assert await reader.read() == ["3"]


async def test_a_transaction_that_is_rolled_back_holds_nothing_back(started: tuple[str, Database, Outbox]) -> None:
    url, database, box = started
    reader = Reader(database)
    with transaction(url) as failing:
        put(failing, "never")
        await box.add(AGENCY, [comment(id="stays")])
        assert await reader.read() == []
        failing.get_transaction().rollback()  # type: ignore[union-attr]
    assert await reader.read() == ["stays"]


async def test_a_row_takes_its_number_after_its_transaction(started: tuple[str, Database, Outbox]) -> None:
    _, database, _ = started
    default = (
        "SELECT column_default FROM information_schema.columns WHERE table_name = 'subak_outbox' AND column_name = 'id'"
    )
    found = await database.run(lambda connection: connection.exec_driver_sql(default).scalar())
    assert str(found).index("pg_current_xact_id") < str(found).index("nextval")
