"""The door reads a Kafka record into an event, or refuses it with every reason at once. It raises nothing else."""

from __future__ import annotations

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from schemas.door import HEADERS_BYTES_MAX, check_data, read_record
from schemas.envelope import Event
from schemas.registry import DATA_BYTES_MAX
from tests.schemas.good import CASE, DATA, FULL, GOOD, outcome, reasons, record, told

KEY = CASE.encode()


def test_a_good_record_becomes_the_event_that_was_sent() -> None:
    assert read_record(GOOD.headers(), GOOD.key, GOOD.data) == GOOD


def test_every_attribute_comes_through_where_the_bus_itself_speaks() -> None:
    assert read_record(FULL.headers(), FULL.key, FULL.data, from_bus=True) == FULL


def test_an_agency_may_not_say_who_takes_part_or_which_workflow_counts() -> None:
    found = told(read_record, FULL.headers(), FULL.key, FULL.data)
    assert found == [("reserved_attribute", "parties"), ("reserved_attribute", "workflowversion")]


def test_headers_that_are_no_attributes_are_ignored_and_not_passed_on() -> None:
    event = read_record([*GOOD.headers(), ("x-origin", b"adapter 7")], KEY, DATA)
    assert event == GOOD
    assert "x-origin" not in dict(event.headers())


@pytest.mark.parametrize(
    "said", [b"application/json", b"application/json; charset=utf-8", b"Application/JSON;charset=UTF-8"]
)
def test_json_is_known_by_its_media_type_however_it_is_written(said: bytes) -> None:
    assert read_record(record(content_type=said), KEY, DATA) == GOOD


@pytest.mark.parametrize(
    ("changed", "expected"),
    [
        ({"id": None}, ("missing", "id")),
        ({"id": b""}, ("malformed", "id")),
        ({"id": b"two words"}, ("malformed", "id")),
        ({"id": b"newline\n"}, ("malformed", "id")),
        ({"id": b"x" * 129}, ("malformed", "id")),
        ({"type": None}, ("missing", "type")),
        ({"type": b"org.example.submitted"}, ("malformed", "type")),
        ({"type": b"subak.request.submitted"}, ("malformed", "type")),
        ({"type": b"subak.request.submitted.v0"}, ("malformed", "type")),
        ({"source": None}, ("missing", "source")),
        ({"source": b"https://communications.example.org"}, ("malformed", "source")),
        ({"source": b"urn:subak:denpasar:Communications"}, ("malformed", "source")),
        ({"time": None}, ("missing", "time")),
        ({"time": b"0"}, ("malformed", "time")),
        ({"time": b"1795737600"}, ("malformed", "time")),
        ({"time": b"2026-11-24"}, ("malformed", "time")),
        ({"time": b"2026-11-24T07:42:10"}, ("malformed", "time")),
        ({"time": b"2026-11-24 07:42:10+08:00"}, ("malformed", "time")),
        ({"time": b"2026-02-30T07:42:10+08:00"}, ("malformed", "time")),
        ({"time": b"1969-12-31T23:59:59Z"}, ("malformed", "time")),
        ({"time": b"2101-01-01T00:00:00Z"}, ("malformed", "time")),
        ({"time": b"2026-11-24T24:00:00Z"}, ("malformed", "time")),
        ({"time": b"2026-11-24T07:42:60Z"}, ("malformed", "time")),
        ({"specversion": None}, ("missing", "specversion")),
        ({"specversion": b"0.3"}, ("malformed", "specversion")),
        ({"content_type": None}, ("missing", "content-type")),
        ({"content_type": b"text/plain"}, ("malformed", "content-type")),
        ({"content_type": b"application/json; charset=latin-1"}, ("malformed", "content-type")),
        ({"recipient": b"public-works,finance"}, ("malformed", "recipient")),
        ({"recipient": b"a" * 65}, ("malformed", "recipient")),
        ({"jurisdiction": b"../etc"}, ("malformed", "jurisdiction")),
        ({"traceparent": b"00-abc"}, ("malformed", "traceparent")),
        ({"expirytime": b"tomorrow"}, ("malformed", "expirytime")),
        ({"dataref": b"relative/path"}, ("malformed", "dataref")),
        ({"datacontenttype": b"application/json"}, ("unknown_attribute", "datacontenttype")),
        ({"dataschema": b"urn:x"}, ("unknown_attribute", "dataschema")),
        ({"priority": b"high"}, ("unknown_attribute", "priority")),
        ({"partitionkey": b"0192f0c4-11aa-7bcd-9e0f-a1b2c3d4e5f6"}, ("key_mismatch", "partitionkey")),
    ],
)
def test_one_thing_wrong_gives_one_reason(changed: dict[str, bytes | None], expected: tuple[str, str]) -> None:
    assert told(read_record, record(**changed), KEY, DATA) == [expected]


@pytest.mark.parametrize("subject", [b"", b"17", b"019AB3C2-7D10-7A44-8F3E-5B1C2D3E4F50", KEY + b"\n"])
def test_the_subject_is_a_uuid_in_lower_case(subject: bytes) -> None:
    assert told(read_record, record(subject=subject), subject, DATA) == [("malformed", "subject")]


def test_the_key_is_the_subject() -> None:
    assert told(read_record, record(), None, DATA) == [("null_key", "key")]
    assert told(read_record, record(), b"another", DATA) == [("key_mismatch", "key")]
    assert told(read_record, record(), KEY + b"\xff", DATA) == [("key_mismatch", "key")]


def test_a_partition_key_that_repeats_the_subject_is_dropped() -> None:
    assert read_record(record(partitionkey=KEY), KEY, DATA) == GOOD


def test_a_null_value_is_refused() -> None:
    assert told(read_record, record(), KEY, None) == [("null_value", "data")]


def test_one_mebibyte_of_data_is_let_in_and_one_byte_more_is_not() -> None:
    assert len(read_record(record(), KEY, b" " * DATA_BYTES_MAX).data) == DATA_BYTES_MAX
    assert told(read_record, record(), KEY, b" " * (DATA_BYTES_MAX + 1)) == [("too_large", "data")]


def test_headers_are_bounded_in_all() -> None:
    filling = [("x-filling", b"x" * HEADERS_BYTES_MAX)]
    assert told(read_record, record() + filling, KEY, DATA) == [("headers_too_large", "headers")]


@pytest.mark.parametrize("header", ["ce_id", "ce_subject", "ce_time", "content-type", "ce_specversion"])
def test_an_attribute_that_stands_twice_is_refused_even_where_both_agree(header: str) -> None:
    headers = [*record(), (header, dict(record())[header])]
    field = header.removeprefix("ce_")
    assert told(read_record, headers, KEY, DATA) == [("duplicate_attribute", field)]


@pytest.mark.parametrize("header", ["ce_id", "ce_subject", "content-type", "x-origin"])
def test_a_null_header_and_one_that_is_not_utf8_are_refused(header: str) -> None:
    field = header.removeprefix("ce_")
    others = [(name, value) for name, value in record() if name != header]
    assert told(read_record, [*others, (header, None)], KEY, DATA) == [("null_header", field)]
    assert told(read_record, [*others, (header, b"\xff\xfe")], KEY, DATA) == [("not_utf8", field)]


def test_every_reason_is_given_at_once_also_those_against_the_data() -> None:
    headers = record(id=None, time=b"yesterday", colour=b"red", type=b"subak.request.rated.v1")
    found = told(read_record, headers, None, b'{"score":9,"comment":""}')
    assert found == [
        ("unknown_attribute", "colour"),
        ("missing", "id"),
        ("malformed", "time"),
        ("null_key", "key"),
        ("too_large", "data.score"),
        ("too_short", "data.comment"),
    ]


@pytest.mark.parametrize(
    ("wrong", "meant"),
    [("recepient", "recipient"), ("correlation_id", "correlationid"), ("TraceParent", "traceparent")],
)
def test_an_unknown_attribute_is_answered_with_the_nearest_that_there_is(wrong: str, meant: str) -> None:
    (reason,) = reasons(read_record, [*record(), (f"ce_{wrong}", b"x")], KEY, DATA)
    assert f"Did you mean {meant}?" in reason.fix


def test_an_unknown_version_is_answered_with_the_versions_that_there_are() -> None:
    event = read_record(record(type=b"subak.request.submitted.v9"), KEY, DATA)
    (reason,) = reasons(check_data, event)
    assert (reason.code, reason.field) == ("unknown_version", "type")
    assert "subak.request.submitted.v1" in reason.fix


def test_an_unknown_type_is_answered_with_the_nearest_that_there_are() -> None:
    (reason,) = reasons(check_data, read_record(record(type=b"subak.request.submited.v1"), KEY, DATA))
    assert reason.code == "unknown_type"
    assert "subak.request.submitted.v1" in reason.fix


def test_the_data_is_read_as_its_type_says() -> None:
    data = check_data(GOOD)
    assert data.registered.name == GOOD.type
    assert data.encode() == DATA


def test_what_a_sender_writes_cannot_make_the_answer_endless() -> None:
    unknown = b"{" + b",".join(b'"%s%d":1' % (b"n" * 1000, n) for n in range(900)) + b"}"
    found = reasons(check_data, msgspec.structs.replace(GOOD, data=unknown))
    assert len(found) == 51
    assert found[-1].code == "more_reasons"
    assert sum(len(str(reason)) for reason in found) < 60_000


_headers = st.lists(
    st.tuples(
        st.sampled_from([*dict(FULL.headers()), "ce_partitionkey", "ce_colour", "x-origin", "ce_"])
        | st.text(max_size=20),
        st.none() | st.binary(max_size=60) | st.sampled_from(list(dict(FULL.headers()).values())),
    ),
    max_size=20,
)


@given(_headers, st.none() | st.binary(max_size=40) | st.just(KEY), st.none() | st.binary(max_size=200), st.booleans())
def test_whatever_comes_is_an_event_or_a_refusal_with_reasons(
    headers: list[tuple[str, bytes | None]], key: bytes | None, value: bytes | None, from_bus: bool
) -> None:
    found = outcome(read_record, headers, key, value, from_bus=from_bus)
    if isinstance(found, Event):
        assert (found.key, found.data) == (key, value)
    else:
        assert found


@given(st.data())
def test_a_good_record_with_one_thing_changed_is_refused_for_that_thing_or_still_reads(data: st.DataObject) -> None:
    headers: list[tuple[str, bytes | None]] = [*FULL.headers()]
    at = data.draw(st.integers(0, len(headers) - 1))
    name = headers[at][0]
    changed = data.draw(st.none() | st.binary(max_size=40) | st.text(max_size=40).map(str.encode))
    headers[at] = (name, changed)
    found = outcome(read_record, headers, FULL.key, FULL.data, from_bus=True)
    if isinstance(found, Event):
        assert dict(found.headers())[name] == (b"application/json" if name == "content-type" else changed)
    else:
        assert {reason.field for reason in found} - {"key"} == {name.removeprefix("ce_")}
