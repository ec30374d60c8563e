"""Keeps what became of each request, in the transactions that store what the agency says and hears; answers questions.

Each event counts once, however often it passes: its own id stands in `updates`, in the same transaction.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from itertools import islice
from typing import Any

from sqlalchemy import BindParameter, Connection, bindparam, select, update

from adapters.sources.open311.changes import REJECTED, Change, Row, change, data_of
from adapters.sources.open311.tables import TABLES, requests, updates
from bus.city import City
from bus.database import Database
from bus.statements import insert_new, set_rows
from schemas.envelope import Event
from schemas.identifiers import derived_id

IDS_ASKED_MAX = 400
"""Rows in one question: below the number of variables that SQLite takes."""

ROWS_MAX = 1000
"""The specification's bound on one answer."""


@dataclass(frozen=True, kw_only=True)
class Question:
    """Which requests an app asks for."""

    ids: tuple[str, ...] | None = None
    """These, whatever else is asked."""
    service_codes: tuple[str, ...] | None = None
    statuses: tuple[str, ...] | None = None
    since: float = 0.0
    until: float = 0.0
    offset: int = 0
    rows_max: int = ROWS_MAX


class Projection:
    """The requests of one agency."""

    def __init__(self, agency: str, city: City, database: Database, *, clock: Callable[[], float] = time.time) -> None:
        self._agency = agency
        self._city = city
        self._database = database
        self._clock = clock

    async def open(self) -> None:
        """Make the tables where they are missing."""
        await self._database.run(TABLES.create_all, alone=True)

    def hear(self, connection: Connection, events: Sequence[Event]) -> None:
        """Take in events, within the transaction that stores them."""
        fresh = self._fresh(connection, events)
        if not fresh:
            return
        rows = self._rows(connection, {event.subject for event in fresh.values()})
        changed: dict[str, Row] = {}
        told: list[dict[str, Any]] = []
        for id, event in fresh.items():
            before = rows.get(event.subject)
            after = change(self._city, before, event, derived_id(event.subject, "token"))
            if after is None:
                continue
            if event.type == REJECTED:
                self._hide(connection, event)
            told.append(self._update(id, after))
            if after.row != before:
                rows[event.subject] = changed[event.subject] = after.row
        set_rows(connection, requests, [{"agency": self._agency, **row} for row in changed.values()])
        if told:
            insert_new(connection, updates, told)

    def _update(self, id: str, after: Change) -> dict[str, Any]:
        return {
            "agency": self._agency,
            "update_id": id,
            "service_request_id": after.row["service_request_id"],
            "status": after.row["status"],
            "description": after.description,
            "updated_at": self._clock(),
            "shown": after.shown,
        }

    def _fresh(self, connection: Connection, events: Sequence[Event]) -> dict[str, Event]:
        """The events that were not heard before, in order, by their update's id."""
        found = {update_id(event.source, event.id): event for event in events}
        known: set[str] = set()
        for ids in _parts(found):
            known.update(connection.scalars(_KNOWN, {"of": self._agency, "ids": ids}))
        return {id: event for id, event in found.items() if id not in known}

    def _rows(self, connection: Connection, cases: set[str]) -> dict[str, Row]:
        rows: dict[str, Row] = {}
        for ids in _parts(cases):
            found = connection.execute(_ROWS, {"of": self._agency, "ids": ids})
            rows |= {row.service_request_id: _without_agency(row._mapping) for row in found}
        return rows

    def _hide(self, connection: Connection, event: Event) -> None:
        """What the bus refused is no update, though the app was told that it was taken."""
        source = self._city.source_of(self._agency)
        refused = update_id(source, str(data_of(event).get("event_id")))
        connection.execute(_HIDE, {"of": self._agency, "id": refused})

    async def request(self, service_request_id: str) -> Row | None:
        """One request."""
        found = await self.find(Question(ids=(service_request_id,)))
        return found[0] if found else None

    async def of_token(self, token: str) -> str | None:
        """The request of a token."""
        asked = select(requests.c.service_request_id).where(
            requests.c.agency == self._agency, requests.c.token == token
        )
        return await self._database.run(lambda connection: connection.scalar(asked))

    async def find(self, question: Question) -> list[Row]:
        """Requests, the newest first."""
        return await self._database.run(lambda connection: self._find(connection, question))

    def _find(self, connection: Connection, question: Question) -> list[Row]:
        if question.ids is not None:
            rows = self._rows(connection, set(question.ids))
            return [rows[id] for id in dict.fromkeys(question.ids) if id in rows]
        asked = select(requests).where(
            requests.c.agency == self._agency, requests.c.requested_at.between(question.since, question.until)
        )
        if question.service_codes is not None:
            asked = asked.where(requests.c.service_code.in_(question.service_codes))
        if question.statuses is not None:
            asked = asked.where(requests.c.status.in_(question.statuses))
        asked = asked.order_by(requests.c.requested_at.desc(), requests.c.service_request_id)
        asked = asked.offset(question.offset).limit(question.rows_max)
        return [_without_agency(row._mapping) for row in connection.execute(asked)]

    async def updates(self, since: float, until: float) -> list[Row]:
        """What became known between these times, the oldest first."""
        asked = (
            select(updates)
            .where(
                updates.c.agency == self._agency,
                updates.c.updated_at.between(since, until),
                updates.c.shown.is_(True),
            )
            .order_by(updates.c.updated_at, updates.c.update_id)
            .limit(ROWS_MAX)
        )
        return await self._database.run(lambda connection: [dict(row._mapping) for row in connection.execute(asked)])


# Made once: building a statement costs as much as running it, and each event passes here.
_IDS: BindParameter[Any] = bindparam("ids", expanding=True)
_KNOWN = select(updates.c.update_id).where(updates.c.agency == bindparam("of"), updates.c.update_id.in_(_IDS))
_ROWS = select(requests).where(requests.c.agency == bindparam("of"), requests.c.service_request_id.in_(_IDS))
_HIDE = (
    update(updates)
    .where(updates.c.agency == bindparam("of"), updates.c.update_id == bindparam("id"))
    .values(shown=False)
)


def update_id(source: str, event_id: str) -> str:
    """How an event is known to apps: event ids are unique within their source only."""
    return derived_id(f"{source}/{event_id}", "update")


def _without_agency(row: Any) -> Row:
    found = dict(row)
    del found["agency"]
    return found


def _parts(ids: Any) -> Iterator[list[str]]:
    left = iter(ids)
    while part := list(islice(left, IDS_ASKED_MAX)):
        yield part
