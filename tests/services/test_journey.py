"""One event's journey on the real Kafka: from out topic to in topic, and what is refused on the way."""

from __future__ import annotations

import base64
from collections.abc import Sequence
from datetime import timedelta
from typing import cast

import pytest

from bus.records import Output, Record, partition_for
from bus.topics import EVENTS, REJECTED, in_topic, out_topic
from deploy.local.kafka import LocalKafka
from schemas.envelope import Event
from schemas.identifiers import derived_id
from schemas.registry import registry
from schemas.types.bus import EventRejected
from schemas.types.requests import RequestAcknowledged, RequestCommented, RequestSubmitted
from schemas.types.workorders import WorkOrderStarted
from schemas.values import Reporter
from tests.support.bus import SmallBus
from tests.support.counting import settings_for

pytestmark = pytest.mark.kafka

Headers = list[tuple[str, bytes | None]]

CASE = derived_id("journey", "case")
TIME = "2026-11-24T08:00:00-08:00"


@pytest.fixture
async def bus(kafka: LocalKafka) -> SmallBus:
    found = SmallBus(settings_for(kafka.bootstrap_servers))
    await found.prepare()
    return found


def request(bus: SmallBus, **changes: object) -> Event:
    service = sorted(bus.city.services)[0]
    data = RequestSubmitted(
        service_code=service, area=bus.city.area, reporter=Reporter(name="Ana", phone="+1 555 0100")
    ).model_copy(update=changes)
    return Event.of(data, id="r-1", source=bus.city.source_of(bus.city.citizens_channel), subject=CASE, time=TIME)


async def refusals(bus: SmallBus, count: int = 1) -> list[EventRejected]:
    records = await bus.until(REJECTED, lambda found: len(found) >= count)
    return [
        registry.get(event.type).read_strictly(event.data)
        for event in (Event.from_record(record.headers, record.value) for record in records)
    ]


async def test_a_request_reaches_the_agency_that_must_act(bus: SmallBus) -> None:
    sent = request(bus)
    holder = bus.city.candidates(sorted(bus.city.services)[0], bus.city.area)[0]
    async with bus.running():
        await bus.publish(bus.city.citizens_channel, sent)
        await bus.until(in_topic(holder), bool)
    log = [Event.from_record(record.headers, record.value) for record in await bus.read(EVENTS)]
    assert [event.type for event in log] == ["subak.request.submitted.v1", "subak.request.forwarded.v1"]
    assert log[0] == sent, "the gateway changed an event on its way"
    forwarded = [event for event in await bus.inbox(holder) if event.type == "subak.request.forwarded.v1"]
    assert forwarded == [log[1]]
    assert {record.partition for record in await bus.read(EVENTS)} == {partition_for(CASE.encode(), 4)}


async def test_the_same_event_twice_enters_the_log_once_also_after_a_restart(bus: SmallBus) -> None:
    channel = bus.city.citizens_channel
    async with bus.running("gateway"):
        await bus.publish(channel, request(bus), request(bus))
        await bus.until(EVENTS, bool)
    async with bus.running("gateway"):
        await bus.publish(channel, request(bus), request(bus, description="something else"))
        refused = await refusals(bus)
    assert len(await bus.read(EVENTS)) == 1
    assert [reason.code for rejection in refused for reason in rejection.reasons] == ["id_reused"]


async def test_personal_fields_reach_only_those_who_are_entitled(bus: SmallBus) -> None:
    entitled = [agency for agency in bus.city.agencies if bus.city.entitled(agency)]
    assert 0 < len(entitled) < len(bus.city.agencies)
    everybody = [agency for agency in bus.city.agencies if agency != "operations"]
    async with bus.running("router"):
        for number, agency in enumerate(everybody):
            event = Event(
                id=f"c-{number}", type=RequestCommented.registered.name, source="urn:test", subject=CASE, time=TIME,
                recipient=agency, data=RequestCommented(text="here", author="Ana").encode(),
            )  # fmt: skip
            await bus.publish(agency, Output(EVENTS, event.key, event.data, event.headers()))
        seen: dict[str, bool] = {}
        for agency in everybody:
            await bus.until(in_topic(agency), bool)
            seen[agency] = any(b"Ana" in event.data for event in await bus.inbox(agency))
    assert {agency for agency, told in seen.items() if told} == set(entitled) & set(everybody)


def hostile(bus: SmallBus) -> dict[str, tuple[str, Output]]:
    """What an agency's out topic may hold and the log must not: its name → the reason's code, and the record."""
    channel = bus.city.citizens_channel
    topic = out_topic(channel)
    good = request(bus)
    other = derived_id("journey", "other")

    def record(*, headers: Headers | None = None, key: bytes | None = None, value: bytes | None = b"") -> Output:
        return Output(
            topic,
            good.key if key is None else key,
            good.data if value == b"" else value,
            cast("list[tuple[str, bytes]]", good.headers() if headers is None else headers),
        )

    def changed(name: str, value: bytes | None) -> Headers:
        return [(key, value if key == name else old) for key, old in good.headers()]

    def with_data(data: bytes) -> Output:
        return record(value=data)

    holder = bus.city.candidates(sorted(bus.city.services)[0], bus.city.area)[0]
    start = b'{"service_code":"%s","area":"%s"' % (sorted(bus.city.services)[0].encode(), bus.city.area.encode())
    bounds = bus.city.bounds
    west, south = (bounds.west + bounds.east) / 2, (bounds.south + bounds.north) / 2
    started = Event.of(WorkOrderStarted(), id="x", source=good.source, subject=CASE, time=TIME)
    ours = Event(
        id="o", type="subak.request.closed.v1", source=good.source, subject=CASE, time=TIME, data=b'{"outcome":"rated"}'
    )
    return {
        "not JSON": ("not_json", with_data(b"this is not JSON")),
        "200,000 deep": ("not_json", with_data(b"[" * 200_000)),
        "NaN": ("*", with_data(start + b',"location":{"type":"Point","coordinates":[NaN,1]}}')),
        "a duplicate key": ("duplicate_key", with_data(start + b',"area":"%s"}' % bus.city.area.encode())),
        "an unknown field": ("unknown_field", with_data(start + b',"colour":"red"}')),
        "a NUL character": ("*", with_data(start + b',"description":"a\\u0000b"}')),
        "an unknown type": ("unknown_type", record(headers=changed("ce_type", b"subak.request.invented.v1"))),
        "an unknown version": ("unknown_type", record(headers=changed("ce_type", b"subak.request.submitted.v9"))),
        "another agency's source": (
            "wrong_source",
            record(headers=changed("ce_source", bus.city.source_of(holder).encode())),
        ),
        "a type it may not publish": ("*", Output(topic, started.key, started.data, started.headers())),
        "a type of the bus": ("*", Output(topic, ours.key, ours.data, ours.headers())),
        "a duplicate header": ("*", record(headers=[*good.headers(), ("ce_id", b"r-2")])),
        "a header that is not UTF-8": ("*", record(headers=changed("ce_id", b"\xff\xfe"))),
        "a null header": ("*", record(headers=changed("ce_id", None))),
        "no headers": ("*", record(headers=[])),
        "a null value": ("*", record(value=None)),
        "a key that is not the subject": ("*", record(key=other.encode())),
        "a time without an offset": ("*", record(headers=changed("ce_time", b"2026-11-24T08:00:00"))),
        "latitude 91": ("*", with_data(start + b',"location":{"type":"Point","coordinates":[115.2,91]}}')),
        "swapped coordinates": (
            "*",
            with_data(start + b',"location":{"type":"Point","coordinates":[%f,%f]}}' % (south, west)),
        ),
        "a recipient of its own choice": (
            "reserved_attribute",
            record(headers=[*good.headers(), ("ce_recipient", holder.encode())]),
        ),
    }


async def test_what_must_not_enter_is_refused_whole_with_its_reason_and_harms_nothing(bus: SmallBus) -> None:
    channel = bus.city.citizens_channel
    cases = hostile(bus)
    async with bus.running():
        await bus.publish(channel, *(record for _, record in cases.values()))
        await bus.publish(channel, request(bus))
        refused = await refusals(bus, len(cases))
        holder = bus.city.candidates(sorted(bus.city.services)[0], bus.city.area)[0]
        await bus.until(in_topic(holder), bool)
    by_value = {(rejection.original.value_base64 if rejection.original else None): rejection for rejection in refused}
    assert len(refused) == len(cases), "something was let in, or lost"
    for name, (code, record) in cases.items():
        encoded = base64.b64encode(record.value).decode() if record.value is not None else None
        assert encoded in by_value, f"{name}: the original is not kept"
        if code != "*":
            codes = {reason.code for rejection in refused for reason in rejection.reasons}
            assert code in codes, (name, codes)
    told = [event for event in await bus.inbox(channel) if event.type == "subak.event.rejected.v1"]
    assert len(told) == len(cases), "the sender was not told of each"
    log = [Event.from_record(record.headers, record.value) for record in await bus.read(EVENTS)]
    assert [event.type for event in log] == ["subak.request.submitted.v1", "subak.request.forwarded.v1"]


async def test_an_event_for_an_unknown_case_is_refused_by_the_workflows_and_its_sender_told(bus: SmallBus) -> None:
    holder = bus.city.candidates(sorted(bus.city.services)[0], bus.city.area)[0]
    answer = Event.of(RequestAcknowledged(), source=bus.city.source_of(holder), subject=CASE, time=TIME)
    async with bus.running():
        await bus.publish(holder, answer)
        refused = await refusals(bus)
    assert [reason.code for reason in refused[0].reasons] == ["unknown_case"]
    assert [event.type for event in await bus.inbox(holder)] == ["subak.event.rejected.v1"]


async def test_a_key_on_the_wrong_partition_is_refused_with_the_partitioner_to_set(bus: SmallBus) -> None:
    sent = request(bus)
    wrong = (partition_for(sent.key, bus.settings.partitions) + 1) % bus.settings.partitions
    async with bus.running("gateway"):
        channel = bus.city.citizens_channel
        await bus.publish(channel, Output(out_topic(channel), sent.key, sent.data, sent.headers(), wrong))
        refused = await refusals(bus)
    assert [reason.code for reason in refused[0].reasons] == ["wrong_partition"]
    assert "murmur2_random" in refused[0].reasons[0].fix


async def test_a_deadline_that_passes_fires_once_on_the_running_stage_also_when_it_restarts(bus: SmallBus) -> None:
    code = sorted(bus.city.services)[0]
    hasty = bus.city.services[code].model_copy(update={"acknowledge_within": timedelta(seconds=2)})
    bus.city = bus.city.model_copy(update={"services": {**bus.city.services, code: hasty}})
    async with bus.running("gateway", "workflows"):
        await bus.publish(bus.city.citizens_channel, request(bus))
        await bus.until(EVENTS, lambda found: len(found) >= 2)
    async with bus.running("gateway", "workflows"):
        await bus.until(EVENTS, lambda found: kinds(found).count("subak.case.escalated.v1") >= 1)
    log = kinds(await bus.read(EVENTS))
    fired = log.count("subak.case.timerfired.v1")
    assert fired >= 1
    assert log.count("subak.case.escalated.v1") in (fired, fired - 1), "a timer's event had two effects"
    ids = [dict(record.headers)["ce_id"] for record in await bus.read(EVENTS)]
    assert len(ids) == len(set(ids)), "a timer fired twice"


def kinds(records: Sequence[Record]) -> list[str]:
    return [Event.from_record(record.headers, record.value).type for record in records]
