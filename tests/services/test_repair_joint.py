"""Works of several agencies: the pit is dug before the road is paved; what was begun is taken back in reverse."""

from __future__ import annotations

from datetime import timedelta

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from bus.city import load_city
from bus.city.load import city_path
from schemas.registry import EventData
from schemas.types.approvals import ApprovalGranted
from schemas.types.cases import CaseEscalated, CaseWarned
from schemas.types.requests import RequestAcknowledged, RequestClosed, RequestSubmitted, RequestWithdrawn
from schemas.types.workorders import (
    WorkOrderAccepted,
    WorkOrderCancelled,
    WorkOrderClashFound,
    WorkOrderCompleted,
    WorkOrderDeclined,
    WorkOrderDefectFound,
    WorkOrderInspected,
    WorkOrderInspectionRequested,
    WorkOrderIssued,
    WorkOrderStarted,
    WorkOrderSuspended,
)
from schemas.values import Money
from tests.support.matter import Matter
from tests.support.neighbours import AREA, Neighbours

CITY = load_city(city_path("denpasar"))
SERVICE = "pipe-under-road"
WATER, TRAFFIC, ROADS = "water-utility", "transport", "public-works"
WARD, CITIZENS = CITY.inspector_of(AREA), CITY.citizens_channel
WITHIN = CITY.services[SERVICE].acknowledge_within


def idr(amount: int) -> Money:
    return Money(amount=str(amount), currency="IDR")


@pytest.fixture
def matter() -> Matter:
    """A leaking pipe under a road, taken on by the water utility."""
    found = Matter(CITY)
    found.say(CITIZENS, RequestSubmitted(service_code=SERVICE, area=AREA, description="Pipa pecah"))
    found.say(WATER, RequestAcknowledged())
    return found


def does(matter: Matter, agency: str, cost: int | None = None) -> None:
    """An agency does its part."""
    done = WorkOrderCompleted(cost=idr(cost) if cost is not None else None)
    for data in (WorkOrderAccepted(), WorkOrderStarted(), done):
        matter.say(agency, data)


def ordered(matter: Matter) -> list[str]:
    return [data.agency for _, data in matter.sent(WorkOrderIssued)]


def test_a_step_is_ordered_of_all_its_agencies_at_once_and_the_next_when_all_have_done_theirs(matter: Matter) -> None:
    assert matter.state() == "joint_work"
    assert ordered(matter) == [WATER, TRAFFIC]
    assert [event.recipient for event, _ in matter.sent(WorkOrderIssued)] == [WATER, TRAFFIC]
    assert matter.said(WorkOrderIssued).description == (
        "Step 1 of 2 (water-utility, transport → public-works). Pipa pecah"
    )
    does(matter, WATER, cost=300)
    assert ordered(matter) == [WATER, TRAFFIC], "the road is paved before the pit is closed"
    does(matter, TRAFFIC)
    assert ordered(matter) == [WATER, TRAFFIC, ROADS]
    assert matter.sent(WorkOrderInspectionRequested) == [], "a part alone is nothing to inspect"
    does(matter, ROADS, cost=700)
    assert (matter.state(), matter.case().executor) == ("awaiting_inspection", ROADS)
    ((_, asked),) = matter.sent(WorkOrderInspectionRequested)
    assert (asked.agency, asked.executor, asked.cost) == (WARD, ROADS, idr(1000))
    matter.say(WARD, WorkOrderInspected())
    matter.wait(CITY.services[SERVICE].rate_within)
    closed = matter.said(RequestClosed)
    assert (closed.outcome, closed.cost) == ("unrated", idr(1000))
    heard = (matter.sent(RequestClosed)[0][0].parties or "").split(",")
    assert {WATER, TRAFFIC, ROADS} <= set(heard)
    assert matter.refusals() == []


def test_the_money_is_asked_for_before_anything_is_dug() -> None:
    matter = Matter(CITY)
    matter.say(CITIZENS, RequestSubmitted(service_code=SERVICE, area=AREA))
    matter.say(WATER, RequestAcknowledged(estimate=idr(900_000_000)))
    assert ordered(matter) == []
    matter.say(CITY.approver, ApprovalGranted(amount=idr(900_000_000)))
    assert ordered(matter) == [WATER, TRAFFIC]


def test_nobody_speaks_for_another_s_part_or_twice_for_its_own(matter: Matter) -> None:
    matter.say(ROADS, WorkOrderAccepted())  # its turn has not come
    matter.say(WATER, WorkOrderCompleted())  # it has not accepted
    does(matter, WATER)
    matter.say(WATER, WorkOrderCompleted())
    assert [reason.code for refusal in matter.refusals() for reason in refusal.reasons] == [
        "not_your_case", "wrong_state", "wrong_state",
    ]  # fmt: skip


def test_a_part_rests_while_the_others_go_on(matter: Matter) -> None:
    for data in (WorkOrderAccepted(), WorkOrderStarted(), WorkOrderSuspended(reason="Hujan.", responsible=TRAFFIC)):
        matter.say(WATER, data)
    does(matter, TRAFFIC)
    matter.say(WATER, WorkOrderStarted())
    matter.say(WATER, WorkOrderCompleted())
    assert ordered(matter)[-1] == ROADS


def test_a_part_that_is_declined_goes_up_and_the_others_go_on(matter: Matter) -> None:
    matter.say(TRAFFIC, WorkOrderDeclined(reason="No crew."))
    above = CITY.parent_of(TRAFFIC)
    assert above is not None
    assert (matter.said(CaseEscalated).to_agency, ordered(matter)[-1]) == (above, above)
    does(matter, WATER)
    does(matter, above)
    assert ordered(matter)[-1] == ROADS


def test_silence_is_a_no_for_each_part_that_is_not_answered(matter: Matter) -> None:
    matter.say(WATER, WorkOrderAccepted())
    matter.wait(WITHIN)
    assert [data.agency for _, data in matter.sent(WorkOrderCancelled)] == [TRAFFIC]
    assert matter.state() == "joint_work"
    assert {part.agency for part in matter.case().parts} == {WATER, CITY.parent_of(TRAFFIC)}


def test_where_a_part_finds_nobody_all_is_taken_back_the_newest_first(matter: Matter) -> None:
    does(matter, WATER)
    does(matter, TRAFFIC)
    for _ in range(10):
        if matter.state() == "closed":
            break
        matter.say(matter.case().parts[-1].agency, WorkOrderDeclined(reason="No asphalt."))
    assert matter.said(RequestClosed).outcome == "unserviceable"
    taken_back = [(data.agency, data.reason) for _, data in matter.sent(WorkOrderCancelled)]
    assert [agency for agency, _ in taken_back] == [TRAFFIC, WATER]
    assert all("make the site safe" in reason for _, reason in taken_back)


def test_a_withdrawal_takes_every_order_back_the_newest_first_and_says_what_is_to_be_made_safe(matter: Matter) -> None:
    does(matter, WATER)
    does(matter, TRAFFIC)
    matter.say(ROADS, WorkOrderAccepted())
    matter.say(CITIZENS, RequestWithdrawn())
    found = [(event.recipient, "make the site safe" in data.reason) for event, data in matter.sent(WorkOrderCancelled)]
    assert found == [(ROADS, False), (TRAFFIC, True), (WATER, True)]
    assert matter.state() == "closed"


def test_the_target_is_that_of_the_whole_and_each_agency_that_is_late_is_told(matter: Matter) -> None:
    does(matter, WATER)
    matter.say(TRAFFIC, WorkOrderAccepted())
    due = matter.case().timers["resolve"]
    matter.wait(CITY.services[SERVICE].resolve_within)
    assert [event.recipient for event, _ in matter.sent(CaseWarned)] == [TRAFFIC]
    assert matter.said(CaseEscalated).from_agency == TRAFFIC
    assert matter.case().timers["resolve"] > due


def test_a_defect_is_mended_by_the_agency_that_closed_the_ground(matter: Matter) -> None:
    for agency in (WATER, TRAFFIC, ROADS):
        does(matter, agency)
    matter.say(WARD, WorkOrderDefectFound(description="Aspal turun."))
    assert (matter.state(), ordered(matter)[-1]) == ("ordered", ROADS)


def test_the_agencies_of_one_case_do_not_clash_with_each_other() -> None:
    city = Neighbours(CITY)
    case = city.report(SERVICE, at=(115.2126, -8.6705))
    city.say(WATER, RequestAcknowledged(), subject=case)
    assert len(city.sent(WorkOrderIssued)) == 2
    assert city.sent(WorkOrderClashFound) == []


ANYTHING: list[EventData] = [
    WorkOrderAccepted(), WorkOrderDeclined(reason="no"), WorkOrderStarted(), WorkOrderSuspended(reason="rain"),
    WorkOrderCompleted(), WorkOrderCompleted(cost=idr(5)), WorkOrderInspected(), RequestWithdrawn(),
]  # fmt: skip
ACTS = st.lists(
    st.tuples(
        st.sampled_from([WATER, TRAFFIC, ROADS, WARD, CITIZENS, "city-secretariat", "bali-province"]),
        st.sampled_from(ANYTHING),
        st.integers(0, 3),
    ),
    max_size=40,
)


@settings(max_examples=150, deadline=None)
@given(ACTS)
def test_no_interleaving_begins_a_step_before_the_one_before_it_is_done_or_leaves_an_order_behind(
    acts: list[tuple[str, EventData, int]],
) -> None:
    matter = Matter(CITY)
    matter.say(CITIZENS, RequestSubmitted(service_code=SERVICE, area=AREA))
    matter.say(WATER, RequestAcknowledged())
    for agency, data, days in acts:
        case = matter.case()
        if case.state != "joint_work":
            break
        matter.say(agency, data)
        matter.wait(timedelta(days=days))
        case = matter.case()
        if case.state == "joint_work":
            first = [part for part in case.parts if part.step == 0]
            assert len(first) == 2
            assert all(part.state == "done" for part in first) or all(part.step == 0 for part in case.parts)
            assert any(due > 0 for due in case.timers.values())
    assert matter.logic.memory.parked == {}, "a decision failed"
    if matter.state() == "closed":
        open_orders = {data.agency for _, data in matter.sent(WorkOrderIssued)}
        cancelled = {data.agency for _, data in matter.sent(WorkOrderCancelled)}
        declined = set(declined_by(acts))
        assert open_orders <= cancelled | declined, "somebody still digs"


def declined_by(acts: list[tuple[str, EventData, int]]) -> list[str]:
    return [agency for agency, data, _ in acts if isinstance(data, WorkOrderDeclined)]
