"""What comes at the wrong moment, too late, or of a place that is no more changes nothing that stands.

Its sender and the operator read why, in one sentence with a code; where time or the city moved on, the case does too.
"""

from __future__ import annotations

import shutil
from datetime import timedelta

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from bus.city import City, city_path, load_city
from schemas.registry import EventData
from schemas.types.approvals import ApprovalGranted, ApprovalRefused, ApprovalRequested, ApprovalSentBack
from schemas.types.cases import CaseEscalated, TimerFired
from schemas.types.proposals import ProposalEndorsed, ProposalSubmitted
from schemas.types.requests import (
    RequestAcknowledged,
    RequestClosed,
    RequestForwarded,
    RequestRated,
    RequestSubmitted,
    RequestWithdrawn,
)
from schemas.types.workorders import (
    WorkOrderAccepted,
    WorkOrderCompleted,
    WorkOrderDeclined,
    WorkOrderInspected,
    WorkOrderIssued,
    WorkOrderStarted,
)
from services.workflows.catalogue import WORKFLOWS
from services.workflows.definition import CLOSED
from services.workflows.logic import Workflows
from tests.services.test_repair import AREA, CITIZENS, CITY, DEAR, FINANCE, FIRST, REQUEST, SECOND, SERVICE, WARD
from tests.support.matter import Matter

ESTIMATED = (FIRST, RequestAcknowledged(estimate=DEAR))
GRANTED = (FINANCE, ApprovalGranted(amount=DEAR))
AT_WORK = ((FIRST, WorkOrderAccepted()), (FIRST, WorkOrderStarted()))
REFUSED = (FINANCE, ApprovalRefused(reason="Anggaran habis."))


def played(*said: tuple[str, EventData], city: City = CITY) -> Matter:
    """A request, and what is said of it in turn."""
    matter = Matter(city)
    matter.say(CITIZENS, REQUEST)
    for agency, data in said:
        matter.say(agency, data)
    assert matter.refusals() == []
    return matter


@pytest.mark.parametrize(
    ("before", "late", "state"),
    [
        pytest.param((), GRANTED, "forwarded", id="approval before anybody asked for it"),
        pytest.param((ESTIMATED, GRANTED), GRANTED, "ordered", id="a second grant"),
        pytest.param((ESTIMATED, GRANTED), REFUSED, "ordered", id="refusal after the grant"),
        pytest.param((ESTIMATED, GRANTED, *AT_WORK), REFUSED, "in_progress", id="refusal after the work began"),
        pytest.param((ESTIMATED, GRANTED, *AT_WORK), GRANTED, "in_progress", id="grant after the work began"),
        pytest.param(
            (ESTIMATED, GRANTED, *AT_WORK),
            (FINANCE, ApprovalSentBack(reason="?")),
            "in_progress",
            id="sent back after the work began",
        ),
        pytest.param((), (FIRST, WorkOrderAccepted()), "forwarded", id="an order accepted that nobody gave"),
        pytest.param((ESTIMATED,), (FIRST, WorkOrderStarted()), "awaiting_approval", id="work before its approval"),
    ],
)
def test_what_comes_at_the_wrong_moment_is_refused_and_its_sender_and_the_operator_read_why(
    before: tuple[tuple[str, EventData], ...], late: tuple[str, EventData], state: str
) -> None:
    matter = played(*before)
    stood, written = matter.case(), len(matter.events())
    matter.say(*late)
    assert (matter.case(), matter.state()) == (stood, state)
    assert len(matter.events()) == written, "something followed from it"
    (refusal,) = matter.refusals()
    (reason,) = refusal.reasons
    assert reason.code == "wrong_state"
    assert reason.problem.startswith(f"the case is in the state {state}")
    assert refusal.event_type == late[1].registered.name
    (told,) = matter.events(topic=f"agency-{late[0]}-in")
    assert (told.type, told.subject) == ("subak.event.rejected.v1", matter.id)


@pytest.mark.parametrize(
    ("agency", "data"),
    [(SECOND, WorkOrderStarted()), (WARD, ApprovalGranted(amount=DEAR)), (SECOND, ApprovalRefused(reason="no"))],
)
def test_whoever_is_not_asked_in_this_state_is_refused_with_the_agency_that_is(agency: str, data: EventData) -> None:
    matter = played(ESTIMATED, *([GRANTED, AT_WORK[0]] if isinstance(data, WorkOrderStarted) else []))
    stood = matter.case()
    matter.say(agency, data)
    (reason,) = matter.refusals()[0].reasons
    assert (reason.code, matter.case()) == ("not_your_case", stood)
    asked = FIRST if isinstance(data, WorkOrderStarted) else FINANCE
    assert asked in reason.problem + reason.fix
    assert [event.type for event in matter.events(topic=f"agency-{agency}-in")] == ["subak.event.rejected.v1"]


# -- a stage that was away


def back_again(matter: Matter, after: timedelta) -> None:
    """The stage is stopped, nothing runs meanwhile, and another process reads it back."""
    changelog = matter.changelog()
    matter.now += after
    matter.logic = Workflows(0, city=matter.city, workflows=WORKFLOWS)
    matter.logic.restore(changelog)
    matter.logic.restore([])


def test_a_deadline_that_passed_while_the_stage_was_away_for_a_day_counts_once_and_gives_its_whole_time_anew() -> None:
    matter = played()
    due = matter.logic.next_due()
    assert due is not None
    back_again(matter, due + timedelta(days=1) - matter.now)
    matter.wait(timedelta(0))
    fired = [data for _, data in matter.sent(TimerFired)]
    assert [(one.timer, one.due) for one in fired] == [("acknowledge", due)], "it fires once, and says when it was due"
    assert [data.to_agency for _, data in matter.sent(CaseEscalated)] == ["city-secretariat"]
    within = CITY.services[SERVICE].acknowledge_within
    asked = matter.said(RequestForwarded)
    assert asked.agency == "city-secretariat"
    assert asked.acknowledge_by == CITY.calendar.due(matter.now, within), (
        "the next one's time had run before it was asked"
    )
    matter.say("city-secretariat", RequestAcknowledged())
    assert (matter.state(), matter.refusals()) == ("ordered", [])


def test_who_answered_while_the_stage_was_away_was_in_time_by_what_stood_in_the_log_first() -> None:
    matter = played()
    due = matter.logic.next_due()
    assert due is not None
    back_again(matter, due + timedelta(days=1) - matter.now)
    fired = matter.logic.decide_due(matter.now)  # as a lane does: first what is due, then what waits in the log
    matter.logic.apply(fired)
    matter.outputs += fired.outputs
    matter.say(FIRST, RequestAcknowledged())
    assert matter.state() == "ordered"
    assert matter.sent(CaseEscalated) == []


# -- a place that is no more


@pytest.fixture(scope="module")
def parted(tmp_path_factory: pytest.TempPathFactory) -> City:
    """Denpasar after a decree: Renon is two wards, and neither has its code."""
    folder = tmp_path_factory.mktemp("decree") / "denpasar"
    shutil.copytree(city_path("denpasar"), folder, ignore=shutil.ignore_patterns("adapters"))
    areas = folder / "areas.csv"
    text = areas.read_text("utf-8")
    line = f"{AREA},Renon,ward,\n"
    assert line in text
    two = "51.71.01.1011,Renon Kaja,ward,\n51.71.01.1012,Renon Kelod,ward,\n"
    areas.write_text(text.replace(line, two), "utf-8")
    return load_city(folder)


def test_an_area_that_was_parted_is_refused_at_the_door_and_opens_nothing(parted: City) -> None:
    for agency, data in (
        (CITIZENS, RequestSubmitted(service_code=SERVICE, area=AREA)),
        ("desa-sidakarya", ProposalSubmitted(title="Jalan", service_code=SERVICE, area=AREA)),
    ):
        reason = parted.may_publish(agency, data.registered.name, AREA)
        assert reason is not None
        assert (reason.code, reason.problem) == ("unknown_area", f"denpasar has no area '{AREA}'")
    matter = Matter(parted)
    matter.say("planning", ProposalSubmitted(title="Jalan", service_code=SERVICE, area=AREA))
    assert (matter.refusals()[0].reasons[0].code, matter.case()) == ("unknown_area", None)


@pytest.mark.parametrize("steps", range(6))
def test_a_case_of_an_area_that_was_parted_ends_with_those_who_are_there(parted: City, steps: int) -> None:
    way = (
        (FIRST, RequestAcknowledged()),
        *AT_WORK,
        (FIRST, WorkOrderCompleted()),
        (WARD, WorkOrderInspected()),
        (CITIZENS, RequestRated(score=4)),
    )
    matter = played(*way[:steps])
    matter.city = parted
    back_again(matter, timedelta(hours=1))
    for agency, data in way[steps:-2]:
        matter.say(agency, data)
    if steps <= 4:
        assert matter.state() == "awaiting_inspection"
        matter.wait(timedelta(days=30))  # whoever was asked is an agency no more, or is asked as the city's inspector
    matter.wait(timedelta(days=366))
    assert (matter.state(), matter.logic.memory.parked, matter.refusals()) == (CLOSED, {}, [])
    assert matter.said(RequestClosed).outcome in ("rated", "unrated")


def test_a_proposal_whose_office_is_gone_is_put_to_the_one_above(parted: City) -> None:
    matter = Matter(CITY)
    matter.say(WARD, ProposalSubmitted(title="Saluran", service_code="drain", area=AREA))
    matter.city = parted
    back_again(matter, timedelta(hours=1))
    matter.wait(timedelta(days=20))
    told = matter.said(CaseEscalated)
    assert (told.from_agency, told.to_agency) == (WARD, parted.default_agency)
    matter.say(parted.default_agency, ProposalEndorsed())
    assert (matter.state(), matter.refusals()) == ("endorsed", [])


# -- two at once

TOGETHER: tuple[tuple[str, EventData], ...] = (
    GRANTED,
    REFUSED,
    (FINANCE, ApprovalSentBack(reason="?")),
    (CITIZENS, RequestWithdrawn()),
    (FIRST, WorkOrderAccepted()),
    (FIRST, WorkOrderDeclined(reason="no")),
    (FIRST, WorkOrderStarted()),
    (SECOND, WorkOrderAccepted()),
)


@settings(deadline=None)
@given(st.permutations(TOGETHER))
def test_whoever_is_first_in_the_log_is_heard_and_each_of_the_others_is_answered(
    said: list[tuple[str, EventData]],
) -> None:
    matter = played(ESTIMATED)
    for one in said:
        matter.say(*one)
    decided = [data for kind in (ApprovalRequested, WorkOrderIssued, RequestClosed) for _, data in matter.sent(kind)]
    assert decided
    assert len(matter.sent(RequestClosed)) == (matter.state() == CLOSED)
    told = [event for name in {FINANCE, FIRST, SECOND, CITIZENS} for event in matter.events(topic=f"agency-{name}-in")]
    assert len(told) == len(matter.refusals()), "somebody was refused and not told"
    assert matter.logic.memory.parked == {}
    if matter.sent(WorkOrderIssued):
        first = next(data for agency, data in said if agency in (FINANCE, CITIZENS))
        assert isinstance(first, ApprovalGranted), "work was ordered that was not approved first"
