"""The router's decisions: each event of the log to the agencies that must hear of it, and no more. Pure, stateless.

Bytes pass through untouched, except that personal fields are removed for an agency that is not entitled to them. Who
hears is `bus/hearing.py`'s to say; a condition that fails keeps an event from its own agency alone.
"""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime

from bus.city import City
from bus.hearing import Failed, heard_by, readable
from bus.logic import Decided
from bus.logs import get_logger
from bus.records import Output, Record
from bus.rejections import rejection
from bus.topics import in_topic
from schemas.envelope import Event
from schemas.failures import Reason
from schemas.personal import has_personal

log = get_logger("router")

MEND = "Mend the condition in the city's files; `subak route catch-up` then brings the agency what it missed."
"""What to do about a condition that failed."""


class Router:
    """`bus.logic.Logic` for the stage `router`."""

    restores_from: str | None = None
    restores_since_seconds: float | None = None

    def __init__(self, number: int, *, city: City) -> None:
        self._number = number
        self._city = city
        self._source = city.source_of("router")
        self._in_topics = {agency: in_topic(agency) for agency in city.agencies}

    def restore(self, records: Sequence[Record], position: int | None = None) -> None:
        """The router remembers nothing."""

    def decide(self, records: Sequence[Record], now: datetime) -> Decided:
        """A copy of each event for each agency that must hear of it. Of history nobody does."""
        counted = {"routed": 0, "unheard": 0, "history": 0, "failed": 0, "condition_failed": 0}
        decided = Decided(counted=counted)
        for record in records:
            try:
                event = Event.from_record(record.headers, record.value)
                heard = heard_by(self._city, event)
                copies = self._copies(event, heard.agencies, record) if heard.agencies else []
            except Exception as error:
                log.exception("event_not_routed", topic=record.topic, partition=record.partition, offset=record.offset)
                counted["failed"] += 1
                reason = Reason(
                    "not_routed", "event", f"the router could not read it: {error!r}", "See the router's log."
                )
                decided.outputs += rejection(record, [reason], sender=None, by=self._source, now=now)
                continue
            if heard.failed:
                counted["condition_failed"] += 1
                decided.outputs += self._told_of(heard.failed, record, now)
            elif event.history is not None:
                counted["history"] += 1
            else:
                counted["routed" if copies else "unheard"] += 1
            decided.outputs += copies
        return decided

    def _copies(self, event: Event, agencies: Sequence[str], record: Record) -> list[Output]:
        headers = [(name, value) for name, value in record.headers if value is not None]
        key, topics, number, whole = event.key, self._in_topics, self._number, event.data
        if not has_personal(event.type):
            return [Output(topics[agency], key, whole, headers, number) for agency in agencies]
        reads = self._city.lookups.reads
        views: dict[frozenset[str] | None, bytes] = {None: whole}
        copies = []
        for agency in agencies:
            fields = reads(agency, event.type)
            if fields not in views:
                views[fields] = readable(self._city, agency, event)
            copies.append(Output(topics[agency], key, views[fields], headers, number))
        return copies

    def _told_of(self, failed: Sequence[Failed], record: Record, now: datetime) -> list[Output]:
        """What `city-rejected` is told of conditions that failed: the event itself stands, and the others have it."""
        reasons = [
            Reason("condition_failed", f"{one.origin}.when", f"{one.agency} was not told: {one.problem}", MEND)
            for one in failed
        ]
        for one in failed:
            log.warning("condition_failed", agency=one.agency, subscription=one.origin, problem=one.problem)
        return rejection(record, reasons, sender=None, by=self._source, now=now)

    def apply(self, decided: Decided) -> None:
        """The router remembers nothing."""

    def sizes(self) -> dict[str, int]:
        """The router remembers nothing."""
        return {}

    def next_due(self) -> datetime | None:
        """The router has no timers."""
        return None

    def decide_due(self, now: datetime) -> Decided:
        """The router has no timers."""
        return Decided()
