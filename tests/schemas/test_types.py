"""Every type: what it writes it reads again, strictly, and its published JSON Schema admits the same."""

from __future__ import annotations

import json

import jsonschema_rs
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from schemas.example_files import examples_of
from schemas.publishing import schema_of
from schemas.registry import EventType, registry
from schemas.types import RequestSubmitted
from tests.schemas.instances import instances

TYPES = pytest.mark.parametrize("event_type", list(registry), ids=lambda each: each.name)

SHARED = {
    "request": "submitted acknowledged forwarded assigned commented merged reopened resolved rated withdrawn closed",
    "approval": "requested granted refused sentback expired",
    "workorder": "issued accepted declined started suspended completed cancelled "
    "inspectionrequested inspected defectfound",
    "case": "parked replayed escalated timerfired replayrequested discardrequested correctionrequested",
    "event": "rejected resendrequested discarded",
}


def test_the_city_shares_what_the_repair_case_needs() -> None:
    wanted = {f"subak.{domain}.{event}.v1" for domain, events in SHARED.items() for event in events.split()}
    assert {each.name for each in registry} >= wanted


def test_commands_and_first_events_are_those_of_the_repair_case() -> None:
    commands = {each.name for each in registry if each.kind == "command"}
    assert commands >= {
        "subak.approval.requested.v1",
        "subak.case.replayrequested.v1",
        "subak.request.forwarded.v1",
        "subak.workorder.cancelled.v1",
        "subak.workorder.issued.v1",
    }
    assert registry.get("subak.request.submitted.v1").opens_case
    assert registry.get("subak.request.forwarded.v1").publisher == "any"


@TYPES
@settings(max_examples=25, suppress_health_check=[HealthCheck.too_slow, HealthCheck.filter_too_much], deadline=None)
@given(data=st.data())
def test_what_a_type_writes_it_reads_again_strictly(event_type: EventType, data: st.DataObject) -> None:
    schema = event_type.model.model_json_schema()
    sent = data.draw(instances(schema, schema.get("$defs", {})))
    first = event_type.read_strictly(json.dumps(sent).encode())
    again = event_type.read_strictly(first.encode())
    assert again == first
    assert again.encode() == first.encode()
    assert event_type.read(first.encode()) == first


@TYPES
@settings(max_examples=10, suppress_health_check=[HealthCheck.too_slow, HealthCheck.filter_too_much], deadline=None)
@given(data=st.data())
def test_the_published_schema_admits_what_a_type_writes(event_type: EventType, data: st.DataObject) -> None:
    published = schema_of(event_type)
    sent = data.draw(instances(published, published.get("$defs", {})))
    written = event_type.read_strictly(json.dumps(sent).encode()).encode()
    jsonschema_rs.validate(published, json.loads(written))


@TYPES
def test_the_published_schema_is_of_its_draft_and_agrees_with_the_examples(event_type: EventType) -> None:
    published = schema_of(event_type)
    jsonschema_rs.meta.validate(published)
    validator = jsonschema_rs.validator_for(published)
    for example in examples_of(event_type):
        if example.reasons is None:
            assert validator.is_valid(example.data), example.name
        elif not {"not_a_moment", "int_type"} & {code for code, _ in example.reasons}:
            # The door is stricter than a JSON Schema can say in two things: 4.0 is no integer, 30 February no day.
            assert not validator.is_valid(example.data), example.name


def test_a_location_says_longitude_first() -> None:
    data = b'{"service_code":"a","area":"b","location":{"type":"Point","coordinates":[115.2292,-8.6731]}}'
    location = RequestSubmitted.registered.read_strictly(data).location
    assert (location.longitude, location.latitude) == (115.2292, -8.6731)
