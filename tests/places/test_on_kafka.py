"""The places stage on a real Kafka: neighbours in other partitions find each other, once, over a restart."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence

import pytest

from bus.records import Output, Record, partition_for
from bus.topics import EVENTS
from deploy.local.kafka import LocalKafka
from schemas.envelope import Event
from schemas.identifiers import new_id
from schemas.registry import EventData
from schemas.types.merging import DuplicateFound, RequestJoined
from schemas.types.requests import RequestSubmitted
from schemas.values import Point
from tests.support.bus import SmallBus
from tests.support.counting import settings_for

pytestmark = [pytest.mark.kafka, pytest.mark.slow]


def events_in(records: Sequence[Record]) -> list[Event]:
    return [Event.from_record(record.headers, record.value) for record in records]


async def test_neighbours_in_other_partitions_find_each_other_once(kafka: LocalKafka) -> None:
    bus = SmallBus(settings_for(kafka.bootstrap_servers))
    await bus.prepare()
    partitions = bus.settings.partitions
    service = "graffiti"
    cases = [new_id()]
    while len(cases) < 4:  # the first in one partition, the others elsewhere
        id = new_id()
        if partition_for(id.encode(), partitions) != partition_for(cases[0].encode(), partitions) or partitions == 1:
            cases.append(id)

    async def report(case: str, longitude: float) -> None:
        spot = Point(type="Point", coordinates=(longitude, 37.77))
        data: EventData = RequestSubmitted(service_code=service, area=bus.city.area, location=spot)
        event = Event.of(
            data,
            source=bus.city.source_of(bus.city.citizens_channel),
            subject=case,
            time="2026-11-24T08:00:00-08:00",
        )
        await bus.publish("log", Output(EVENTS, event.key, event.data, event.headers()))

    def joined(count: int) -> object:
        name = RequestJoined.registered.name
        return lambda records: sum(event.type == name for event in events_in(records)) >= count

    async with bus.running("workflows", "places"):
        await report(cases[0], -122.42)
        await report(cases[1], -122.42005)
        await bus.until(EVENTS, joined(1))  # type: ignore[arg-type]
    async with bus.running("workflows", "places"):  # remembered across a restart
        await report(cases[2], -122.41995)
        await report(cases[3], -122.40)
        log = await bus.until(EVENTS, joined(2))  # type: ignore[arg-type]
    events = events_in(log)
    assert max(Counter((event.source, event.id) for event in events).values()) == 1
    followed = {event.subject for event in events if event.type == RequestJoined.registered.name}
    assert followed == set(cases[1:3])
    found = [event for event in events if event.type == DuplicateFound.registered.name]
    assert {event.subject for event in found} == set(cases[1:3])
    for record, event in zip(log, events, strict=True):
        assert record.partition == partition_for(event.key, partitions), "a case's events stand in one partition"
