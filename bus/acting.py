"""What operators do, on its way: each act an event of their own pseudo-agency, sent at a rate, and what became of it.

One code for whoever acts, by hand or by mouse. The way is every agency's: through the gateway, so an act is checked,
stands in the log with who, when and why, and is refused in words where somebody else was quicker.
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Literal

from bus.city.model import OPERATIONS
from bus.kafka import KafkaSettings, Output, TopicReader, TransactionalProducer, committed, partitions_of
from bus.records import Record, partition_for
from bus.topics import CASES, EVENTS, REJECTED, out_topic
from schemas.envelope import Event
from schemas.failures import Retryable, Unprocessable
from schemas.identifiers import derived_id, new_id
from schemas.registry import registry
from schemas.types.acts import EventDiscarded, ResendRequested
from schemas.types.bus import EventRejected
from schemas.types.cases import CaseParked, CaseReplayed

SEND_SECONDS_MAX = 30.0
"""How long one portion may take into Kafka."""

READ_SECONDS_MAX = 60.0
"""How long records may take to come from Kafka."""

LOOK_SECONDS = 0.3
"""Pause between looks at what became of acts."""

ACTS_MAX = 10_000
"""Acts in one go: more are several goes."""

Outcome = Literal["unparked", "failed_again", "let_in", "noted", "refused", "sent"]
"""What became of an act: the case runs again; it failed again and is parked; the event is in; the word is noted; it was
refused, by the gateway or the case; it was sent, and what became of it could not be seen in time."""


@dataclass(frozen=True, slots=True)
class Became:
    """What became of one act."""

    outcome: Outcome
    problem: str | None = None
    """Why it failed or was refused."""


async def send_acts(
    kafka: KafkaSettings,
    acts: Sequence[Event],
    *,
    rate: float | None = None,
    told: Callable[[int], None] = lambda sent: None,
) -> None:
    """Put the acts into the operators' own topic, in this order: all at once and whole, or `rate` a second.

    Raises:
        Retryable: whether the last portion was sent is unknown. Sending again is harmless: what was done is refused.
    """
    producer = TransactionalProducer(kafka, transactional_id=f"{OPERATIONS}-{new_id()}")
    topic = out_topic(OPERATIONS)
    portion = len(acts) if rate is None else max(1, int(rate))
    try:
        async with asyncio.timeout(SEND_SECONDS_MAX):
            await producer.start()
        for first in range(0, len(acts), portion):
            if first and rate is not None:
                await asyncio.sleep(portion / rate)
            outputs = [Output(topic, act.key, act.data, act.headers()) for act in acts[first : first + portion]]
            async with asyncio.timeout(SEND_SECONDS_MAX):
                await producer.commit(outputs)
            told(min(first + portion, len(acts)))
    except TimeoutError as error:
        raise Retryable(
            f"Kafka did not answer within {SEND_SECONDS_MAX:.0f} s: whether this was asked for is unknown. "
            "Ask again; what was done already is refused."
        ) from error
    finally:
        await producer.stop()


class Watch:
    """Sees what becomes of acts, from the log itself. Use it as a context, around the sending."""

    def __init__(self, kafka: KafkaSettings) -> None:
        self._kafka = kafka
        self._reader = TopicReader(kafka, name="watch-acts")
        self._acts: dict[str, Event] = {}
        self._places: dict[str, tuple[int, int]] = {}
        self._standing: dict[int, int] = {}
        self._became: dict[str, Became] = {}

    async def __aenter__(self) -> Watch:
        await self._reader.start(partitions_of([EVENTS, REJECTED], self._kafka.partitions))
        try:
            await self._reader.seek(await self._reader.end_offsets())
        except BaseException:
            await self._reader.stop()
            raise
        return self

    async def __aexit__(self, *_: object) -> None:
        await self._reader.stop()

    async def until_seen(
        self, acts: Sequence[Event], deadline: float, told: Callable[[Mapping[str, Became]], None] = lambda became: None
    ) -> dict[str, Became]:
        """What became of these acts, by their ids; `sent` for those not seen by the deadline (`time.monotonic()`)."""
        self._acts = {act.id: act for act in acts}
        while True:
            standing = await committed(self._kafka, "workflows", [(EVENTS, n) for n in range(self._kafka.partitions)])
            self._standing = {number: offset or 0 for (_, number), offset in standing.items()}
            async for records in self._reader.to_end():
                for record in records:
                    self._see(record)
            settled = {id: self._settled(id) for id in self._acts}
            told({id: became for id, became in settled.items() if became is not None})
            if None not in settled.values() or time.monotonic() >= deadline:
                return {id: became or Became("sent") for id, became in settled.items()}
            await asyncio.sleep(LOOK_SECONDS)

    def _settled(self, id: str) -> Became | None:
        """The workflows stage writes what it decides in the transaction that moves it past the act."""
        place = self._places.get(id)
        known = self._became.get(id)
        if known is not None and known.outcome == "refused":
            return known
        if place is None or self._standing.get(place[0], 0) <= place[1]:
            return None
        return known or Became(_good(self._acts[id]))

    def _see(self, record: Record) -> None:
        try:
            event = Event.from_record(record.headers, record.value)
            if record.topic == REJECTED:
                self._see_refusal(registry.get(event.type).read(event.data))
            elif event.id in self._acts:
                # behind a resent event too: it stands right behind its act
                extra = 1 if event.type == ResendRequested.registered.name else 0
                self._places[event.id] = (record.partition, record.offset + extra)
            elif event.type == CaseReplayed.registered.name:
                if event.causationid in self._acts:
                    self._became[event.causationid] = Became("unparked")
            elif event.type == CaseParked.registered.name:
                error = registry.get(event.type).read(event.data).error
                for id, act in self._acts.items():
                    if act.subject == event.subject and id in self._places and id not in self._became:
                        self._became[id] = Became("failed_again", error)
        except Unprocessable:
            return  # not ours to read

    def _see_refusal(self, refused: EventRejected) -> None:
        for id, act in self._acts.items():
            if refused.event_id in (id, _let_in_by(act)):
                self._became[id] = Became("refused", "; ".join(reason.problem for reason in refused.reasons))


def _good(act: Event) -> Outcome:
    if act.type == ResendRequested.registered.name:
        return "let_in"
    return "noted" if act.type == EventDiscarded.registered.name else "unparked"


def _let_in_by(act: Event) -> str | None:
    """The id of the event that a request lets in."""
    if act.type != ResendRequested.registered.name:
        return None
    return derived_id(registry.get(act.type).read(act.data).rejection_id, "resent")


async def changelog_of(kafka: KafkaSettings, case_ids: Sequence[str]) -> list[Record]:
    """What the workflows stage remembers of these cases, as its changelog has it, oldest first."""
    wanted = {id.encode() for id in case_ids}
    numbers = {partition_for(key, kafka.partitions) for key in wanted}
    reader = TopicReader(kafka, name="read-cases")
    await reader.start({(CASES, number): 0 for number in numbers})
    try:
        await reader.seek(await reader.beginning_offsets())
        return [
            record
            async for records in reader.to_end()
            for record in records
            if (record.key or b"").partition(b"|")[0] in wanted
        ]
    finally:
        await reader.stop()


async def records_at(
    kafka: KafkaSettings, topic: str, places: Iterable[tuple[int, int]]
) -> dict[tuple[int, int], Record]:
    """The records of a topic at these places (partition, offset), as far as the topic holds them.

    Raises:
        Retryable: Kafka does not answer in time.
    """
    wanted = set(places)
    if not wanted:
        return {}
    first: dict[tuple[str, int], int] = {}
    for number, offset in wanted:
        first[topic, number] = min(offset, first.get((topic, number), offset))
    found: dict[tuple[int, int], Record] = {}
    reader = TopicReader(kafka, name="read-records")
    try:
        async with asyncio.timeout(READ_SECONDS_MAX):
            await reader.start(first)
            async for records in reader.to_end():
                for record in records:
                    if (place := (record.partition, record.offset)) in wanted:
                        found[place] = record
                if len(found) == len(wanted):
                    break
    except TimeoutError as error:
        raise Retryable(f"Kafka did not give the records back within {READ_SECONDS_MAX:.0f} s; try again.") from error
    finally:
        await reader.stop()
    return found
