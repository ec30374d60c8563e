"""Counts a bus for `subak reconcile`: topics from Kafka, outboxes and inboxes from the adapters.

A first pass makes tallies, which say whether anything is missing. Only where one differs does a second pass read again,
and names the events: what is merely on its way, behind the position of the process that must take it, is none.
"""

from __future__ import annotations

import base64
from collections.abc import AsyncIterator, Callable, Iterable, Mapping
from dataclasses import dataclass
from datetime import date, datetime, timedelta
from typing import Any

import msgspec

from bus.city import City
from bus.hearing import heard_by
from bus.kafka import KafkaSettings, TopicReader, group_positions
from bus.reconciliation import Book, Days, Discrepancy, Tally, differences, fingerprint, header_texts
from bus.records import Record
from bus.topics import EVENTS, REJECTED, agency_of_out, in_topic, out_topic
from schemas.envelope import Event
from schemas.failures import Unprocessable
from services.cli.ledgers import AdapterLedgers

BEFORE = timedelta(hours=1)
"""Kafka's clock and the agencies' may differ by so much: reading begins so long before the first day."""

IDS_NAMED_MAX = 20
"""Ids told of one discrepancy; the rest is counted."""


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

See = Callable[[tuple[str, ...], str, int, Record], None]
"""Called with the place of a sighting (kind, then agency and day), the event's id, its fingerprint, and the record."""


@dataclass
class Counted:
    """What was found."""

    book: Book
    discrepancies: list[Discrepancy]
    on_the_way: int
    """Events that a process has not come to yet."""
    unasked: dict[str, str]
    """Agency → why its adapter was not asked."""
    events: int
    """Records read from Kafka."""


class Reconciler:
    """One reconciliation of one bus."""

    def __init__(
        self,
        city: City,
        kafka: KafkaSettings,
        adapters: Mapping[str, Mapping[str, str]],
        *,
        since: date,
        until: datetime,
    ) -> None:
        """
        Args:
            adapters: agency → `url` and `token` of its adapter; those left out are not asked.
            until: events of a later moment are left for the next time. A little before now: what is on its way settles.
        """
        self._city = city
        self._kafka = kafka
        self._ledgers = AdapterLedgers(adapters, sorted(city.agencies), until=until, zone=city.zone)
        self._since = since
        self._zone = city.zone
        self._days = Days(city.zone, until)
        self._gateway = city.source_of("gateway")
        self._topics = [EVENTS, REJECTED]
        for agency in sorted(city.agencies):
            self._topics += [out_topic(agency), in_topic(agency)]

    async def count(self) -> Counted:
        """All of it.

        Raises:
            BrokerUnavailable, Misconfigured: Kafka cannot be read.
        """
        book, events = Book(), 0
        seen: dict[tuple[str, ...], Tally] = {}

        def tally(place: tuple[str, ...], id: str, mark: int, record: Record) -> None:
            found = seen.get(place)
            if found is None:
                found = seen[place] = Tally()
            found.add(mark)

        unasked, ledgers = await self._ledgers.all()
        async for record in self._records():
            events += 1
            self._sight(record, tally, book)
        self._enter(book, seen, ledgers)
        discrepancies: list[Discrepancy] = []
        on_the_way = 0
        if differing := self._differing(book):
            discrepancies, on_the_way = await self._name(differing)
        return Counted(book, discrepancies, on_the_way, unasked, events)

    # -- what Kafka holds

    async def _records(self) -> AsyncIterator[Record]:
        reader = TopicReader(self._kafka, name="reconcile")
        await reader.start({(topic, number): 0 for topic in self._topics for number in range(self._kafka.partitions)})
        try:
            start = datetime.combine(self._since, datetime.min.time(), self._zone) - BEFORE
            await reader.seek(await reader.offsets_at(int(start.timestamp() * 1000)))
            async for records in reader.to_end():
                for record in records:
                    yield record
        finally:
            await reader.stop()

    def _sight(self, record: Record, see: See, book: Book) -> None:
        texts = header_texts(record.headers)
        if record.topic == REJECTED:
            self._sight_notice(record, texts, see, book)
            return
        day = self._days.of(texts.get("ce_recordedtime") or texts.get("ce_time"))
        if not self._wanted(day):
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
        if day is not None and self._wanted(day):
            see(("due", notice.agency, source, day), texts["ce_id"], fingerprint(source, texts["ce_id"]), record)
        original = header_texts(
            (one.name, base64.b64decode(one.value_base64) if one.value_base64 is not None else None)
            for one in (notice.original.headers if notice.original is not None else ())
        )
        day = self._days.of(original.get("ce_recordedtime") or original.get("ce_time"))
        if day is None or not self._wanted(day):
            return
        sent = book.of(notice.agency, day)
        sent.reasons.update({reason.code for reason in notice.reasons})
        if source == self._gateway:
            id = original.get("ce_id") or f"{notice.topic}/{notice.partition}/{notice.offset}"
            see(("refused", notice.agency, day), id, fingerprint(original.get("ce_source", ""), id), record)
        else:
            sent.refused_by_case += 1

    def _wanted(self, day: str | None) -> bool:
        return day is not None and (day >= self._since.isoformat())  # "undated" is later than any date

    # -- what follows

    def _enter(
        self, book: Book, seen: Mapping[tuple[str, ...], Tally], ledgers: Mapping[str, Mapping[str, Any]]
    ) -> None:
        for (kind, agency, *rest), tally in seen.items():
            if kind in ("due", "routed"):
                setattr(book.to(agency, rest[0], rest[1]), kind, tally)
            else:
                setattr(book.of(agency, rest[0]), kind, tally)
        for agency, ledger in ledgers.items():
            self._enter_outbox(book, agency, ledger)
            self._enter_inbox(book, agency, ledger)

    def _enter_outbox(self, book: Book, agency: str, ledger: Mapping[str, Any]) -> None:
        kept_from = datetime.fromisoformat(ledger["outbox_complete_since"]).astimezone(self._zone).date().isoformat()
        for row in ledger["outbox"]:
            if self._wanted(row["day"]):
                book.of(agency, row["day"]).waiting = row["waiting"]
                book.of(agency, row["day"]).outbox = Tally.read(row["count"], row["digest"])
        for (whose, day), sent in book.sent.items():
            if whose == agency:
                sent.outbox = (sent.outbox or Tally()) if day > kept_from else None

    def _enter_inbox(self, book: Book, agency: str, ledger: Mapping[str, Any]) -> None:
        forgotten = set(ledger["inbox_forgotten_days"])
        for row in ledger["inbox"]:
            if self._wanted(row["day"]):
                told = book.to(agency, row["sender"], row["day"])
                told.received = Tally.read(row["count"], row["digest"])
                told.applied, told.waiting, told.parked = row["delivered"], row["waiting"], row["parked"]
        for (whose, _, day), told in book.told.items():
            if whose == agency:
                told.received = (told.received or Tally()) if day not in forgotten else None

    def _differing(self, book: Book) -> set[tuple[str, ...]]:
        """The steps that do not agree: (kind of discrepancy, agency, sender, day)."""
        found: set[tuple[str, ...]] = set()
        for (agency, day), sent in book.sent.items():
            if not sent.relayed:
                found.add(("not_relayed", agency, agency, day))
            if not sent.answered:
                found.add(("not_answered", agency, agency, day))
        for (agency, sender, day), told in book.told.items():
            if told.due != told.routed:
                found.add(("not_routed", agency, sender, day))
            if told.received is not None and told.received != told.routed:
                found.add(("not_received", agency, sender, day))
        return found

    async def _name(self, differing: set[tuple[str, ...]]) -> tuple[list[Discrepancy], int]:
        """The events behind each difference; what a process has not come to yet is only counted."""
        positions = await group_positions(self._kafka)
        ledgers = (await self._ledgers.all())[1]
        needed = set().union(*(_places(*one) for one in differing))
        sightings: dict[tuple[str, ...], list[tuple[str, int, Record]]] = {place: [] for place in needed}

        def keep(place: tuple[str, ...], id: str, mark: int, record: Record) -> None:
            if place in sightings:
                sightings[place].append((id, mark, record))

        async for record in self._records():
            self._sight(record, keep, Book())
        found: list[Discrepancy] = []
        on_the_way = 0
        for kind, agency, sender, day in sorted(differing):
            must, there, taken = await self._sides(kind, agency, sender, day, sightings, positions, ledgers)
            missing, more = differences(must, there)
            late = [id for id in missing if not taken(id)]
            on_the_way += len(late)
            missing = [id for id in missing if taken(id)]
            answered = {id for id, _ in there}
            groups = {
                kind: [id for id in missing if id not in answered],
                "twice": [id for id in missing if id in answered] + [id for id in more if id in {i for i, _ in must}],
                "unexplained": [id for id in more if id not in {i for i, _ in must}],
            }
            found += [Discrepancy(name, agency, sender, day, tuple(ids)) for name, ids in groups.items() if ids]
        return found, on_the_way

    async def _sides(
        self,
        kind: str,
        agency: str,
        sender: str,
        day: str,
        sightings: Mapping[tuple[str, ...], list[tuple[str, int, Record]]],
        positions: Mapping[str, Mapping[tuple[str, int], int]],
        ledgers: Mapping[str, Mapping[str, Any]],
    ) -> tuple[list[tuple[str, int]], list[tuple[str, int]], Callable[[str], bool]]:
        """What must be there, what is there, and whether the process between them has come to an event yet."""

        def marks(*places: tuple[str, ...]) -> list[tuple[str, int]]:
            return [(id, mark) for place in places for id, mark, _ in sightings[place]]

        def beyond(place: tuple[str, ...], position: Callable[[Record], int]) -> set[str]:
            return {id for id, _, record in sightings[place] if record.offset >= position(record)}

        if kind == "not_relayed":
            entries = await self._ledgers.entries(agency, "outbox", day, "")
            waiting = {entry["id"] for entry in entries if entry["state"] == "waiting"}
            must = [(entry["id"], fingerprint(entry["source"], entry["id"])) for entry in entries]
            return must, marks(("out", agency, day)), lambda id: id not in waiting
        if kind == "not_answered":
            gateway = positions.get("gateway", {})
            late = beyond(("out", agency, day), lambda record: gateway.get((record.topic, record.partition), 0))
            answers = marks(("accepted", agency, day), ("refused", agency, day))
            return marks(("out", agency, day)), answers, lambda id: id not in late
        due, routed = ("due", agency, sender, day), ("routed", agency, sender, day)
        if kind == "not_routed":
            router = positions.get("router", {})
            late = {
                id
                for id, _, record in sightings[due]
                if record.topic == EVENTS and record.offset >= router.get((EVENTS, record.partition), 0)
            }
            return marks(due), marks(routed), lambda id: id not in late
        taken = ledgers.get(agency, {}).get("inbox_positions", {})
        late = beyond(routed, lambda record: int(taken.get(str(record.partition), 0)))
        entries = await self._ledgers.entries(agency, "inbox", day, sender) if agency in ledgers else []
        there = [(entry["id"], fingerprint(entry["source"], entry["id"])) for entry in entries]
        return marks(routed), there, lambda id: id not in late


def _places(kind: str, agency: str, sender: str, day: str) -> Iterable[tuple[str, ...]]:
    """The sightings that a difference of this kind is about."""
    places: dict[str, set[tuple[str, ...]]] = {
        "not_relayed": {("out", agency, day)},
        "not_answered": {("out", agency, day), ("accepted", agency, day), ("refused", agency, day)},
        "not_routed": {("due", agency, sender, day), ("routed", agency, sender, day)},
        "not_received": {("routed", agency, sender, day)},
    }
    return places[kind]
