"""What must hold after any fault, each read from where it stands, none from the bus's own counters.

The agencies' databases: nothing lost, nothing twice, nothing out of order, every case closed. The topics: no event
twice in the log, in any out topic or in any in topic, so that what the inbox would have forgiven shows too. The
positions: each stage stands exactly behind the last record. The casebook: the same cases closed with the same outcome,
and every event of the log in its timeline.
"""

from __future__ import annotations

import asyncio
import json
import time
import urllib.parse
import urllib.request
from collections import Counter
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from datetime import UTC, datetime, timedelta
from typing import Any

import msgspec

from bus.city import City
from bus.kafka import KafkaSettings, TopicReader, partitions_of
from bus.kafka.position import Position
from bus.kafka.topics import position_key
from bus.records import Record
from bus.topics import EVENTS, PLACES, POSITIONS, REJECTED, STAGES, in_topic, out_topic
from deploy.simulation.behaviour import CLOSED
from deploy.simulation.city import SimulatedCity
from deploy.simulation.ledger import Ledger
from schemas.envelope import Event
from services.cli.reconciling import Reconciler

SETTLE_SECONDS_MAX = 90.0
"""How long stages and casebook may take to the end of the log, once all cases are closed."""
READ_SECONDS_MAX = 60.0

Topics = dict[str, list[Record]]


def problems(city: SimulatedCity, *, forged: bool = False) -> list[str]:
    """A sentence for each thing that is not as it must be. `forged`: the test wrote into topics past every outbox."""
    ledgers, counts = city.outcome()
    found = [
        *(f"lost: {text}" for text in counts.lost),
        *(f"duplicated: {text}" for text in counts.duplicated),
        *(f"out of order: {text}" for text in counts.out_of_order),
        *(f"misdelivered: {text}" for text in counts.misdelivered),
        *(f"not closed: {case}, {where}" for case, where in city.stuck(ledgers, counts).items()),
    ]
    if counts.rejected or counts.closed != len(city.cases):
        found.append(f"{len(city.cases)} requests, {counts.rejected} rejected, {counts.closed} cases closed")
    topics, late = settled(city)
    return [
        *found,
        *late,
        *twice(topics),
        *casebook_problems(city, ledgers, topics),
        *unreconciled(city, forged=forged),
    ]


def unreconciled(city: SimulatedCity, *, forged: bool) -> list[str]:
    """What `subak reconcile` finds: the adapters' outboxes and inboxes held against the topics, event by event."""
    run = city.local.run
    assert run is not None, "the city does not run"
    work = Reconciler(
        city.city,
        city.local.settings,
        run.adapters,
        since=datetime.now(city.city.zone).date() - timedelta(days=1),
        until=datetime.now(UTC),
    )
    with ThreadPoolExecutor(1) as own:
        counted = own.submit(lambda: asyncio.run(work.count())).result()
    named = {agency for agency, _ in counted.book.sent} | {agency for agency, _, _ in counted.book.told}
    return [
        *(
            f"reconcile: {one}"
            for one in counted.discrepancies
            if not (forged and one.kind in ("unexplained", "twice"))
        ),
        *(f"reconcile: {agency} was not asked: {why}" for agency, why in counted.unasked.items() if agency in named),
        *([f"reconcile: {counted.on_the_way} events are still on their way"] if counted.on_the_way else []),
    ]


# -- the topics


def read_topics(settings: KafkaSettings, names: list[str]) -> Topics:
    """All committed records of these topics, in order within each partition."""

    async def read() -> Topics:
        reader = TopicReader(settings, name="fault-tests")
        found: Topics = {name: [] for name in names}
        async with asyncio.timeout(READ_SECONDS_MAX):
            await reader.start(partitions_of(names, settings.partitions))
            try:
                async for records in reader.to_end():
                    for record in records:
                        found[record.topic].append(record)
            finally:
                await reader.stop()
        return found

    with ThreadPoolExecutor(1) as own:  # an event loop of its own: this thread's may be in use
        return own.submit(lambda: asyncio.run(read())).result()


def settled(city: SimulatedCity) -> tuple[Topics, list[str]]:
    """The topics, once every stage stands at their end; and a sentence for each that never came there."""
    names = [EVENTS, REJECTED, POSITIONS, PLACES]
    names += [name for agency in city.city.agencies for name in (out_topic(agency), in_topic(agency))]
    deadline = time.monotonic() + SETTLE_SECONDS_MAX
    while True:
        topics = read_topics(city.local.settings, names)
        late = list(not_at_the_end(topics, city.local.partitions))
        if not late or time.monotonic() > deadline:
            return topics, late
        time.sleep(0.5)


def not_at_the_end(topics: Topics, partitions: int) -> Iterator[str]:
    """A sentence for each position of a stage that does not stand right behind the last record."""
    ends = {(record.topic, record.partition): record.offset + 1 for records in topics.values() for record in records}
    for stage in STAGES:
        inputs = [topic for topic in topics if topic.endswith("-out")] if stage == "gateway" else [EVENTS]
        inputs += [PLACES] if stage == "places" else []
        for number in range(partitions):
            stands = _position(topics, stage, number)
            if stands is None:
                yield f"{stage} has no position for partition {number}"
                continue
            for topic in inputs:
                position, end = stands.positions.get(topic, 0), ends.get((topic, number), 0)
                if position != end:
                    yield f"{stage} stands at {position} of {topic}/{number}, which ends at {end}"


def _position(topics: Topics, stage: str, number: int) -> Position | None:
    key = position_key(stage, number)
    found = [record.value for record in topics[POSITIONS] if record.key == key and record.partition == number]
    return msgspec.json.decode(found[-1], type=Position) if found and found[-1] is not None else None


def twice(topics: Topics) -> Iterator[str]:
    """A sentence for each event that stands in a topic more than once, and each that the bus concluded twice."""
    for topic, records in topics.items():
        if topic == POSITIONS:
            continue
        events = [Event.from_record(record.headers, record.value) for record in records if _is_event(record)]
        for (source, id), count in Counter((event.source, event.id) for event in events).items():
            if count > 1 and not topic.endswith("-out"):  # an agency may say a thing twice; the gateway drops it
                yield f"{topic} holds the event {id} of {source} {count} times"
        if topic.endswith("-out"):
            raw = Counter((record.key, record.value, tuple(record.headers)) for record in records)
            yield from (
                f"{topic} holds the record {key!r} {count} times" for (key, *_), count in raw.items() if count > 1
            )
        if topic == EVENTS:
            concluded = Counter(
                (event.causationid, event.type, event.recipient, event.subject)
                for event in events
                if event.causationid is not None and event.source.endswith(":workflows")
            )
            for (cause, type, recipient, _), count in concluded.items():
                if count > 1:
                    yield f"workflows concluded {type} for {recipient} from {cause} {count} times"


def _is_event(record: Record) -> bool:
    names = {name for name, value in record.headers if value is not None}
    return {"ce_id", "ce_type", "ce_source", "ce_subject", "ce_time"} <= names


def lag(settings: KafkaSettings) -> list[str]:
    """How far behind each stage is, for a message; or that Kafka does not say."""
    try:
        late = list(not_at_the_end(read_topics(settings, [EVENTS, POSITIONS, PLACES]), settings.partitions))
    except Exception as error:
        return [f"Kafka does not say how far the stages are: {error!r}"]
    return late or ["workflows and router stand at the end of the log"]


# -- the casebook


def casebook_problems(city: SimulatedCity, ledgers: dict[str, Ledger], topics: Topics) -> list[str]:
    """A sentence for each case that the casebook does not have as the agencies do, once it had time to read."""
    deadline = time.monotonic() + SETTLE_SECONDS_MAX
    while True:
        found = list(_casebook_problems(city, ledgers, topics))
        if not found or time.monotonic() > deadline:
            return found
        time.sleep(0.5)


def _casebook_problems(city: SimulatedCity, ledgers: dict[str, Ledger], topics: Topics) -> Iterator[str]:
    assert city.local.run is not None
    try:
        cases = all_cases(city.local.run.casebook_url)
    except OSError as error:
        yield f"the casebook does not answer: {error!r}"
        return
    outcomes = closed_outcomes(city.city, ledgers)
    events = Counter(record.key for record in topics[EVENTS])
    for id in city.cases:
        case = cases.get(id)
        if case is None:
            yield f"the casebook has no case {id}"
        elif (case["state"], case["outcome"]) != ("closed", outcomes.get(id)):
            has = f"{case['state']}, {case['outcome']}"
            yield f"the casebook has {id} as {has}, and the citizens' channel heard {outcomes.get(id)}"
        elif case["events"] != events[id.encode()]:
            yield f"the casebook has {case['events']} events of {id}, and the log {events[id.encode()]}"


def closed_outcomes(city: City, ledgers: dict[str, Ledger]) -> dict[str, str]:
    """Case → how it ended, as the citizens' channel heard."""
    heard = (received.event for received in ledgers[city.citizens_channel].heard)
    return {event.case: str(event.data["outcome"]) for event in heard if event.type == CLOSED}


def all_cases(url: str) -> dict[str, dict[str, Any]]:
    """Every case of the casebook's API, page by page."""
    found: dict[str, dict[str, Any]] = {}
    cursor = ""
    while True:
        query = urllib.parse.urlencode({"limit": 500, **({"cursor": cursor} if cursor else {})})
        with urllib.request.urlopen(f"{url}/api/cases?{query}", timeout=10) as answer:
            page = json.load(answer)
        found |= {case["id"]: case for case in page["cases"]}
        cursor = page["next"]
        if not cursor:
            return found
