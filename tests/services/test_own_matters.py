"""Nobody decides in its own matter, nobody keeps a case by passing it round, and a full queue loses no deadline."""

from __future__ import annotations

from datetime import timedelta

import pytest

from schemas.types.acts import DiscardRequested, ReplayRequested
from schemas.types.approvals import ApprovalGranted, ApprovalRequested, ApprovalSentBack
from schemas.types.cases import CaseEscalated, CaseParked
from schemas.types.requests import RequestAcknowledged, RequestCommented, RequestForwarded, RequestSubmitted
from schemas.types.workorders import WorkOrderAccepted, WorkOrderCompleted, WorkOrderDeclined, WorkOrderInspected
from services.workflows import logic
from services.workflows.repair import joint, opening
from services.workflows.repair.opening import FORWARDS_MAX
from tests.services.test_city_moves_on import changed, said
from tests.services.test_parking import defect
from tests.services.test_repair import AREA, CITIZENS, CITY, DEAR, FINANCE, FIRST, REQUEST, SECOND, SERVICE, WARD
from tests.services.test_repair_joint import ROADS, TRAFFIC, WATER, does
from tests.services.test_repair_joint import SERVICE as JOINT
from tests.support.matter import Matter


def under(agency: str, parent: str) -> Matter:
    """A city where `agency` stands under `parent`, and nothing has happened."""
    moved = CITY.agencies[agency].model_copy(update={"parent": parent})
    return Matter(changed(agencies={**CITY.agencies, agency: moved}))


def test_whoever_did_the_work_does_not_inspect_it_in_the_place_of_a_silent_inspector() -> None:
    matter = under(WARD, FIRST)
    matter.say(CITIZENS, REQUEST)
    for data in (RequestAcknowledged(), WorkOrderAccepted(), WorkOrderCompleted()):
        matter.say(FIRST, data)
    matter.wait(CITY.services[SERVICE].inspect_within)
    assert matter.case().inspectors == (WARD, CITY.parent_of(FIRST))
    matter.say(FIRST, WorkOrderInspected())
    assert (matter.state(), matter.refusals()[0].reasons[0].code) == ("awaiting_inspection", "not_your_case")


def test_whoever_asks_for_money_does_not_grant_it_in_the_place_of_a_silent_approver() -> None:
    matter = under(FINANCE, FIRST)
    matter.say(CITIZENS, REQUEST)
    matter.say(FIRST, RequestAcknowledged(estimate=DEAR))
    matter.wait(CITY.services[SERVICE].approve_within)
    assert matter.case().approvers == (FINANCE, CITY.parent_of(FIRST))
    matter.say(FIRST, ApprovalGranted(amount=DEAR))
    assert (matter.state(), matter.refusals()[0].reasons[0].code) == ("awaiting_approval", "not_your_case")


def test_what_was_sent_back_is_not_ordered_by_saying_no_estimate_at_all() -> None:
    matter = said((FIRST, RequestAcknowledged(estimate=DEAR)), (FINANCE, ApprovalSentBack(reason="Terlalu mahal.")))
    matter.say(FIRST, RequestAcknowledged())
    assert (matter.state(), len(matter.sent(ApprovalRequested))) == ("awaiting_approval", 2)
    assert matter.said(ApprovalRequested).amount == DEAR


def test_two_that_pass_a_request_to_each_other_do_not_keep_it_for_ever() -> None:
    matter = said()
    pair = [FIRST, CITY.candidates("street-light", AREA)[0]]
    assert len(set(pair)) == 2
    for turn in range(FORWARDS_MAX + 1):
        forwarded = RequestForwarded(agency=pair[(turn + 1) % 2], service_code=SERVICE, area=AREA)
        matter.say(pair[turn % 2], forwarded)
    assert (matter.case().holder, matter.refusals()) == (CITY.default_agency, [])
    matter.say(FIRST, RequestForwarded(agency=SECOND, service_code=SERVICE, area=AREA))
    assert matter.case().holder == CITY.default_agency, "it keeps it"


def test_an_agency_that_passes_a_request_to_itself_gains_no_time() -> None:
    matter = said()
    due = matter.case().timers["acknowledge"]
    matter.wait(timedelta(hours=1))
    matter.say(FIRST, RequestForwarded(agency=FIRST, service_code=SERVICE, area=AREA))
    assert matter.refusals()[0].reasons[0].code == "holds_it_already"
    assert matter.case().timers["acknowledge"] == due


def test_an_agency_that_took_a_part_for_another_does_its_own_part_later() -> None:
    matter = under(WATER, ROADS)
    matter.say(CITIZENS, RequestSubmitted(service_code=JOINT, area=AREA))
    matter.say(WATER, RequestAcknowledged())
    matter.say(WATER, WorkOrderDeclined(reason="Tidak ada alat."))
    does(matter, ROADS)
    does(matter, TRAFFIC)
    assert [(part.agency, part.step) for part in matter.case().parts] == [(TRAFFIC, 0), (ROADS, 0), (ROADS, 1)]
    does(matter, ROADS)
    assert (matter.logic.memory.parked, matter.refusals()) == ({}, [])
    assert matter.state() == "awaiting_inspection"


def test_a_parked_case_that_is_full_still_keeps_its_deadline(monkeypatch: pytest.MonkeyPatch) -> None:
    matter = said()
    monkeypatch.setattr(logic, "PARKED_MAX", 1)
    with monkeypatch.context() as broken:
        broken.setattr(joint, "order", defect)
        matter.say(FIRST, RequestAcknowledged())
    matter.say(CITIZENS, RequestCommented(text="Sudah?"))
    assert matter.refusals()[0].reasons[0].code == "parked"
    matter.wait(timedelta(days=30))
    monkeypatch.setattr("services.workflows.repair.opening.start_work", lambda case, step: defect())
    matter.say("operations", ReplayRequested(reason="?"))
    waiting = [one.event.type.split(".")[2] for one in matter.logic.memory.parked[matter.id]]
    assert waiting == ["acknowledged", "timerfired"]
    monkeypatch.undo()
    matter.say("operations", ReplayRequested(reason="Mended."))
    assert (matter.state(), matter.logic.memory.parked) == ("ordered", {})
    assert matter.sent(CaseEscalated) == []


def test_a_deadline_that_an_operator_leaves_out_comes_again(monkeypatch: pytest.MonkeyPatch) -> None:
    matter = said()
    with monkeypatch.context() as broken:
        broken.setattr(opening, "escalate", defect)
        matter.wait(timedelta(days=30))
    head = matter.said(CaseParked).event_id
    matter.say("operations", DiscardRequested(reason="Not now.", by="ops-1", event_id=head))
    assert (matter.state(), matter.logic.memory.parked, matter.sent(CaseEscalated)) == ("forwarded", {}, [])
    matter.wait(timedelta(days=1))
    assert matter.said(CaseEscalated).from_agency == FIRST, "the case stands without a deadline"
