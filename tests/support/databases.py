"""Each database that an adapter may have, fresh for each test."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import sqlalchemy

from schemas.identifiers import new_id

KINDS = ("sqlite", "postgresql")


def sqlite_url(folder: Path) -> str:
    """A file that does not exist yet."""
    return f"sqlite:///{folder / 'adapter.sqlite3'}"


def fresh_database(server: str) -> Iterator[str]:
    """The URL of an empty database on a PostgreSQL server; it is dropped afterwards."""
    name = "t" + new_id().replace("-", "")
    engine = sqlalchemy.create_engine(f"{server}/postgres", isolation_level="AUTOCOMMIT")
    with engine.connect() as connection:
        connection.exec_driver_sql(f"CREATE DATABASE {name}")
    try:
        yield f"{server}/{name}"
    finally:
        with engine.connect() as connection:
            connection.exec_driver_sql(f"DROP DATABASE {name} WITH (FORCE)")
        engine.dispose()
