"""A request of an Open311 feed becomes an event's data: nothing guessed, nothing lost that can be read."""

from __future__ import annotations

import json
from functools import cache
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from bus.city import City, Feed, WrongCity, city_path, load_city, load_feed, request_from_open311
from schemas.failures import Refused
from schemas.moments import is_moment
from schemas.registry import registry
from tests.city.control import HARBOUR, changed_harbour, harbour

FEED_OF_2011 = Path(__file__).parents[3] / "shared" / "data" / "san-francisco-311-2011-06.json"

ITEM: dict[str, Any] = {
    "service_request_id": "17",
    "status": "Closed",
    "status_notes": None,
    "service_name": "Quay_Wall",
    "service_code": "024",
    "description": "A stone is loose.\nNext to the crane.",
    "requested_datetime": "2026-07-01 08:00:00",
    "address": "12  KADE , HARBOUR ",
    "lat": 53.25,
    "long": 5.25,
    "media_url": None,
}


@pytest.fixture
def city() -> City:
    return harbour()


@cache
def feed() -> Feed:
    return load_feed(HARBOUR, harbour())


def read(**changes: Any) -> tuple[dict[str, Any], str]:
    return request_from_open311(harbour(), feed(), {**ITEM, **changes})


def refusal(**changes: Any) -> list[tuple[str, str]]:
    with pytest.raises(Refused) as refused:
        read(**changes)
    return [(reason.code, reason.field) for reason in refused.value.reasons]


def is_submitted(data: dict[str, Any]) -> bool:
    registry.get("subak.request.submitted.v1").read_strictly(json.dumps(data).encode())
    return True


def test_request_is_read_whole() -> None:
    data, occurred = read()

    assert occurred == "2026-07-01T08:00:00+02:00"
    assert data == {
        "service_code": "quay",
        "area": "h-1",
        "requested_datetime": "2026-07-01T08:00:00+02:00",
        "location": {"type": "Point", "coordinates": [5.25, 53.25]},
        "description": "A stone is loose.\nNext to the crane.",
        "address_string": "12 KADE, HARBOUR",
        "service_request_id": "17",
        "attributes": [{"code": "feed_service_name", "value": "Quay_Wall"}],
    }
    assert is_submitted(data)


def test_nulls_and_empty_texts_are_left_out() -> None:
    data, _ = read(description=None, address="  , ", service_request_id=None, lat=None, long=None, service_name="")

    assert data == {"service_code": "other", "area": "h", "requested_datetime": "2026-07-01T08:00:00+02:00"}
    assert is_submitted(data)


def test_request_without_a_place_is_filed_under_the_city() -> None:
    item = {key: value for key, value in ITEM.items() if key not in ("lat", "long")}
    data, _ = request_from_open311(harbour(), feed(), item)

    assert "location" not in data
    assert data["area"] == "h"


def test_zero_zero_is_a_place_that_nobody_knows() -> None:
    data, _ = read(lat=0.0, long=0)

    assert "location" not in data
    assert data["area"] == "h"


def test_degrees_may_come_as_text() -> None:
    data, _ = read(lat="53.75", long=" 5.75 ")

    assert data["location"]["coordinates"] == [5.75, 53.75]
    assert data["area"] == "h-2"


@pytest.mark.parametrize(("lat", "long"), [(5.25, 53.25), (0.0, 5.25), (91, 5.25), (53.25, -5.25)])
def test_place_outside_the_city_is_refused(lat: float, long: float) -> None:
    assert refusal(lat=lat, long=long) == [("outside_city", "item.lat")]


def test_swapped_coordinates_are_told_so() -> None:
    with pytest.raises(Refused, match=r"lies outside the city\. lat and long are swapped"):
        read(lat=5.25, long=53.25)


@pytest.mark.parametrize("wrong", ["north", True, [53.25], float("nan"), float("inf"), 10**400, {}])
def test_degrees_that_are_no_number_are_refused(wrong: object) -> None:
    assert refusal(lat=wrong) == [("not_a_number", "item.lat")]


def test_half_a_location_is_refused() -> None:
    assert refusal(long=None) == [("not_a_number", "item.long")]


@pytest.mark.parametrize(
    ("written", "read_as"),
    [
        ("2026-01-15 08:00:00", "2026-01-15T08:00:00+01:00"),
        ("2026-07-15T08:00:00", "2026-07-15T08:00:00+02:00"),
        ("2026-07-15 08:00", "2026-07-15T08:00:00+02:00"),
        ("2026-07-15T08:00:00Z", "2026-07-15T08:00:00+00:00"),
        ("2026-07-15t08:00:00z", "2026-07-15T08:00:00+00:00"),
        ("2026-07-15T08:00:00-07:00", "2026-07-15T08:00:00-07:00"),
        ("2026-07-15T08:00:00+0530", "2026-07-15T08:00:00+05:30"),
        ("2026-03-29 01:59:59", "2026-03-29T01:59:59+01:00"),
        ("2026-03-29 02:30:00", "2026-03-29T03:30:00+02:00"),
        ("2026-10-25 02:30:00", "2026-10-25T02:30:00+02:00"),
        ("2026-10-25 03:00:00", "2026-10-25T03:00:00+01:00"),
    ],
)
def test_time_without_an_offset_is_on_the_city_s_clock(written: str, read_as: str) -> None:
    data, occurred = read(requested_datetime=written)

    assert data["requested_datetime"] == occurred == read_as
    assert is_moment(occurred)


@pytest.mark.parametrize(
    "wrong",
    ["yesterday", "2026-02-30 08:00:00", "2026-07-15", 1751350000, "20260715T080000", "1969-12-31 08:00:00", []],
)
def test_time_that_is_none_is_refused(wrong: object) -> None:
    assert refusal(requested_datetime=wrong) == [("not_a_moment", "item.requested_datetime")]


def test_request_without_a_time_is_refused() -> None:
    assert refusal(requested_datetime=None) == [("missing", "item.requested_datetime")]


@pytest.mark.parametrize("wrong", [None, "a text", 7, ["list"]])
def test_what_is_no_object_is_refused(wrong: object, city: City) -> None:
    with pytest.raises(Refused, match="this is no JSON object"):
        request_from_open311(city, feed(), wrong)


def test_all_reasons_are_told_at_once() -> None:
    assert len(refusal(lat="north", requested_datetime="noon", description=5)) == 3


@pytest.mark.parametrize("name", ["Quay_Wall", "quay wall", "QUAY  WALL"])
def test_service_is_found_by_its_name_however_it_is_written(name: str) -> None:
    assert read(service_name=name)[0]["service_code"] == "quay"


def test_service_of_the_catalogue_needs_no_entry() -> None:
    assert read(service_name="Lamps", service_code="lamp")[0]["service_code"] == "lamp"


@pytest.mark.parametrize("name", ["Whale ashore", None, 5])
def test_unknown_service_goes_to_the_general_one_and_its_name_is_kept(name: object) -> None:
    data, _ = read(service_name=name)

    assert data["service_code"] == "other"
    if isinstance(name, str):
        assert data["attributes"] == [{"code": "feed_service_name", "value": name}]


@settings(deadline=None)  # the machine may be busy: no test is timed
@given(
    st.dictionaries(
        st.sampled_from(sorted(ITEM)), st.none() | st.integers() | st.floats() | st.text() | st.lists(st.none())
    )
)
def test_whatever_the_feed_sends_is_read_or_refused(changes: dict[str, Any]) -> None:
    try:
        data, occurred = read(**changes)
    except Refused:
        return
    assert data["service_code"] in harbour().services
    assert data["area"] in harbour().areas
    assert is_moment(occurred)


def test_city_without_a_feed_reads_by_code(tmp_path: Path, city: City) -> None:
    folder = changed_harbour(tmp_path)
    (folder / "feed.toml").unlink()

    data, _ = request_from_open311(city, load_feed(folder, city), {**ITEM, "service_code": "quay"})

    assert data["service_code"] == "quay"


@pytest.mark.parametrize(
    ("old", "new", "told"),
    [
        (
            '"quay"',
            '"key"',
            'feed.toml: services."Quay_Wall": there is no service "key" in services.toml.',
        ),
        ("[services]", "[service]", 'feed.toml: service: this key is unknown. Did you mean "services"?'),
        (
            '"Lamp - out" =',
            '"QUAY WALL" = "lamp"\n"Lamp - out" =',
            'feed.toml: services."QUAY WALL": "Quay_Wall" reads the same, with another service. Keep one:',
        ),
    ],
)
def test_wrong_feed_file_has_its_sentence(old: str, new: str, told: str, tmp_path: Path, city: City) -> None:
    with pytest.raises(WrongCity) as wrong:
        load_feed(changed_harbour(tmp_path, ("feed.toml", old, new)), city)

    assert any(str(problem).startswith(told) for problem in wrong.value.problems)


@pytest.mark.skipif(not FEED_OF_2011.exists(), reason=f"the feed is not part of the project; it lies in {FEED_OF_2011}")
def test_all_500_requests_of_june_2011_are_submitted() -> None:
    city = load_city(city_path("san-francisco"))
    feed_of_city = load_feed(city_path("san-francisco"), city)
    items = json.loads(FEED_OF_2011.read_text(encoding="utf-8"))
    general = 0
    for item in items:
        data, occurred = request_from_open311(city, feed_of_city, item)
        assert is_submitted(data)
        assert occurred.endswith("-07:00")
        general += data["service_code"] == city.general_service

    assert len(items) == 500
    assert general == 22


@pytest.mark.skipif(not FEED_OF_2011.exists(), reason=f"the feed is not part of the project; it lies in {FEED_OF_2011}")
def test_feed_file_names_all_services_of_the_feed_and_no_others() -> None:
    import tomllib

    named = tomllib.loads((city_path("san-francisco") / "feed.toml").read_text(encoding="utf-8"))["services"]
    sent = {item["service_name"] for item in json.loads(FEED_OF_2011.read_text(encoding="utf-8"))}

    assert set(named) == sent
    assert len(sent) == 56
