"""The directory answers as its city's files say: who may say what, who is asked, who inspects, who hears."""

from __future__ import annotations

from datetime import timedelta
from pathlib import Path

import pytest

from bus.city import City, load_city
from schemas.failures import Misconfigured, Reason
from schemas.values import Money
from tests.city.control import changed_harbour, harbour

COMPLETED, INSPECTED, SUBMITTED = (
    "subak.workorder.completed.v1",
    "subak.workorder.inspected.v1",
    "subak.request.submitted.v1",
)


@pytest.fixture
def city() -> City:
    return harbour()


def refused(reason: Reason | None) -> tuple[str, str]:
    assert reason is not None
    return reason.code, reason.field


# -- who may say what


def test_agency_may_publish_what_its_patterns_cover_in_its_areas(city: City) -> None:
    assert city.may_publish("diver", COMPLETED, "h-1") is None
    assert city.may_publish("docks", COMPLETED, "h-2") is None
    assert city.may_publish("docks", COMPLETED, "h") is None


def test_event_without_a_place_is_judged_by_its_type_alone(city: City) -> None:
    assert city.may_publish("diver", COMPLETED, None) is None


def test_agency_may_not_publish_outside_its_areas(city: City) -> None:
    assert refused(city.may_publish("diver", COMPLETED, "h-2")) == ("area_not_allowed", "jurisdiction")
    assert refused(city.may_publish("docks", COMPLETED, "P")) == ("area_not_allowed", "jurisdiction")


def test_inspector_of_one_area_may_not_inspect_in_another(city: City) -> None:
    assert city.may_publish("quarter-old-quay", INSPECTED, "h-1") is None
    assert refused(city.may_publish("quarter-old-quay", INSPECTED, "h-2")) == ("area_not_allowed", "jurisdiction")


def test_area_that_nobody_knows_is_refused(city: City) -> None:
    assert refused(city.may_publish("docks", COMPLETED, "h-3")) == ("unknown_area", "jurisdiction")


def test_agency_may_not_publish_other_types(city: City) -> None:
    assert refused(city.may_publish("docks", SUBMITTED, "h")) == ("type_not_allowed", "type")


def test_types_of_the_bus_are_closed_to_agencies_whatever_their_patterns(city: City) -> None:
    assert city.agencies["diver"].publishes == ("subak.workorder.*",)
    assert refused(city.may_publish("diver", "subak.workorder.issued.v1", "h-1")) == ("type_not_allowed", "type")


def test_unknown_agency_may_publish_nothing(city: City) -> None:
    assert refused(city.may_publish("pirates", COMPLETED, "h")) == ("unknown_agency", "source")


def test_replay_is_for_operations_and_nobody_else(city: City) -> None:
    replay = "subak.case.replayrequested.v1"

    assert city.may_publish("operations", replay, "h-1") is None
    assert refused(city.may_publish("operations", COMPLETED, "h-1")) == ("type_not_allowed", "type")
    assert refused(city.may_publish("mayor", replay, "h-1")) == ("type_not_allowed", "type")


def test_refusal_says_what_to_do(city: City) -> None:
    reason = city.may_publish("diver", COMPLETED, "h-2")

    assert str(reason) == "jurisdiction: h-2 is not in the areas of diver. It speaks for h-1 only."


def test_strangers_cannot_fill_the_memory_of_answers(city: City) -> None:
    before = city.lookups._may_publish.cache_info().currsize
    for number in range(1000):
        city.may_publish(f"stranger-{number}", f"subak.any.thing{number}.v1", f"area{number}")
        city.may_publish("docks", COMPLETED, f"area{number}")
        city.may_publish("docks", f"subak.any.thing{number}.v1", "h")
        city.candidates(f"service{number}", f"area{number}")

    assert city.lookups._may_publish.cache_info().currsize == before
    assert city.lookups._candidates.cache_info().currsize <= len(city.services) * len(city.areas)


def test_replay_is_for_operations_even_where_a_pattern_covers_it(tmp_path: Path) -> None:
    old = 'name.en = "Archive"'
    city = load_city(changed_harbour(tmp_path, ("agencies.toml", old, f'{old}\npublishes = ["subak.case.*"]')))

    assert refused(city.may_publish("archive", "subak.case.replayrequested.v1", None)) == ("type_not_allowed", "type")


# -- who is asked


def test_candidates_stand_in_the_order_of_asking(city: City) -> None:
    assert city.candidates("quay", "h-1") == ("docks", "diver")


def test_nearest_area_decides_who_is_asked(city: City) -> None:
    assert city.candidates("quay", "h-2") == ("docks",)
    assert city.candidates("lamp", "h-2") == ("mayor",)
    assert city.candidates("lamp", "h") == ("docks", "mayor")


def test_unknown_place_is_asked_as_the_whole_city(city: City) -> None:
    assert city.candidates("lamp", None) == city.candidates("lamp", "nowhere") == city.candidates("lamp", "h")
    assert city.candidates("lamp", "P") == city.candidates("lamp", "h")


def test_unknown_service_is_asked_as_the_general_one(city: City) -> None:
    assert city.candidates("whale", "h-1") == city.candidates("other", "h-1") == ("mayor",)


# -- who inspects, who is above


def test_lowest_level_that_holds_the_area_inspects(city: City) -> None:
    assert city.inspector_of("h-1") == "quarter-old-quay"
    assert city.inspector_of("h-2") == "quarter-new-quay"


def test_whole_city_is_inspected_by_an_agency_that_may(city: City) -> None:
    assert city.inspector_of("h") == city.inspector_of(None) == city.inspector_of("nowhere") == "mayor"


def test_default_agency_inspects_before_others_of_its_level(tmp_path: Path) -> None:
    default = ("city.toml", 'default_agency = "mayor"', 'default_agency = "docks"')
    rights = ("agencies.toml", 'roles = ["provider"]', 'roles = ["provider", "approver", "inspector"]')
    city = load_city(changed_harbour(tmp_path, default, rights))

    assert list(city.agencies).index("mayor") < list(city.agencies).index("docks")
    assert city.inspector_of("h") == "docks"


def test_parents_lead_up_and_end(city: City) -> None:
    assert city.parent_of("diver") == "docks"
    assert city.parent_of("docks") == "mayor"
    assert city.parent_of("mayor") is None
    assert city.parent_of("pirates") is None


def test_area_lies_within_itself_and_all_that_hold_it(city: City) -> None:
    assert city.within("h-1", "h-1")
    assert city.within("h-1", "P")
    assert not city.within("h", "h-1")
    assert not city.within("nowhere", "h")


# -- who hears


def test_recipient_hears_of_a_command(city: City) -> None:
    heard = city.recipients("subak.workorder.issued.v1", "h-1", "docks", (), None)

    assert heard == ("archive", "docks")


def test_area_subscribers_hear_of_their_area(city: City) -> None:
    assert city.recipients("subak.request.assigned.v1", "h-1", None, (), None) == ("archive", "desk")
    assert city.recipients("subak.request.assigned.v1", "P", None, (), None) == ("archive",)


def test_event_without_a_known_place_concerns_the_whole_city(city: City) -> None:
    assert city.recipients("subak.request.assigned.v1", None, None, (), None) == ("archive", "desk")
    assert city.recipients("subak.request.assigned.v1", "nowhere", None, (), None) == ("archive", "desk")


def test_parties_hear_where_they_subscribed_as_parties(city: City) -> None:
    closed = "subak.request.closed.v1"

    assert city.recipients(closed, "h-1", None, ("docks", "diver"), None) == ("archive", "desk", "docks")
    assert city.recipients(closed, "h-1", None, (), None) == ("archive", "desk")


def test_inspector_of_the_area_hears_and_the_others_do_not(city: City) -> None:
    assert city.recipients(COMPLETED, "h-1", None, (), "docks") == ("archive", "quarter-old-quay")
    assert city.recipients(COMPLETED, "h", None, (), "docks") == ("archive", "mayor")


def test_sender_hears_of_its_own_event_only_as_recipient(city: City) -> None:
    assert city.recipients(SUBMITTED, "h-1", None, (), "desk") == ("archive", "docks")
    assert city.recipients(SUBMITTED, "h-1", "desk", (), "desk") == ("archive", "desk", "docks")


def test_subscription_to_services_hears_of_no_others(city: City) -> None:
    assert city.recipients(SUBMITTED, "h-1", None, (), "desk", "quay") == ("archive", "docks")
    assert city.recipients(SUBMITTED, "h-1", None, (), "desk", "lamp") == ("archive",)


def test_recipient_that_is_no_agency_gets_nothing(city: City) -> None:
    assert city.recipients("subak.workorder.issued.v1", "h-1", "pirates", ("pirates",), None) == ("archive",)


def test_personal_fields_are_for_the_entitled(city: City) -> None:
    assert city.entitled("desk")
    assert city.entitled("docks")
    assert not city.entitled("diver")
    assert not city.entitled("pirates")


# -- names, places, values


def test_source_and_agency_are_each_other_s_inverse(city: City) -> None:
    assert city.source_of("docks") == "urn:subak:harbour:docks"
    assert city.agency_of("urn:subak:harbour:docks") == "docks"
    assert city.agency_of("urn:subak:harbour:operations") == "operations"
    assert city.agency_of("urn:subak:harbour:gateway") is None
    assert city.agency_of("urn:subak:elsewhere:docks") is None


def test_topics_are_the_city_s_and_two_for_each_agency(city: City) -> None:
    topics = city.topics()

    assert topics[:5] == ("city-events", "city-cases", "city-rejected", "city-positions", "city-places")
    assert {"agency-docks-out", "agency-docks-in", "agency-operations-in"} <= set(topics)
    assert len(topics) == len(set(topics)) == 5 + 2 * len(city.agencies)


def test_bounds_hold_their_edges_and_no_swapped_point(city: City) -> None:
    assert city.contains(5.0, 54.0)
    assert not city.contains(53.2, 5.2)


def test_point_lies_in_the_area_with_the_nearest_centroid(city: City) -> None:
    assert city.area_at(5.3, 53.3) == "h-1"
    assert city.area_at(5.7, 53.7) == "h-2"


def test_files_are_read_as_they_stand(city: City) -> None:
    quay = city.services["quay"]

    assert city.text(city.name) == "Harbour"
    assert quay.acknowledge_within == timedelta(hours=4)
    assert quay.resolve_within == timedelta(weeks=2)
    assert quay.inspect_within == timedelta(hours=36)
    assert quay.rate_within == timedelta(days=7, hours=12)
    assert city.agencies["mayor"].approval_threshold == Money(amount="1000.00", currency="EUR")
    assert city.agencies["quarter-new-quay"].name == {"en": "Quarter New Quay"}
    assert [level.id for level in city.levels] == ["quarter", "city", "province"]
    assert city.zone.key == "Europe/Amsterdam"


def test_asking_for_an_agency_that_is_none_names_the_nearest(city: City) -> None:
    with pytest.raises(Misconfigured, match=r'harbour has no agency "dock"\. Did you mean "docks"\?'):
        city.agency("dock")
