"""Looking at the casebook's tables as a whole, and filling them."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from typing import Any

from sqlalchemy import Engine, select

from bus.records import Record
from services.casebook import tables
from services.casebook.writer import Writer
from tests.support.logbook import Logbook

Contents = dict[str, list[tuple[Any, ...]]]


def contents(engine: Engine) -> Contents:
    """Every row of every table, in the order of their keys."""
    with engine.begin() as connection:
        return {
            table.name: [tuple(row) for row in connection.execute(select(table).order_by(*table.primary_key.columns))]
            for table in tables.metadata.sorted_tables
        }


def rows(engine: Engine, table: str) -> list[dict[str, Any]]:
    """The rows of one table by column, in the order of its key."""
    found = tables.metadata.tables[table]
    with engine.begin() as connection:
        question = select(found).order_by(*found.primary_key.columns)
        return [dict(row) for row in connection.execute(question).mappings()]


def fill(engine: Engine, logbook: Logbook, *, portion: int = 7, records: Sequence[Record] | None = None) -> Writer:
    """Make the tables anew from the log, in portions of so many records."""
    writer = Writer(engine)
    positions = writer.open(logbook.city.id, logbook.beginnings, rebuild=True)
    for part in portions(logbook.records if records is None else records, portion):
        positions.update(writer.take(part, positions).positions)
    return writer


def portions(records: Sequence[Record], size: int) -> Iterator[list[Record]]:
    """The records in portions of `size`."""
    for start in range(0, len(records), size):
        yield list(records[start : start + size])


def one_topic_first(records: Iterable[Record], topic: str) -> list[Record]:
    """All of one topic, then the other: as two partitions of Kafka may be read."""
    return sorted(records, key=lambda record: record.topic != topic)
