"""The casebook's one writer: rows and Kafka's positions in one SQL transaction, or neither.

The position is moved by compare-and-swap: "from where I read to where I have read". So whatever goes wrong, a
record is taken in once: a batch that fails leaves rows and position as they were, and of two casebooks on one
database the second to write finds that the position has moved, and stops with a sentence. A rebuild drops all
tables and makes them anew.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from typing import NamedTuple

from sqlalchemy import Connection, Engine, func, insert, inspect, select
from sqlalchemy.exc import DBAPIError

from bus.records import Record
from bus.restored import HALF_RESTORED, tables_without_keys
from bus.topics import EVENTS, REJECTED
from schemas.failures import Misconfigured
from services.casebook import tables
from services.casebook.case import Case
from services.casebook.database import sorted_error
from services.casebook.positions import Partition, Position, Positions, move, positions_after, stored_positions
from services.casebook.projection import project, rejections, told_again
from services.casebook.refusals import Rejection
from services.casebook.statements import Rows, forget_cases, known_to, mark_refused, timelines


class Taken(NamedTuple):
    """What one batch came to."""

    entries: int
    rejections: int
    unreadable: int
    """Records that are no events."""
    positions: Positions
    """Where the partitions of the batch stand now."""


class Writer:
    """Owns the tables. Not for several threads at once."""

    def __init__(self, engine: Engine) -> None:
        self._engine = engine
        self._rows = Rows(engine.dialect)

    # -- the tables as a whole

    def open(self, city: str, beginnings: Mapping[Partition, int], *, rebuild: bool = False) -> Positions:
        """Make what is missing, check what is there, and say where to go on.

        Args:
            city: the city's id; a database holds one city.
            beginnings: where each partition begins, for a first start and a rebuild.
            rebuild: forget all rows first, in the transaction that begins anew.

        Raises:
            Misconfigured: the tables are another version's, another city's, of another number of partitions, or
                restored only in part.
            DatabaseUnavailable: try again.
        """
        with self._transaction("opening the tables") as connection:
            _alone(connection)
            if rebuild:
                tables.metadata.drop_all(connection)
            if not inspect(connection).has_table(tables.meta.name):
                _make_tables(connection, city, beginnings)
            _check_tables(connection, city)
            if tables_without_keys(connection, tables.metadata):
                raise Misconfigured(
                    f"the casebook's tables have no keys: {HALF_RESTORED}; or make them anew with "
                    "`subak run casebook --rebuild`."
                )
            found = stored_positions(connection)
            if found.keys() != beginnings.keys():
                raise Misconfigured(
                    f"the casebook's tables know {len(found)} partitions, and the bus has {len(beginnings)}: they are "
                    "of another log. Make them anew with `subak run casebook --rebuild`, or name the right database."
                )
        return found

    def positions(self) -> Positions:
        """How far each partition has been taken in: the truth after a failure.

        Raises:
            DatabaseUnavailable: try again.
        """
        with self._transaction("reading the positions") as connection:
            return stored_positions(connection)

    # -- a batch

    def take(self, records: Sequence[Record], expected: Mapping[Partition, Position]) -> Taken:
        """Take these records in, whole or not at all.

        `records` stand in order within each partition; what lies before `expected` is passed over.

        Raises:
            AnotherCasebook: a position is not where this casebook left it; nothing was changed.
            DatabaseUnavailable: whether it stands is unknown; `positions` says it.
        """
        new = [record for record in records if record.offset >= expected[record.topic, record.partition].next_offset]
        moved = positions_after(new)
        with self._transaction("writing a batch") as connection:
            move(connection, expected, moved)
            refusals = rejections(record for record in new if record.topic == REJECTED)
            self._rows.rejections(connection, refusals)
            late = _mark_late(connection, refusals, expected)
            events = [record for record in new if record.topic == EVENTS]
            changes = project(events, known_to(connection, events, late))
            self._rows.entries(connection, changes.entries)
            self._rows.links(connection, changes.links)
            self._rows.acts(connection, changes.acts)
            self._rows.cases(connection, changes.cases.values())
            self._rows.cases(connection, _tell_again(connection, changes.again))
        return Taken(len(changes.entries), len(refusals), changes.unreadable, moved)

    @contextmanager
    def _transaction(self, doing: str) -> Iterator[Connection]:
        try:
            with self._engine.begin() as connection:
                yield connection
        except DBAPIError as error:
            known = sorted_error(error, doing)
            if known is None:
                raise
            raise known from error


def _mark_late(
    connection: Connection, refusals: Sequence[Rejection], expected: Mapping[Partition, Position]
) -> set[str]:
    """Mark the entries that were taken in before their refusal came. Returns their cases."""
    late = [
        refusal
        for refusal in refusals
        if (place := refusal.place) is not None
        and (position := expected.get((EVENTS, place.partition))) is not None
        and place.offset < position.next_offset
    ]
    if late:
        mark_refused(connection, late)
    return {refusal.case_id for refusal in late}


def _tell_again(connection: Connection, ids: set[str]) -> list[Case]:
    """These cases as their whole timelines tell them; the rows of those that are none are dropped."""
    told = [told_again(entries) for _, entries in timelines(connection, sorted(ids))]
    forget_cases(connection, ids)
    return [case for case in told if case is not None]


def _alone(connection: Connection) -> None:
    """Let nobody else make the tables meanwhile. SQLite has one writer; PostgreSQL fails in creating twice."""
    if connection.dialect.name == "postgresql":
        connection.execute(select(func.pg_advisory_xact_lock(_LOCK)))


_LOCK = 0x5B_AC_CA_5E
"""The number of the casebook's advisory lock in a PostgreSQL database: any, as long as it stays."""


def _make_tables(connection: Connection, city: str, beginnings: Mapping[Partition, int]) -> None:
    tables.metadata.create_all(connection)
    connection.execute(
        insert(tables.meta), [{"name": "version", "value": tables.VERSION}, {"name": "city", "value": city}]
    )
    connection.execute(
        insert(tables.positions),
        [{"topic": topic, "partition": number, "next_offset": first} for (topic, number), first in beginnings.items()],
    )


def _check_tables(connection: Connection, city: str) -> None:
    rows = connection.execute(select(tables.meta.c.name, tables.meta.c.value))
    known = {row.name: row.value for row in rows}
    if known.get("version") != tables.VERSION:
        raise Misconfigured(
            f"the casebook's tables are of version {known.get('version')}, and this version of Subak writes "
            f"{tables.VERSION}. Make them anew with `subak run casebook --rebuild`: the log has all that is in them."
        )
    if known.get("city") != city:
        raise Misconfigured(
            f"these tables belong to the city {known.get('city')}, and this casebook is {city}'s. "
            "Give each city a database of its own (SUBAK_DATABASE_URL)."
        )
