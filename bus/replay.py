"""Asking a parked case to run again, and seeing what became of it: one code for whoever asks, by hand or by mouse.

The request is an event of the operators' own pseudo-agency, and goes the way of every agency's event. Asking twice is
harmless: a case that is not parked any more refuses the second.
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import Sequence
from datetime import UTC, datetime
from typing import Literal

from bus.city import City
from bus.city.model import OPERATIONS
from bus.kafka import KafkaSettings, Output, TopicReader, TransactionalProducer, committed
from bus.topics import EVENTS, out_topic
from schemas.envelope import Event
from schemas.failures import Retryable
from schemas.identifiers import new_id
from schemas.types.cases import CaseParked, ReplayRequested

SEND_SECONDS_MAX = 30.0
"""How long the requests may take into Kafka."""

LOOK_SECONDS = 0.3
"""Pause between looks at what became of a replay."""

Outcome = Literal["unparked", "failed_again", "sent"]
"""What became of a replay; `sent` where that could not be seen in time."""


def replay_request(city: City, case_id: str, reason: str | None) -> Event:
    """The event that asks for it. `reason`: what was repaired; it stands in the case's timeline."""
    return Event.of(
        ReplayRequested(reason=reason),
        source=city.source_of(OPERATIONS),
        subject=case_id,
        time=datetime.now(UTC).isoformat(),
    )


async def send_replays(kafka: KafkaSettings, requests: Sequence[Event]) -> None:
    """Put the requests into the operators' own topic, all or none.

    Raises:
        Retryable: whether they were sent is unknown. Sending again is harmless.
    """
    producer = TransactionalProducer(kafka, transactional_id=f"{OPERATIONS}-{new_id()}")
    topic = out_topic(OPERATIONS)
    outputs = [Output(topic, request.key, request.data, request.headers()) for request in requests]
    try:
        async with asyncio.timeout(SEND_SECONDS_MAX):
            await producer.start()
            await producer.commit(outputs)
    except TimeoutError as error:
        raise Retryable(
            f"Kafka did not answer within {SEND_SECONDS_MAX:.0f} s: whether the replay was asked for is unknown. "
            "Ask again; a case that is not parked any more refuses it."
        ) from error
    finally:
        await producer.stop()


async def outcome_of(
    kafka: KafkaSettings, request: Event, partition: int, offset: int, deadline: float
) -> tuple[Outcome, str]:
    """What became of a request that stands at this place of the log, and the last event that it led to.

    From the log itself: the workflows stage has decided once it is past the request, and writes what it decided in the
    same transaction. `deadline`: in `time.monotonic()`.
    """
    place = (EVENTS, partition)
    while ((await committed(kafka, "workflows", [place]))[place] or 0) <= offset:
        if time.monotonic() >= deadline:
            return "sent", request.id
        await asyncio.sleep(LOOK_SECONDS)
    outcome: Outcome = "unparked"
    last = request.id
    reader = TopicReader(kafka, name="parked-replay")
    await reader.start({place: offset + 1})
    try:
        async for records in reader.to_end():
            for record in records:
                if record.key == request.key:
                    event = Event.from_record(record.headers, record.value)
                    last = event.id
                    if event.type == CaseParked.registered.name:
                        outcome = "failed_again"
    finally:
        await reader.stop()
    return outcome, last
