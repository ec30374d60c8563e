"""What records of Kafka say to `subak reconcile`: sightings of an event sent, accepted, refused, due or routed.

An agency's out topic holds what it sent, the log what was accepted and who must hear of it, the refusals what was not
and who must hear of that, an agency's in topic what was routed to it.
"""

from __future__ import annotations

import base64
from collections.abc import AsyncIterator, Callable, Collection, Mapping
from datetime import date, datetime, timedelta

import msgspec

from bus.city import City
from bus.hearing import heard_by
from bus.kafka import KafkaSettings, TopicReader
from bus.reconciliation import Book, Days, fingerprint, header_texts
from bus.records import Record
from bus.topics import EVENTS, REJECTED, agency_of_out, in_topic, out_topic
from schemas.envelope import Event
from schemas.failures import Unprocessable

BEFORE = timedelta(hours=1)
"""Kafka's clock and the agencies' may differ by so much: reading begins so long before the first day."""


class _Header(msgspec.Struct):
    name: str
    value_base64: str | None = None


class _Original(msgspec.Struct):
    headers: list[_Header] = []


class _Reason(msgspec.Struct):
    code: str


class _Notice(msgspec.Struct):
    agency: str
    topic: str
    partition: int
    offset: int
    event_id: str | None = None
    reasons: list[_Reason] = []
    original: _Original | None = None


_read_notice = msgspec.json.Decoder(_Notice).decode

Place = tuple[str, ...]
"""Of what a sighting is one: kind, agency, for some a sender, day."""

See = Callable[[Place, str, int, Record], None]
"""Called with the place of a sighting, the event's id, its fingerprint, and the record."""


class Sightings:
    """Reads the topics of one bus."""

    def __init__(self, city: City, kafka: KafkaSettings, *, since: date, until: datetime) -> None:
        self._city = city
        self._kafka = kafka
        self._since = since
        self._zone = city.zone
        self._days = Days(city.zone, until)
        self._gateway = city.source_of("gateway")

    async def records(
        self, places: Collection[Place] | None = None, since: date | None = None
    ) -> AsyncIterator[Record]:
        """The records that are there now: all, or those in which sightings of these places may stand, from a later day.

        Raises:
            BrokerUnavailable, Misconfigured: Kafka cannot be read.
        """
        reader = TopicReader(self._kafka, name="reconcile")
        numbers = range(self._kafka.partitions)
        await reader.start({(topic, number): 0 for topic in self._topics(places) for number in numbers})
        try:
            start = datetime.combine(since or self._since, datetime.min.time(), self._zone) - BEFORE
            await reader.seek(await reader.offsets_at(int(start.timestamp() * 1000)))
            async for records in reader.to_end():
                for record in records:
                    yield record
        finally:
            await reader.stop()

    def sight(self, record: Record, see: See, book: Book) -> None:
        """Call `see` for each thing that the record says; the reasons of refusals are entered into `book`."""
        texts = header_texts(record.headers)
        if record.topic == REJECTED:
            self._sight_notice(record, texts, see, book)
            return
        day = self._days.of(texts.get("ce_recordedtime") or texts.get("ce_time"))
        if not self.wanted(day):
            return
        assert day is not None
        source = texts.get("ce_source", "")
        id = texts.get("ce_id") or f"{record.topic}/{record.partition}/{record.offset}"
        mark = fingerprint(source, id)
        if record.topic == EVENTS:
            sender = self._city.agency_of(source)
            if sender is not None:
                see(("accepted", sender, day), id, mark, record)
            for agency in self._due_to(record):
                see(("due", agency, sender or source, day), id, mark, record)
        elif record.topic.endswith("-out"):
            see(("out", agency_of_out(record.topic), day), id, mark, record)
        else:
            agency = record.topic.removeprefix("agency-").removesuffix("-in")
            see(("routed", agency, self._city.agency_of(source) or source, day), id, mark, record)

    def _due_to(self, record: Record) -> tuple[str, ...]:
        """Who must hear of a record of the log; nobody of what is no event."""
        try:
            return heard_by(self._city, Event.from_record(record.headers, record.value)).agencies
        except Unprocessable:
            return ()

    def _sight_notice(self, record: Record, texts: Mapping[str, str], see: See, book: Book) -> None:
        """A refusal: it answers what was refused, and its sender must hear of it."""
        notice = _read_notice(record.value or b"{}")
        source = texts.get("ce_source", "")
        if notice.agency not in self._city.agencies:
            return
        day = self._days.of(texts.get("ce_time"))
        if day is not None and self.wanted(day):
            see(("due", notice.agency, source, day), texts["ce_id"], fingerprint(source, texts["ce_id"]), record)
        original = header_texts(
            (one.name, base64.b64decode(one.value_base64) if one.value_base64 is not None else None)
            for one in (notice.original.headers if notice.original is not None else ())
        )
        day = self._days.of(original.get("ce_recordedtime") or original.get("ce_time"))
        if day is None or not self.wanted(day):
            return
        sent = book.of(notice.agency, day)
        sent.reasons.update({reason.code for reason in notice.reasons})
        if source == self._gateway:
            id = original.get("ce_id") or f"{notice.topic}/{notice.partition}/{notice.offset}"
            see(("refused", notice.agency, day), id, fingerprint(original.get("ce_source", ""), id), record)
        else:
            sent.refused_by_case += 1

    def wanted(self, day: str | None) -> bool:
        """Whether a day is one of those that are counted."""
        return day is not None and (day >= self._since.isoformat())  # "undated" is later than any date

    def _topics(self, places: Collection[Place] | None) -> set[str]:
        if places is not None:
            return {topic for kind, agency, *_ in places for topic in _where(kind, agency)}
        found = {EVENTS, REJECTED}
        for agency in self._city.agencies:
            found |= {out_topic(agency), in_topic(agency)}
        return found


def _where(kind: str, agency: str) -> set[str]:
    """Where sightings of this kind stand: what `sight` finds there and nowhere else."""
    topics = {
        "out": {out_topic(agency)},
        "accepted": {EVENTS},
        "refused": {REJECTED},
        "due": {EVENTS, REJECTED},
        "routed": {in_topic(agency)},
    }
    return topics[kind]
