"""The writer's SQL: what a batch must know, in few statements, and how its rows are written, in bulk."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Sequence
from itertools import groupby, islice
from typing import Any, TypeVar

from msgspec.structs import astuple
from sqlalchemy import BindParameter, Connection, Dialect, Table, bindparam, delete, func, insert, select, update
from sqlalchemy.dialects import postgresql, sqlite
from sqlalchemy.sql.base import Executable

from bus.records import Record
from bus.topics import EVENTS
from services.casebook import tables
from services.casebook.acts import COLUMNS as ACT_COLUMNS
from services.casebook.acts import Act
from services.casebook.case import COLUMNS as CASE_COLUMNS
from services.casebook.case import Case
from services.casebook.entry import COLUMNS as ENTRY_COLUMNS
from services.casebook.entry import Entry
from services.casebook.links import COLUMNS as LINK_COLUMNS
from services.casebook.links import Link
from services.casebook.projection import Known, subjects
from services.casebook.refusals import COLUMNS as REJECTION_COLUMNS
from services.casebook.refusals import WORKFLOWS, Place, Rejection

T = TypeVar("T")

IDS_IN_ONE_SELECT = 500
"""Ids asked for in one statement: below every database's limit of parameters."""


def known_to(connection: Connection, events: Sequence[Record], again: set[str]) -> Known:
    """What the tables say of the cases in these events. `again`: cases that must be told again whatever comes."""
    if not events:
        return Known({}, {}, {}, again)
    wanted = subjects(events)
    cases: dict[str, Case] = {}
    for ids in _portions(wanted - again):
        for row in connection.execute(_CASES, {"ids": ids}):
            cases[row[0]] = Case(**dict(zip(CASE_COLUMNS, row, strict=True)))
    entries: dict[str, int] = {}
    for ids in _portions(wanted - cases.keys()):
        entries.update({row[0]: row[1] for row in connection.execute(_COUNTS, {"ids": ids})})
    return Known(cases, entries, _refused_among(connection, events), again)


def _refused_among(connection: Connection, events: Sequence[Record]) -> dict[Place, str]:
    first: dict[int, int] = {}
    last: dict[int, int] = {}
    for record in events:
        first.setdefault(record.partition, record.offset)
        last[record.partition] = record.offset
    found: dict[Place, str] = {}
    for number, lowest in first.items():
        values = {"number": number, "lowest": lowest, "highest": last[number]}
        for id, offset in connection.execute(_REFUSED, values):
            found.setdefault(Place(number, offset), id)
    return found


def mark_refused(connection: Connection, refusals: Iterable[Rejection]) -> None:
    """Let these entries, which stand in their timelines already, count for nothing."""
    rows = [{"id": row.id, "case": row.case_id, "number": row.partition, "place": row.offset} for row in refusals]
    connection.execute(_MARK, rows)


def timelines(connection: Connection, ids: Iterable[str]) -> Iterator[tuple[str, list[Entry]]]:
    """The whole timelines of these cases."""
    for portion in _portions(ids):
        rows = connection.execute(_TIMELINES, {"ids": portion}).all()
        for id, lines in groupby(rows, key=lambda row: row[0]):
            yield id, [Entry(**dict(zip(ENTRY_COLUMNS, line, strict=True))) for line in lines]


def forget_cases(connection: Connection, ids: Iterable[str]) -> None:
    """Drop the rows of these cases; their timelines stay."""
    for portion in _portions(ids):
        connection.execute(_FORGET_PARTIES, {"ids": portion})
        connection.execute(_FORGET_CASES, {"ids": portion})


class Rows:
    """Writes rows in bulk, in the dialect of one database."""

    def __init__(self, dialect: Dialect) -> None:
        upsert: Callable[[Table], Any] = postgresql.insert if dialect.name == "postgresql" else sqlite.insert
        cases = upsert(tables.cases)
        replaced = {name: cases.excluded[name] for name in CASE_COLUMNS if name != "id"}
        self._entries = _Bulk(dialect, insert(tables.timeline), ENTRY_COLUMNS)
        self._cases = _Bulk(dialect, cases.on_conflict_do_update(index_elements=["id"], set_=replaced), CASE_COLUMNS)
        self._parties = _Bulk(dialect, upsert(tables.case_parties).on_conflict_do_nothing(), ("agency", "case_id"))
        self._links = _Bulk(dialect, insert(tables.links), LINK_COLUMNS)
        self._acts = _Bulk(dialect, insert(tables.acts), ACT_COLUMNS)
        self._rejections = _Bulk(dialect, upsert(tables.rejected).on_conflict_do_nothing(), REJECTION_COLUMNS)

    def entries(self, connection: Connection, entries: Iterable[Entry]) -> None:
        """Add lines to timelines."""
        self._entries.write(connection, [astuple(entry) for entry in entries])

    def cases(self, connection: Connection, cases: Iterable[Case]) -> None:
        """Write cases whole, and who takes part in them."""
        written = list(cases)
        self._cases.write(connection, [astuple(case) for case in written])
        self._parties.write(connection, [(agency, case.id) for case in written for agency in case.agencies])

    def links(self, connection: Connection, links: Iterable[Link]) -> None:
        """Add what new lines of timelines name."""
        self._links.write(connection, [tuple(link) for link in links])

    def acts(self, connection: Connection, acts: Iterable[Act]) -> None:
        """Add what operators did."""
        self._acts.write(connection, [tuple(act) for act in acts])

    def rejections(self, connection: Connection, rows: Iterable[Rejection]) -> None:
        """Add rejections; one that is there already stays as it is."""
        self._rejections.write(connection, [astuple(row) for row in rows])


class _Bulk:
    """One statement for many rows, compiled once: SQLAlchemy would look at each value of each row again."""

    def __init__(self, dialect: Dialect, statement: Executable, columns: Sequence[str]) -> None:
        compiled = statement.compile(dialect=dialect, column_keys=list(columns))  # type: ignore[attr-defined]
        self._sql = str(compiled)
        self._columns = tuple(columns)
        self._positional = bool(compiled.positional)
        assert not self._positional or tuple(compiled.positiontup) == self._columns

    def write(self, connection: Connection, rows: list[tuple[Any, ...]]) -> None:
        if not rows:
            return
        if self._positional:
            connection.exec_driver_sql(self._sql, rows)
        else:
            connection.exec_driver_sql(self._sql, [dict(zip(self._columns, row, strict=True)) for row in rows])


def _portions(ids: Iterable[T]) -> Iterator[list[T]]:
    """Portions that one statement can take."""
    rest = iter(ids)
    while portion := list(islice(rest, IDS_IN_ONE_SELECT)):
        yield portion


_ids: BindParameter[Any] = bindparam("ids", expanding=True)
_case, _line, _rejected = tables.cases.c, tables.timeline.c, tables.rejected.c

_CASES = select(*(tables.cases.c[name] for name in CASE_COLUMNS)).where(_case.id.in_(_ids))
_COUNTS = select(_line.case_id, func.max(_line.seq)).where(_line.case_id.in_(_ids)).group_by(_line.case_id)
_TIMELINES = (
    select(*(tables.timeline.c[name] for name in ENTRY_COLUMNS))
    .where(_line.case_id.in_(_ids))
    .order_by(_line.case_id, _line.seq)
)
_REFUSED = (
    select(_rejected.id, _rejected.offset)
    .where(
        _rejected.topic == EVENTS,
        _rejected.partition == bindparam("number"),
        _rejected.offset.between(bindparam("lowest"), bindparam("highest")),
        _rejected.rejected_by == WORKFLOWS,
    )
    .order_by(_rejected.log_offset)
)
_MARK = (
    update(tables.timeline)
    .where(
        _line.case_id == bindparam("case"),
        _line.log_partition == bindparam("number"),
        _line.log_offset == bindparam("place"),
        _line.refusal_id.is_(None),
    )
    .values(refusal_id=bindparam("id"))
)
_FORGET_CASES = delete(tables.cases).where(_case.id.in_(_ids))
_FORGET_PARTIES = delete(tables.case_parties).where(tables.case_parties.c.case_id.in_(_ids))
