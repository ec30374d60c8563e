"""What pydantic's defaults let in by mistake is refused, in words, and so is all else that JSON leaves open."""

from __future__ import annotations

import json

import pytest
from hypothesis import given
from hypothesis import strategies as st

import schemas.types
from schemas.registry import EventType, registry
from schemas.strict import duplicate_keys
from schemas.types import RequestCommented, RequestRated, RequestSubmitted
from tests.schemas.good import outcome, reasons, told

rated = RequestRated.registered.read_strictly
commented = RequestCommented.registered.read_strictly
submitted = RequestSubmitted.registered.read_strictly


def placed(coordinates: bytes) -> bytes:
    """A request at these coordinates."""
    return b'{"service_code":"a","area":"b","location":{"type":"Point","coordinates":[%s]}}' % coordinates


def asked(moment: bytes) -> bytes:
    """A request made at this time."""
    return b'{"service_code":"a","area":"b","requested_datetime":%s}' % moment


LONGITUDE, LATITUDE = "data.location.coordinates[0]", "data.location.coordinates[1]"
WHEN = "data.requested_datetime"


@pytest.mark.parametrize(
    ("data", "code", "field"),
    [
        (placed(b"NaN,1"), "not_finite", LONGITUDE),
        (placed(b'"nan",1'), "float_type", LONGITUDE),
        (placed(b"1e400,1"), "not_finite", LONGITUDE),
        (placed(b"-1e400,1"), "not_finite", LONGITUDE),
        (placed(b"Infinity,1"), "not_finite", LONGITUDE),
        (placed(b"true,1"), "float_type", LONGITUDE),
        (placed(b'"115.2",1'), "float_type", LONGITUDE),
        (placed(b"115.2,91"), "too_large", LATITUDE),
        (placed(b"-8.67,115.2"), "too_large", LATITUDE),
        (placed(b"180.1,0"), "too_large", LONGITUDE),
        (asked(b"0"), "not_a_moment", WHEN),
        (asked(b'"0"'), "not_a_moment", WHEN),
        (asked(b'"1"'), "not_a_moment", WHEN),
        (asked(b"1795737600"), "not_a_moment", WHEN),
        (asked(b"253402300800"), "not_a_moment", WHEN),
        (asked(b'"2026-11-24T08:00:00"'), "not_a_moment", WHEN),
        (asked(b'"2026-11-24"'), "not_a_moment", WHEN),
        (asked(b'"2026-11-24 08:00:00Z"'), "not_a_moment", WHEN),
        (asked(b'"2026-11-24T08:00:00+0800"'), "not_a_moment", WHEN),
        (asked(b'"20261124T080000Z"'), "not_a_moment", WHEN),
        (asked(b"true"), "not_a_moment", WHEN),
        (asked(b"[]"), "not_a_moment", WHEN),
    ],
)
def test_numbers_and_times_are_what_they_say(data: bytes, code: str, field: str) -> None:
    assert told(submitted, data) == [(code, field)]


@pytest.mark.parametrize(
    ("score", "code"),
    [
        (b'"1"', "int_type"),
        (b"true", "int_type"),
        (b"1.0", "int_type"),
        (b"1e0", "int_type"),
        (b"null", "int_type"),
        (b"1" * 4000, "too_large"),
        (b"-" + b"1" * 4000, "too_small"),
        (b"1e400", "int_type"),
    ],
)
def test_a_whole_number_is_written_as_one(score: bytes, code: str) -> None:
    assert told(rated, b'{"score":%s}' % score) == [(code, "data.score")]


def test_an_integer_of_ten_thousand_digits_is_refused_and_costs_nothing() -> None:
    assert told(rated, b'{"score":%s}' % (b"1" * 10_000)) == [("not_json", "data")]


def test_a_duplicate_key_is_refused_wherever_it_stands() -> None:
    assert told(rated, b'{"score":1,"score":5}') == [("duplicate_key", "data.score")]
    assert told(rated, b'{"score":5,"score":5}') == [("duplicate_key", "data.score")]
    assert told(rated, b'{"score":1,"\\u0073core":5}') == [("duplicate_key", "data.score")]
    nested = b'{"service_code":"a","area":"b","reporter":{"name":"Warga","name":"Warga"}}'
    assert told(submitted, nested) == [("duplicate_key", "data.name")]
    listed = (
        b'{"service_code":"a","area":"b","attributes":[{"code":"A","value":"1"},{"code":"B","code":"B","value":"2"}]}'
    )
    assert told(submitted, listed) == [("duplicate_key", "data.code")]


def test_a_duplicate_key_cannot_hide_behind_an_escaped_quote() -> None:
    assert told(commented, b'{"text":"a","text":"\\u0022:\\u0022"}') == [("duplicate_key", "data.text")]
    assert told(commented, b'{"text":"a" , "text":"say \\"a\\":"}') == [("duplicate_key", "data.text")]


@pytest.mark.parametrize("text", [b"\\u0000", b"a\\u0000b"])
def test_a_nul_character_is_refused(text: bytes) -> None:
    assert told(commented, b'{"text":"%s"}' % text) == [("pattern", "data.text")]


def test_half_a_surrogate_pair_is_refused() -> None:
    assert told(commented, b'{"text":"\\ud83d"}') == [("not_json", "data")]
    assert commented(b'{"text":"\\ud83d\\ude00"}').text == "\N{GRINNING FACE}"


def test_an_unknown_field_is_refused_at_the_door_with_what_it_may_have_been_and_ignored_behind_it() -> None:
    data = b'{"score":4,"coment":"Rapi."}'
    (reason,) = reasons(rated, data)
    assert (reason.code, reason.field) == ("unknown_field", "data.coment")
    assert "Did you mean comment?" in reason.fix
    assert RequestRated.registered.read(data).score == 4


@pytest.mark.parametrize(
    "data",
    [
        b"",
        b" ",
        b"{",
        b"{'score':4}",
        b'{"score":4,}',
        b'{"score":04}',
        b'{"score":4} {}',
        b'\xef\xbb\xbf{"score":4}',
        b'{"score":4}\x00',
        '{"score":4}'.encode("utf-16"),
    ],
)
def test_what_is_not_json_is_refused(data: bytes) -> None:
    assert told(rated, data) == [("not_json", "data")]


def test_text_that_is_not_utf8_is_refused() -> None:
    assert told(commented, b'{"text":"caf\xe9"}') == [("not_json", "data")]


@pytest.mark.parametrize("data", [b"null", b"[]", b'"text"', b"4", b"true"])
def test_data_is_an_object(data: bytes) -> None:
    assert told(rated, data) == [("object_type", "data")]


@pytest.mark.parametrize("opening", [b"[", b'{"":', b'[{"":'])
def test_nesting_two_hundred_thousand_deep_is_refused_in_words(opening: bytes) -> None:
    assert told(rated, opening * (200_000 // len(opening.strip(b'":'))))[0][0] == "too_deep"


def test_text_is_bounded_in_both_directions() -> None:
    assert told(commented, b'{"text":""}') == [("too_short", "data.text")]
    assert commented(json.dumps({"text": "x" * 4000}).encode())
    assert told(commented, json.dumps({"text": "x" * 4001}).encode()) == [("too_long", "data.text")]


def test_lists_are_bounded() -> None:
    fine = [{"code": "A", "value": "1"}] * 50
    request = {"service_code": "a", "area": "b"}
    assert submitted(json.dumps({**request, "attributes": fine}).encode())
    assert told(submitted, json.dumps({**request, "attributes": [*fine, fine[0]]}).encode()) == [
        ("too_long", "data.attributes")
    ]


@pytest.mark.parametrize(
    ("amount", "good"),
    [
        ("0", True),
        ("-1.5", True),
        ("999999999999999.9999", True),
        ("1e3", False),
        ("1,5", False),
        (".5", False),
        ("1.", False),
        ("+1", False),
        ("1\n", False),
        ("٣", False),
        ("NaN", False),
        ("1" * 16, False),
    ],
)
def test_money_is_an_exact_decimal_string(amount: str, good: bool) -> None:
    data = json.dumps({"cost": {"amount": amount, "currency": "IDR"}}).encode()
    found = outcome(schemas.types.WorkOrderCompleted.registered.read_strictly, data)
    assert isinstance(found, schemas.types.WorkOrderCompleted) is good


@pytest.mark.parametrize(
    ("url", "good"),
    [
        ("https://media.example.org/a/b.jpg?size=2&x=%20#top", True),
        ("http://[2001:db8::1]:8080/x", True),
        ("http://10.0.0.7", True),
        ("ftp://media.example.org/a", False),
        ("javascript:alert(1)", False),
        ("https://", False),
        ("https://user:secret@media.example.org/a", False),
        ("https://media.example.org/a b", False),
        ('https://media.example.org/"onload=', False),
        ("//media.example.org/a", False),
    ],
)
def test_a_picture_is_an_absolute_web_address(url: str, good: bool) -> None:
    data = json.dumps({"service_code": "a", "area": "b", "media_url": url}).encode()
    assert isinstance(outcome(submitted, data), RequestSubmitted) is good


def test_a_value_made_in_python_is_as_strict_as_one_that_was_read() -> None:
    with pytest.raises(ValueError, match="score"):
        RequestRated(score=True)
    with pytest.raises(ValueError, match="frozen"):
        RequestRated(score=4).score = 5  # type: ignore[misc]


_json = st.recursive(
    st.none()
    | st.booleans()
    | st.integers(-9, 9)
    | st.text(max_size=5)
    | st.sampled_from(['"', '":', "\\", "a\\u0062"]),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=3), inner, max_size=3),
    max_leaves=10,
)


def _said_otherwise(text: str) -> list[bytes]:
    """Ways to write one string in JSON."""
    plain = json.dumps(text, ensure_ascii=False).encode()
    escaped = "".join(f"\\u{ord(char):04x}" if ord(char) < 0x10000 else char for char in text).encode()
    return [plain, b'"' + escaped + b'"']


@given(
    st.text(alphabet='ab":\\ \n', min_size=1, max_size=12),
    st.sampled_from(["", " ", "\n\t"]),
    st.lists(st.tuples(st.sampled_from(["text", "author"]), st.integers(0, 1), st.booleans()), min_size=1, max_size=4),
)
def test_the_quick_look_for_duplicate_keys_finds_what_the_slow_one_finds(
    text: str, space: str, members: list[tuple[str, int, bool]]
) -> None:
    written = b",".join(
        _said_otherwise(name)[way] + space.encode() + b":" + (b"null" if null else _said_otherwise(text)[way])
        for name, way, null in members
    )
    data = b"{" + written + b"}"
    found = outcome(RequestCommented.registered.read, data)
    if isinstance(found, RequestCommented):
        assert duplicate_keys(data, found) == duplicate_keys(data)


@given(st.sampled_from(list(registry)), st.binary(max_size=60) | _json.map(lambda value: json.dumps(value).encode()))
def test_whatever_comes_is_read_or_refused(event_type: EventType, data: bytes) -> None:
    assert outcome(event_type.read_strictly, data)
    assert outcome(event_type.read, data)
