"""Brings an agency what its subscriptions cover and it has never been sent: the history of cases, marked as history.

Exactly once, whenever it is run and as often: what stands in the agency's in topic is passed over, and only events that
the router has decided upon count, since the later ones it sends itself. Whoever starts second fences the first. Broken
off, it goes on where it was. Copies bear the attribute `history`, so that the agency's system files them and notifies
nobody; they may arrive after newer events of the same case.
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import AsyncIterator, Callable, Iterable
from dataclasses import dataclass, field

import msgspec

from bus.city import City
from bus.hearing import heard_by, readable
from bus.kafka import KafkaSettings, TopicReader, TransactionalProducer, committed
from bus.reconciliation import fingerprint
from bus.records import Output, Record
from bus.topics import CASES, EVENTS, in_topic
from schemas.envelope import Event
from schemas.failures import Unprocessable

BATCH_RECORDS_MAX = 500
"""Copies in one transaction."""


@dataclass(frozen=True, kw_only=True)
class CatchUpSettings:
    """What to bring, and how fast."""

    name: str
    """What the copies bear in `history`."""
    events_per_second_max: float = 200.0
    """A rate that the agency's system can live with."""
    closed_too: bool = False
    """Whether the events of closed cases are brought, and those of no case that the workflows know."""
    since_ms: int = 0
    """Only events that the log took at this moment or later, in milliseconds since 1970."""
    only_count: bool = False
    """Whether nothing is sent."""


@dataclass(slots=True)
class CaughtUp:
    """What came of it."""

    looked_at: int = 0
    """Events of the log that the router has decided upon."""
    covered: int = 0
    """Of those, what the agency's subscriptions cover now."""
    there: int = 0
    """Of those, what it has been sent before."""
    of_closed: int = 0
    """Of the rest, what belongs to no open case and was left out."""
    brought: int = 0
    """Of the rest, what was sent now (or would be)."""
    by_type: dict[str, int] = field(default_factory=dict)


class Missed:
    """Finds, in one partition, what one agency has missed. Pure."""

    def __init__(self, city: City, agency: str, settings: CatchUpSettings, told: CaughtUp) -> None:
        self._city = city
        self._agency = agency
        self._settings = settings
        self._told = told
        self._there: set[int] = set()
        self._open: set[str] = set()

    def has(self, record: Record) -> None:
        """A record of the agency's in topic."""
        if (event := _event(record)) is not None:
            self._there.add(fingerprint(event.source, event.id))

    def case(self, record: Record) -> None:
        """A record of `city-cases`, oldest first: the newest of a case counts."""
        id = (record.key or b"").decode("utf-8", "replace")
        if record.value is not None and _state_of(record.value) != "closed":
            self._open.add(id)
        else:
            self._open.discard(id)

    def copy(self, record: Record) -> Output | None:
        """The copy of a record of the log for the agency; None where it must get none."""
        told, event = self._told, _event(record)
        told.looked_at += 1
        if event is None or record.timestamp_ms < self._settings.since_ms:
            return None
        if self._agency not in heard_by(self._city, event).agencies:
            return None
        told.covered += 1
        mark = fingerprint(event.source, event.id)
        if mark in self._there:
            told.there += 1
            return None
        if event.subject not in self._open and not self._settings.closed_too:
            told.of_closed += 1
            return None
        self._there.add(mark)
        told.brought += 1
        told.by_type[event.type] = told.by_type.get(event.type, 0) + 1
        marked = msgspec.structs.replace(event, history=self._settings.name)
        return Output(
            in_topic(self._agency),
            event.key,
            readable(self._city, self._agency, event),
            marked.headers(),
            record.partition,
        )


async def catch_up(
    city: City,
    kafka: KafkaSettings,
    agency: str,
    settings: CatchUpSettings,
    *,
    watch: Callable[[CaughtUp], None] = lambda _: None,
) -> CaughtUp:
    """Bring the agency what it has missed, one partition after the other. `watch` is told after each transaction.

    Raises:
        Fenced: another one runs for this agency and began later.
        BrokerUnavailable: run it again; what was sent is passed over.
        Misconfigured: a topic is missing, or the rights to it.
    """
    told = CaughtUp()
    producer = TransactionalProducer(kafka, transactional_id=f"router-catch-up-{agency}")
    if not settings.only_count:
        await producer.start()
    try:
        numbers = range(kafka.partitions)
        decided = await committed(kafka, "router", [(EVENTS, number) for number in numbers])
        pace = _Pace(settings.events_per_second_max)
        for number in numbers:
            missed = Missed(city, agency, settings, told)
            async for records in _read(kafka, in_topic(agency), number):
                for record in records:
                    missed.has(record)
            async for records in _read(kafka, CASES, number):
                for record in records:
                    missed.case(record)
            end = decided[EVENTS, number] or 0
            async for records in _read(kafka, EVENTS, number):
                copies = (missed.copy(record) for record in records if record.offset < end)
                for batch in _batches(copy for copy in copies if copy is not None):
                    if not settings.only_count:
                        await producer.commit(batch, {}, "router-catch-up")
                        watch(told)
                        await pace.after(len(batch))
                if records[-1].offset >= end - 1:
                    break
    finally:
        await producer.stop()
    return told


class _Pace:
    """Keeps a rate."""

    def __init__(self, per_second_max: float) -> None:
        self._per_second_max = per_second_max
        self._free_at = time.monotonic()

    async def after(self, count: int) -> None:
        """Wait until `count` more fit into the rate."""
        self._free_at = max(self._free_at, time.monotonic()) + count / self._per_second_max
        await asyncio.sleep(max(0.0, self._free_at - time.monotonic()))


async def _read(kafka: KafkaSettings, topic: str, number: int) -> AsyncIterator[list[Record]]:
    reader = TopicReader(kafka, name="catch-up")
    await reader.start({(topic, number): 0})
    try:
        await reader.seek(await reader.beginning_offsets())
        async for records in reader.to_end():
            yield records
    finally:
        await reader.stop()


def _batches(copies: Iterable[Output]) -> Iterable[list[Output]]:
    batch: list[Output] = []
    for copy in copies:
        batch.append(copy)
        if len(batch) >= BATCH_RECORDS_MAX:
            yield batch
            batch = []
    if batch:
        yield batch


def _event(record: Record) -> Event | None:
    try:
        return Event.from_record(record.headers, record.value)
    except Unprocessable:
        return None


class _State(msgspec.Struct):
    state: str = ""


_decoder = msgspec.json.Decoder(_State)


def _state_of(value: bytes) -> str:
    try:
        return _decoder.decode(value).state
    except msgspec.DecodeError:
        return ""
