"""Statements that SQLite and PostgreSQL spell alike, each made once: building one costs as much as running it."""

from __future__ import annotations

from collections.abc import Sequence
from functools import cache
from typing import Any

from sqlalchemy import Connection, Table, func
from sqlalchemy.dialects import postgresql, sqlite


def insert_new(connection: Connection, table: Table, rows: Sequence[dict[str, Any]]) -> int:
    """Insert those rows that collide with none that is there; returns how many."""
    done = connection.execute(_insert_new(connection.dialect.name, table), list(rows), execution_options=_COUNTED)
    return done.rowcount


def set_rows(connection: Connection, table: Table, rows: Sequence[dict[str, Any]], *, first_wins: bool = False) -> None:
    """Insert rows, or set their columns where the primary key is there: to the new values, or where they were null."""
    if rows:
        connection.execute(_set_rows(connection.dialect.name, table, first_wins), list(rows))


_COUNTED = {"preserve_rowcount": True}


@cache
def _insert_new(dialect: str, table: Table) -> Any:
    return _insert(dialect, table).on_conflict_do_nothing()


@cache
def _set_rows(dialect: str, table: Table, first_wins: bool) -> Any:
    statement = _insert(dialect, table)
    keys = [column.name for column in table.primary_key]
    new = {column.name: statement.excluded[column.name] for column in table.columns if column.name not in keys}
    if first_wins:
        new = {name: func.coalesce(table.columns[name], value) for name, value in new.items()}
    return statement.on_conflict_do_update(index_elements=keys, set_=new)


def _insert(dialect: str, table: Table) -> Any:
    return (postgresql if dialect == "postgresql" else sqlite).insert(table)
