"""The repair workflow's law: every case moves, whoever is silent; only who holds it moves it; it ends with a reason."""

from __future__ import annotations

from datetime import timedelta

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from bus.city import City, load_city
from bus.city.load import city_path
from bus.records import Output
from schemas.registry import EventData
from schemas.types.approvals import (
    ApprovalExpired,
    ApprovalGranted,
    ApprovalRefused,
    ApprovalRequested,
    ApprovalSentBack,
)
from schemas.types.cases import CaseEscalated
from schemas.types.requests import (
    RequestAcknowledged,
    RequestAssigned,
    RequestClosed,
    RequestCommented,
    RequestForwarded,
    RequestRated,
    RequestReopened,
    RequestResolved,
    RequestSubmitted,
    RequestWithdrawn,
)
from schemas.types.workorders import (
    WorkOrderAccepted,
    WorkOrderCancelled,
    WorkOrderCompleted,
    WorkOrderDeclined,
    WorkOrderDefectFound,
    WorkOrderInspected,
    WorkOrderInspectionRequested,
    WorkOrderIssued,
    WorkOrderStarted,
    WorkOrderSuspended,
)
from schemas.values import Attachment, Money, Point
from services.workflows.definition import CLOSED
from services.workflows.repair.steps import ORDERS_MAX
from tests.support.matter import Matter

CITY = load_city(city_path("denpasar"))
SERVICE, AREA = "road-damage", "51.71.01.1005"
CITIZENS = CITY.citizens_channel
FIRST, SECOND = CITY.candidates(SERVICE, AREA)[:2]
WARD = CITY.inspector_of(AREA)
FINANCE = CITY.approver
PLACE = Point(type="Point", coordinates=(115.23, -8.67))
REQUEST = RequestSubmitted(service_code=SERVICE, area=AREA, description="Lubang di jalan", location=PLACE)
CHEAP = Money(amount="1000", currency="IDR")
DEAR = Money(amount="900000000000", currency="IDR")
YEAR = timedelta(days=366)


@pytest.fixture
def matter() -> Matter:
    """A request that has been submitted."""
    found = Matter(CITY)
    found.say(CITIZENS, REQUEST)
    return found


def ordered(matter: Matter) -> Matter:
    matter.say(FIRST, RequestAcknowledged(estimate=CHEAP))
    return matter


def completed(matter: Matter) -> Matter:
    ordered(matter)
    for data in (WorkOrderAccepted(), WorkOrderStarted(), WorkOrderCompleted(cost=CHEAP)):
        matter.say(FIRST, data)
    return matter


def resolved(matter: Matter) -> Matter:
    completed(matter).say(WARD, WorkOrderInspected())
    return matter


def test_the_straight_way_from_request_to_rating(matter: Matter) -> None:
    resolved(matter).say(CITIZENS, RequestRated(score=5))
    kinds = [event.type.removeprefix("subak.").removesuffix(".v1") for event in matter.events()]
    assert kinds == [
        "request.forwarded", "request.assigned", "workorder.issued", "workorder.inspectionrequested",
        "request.resolved", "request.closed",
    ]  # fmt: skip
    closed = matter.said(RequestClosed)
    assert (closed.outcome, closed.agency, closed.cost) == ("rated", FIRST, CHEAP)
    assert matter.refusals() == []


def test_each_consequence_names_its_cause_its_case_and_its_place(matter: Matter) -> None:
    ordered(matter)
    forwarded, assigned = matter.sent(RequestForwarded)[0][0], matter.sent(RequestAssigned)[0][0]
    assert forwarded.recipient == FIRST
    assert matter.said(RequestForwarded).location == matter.said(WorkOrderIssued).location == PLACE
    assert {event.correlationid for event in matter.events()} == {forwarded.causationid}
    assert assigned.causationid != forwarded.causationid
    assert {event.jurisdiction for event in matter.events()} == {AREA}
    assert {event.workflowversion for event in matter.events()} == {"repair@2"}
    assert len({event.id for event in matter.events()}) == 3


def test_the_same_events_give_the_same_decisions_to_the_letter() -> None:
    def play() -> list[Output]:
        matter = Matter(CITY)
        matter.say(CITIZENS, RequestSubmitted(service_code=SERVICE, area=AREA))
        resolved(matter).wait(YEAR)
        return matter.outputs

    assert play() == play()


# -- approval


def test_an_estimate_above_the_threshold_needs_approval_before_anything_is_ordered(matter: Matter) -> None:
    matter.say(FIRST, RequestAcknowledged(estimate=DEAR))
    assert matter.state() == "awaiting_approval"
    assert matter.sent(WorkOrderIssued) == []
    event, asked = matter.sent(ApprovalRequested)[0]
    assert (event.recipient, asked.amount, asked.agency) == (FINANCE, DEAR, FIRST)
    matter.say(FINANCE, ApprovalGranted(amount=DEAR))
    assert matter.said(WorkOrderIssued).amount == DEAR


def test_an_estimate_in_another_currency_needs_approval(matter: Matter) -> None:
    matter.say(FIRST, RequestAcknowledged(estimate=Money(amount="1", currency="USD")))
    assert matter.state() == "awaiting_approval"


def test_a_refused_approval_ends_the_case_with_its_reason(matter: Matter) -> None:
    matter.say(FIRST, RequestAcknowledged(estimate=DEAR))
    matter.say(FINANCE, ApprovalRefused(reason="No budget left."))
    assert matter.state() == CLOSED
    assert (matter.said(RequestClosed).outcome, matter.said(RequestClosed).reason) == ("refused", "No budget left.")


def test_an_approval_sent_back_asks_the_agency_for_another_estimate(matter: Matter) -> None:
    matter.say(FIRST, RequestAcknowledged(estimate=DEAR))
    matter.say(FINANCE, ApprovalSentBack(reason="Too dear."))
    assert (matter.state(), matter.said(RequestForwarded).reason) == ("forwarded", "Too dear.")
    ordered(matter)
    assert matter.said(WorkOrderIssued).amount == CHEAP


def test_an_approver_who_is_silent_is_passed_over(matter: Matter) -> None:
    matter.say(FIRST, RequestAcknowledged(estimate=DEAR))
    matter.wait(CITY.services[SERVICE].approve_within)
    above = CITY.parent_of(FINANCE)
    assert above is not None
    assert matter.said(ApprovalExpired).agency == FIRST
    assert matter.said(CaseEscalated).to_agency == above
    matter.say(above, ApprovalGranted(amount=DEAR))
    assert matter.state() == "ordered"


# -- silence


def test_a_request_that_nobody_acknowledges_goes_up_the_levels_and_is_never_dropped(matter: Matter) -> None:
    matter.wait(CITY.services[SERVICE].acknowledge_within)
    above = CITY.parent_of(FIRST)
    assert matter.said(CaseEscalated).from_agency == FIRST
    assert matter.sent(RequestForwarded)[-1][0].recipient == above
    matter.wait(timedelta(days=60))
    assert matter.state() == "forwarded"
    assert len(matter.sent(CaseEscalated)) > 3, "the highest level is not reminded"
    matter.say(FIRST, RequestAcknowledged())  # late, but it was asked
    assert matter.state() == "ordered"


def test_an_order_that_is_not_answered_goes_to_the_next_agency(matter: Matter) -> None:
    ordered(matter).wait(CITY.services[SERVICE].acknowledge_within)
    assert matter.said(WorkOrderCancelled).agency == FIRST
    assert (matter.said(WorkOrderIssued).agency, matter.said(WorkOrderIssued).attempt) == (SECOND, 2)


def test_declined_by_all_ends_as_unserviceable_with_the_reason(matter: Matter) -> None:
    ordered(matter)
    for _ in range(20):
        if matter.state() == CLOSED:
            break
        matter.say(matter.case().executor, WorkOrderDeclined(reason="No crew."))
    assert matter.said(RequestClosed).outcome == "unserviceable"
    asked = [order.agency for _, order in matter.sent(WorkOrderIssued)]
    assert asked[:2] == [FIRST, SECOND]
    assert len(asked) == len(set(asked)), "somebody was asked twice"


def test_work_past_its_target_is_told_to_the_level_above_and_goes_on(matter: Matter) -> None:
    ordered(matter).say(FIRST, WorkOrderAccepted())
    matter.wait(CITY.services[SERVICE].resolve_within)
    assert (matter.state(), matter.said(CaseEscalated).to_agency) == ("accepted", CITY.parent_of(FIRST))


def test_an_inspection_that_nobody_makes_goes_up_once_and_then_counts_as_done(matter: Matter) -> None:
    completed(matter).wait(CITY.services[SERVICE].inspect_within)
    assert matter.said(CaseEscalated).to_agency == CITY.parent_of(WARD)
    asked = [event.recipient for event, _ in matter.sent(WorkOrderInspectionRequested)]
    assert asked == [WARD, CITY.parent_of(WARD)]
    matter.wait(CITY.services[SERVICE].inspect_within)
    assert matter.said(RequestResolved).status_notes == "Nobody inspected the work in time."


def test_whoever_is_nearest_is_asked_to_inspect_and_told_what_there_is_to_see(matter: Matter) -> None:
    photo = Attachment(url="https://media.example.org/f", media_type="image/jpeg", size_bytes=1, sha256="0" * 64)
    ordered(matter)
    for data in (WorkOrderAccepted(), WorkOrderCompleted(cost=CHEAP, status_notes="Paved.", attachments=(photo,))):
        matter.say(FIRST, data)
    ((event, asked),) = matter.sent(WorkOrderInspectionRequested)
    assert (event.recipient, asked.agency, asked.executor) == (WARD, WARD, FIRST)
    assert (asked.cost, asked.status_notes, asked.attachments) == (CHEAP, "Paved.", (photo,))
    assert (asked.location, asked.area) == (PLACE, AREA)
    assert asked.inspect_by is not None


def test_a_resolved_request_that_nobody_rates_closes_by_itself(matter: Matter) -> None:
    resolved(matter).wait(CITY.services[SERVICE].rate_within)
    assert matter.said(RequestClosed).outcome == "unrated"


# -- turns


def test_a_defect_orders_the_work_again(matter: Matter) -> None:
    completed(matter).say(WARD, WorkOrderDefectFound(description="It sinks again."))
    assert (matter.said(WorkOrderIssued).attempt, matter.said(WorkOrderIssued).description) == (2, "It sinks again.")


def test_work_that_is_never_good_is_ordered_a_bounded_number_of_times_and_then_a_person_must_decide(
    matter: Matter,
) -> None:
    completed(matter)
    for _ in range(ORDERS_MAX):
        matter.say(WARD, WorkOrderDefectFound(description="It sinks again."))
        for data in (WorkOrderAccepted(), WorkOrderStarted(), WorkOrderCompleted()):
            if matter.state() != CLOSED:
                matter.say(FIRST, data)
    assert [data.attempt for _, data in matter.sent(WorkOrderIssued)] == list(range(1, ORDERS_MAX + 1))
    assert (matter.state(), matter.said(RequestClosed).outcome) == (CLOSED, "unserviceable")


def test_a_reopened_request_is_worked_on_again(matter: Matter) -> None:
    resolved(matter).say(CITIZENS, RequestReopened(reason="Still there."))
    assert (matter.state(), matter.said(WorkOrderIssued).attempt) == ("ordered", 2)
    matter.wait(CITY.services[SERVICE].rate_within)
    assert matter.state() != CLOSED or matter.said(RequestClosed).outcome != "unrated", "the old timer still ran"


def test_a_withdrawal_takes_a_running_order_back(matter: Matter) -> None:
    ordered(matter).say(CITIZENS, RequestWithdrawn())
    assert (matter.state(), matter.said(WorkOrderCancelled).agency) == (CLOSED, FIRST)


@pytest.mark.parametrize("asked", ["approver", "inspector"])
def test_whoever_is_asked_for_a_decision_hears_that_the_case_ended_without_it(matter: Matter, asked: str) -> None:
    if asked == "approver":
        matter.say(FIRST, RequestAcknowledged(estimate=Money(amount="900000000", currency="IDR")))
    else:
        completed(matter)
    waits_for = CITY.approver if asked == "approver" else WARD
    matter.say(CITIZENS, RequestWithdrawn())
    event, _ = matter.sent(RequestClosed)[-1]
    parties = tuple(event.parties.split(",")) if event.parties else ()
    heard = CITY.recipients(event.type, event.jurisdiction, event.recipient, parties, None)
    assert {waits_for, FIRST, CITIZENS} <= set(heard)


def test_an_agency_may_say_whose_matter_it_is(matter: Matter) -> None:
    matter.say(FIRST, RequestForwarded(agency="transport", service_code=SERVICE, area=AREA, reason="A sign."))
    assert matter.sent(RequestForwarded)[-1][0].recipient == "transport"
    matter.say("transport", RequestAcknowledged())
    assert matter.said(WorkOrderIssued).agency == "transport"


def test_agencies_that_pass_a_request_round_and_round_cannot_do_so_for_ever(matter: Matter) -> None:
    agencies = [agency.id for agency in CITY.agencies.values() if agency.level == "city"]
    for agency in agencies * 2:
        matter.say(matter.case().holder, RequestForwarded(agency=agency, service_code=SERVICE, area=AREA))
    assert matter.case().holder == CITY.default_agency


def test_suspended_work_goes_on(matter: Matter) -> None:
    ordered(matter)
    for data in (WorkOrderAccepted(), WorkOrderSuspended(reason="Rain."), WorkOrderStarted(), WorkOrderCompleted()):
        matter.say(FIRST, data)
    assert matter.state() == "awaiting_inspection"


# -- what is refused


@pytest.mark.parametrize(
    ("agency", "data", "code"),
    [
        (SECOND, RequestAcknowledged(), "not_your_case"),
        (FIRST, WorkOrderCompleted(), "wrong_state"),
        (FIRST, RequestForwarded(agency="nobody", service_code=SERVICE, area=AREA), "unknown_agency"),
        (CITIZENS, RequestSubmitted(service_code=SERVICE, area=AREA), "wrong_state"),
    ],
)
def test_what_a_case_cannot_take_goes_back_to_its_sender_and_changes_nothing(
    matter: Matter, agency: str, data: EventData, code: str
) -> None:
    before = matter.case()
    matter.say(agency, data)
    assert [reason.code for refusal in matter.refusals() for reason in refusal.reasons] in (
        [code],
        ["not_for_this_case"],
    )
    notices = matter.events(topic=f"agency-{agency}-in")
    assert [notice.type for notice in notices] == ["subak.event.rejected.v1"]
    assert matter.case() == before


def test_an_event_for_an_unknown_case_is_refused(matter: Matter) -> None:
    matter.say(FIRST, WorkOrderStarted(), subject="0198c1a6-7d3a-7000-8000-0000000000ff")
    assert [reason.code for reason in matter.refusals()[0].reasons] == ["unknown_case"]


def test_an_event_for_a_closed_case_is_refused_and_told_so(matter: Matter) -> None:
    matter.say(CITIZENS, RequestWithdrawn())
    matter.say(FIRST, RequestAcknowledged())
    assert [reason.code for reason in matter.refusals()[0].reasons] == ["case_closed"]


# -- whatever happens

ANYTHING: list[EventData] = [
    RequestAcknowledged(estimate=CHEAP),
    RequestAcknowledged(estimate=DEAR),
    RequestForwarded(agency="transport", service_code=SERVICE, area=AREA),
    ApprovalGranted(amount=DEAR),
    ApprovalRefused(reason="no"),
    ApprovalSentBack(reason="again"),
    WorkOrderAccepted(),
    WorkOrderDeclined(reason="no"),
    WorkOrderStarted(),
    WorkOrderSuspended(reason="rain"),
    WorkOrderCompleted(),
    WorkOrderInspected(),
    WorkOrderDefectFound(description="crack"),
    RequestRated(score=1),
    RequestReopened(reason="still"),
    RequestWithdrawn(),
    RequestCommented(text="?"),
]
WHO = st.sampled_from(["holder", "executor", "approver", "inspector", "citizen", FIRST, "health"])
ACTS = st.lists(st.tuples(WHO, st.sampled_from(ANYTHING), st.integers(0, 40)), max_size=30)


def play(matter: Matter, who: str, data: EventData) -> str:
    """Somebody by their part in the case, or by name, says something. Returns which agency that is."""
    case = matter.case()
    role: str = {
        "holder": case.holder, "executor": case.executor or case.holder,
        "approver": (case.approvers or (FINANCE,))[-1], "inspector": (case.inspectors or (WARD,))[-1],
        "citizen": CITIZENS,
    }.get(who, who)  # fmt: skip
    matter.say(role, data)
    return role


@settings(max_examples=150, deadline=None)
@given(ACTS)
def test_no_open_case_is_ever_without_a_timer_and_silence_never_breaks_it(
    acts: list[tuple[str, EventData, int]],
) -> None:
    matter = Matter(CITY)
    matter.say(CITIZENS, RequestSubmitted(service_code=SERVICE, area=AREA))
    for who, data, days in acts:
        case = matter.case()
        if case.state == CLOSED:
            break
        play(matter, who, data)
        matter.wait(timedelta(days=days))
        case = matter.case()
        assert case.state == CLOSED or any(due > 0 for due in case.timers.values()), (case.state, case.timers)
    assert matter.logic.memory.parked == {}, "a decision failed"
    closings = matter.sent(RequestClosed)
    assert len(closings) == (matter.state() == CLOSED)


def test_the_city_given_is_the_only_city_known() -> None:
    other: City = load_city(city_path("san-francisco"))
    service = sorted(other.services)[0]
    matter = Matter(other)
    matter.say(other.citizens_channel, RequestSubmitted(service_code=service, area=other.area))
    assert matter.said(RequestForwarded).agency == other.candidates(service, other.area)[0]


def test_nobody_inspects_their_own_work() -> None:
    other: City = load_city(city_path("san-francisco"))
    executor = other.inspector_of(other.area)
    service = next(code for code in sorted(other.services) if other.candidates(code, other.area)[0] == executor)
    matter = Matter(other)
    matter.say(other.citizens_channel, RequestSubmitted(service_code=service, area=other.area))
    for data in (RequestAcknowledged(), WorkOrderAccepted(), WorkOrderCompleted()):
        matter.say(executor, data)
    assert matter.state() == "resolved", "the case waits for an inspector who is never told"
