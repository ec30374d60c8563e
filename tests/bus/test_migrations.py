"""A database of an older version is upgraded at the start, with what is in it; one of a newer version is left alone."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
from alembic.autogenerate import compare_metadata
from alembic.operations import Operations
from alembic.runtime.migration import MigrationContext
from sqlalchemy import Connection, create_engine, inspect, text

from bus.agency_migrations import STEPS
from bus.agency_tables import NAME, TABLES, VERSION, inbox, outbox
from bus.database import Database
from schemas.failures import Misconfigured

OLD = Path(__file__).parent / "old"


@pytest.fixture
def old_url(url: str) -> str:
    """A database as version 1 left it."""
    engine = create_engine(url)
    script = (OLD / f"adapter-1.{engine.dialect.name}.sql").read_text(encoding="utf-8")
    with engine.begin() as connection:
        for statement in script.split(";\n"):
            if statement.strip():
                connection.exec_driver_sql(statement)
    engine.dispose()
    return url


def opened(url: str, **keys: Any) -> Database:
    return Database(url, **{"tables": TABLES, "name": NAME, "version": VERSION, "steps": STEPS, **keys})


def differences(connection: Connection) -> list[Any]:
    """What alembic would change to make the database as the tables in code are."""
    ours = set(TABLES.tables)
    context = MigrationContext.configure(
        connection,
        opts={
            "compare_type": True,
            "include_object": lambda object, name, kind, *_: kind != "table" or name in ours,
        },
    )
    return list(compare_metadata(context, TABLES))


def test_every_version_after_the_first_has_its_step() -> None:
    assert sorted(STEPS) == list(range(2, VERSION + 1))


async def test_an_old_database_is_upgraded_with_what_is_in_it(old_url: str) -> None:
    for _ in range(2):  # the second start finds nothing to do
        database = opened(old_url)
        await database.start()
        try:
            assert await database.run(differences) == []
            await database.run(shows_what_it_had)
        finally:
            await database.stop()


def shows_what_it_had(connection: Connection) -> None:
    assert connection.execute(text("SELECT version FROM subak_schema WHERE name = 'adapter'")).scalar() == VERSION
    assert [(row.id, row.event_id, row.data) for row in connection.execute(outbox.select())] == [(1, "e-1", b"{}")]
    assert [(row.event_id, row.state, row.reason) for row in connection.execute(inbox.select())] == [
        ("e-2", "parked", "no")
    ]
    assert connection.execute(text("SELECT position FROM subak_outbox_positions")).scalar() == 2
    assert connection.execute(text("SELECT next_offset FROM subak_inbox_positions")).scalar() == 17


async def test_an_upgraded_database_is_as_a_new_one(old_url: str, url: str) -> None:
    database = opened(old_url)
    await database.start()
    upgraded = await database.run(shape)
    await database.stop()
    engine = create_engine("sqlite://") if old_url.startswith("sqlite") else create_engine(old_url)
    with engine.begin() as connection:
        for table in reversed(TABLES.sorted_tables):
            table.drop(connection, checkfirst=True)
        TABLES.create_all(connection)
        assert shape(connection) == upgraded
    engine.dispose()


def shape(connection: Connection) -> dict[str, Any]:
    """Columns with types and defaults, keys, unique constraints, indexes of each table."""
    asked = inspect(connection)
    return {
        name: (
            [(c["name"], str(c["type"]), c["nullable"], c["default"]) for c in asked.get_columns(name)],
            asked.get_pk_constraint(name)["constrained_columns"],
            sorted(tuple(u["column_names"]) for u in asked.get_unique_constraints(name)),
            sorted((i["name"], tuple(i["column_names"])) for i in asked.get_indexes(name)),
        )
        for name in TABLES.tables
    }


async def test_a_newer_database_is_refused_and_not_touched(url: str) -> None:
    newer = opened(url, version=VERSION + 1)
    await newer.start()
    await newer.stop()
    database = opened(url)
    with pytest.raises(Misconfigured, match=f"version {VERSION + 1}"):
        await database.start()


async def test_an_upgrade_that_fails_leaves_the_old_version_whole(old_url: str) -> None:
    def fails(op: Operations) -> None:
        op.drop_table("subak_cases")
        raise ValueError("half done")

    database = opened(old_url, steps={2: fails})
    with pytest.raises(ValueError, match="half done"):
        await database.start()
    database = opened(old_url)
    await database.start()
    assert await database.run(lambda connection: connection.execute(text("SELECT subject FROM subak_cases")).scalar())
    await database.stop()


async def test_without_a_step_an_old_database_is_refused(old_url: str) -> None:
    database = opened(old_url, steps={})
    with pytest.raises(Misconfigured, match="version 1"):
        await database.start()
