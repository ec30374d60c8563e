"""Clashes of works: two agencies that are to open the same ground are both told, once, each about its own case."""

from __future__ import annotations

from datetime import timedelta

import pytest

from bus.city import load_city
from bus.city.load import city_path
from schemas.registry import EventData
from schemas.types.requests import RequestAcknowledged, RequestRated
from schemas.types.workorders import (
    WorkOrderAccepted,
    WorkOrderClashFound,
    WorkOrderCompleted,
    WorkOrderDeclined,
    WorkOrderInspected,
)
from tests.support.neighbours import AREA, Neighbours

CITY = load_city(city_path("denpasar"))
ROADS, WATER = "public-works", "water-utility"
WARD = CITY.inspector_of(AREA)
HERE = (115.2126, -8.6705)
NEAR = (115.2127, -8.6705)
"""11 m further east."""
FAR = (115.2136, -8.6705)
"""110 m further east."""
DONE: tuple[tuple[str, EventData], ...] = (
    (ROADS, WorkOrderAccepted()),
    (ROADS, WorkOrderCompleted()),
    (WARD, WorkOrderInspected()),
    (CITY.citizens_channel, RequestRated(score=5)),
)


def ordered(city: Neighbours, service: str, agency: str, at: tuple[float, float]) -> str:
    """A report for which that agency is under order."""
    case = city.report(service, at=at)
    city.say(agency, RequestAcknowledged(), subject=case)
    city.wait(timedelta(hours=1))
    return case


def test_the_road_that_was_paved_last_month_and_is_to_be_dug_up_is_told_to_both() -> None:
    city = Neighbours(CITY)
    paved = ordered(city, "road-damage", ROADS, HERE)
    for agency, data in DONE:
        city.say(agency, data, subject=paved)
    assert city.state(paved) == "closed"
    city.wait(timedelta(days=30))
    dug = ordered(city, "clean-water", WATER, NEAR)
    told = {event.recipient: (event.subject, data) for event, data in city.sent(WorkOrderClashFound)}
    assert set(told) == {ROADS, WATER}
    case, data = told[WATER]
    assert (case, data.other_agency, data.other_case, data.other_done) == (dug, ROADS, paved, True)
    assert data.metres == pytest.approx(11.0, abs=0.1)
    assert data.location is not None
    assert data.location.coordinates == HERE
    case, data = told[ROADS]
    assert (case, data.other_agency, data.other_case, data.other_done) == (paved, WATER, dug, False)
    assert len(city.sent(WorkOrderClashFound)) == 2
    assert city.refusals() == [], "the closed case was asked to take it"
    hearing = CITY.recipients(WorkOrderClashFound.registered.name, AREA, WATER, (), None)
    assert WATER in hearing


@pytest.mark.parametrize(
    ("service", "agency", "at"),
    [("clean-water", WATER, FAR), ("sidewalk", ROADS, NEAR), ("street-light", "transport", NEAR)],
    ids=["too far", "the same agency", "a service that touches nothing"],
)
def test_what_disturbs_nobody_is_no_clash(service: str, agency: str, at: tuple[float, float]) -> None:
    city = Neighbours(CITY)
    ordered(city, "road-damage", ROADS, HERE)
    ordered(city, service, agency, at)
    assert city.sent(WorkOrderClashFound) == []


def test_an_order_that_was_declined_clashes_with_nobody() -> None:
    city = Neighbours(CITY)
    case = ordered(city, "clean-water", WATER, HERE)
    city.say(WATER, WorkOrderDeclined(reason="No crew."), subject=case)
    assert city.case(case).executor != WATER
    ordered(city, "road-damage", ROADS, NEAR)
    assert WATER not in {data.other_agency for _, data in city.sent(WorkOrderClashFound)}


def test_works_after_the_period_clash_with_nobody_and_are_forgotten() -> None:
    assert CITY.nearby is not None
    city = Neighbours(CITY)
    case = ordered(city, "road-damage", ROADS, HERE)
    for agency, data in DONE:
        city.say(agency, data, subject=case)
    city.wait(timedelta(days=CITY.nearby.clash_days))
    due = city.places.next_due()
    assert due is not None
    assert due <= city.now
    city.places.apply(city.places.decide_due(city.now))
    assert city.places.sizes() == {"notes": 0, "matters": 0}
    ordered(city, "clean-water", WATER, NEAR)
    assert city.sent(WorkOrderClashFound) == []


def test_one_case_whose_orders_go_to_several_agencies_does_not_clash_with_itself() -> None:
    city = Neighbours(CITY)
    case = ordered(city, "road-damage", ROADS, HERE)
    city.say(ROADS, WorkOrderAccepted(), subject=case)
    city.say(ROADS, WorkOrderDeclined(reason="No crew."), subject=case)
    assert city.case(case).executor == "road-contractor"
    assert city.sent(WorkOrderClashFound) == []


def test_what_an_agency_says_of_another_s_order_changes_nothing() -> None:
    city = Neighbours(CITY)
    ordered(city, "road-damage", ROADS, HERE)
    case = ordered(city, "clean-water", WATER, FAR)
    city.say(ROADS, WorkOrderCompleted(), subject=case)  # refused by the case
    assert len(city.refusals()) == 1
    ordered(city, "road-damage", ROADS, (FAR[0], FAR[1] + 0.0001))
    assert [data.other_done for event, data in city.sent(WorkOrderClashFound) if event.recipient == ROADS] == [False]
