"""What the casebook's tests share: an empty database of each kind, a city, tables that can be compared."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest
from sqlalchemy import Engine

from services.casebook.database import reader_engine, writer_engine


@pytest.fixture(params=["sqlite", "postgresql"])
def url(request: pytest.FixtureRequest, tmp_path: Path) -> str:
    """An empty database of each kind."""
    if request.param == "sqlite":
        return f"sqlite:///{tmp_path / 'casebook.sqlite3'}"
    found: str = request.getfixturevalue("postgresql").new_database()
    return found


@pytest.fixture
def writing(url: str) -> Iterator[Engine]:
    """The writer's engine on it."""
    engine = writer_engine(url)
    yield engine
    engine.dispose()


@pytest.fixture
def reading(url: str) -> Iterator[Engine]:
    """The readers' engine on it."""
    engine = reader_engine(url)
    yield engine
    engine.dispose()
