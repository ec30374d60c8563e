"""Counts a bus for `subak reconcile`: topics from Kafka, outboxes and inboxes from the adapters.

A first pass makes tallies, which say whether anything is missing. Only where one differs does a second pass read again,
of the topics and days that it is about alone, and names the events: what is merely on its way, behind the position of
the process that must take it, is none.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from datetime import date, datetime, timedelta
from typing import Any, NamedTuple

from bus.city import City
from bus.kafka import KafkaSettings, group_positions
from bus.reconciliation import UNDATED, Book, Discrepancy, Tally, differences, fingerprint
from bus.records import Record
from bus.topics import EVENTS
from services.cli.ledgers import AdapterLedgers
from services.cli.sightings import Place, Sightings

IDS_NAMED_MAX = 20
"""Ids told of one discrepancy; the rest is counted."""


class Sighting(NamedTuple):
    """One record that counts, and where it stands."""

    id: str
    mark: int
    topic: str
    partition: int
    offset: int


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
        self._sightings = Sightings(city, kafka, since=since, until=until)

    async def count(self) -> Counted:
        """All of it.

        Raises:
            BrokerUnavailable, Misconfigured: Kafka cannot be read.
        """
        book, events = Book(), 0
        seen: dict[Place, Tally] = {}

        def tally(place: Place, id: str, mark: int, record: Record) -> None:
            found = seen.get(place)
            if found is None:
                found = seen[place] = Tally()
            found.add(mark)

        unasked, ledgers = await self._ledgers.all()
        async for record in self._sightings.records():
            events += 1
            self._sightings.sight(record, tally, book)
        self._enter(book, seen, ledgers)
        discrepancies: list[Discrepancy] = []
        on_the_way = 0
        if differing := self._differing(book):
            discrepancies, on_the_way = await self._name(differing)
        return Counted(book, discrepancies, on_the_way, unasked, events)

    # -- what follows

    def _enter(self, book: Book, seen: Mapping[Place, Tally], ledgers: Mapping[str, Mapping[str, Any]]) -> None:
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
            if self._sightings.wanted(row["day"]):
                book.of(agency, row["day"]).waiting = row["waiting"]
                book.of(agency, row["day"]).outbox = Tally.read(row["count"], row["digest"])
        for (whose, day), sent in book.sent.items():
            if whose == agency:
                sent.outbox = (sent.outbox or Tally()) if day > kept_from else None

    def _enter_inbox(self, book: Book, agency: str, ledger: Mapping[str, Any]) -> None:
        forgotten = set(ledger["inbox_forgotten_days"])
        for row in ledger["inbox"]:
            if self._sightings.wanted(row["day"]):
                told = book.to(agency, row["sender"], row["day"])
                told.received = Tally.read(row["count"], row["digest"])
                told.applied, told.waiting, told.parked = row["delivered"], row["waiting"], row["parked"]
        for (whose, _, day), told in book.told.items():
            if whose == agency:
                told.received = (told.received or Tally()) if day not in forgotten else None

    def _differing(self, book: Book) -> set[Place]:
        """The steps that do not agree: (kind of discrepancy, agency, sender, day)."""
        found: set[Place] = set()
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

    async def _name(self, differing: set[Place]) -> tuple[list[Discrepancy], int]:
        """The events behind each difference; what a process has not come to yet is only counted."""
        positions = await group_positions(self._kafka)
        ledgers = (await self._ledgers.all())[1]
        sightings: dict[Place, list[Sighting]] = {place: [] for one in differing for place in _places(*one)}

        def keep(place: Place, id: str, mark: int, record: Record) -> None:
            if place in sightings:
                sightings[place].append(Sighting(id, mark, record.topic, record.partition, record.offset))

        async for record in self._sightings.records(sightings, self._first_day(differing)):
            self._sightings.sight(record, keep, Book())
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

    def _first_day(self, differing: Iterable[Place]) -> date:
        """Where the second pass begins: a day before the first difference, since an agency's clock may be ahead."""
        days = [day for *_, day in differing]
        if UNDATED in days:
            return self._since
        return max(self._since, date.fromisoformat(min(days)) - timedelta(days=1))

    async def _sides(
        self,
        kind: str,
        agency: str,
        sender: str,
        day: str,
        sightings: Mapping[Place, list[Sighting]],
        positions: Mapping[str, Mapping[tuple[str, int], int]],
        ledgers: Mapping[str, Mapping[str, Any]],
    ) -> tuple[list[tuple[str, int]], list[tuple[str, int]], Callable[[str], bool]]:
        """What must be there, what is there, and whether the process between them has come to an event yet."""

        def marks(*places: Place) -> list[tuple[str, int]]:
            return [(one.id, one.mark) for place in places for one in sightings[place]]

        def beyond(place: Place, position: Callable[[Sighting], int]) -> set[str]:
            return {one.id for one in sightings[place] if one.offset >= position(one)}

        if kind == "not_relayed":
            entries = await self._ledgers.entries(agency, "outbox", day, "")
            waiting = {entry["id"] for entry in entries if entry["state"] == "waiting"}
            must = [(entry["id"], fingerprint(entry["source"], entry["id"])) for entry in entries]
            return must, marks(("out", agency, day)), lambda id: id not in waiting
        if kind == "not_answered":
            gateway = positions.get("gateway", {})
            late = beyond(("out", agency, day), lambda one: gateway.get((one.topic, one.partition), 0))
            answers = marks(("accepted", agency, day), ("refused", agency, day))
            return marks(("out", agency, day)), answers, lambda id: id not in late
        due, routed = ("due", agency, sender, day), ("routed", agency, sender, day)
        if kind == "not_routed":
            router = positions.get("router", {})
            late = {
                one.id
                for one in sightings[due]
                if one.topic == EVENTS and one.offset >= router.get((EVENTS, one.partition), 0)
            }
            return marks(due), marks(routed), lambda id: id not in late
        taken = ledgers.get(agency, {}).get("inbox_positions", {})
        late = beyond(routed, lambda one: int(taken.get(str(one.partition), 0)))
        entries = await self._ledgers.entries(agency, "inbox", day, sender) if agency in ledgers else []
        there = [(entry["id"], fingerprint(entry["source"], entry["id"])) for entry in entries]
        return marks(routed), there, lambda id: id not in late


def _places(kind: str, agency: str, sender: str, day: str) -> set[Place]:
    """The sightings that a difference of this kind is about."""
    places: dict[str, set[Place]] = {
        "not_relayed": {("out", agency, day)},
        "not_answered": {("out", agency, day), ("accepted", agency, day), ("refused", agency, day)},
        "not_routed": {("due", agency, sender, day), ("routed", agency, sender, day)},
        "not_received": {("routed", agency, sender, day)},
    }
    return places[kind]
