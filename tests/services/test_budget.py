"""The budget's law: no allocation passes its ceiling and no payment its contract, at any moment, whoever acts at once.

Lines and proposals lie in several partitions here, and which of them reads on when is chosen at random.
"""

from __future__ import annotations

from collections.abc import Callable
from datetime import timedelta
from decimal import Decimal
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from schemas.identifiers import derived_id
from schemas.registry import EventData, registry
from schemas.types.budgets import (
    BudgetAllocated,
    BudgetAppropriated,
    BudgetBilled,
    BudgetCeilingSet,
    BudgetClosed,
    BudgetPaid,
    BudgetRevised,
    BudgetTransferReceived,
    BudgetTransferred,
)
from schemas.types.cases import CaseEscalated, MessageRefused
from schemas.types.contracting import (
    ContractingAmendment,
    ContractingAward,
    ContractingContract,
    ContractingTender,
    ContractingTermination,
)
from schemas.types.proposals import ProposalDropped, ProposalMerged, ProposalRejected
from schemas.values import NonNegativeMoney
from services.workflows.budget import REMIND_AFTER, BudgetCase
from services.workflows.definition import CLOSED
from services.workflows.messages import message_in
from services.workflows.money import REFERENCES_MAX
from services.workflows.proposal import ProposalCase
from tests.support.in_flight import CHOICES, InFlight
from tests.support.musrenbang import FINANCE, LINE, OCID, OTHER_LINE, PLANNING, PROPOSAL, WARD, WORKS, Musrenbang, idr

NOBODY = derived_id("musrenbang", "no case")
DOLLAR = NonNegativeMoney(amount="1", currency="USD")


def allocation(amount: int, reference: str = "A-1", proposal: str = PROPOSAL, agency: str = WORKS) -> BudgetAllocated:
    return BudgetAllocated(proposal=proposal, amount=idr(amount), agency=agency, allocation_id=reference)


def transfer(amount: int, reference: str = "T-1", to: str = OTHER_LINE) -> BudgetTransferred:
    return BudgetTransferred(to_line=to, amount=idr(amount), transfer_id=reference, reason="Pergeseran.")


def revision(ceiling: int, appropriation: int) -> BudgetRevised:
    return BudgetRevised(ceiling=idr(ceiling), appropriation=idr(appropriation), reason="Perubahan APBD.")


@pytest.mark.parametrize(
    ("agency", "data", "code"),
    [
        (FINANCE, allocation(801), "over_limit"),
        (FINANCE, allocation(0), "nothing"),
        (FINANCE, allocation(1, agency="health-office"), "unknown_agency"),
        (FINANCE, allocation(1, agency="road-contractor"), "unknown_agency"),
        (WORKS, allocation(1), "not_your_case"),
        (FINANCE, BudgetAppropriated(amount=idr(1001)), "over_limit"),
        (FINANCE, BudgetAppropriated(amount=DOLLAR), "wrong_currency"),
        (FINANCE, revision(900, 901), "over_limit"),
        (FINANCE, transfer(801), "over_limit"),
        (FINANCE, transfer(1, to=LINE), "same_line"),
        (WORKS, BudgetClosed(), "not_your_case"),
    ],
)
def test_what_the_line_cannot_give_is_refused_and_nothing_changes(agency: str, data: EventData, code: str) -> None:
    found = Musrenbang().line().prioritised()
    before = found.case(LINE)
    found.told(agency, data, LINE)
    assert (found.why()[0], found.case(LINE)) == (code, before)


def test_a_second_grant_under_one_reference_is_refused() -> None:
    found = Musrenbang().budgeted(200)
    found.told(FINANCE, allocation(200), LINE)
    assert found.why()[:2] == ("twice", "the allocation A-1 is known already")
    assert found.case(PROPOSAL).books.given == 200


def test_a_line_does_not_fall_below_what_is_set_aside() -> None:
    found = Musrenbang().budgeted(200)
    found.told(FINANCE, revision(1000, 199), LINE)
    assert found.why()[0] == "below_set_aside"
    found.told(FINANCE, revision(200, 200), LINE)
    found.told(FINANCE, allocation(1, "A-2"), LINE)
    assert found.why()[:2] == ("over_limit", "1 IDR is more than what the budget line has left, 0 IDR")


@pytest.mark.parametrize("proposal", [NOBODY, LINE, OTHER_LINE])
def test_money_for_what_cannot_take_it_comes_back_to_the_line(proposal: str) -> None:
    found = Musrenbang().line().line(OTHER_LINE).prioritised()
    found.told(FINANCE, allocation(300, proposal=proposal), LINE)
    assert found.case(LINE).allocations == ()
    assert found.sent(MessageRefused)[-1].from_case == proposal


def test_money_that_meets_a_proposal_at_its_end_comes_back() -> None:
    found = Musrenbang().line().prioritised()
    found.say(PLANNING, ProposalRejected(reason="Tidak."), PROPOSAL)
    found.told(FINANCE, allocation(300), LINE)
    assert (found.case(LINE).allocations, found.case(LINE).spent) == ((), "0")


def test_a_second_line_in_another_currency_cannot_fund_a_proposal() -> None:
    found = Musrenbang().budgeted(200)
    thousand = NonNegativeMoney(amount="1000", currency="USD")
    line = BudgetCeilingSet(
        budget_line="9", name="Hibah", fiscal_year=2027, amount=thousand, agency=WORKS, area="51.71"
    )
    found.told(FINANCE, line, OTHER_LINE)
    found.told(FINANCE, BudgetAppropriated(amount=thousand), OTHER_LINE)
    dollars = BudgetAllocated(proposal=PROPOSAL, amount=DOLLAR, agency=WORKS, allocation_id="B-1")
    found.told(FINANCE, dollars, OTHER_LINE)
    assert (found.case(OTHER_LINE).allocations, found.case(PROPOSAL).books.given) == ((), 200)
    assert "USD" in found.sent(MessageRefused)[-1].reason


def test_a_transfer_moves_money_and_ceiling_and_a_refused_one_comes_back() -> None:
    found = Musrenbang().line().line(OTHER_LINE)
    found.told(FINANCE, transfer(300), LINE)
    assert [(line.ceiling, line.appropriation) for line in map(found.case, (LINE, OTHER_LINE))] == [
        ("700", "500"),
        ("1300", "1100"),
    ]
    found.told(FINANCE, transfer(300, "T-2", NOBODY), LINE)
    assert (found.case(LINE).ceiling, found.case(LINE).appropriation) == ("700", "500")


def test_a_line_waits_for_its_transfers_before_it_closes_since_one_may_come_back() -> None:
    found = Musrenbang().line().line(OTHER_LINE)
    found.say(FINANCE, transfer(300, "T-1", NOBODY), LINE)
    found.say(FINANCE, BudgetClosed(), LINE)
    found.settle()
    assert found.why()[0] == "transfer_on_the_way"
    assert (found.case(LINE).appropriation, found.case(LINE).on_the_way) == ("800", ())
    found.told(FINANCE, transfer(300, "T-2"), LINE)
    assert found.case(LINE).on_the_way == ()
    found.told(FINANCE, BudgetClosed(), LINE)
    assert (found.case(LINE).state, found.case(OTHER_LINE).appropriation) == (CLOSED, "1100")


def test_a_line_keeps_what_arrived_also_where_the_giver_cannot_hear_of_it() -> None:
    found = Musrenbang().line().line(OTHER_LINE)
    found.told(FINANCE, BudgetTransferReceived(from_case=NOBODY, amount=idr(100), transfer_id="T-0"), LINE)
    assert [answer.message_type for answer in found.sent(MessageRefused)] == ["subak.budget.transferarrived.v1"]
    assert found.case(LINE).appropriation == "900"


def test_the_line_of_a_year_that_is_over_is_reminded_of_after_a_time_and_not_at_once() -> None:
    found = Musrenbang()
    past = BudgetCeilingSet(
        budget_line="1.03", name="Drainase", fiscal_year=2020, amount=idr(100), agency=WORKS, area="51.71"
    )
    found.told(FINANCE, past, LINE)
    found.wait(timedelta(days=1))
    assert found.sent(CaseEscalated) == []
    found.wait(REMIND_AFTER)
    assert len(found.sent(CaseEscalated)) == 1


def test_a_line_closes_when_no_proposal_holds_money_of_it() -> None:
    found = Musrenbang().budgeted(200)
    found.told(FINANCE, BudgetClosed(), LINE)
    assert found.why()[0] == "money_set_aside"
    found.told(PLANNING, ProposalDropped(reason="Banjir."))
    found.told(FINANCE, BudgetClosed(), LINE)
    assert found.case(LINE).state == CLOSED


def test_a_line_that_stands_open_after_its_year_is_put_to_its_keeper_again_and_again() -> None:
    found = Musrenbang().budgeted(200)
    found.wait(timedelta(days=402))
    assert [up for up in found.sent(CaseEscalated) if "budget line" in up.reason] == []
    found.wait(timedelta(days=200))
    told = [up for up in found.sent(CaseEscalated) if "1 proposals hold money of it" in up.reason]
    assert [(up.from_agency, up.to_agency, up.step) for up in told] == [
        (FINANCE, "city-secretariat", step) for step in (1, 2, 3)
    ]


def test_a_line_that_has_had_too_many_references_says_so() -> None:
    found = Musrenbang().line(ceiling=10_000, appropriation=10_000)
    for number in range(REFERENCES_MAX + 1):
        found.say(FINANCE, allocation(1, f"A-{number}", NOBODY), LINE)
    found.settle()
    assert found.why()[0] == "case_full"
    assert len(found.case(LINE).references) == REFERENCES_MAX


# -- anything at once

PROPOSALS = (PROPOSAL, derived_id("musrenbang", "second"), derived_id("musrenbang", "third"))
LINES = (LINE, OTHER_LINE)
_amounts = st.integers(1, 600)
_lines, _proposals = st.sampled_from(LINES), st.sampled_from(PROPOSALS)
_few = st.integers(1, 4)
_receivers = st.sampled_from((*LINES, PROPOSALS[0]))
"""To whom a line transfers: a proposal is no line, and gives it back."""

Said = tuple[str, EventData, str]


def _saying(
    agency: str, make: Callable[..., EventData], subject: st.SearchStrategy[str], *parts: st.SearchStrategy[Any]
) -> st.SearchStrategy[Said]:
    return st.builds(lambda to, *made: (agency, make(*made), to), subject, *parts)


events: st.SearchStrategy[Said] = st.one_of(
    _saying(FINANCE, lambda a, n, p: allocation(a, f"A-{n}", p), _lines, _amounts, st.integers(1, 9), _proposals),
    _saying(FINANCE, lambda a, n, to: transfer(a, f"T-{n}", to), _lines, _amounts, _few, _receivers),
    _saying(FINANCE, lambda a: BudgetAppropriated(amount=idr(a)), _lines, st.integers(1, 1200)),
    _saying(FINANCE, revision, _lines, st.integers(1, 1200), _amounts),
    _saying(WORKS, lambda: ContractingTender(ocid=OCID, procurement_method="open"), _proposals),
    _saying(
        WORKS,
        lambda a, n: ContractingAward(ocid=OCID, award_id=f"W-{n}", supplier="CV", value=idr(a)),
        _proposals, _amounts, _few,
    ),
    _saying(
        WORKS,
        lambda a, n: ContractingContract(ocid=OCID, contract_id=f"C-{n}", award_id=f"W-{n}", value=idr(a)),
        _proposals, _amounts, _few,
    ),
    _saying(
        WORKS,
        lambda a, n: ContractingAmendment(ocid=OCID, contract_id=f"C-{n}", value=idr(a), rationale="Galian."),
        _proposals, _amounts, _few,
    ),
    _saying(
        WORKS,
        lambda n: ContractingTermination(ocid=OCID, contract_id=f"C-{n}", rationale="Pailit."),
        _proposals, _few,
    ),
    _saying(
        WORKS,
        lambda a, n, i: BudgetBilled(contract_id=f"C-{n}", invoice_id=f"I-{i}", amount=idr(a)),
        _proposals, _amounts, _few, st.integers(1, 9),
    ),
    _saying(
        FINANCE,
        lambda a, n, i: BudgetPaid(contract_id=f"C-{n}", payment_id=f"P-{i}", amount=idr(a)),
        _proposals, _amounts, _few, st.integers(1, 9),
    ),
    _saying(PLANNING, lambda: ProposalDropped(reason="Banjir."), _proposals),
    _saying(PLANNING, lambda into: ProposalMerged(into=into, reason="Sama."), _proposals, _proposals),
    _saying(WARD, lambda: ProposalDropped(reason="Ditarik."), _proposals),
)  # fmt: skip


class Watch:
    """Holds the rules of money against the whole stage."""

    def __init__(self, found: Musrenbang) -> None:
        self.found = found

    def check(self) -> None:
        proposals = list(self.found.cases(ProposalCase))
        for line in self.found.cases(BudgetCase):
            assert 0 <= line.set_aside <= Decimal(line.appropriation) <= Decimal(line.ceiling)
            given = {
                case.id: sum(Decimal(fund.amount) for fund in case.books.funds if fund.line == line.id)
                for case in proposals
                if case.books is not None
            }
            for id, amount in given.items():
                held = sum(Decimal(one.amount) for one in line.allocations if one.proposal == id)
                assert amount <= held, f"{id} has {amount} of a line that keeps {held} for it"
        for case in proposals:
            if case.books is None:
                continue
            for contract in case.books.contracts:
                assert 0 <= Decimal(contract.paid) <= Decimal(contract.billed) <= Decimal(contract.value)
            assert 0 <= case.books.paid <= case.books.bound <= case.books.given

    def ceilings(self) -> Decimal:
        """All ceilings, with what is on its way between lines."""
        total = sum((Decimal(case.ceiling) for case in self.found.cases(BudgetCase)), Decimal(0))
        for event in self.found.in_flight():
            if event.type not in (BudgetTransferReceived.registered.name, MessageRefused.registered.name):
                continue
            data = registry.get(event.type).read(event.data)
            message = message_in(data) if isinstance(data, MessageRefused) else data
            if isinstance(message, BudgetTransferReceived):
                total += message.amount.decimal
        return total


class OnTheWay(Musrenbang, InFlight):
    """A musrenbang whose messages between partitions are held back until they are delivered."""


def play(said: list[Said], data: st.DataObject) -> Musrenbang:
    """Say all of it; in between, what is on its way arrives in any order, timers fire and partitions are read back."""
    found = OnTheWay()
    found.line(LINE).line(OTHER_LINE)
    for id in PROPOSALS:
        found.prioritised(id)
    watch = Watch(found)
    moves = st.lists(st.integers(0, CHOICES - 1), max_size=4)
    for agency, event, subject in said:
        found.say(agency, event, subject)
        for move in data.draw(moves, label="moves"):
            found.go_on(move)
            watch.check()
    while left := found.moves():
        found.move(left[-1])
        watch.check()
    return found


@settings(max_examples=60, deadline=None)
@given(said=st.lists(events, min_size=10, max_size=60), data=st.data())
def test_whatever_is_said_at_once_the_money_holds_at_every_moment(said: list[Said], data: st.DataObject) -> None:
    found = play(said, data)
    for line in found.cases(BudgetCase):
        held = dict.fromkeys((one.proposal for one in line.allocations), Decimal(0))
        for one in line.allocations:
            held[one.proposal] += Decimal(one.amount)
        for id, amount in held.items():
            case = found.case(id)
            assert case.state != CLOSED, "a line keeps money for a proposal that has ended"
            given = sum(Decimal(fund.amount) for fund in case.books.funds if fund.line == line.id)
            assert given == amount, "at rest, what a line keeps for a proposal is what the proposal has of it"
    assert [logic.memory.parked for logic in found.logics if logic.memory.parked] == [], "no decision failed"


_unrevised = events.filter(lambda said: not isinstance(said[1], BudgetRevised))


@settings(max_examples=30, deadline=None)
@given(said=st.lists(_unrevised, min_size=5, max_size=40), data=st.data())
def test_no_money_appears_or_disappears_between_lines(said: list[Said], data: st.DataObject) -> None:
    assert Watch(play(said, data)).ceilings() == 2000
