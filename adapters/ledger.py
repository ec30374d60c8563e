"""What outbox and inbox hold, by day: what `subak reconcile` compares with Kafka. Counted from the rows themselves.

GET /agencies/<id>/ledger?until=&zone=                        tallies, a day and a sender each
GET /agencies/<id>/ledger/deliveries?event=<source> <id>&...  what became of these events in the inbox
GET /agencies/<id>/ledger/<outbox|inbox>?after=&until=&zone=&day=&sender=   the events themselves, a page at a time

Rows are read in pages, so that a large outbox holds nobody up. An inbox row whose content is forgotten has no day any
more: the day that it arrived is told as forgotten, and nothing is claimed of it.
"""

from __future__ import annotations

from collections.abc import AsyncIterator, Callable, Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Any
from urllib.parse import parse_qs
from zoneinfo import ZoneInfo, ZoneInfoNotFoundError

import msgspec
from sqlalchemy import Connection, and_, or_, select

from adapters.http_app import Answer, Answered, Asked, Route, answer, refusal
from bus.agency_tables import inbox, inbox_positions, outbox, outbox_positions
from bus.database import Database
from bus.inbox.rows import UNREADABLE
from bus.reconciliation import Days, Tally, fingerprint
from bus.topics import in_topic
from schemas.failures import Reason

PAGE_ROWS = 5000
"""Rows read in one unit of work: some tens of milliseconds."""

ENTRIES_MAX = 2000
"""Events named in one answer."""


DELIVERIES_MAX = 50
"""Events asked for at once."""

LEDGERS = "Ask for outbox, inbox or deliveries."

_DELIVERIES = select(
    inbox.c.source,
    inbox.c.event_id,
    inbox.c.state,
    inbox.c.reason,
    inbox.c.received_at,
    inbox.c.delivered_at,
    inbox.c.parked_at,
)


class _Stamps(msgspec.Struct):
    recordedtime: str | None = None
    time: str | None = None


_read_stamps = msgspec.json.Decoder(_Stamps).decode


@dataclass(frozen=True, slots=True)
class Row:
    """One row, as far as it is counted."""

    number: int
    source: str
    event_id: str
    moment: str | None
    state: str
    """`relayed` or `waiting` in the outbox; `waiting`, `delivered`, `parked` or `forgotten` in the inbox."""
    received_at: float = 0.0


class Ledger:
    """The answers."""

    def __init__(
        self, database: Database, *, agency_of: Callable[[str], str | None], outbox_keep_seconds: float
    ) -> None:
        """
        Args:
            agency_of: who a source URI is; None for one of the bus's own.
            outbox_keep_seconds: how long a relayed row stays.
        """
        self._database = database
        self._keep_seconds = outbox_keep_seconds
        self._agency_of = agency_of

    def routes(self) -> list[Route]:
        """What there is under `/agencies/<id>/`."""
        return [
            Route("GET", "ledger", "", False, self.get_tallies, of_ledger=True),
            Route("GET", "ledger", "", True, self.get_entries, of_ledger=True),
        ]

    async def get_tallies(self, asked: Asked) -> Answer:
        """How much of which day there is."""
        days = _days(asked)
        sent: dict[str, tuple[Tally, list[int]]] = {}
        async for rows in self._pages(self._outbox_rows, asked.agency, 0):
            for row in rows:
                if (day := days.of(row.moment)) is not None:
                    tally, waiting = sent.setdefault(day, (Tally(), [0]))
                    tally.add(fingerprint(row.source, row.event_id))
                    waiting[0] += row.state == "waiting"
        told: dict[tuple[str, str], tuple[Tally, dict[str, int]]] = {}
        forgotten: set[str] = set()
        async for rows in self._pages(self._inbox_rows, asked.agency, 0):
            for row in rows:
                if row.state == "forgotten":
                    day = days.of(datetime.fromtimestamp(row.received_at, UTC).isoformat())
                    forgotten |= {day} if day is not None else set()
                elif (day := days.of(row.moment)) is not None:
                    sender = self._agency_of(row.source) or row.source
                    tally, states = told.setdefault((sender, day), (Tally(), {}))
                    tally.add(fingerprint(row.source, row.event_id))
                    states[row.state] = states.get(row.state, 0) + 1
        return answer(
            200,
            {
                "outbox": [
                    {"day": day, "count": tally.count, "digest": tally.digest, "waiting": waiting[0]}
                    for day, (tally, waiting) in sorted(sent.items())
                ],
                "inbox": [
                    {
                        "day": day,
                        "sender": sender,
                        "count": tally.count,
                        "digest": tally.digest,
                        **{state: states.get(state, 0) for state in ("delivered", "waiting", "parked")},
                    }
                    for (sender, day), (tally, states) in sorted(told.items())
                ],
                "outbox_complete_since": (datetime.now(UTC) - timedelta(seconds=self._keep_seconds)).isoformat(),
                "inbox_forgotten_days": sorted(forgotten),
                "inbox_positions": await self._database.run(lambda connection: _positions(connection, asked.agency)),
            },
        )

    async def get_entries(self, asked: Asked) -> Answer:
        """Which events there are of one day, oldest first; `next` is where to go on, null at the end."""
        if asked.id == "deliveries":
            return await self._deliveries(asked)
        days = _days(asked)
        query = parse_qs(asked.query.decode("latin-1"))
        day, sender = query.get("day", [""])[-1], query.get("sender", [""])[-1]
        reads = {"outbox": self._outbox_rows, "inbox": self._inbox_rows}.get(asked.id)
        if reads is None:
            reason = Reason("not_found", "path", f"there is no ledger {asked.id[:50]!r}", LEDGERS)
            return refusal(404, reason)
        entries: list[dict[str, Any]] = []
        following: int | None = None
        async for rows in self._pages(reads, asked.agency, asked.number("after", 0, 2**62)):
            for row in rows:
                of_sender = not sender or (self._agency_of(row.source) or row.source) == sender
                if of_sender and row.state != "forgotten" and days.of(row.moment) == day:
                    entries.append({"source": row.source, "id": row.event_id, "state": row.state})
                    following = row.number
            if len(entries) >= ENTRIES_MAX:
                return answer(200, {"entries": entries, "next": following})
        return answer(200, {"entries": entries, "next": None})

    async def _deliveries(self, asked: Asked) -> Answer:
        """The state of each event that is asked for and was received: where the bus asks whether all have it."""
        wanted = [tuple(one.partition(" ")[::2]) for one in parse_qs(asked.query.decode("latin-1")).get("event", [])]
        if not 0 < len(wanted) <= DELIVERIES_MAX:
            fix = f"Send event=<source> <id>, 1 to {DELIVERIES_MAX} times."
            return refusal(400, Reason("malformed", "event", f"{len(wanted)} events are asked for", fix))

        def unit(connection: Connection) -> list[dict[str, Any]]:
            these = [and_(inbox.c.source == source, inbox.c.event_id == id) for source, id in wanted]
            found = connection.execute(_DELIVERIES.where(inbox.c.agency == asked.agency, or_(*these)))
            return [
                {"source": row.source, "id": row.event_id, "state": row.state, "at": _utc(row), "reason": row.reason}
                for row in found
            ]

        return answer(200, {"events": await self._database.run(unit)})

    async def _pages(
        self, read: Callable[[Connection, str, int], Sequence[Row]], agency: str, after: int
    ) -> AsyncIterator[Sequence[Row]]:
        while True:
            start = after
            rows = await self._database.run(lambda connection: read(connection, agency, start))  # noqa: B023
            if not rows:
                return
            yield rows
            after = rows[-1].number

    def _outbox_rows(self, connection: Connection, agency: str, after: int) -> Sequence[Row]:
        position = connection.scalar(select(outbox_positions.c.position).where(outbox_positions.c.agency == agency))
        rows = connection.execute(
            select(outbox.c.id, outbox.c.source, outbox.c.event_id, outbox.c.attributes)
            .where(outbox.c.agency == agency, outbox.c.id > after)
            .order_by(outbox.c.id)
            .limit(PAGE_ROWS)
        )
        return [
            Row(id, source, event_id, _moment(attributes), "relayed" if id < (position or 0) else "waiting")
            for id, source, event_id, attributes in rows
        ]

    def _inbox_rows(self, connection: Connection, agency: str, after: int) -> Sequence[Row]:
        columns = (
            inbox.c.id,
            inbox.c.source,
            inbox.c.event_id,
            inbox.c.attributes,
            inbox.c.state,
            inbox.c.received_at,
        )
        rows = connection.execute(
            select(*columns)
            .where(inbox.c.agency == agency, inbox.c.id > after, inbox.c.type != UNREADABLE)
            .order_by(inbox.c.id)
            .limit(PAGE_ROWS)
        )
        return [
            Row(id, source, event_id, _moment(attributes), state if attributes is not None else "forgotten", at)
            for id, source, event_id, attributes, state, at in rows
        ]


def _positions(connection: Connection, agency: str) -> dict[str, int]:
    """Partition → the next offset of the agency's in topic that the inbox will take."""
    positions = select(inbox_positions.c.partition, inbox_positions.c.next_offset)
    rows = connection.execute(positions.where(inbox_positions.c.topic == in_topic(agency)))
    return {str(number): offset for number, offset in rows}


def _utc(row: Any) -> str:
    """Since when an inbox row is in its state."""
    at = {"delivered": row.delivered_at, "parked": row.parked_at}.get(row.state) or row.received_at
    return datetime.fromtimestamp(at, UTC).isoformat(timespec="milliseconds")


def _moment(attributes: str | None) -> str | None:
    if attributes is None:
        return None
    stamps = _read_stamps(attributes)
    return stamps.recordedtime or stamps.time


def _days(asked: Asked) -> Days:
    query: Mapping[str, list[str]] = parse_qs(asked.query.decode("latin-1"))
    until, zone = query.get("until", [""])[-1], query.get("zone", ["UTC"])[-1]
    try:
        moment = datetime.fromisoformat(until) if until else datetime.now(UTC)
        if moment.tzinfo is None:
            raise ValueError
    except ValueError:
        fix = "Send it in RFC 3339, such as 2026-11-24T10:00:00Z."
        raise Answered(
            refusal(400, Reason("malformed", "until", f"{until[:50]!r} is no moment with an offset", fix))
        ) from None
    try:
        return Days(ZoneInfo(zone), moment)
    except (ZoneInfoNotFoundError, ValueError, OSError):
        fix = "Name a zone of the IANA database, such as Asia/Makassar."
        raise Answered(refusal(400, Reason("malformed", "zone", f"there is no zone {zone[:50]!r}", fix))) from None
