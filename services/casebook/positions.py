"""How far the log has been taken in: read, and moved by compare-and-swap in the transaction that writes the rows."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from hashlib import blake2b
from typing import NamedTuple

from sqlalchemy import Connection, bindparam, select, update

from bus.records import Record
from schemas.failures import Misconfigured
from services.casebook import tables


class AnotherCasebook(Misconfigured):
    """Another casebook writes to this database."""


class Position(NamedTuple):
    """How far one partition has been taken in."""

    next_offset: int
    last_offset: int | None = None
    """The last record that was taken in: in the log it must still be there, and be the same."""
    last_digest: str | None = None


Partition = tuple[str, int]
"""A topic and a partition's number."""

Positions = dict[Partition, Position]


def stored_positions(connection: Connection) -> Positions:
    """What the table says."""
    table = tables.positions.c
    rows = connection.execute(
        select(table.topic, table.partition, table.next_offset, table.last_offset, table.last_digest)
    )
    return {(topic, number): Position(following, last, digest) for topic, number, following, last, digest in rows}


def positions_after(records: Sequence[Record]) -> Positions:
    """Where these records lead, which stand in order within each partition."""
    last = {(record.topic, record.partition): record for record in records}
    return {
        place: Position(record.offset + 1, record.offset, digest_of(record)) for place, record in sorted(last.items())
    }


def move(connection: Connection, expected: Mapping[Partition, Position], moved: Mapping[Partition, Position]) -> None:
    """Move each position from `expected` to `moved`, one statement each: some drivers count many together wrongly.

    Raises:
        AnotherCasebook: a position is not where it is expected.
    """
    for (topic, number), position in moved.items():
        known = expected[topic, number].next_offset
        values = {"of_topic": topic, "of_partition": number, "expected": known, **position._asdict()}
        if connection.execute(_MOVE, values).rowcount != 1:
            raise AnotherCasebook(
                f"another casebook has moved {topic}/{number} on from {known} in this database. One database has one "
                "casebook: stop the other, or give this one a database of its own (SUBAK_DATABASE_URL)."
            )


def digest_of(record: Record) -> str:
    """What tells a record from another that stands in its place in another log."""
    digest = blake2b(digest_size=16)
    for part in (record.key, record.value, *(piece for header in record.headers for piece in header)):
        text = part.encode() if isinstance(part, str) else part
        digest.update(b"-" if text is None else b"+%d " % len(text) + text)
    return digest.hexdigest()


_MOVE = (
    update(tables.positions)
    .where(
        tables.positions.c.topic == bindparam("of_topic"),
        tables.positions.c.partition == bindparam("of_partition"),
        tables.positions.c.next_offset == bindparam("expected"),
    )
    .values({name: bindparam(name) for name in Position._fields})
)
