"""Rows that wait, in the adapter's database, for the file of their period.

A row is there once, by its event and its place among the event's rows, however often the event comes. A file's rows are
those of one table, one period and one part: part 2 exists only where the clock was set back into a period whose file
had been written. What was written keeps its ids, so that a late repetition is known, and loses its cells.
"""

from __future__ import annotations

import json
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from hashlib import blake2b
from typing import Any, NamedTuple

from sqlalchemy import (
    BigInteger,
    Column,
    Connection,
    Double,
    Index,
    Integer,
    LargeBinary,
    MetaData,
    String,
    Table,
    Text,
    UniqueConstraint,
    delete,
    select,
    update,
)

from bus.statements import insert_new, set_rows

TABLES = MetaData()
_Number = BigInteger().with_variant(Integer, "sqlite")

rows = Table(
    "subak_target_rows",
    TABLES,
    Column("id", _Number, primary_key=True, autoincrement=True),  # the order of arrival
    Column("agency", String(64), nullable=False),
    Column("event", LargeBinary(16), nullable=False),  # of its source and id
    Column("place", Integer, nullable=False),  # among the event's rows
    Column("table", String(100), nullable=False),
    Column("period", String(20), nullable=False),
    Column("part", Integer, nullable=False),
    Column("cells", Text),  # a JSON object, column to text; null once it was written
    Column("stored_at", Double, nullable=False),
    UniqueConstraint("agency", "event", "place"),
    Index("subak_target_rows_file", "agency", "table", "period", "part", "id"),
    sqlite_autoincrement=True,
)

files = Table(
    "subak_target_files",
    TABLES,
    Column("agency", String(64), primary_key=True),
    Column("table", String(100), primary_key=True),
    Column("period", String(20), primary_key=True),
    Column("part", Integer, primary_key=True),
    Column("state", String(10), nullable=False),  # open, closing, ready (whole, under its temporary name), written
    Column("at", Double, nullable=False),
)

unwritten = Index("subak_target_files_unwritten", files.c.agency, files.c.state)
"""So that looking for what is due costs nothing where years of short periods stand."""


def make_tables(connection: Connection) -> None:
    """Make what is missing, the index of an earlier version's table too."""
    TABLES.create_all(connection)
    unwritten.create(connection, checkfirst=True)


class FileOf(NamedTuple):
    """One file: of which table, which period, which part."""

    table: str
    period: str
    part: int

    @property
    def name(self) -> str:
        """The file's name."""
        part = f".{self.part}" if self.part > 1 else ""
        return f"{self.table}-{self.period}{part}.csv"


@dataclass(frozen=True, slots=True)
class NewRow:
    """One row of an event."""

    table: str
    cells: dict[str, str]


def event_key(source: str, id: str) -> bytes:
    """What an event is known by."""
    return blake2b(f"{source}\x1f{id}".encode(), digest_size=16).digest()


def store_rows(
    connection: Connection, agency: str, event: bytes, new: Sequence[NewRow], *, period: str, now: float
) -> None:
    """Store the rows of an event, where they are not there yet, for the file of this period that is still open."""
    for place, row in enumerate(new):
        values = {
            "agency": agency,
            "event": event,
            "place": place,
            "table": row.table,
            "period": period,
            "part": _open_part(connection, agency, row.table, period, now),
            "cells": json.dumps(row.cells, ensure_ascii=False),
            "stored_at": now,
        }
        insert_new(connection, rows, [values])


def _open_part(connection: Connection, agency: str, table: str, period: str, now: float) -> int:
    newest = connection.execute(
        select(files.c.part, files.c.state)
        .where(files.c.agency == agency, files.c.table == table, files.c.period == period)
        .order_by(files.c.part.desc())
        .limit(1)
    ).one_or_none()
    if newest is not None and newest.state == "open":
        return int(newest.part)
    part = int(newest.part) + 1 if newest is not None else 1
    set_state(connection, agency, FileOf(table, period, part), "open", now)
    return part


def set_state(connection: Connection, agency: str, file: FileOf, state: str, now: float) -> None:
    """Note how far a file is."""
    set_rows(connection, files, [{"agency": agency, **file._asdict(), "state": state, "at": now}])


def unfinished(connection: Connection, agency: str) -> list[tuple[FileOf, str]]:
    """The files that are not where the agency finds them, the oldest first, with their state."""
    found = connection.execute(
        select(files.c.table, files.c.period, files.c.part, files.c.state)
        .where(files.c.agency == agency, files.c.state.in_(("open", "closing", "ready")))
        .order_by(files.c.period, files.c.table, files.c.part)
    )
    return [(FileOf(row.table, row.period, row.part), row.state) for row in found]


def read_cells(
    connection: Connection, agency: str, file: FileOf, *, after: int, rows_max: int
) -> list[tuple[int, dict[str, str]]]:
    """The next rows of a file, in the order of their arrival, each with its number."""
    found = connection.execute(
        select(rows.c.id, rows.c.cells)
        .where(*_of(agency, file), rows.c.id > after, rows.c.cells.is_not(None))
        .order_by(rows.c.id)
        .limit(rows_max)
    )
    return [(row.id, json.loads(row.cells)) for row in found]


def written(connection: Connection, agency: str, file: FileOf, now: float) -> None:
    """The file is where the agency finds it: its rows' cells are no longer needed."""
    connection.execute(update(rows).where(*_of(agency, file)).values(cells=None))
    set_state(connection, agency, file, "written", now)


def forget(connection: Connection, agency: str, before: float) -> None:
    """Let go of what was written so long ago."""
    old = (rows.c.agency == agency, rows.c.stored_at < before, rows.c.cells.is_(None))
    connection.execute(delete(rows).where(*old))
    connection.execute(delete(files).where(files.c.agency == agency, files.c.at < before, files.c.state == "written"))


def _of(agency: str, file: FileOf) -> Iterator[Any]:
    yield rows.c.agency == agency
    yield rows.c.table == file.table
    yield rows.c.period == file.period
    yield rows.c.part == file.part
