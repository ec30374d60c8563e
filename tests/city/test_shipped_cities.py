"""The cities that come with Subak: everyone is answered for, everywhere, and nobody hears what is not theirs."""

from __future__ import annotations

from functools import cache

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from bus.city import City, city_path, load_city
from bus.city.load import CITIES
from bus.city.model import OPERATIONS_TYPES
from schemas.failures import Misconfigured
from schemas.registry import registry
from tests.city.control import HARBOUR, harbour

SHIPPED = sorted(path.parent.name for path in CITIES.glob("*/city.toml"))


@cache
def shipped(name: str) -> City:
    return load_city(city_path(name))


CITIES_TO_ASK = [*map(shipped, SHIPPED), harbour()]

cities = st.sampled_from(CITIES_TO_ASK)
types = st.sampled_from([known.name for known in registry])


@st.composite
def city_and_places(draw: st.DrawFn) -> tuple[City, str | None, str]:
    city = draw(cities)
    area = draw(st.none() | st.sampled_from(sorted(city.areas)) | st.text(max_size=5))
    return city, area, draw(st.sampled_from(sorted(city.services)) | st.text(max_size=5))


@pytest.mark.parametrize("name", SHIPPED)
def test_city_bears_the_name_of_its_folder(name: str) -> None:
    assert shipped(name).id == name


def test_two_cities_come_with_subak() -> None:
    assert len(SHIPPED) >= 2


@settings(deadline=None)  # the machine may be busy: no test is timed
@given(city_and_places())
def test_every_service_has_somebody_to_ask_everywhere(asked: tuple[City, str | None, str]) -> None:
    city, area, service = asked

    candidates = city.candidates(service, area)

    assert candidates
    for candidate in candidates:
        place = area if area is not None and area in city.areas and city.within(area, city.area) else city.area
        assert city.may_publish(candidate, "subak.workorder.completed.v1", place) is None
    assert city.may_publish(candidates[0], "subak.request.acknowledged.v1", None) is None


@pytest.mark.parametrize("city", CITIES_TO_ASK, ids=lambda city: city.id)
def test_every_way_up_ends(city: City) -> None:
    for agency in city.agencies:
        way = [agency]
        while (parent := city.parent_of(way[-1])) is not None:
            assert parent in city.agencies
            assert parent not in way
            way.append(parent)


@pytest.mark.parametrize("city", CITIES_TO_ASK, ids=lambda city: city.id)
def test_every_area_of_the_city_has_an_inspector_that_may_say_so(city: City) -> None:
    for area in city.areas:
        if not city.within(area, city.area):
            continue
        inspector = city.inspector_of(area)
        assert city.may_publish(inspector, "subak.workorder.inspected.v1", area) is None
        assert city.may_publish(inspector, "subak.workorder.defectfound.v1", area) is None


@settings(max_examples=300, deadline=None)
@given(city_and_places(), types, st.data())
def test_who_hears_is_an_agency_and_told_once(
    asked: tuple[City, str | None, str], event_type: str, data: st.DataObject
) -> None:
    city, area, service = asked
    ids = st.sampled_from(sorted(city.agencies))
    recipient, sender = data.draw(st.none() | ids), data.draw(st.none() | ids)
    parties = tuple(data.draw(st.lists(ids, max_size=3)))

    heard = city.recipients(event_type, area, recipient, parties, sender)

    assert set(heard) <= set(city.agencies)
    assert list(heard) == sorted(set(heard))
    assert recipient is None or recipient in heard
    assert sender is None or sender == recipient or sender not in heard
    assert set(city.recipients(event_type, area, recipient, parties, sender, service)) <= set(heard)
    assert heard == city.recipients(event_type, area, recipient, parties[::-1], sender)


@pytest.mark.parametrize("city", CITIES_TO_ASK, ids=lambda city: city.id)
def test_no_agency_publishes_what_is_the_bus_s(city: City) -> None:
    for known in registry:
        for agency in city.agencies:
            if known.publisher == "bus":
                assert city.may_publish(agency, known.name, None) is not None
            elif agency == "operations" or known.name in OPERATIONS_TYPES:
                allowed = city.may_publish(agency, known.name, None) is None
                assert allowed == (agency == "operations" and known.name in OPERATIONS_TYPES)


@pytest.mark.parametrize("name", SHIPPED)
def test_deliveries_of_a_repair_stay_few(name: str) -> None:
    """A case that runs straight through: at most two agencies beside the addressee hear of each event."""
    city = shipped(name)
    for area in (code for code in city.areas if city.within(code, city.area)):
        for known in registry:
            heard = city.recipients(known.name, area, None, ("public-works",), None)
            assert len(heard) <= 2, (known.name, area, heard)


@pytest.mark.parametrize("name", SHIPPED)
def test_partners_see_no_personal_fields_and_decide_nothing(name: str) -> None:
    city = shipped(name)
    for agency in city.agencies.values():
        if agency.kind == "partner":
            assert not city.entitled(agency.id)
            assert city.may_publish(agency.id, "subak.approval.granted.v1", None) is not None
            assert city.may_publish(agency.id, "subak.request.submitted.v1", None) is not None


@pytest.mark.parametrize("name", SHIPPED)
def test_every_provider_has_a_threshold_and_every_service_a_description_of_its_languages(name: str) -> None:
    city = shipped(name)
    for service in city.services.values():
        assert set(service.service_name) == set(city.languages)
        for responsibility in service.responsible:
            assert all(city.agencies[id].approval_threshold is not None for id in responsibility.agencies)


def test_denpasar_has_its_areas_agencies_and_services() -> None:
    city = shipped("denpasar")
    levels = [area.level for area in city.areas.values()]

    assert (levels.count("district"), levels.count("village"), levels.count("ward")) == (4, 27, 16)
    assert len(city.services) >= 24
    assert sum(agency.level in ("village", "ward") for agency in city.agencies.values()) == 43
    assert [agency.id for agency in city.agencies.values() if agency.kind == "partner"] == [
        "road-contractor",
        "animal-welfare",
    ]
    assert city.parent_of("desa-sidakarya") == "kecamatan-denpasar-selatan"
    assert city.inspector_of("51.71.01.1005") == "kelurahan-renon"
    assert city.within("51.71.01.1005", "ID")


def test_city_of_one_level_has_inspectors_candidates_and_an_end_of_escalation() -> None:
    city = shipped("san-francisco")

    assert len(city.levels) == len(city.areas) == 1
    assert city.inspector_of(city.area) == city.default_agency == city.parent_of("public-works")
    assert city.candidates("sewer", city.area) == ("utilities", "public-works")


def test_city_is_found_by_name_or_by_folder() -> None:
    assert city_path("denpasar") == CITIES / "denpasar"
    assert city_path(str(HARBOUR)) == HARBOUR


def test_city_that_is_neither_names_the_nearest() -> None:
    with pytest.raises(Misconfigured, match=r'neither a folder nor a city.*Did you mean "denpasar"\?'):
        city_path("denpassar")
