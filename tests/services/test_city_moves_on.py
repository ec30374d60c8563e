"""The city's files change while cases are open: who was asked is no more, what was asked for is no more. None stalls.

An open case goes on with those who are there now, by the times that the city sets now. Where only a person can say how
it is to go on, the case is parked, and never stands in silence.
"""

from __future__ import annotations

from datetime import timedelta
from typing import Any

import pytest

from bus.city import City
from schemas.registry import EventData
from schemas.types.acts import ReplayRequested
from schemas.types.budgets import BudgetAppropriated, BudgetBilled, BudgetCeilingSet, BudgetClosed, BudgetPaid
from schemas.types.cases import CaseEscalated, CaseParked
from schemas.types.permits import PermitAccepted, PermitDecisionRequested, PermitRevoked
from schemas.types.proposals import ProposalEndorsed, ProposalSubmitted
from schemas.types.requests import RequestAcknowledged, RequestRated, RequestSubmitted
from schemas.types.workorders import (
    WorkOrderAccepted,
    WorkOrderCancelled,
    WorkOrderCompleted,
    WorkOrderInspected,
    WorkOrderIssued,
    WorkOrderStarted,
    WorkOrderSuspended,
)
from services.workflows.catalogue import WORKFLOWS
from services.workflows.definition import CLOSED
from services.workflows.logic import Workflows
from tests.services.test_permit import APPLICATION, CHANNEL, CONSULTED, GOOD, GRANTED, OFFICE, consulting, issued
from tests.services.test_repair import AREA, CITIZENS, CITY, FIRST, REQUEST, SECOND, SERVICE, WARD
from tests.services.test_repair_joint import SERVICE as JOINT
from tests.services.test_repair_joint import TRAFFIC, WATER
from tests.support.matter import Matter
from tests.support.musrenbang import FINANCE, PROPOSAL, WORKS, Musrenbang, idr

AT_WORK: dict[str, tuple[EventData, ...]] = {
    "accepted": (WorkOrderAccepted(),),
    "in_progress": (WorkOrderAccepted(), WorkOrderStarted()),
    "suspended": (WorkOrderAccepted(), WorkOrderStarted(), WorkOrderSuspended(reason="Hujan.")),
}


def changed(**fields: Any) -> City:
    """The city with other files."""
    return City(**{name: getattr(CITY, name) for name in City.model_fields} | fields)


def without_agency(*gone: str, **fields: Any) -> City:
    """The city without these agencies."""
    return changed(agencies={id: one for id, one in CITY.agencies.items() if id not in gone}, **fields)


def move(matter: Matter, city: City) -> None:
    """The stage is started anew with other files."""
    changelog = matter.changelog()
    matter.city = city
    matter.logic = Workflows(0, city=city, workflows=WORKFLOWS)
    matter.logic.restore(changelog)
    matter.logic.restore([])


def said(*said: tuple[str, EventData], about: EventData = REQUEST) -> Matter:
    """A request, and what is said of it in turn."""
    matter = Matter(CITY)
    matter.say(CITIZENS, about)
    for agency, data in said:
        matter.say(agency, data)
    assert matter.refusals() == []
    return matter


# -- an agency that is no more


@pytest.mark.parametrize("state", AT_WORK)
def test_work_of_an_agency_that_is_no_more_goes_to_the_next_when_its_target_passes(state: str) -> None:
    matter = said((FIRST, RequestAcknowledged()), *((FIRST, data) for data in AT_WORK[state]))
    assert matter.state() == state
    move(matter, without_agency(FIRST))
    matter.wait(CITY.services[SERVICE].resolve_within)
    assert (matter.state(), matter.said(WorkOrderIssued).agency) == ("ordered", SECOND)
    assert matter.said(WorkOrderCancelled).agency == FIRST, "its order stands in the case's timeline"
    for data in (*AT_WORK["in_progress"], WorkOrderCompleted()):
        matter.say(SECOND, data)
    assert (matter.state(), matter.refusals()) == ("awaiting_inspection", [])


def test_a_part_of_an_agency_that_is_no_more_goes_to_the_level_above_and_the_others_go_on() -> None:
    about = RequestSubmitted(service_code=JOINT, area=AREA)
    matter = said((WATER, RequestAcknowledged()), about=about)
    for agency in (WATER, TRAFFIC):
        for data in AT_WORK["in_progress"]:
            matter.say(agency, data)
    move(matter, without_agency(TRAFFIC))
    matter.wait(CITY.services[JOINT].resolve_within)
    parts = {part.agency: part.state for part in matter.case().parts}
    assert parts == {WATER: "in_progress", CITY.default_agency: "ordered"}
    assert (matter.state(), matter.said(WorkOrderIssued).agency) == ("joint_work", CITY.default_agency)


def test_the_keeper_of_the_money_has_another_name_and_the_budget_lines_go_with_it() -> None:
    matter = Matter(CITY)
    matter.say(
        FINANCE,
        BudgetCeilingSet(
            budget_line="1.03", name="Drainase", fiscal_year=2027, amount=idr(1000), agency=WORKS, area="51.71"
        ),
    )
    renamed = CITY.agencies[FINANCE].model_copy(update={"id": "treasury"})
    agencies = {
        "treasury" if id == FINANCE else id: renamed if id == FINANCE else one for id, one in CITY.agencies.items()
    }
    assert CITY.proposals is not None
    proposals = CITY.proposals.model_copy(update={"finance": "treasury"})
    move(matter, changed(agencies=agencies, proposals=proposals, approver="treasury"))
    matter.say("treasury", BudgetAppropriated(amount=idr(800)))
    assert (matter.case().appropriation, matter.refusals()) == ("800", [])
    matter.wait(timedelta(days=800))
    assert {data.to_agency for _, data in matter.sent(CaseEscalated)} <= set(agencies), "nobody hears that it is open"
    matter.say("treasury", BudgetClosed())
    assert matter.state() == CLOSED


def test_what_an_agency_that_is_no_more_has_built_is_billed_by_who_stands_in_for_all() -> None:
    found = Musrenbang().built()
    city = without_agency(WORKS)
    for number, before in enumerate(found.logics):
        found.logics[number] = Workflows(number, city=city, workflows=WORKFLOWS)
        found.logics[number].memory = before.memory
    found.told(city.default_agency, BudgetBilled(contract_id="C-1", invoice_id="I-1", amount=idr(150)))
    found.told(FINANCE, BudgetPaid(contract_id="C-1", payment_id="P-1", amount=idr(150)))
    assert found.case(PROPOSAL).state == "paid"


def test_an_application_to_an_office_that_is_no_more_is_put_to_the_office_that_is_there() -> None:
    matter = Matter(CITY)
    matter.say(CHANNEL, APPLICATION)
    consulting(matter)
    kind = CITY.permits["building-permit"].model_copy(update={"office": "city-secretariat"})
    move(matter, without_agency(OFFICE, permits={"building-permit": kind}))
    for agency in CONSULTED:
        matter.say(agency, GOOD)
    assert matter.said(PermitDecisionRequested).agency == "city-secretariat"
    matter.say("city-secretariat", GRANTED)
    assert (matter.state(), matter.refusals()) == ("granted", [])


def test_a_permit_of_an_office_that_is_no_more_is_in_the_hands_of_the_office_that_is_there() -> None:
    matter = Matter(CITY)
    matter.say(CHANNEL, APPLICATION)
    issued(matter)
    kind = CITY.permits["building-permit"].model_copy(update={"office": "city-secretariat"})
    move(matter, without_agency(OFFICE, permits={"building-permit": kind}))
    matter.say("city-secretariat", PermitRevoked(reason="Bangunan menyimpang."))
    assert (matter.state(), matter.refusals()) == (CLOSED, [])


# -- a service, a permit, a whole procedure that is no more


@pytest.mark.parametrize("steps", range(6))
def test_a_request_for_a_service_that_is_no_more_goes_on_by_the_times_of_the_general_one(steps: int) -> None:
    way = (
        (FIRST, RequestAcknowledged()),
        (FIRST, WorkOrderAccepted()),
        (FIRST, WorkOrderStarted()),
        (FIRST, WorkOrderCompleted()),
        (WARD, WorkOrderInspected()),
        (CITIZENS, RequestRated(score=4)),
    )
    matter = said(*way[:steps])
    move(matter, changed(services={code: one for code, one in CITY.services.items() if code != SERVICE}))
    for agency, data in way[steps:]:
        matter.say(agency, data)
    assert (matter.state(), matter.refusals(), matter.logic.memory.parked) == (CLOSED, [], {})


def test_a_deadline_of_a_permit_that_the_city_no_longer_has_is_not_lost() -> None:
    matter = Matter(CITY)
    matter.say(CHANNEL, APPLICATION)
    move(matter, changed(permits={}))
    matter.wait(timedelta(days=60))
    assert list(matter.logic.memory.parked) == [matter.id], "its only deadline passed, and nobody heard of it"
    assert "Put it back" in matter.said(CaseParked).error
    move(matter, CITY)
    matter.say("operations", ReplayRequested(reason="It is back."))
    assert matter.said(CaseEscalated).from_agency == OFFICE
    matter.say(OFFICE, PermitAccepted())
    assert (matter.state(), matter.refusals()) == ("consulting", [])


def test_a_deadline_of_a_proposal_in_a_city_that_takes_none_any_more_is_not_lost() -> None:
    matter = Matter(CITY)
    matter.say(WARD, ProposalSubmitted(title="Saluran", service_code="drain", area=AREA))
    move(matter, changed(proposals=None))
    matter.wait(timedelta(days=60))
    assert list(matter.logic.memory.parked) == [matter.id]
    move(matter, CITY)
    matter.say("operations", ReplayRequested(reason="It is back."))
    matter.say(WARD, ProposalEndorsed())
    assert (matter.state(), matter.refusals()) == ("endorsed", [])
