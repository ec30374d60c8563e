"""The proposal workflow's law: no level skipped, no proposal stalled or vanished, and each end says who and why."""

from __future__ import annotations

from datetime import timedelta

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from bus.city import load_city
from bus.city.load import city_path
from bus.records import Record, partition_for
from bus.topics import CASES
from schemas.identifiers import derived_id
from schemas.registry import EventData
from schemas.types.assets import AssetRegistered
from schemas.types.budgets import BudgetAllocated, BudgetBilled, BudgetPaid, BudgetReleased
from schemas.types.cases import CaseEscalated
from schemas.types.contracting import (
    ContractingAmendment,
    ContractingAward,
    ContractingContract,
    ContractingImplementation,
    ContractingTender,
    ContractingTenderCancellation,
    ContractingTermination,
    Milestone,
)
from schemas.types.proposals import (
    DecisionRequested,
    ProposalClosed,
    ProposalDropped,
    ProposalEndorsed,
    ProposalForwarded,
    ProposalMerged,
    ProposalRanked,
    ProposalRealised,
    ProposalRejected,
    ProposalSubmitted,
)
from schemas.values import NonNegativeMoney
from services.workflows.catalogue import WORKFLOWS
from services.workflows.definition import CLOSED
from services.workflows.logic import Workflows
from tests.support.musrenbang import (
    AREA,
    CITY,
    DISTRICT,
    FINANCE,
    LINE,
    OCID,
    PLANNING,
    PROPOSAL,
    WARD,
    WORKS,
    Musrenbang,
    idr,
)
from tests.support.partitions import Partitions

OTHER = derived_id("musrenbang", "another proposal")


@pytest.fixture
def round_() -> Musrenbang:
    """A musrenbang in which nothing has happened yet."""
    return Musrenbang()


def state(found: Partitions, id: str = PROPOSAL) -> str:
    return str(found.case(id).state)


def test_the_straight_way_from_the_meeting_to_the_asset(round_: Musrenbang) -> None:
    round_.realised()
    assert round_.refusals() == []
    asked = [(request.step, request.agency) for request in round_.sent(DecisionRequested)]
    assert asked == [
        ("endorse", WARD), ("rank", WARD), ("forward", WARD), ("rank", DISTRICT), ("forward", DISTRICT),
        ("rank", PLANNING), ("budget", FINANCE), ("procure", WORKS), ("contract", WORKS), ("build", WORKS),
        ("pay", FINANCE), ("register", FINANCE),
    ]  # fmt: skip
    (end,) = round_.sent(ProposalClosed)
    assert (end.outcome, end.decided_by_agency, end.step, end.amount) == ("realised", FINANCE, "register", idr(150))
    assert round_.sent(ProposalRealised)[0].asset_id == "KIB-42"
    (back,) = round_.sent(BudgetReleased)
    assert (back.amount, back.spent, back.from_case) == (idr(50), idr(150), PROPOSAL)
    assert (round_.case(LINE).spent, round_.case(LINE).allocations) == ("150", ())


def test_a_level_that_is_skipped_is_refused_and_the_sender_is_told_who_comes_next(round_: Musrenbang) -> None:
    round_.submitted().told(WARD, ProposalEndorsed())
    round_.told(WARD, ProposalRanked(rank=1))
    round_.told(WARD, ProposalForwarded(agency=PLANNING))
    assert round_.why() == (
        "level_skipped",
        f"after {WARD} comes {DISTRICT}, not {PLANNING}",
        f"Forward it to {DISTRICT}.",
    )
    assert state(round_) == "ranked"


@pytest.mark.parametrize(
    ("agency", "data", "code"),
    [
        (DISTRICT, ProposalEndorsed(), "not_your_case"),
        (WARD, ProposalRanked(rank=1), "wrong_state"),
        (WARD, ProposalForwarded(agency=DISTRICT), "wrong_state"),
        (DISTRICT, ProposalRejected(reason="no"), "not_your_case"),
        (WORKS, ProposalDropped(reason="no"), "not_your_case"),
        (WORKS, ContractingTender(ocid=OCID, procurement_method="open"), "wrong_state"),
        (FINANCE, AssetRegistered(asset_id="A", name="A"), "wrong_state"),
        (WARD, ProposalMerged(into=PROPOSAL, reason="no"), "same_case"),
    ],
)
def test_what_is_not_ones_turn_is_refused_and_changes_nothing(
    round_: Musrenbang, agency: str, data: EventData, code: str
) -> None:
    before = round_.submitted().case(PROPOSAL)
    round_.told(agency, data)
    assert round_.why()[0] == code
    assert round_.case(PROPOSAL) == before


@pytest.mark.parametrize(
    ("data", "code"),
    [
        (ProposalSubmitted(title="Jalan", service_code="drain", area="51"), "unknown_area"),
        (ProposalSubmitted(title="Jalan", service_code="drain", area="51.71.09.9999"), "unknown_area"),
        (ProposalSubmitted(title="Jalan", service_code="castle", area=AREA), "unknown_service"),
    ],
)
def test_a_proposal_for_no_place_or_service_of_the_city_opens_no_case(
    round_: Musrenbang, data: ProposalSubmitted, code: str
) -> None:
    round_.told(WARD, data)
    assert (round_.why()[0], round_.case(PROPOSAL)) == (code, None)


def test_a_city_that_takes_no_proposals_says_so() -> None:
    found = Partitions(load_city(city_path("san-francisco")))
    found.say("public-works", ProposalSubmitted(title="Bench", service_code="general", area="06075"), PROPOSAL)
    found.settle()
    assert found.refusals()[0].reasons[0].code == "no_proposals"


def test_a_proposal_for_the_whole_city_begins_at_its_office(round_: Musrenbang) -> None:
    round_.told(PLANNING, ProposalSubmitted(title="Balai kota", service_code="drain", area="51.71"))
    round_.told(PLANNING, ProposalRanked(rank=1))
    assert state(round_) == "awaiting_budget"


# -- silence


def test_silence_goes_up_to_the_parents_and_each_may_then_act(round_: Musrenbang) -> None:
    round_.submitted().wait(timedelta(days=29))
    told = [(up.from_agency, up.to_agency, up.step) for up in round_.sent(CaseEscalated)]
    assert told == [(WARD, DISTRICT, 1), (DISTRICT, "city-secretariat", 2)]
    assert f"{WARD} was silent" in round_.sent(CaseEscalated)[0].reason
    round_.told("city-secretariat", ProposalEndorsed())
    assert state(round_) == "endorsed"
    assert round_.case(PROPOSAL).asked == (WARD,)


def test_however_long_nobody_answers_somebody_is_asked_again(round_: Musrenbang) -> None:
    round_.submitted().wait(timedelta(days=3 * 366))
    case = round_.case(PROPOSAL)
    assert case.asked == (WARD, DISTRICT, "city-secretariat", "bali-province")
    assert case.timers["answer"] > 0
    assert round_.sent(CaseEscalated)[-1].to_agency == "bali-province"


def test_after_an_answer_the_next_step_has_its_whole_time(round_: Musrenbang) -> None:
    round_.submitted().wait(timedelta(days=13))
    round_.told(WARD, ProposalEndorsed())
    round_.wait(timedelta(days=20))
    assert round_.sent(CaseEscalated) == []


# -- no, and elsewhere


def test_a_rejection_says_who_at_which_step_and_why(round_: Musrenbang) -> None:
    round_.prioritised().told(PLANNING, ProposalRejected(reason="Jalan nasional."))
    (end,) = round_.sent(ProposalClosed)
    assert (end.outcome, end.decided_by_agency, end.step, end.reason) == (
        "rejected", PLANNING, "budget", "Jalan nasional.",
    )  # fmt: skip
    assert state(round_) == CLOSED


def test_dropping_a_funded_proposal_gives_the_money_back(round_: Musrenbang) -> None:
    round_.budgeted(200).told(WARD, ProposalDropped(reason="Warga menarik usulan."))
    assert round_.sent(ProposalClosed)[0].decided_by_agency == WARD
    assert (round_.case(LINE).allocations, round_.case(LINE).spent) == ((), "0")


def test_a_proposal_with_a_contract_is_dropped_only_when_the_contract_is_ended_and_paid(round_: Musrenbang) -> None:
    round_.contracted().bill(40)
    round_.told(PLANNING, ProposalDropped(reason="Banjir."))
    assert round_.why()[0] == "contracts_stand"
    round_.told(WORKS, ContractingTermination(ocid=OCID, contract_id="C-1", rationale="Banjir."))
    round_.told(PLANNING, ProposalDropped(reason="Banjir."))
    assert round_.why()[:2] == ("contracts_stand", "contracts stand or are unpaid: C-1")
    round_.pay(40).told(PLANNING, ProposalDropped(reason="Banjir."))
    assert state(round_) == CLOSED
    assert (round_.case(LINE).allocations, round_.case(LINE).spent) == ((), "40")


def test_a_merged_proposal_ends_only_when_the_other_has_taken_it_up(round_: Musrenbang) -> None:
    round_.submitted(OTHER).submitted().say(WARD, ProposalMerged(into=OTHER, reason="Sama."), PROPOSAL)
    while state(round_) == "submitted":
        round_.step(round_.waiting()[0])
    assert state(round_) == "merging"
    round_.settle()
    assert state(round_) == CLOSED
    assert round_.case(OTHER).absorbed == (PROPOSAL,)
    assert OTHER in round_.sent(ProposalClosed)[0].reason


@pytest.mark.parametrize("other", [OTHER, LINE])
def test_a_merge_into_what_cannot_take_it_is_off_and_somebody_is_asked_again(round_: Musrenbang, other: str) -> None:
    round_.line().submitted().told(WARD, ProposalMerged(into=other, reason="Sama."))
    assert state(round_) == "submitted"
    assert "The merge is off." in round_.sent(DecisionRequested)[-1].reason
    assert round_.case(PROPOSAL).asked == (WARD,)


def test_each_step_counts_its_own_reminders(round_: Musrenbang) -> None:
    round_.submitted().wait(timedelta(days=60))
    assert round_.sent(CaseEscalated)[-1].step > 1
    before = len(round_.sent(CaseEscalated))
    round_.told(WARD, ProposalEndorsed())
    round_.wait(timedelta(days=60))
    assert round_.sent(CaseEscalated)[before].step == 1


def test_a_merge_that_is_off_at_the_top_lets_the_keeper_of_the_money_be_asked_again(round_: Musrenbang) -> None:
    round_.line().prioritised().told(PLANNING, ProposalMerged(into=LINE, reason="Sama."))
    assert state(round_) == "awaiting_budget"
    assert round_.sent(DecisionRequested)[-1].agency == FINANCE
    assert round_.case(PROPOSAL).asked == (FINANCE,)


def test_two_proposals_merged_into_each_other_do_not_both_vanish(round_: Musrenbang) -> None:
    round_.submitted(OTHER).submitted()
    round_.say(WARD, ProposalMerged(into=OTHER, reason="Sama."), PROPOSAL)
    round_.say(WARD, ProposalMerged(into=PROPOSAL, reason="Sama."), OTHER)
    round_.settle()
    assert {state(round_), state(round_, OTHER)} != {CLOSED}


# -- works


def test_a_tender_that_fails_frees_what_it_promised_and_another_follows(round_: Musrenbang) -> None:
    round_.budgeted(200).told(WORKS, ContractingTender(ocid=OCID, procurement_method="open"))
    round_.told(WORKS, ContractingAward(ocid=OCID, award_id="W-1", supplier="CV Dwi", value=idr(150)))
    round_.told(WORKS, ContractingTenderCancellation(ocid=OCID, rationale="Penyedia mundur."))
    round_.told(WORKS, ContractingAward(ocid=OCID, award_id="W-2", supplier="CV Tri", value=idr(200)))
    round_.told(WORKS, ContractingContract(ocid=OCID, contract_id="C-2", award_id="W-2", value=idr(200)))
    assert (round_.refusals(), state(round_)) == ([], "in_works")


def test_after_a_termination_procurement_begins_again(round_: Musrenbang) -> None:
    round_.contracted(150).bill(50)
    round_.told(WORKS, ContractingTermination(ocid=OCID, contract_id="C-1", rationale="Pailit."))
    assert state(round_) == "procurement"
    round_.told(WORKS, ContractingAward(ocid=OCID, award_id="W-2", supplier="CV Tri", value=idr(151)))
    assert round_.why()[0] == "over_limit"
    round_.told(WORKS, ContractingAward(ocid=OCID, award_id="W-2", supplier="CV Tri", value=idr(150)))
    assert round_.case(PROPOSAL).books.bound == 200


def test_a_milestone_that_is_not_met_after_all_takes_it_back_to_the_works(round_: Musrenbang) -> None:
    round_.built()
    assert state(round_) == "completed"
    missed = Milestone(id="100", title="Serah terima", status="partiallyMet")
    round_.told(WORKS, ContractingImplementation(ocid=OCID, contract_id="C-1", milestones=(missed,)))
    assert (state(round_), round_.sent(DecisionRequested)[-1].step) == ("in_works", "build")


def test_a_contractor_may_report_its_own_contract_and_no_more(round_: Musrenbang) -> None:
    round_.budgeted().told(WORKS, ContractingTender(ocid=OCID, procurement_method="open"))
    award = ContractingAward(
        ocid=OCID, award_id="W-1", supplier="Karya Marga", supplier_agency="road-contractor", value=idr(150)
    )
    round_.told(WORKS, award)
    round_.told(WORKS, ContractingContract(ocid=OCID, contract_id="C-1", award_id="W-1", value=idr(150)))
    half = Milestone(id="50", title="Separuh", status="met")
    round_.told("road-contractor", ContractingImplementation(ocid=OCID, contract_id="C-1", milestones=(half,)))
    assert round_.refusals() == []
    round_.told("road-contractor", BudgetBilled(contract_id="C-1", invoice_id="I-1", amount=idr(1)))
    assert round_.why()[0] == "not_your_case"


# -- money under a contract


@pytest.mark.parametrize(
    ("amount", "payment", "contract", "code", "problem"),
    [
        (151, "P-2", "C-1", "over_limit", "151 IDR is more than what the contract C-1 has left, 100 IDR"),
        (
            81,
            "P-2",
            "C-1",
            "over_limit",
            "81 IDR is more than what is billed and unpaid under the contract C-1, ",
        ),
        (10, "P-1", "C-1", "twice", "the payment P-1 is known already"),
        (10, "P-2", "C-9", "unknown_contract", "the proposal has no contract C-9; it has C-1"),
        (0, "P-2", "C-1", "nothing", "the amount is zero"),
        ("0.0001", "P-1", "C-1", "twice", "the payment P-1 is known already"),
    ],
)
def test_a_wrong_payment_is_refused_with_its_reason(
    round_: Musrenbang, amount: int | str, payment: str, contract: str, code: str, problem: str
) -> None:
    round_.contracted(150).bill(100).pay(50)
    round_.pay(amount, payment, contract)
    assert round_.why()[0] == code
    assert round_.why()[1].startswith(problem)
    assert round_.case(PROPOSAL).books.paid == 50


def test_a_payment_in_another_currency_is_refused(round_: Musrenbang) -> None:
    round_.contracted(150).bill(100)
    money = NonNegativeMoney(amount="1", currency="USD")
    round_.told(FINANCE, BudgetPaid(contract_id="C-1", payment_id="P-1", amount=money))
    assert round_.why()[:2] == ("wrong_currency", "the amount is in USD, and the contract is in IDR")


def test_a_bill_over_the_contract_and_an_amendment_below_the_bills_are_refused(round_: Musrenbang) -> None:
    round_.contracted(150).bill(151)
    assert round_.why()[0] == "over_limit"
    round_.bill(100, "I-2").told(
        WORKS, ContractingAmendment(ocid=OCID, contract_id="C-1", value=idr(99), rationale="Kurang.")
    )
    assert round_.why()[0] == "below_billed"
    round_.told(WORKS, ContractingAmendment(ocid=OCID, contract_id="C-1", value=idr(201), rationale="Lebih."))
    assert round_.why()[0] == "over_limit"


def test_a_contract_over_the_budget_is_refused(round_: Musrenbang) -> None:
    round_.budgeted(200).told(WORKS, ContractingTender(ocid=OCID, procurement_method="open"))
    round_.told(WORKS, ContractingAward(ocid=OCID, award_id="W-1", supplier="CV Dwi", value=idr(201)))
    code, problem, fix = round_.why()
    assert (code, fix) == ("over_limit", "Let finance allocate more first.")
    assert problem == "201 IDR is more than what the proposal's budget has left, 200 IDR"
    data = BudgetAllocated(proposal=PROPOSAL, amount=idr(1), agency=WORKS, allocation_id="A-2")
    round_.told(FINANCE, data, LINE)
    round_.told(WORKS, ContractingAward(ocid=OCID, award_id="W-1", supplier="CV Dwi", value=idr(201)))
    assert round_.case(PROPOSAL).books.bound == 201


def test_the_state_of_a_proposal_can_be_read_back_from_the_changelog(round_: Musrenbang) -> None:
    round_.contracted().bill(100).pay(50)
    number = partition_for(PROPOSAL.encode(), 3)
    logic = Workflows(number, city=CITY, workflows=WORKFLOWS)
    logic.restore(
        [
            Record(CASES, number, place, 0, output.key, output.value, output.headers)
            for place, output in enumerate(o for o in round_.outputs if o.topic == CASES and o.partition == number)
        ]
    )
    assert logic.memory.cases[PROPOSAL] == round_.case(PROPOSAL)


# -- anything at once

ASKED = "whoever is asked"
AGENCIES = (WARD, DISTRICT, PLANNING, FINANCE, WORKS, "city-secretariat", "bali-province")
_met = Milestone(id="100", title="Serah terima", status="met")
ANYTHING = (
    ProposalEndorsed(),
    ProposalRanked(rank=1),
    *(ProposalForwarded(agency=office) for office in (WARD, DISTRICT, PLANNING)),
    ProposalMerged(into=OTHER, reason="Sama."),
    ContractingTender(ocid=OCID, procurement_method="open"),
    ContractingAward(ocid=OCID, award_id="W-1", supplier="CV Dwi", value=idr(150)),
    ContractingContract(ocid=OCID, contract_id="C-1", award_id="W-1", value=idr(150)),
    ContractingImplementation(ocid=OCID, contract_id="C-1", milestones=(_met,)),
    ContractingTermination(ocid=OCID, contract_id="C-1", rationale="Pailit."),
    BudgetBilled(contract_id="C-1", invoice_id="I-1", amount=idr(150)),
    BudgetPaid(contract_id="C-1", payment_id="P-1", amount=idr(150)),
    AssetRegistered(asset_id="KIB-42", name="Saluran"),
    ProposalRejected(reason="Tidak."),
    ProposalDropped(reason="Ditarik."),
)
RANKING = (("endorsed", "ranked"), ("forwarded", "ranked"), ("forwarded", "awaiting_budget"))
WAY = ("submitted", "endorsed", "ranked", "forwarded", "awaiting_budget")


@settings(max_examples=150, deadline=None)
@given(
    said=st.lists(
        st.tuples(st.sampled_from((ASKED, ASKED, *AGENCIES)), st.sampled_from(ANYTHING), st.integers(0, 20)),
        min_size=20,
        max_size=80,
    ),
    funded=st.integers(0, 40),
)
def test_whoever_says_what_no_level_is_skipped_and_somebody_is_always_asked(
    said: list[tuple[str, EventData, int]], funded: int
) -> None:
    found = Musrenbang().line().submitted(OTHER).submitted()
    ranked_at: list[int] = []
    for place, (agency, data, days) in enumerate(said):
        before = found.case(PROPOSAL)
        if place == funded:
            found.told(
                FINANCE, BudgetAllocated(proposal=PROPOSAL, amount=idr(200), agency=WORKS, allocation_id="A"), LINE
            )
        found.wait(timedelta(days=days))
        found.told(agency, data)
        case = found.case(PROPOSAL)
        if case.state == CLOSED:
            ends = found.sent(ProposalClosed)
            assert len(ends) == 1, "a proposal ends once"
            assert ends[0].reason, "and its reason is told"
            return
        if (
            isinstance(data, ProposalRanked)
            and case.state != before.state
            and before.state in ("endorsed", "forwarded")
        ):
            ranked_at.append(case.level)
        assert case.timers.get("answer", 0) > 0, "an open proposal waits for somebody, and not for ever"
        assert case.asked
        if case.state not in WAY:
            assert ranked_at == [0, 1, 2], "money comes only after every level has ranked it"
