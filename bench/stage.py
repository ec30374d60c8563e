"""How fast one stage is: the workflows stage with the real repair workflow, against loops that promise less.

Each event in is 510 bytes of data, an agency's acknowledgement of a case that the stage knows: it is validated, the
case is found and changed, two events go out (the assignment and the work order), the new state goes to the changelog,
and all of it commits in one transaction with the position. The stage also reads back what it wrote itself, as it does
in a city.

The peers, in the same run on the same broker and events:
- `faststream_handler`: FastStream's `@subscriber` and `@publisher` with a pydantic model; no transaction, no state.
- `aiokafka_loop`: `getmany`, send the same bytes, offsets, commit the transaction; it looks at nothing.
"""

from __future__ import annotations

import argparse
import asyncio
import tempfile
import time
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from aiokafka import AIOKafkaConsumer, AIOKafkaProducer, TopicPartition
from aiokafka.admin import AIOKafkaAdminClient, NewTopic
from faststream.kafka import KafkaBroker
from pydantic import BaseModel
from rich.table import Table

from bus import metrics
from bus.city import City, load_city
from bus.city.load import city_path
from bus.kafka import KafkaSettings, Output, TransactionalProducer, ensure_topics, partition_for
from bus.kafka.stage import Stage
from bus.topics import EVENTS
from deploy.local.kafka import LocalKafka
from schemas.envelope import Event
from schemas.identifiers import derived_id
from schemas.types.requests import RequestAcknowledged, RequestSubmitted
from services.workflows.catalogue import WORKFLOWS
from services.workflows.logic import Workflows

PEER_TOPIC = "bench-peer"
PEER_OUT = "bench-peer-out"
DATA_BYTES = 510


def events(city: City, count: int) -> tuple[list[Event], list[Event]]:
    """`count` requests, and an acknowledgement of each."""
    submitted, acknowledged = [], []
    service = next(iter(sorted(city.services)))
    note = "x" * (DATA_BYTES - len(RequestAcknowledged(status_notes="x").encode()) + 1)
    for number in range(count):
        case = derived_id("bench", number)
        request = RequestSubmitted(service_code=service, area=city.area, description="A hole in the road.")
        first = Event.of(
            request,
            id=derived_id(case, "submitted"),
            source=city.source_of(city.citizens_channel),
            subject=case,
            time="2026-11-24T08:00:00+08:00",
        )
        answer = Event.of(
            RequestAcknowledged(status_notes=note),
            id=derived_id(case, "acknowledged"),
            source=city.source_of(city.candidates(service, city.area)[0]),
            subject=case,
            time="2026-11-24T08:00:00+08:00",
        )
        submitted.append(first)
        acknowledged.append(answer.follow(first))
    return submitted, acknowledged


async def write(kafka: KafkaSettings, topic: str, found: Sequence[Event]) -> None:
    """Put events into a topic, as the gateway would."""
    producer = TransactionalProducer(kafka, transactional_id="bench-writer")
    await producer.start()
    for start in range(0, len(found), 5000):
        outputs = [
            Output(topic, event.key, event.data, event.headers(), partition_for(event.key, kafka.partitions))
            for event in found[start : start + 5000]
        ]
        await producer.commit(outputs, {}, "bench")
    await producer.stop()


def decided() -> float:
    """Events that the workflows stage has decided and committed."""
    return float(metrics.stage_records.labels("workflows", "decided")._value.get())


async def subak_stage(kafka: KafkaSettings, city: City, count: int) -> dict[str, float]:
    """Events per second of the workflows stage: the acknowledgements, each with a state and two events out."""
    submitted, acknowledged = events(city, count)
    await write(kafka, EVENTS, submitted)
    stage = Stage(
        name="workflows", logic=lambda n: Workflows(n, city=city, workflows=WORKFLOWS), kafka=kafka, topics=(EVENTS,)
    )
    began_opening = time.perf_counter()
    await stage.start()
    await _until(lambda: decided() >= count)
    opened = time.perf_counter() - began_opening
    await asyncio.gather(*(lane.stop() for lane in stage.lanes.values()))
    await stage.stop()
    await write(kafka, EVENTS, acknowledged)
    stage = Stage(
        name="workflows", logic=lambda n: Workflows(n, city=city, workflows=WORKFLOWS), kafka=kafka, topics=(EVENTS,)
    )
    await stage.start()
    before = decided()
    await _until(lambda: decided() > before)
    first, began = decided(), time.perf_counter()
    await _until(lambda: decided() >= before + count)
    seconds = time.perf_counter() - began
    await stage.stop()
    return {"acknowledged": (before + count - first) / seconds, "opened_with_start": count / opened}


async def _until(done: Any) -> None:
    while not done():  # noqa: ASYNC110 - counters have no event to wait for
        await asyncio.sleep(0.01)


async def faststream_handler(kafka: KafkaSettings, count: int) -> float:
    """Events per second of FastStream's own way: a handler with a model, a message at a time."""

    class Note(BaseModel):
        status_notes: str

    broker = KafkaBroker(kafka.bootstrap_servers, logger=None)
    handled = 0

    @broker.subscriber(PEER_TOPIC, group_id="bench-faststream", auto_offset_reset="earliest")
    @broker.publisher(PEER_OUT)
    async def handle(note: Note) -> Note:
        nonlocal handled
        handled += 1
        return note

    await broker.start()
    await _until(lambda: handled > 0)
    first, began = handled, time.perf_counter()
    await _until(lambda: handled >= count)
    seconds = time.perf_counter() - began
    await broker.stop()
    return (count - first) / seconds


async def aiokafka_loop(kafka: KafkaSettings, count: int) -> float:
    """Events per second of the barest exactly-once loop: read, send the same bytes, commit."""
    consumer = AIOKafkaConsumer(
        bootstrap_servers=kafka.bootstrap_servers,
        group_id="bench-aiokafka",
        isolation_level="read_committed",
        enable_auto_commit=False,
        auto_offset_reset="earliest",
        max_partition_fetch_bytes=4 * 1024 * 1024,
    )
    consumer.subscribe([PEER_TOPIC])
    producer = AIOKafkaProducer(
        bootstrap_servers=kafka.bootstrap_servers,
        transactional_id="bench-aiokafka",
        max_batch_size=256 * 1024,
        linger_ms=5,
    )
    await producer.start()
    await consumer.start()
    handled = 0
    first = 0
    began = 0.0
    while handled < count:
        found = await consumer.getmany(timeout_ms=200, max_records=4000)
        if not found:
            continue
        async with producer.transaction():
            sends = []
            offsets: dict[TopicPartition, int] = {}
            for tp, records in found.items():
                for record in records:
                    sends.append(await producer.send(PEER_OUT, record.value, record.key, headers=list(record.headers)))
                offsets[tp] = records[-1].offset + 1
                handled += len(records)
            await producer.send_offsets_to_transaction(offsets, "bench-aiokafka")
            await asyncio.gather(*sends)
        if not began:
            first, began = handled, time.perf_counter()
    seconds = time.perf_counter() - began
    await consumer.stop()
    await producer.stop()
    return (count - first) / seconds


async def run(count: int) -> dict[str, Any]:
    """Measure all three on one fresh broker."""
    with tempfile.TemporaryDirectory() as home:
        broker = LocalKafka(Path(home))
        broker.start()
        try:
            kafka = KafkaSettings(bootstrap_servers=broker.bootstrap_servers, compression="none")
            city = load_city(city_path("denpasar"))
            await ensure_topics(kafka, city.agencies)
            await _create(kafka, PEER_TOPIC, PEER_OUT)
            _, acknowledged = events(city, count)
            await write(kafka, PEER_TOPIC, acknowledged)
            stage = await subak_stage(kafka, city, count)
            loop = await aiokafka_loop(kafka, count)
            handler = await faststream_handler(kafka, min(count, 15_000))
        finally:
            broker.stop()
    rate = stage["acknowledged"]
    return {
        "events_per_second": round(rate),
        "peers": {"faststream_handler": round(handler), "aiokafka_loop": round(loop)},
        "ratios": {"faststream_handler": round(rate / handler, 2), "aiokafka_loop": round(rate / loop, 3)},
        "events": count,
        "workflows": sorted(WORKFLOWS),
        "data_bytes": DATA_BYTES,
        "opening_per_second": round(stage["opened_with_start"]),
    }


async def _create(kafka: KafkaSettings, *topics: str) -> None:
    admin = AIOKafkaAdminClient(bootstrap_servers=kafka.bootstrap_servers)
    await admin.start()
    await admin.create_topics(
        [NewTopic(topic, num_partitions=kafka.partitions, replication_factor=1) for topic in topics]
    )
    await admin.close()


async def measure(arguments: argparse.Namespace) -> dict[str, Any]:
    """What the command line asks for."""
    return await run(arguments.events)


def table(found: dict[str, Any]) -> Table:
    """The result for a person."""
    caption = f"{found['events']:,} events; with the workflows {', '.join(found['workflows'])}"
    result = Table(title="One stage, exactly once: events in per second", caption=caption)
    for column in ("loop", "events/s", "Subak's stage is"):
        result.add_column(column, justify="left" if column == "loop" else "right")
    result.add_row("Subak: workflows stage, validated, state, 2 events out", f"{found['events_per_second']:,}", "")
    for peer, rate in found["peers"].items():
        result.add_row(peer, f"{rate:,}", f"{found['ratios'][peer]} x")
    return result
