"""The inbox's rows, as plain functions of a connection: what arrived, in which order, and what became of it.

States: `waiting` (the agency's system has not taken it), `delivered`, `parked` (refused for good, until a person acts).
The later events of a case wait behind a parked one.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import msgspec
from sqlalchemy import Connection, Select, bindparam, func, literal_column, select, update

from bus.agency_tables import inbox, inbox_positions
from bus.statements import insert_new, set_rows
from schemas.envelope import Event

UNREADABLE = "unreadable"
"""Stands in `type` for a record that is no event: it is kept, parked, and can only be looked at."""


class Arrived(msgspec.Struct, frozen=True, gc=False):
    """One event as it waits for the agency's system."""

    id: int
    """The order of arrival."""
    subject: str
    event_id: str
    attributes: str
    """The envelope, as a JSON object."""
    data: bytes
    tries: int = 0
    """Calls so far."""
    refusals: int = 0
    """How many of them the system refused."""
    next_try_at: float | None = None

    @property
    def body(self) -> bytes:
        """The event as `application/cloudevents+json`, its data byte for byte as it came."""
        return b'{"specversion":"1.0",%s,"datacontenttype":"application/json","data":%s}' % (
            self.attributes[1:-1].encode(),
            self.data or b"null",
        )


@dataclass(frozen=True, slots=True)
class Mark:
    """What became of one call."""

    id: int
    state: str
    """`delivered`, `parked`, or `waiting` for another try."""
    tries: int
    refusals: int
    at: float
    next_try_at: float | None = None
    reason: str | None = None


def row_of(agency: str, event: Event, received_at: float) -> dict[str, Any]:
    """The row of an event that arrived."""
    return {
        "agency": agency,
        "source": event.source,
        "event_id": event.id,
        "type": event.type,
        "subject": event.subject,
        "attributes": msgspec.json.encode(event.attributes()).decode(),
        "data": event.data,
        "received_at": received_at,
        "state": "waiting",
        "parked_at": None,
        "reason": None,
    }


def store_arrivals(connection: Connection, rows: Sequence[dict[str, Any]]) -> dict[str, int]:
    """Store what is not there yet; returns how many were new, by agency."""
    if not rows:
        return {}
    savepoint = connection.begin_nested()
    if insert_new(connection, inbox, rows) == len(rows):
        savepoint.commit()
        return _counted(rows)
    savepoint.rollback()
    return {
        agency: insert_new(connection, inbox, [row for row in rows if row["agency"] == agency])
        for agency in _counted(rows)
    }


def _counted(rows: Sequence[dict[str, Any]]) -> dict[str, int]:
    counted: dict[str, int] = {}
    for row in rows:
        counted[row["agency"]] = counted.get(row["agency"], 0) + 1
    return counted


def store_positions(connection: Connection, positions: Mapping[tuple[str, int], int]) -> None:
    """Move the positions, in the transaction that stores what lies before them."""
    rows = [
        {"topic": topic, "partition": number, "next_offset": offset}
        for (topic, number), offset in sorted(positions.items())
    ]
    set_rows(connection, inbox_positions, rows)


def read_positions(connection: Connection) -> dict[tuple[str, int], int]:
    """The next offset to read of each (topic, partition) that was ever read."""
    columns = (inbox_positions.c.topic, inbox_positions.c.partition, inbox_positions.c.next_offset)
    return {(topic, number): offset for topic, number, offset in connection.execute(select(*columns))}


_ARRIVED = (
    inbox.c.id,
    inbox.c.subject,
    inbox.c.event_id,
    inbox.c.attributes,
    inbox.c.data,
    inbox.c.tries,
    inbox.c.refusals,
    inbox.c.next_try_at,
)


def read_waiting(
    connection: Connection,
    agency: str,
    *,
    after: int,
    up_to: int | None = None,
    rows_max: int,
    bytes_max: int,
    subject: str | None = None,
) -> list[Arrived]:
    """What waits, in the order of arrival, after the row `after`: of one case, or of all. Without parked cases."""
    statement = _WAITING if subject is None else _WAITING_OF_CASE
    rows = connection.execute(
        statement,
        {
            "agency": agency,
            "case": subject,
            "after": after,
            "up_to": up_to if up_to is not None else _NO_BOUND,
            "rows_max": rows_max,
            "bytes_max": bytes_max,
        },
    )
    return [Arrived(*row) for row in rows]


_NO_BOUND = 2**63 - 1


def _reading(*, of_case: bool) -> Select[Any]:
    parked = inbox.alias()
    behind_parked = (
        select(parked.c.id)
        .where(
            parked.c.agency == inbox.c.agency, parked.c.subject == inbox.c.subject, parked.c.state == _literal("parked")
        )
        .exists()
    )
    length = func.length(inbox.c.data)
    first = (
        select(inbox.c.id, (func.sum(length).over(order_by=inbox.c.id) - length).label("bytes_before"))
        .where(
            inbox.c.agency == bindparam("agency"),
            inbox.c.state == _literal("waiting"),
            inbox.c.id > bindparam("after"),
            inbox.c.id <= bindparam("up_to"),
            ~behind_parked,
        )
        .order_by(inbox.c.id)
        .limit(bindparam("rows_max"))
    )
    if of_case:
        first = first.where(inbox.c.subject == bindparam("case"))
    first_rows = first.subquery()
    return (
        select(*_ARRIVED)
        .join(first_rows, first_rows.c.id == inbox.c.id)
        .where(first_rows.c.bytes_before < bindparam("bytes_max"))
        .order_by(inbox.c.id)
    )


def _literal(state: str) -> Any:
    """A state in the statement's text: a partial index is used only for what the planner can see."""
    return literal_column(f"'{state}'")


_WAITING = _reading(of_case=False)
_WAITING_OF_CASE = _reading(of_case=True)


def store_marks(connection: Connection, marks: Sequence[Mark]) -> None:
    """Keep what became of calls. A row that a person touched meanwhile keeps what the person said."""
    delivered = [{"row": mark.id, "tries_": mark.tries, "at": mark.at} for mark in marks if mark.state == "delivered"]
    if delivered:
        connection.execute(_DELIVERED, delivered)
    others = [
        {
            "row": mark.id,
            "state_": mark.state,
            "tries_": mark.tries,
            "refusals_": mark.refusals,
            "next_try_at_": mark.next_try_at,
            "parked_at_": mark.at if mark.state == "parked" else None,
            "reason_": mark.reason,
        }
        for mark in marks
        if mark.state != "delivered"
    ]
    if others:
        connection.execute(_NOT_DELIVERED, others)


_NOT_DELIVERED = (
    update(inbox)
    .where(inbox.c.id == bindparam("row"), inbox.c.state == "waiting")
    .values(
        state=bindparam("state_"),
        tries=bindparam("tries_"),
        refusals=bindparam("refusals_"),
        next_try_at=bindparam("next_try_at_"),
        parked_at=bindparam("parked_at_"),
        reason=bindparam("reason_"),
    )
)
_DELIVERED = (
    update(inbox)
    .where(inbox.c.id == bindparam("row"))
    .values(state="delivered", tries=bindparam("tries_"), delivered_at=bindparam("at"), next_try_at=None, reason=None)
)


@dataclass(slots=True)
class Depth:
    """How full one inbox is."""

    waiting: int = 0
    oldest_at: float | None = None
    """When the oldest that waits arrived."""
    parked: int = 0


def depths(connection: Connection) -> dict[str, Depth]:
    """How full each agency's inbox is; who is not named has nothing that waits."""
    found: dict[str, Depth] = {}
    oldest: dict[int, str] = {}
    for agency, count, first in connection.execute(_WAITING_COUNTS):
        found[agency] = Depth(waiting=count)
        oldest[first] = agency
    for id, agency in oldest.items():
        found[agency].oldest_at = connection.scalar(_RECEIVED_AT, {"row": id})
    for agency, count in connection.execute(_PARKED_COUNTS):
        found.setdefault(agency, Depth()).parked = count
    return found


_WAITING_COUNTS = (
    select(inbox.c.agency, func.count(), func.min(inbox.c.id))
    .where(inbox.c.state == _literal("waiting"))
    .group_by(inbox.c.agency)
)
_PARKED_COUNTS = (
    select(inbox.c.agency, func.count()).where(inbox.c.state == _literal("parked")).group_by(inbox.c.agency)
)
_RECEIVED_AT = select(inbox.c.received_at).where(inbox.c.id == bindparam("row"))


def read_page(connection: Connection, agency: str, *, after: int, rows_max: int) -> list[Arrived]:
    """Events after the row `after`, whatever became of them, as far as their content is kept."""
    page = (
        select(*_ARRIVED)
        .where(inbox.c.agency == agency, inbox.c.id > after, inbox.c.data.is_not(None), inbox.c.type != UNREADABLE)
        .order_by(inbox.c.id)
        .limit(rows_max)
    )
    return [Arrived(*row) for row in connection.execute(page)]


def take_up_to(connection: Connection, agency: str, position: int, now: float) -> int:
    """Mark what the agency's system has asked past as delivered; returns how many rows."""
    taken = update(inbox).where(inbox.c.agency == agency, inbox.c.state == "waiting", inbox.c.id <= position)
    return connection.execute(taken.values(state="delivered", delivered_at=now)).rowcount


def parked_rows(connection: Connection, agency: str, *, rows_max: int) -> list[dict[str, Any]]:
    """What is parked, oldest first, with the reason and how much waits behind it."""
    behind = inbox.alias()
    waits = (
        select(func.count())
        .where(behind.c.agency == inbox.c.agency, behind.c.subject == inbox.c.subject, behind.c.state == "waiting")
        .scalar_subquery()
        .label("waiting_behind")
    )
    columns = (
        inbox.c.event_id,
        inbox.c.source,
        inbox.c.type,
        inbox.c.subject,
        inbox.c.received_at,
        inbox.c.parked_at,
        inbox.c.tries,
        inbox.c.reason,
        waits,
    )
    found: Select[Any] = (
        select(*columns).where(inbox.c.agency == agency, inbox.c.state == "parked").order_by(inbox.c.id).limit(rows_max)
    )
    return [dict(row._mapping) for row in connection.execute(found)]


def replay_rows(connection: Connection, agency: str, event_id: str) -> tuple[list[str], bool]:
    """Let parked events of this id be delivered again: the cases concerned, and whether one is unreadable."""
    these = (inbox.c.agency == agency, inbox.c.event_id == event_id, inbox.c.state == "parked")
    found = connection.execute(select(inbox.c.subject, inbox.c.type).where(*these)).all()
    again = {"state": "waiting", "refusals": 0, "next_try_at": None, "parked_at": None, "reason": None}
    connection.execute(update(inbox).where(*these, inbox.c.type != UNREADABLE).values(**again))
    return [subject for subject, type in found if type != UNREADABLE], any(type == UNREADABLE for _, type in found)


def forget_content(connection: Connection, agency: str, *, after: int, before: float, rows_max: int) -> int | None:
    """Drop the content of events delivered before a time, among the next `rows_max` rows after the row `after`.

    Returns:
        The last row looked at; None at the end. Ids stay: an event that comes again is known for ever.
    """
    page = (
        select(inbox.c.id)
        .where(inbox.c.agency == agency, inbox.c.id > after, inbox.c.received_at < before)
        .order_by(inbox.c.id)
        .limit(rows_max)
    )
    ids: list[int] = list(connection.scalars(page))
    if not ids:
        return None
    old = (inbox.c.agency == agency, inbox.c.id > after, inbox.c.id <= ids[-1], inbox.c.data.is_not(None))
    done = (inbox.c.state == "delivered", inbox.c.delivered_at < before)
    connection.execute(update(inbox).where(*old, *done).values(data=None, attributes=None))
    return ids[-1]
