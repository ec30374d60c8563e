"""Rows of the agency's table by a column that grows, page by page, as plain functions of a connection."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from datetime import UTC, date, datetime
from decimal import Decimal
from functools import cache
from hashlib import blake2b
from typing import Any

import msgspec
from sqlalchemy import (
    ColumnClause,
    ColumnElement,
    Connection,
    TableClause,
    and_,
    column,
    func,
    literal,
    literal_column,
    or_,
    select,
    table,
)
from sqlalchemy.types import NullType

from adapters.postgresql_moments import BeyondPython
from adapters.sources.sql.changes import Change
from adapters.sources.sql.config import TableConfig
from schemas.failures import Misconfigured

Row = tuple[Any, ...]
"""In the order of the configured columns."""


def read_page(connection: Connection, config: TableConfig, since: Any, after: Row | None, rows_max: int) -> list[Row]:
    """Rows at or above `since` (None: all), after the row `after`, in the order of cursor and key.

    Rows without a key or a cursor have no place in that order: see `read_keyless`.
    """
    columns = _table(config).c
    cursor: ColumnElement[Any] = columns[str(config.cursor)]
    names = [str(config.cursor), *config.key]
    order: list[ColumnElement[Any]] = [columns[name] for name in names]
    conditions: list[ColumnElement[bool]] = [one.is_not(None) for one in order]
    if since is not None:
        conditions.append(cursor >= since)
    if after is not None:
        values = [_bound(after[config.columns.index(name)]) for name in names]
        conditions += [cursor >= values[0], _beyond(order, values)]
    return _read(connection, config, conditions, order, rows_max)


def read_keyless(connection: Connection, config: TableConfig, since: Any, rows_max: int) -> list[Row]:
    """Rows at or above `since` in whose key something is missing."""
    columns = _table(config).c
    cursor: ColumnElement[Any] = columns[str(config.cursor)]
    conditions: list[ColumnElement[bool]] = [
        cursor.is_not(None),
        or_(*(columns[name].is_(None) for name in config.key)),
    ]
    if since is not None:
        conditions.append(cursor >= since)
    return _read(connection, config, conditions, [cursor], rows_max)


def read_by_key(connection: Connection, config: TableConfig, key: Mapping[str, Any]) -> list[Row]:
    """The row of that key, and a second one where the key names several."""
    columns = _table(config).c
    conditions: list[ColumnElement[bool]] = [columns[name] == value for name, value in key.items()]
    return [tuple(row) for row in connection.execute(select(_table(config)).where(*conditions).limit(2))]


def highest(connection: Connection, config: TableConfig) -> Any:
    """The highest value of the cursor that can be a place; None where there is none."""
    cursor = _table(config).c[str(config.cursor)]
    found = connection.scalar(select(func.max(cursor)))
    if is_place(found):
        return found
    return connection.scalar(select(func.max(cursor)).where(cursor < literal_column("'9999-12-31'")))


def is_place(value: object) -> bool:
    """Whether reading can go on from this value of the cursor. Behind `infinity` nothing would ever come."""
    return not isinstance(value, BeyondPython)


def as_change(config: TableConfig, row: Row) -> Change:
    """A row as a change whose id is its content: another content is another change."""
    record = {
        name: value.hex() if isinstance(value, bytes) else value
        for name, value in zip(config.columns, row, strict=True)
    }
    text = _encoder.encode(record).decode()
    uid = blake2b(f"{config.name}\x1f{text}".encode(), digest_size=16).hexdigest()
    moment = datetime.now(UTC).isoformat(timespec="milliseconds")
    return Change(0, uid, config.name, "read", text, None, moment)


def cursor_of(config: TableConfig, row: Row) -> Any:
    """The row's place."""
    return row[config.columns.index(str(config.cursor))]


def write_position(value: Any) -> str:
    """A cursor's value as it is stored.

    Raises:
        Misconfigured: a column of this type cannot be a cursor.
    """
    if not is_place(value):
        return NOWHERE
    for kind, known in _TYPES.items():
        if type(value) is known:
            return msgspec.json.encode([kind, str(value) if kind != "time" else value.isoformat()]).decode()
    raise Misconfigured(
        f"the cursor holds a {type(value).__name__}: choose a column of numbers, moments or text, which grows."
    )


def read_position(text: str) -> Any:
    """The value that was stored; None for the beginning."""
    kind, value = msgspec.json.decode(text)
    if kind == "time":
        return datetime.fromisoformat(value)
    if kind == "date":
        return date.fromisoformat(value)
    return _TYPES[kind](value) if kind != "none" else None


BEGINNING = '["none",""]'

NOWHERE = '["beyond",""]'
"""Of a row whose cursor is no place: above every position, so it is read in each pass, and known for ever."""

_TYPES: dict[str, Any] = {
    "int": int,
    "float": float,
    "decimal": Decimal,
    "text": str,
    "time": datetime,
    "date": date,
}

_encoder = msgspec.json.Encoder(decimal_format="number", enc_hook=str)


def _bound(value: Any) -> Any:
    """As PostgreSQL takes it for a moment: a text that has no type yet."""
    return value if is_place(value) else literal(value, NullType())


def _beyond(order: Sequence[ColumnElement[Any]], values: Sequence[Any]) -> ColumnElement[bool]:
    """`(a, b) > (x, y)`, as every database can say it."""
    first, *others = order
    if not others:
        last: ColumnElement[bool] = first > values[0]
        return last
    return or_(first > values[0], and_(first == values[0], _beyond(others, values[1:])))


@cache
def _table(config: TableConfig) -> TableClause:
    """Its columns are written with the table's name: alone, SQLite takes a quoted name that is gone for a text."""
    schema, _, name = config.name.rpartition(".")
    columns: list[ColumnClause[Any]] = [column(name) for name in config.columns]
    return table(name, *columns, schema=schema or None)


def _read(
    connection: Connection,
    config: TableConfig,
    conditions: Sequence[ColumnElement[bool]],
    order: Sequence[ColumnElement[Any]],
    rows_max: int,
) -> list[Row]:
    asked = select(_table(config)).where(*conditions)
    return [tuple(row) for row in connection.execute(asked.order_by(*order).limit(rows_max))]
