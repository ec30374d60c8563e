"""The router's decisions: each event of the log to the agencies that must hear of it, and no more. Pure, stateless.

Bytes pass through untouched, except that personal fields are removed for an agency that is not entitled to them.
"""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime

from bus.city import City
from bus.hearing import heard_by
from bus.history import is_history
from bus.logic import Decided
from bus.logs import get_logger
from bus.records import Output, Record
from bus.rejections import rejection
from bus.topics import in_topic
from schemas.envelope import Event
from schemas.failures import Reason
from schemas.personal import has_personal, redact

log = get_logger("router")


class Router:
    """`bus.logic.Logic` for the stage `router`."""

    restores_from: str | None = None
    restores_since_seconds: float | None = None

    def __init__(self, number: int, *, city: City) -> None:
        self._number = number
        self._city = city
        self._source = city.source_of("router")
        self._in_topics = {agency: in_topic(agency) for agency in city.agencies}
        self._entitled = {agency: city.entitled(agency) for agency in city.agencies}

    def restore(self, records: Sequence[Record]) -> None:
        """The router remembers nothing."""

    def decide(self, records: Sequence[Record], now: datetime) -> Decided:
        """A copy of each event for each agency that must hear of it. Of history nobody does."""
        decided = Decided(counted={"routed": 0, "unheard": 0, "history": 0, "failed": 0})
        for record in records:
            if is_history(record):
                decided.counted["history"] += 1
                continue
            try:
                copies = self._copies(record)
            except Exception as error:
                log.exception("event_not_routed", topic=record.topic, partition=record.partition, offset=record.offset)
                decided.counted["failed"] += 1
                reason = Reason(
                    "not_routed", "event", f"the router could not read it: {error!r}", "See the router's log."
                )
                decided.outputs += rejection(record, [reason], sender=None, by=self._source, now=now)
                continue
            decided.counted["routed" if copies else "unheard"] += 1
            decided.outputs += copies
        return decided

    def _copies(self, record: Record) -> list[Output]:
        event = Event.from_record(record.headers, record.value)
        recipients = heard_by(
            self._city,
            event.type,
            source=event.source,
            jurisdiction=event.jurisdiction,
            recipient=event.recipient,
            parties=event.parties,
            history=event.history,
        )
        if not recipients:
            return []
        headers = [(name, value) for name, value in record.headers if value is not None]
        whole = event.data
        public = redact(event.type, whole) if has_personal(event.type) else whole
        return [
            Output(
                self._in_topics[agency],
                event.key,
                whole if self._entitled[agency] else public,
                headers,
                self._number,
            )
            for agency in recipients
        ]

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
