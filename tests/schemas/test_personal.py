"""What the schema marks as personal is taken out for those who are not entitled to it, and nothing unknown slips by."""

from __future__ import annotations

import json
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from schemas.example_files import examples_of
from schemas.personal import has_personal, personal_fields, redact
from schemas.registry import EventData, EventType, Registry, event_type, registry
from schemas.strict import Strict
from schemas.types import RequestSubmitted
from schemas.values import Personal, Reporter, Text200
from tests.schemas.instances import instances

SUBMITTED = RequestSubmitted.registered.name


class Witness(Strict):
    """Somebody who saw it."""

    name: Personal[Text200] | None = None
    """Who."""
    stood: Text200 | None = None
    """Where they stood."""


types = Registry()


@event_type("subak.test.seen.v1", owner="tests", types=types)
class Seen(EventData):
    """Personal fields in every place where they may stand."""

    place: Text200
    """Where."""
    witnesses: tuple[Witness, ...] = ()
    """Who saw it."""
    names: tuple[Personal[Text200], ...] = ()
    """The same, as a list."""
    by_street: dict[str, Witness] | None = None
    """The same, as a map."""
    best: Personal[Witness] | None = None
    """The one to ask."""
    either: Witness | Reporter | Text200 | None = None
    """Of several shapes."""


def redacted(data: dict[str, Any], *keep: str) -> dict[str, Any]:
    """What remains of `Seen`."""
    sent = json.dumps(data).encode()
    found: dict[str, Any] = json.loads(redact("subak.test.seen.v1", sent, types, keep=frozenset(keep)))
    return found


def test_these_types_have_personal_fields() -> None:
    found = {each.name.removeprefix("subak."): personal_fields(each.name) for each in registry}
    expected = {
        "approval.granted.v1": ["decided_by"],
        "approval.refused.v1": ["decided_by"],
        "approval.sentback.v1": ["decided_by"],
        "event.rejected.v1": ["original"],
        "request.commented.v1": ["author"],
        "request.forwarded.v1": ["reporter.name", "reporter.phone", "reporter.email", "attachments[].name"],
        "request.submitted.v1": ["reporter.name", "reporter.phone", "reporter.email", "attachments[].name"],
        "workorder.inspected.v1": ["inspector"],
    }
    assert {name: found[name] for name in expected} == expected


def test_a_type_without_personal_fields_gives_the_same_bytes() -> None:
    data = b'{ "score" : 4, "unknown": 1 }'
    assert redact("subak.request.rated.v1", data) is data
    assert not has_personal("subak.request.rated.v1")
    assert has_personal(SUBMITTED)


def test_personal_fields_are_taken_out_and_all_else_stays() -> None:
    (full,) = (each.data for each in examples_of(RequestSubmitted.registered) if each.name == "full")
    found = json.loads(redact(SUBMITTED, json.dumps(full).encode()))
    unnamed = [{key: value for key, value in each.items() if key != "name"} for each in full["attachments"]]
    assert unnamed != full["attachments"]
    assert found == {**full, "reporter": {}, "attachments": unnamed}


def test_a_field_that_the_schema_does_not_know_is_taken_out_too() -> None:
    data = {
        "service_code": "a",
        "area": "b",
        "nik": "5171000000000000",
        "reporter": {"nik": "1"},
        "location": {"of": "me"},
    }
    found = json.loads(redact(SUBMITTED, json.dumps(data).encode()))
    assert found == {"service_code": "a", "area": "b", "reporter": {}, "location": {}}


def test_a_key_written_with_escapes_hides_nothing() -> None:
    data = b'{"service_code":"a","area":"b","\\u0072eporter":{"n\\u0061me":"Warga"}}'
    assert b"Warga" not in redact(SUBMITTED, data)


def test_a_type_that_is_not_known_here_gives_nothing_away() -> None:
    assert has_personal("subak.test.unknown.v1")
    assert redact("subak.test.unknown.v1", b'{"name":"Warga"}') == b"{}"


@pytest.mark.parametrize("data", [b"", b"[]", b'"Warga"', b"{", b"null", b"\xff"])
def test_data_that_is_no_object_gives_nothing_away(data: bytes) -> None:
    assert redact(SUBMITTED, data) == b"{}"


def test_personal_fields_are_found_in_lists_maps_and_unions() -> None:
    witness = {"name": "Warga", "stood": "di trotoar"}
    kept = {"stood": "di trotoar"}
    assert redacted({"place": "Renon", "witnesses": [witness, {}]}) == {"place": "Renon", "witnesses": [kept, {}]}
    assert redacted({"place": "Renon", "names": ["Warga"]}) == {"place": "Renon", "names": []}
    assert redacted({"place": "Renon", "by_street": {"A": witness}}) == {"place": "Renon", "by_street": {"A": kept}}
    assert redacted({"place": "Renon", "best": witness}) == {"place": "Renon"}
    assert redacted({"place": "Renon", "either": witness}) == {"place": "Renon", "either": kept}
    assert redacted({"place": "Renon", "either": {"phone": "0"}}) == {"place": "Renon", "either": {}}
    assert redacted({"place": "Renon", "either": "text", "best": None}) == {"place": "Renon", "either": "text"}


def test_a_field_that_may_stay_stays_whole_whatever_its_shape() -> None:
    witness = {"name": "Warga", "stood": "di trotoar"}
    data = {"place": "Renon", "best": witness, "names": ["Warga"], "either": witness}
    assert redacted(data, "best") == {"place": "Renon", "best": witness, "names": [], "either": {"stood": "di trotoar"}}
    assert redacted(data, "names[]")["names"] == ["Warga"]
    assert redacted(data, "either.name") == {"place": "Renon", "names": [], "either": witness}
    assert redacted({"place": "Renon", "best": None}, "best") == {"place": "Renon", "best": None}


@settings(max_examples=60, suppress_health_check=[HealthCheck.too_slow, HealthCheck.filter_too_much], deadline=None)
@given(st.sampled_from([each for each in registry if has_personal(each.name)]), st.data())
def test_what_remains_is_valid_and_redacting_again_changes_nothing(event_type: EventType, data: st.DataObject) -> None:
    schema = event_type.model.model_json_schema()
    sent = json.dumps(data.draw(instances(schema, schema.get("$defs", {})))).encode()
    once = redact(event_type.name, sent)
    event_type.read_strictly(once)
    assert redact(event_type.name, once) == once
    for path in personal_fields(event_type.name):
        value = json.loads(once)
        for step in path.split("."):
            value = value.get(step) if isinstance(value, dict) else None
        assert value is None
