"""The agency's rows, as plain functions of a connection: updated by their key, or inserted where there is none.

An update first, and an insert where it found nothing: so an event may fill some columns of a row that has others which
must not be empty, the key needs no unique index, and all databases do the same.
"""

from __future__ import annotations

import time
from collections.abc import Iterable, Sequence
from datetime import tzinfo
from hashlib import blake2b
from typing import Any

from sqlalchemy import (
    BigInteger,
    Column,
    Connection,
    MetaData,
    String,
    Table,
    and_,
    delete,
    insert,
    literal,
    select,
    update,
)
from sqlalchemy.exc import IntegrityError, NoSuchTableError

from adapters.agency_database import AgencyDatabaseChanged
from adapters.mapping import AgencyRow
from adapters.targets.sql.fitting import DoesNotFit, fitted
from bus.city.problems import nearest
from schemas.failures import Reason, Refused

TAKEN = "subak_taken"

taken = Table(
    TAKEN,
    MetaData(),
    Column("event_key", String(32), primary_key=True),
    Column("event_id", String(128), nullable=False),
    Column("taken_at", BigInteger, nullable=False),
)

TAKEN_DDL = f"""CREATE TABLE IF NOT EXISTS {TAKEN} (
  event_key VARCHAR(32) NOT NULL PRIMARY KEY,
  event_id VARCHAR(128) NOT NULL,
  taken_at BIGINT NOT NULL
)"""


class AlreadyTaken(Exception):
    """The event's rows are in the database."""


def take(connection: Connection, agency: str, source: str, event_id: str) -> None:
    """Note, in the transaction that writes its rows, that an event was taken.

    Raises:
        AlreadyTaken: it is noted. Roll back: nothing was written.
    """
    key = blake2b(f"{agency}\x1f{source}\x1f{event_id}".encode(), digest_size=16).hexdigest()
    try:
        connection.execute(insert(taken).values(event_key=key, event_id=event_id, taken_at=int(time.time())))
    except IntegrityError as error:
        raise AlreadyTaken from error


def forget(connection: Connection, before: float) -> None:
    """Let go of what was taken so long ago."""
    connection.execute(delete(taken).where(taken.c.taken_at < int(before)))


class Tables:
    """The agency's tables as they are, asked once each."""

    def __init__(self, zone: tzinfo) -> None:
        self._zone = zone
        self._known: dict[str, Table] = {}

    def forget(self) -> None:
        """Ask again: something was changed."""
        self._known.clear()

    def write(self, connection: Connection, rows: Iterable[AgencyRow]) -> None:
        """Update or insert these rows, in order.

        Raises:
            Refused: values that do not fit, with every reason.
            AgencyDatabaseChanged: a table or column is not there.
            DBAPIError: the database refuses.
        """
        ready = []
        reasons: list[Reason] = []
        for row in rows:
            table = self.table(connection, row.table)
            key, values = self._fitted(table, row.key, reasons), self._fitted(table, row.values, reasons)
            ready.append((table, key, values))
        if reasons:
            raise Refused(reasons)
        for table, key, values in ready:
            _write(connection, table, key, values)

    def table(self, connection: Connection, name: str) -> Table:
        """The agency's table of that name.

        Raises:
            AgencyDatabaseChanged: there is none.
        """
        if name not in self._known:
            schema, _, plain = name.rpartition(".")
            try:
                self._known[name] = Table(
                    plain, MetaData(), schema=schema or None, autoload_with=connection, resolve_fks=False
                )
            except NoSuchTableError as error:
                raise AgencyDatabaseChanged(
                    f"the agency's database has no table {name}. Make it, or correct table in the mapping."
                ) from error
        return self._known[name]

    def _fitted(self, table: Table, values: dict[str, Any], reasons: list[Reason]) -> dict[str, Any]:
        found = {}
        for name, value in values.items():
            if name not in table.c:
                self.forget()
                raise AgencyDatabaseChanged(
                    f"the agency's table {table.name} has no column {name}. {nearest(name, list(table.c.keys()))} "
                    "Correct the mapping, or the table."
                )
            try:
                found[name] = fitted(table.c[name], value, self._zone)
            except DoesNotFit as error:
                reasons.append(error.reason)
        return found


def _write(connection: Connection, table: Table, key: dict[str, Any], values: dict[str, Any]) -> None:
    this = and_(*(table.c[name] == value for name, value in key.items()))
    if values:
        count = connection.execute(update(table).where(this).values(**values)).rowcount
    else:
        count = len(connection.execute(select(literal(1)).select_from(table).where(this).limit(2)).all())
    if count > 1:
        problem = f"the key names {count} rows of the table {table.name}"
        raise Refused([Reason("key_not_unique", ", ".join(key), problem, "Name columns that tell them apart.")])
    if count == 0:
        connection.execute(insert(table).values(**key, **values))


def missing(connection: Connection, tables: Tables, needed: Sequence[tuple[str, str]]) -> list[str]:
    """What (table, column) the database lacks, a sentence each."""
    problems: list[str] = []
    for name, column in needed:
        try:
            table = tables.table(connection, name)
        except AgencyDatabaseChanged as error:
            if str(error) not in problems:
                problems.append(str(error))
            continue
        if column not in table.c:
            problems.append(f"the table {name} has no column {column}. {nearest(column, list(table.c.keys()))}")
    return problems
