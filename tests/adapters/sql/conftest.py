"""Each kind of database that an agency may have, fresh for each test."""

from __future__ import annotations

import sqlite3
from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from tests.support.adapter import SmallAdapter
from tests.support.agency_sql import KINDS, AgencySql


def made_sqlite(folder: Path) -> str:
    """The URL of a file that is there already, as an agency's is."""
    sqlite3.connect(folder / "agency.sqlite3").close()
    (folder / "agency.sqlite3").touch()
    return "sqlite:///agency.sqlite3"


@pytest.fixture(params=KINDS)
def agency(request: pytest.FixtureRequest, tmp_path: Path) -> AgencySql:
    """An agency with a table of complaints and nothing of Subak."""
    own = request.param == "sqlite"
    url = made_sqlite(tmp_path) if own else request.getfixturevalue(request.param).new_database()
    agency = AgencySql(url, tmp_path)
    agency.make_complaints()
    return agency


@pytest.fixture
async def adapter(tmp_path: Path) -> AsyncIterator[SmallAdapter]:
    """An adapter's parts."""
    async with SmallAdapter.opened(tmp_path) as adapter:
        yield adapter
