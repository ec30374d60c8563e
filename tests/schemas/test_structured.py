"""Structured mode: events as JSON, alone or in a list; a list is taken whole or refused whole, with every reason."""

from __future__ import annotations

import json
from base64 import b64encode
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from schemas.door import BATCH_EVENTS_MAX, check_data, read_structured, to_structured
from schemas.structured import BODY_BYTES_MAX
from tests.schemas.good import FULL, GOOD, outcome, reasons, told


def document(**changed: Any) -> dict[str, Any]:
    """The good event as one JSON object, with some members replaced and, where `...`, left out."""
    members = {**to_structured(GOOD), **changed}
    return {name: content for name, content in members.items() if content is not ...}


def body(**changed: Any) -> bytes:
    """The bytes of `document`."""
    return json.dumps(document(**changed)).encode()


def test_one_event_and_a_list_of_events_are_read() -> None:
    other = document(id="PRO-2026-0018")
    assert read_structured(body()) == [GOOD]
    assert [event.id for event in read_structured(json.dumps([document(), other]).encode())] == [GOOD.id, other["id"]]


def test_every_attribute_comes_through_where_the_bus_itself_speaks() -> None:
    assert read_structured(json.dumps(to_structured(FULL)).encode(), from_bus=True) == [FULL]


def test_an_agency_may_not_say_who_takes_part() -> None:
    assert told(read_structured, body(parties="communications")) == [("reserved_attribute", "parties")]


def test_an_attribute_that_is_null_counts_as_not_sent() -> None:
    assert read_structured(body(recipient=None, sequence=None)) == [GOOD]
    assert told(read_structured, body(time=None)) == [("missing", "time")]


def test_data_may_come_as_base64_and_keeps_its_bytes() -> None:
    odd = b'{ "service_code" : "drain", "area":"51.71.01.1005" }'
    (event,) = read_structured(body(data=..., data_base64=b64encode(odd).decode()))
    assert event.data == odd
    check_data(event)


def test_data_that_is_not_json_leaves_as_base64() -> None:
    event = GOOD.__replace__(data=b"\xff")
    (again,) = read_structured(json.dumps(to_structured(event)).encode())
    assert again == event


@pytest.mark.parametrize(
    ("changed", "expected"),
    [
        ({"id": ...}, ("missing", "id")),
        ({"id": 17}, ("string_type", "id")),
        ({"id": "two words"}, ("malformed", "id")),
        ({"time": 1795737600}, ("string_type", "time")),
        ({"time": "1795737600"}, ("malformed", "time")),
        ({"specversion": ...}, ("missing", "specversion")),
        ({"specversion": 1.0}, ("malformed", "specversion")),
        ({"specversion": "0.3"}, ("malformed", "specversion")),
        ({"datacontenttype": "text/xml"}, ("malformed", "datacontenttype")),
        ({"data": ...}, ("null_value", "data")),
        ({"data": None}, ("null_value", "data")),
        ({"data_base64": "e30="}, ("duplicate_data", "data")),
        ({"data": ..., "data_base64": "not base64!"}, ("malformed", "data_base64")),
        ({"data": ..., "data_base64": 7}, ("malformed", "data_base64")),
        ({"subject": "17"}, ("malformed", "subject")),
        ({"priority": 1}, ("unknown_attribute", "priority")),
        ({"dataschema": "urn:x"}, ("unknown_attribute", "dataschema")),
        ({"sequence": 17}, ("string_type", "sequence")),
        ({"partitionkey": "17"}, ("key_mismatch", "partitionkey")),
        ({"data": {"text": "x" * 1_048_576}}, ("too_large", "data")),
    ],
)
def test_one_thing_wrong_gives_one_reason(changed: dict[str, Any], expected: tuple[str, str]) -> None:
    assert told(read_structured, body(**changed)) == [expected]


def test_in_a_list_every_reason_of_every_event_says_which_one_it_means() -> None:
    events = [document(), document(id=..., time="now"), 7, document(colour="red")]
    assert told(read_structured, json.dumps(events).encode()) == [
        ("missing", "[1].id"),
        ("malformed", "[1].time"),
        ("object_type", "[2].event"),
        ("unknown_attribute", "[3].colour"),
    ]


def test_a_list_is_bounded_and_not_empty() -> None:
    assert told(read_structured, b"[]") == [("batch_size", "body")]
    assert told(read_structured, b"[" + b",".join([b"7"] * (BATCH_EVENTS_MAX + 1)) + b"]") == [("batch_size", "body")]


@pytest.mark.parametrize(
    ("sent", "code"),
    [
        (b"", "not_json"),
        (b"7 8", "not_json"),
        (b'{"id":NaN}', "not_json"),
        (b'{"id":Infinity}', "not_json"),
        (b'{"id":"\\ud83d"}', "not_json"),
        (b'{"id":"\xff"}', "not_json"),
        (b"[" * 200_000, "too_deep"),
        (b'{"data":' * 200_000, "too_deep"),
        (b" " * (BODY_BYTES_MAX + 1), "too_large"),
        (b'{"id":' + b"1" * 10_000 + b"}", "not_json"),
    ],
)
def test_what_json_leaves_open_is_refused(sent: bytes, code: str) -> None:
    (reason,) = reasons(read_structured, sent)
    assert (reason.code, reason.field) == (code, "body")


def test_a_key_that_stands_twice_is_refused_in_the_envelope_and_in_the_data() -> None:
    twice = body().replace(b'{"specversion"', b'{"id":"other","specversion"', 1)
    assert told(read_structured, twice) == [("duplicate_key", "id")]
    assert told(read_structured, body(data={"a": 1}).replace(b'{"a": 1}', b'{"a": 1, "a": 1}')) == [
        ("duplicate_key", "a")
    ]


def test_a_number_beyond_a_double_is_refused() -> None:
    assert told(read_structured, body(data={"a": 1}).replace(b'"a": 1', b'"a": 1e400')) == [("not_finite", "data")]


def test_who_hands_a_body_over_may_complete_each_event_by_its_position() -> None:
    sent = json.dumps([document(source=..., id=...), document(source=..., id=...), 7]).encode()

    def complete(member: dict[str, Any], position: int) -> dict[str, Any]:
        return {"source": GOOD.source, "id": f"PRO-{position}", **member}

    assert told(read_structured, sent, complete=complete) == [("object_type", "[2].event")]
    found = read_structured(json.dumps(json.loads(sent)[:2]).encode(), complete=complete)
    assert [(event.id, event.source) for event in found] == [("PRO-0", GOOD.source), ("PRO-1", GOOD.source)]


@pytest.mark.parametrize("sent", [b"null", b"7", b'"event"', b"true"])
def test_an_event_is_an_object(sent: bytes) -> None:
    assert told(read_structured, sent) == [("object_type", "event")]


_values = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False) | st.text(max_size=5),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=3), inner, max_size=3),
    max_leaves=8,
)


@given(st.dictionaries(st.sampled_from([*document(), "data_base64", "priority"]), _values, max_size=4))
def test_whatever_comes_is_events_or_a_refusal_with_reasons(changed: dict[str, Any]) -> None:
    sent = json.dumps({**document(), **changed}).encode()
    assert outcome(read_structured, sent)
