"""Our events are CloudEvents 1.0: the official SDK reads what we write, and we read what it writes, in both modes."""

from __future__ import annotations

import json
from datetime import datetime
from typing import Any

import pytest
from cloudevents.core.bindings import kafka
from cloudevents.core.formats.json import JSONFormat
from cloudevents.core.v1.event import CloudEvent

from schemas.door import check_data, read_record, read_structured, to_structured
from schemas.envelope import Event
from schemas.example_files import examples_of
from schemas.registry import EventType, registry
from tests.schemas.good import CASE, FULL, GOOD

EVENTS = pytest.mark.parametrize("event", [GOOD, FULL], ids=["few attributes", "every attribute"])
TYPES = pytest.mark.parametrize("event_type", list(registry), ids=lambda each: each.name)


def attributes_of(found: Any) -> dict[str, Any]:
    """What the SDK read, without what it adds by itself."""
    attributes = {name: value for name, value in found.get_attributes().items() if name != "partitionkey"}
    assert attributes.pop("specversion") == "1.0"
    assert attributes.pop("datacontenttype") == "application/json"
    return attributes


def expected(event: Event) -> dict[str, Any]:
    """What the SDK makes of our attributes: it reads `time` into a datetime."""
    return {**event.attributes(), "time": event.occurred_at}


@EVENTS
def test_the_sdk_reads_our_records(event: Event) -> None:
    message = kafka.KafkaMessage(headers=dict(event.headers()), key=event.key, value=event.data)
    found = kafka.from_binary_event(message)
    assert attributes_of(found) == expected(event)
    assert found.get_data() == json.loads(event.data)
    assert found.get_extension("partitionkey") == event.subject


@EVENTS
def test_the_sdk_reads_our_json(event: Event) -> None:
    sent = json.dumps(to_structured(event)).encode()
    message = kafka.KafkaMessage(headers={"content-type": b"application/cloudevents+json"}, key=None, value=sent)
    found = kafka.from_structured_event(message)
    assert attributes_of(found) == expected(event)
    assert found.get_data() == json.loads(event.data)


def sdk_event(event: Event, data: Any) -> CloudEvent:
    """The event as an agency's developer makes it with the SDK, the key by its `partitionkey`."""
    attributes = {**expected(event), "datacontenttype": "application/json", "partitionkey": event.subject}
    return CloudEvent(attributes, data)


def alike(found: Event, event: Event) -> bool:
    """Whether all is the same but for how the SDK writes a time."""
    assert found.occurred_at == event.occurred_at
    return {**found.attributes(), "time": ""} == {**event.attributes(), "time": ""}


@EVENTS
def test_we_read_the_sdks_records(event: Event) -> None:
    message = kafka.to_binary_event(sdk_event(event, json.loads(event.data)))
    assert isinstance(message.key, str)
    found = read_record([*message.headers.items()], message.key.encode(), message.value, from_bus=True)
    assert alike(found, event)
    assert check_data(found) == check_data(event)


@pytest.mark.parametrize("in_bytes", [False, True], ids=["data as JSON", "data as base64"])
@EVENTS
def test_we_read_the_sdks_json(event: Event, in_bytes: bool) -> None:
    message = kafka.to_structured_event(sdk_event(event, event.data if in_bytes else json.loads(event.data)))
    (found,) = read_structured(message.value, from_bus=True)
    assert alike(found, event)
    assert check_data(found) == check_data(event)


@TYPES
def test_every_example_goes_there_and_back(event_type: EventType) -> None:
    for example in examples_of(event_type):
        if example.reasons is None:
            data = event_type.read_strictly(example.encoded)
            moment = datetime.fromisoformat("2026-11-24T07:42:10+08:00")
            sent = Event.of(data, source=GOOD.source, subject=CASE, time=moment.isoformat(), id="1")
            message = kafka.KafkaMessage(headers=dict(sent.headers()), key=sent.key, value=sent.data)
            back = kafka.to_binary_event(kafka.from_binary_event(message))
            found = read_record([*back.headers.items()], str(back.key).encode(), back.value)
            assert check_data(found) == data


def test_a_batch_of_the_sdks_events_is_read() -> None:
    documents = [json.loads(JSONFormat().write(sdk_event(GOOD, {"text": str(n)}))) for n in range(3)]
    found = read_structured(json.dumps(documents).encode())
    assert [json.loads(event.data) for event in found] == [{"text": str(n)} for n in range(3)]


def test_the_sdk_lets_in_what_the_door_refuses() -> None:
    """So the SDK is an oracle for form and not for what the city admits."""
    loose = CloudEvent({"type": "anything", "source": "anywhere", "id": " "}, {})
    assert kafka.to_binary_event(loose).headers["ce_id"] == b" "
