"""The inbox: what concerns an agency, stored once and in the order of arrival, with the position it came from.

The rows and the offsets after them commit together, and an event that is there already is not stored again: so however
often Kafka hands a record over, the agency's system sees it as one. **The inbox is the guarantee**; all before it only
makes duplicates rare. Its ids are kept for ever.
"""

from __future__ import annotations

import json
import time
from collections import Counter
from collections.abc import Callable, Iterable, Mapping, Sequence
from datetime import datetime
from typing import Any

from sqlalchemy import Connection

from bus import metrics, tracing
from bus.agency_tables import inbox
from bus.cases import KnownCases, Learned, store_cases
from bus.database import Database
from bus.inbox.rows import (
    UNREADABLE,
    Mark,
    forget_content,
    read_positions,
    row_of,
    store_arrivals,
    store_marks,
    store_positions,
)
from bus.inbox.views import Depth, depths
from bus.listening import Listeners
from bus.logs import get_logger
from bus.outbox.rows import mark_rejected
from bus.records import Record
from bus.restored import advance_ids
from schemas.envelope import Event, NotAnEvent
from schemas.failures import Refused
from schemas.identifiers import derived_id
from schemas.registry import registry
from schemas.types.bus import EventRejected

log = get_logger("inbox")

REJECTED = EventRejected.registered.name
FORGOTTEN_MAX = 2000
"""Rows looked at in one transaction while old content is dropped."""


class Inbox:
    """The inboxes of all agencies of one adapter."""

    def __init__(
        self,
        database: Database,
        cases: KnownCases,
        *,
        agency_of: Mapping[str, str],
        source_of: Callable[[str], str],
        clock: Callable[[], float] = time.time,
    ) -> None:
        """
        Args:
            agency_of: in topic → agency.
            source_of: the URI of an agency, to find the event that a rejection speaks of.
        """
        self.database = database
        self.waiting: Counter[str] = Counter()
        """Events that the agency's system has not taken, by agency."""
        self.listeners = Listeners()
        """Who hears of what is stored, in the transaction that stores it."""
        self._cases = cases
        self._agency_of = agency_of
        self._source_of = source_of
        self._clock = clock
        self._wakers: dict[str, Callable[[], None]] = {}
        self._forgotten: dict[str, int] = {}

    def wake(self, agency: str, waker: Callable[[], None]) -> None:
        """Call `waker` whenever something for the agency has been stored."""
        self._wakers[agency] = waker

    async def begin(self) -> dict[tuple[str, int], int]:
        """The next offset of each (topic, partition) that was ever read. New rows get ids above all ever given out.

        A system that asks for "what is after 17" would else pass over what a restored inbox reads again: it comes in
        another order.

        Raises:
            DatabaseUnavailable: call again.
        """
        now = self._clock()
        await self.database.run(lambda connection: advance_ids(connection, inbox, now))
        return await self.positions()

    async def positions(self) -> dict[tuple[str, int], int]:
        """The next offset of each (topic, partition) that was ever read."""
        return await self.database.run(read_positions)

    async def take(self, records: Sequence[Record]) -> None:
        """Store records of the agencies' in topics and the positions after them, in one transaction.

        Raises:
            DatabaseUnavailable: the outcome is unknown; take the same records again.
        """
        now = self._clock()
        rows: list[dict[str, Any]] = []
        events: list[tuple[str, Event]] = []
        rejections: list[tuple[str, str, str]] = []
        positions: dict[tuple[str, int], int] = {}
        for record in records:
            positions[record.topic, record.partition] = record.offset + 1
            agency = self._agency_of[record.topic]
            try:
                event = Event.from_record(record.headers, record.value)
            except NotAnEvent as error:
                log.error("inbox_record_unreadable", topic=record.topic, offset=record.offset, error=str(error))
                rows.append(_unreadable(agency, record, str(error), now))
                continue
            rows.append(row_of(agency, event, now))
            events.append((agency, event))
            if event.type == REJECTED:
                rejections += _rejection(event, self._source_of(agency))

        def unit(connection: Connection) -> tuple[dict[str, int], Learned]:
            new = store_arrivals(connection, rows)
            learned = self._cases.news(events)
            store_cases(connection, learned)
            mark_rejected(connection, rejections)
            self.listeners.tell(connection, events)
            store_positions(connection, positions)
            return new, learned

        began = time.perf_counter()
        new, learned = await self.database.run(unit)
        if tracing.is_on():
            tracing.handled("inbox", records, time.perf_counter() - began)
        self._cases.remember(learned)
        self._count(rows, new)
        self._observe(events, now)

    def _count(self, rows: Sequence[dict[str, Any]], new: Mapping[str, int]) -> None:
        seen = Counter(row["agency"] for row in rows)
        for agency, count in seen.items():
            if count > new[agency]:
                metrics.inbox_duplicates.labels(agency).inc(count - new[agency])
            self.waiting[agency] += new[agency]
            metrics.inbox_waiting.labels(agency).set(self.waiting[agency])
            if waker := self._wakers.get(agency):
                waker()

    def _observe(self, events: Iterable[tuple[str, Event]], now: float) -> None:
        for _, event in events:
            try:
                # What the bus itself says has no outbox: its time is when it was decided.
                seconds = now - datetime.fromisoformat(event.recordedtime or event.time).timestamp()
            except ValueError:
                continue  # the gateway has looked at it: only an old record can be so
            metrics.event_seconds.labels(event.type).observe(max(0.0, seconds))

    async def mark(self, agency: str, marks: Sequence[Mark]) -> None:
        """Keep what became of calls, in one transaction.

        Raises:
            DatabaseUnavailable: mark again.
        """
        await self.database.run(lambda connection: store_marks(connection, marks))
        self.taken(agency, sum(mark.state != "waiting" for mark in marks))

    def taken(self, agency: str, count: int) -> None:
        """So many rows wait no longer."""
        self.waiting[agency] = max(0, self.waiting[agency] - count)
        metrics.inbox_waiting.labels(agency).set(self.waiting[agency])

    async def measure(self, agencies: Iterable[str]) -> None:
        """Count again what waits, how old the oldest is, and what is parked."""
        found = await self.database.run(depths)
        for agency in agencies:
            depth = found.get(agency) or Depth()
            self.waiting[agency] = depth.waiting
            age = 0.0 if depth.oldest_at is None else max(0.0, self._clock() - depth.oldest_at)
            metrics.inbox_waiting.labels(agency).set(depth.waiting)
            metrics.inbox_oldest_age_seconds.labels(agency).set(age)
            metrics.deliveries_parked.labels(agency).set(depth.parked)

    async def forget(self, agency: str, keep_seconds: float) -> None:
        """Drop the content of events that were delivered so long ago. Their ids stay."""
        before = self._clock() - keep_seconds
        while True:
            after = self._forgotten.get(agency, 0)

            def unit(connection: Connection, after: int = after) -> int | None:
                return forget_content(connection, agency, after=after, before=before, rows_max=FORGOTTEN_MAX)

            last = await self.database.run(unit)
            if last is None:
                return
            self._forgotten[agency] = last


def _rejection(event: Event, source: str) -> list[tuple[str, str, str]]:
    """(source, event id, reasons) of a rejection that came back, if it says which event it means."""
    try:
        data: EventRejected = registry.get(REJECTED).read(event.data)
    except Refused as error:  # a newer bus may say it otherwise: the agency is told all the same
        log.error("inbox_rejection_unreadable", event_id=event.id, error=str(error))
        return []
    if data.event_id is None:
        return []
    reasons = [reason.model_dump() for reason in data.reasons]
    return [(source, data.event_id, json.dumps(reasons, ensure_ascii=False))]


def _unreadable(agency: str, record: Record, error: str, now: float) -> dict[str, Any]:
    """A record that is no event, parked as it came: the bus never writes one, so a person must look."""
    place = f"{record.topic}/{record.partition}/{record.offset}"
    return {
        "agency": agency,
        "source": "urn:subak:unreadable",
        "event_id": place[-128:],
        "type": UNREADABLE,
        "subject": derived_id(place, "case"),
        "attributes": "{}",
        "data": record.value or b"",
        "received_at": now,
        "state": "parked",
        "parked_at": now,
        "reason": error,
    }
