"""The casebook's database by its URL alone, SQLite or PostgreSQL: one connection that writes, others that can only
read.

SQLite: write-ahead log, so that readers never wait for the writer and see one moment each. `synchronous=NORMAL` may
lose the last transactions when the power goes, never a part of one: rows and position go together, and the log has
them still.
"""

from __future__ import annotations

import sqlite3
from pathlib import Path
from typing import Any

from sqlalchemy import Connection, Engine, create_engine, event
from sqlalchemy.engine import URL, make_url
from sqlalchemy.exc import ArgumentError, DBAPIError, OperationalError

from schemas.failures import Misconfigured, Retryable

LOCK_SECONDS_MAX = 10
"""How long a statement waits for another writer's lock."""

STATEMENT_SECONDS_MAX = 60
"""PostgreSQL ends a statement of the writer that takes longer."""

QUESTION_SECONDS_MAX = 10
"""PostgreSQL ends a reader's question that takes longer."""


class DatabaseUnavailable(Retryable):
    """The database did not answer, or ended the transaction. Nothing of it stands, or all: the position says which."""


def database_url(text: str) -> URL:
    """The URL with the driver that the casebook uses.

    Raises:
        Misconfigured: it is no URL, or of neither database.
    """
    try:
        url = make_url(text)
    except ArgumentError as error:
        raise Misconfigured(
            "SUBAK_DATABASE_URL is not a database URL. Write sqlite:///folder/file.sqlite3 or "
            "postgresql+psycopg://user:password@host/database."
        ) from error
    kind = url.get_backend_name()
    if kind == "postgresql":
        return url.set(drivername="postgresql+psycopg")
    if kind != "sqlite":
        raise Misconfigured(f"the casebook keeps its tables in SQLite or PostgreSQL, and not in {kind}.")
    if url.database in (None, "", ":memory:"):
        raise Misconfigured("the casebook's SQLite needs a file: sqlite:///folder/file.sqlite3.")
    return url.set(drivername="sqlite+pysqlite")


def writer_engine(text: str) -> Engine:
    """An engine for the one writer. Makes SQLite's folder.

    Raises:
        Misconfigured: see `database_url`.
    """
    url = database_url(text)
    if url.get_backend_name() == "sqlite":
        Path(url.database or "").parent.mkdir(parents=True, exist_ok=True)
        engine = create_engine(
            url, connect_args={"timeout": LOCK_SECONDS_MAX}, pool_size=1, max_overflow=0, hide_parameters=True
        )
        _for_sqlite(
            engine, begin="BEGIN IMMEDIATE", pragmas=("journal_mode=WAL", "synchronous=NORMAL", "cache_size=-65536")
        )
        return engine
    return create_engine(
        url,
        pool_size=1,
        max_overflow=0,
        pool_pre_ping=True,
        connect_args=_postgresql(STATEMENT_SECONDS_MAX),
        hide_parameters=True,
    )


def reader_engine(text: str, *, connections_max: int = 8) -> Engine:
    """An engine whose connections can only read.

    Raises:
        Misconfigured: see `database_url`.
    """
    url = database_url(text)
    if url.get_backend_name() == "sqlite":
        engine = create_engine(
            url,
            connect_args={"timeout": LOCK_SECONDS_MAX},
            pool_size=connections_max,
            max_overflow=0,
            pool_timeout=10,
            hide_parameters=True,
        )
        _for_sqlite(engine, begin="BEGIN", pragmas=("query_only=ON",))
        return engine
    options = _postgresql(QUESTION_SECONDS_MAX)
    options["options"] += " -c default_transaction_read_only=on"
    return create_engine(
        url,
        pool_size=connections_max,
        max_overflow=0,
        pool_timeout=10,
        pool_pre_ping=True,
        connect_args=options,
        hide_parameters=True,
        execution_options={"isolation_level": "REPEATABLE READ"},
    )


def sorted_error(error: DBAPIError, doing: str) -> Retryable | None:
    """Ours for what a driver raised while `doing`, where waiting helps; None where it is a defect."""
    if isinstance(error, OperationalError) or error.connection_invalidated:
        cause = str(error.orig).strip().splitlines()
        return DatabaseUnavailable(f"the database failed while {doing}: {cause[0] if cause else error!r}")
    return None


def _postgresql(statement_seconds_max: int) -> dict[str, Any]:
    return {
        "connect_timeout": LOCK_SECONDS_MAX,
        "options": f"-c statement_timeout={statement_seconds_max}s -c lock_timeout={LOCK_SECONDS_MAX}s -c timezone=UTC",
    }


def _for_sqlite(engine: Engine, *, begin: str, pragmas: tuple[str, ...]) -> None:
    """Let SQLAlchemy begin transactions itself: the driver would begin one late, and read outside of it."""

    @event.listens_for(engine, "connect")
    def connect(connection: sqlite3.Connection, _: object) -> None:
        connection.isolation_level = None
        for pragma in pragmas:
            connection.execute(f"PRAGMA {pragma}")

    @event.listens_for(engine, "begin")
    def start(connection: Connection) -> None:
        connection.exec_driver_sql(begin)
