"""The rows that triggers wrote, as plain functions of a connection, and the record that the mapping sees of each. Pure.

A row is read by its number and taken away by its number once the outbox has its events. So a row whose transaction
ends late, after rows with higher numbers were read, is simply read later: there is no position that could pass it by.
Changes of one row of the agency's come in their order, since its lock orders their numbers too.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from decimal import Decimal
from typing import Any

import msgspec
from sqlalchemy import (
    ARRAY,
    BigInteger,
    Column,
    Connection,
    MetaData,
    String,
    Table,
    Text,
    any_,
    bindparam,
    delete,
    select,
    text,
)

from adapters.sources.sql.config import CHANGE
from adapters.sources.sql.ddl import changes_name
from schemas.failures import Reason, Refused

IDS_ASKED_MAX = 400
"""Ids in one statement: below the number of variables that SQLite takes."""


@dataclass(frozen=True, slots=True)
class Change:
    """One change of one row of the agency's."""

    number: int
    """Its place in the table of changes; 0 where it was read by a cursor."""
    uid: str
    """What no other change is called, ever."""
    table: str
    operation: str
    """`insert`, `update`, `delete`; `read` where it was found by a cursor."""
    row: str
    """The named columns, as a JSON object."""
    old: str | None
    """The same before an update."""
    changed_at: str

    def record(self) -> dict[str, Any]:
        """The columns by name, and `change`.

        Raises:
            Refused: what stands there is no JSON.
        """
        row = _decoded(self.row)
        old = _decoded(self.old) if self.old is not None else None
        return {**row, CHANGE: self.about(old)}

    def about(self, old: dict[str, Any] | None = None) -> dict[str, Any]:
        """What a mapping may know of the change itself."""
        return {
            "id": self.uid,
            "table": self.table,
            "operation": self.operation,
            "time": self.changed_at,
            "old": old,
        }


def changes_table(kind: str, name: str) -> Table:
    """The table that `ddl.py` describes."""
    schema, _, plain = changes_name(kind, name).rpartition(".")
    return Table(
        plain,
        MetaData(),
        Column("id", BigInteger, primary_key=True),
        Column("uid", String),
        Column("table_name", String),
        Column("operation", String),
        Column("row_data", Text),
        Column("old_data", Text),
        Column("changed_at", String),
        schema=schema or None,
    )


def read_changes(connection: Connection, table: Table, rows_max: int) -> list[Change]:
    """The oldest rows there are."""
    return [Change(*row) for row in connection.execute(select(table).order_by(table.c.id).limit(rows_max))]


def read_more(connection: Connection, table: Table, rows_max: int, held: frozenset[int]) -> list[Change]:
    """The oldest rows there are besides those that are held: read already, and not yet taken away.

    Among them are rows with lower numbers than those held, whose transactions ended late. They are looked for after the
    others: where a change was seen, the change of the same row before it is seen too.
    """
    asked = select(table).order_by(table.c.id)
    last = max(held)
    found = [Change(*row) for row in connection.execute(asked.where(table.c.id > last).limit(rows_max))]
    late = [id for id in connection.scalars(select(table.c.id).where(table.c.id < last)) if id not in held]
    for start in range(0, len(late), IDS_ASKED_MAX):
        some = asked.where(table.c.id.in_(late[start : start + IDS_ASKED_MAX]))
        found += [Change(*row) for row in connection.execute(some)]
    return sorted(found, key=lambda change: change.number) if late else found


def remove_changes(connection: Connection, table: Table, changes: Sequence[Change]) -> None:
    """Take these rows away, and no other that may have come to stand under one of the numbers."""
    at_once = len(changes) if connection.dialect.name == "postgresql" else IDS_ASKED_MAX
    for start in range(0, len(changes), max(1, at_once)):
        some = changes[start : start + at_once]
        ids, uids = [change.number for change in some], [change.uid for change in some]
        connection.execute(_delete(connection, table), {"ids": ids, "uids": uids})


def _delete(connection: Connection, table: Table) -> Any:
    """MySQL locks every row that it looks at, and looks at all where there are few: it would wait for whoever has not
    committed yet. So it is told to go by the numbers. PostgreSQL takes lists as they are: five hundred marks in a
    statement cost its driver more than the rows."""
    if connection.dialect.name == "postgresql":
        return delete(table).where(
            table.c.id == any_(bindparam("ids", type_=ARRAY(BigInteger))),
            table.c.uid == any_(bindparam("uids", type_=ARRAY(Text))),
        )
    if connection.dialect.name not in ("mysql", "mariadb"):
        return delete(table).where(
            table.c.id.in_(bindparam("ids", expanding=True)), table.c.uid.in_(bindparam("uids", expanding=True))
        )
    name = connection.dialect.identifier_preparer.format_table(table)
    return text(f"DELETE {name} FROM {name} FORCE INDEX (PRIMARY) WHERE id IN :ids AND uid IN :uids").bindparams(
        bindparam("ids", expanding=True), bindparam("uids", expanding=True)
    )


def _decoded(text: str) -> dict[str, Any]:
    try:
        found = _decoder.decode(text)
    except (msgspec.DecodeError, UnicodeEncodeError, ValueError) as error:
        fix = "Correct the row in the agency's system."
        raise Refused([Reason("not_json", "record", f"the row is no JSON ({error})"[:300], fix)]) from error
    if not isinstance(found, dict):
        fix = "Let the triggers that `subak adapter sql-ddl` prints write the table of changes."
        raise Refused([Reason("not_a_record", "record", "the row is no JSON object", fix)])
    return found


_decoder = msgspec.json.Decoder(float_hook=Decimal)
