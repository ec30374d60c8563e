"""The inbox's rows, as plain functions of a connection: what arrived, in which order, and what became of it.

States: `waiting` (the agency's system has not taken it), `delivered`, `parked` (refused for good, until a person acts).
The later events of a case wait behind a parked one.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import msgspec
from sqlalchemy import Connection, bindparam, select, update

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


def take_up_to(connection: Connection, agency: str, position: int, now: float) -> int:
    """Mark what the agency's system has asked past as delivered; returns how many rows."""
    taken = update(inbox).where(inbox.c.agency == agency, inbox.c.state == "waiting", inbox.c.id <= position)
    return connection.execute(taken.values(state="delivered", delivered_at=now)).rowcount


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
