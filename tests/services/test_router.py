"""Each event goes to those who must hear of it, with no more of it than they may read, whatever a condition does."""

from __future__ import annotations

import json
from collections.abc import Sequence
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import msgspec
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from bus.city import City, load_city
from bus.city.conditions import fields_named
from bus.hearing import heard_by
from bus.logic import Decided
from bus.records import Record
from bus.topics import REJECTED, in_topic
from schemas.envelope import Event
from schemas.personal import personal_fields, redact
from schemas.registry import registry
from services.router.logic import Router
from tests.city.control import changed_harbour, harbour
from tests.schemas.instances import instances

CASE = "01900000-0000-7000-8000-000000000001"
NOW = datetime(2026, 11, 24, 8, tzinfo=UTC)
SUBMITTED = "subak.request.submitted.v1"
COMPLETED = "subak.workorder.completed.v1"
SECRETS = {"name": "Ni Made Sari", "phone": "+62 361 555 0100", "email": "made@example.org"}


def event(type: str = SUBMITTED, data: dict[str, Any] | None = None, **attributes: str | None) -> Event:
    found = {"service_code": "quay", "area": "h-1", "reporter": SECRETS} if data is None else data
    given: dict[str, Any] = {"source": "urn:subak:harbour:desk", "jurisdiction": "h-1", **attributes}
    return Event(
        id="e-1", type=type, subject=CASE, time="2026-11-24T08:00:00Z", data=json.dumps(found).encode(), **given
    )


def city_with(folder: Path, subscription: str, agency: str = "archive") -> City:
    """The harbour, with what the archive (or the ferry) subscribes to written anew."""
    if agency == "archive":
        change = ('subscribes = [{ types = ["subak.*"], relation = "all" }]', subscription)
    else:
        change = ('areas = ["h-2"]', f'areas = ["h-2"]\n{subscription}')
    return load_city(changed_harbour(folder, ("agencies.toml", *change)))


def decided(city: City, *events: Event) -> Decided:
    records = [
        Record(
            topic="city-events", partition=0, offset=number, timestamp_ms=0, key=one.key, value=one.data,
            headers=one.headers(),
        )
        for number, one in enumerate(events)
    ]  # fmt: skip
    return Router(0, city=city).decide(records, NOW)


def hears(city: City, one: Event, agency: str = "archive") -> bool:
    return agency in heard_by(city, one).agencies


@pytest.mark.parametrize(
    ("narrowed", "one", "taken"),
    [
        ('services = ["quay"]', event(), True),
        ('services = ["lamp"]', event(), False),
        ('services = ["lamp"]', event("subak.request.closed.v1", {"outcome": "rated"}), True),
        ('services = ["lamp"]', event(data={"service_code": "invented"}), False),
        ('areas = ["h-1"]', event(), True),
        ('areas = ["h"]', event(), True),
        ('areas = ["h-2"]', event(), False),
        ('areas = ["h-1"]', event(jurisdiction=None), False),
        ('areas = ["h-1"]', event(jurisdiction="nowhere"), False),
        ('levels = ["quarter"]', event(), True),
        ('levels = ["city"]', event(), False),
        ('levels = ["city"]', event(jurisdiction=None), True),
        ("when = 'area == \"h-1\" && service == \"quay\"'", event(), True),
        ("when = '\"h\" in areas && area_level == \"quarter\"'", event(), True),
        ("when = 'sender == \"desk\" && sender_level == \"city\"'", event(), True),
        ("when = 'sender == \"workflows\" && sender_level == \"\"'", event(source="urn:subak:harbour:workflows"), True),
        ("when = '\"docks\" in parties'", event(parties="docks,diver"), True),
        ("when = '\"docks\" in parties'", event(), False),
        ("when = 'recipient == \"\" && case != \"\"'", event(), True),
        ("when = 'timestamp(time) < timestamp(\"2026-01-01T00:00:00Z\")'", event(), False),
        ("when = 'has(data.description) && data.description.contains(\"water\")'", event(), False),
        ("areas = [\"h-1\"]\nservices = [\"quay\"]\nwhen = 'area == \"h-2\"'", event(), False),
    ],
)  # fmt: skip
def test_each_key_of_a_subscription_narrows_it(tmp_path: Path, narrowed: str, one: Event, taken: bool) -> None:
    types = '["subak.request.submitted.v1", "subak.request.closed.v1"]'
    city = city_with(tmp_path, f'[[agency.subscribes]]\ntypes = {types}\nrelation = "all"\n{narrowed}')
    assert hears(city, one) is taken


def test_a_party_hears_where_its_condition_holds(tmp_path: Path) -> None:
    text = '[[agency.subscribes]]\ntypes = ["subak.request.*"]\nrelation = "party"\nwhen = \'area == "h-1"\''
    city = city_with(tmp_path, text)
    assert hears(city, event(parties="archive,docks"))
    assert not hears(city, event(parties="docks"))
    assert not hears(city, event(parties="archive", jurisdiction="h-2"))


FAILING = (
    '[[agency.subscribes]]\ntypes = ["subak.request.submitted.v1"]\nrelation = "all"\n'
    "when = 'service != \"lamp\" || int(data.description) > 5'"
)


def test_a_condition_that_fails_stops_nobody_else_and_is_seen(tmp_path: Path) -> None:
    city = city_with(tmp_path, FAILING)
    wrong = event(data={"service_code": "lamp", "area": "h-1", "description": "It flickers."})
    found = decided(city, event(), wrong, event())

    assert [output.topic for output in found.outputs].count(in_topic("docks")) == 2
    assert [output.topic for output in found.outputs].count(in_topic("archive")) == 2
    assert found.counted == {"routed": 2, "unheard": 0, "history": 0, "failed": 0, "condition_failed": 1}
    (told,) = [json.loads(output.value or b"") for output in found.outputs if output.topic == REJECTED]
    (reason,) = told["reasons"]
    assert reason["code"] == "condition_failed"
    assert reason["field"] == 'agency "archive".subscribes[0].when'
    assert "archive was not told" in reason["problem"]
    assert "subak route catch-up" in reason["fix"]


def test_an_event_addressed_to_an_agency_reaches_it_whatever_its_conditions_do(tmp_path: Path) -> None:
    city = city_with(tmp_path, FAILING)
    wrong = event(data={"service_code": "lamp", "description": "It flickers."}, recipient="archive")
    assert hears(city, wrong)
    assert heard_by(city, wrong).failed == ()


@pytest.mark.parametrize("data", [b"", b"not JSON", b"[1]", b"[" * 5000, b'{"service_code":7}', b"\xff"])
def test_data_that_cannot_be_read_stops_nothing(tmp_path: Path, data: bytes) -> None:
    city = city_with(tmp_path, FAILING)
    found = decided(city, msgspec.structs.replace(event(), data=data), event())
    assert [output.topic for output in found.outputs].count(in_topic("docks")) >= 1
    assert found.counted["failed"] == 0


@pytest.mark.parametrize(
    ("text", "fields"),
    [
        ("has(data.a) && data.a > data['b'] + data[\"c\"].data", ("a", "b", "c")),
        ("'data.a' == type && service == \"data\"", ()),
        ("'a' in data", None),
        ("data == data", None),
        ("data[type] && data.a", None),
    ],
)
def test_a_condition_is_given_the_fields_that_it_speaks_of(text: str, fields: tuple[str, ...] | None) -> None:
    assert fields_named(text) == fields


def test_a_condition_learns_no_more_than_its_agency_may_read(tmp_path: Path) -> None:
    asks = (
        '[[agency.subscribes]]\ntypes = ["subak.request.submitted.v1"]\nrelation = "all"\n'
        "when = 'has(data.reporter) && has(data.reporter.phone)'"
    )
    assert not hears(city_with(tmp_path / "a", asks), event())
    entitled = f'personal = [{{ types = ["subak.request.*"], fields = ["reporter.phone"], purpose = "calls" }}]\n{asks}'
    assert hears(city_with(tmp_path / "b", entitled), event())


# -- personal fields


def sent_to(found: Decided, agency: str) -> list[bytes]:
    return [output.value or b"" for output in found.outputs if output.topic == in_topic(agency)]


@pytest.mark.parametrize(
    ("right", "read"),
    [
        ("", set()),
        ('entitlements = ["personal"]', {"name", "phone", "email"}),
        ('personal = [{ types = ["subak.request.*"], purpose = "p" }]', {"name", "phone", "email"}),
        ('personal = [{ types = ["subak.request.*"], fields = ["reporter"], purpose = "p" }]', set(SECRETS)),
        ('personal = [{ types = ["subak.request.*"], fields = ["reporter.phone"], purpose = "p" }]', {"phone"}),
        ('personal = [{ types = ["subak.request.commented.v1"], purpose = "p" }]', set()),
        (
            'personal = [{ types = ["subak.request.submitted.v1"], fields = ["reporter.phone"], purpose = "p" },'
            ' { types = ["subak.request.*"], fields = ["reporter.name"], purpose = "q" }]',
            {"phone", "name"},
        ),
    ],
)  # fmt: skip
def test_an_agency_receives_the_personal_fields_of_its_entitlement_and_no_other(
    tmp_path: Path, right: str, read: set[str]
) -> None:
    text = f'{right}\nsubscribes = [{{ types = ["subak.*"], relation = "all" }}]'
    (data,) = sent_to(decided(city_with(tmp_path, text, agency="ferry"), event()), "ferry")
    assert {name for name, secret in SECRETS.items() if secret.encode() in data} == read
    assert b"quay" in data


def values_at(data: Any, path: str) -> list[Any]:
    """What stands at a path such as `attachments[].name`."""
    found = [data]
    for step in path.split("."):
        name = step.removesuffix("[]")
        found = [one[name] for one in found if isinstance(one, dict) and one.get(name) is not None]
        if step.endswith("[]"):
            found = [part for one in found for part in one]
    return found


PERSONAL_TYPES = [
    known for known in registry if personal_fields(known.name) and known.name != "subak.event.rejected.v1"
]


@settings(max_examples=60, suppress_health_check=[HealthCheck.too_slow, HealthCheck.filter_too_much], deadline=None)
@given(st.sampled_from(PERSONAL_TYPES), st.data())
def test_the_bytes_hold_no_personal_value_that_is_not_kept(known: Any, draws: st.DataObject) -> None:
    paths = personal_fields(known.name)
    kept = frozenset(draws.draw(st.sets(st.sampled_from(paths))))
    schema = known.model.model_json_schema()
    whole = json.dumps(draws.draw(instances(schema, schema.get("$defs", {})))).encode()
    left = json.loads(redact(known.name, whole, keep=kept))
    before = json.loads(whole)
    for path in paths:
        assert values_at(left, path) == (values_at(before, path) if path in kept else [])


@given(
    st.sampled_from(sorted(harbour().agencies)),
    st.sampled_from(sorted(harbour().areas)),
    st.sets(st.sampled_from(sorted(harbour().agencies))),
)
def test_who_is_not_entitled_never_gets_the_bytes_of_a_personal_value(
    sender: str, area: str, parties: Sequence[str]
) -> None:
    city = harbour()
    one = event(source=city.source_of(sender), jurisdiction=area, parties=",".join(sorted(parties)) or None)
    for output in decided(city, one).outputs:
        agency = output.topic.removeprefix("agency-").removesuffix("-in")
        held = any(secret.encode() in (output.value or b"") for secret in SECRETS.values())
        assert held is city.entitled(agency)
