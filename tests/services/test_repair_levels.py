"""A repair between the levels: silence goes up to the last of them, work is handed down again, partners may do less."""

from __future__ import annotations

from datetime import timedelta

import pytest

from bus.city import load_city
from bus.city.load import city_path
from schemas.types.cases import CaseEscalated
from schemas.types.requests import (
    RequestAcknowledged,
    RequestForwarded,
    RequestRated,
    RequestReopened,
    RequestResolved,
    RequestSubmitted,
)
from schemas.types.workorders import (
    WorkOrderAccepted,
    WorkOrderCompleted,
    WorkOrderDeclined,
    WorkOrderInspected,
    WorkOrderIssued,
    WorkOrderStarted,
    WorkOrderSuspended,
)
from tests.support.matter import Matter

CITY = load_city(city_path("denpasar"))
SERVICE, AREA = "road-damage", "51.71.01.1005"
CITIZENS, WARD = CITY.citizens_channel, CITY.inspector_of(AREA)
FIRST, PARTNER = CITY.candidates(SERVICE, AREA)[:2]
WITHIN = CITY.services[SERVICE].acknowledge_within


@pytest.fixture
def matter() -> Matter:
    """A request that has been submitted."""
    found = Matter(CITY)
    found.say(CITIZENS, RequestSubmitted(service_code=SERVICE, area=AREA))
    return found


def levels_above(agency: str) -> list[str]:
    found, above = [], CITY.parent_of(agency)
    while above is not None:
        found.append(above)
        above = CITY.parent_of(above)
    return found


def test_silence_climbs_every_level_in_turn_and_then_reminds(matter: Matter) -> None:
    way = levels_above(FIRST)
    assert way == ["city-secretariat", "bali-province"]
    for _ in range(len(way) + 2):
        matter.wait(WITHIN)
    asked = [event.recipient for event, _ in matter.sent(RequestForwarded)]
    assert asked == [FIRST, *way]
    assert [data.to_agency for _, data in matter.sent(CaseEscalated)] == [
        *way,
        CITY.default_agency,
        CITY.default_agency,
    ]
    assert [data.step for _, data in matter.sent(CaseEscalated)] == [1, 2, 3, 4]


def test_a_level_above_hands_the_matter_down_again_and_that_one_answers_for_it(matter: Matter) -> None:
    matter.wait(WITHIN)
    above = CITY.parent_of(FIRST)
    assert above is not None
    matter.say(above, RequestForwarded(agency="transport", service_code=SERVICE, area=AREA, reason="Kerjakan."))
    assert (matter.case().holder, matter.sent(RequestForwarded)[-1][0].recipient) == ("transport", "transport")
    matter.say("transport", RequestAcknowledged())
    assert (matter.state(), matter.case().executor) == ("ordered", "transport")


def test_the_nation_is_asked_where_the_catalogue_names_it_and_may_hand_down() -> None:
    service = next(code for code, one in CITY.services.items() if "river-basin-office" in one.responsible[0].agencies)
    matter = Matter(CITY)
    matter.say(CITIZENS, RequestSubmitted(service_code=service, area=AREA))
    while matter.case().holder != "river-basin-office":
        matter.say(
            matter.case().holder,
            RequestForwarded(agency="river-basin-office", service_code=service, area=AREA, reason="Sungai nasional."),
        )
    matter.say("river-basin-office", RequestForwarded(agency="public-works", service_code=service, area=AREA))
    matter.say("public-works", RequestAcknowledged())
    assert matter.case().executor == "public-works"


def test_a_partner_takes_orders_and_may_do_no_more(matter: Matter) -> None:
    matter.say(FIRST, RequestAcknowledged())
    matter.say(FIRST, WorkOrderDeclined(reason="No crew."))
    assert (matter.case().executor, matter.case().holder) == (PARTNER, FIRST), "the agency still answers for the case"
    for data in (WorkOrderAccepted(), WorkOrderStarted(), WorkOrderCompleted()):
        assert CITY.may_publish(PARTNER, data.registered.name, AREA) is None
        matter.say(PARTNER, data)
    matter.say(WARD, WorkOrderInspected())
    assert matter.said(RequestResolved).agency == PARTNER
    for kind in (RequestAcknowledged, RequestForwarded, WorkOrderInspected, RequestSubmitted):
        assert CITY.may_publish(PARTNER, kind.registered.name, AREA) is not None
    assert CITY.agencies[PARTNER].kind == "partner"


def test_a_partner_does_not_judge_its_own_work(matter: Matter) -> None:
    matter.say(FIRST, RequestAcknowledged())
    matter.say(FIRST, WorkOrderDeclined(reason="No crew."))
    for data in (WorkOrderAccepted(), WorkOrderCompleted()):
        matter.say(PARTNER, data)
    matter.say(PARTNER, WorkOrderInspected())
    assert [reason.code for reason in matter.refusals()[0].reasons] == ["not_your_case"]


def test_a_pause_stops_no_clock_and_whoever_is_above_hears_when_the_target_passes(matter: Matter) -> None:
    matter.say(FIRST, RequestAcknowledged())
    for data in (WorkOrderAccepted(), WorkOrderStarted()):
        matter.say(FIRST, data)
    due = matter.case().timers["resolve"]
    matter.say(FIRST, WorkOrderSuspended(reason="Menunggu PDAM.", responsible="water-utility"))
    assert (matter.state(), matter.case().timers["resolve"]) == ("suspended", due)
    matter.wait(CITY.services[SERVICE].resolve_within)
    assert matter.said(CaseEscalated).to_agency == CITY.parent_of(FIRST)
    matter.say(FIRST, WorkOrderStarted())
    assert matter.state() == "in_progress"


def resolved(matter: Matter) -> None:
    matter.say(FIRST, RequestAcknowledged())
    for data in (WorkOrderAccepted(), WorkOrderCompleted()):
        matter.say(FIRST, data)
    matter.say(WARD, WorkOrderInspected())


def test_a_request_is_reopened_within_its_period_and_not_after(matter: Matter) -> None:
    resolved(matter)
    matter.wait(timedelta(days=6))
    matter.say(CITIZENS, RequestReopened(reason="Lubang lagi."))
    assert (matter.state(), matter.said(WorkOrderIssued).attempt) == ("ordered", 2)
    late = Matter(CITY)
    late.say(CITIZENS, RequestSubmitted(service_code=SERVICE, area=AREA))
    resolved(late)
    late.wait(CITY.services[SERVICE].rate_within)
    late.say(CITIZENS, RequestReopened(reason="Lubang lagi."))
    assert [reason.code for reason in late.refusals()[0].reasons] == ["case_closed"]


def test_nobody_rates_what_is_not_resolved(matter: Matter) -> None:
    matter.say(CITIZENS, RequestRated(score=5))
    assert [reason.code for reason in matter.refusals()[0].reasons] == ["wrong_state"]
