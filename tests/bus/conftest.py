"""Outbox and inbox are held to the same promises on each database."""

from __future__ import annotations

from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from bus.agency_tables import NAME, TABLES, VERSION
from bus.database import Database
from tests.support.databases import KINDS, sqlite_url
from tests.support.postgresql import PostgreSQL


@pytest.fixture
def postgres_url(postgresql: PostgreSQL) -> str:
    """An empty database on the session's PostgreSQL."""
    return postgresql.new_database()


@pytest.fixture(params=KINDS)
def url(request: pytest.FixtureRequest, tmp_path: Path) -> str:
    """An empty database of each kind."""
    if request.param == "sqlite":
        return sqlite_url(tmp_path)
    found: str = request.getfixturevalue("postgres_url")
    return found


@pytest.fixture
async def database(url: str) -> AsyncIterator[Database]:
    """A started database with an adapter's tables."""
    database = Database(url, tables=TABLES, name=NAME, version=VERSION)
    await database.start()
    try:
        yield database
    finally:
        await database.stop()
