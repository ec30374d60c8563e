"""The proposal workflow's second half: from the money to the thing itself. Importing it completes `proposal.proposal`.

    budgeted → procurement → in works → completed → paid → closed (realised)

The executor procures and builds; finance pays and registers the asset. All money is in the proposal's books
(`books.py`), so one partition decides on every bill and every payment: none passes its contract, none comes twice.
"""

from __future__ import annotations

from schemas.types.assets import AssetRegistered
from schemas.types.budgets import BudgetBilled, BudgetPaid
from schemas.types.contracting import (
    ContractingAmendment,
    ContractingAward,
    ContractingContract,
    ContractingImplementation,
    ContractingPlanning,
    ContractingTender,
    ContractingTenderCancellation,
    ContractingTermination,
)
from schemas.types.proposals import ProposalRealised
from services.workflows.books import Books
from services.workflows.definition import CLOSED, Step
from services.workflows.money import as_money, require_currency, require_within
from services.workflows.proposal import (
    BUDGETED,
    COMPLETED,
    IN_WORKS,
    PAID,
    PROCUREMENT,
    ProposalCase,
    ask,
    change,
    close,
    proposal,
)

CONTRACTED = (IN_WORKS, COMPLETED, PAID)
AFTER_MONEY = (PROCUREMENT, IN_WORKS, COMPLETED, PAID)


@proposal.on(ContractingPlanning, states=[BUDGETED, PROCUREMENT], to="same")
def planned(case: ProposalCase, data: ContractingPlanning, step: Step) -> ProposalCase:
    """How it will be procured. It changes no deadline."""
    _require_executor(case, step)
    return case


@proposal.on(ContractingTender, states=[BUDGETED], to=[PROCUREMENT])
def tendered(case: ProposalCase, data: ContractingTender, step: Step) -> ProposalCase:
    """Suppliers are asked for offers, for no more than there is."""
    _require_executor(case, step)
    _require_affordable(_books(case), data)
    return ask(change(case, state=PROCUREMENT), case.executor, step)


@proposal.on(ContractingTender, states=[PROCUREMENT, IN_WORKS], to="same")
def tendered_again(case: ProposalCase, data: ContractingTender, step: Step) -> ProposalCase:
    """Once more, or for another part of it. It changes no deadline."""
    _require_executor(case, step)
    _require_affordable(_books(case), data)
    return case


@proposal.on(ContractingTenderCancellation, states=[PROCUREMENT, *CONTRACTED], to=AFTER_MONEY)
def tender_cancelled(case: ProposalCase, data: ContractingTenderCancellation, step: Step) -> ProposalCase:
    """It came to nothing: another tender may follow, within the same time."""
    _require_executor(case, step)
    return _where_it_is(change(case, books=_books(case).cancel(data.ocid)), step)


@proposal.on(ContractingAward, states=[PROCUREMENT, IN_WORKS], to="same")
def awarded(case: ProposalCase, data: ContractingAward, step: Step) -> ProposalCase:
    """An offer is chosen."""
    _require_executor(case, step)
    supplier = data.supplier_agency if data.supplier_agency in step.city.agencies else None
    return change(case, books=_books(case).award(data.award_id, data.value, data.ocid, supplier or ""))


@proposal.on(ContractingContract, states=[PROCUREMENT, IN_WORKS], to=[IN_WORKS])
def contracted(case: ProposalCase, data: ContractingContract, step: Step) -> ProposalCase:
    """The contract is signed: now it is built."""
    _require_executor(case, step)
    books = _books(case).sign(data.contract_id, data.award_id, data.value)
    return _where_it_is(change(case, books=books), step)


@proposal.on(ContractingAmendment, states=CONTRACTED, to=CONTRACTED)
def amended(case: ProposalCase, data: ContractingAmendment, step: Step) -> ProposalCase:
    """The contract has another value."""
    _require_executor(case, step)
    return _where_it_is(change(case, books=_books(case).amend(data.contract_id, data.value)), step)


@proposal.on(ContractingTermination, states=CONTRACTED, to=AFTER_MONEY)
def terminated(case: ProposalCase, data: ContractingTermination, step: Step) -> ProposalCase:
    """The contract ends early: where none is left, procurement begins again."""
    _require_executor(case, step)
    return _where_it_is(change(case, books=_books(case).terminate(data.contract_id)), step)


@proposal.on(ContractingImplementation, states=CONTRACTED, to=CONTRACTED)
def reported(case: ProposalCase, data: ContractingImplementation, step: Step) -> ProposalCase:
    """Milestones: whoever builds may tell of them. When all are met, it is built."""
    books = _books(case)
    supplier = books.contract(data.contract_id).supplier
    step.require_sender([*_executors(case, step), *([supplier] if supplier else [])], "the works")
    return _where_it_is(change(case, books=books.report(data.contract_id, data.milestones)), step)


@proposal.on(BudgetBilled, states=CONTRACTED, to="same")
def billed(case: ProposalCase, data: BudgetBilled, step: Step) -> ProposalCase:
    """A bill was found right."""
    _require_executor(case, step)
    return change(case, books=_books(case).bill(data.contract_id, data.invoice_id, data.amount))


@proposal.on(BudgetPaid, states=AFTER_MONEY, to=AFTER_MONEY)
def paid(case: ProposalCase, data: BudgetPaid, step: Step) -> ProposalCase:
    """A payment, for what was billed."""
    _require_finance(case, step, "paying")
    return _where_it_is(change(case, books=_books(case).pay(data.contract_id, data.payment_id, data.amount)), step)


@proposal.on(AssetRegistered, states=[PAID], to=[CLOSED])
def registered(case: ProposalCase, data: AssetRegistered, step: Step) -> ProposalCase:
    """What the meeting asked for stands in the city's register: the proposal is realised."""
    _require_finance(case, step, "registering the asset")
    books = _books(case)
    amount = as_money(books.paid, books.currency)
    step.emit(ProposalRealised(asset_id=data.asset_id, amount=amount), parties=case.parties)
    return close(case, "realised", step.sender, step, reason=f"{data.name} is the city's asset {data.asset_id}.")


# -- the steps that several of these take


def _where_it_is(case: ProposalCase, step: Step) -> ProposalCase:
    """The state that the books tell, and whoever it waits for asked, where that has changed."""
    books = _books(case)
    before = case.state
    assert step.city.proposals is not None
    finance = step.city.proposals.finance
    if not books.live:
        return case if before == PROCUREMENT else ask(change(case, state=PROCUREMENT), case.executor, step)
    if not books.built:
        return case if before == IN_WORKS else ask(change(case, state=IN_WORKS), case.executor, step)
    if not books.settled:
        return case if before == COMPLETED else ask(change(case, state=COMPLETED), finance, step)
    return case if before == PAID else ask(change(case, state=PAID), finance, step)


def _books(case: ProposalCase) -> Books:
    assert case.books is not None, "a proposal in these states has a budget"
    return case.books


def _require_affordable(books: Books, data: ContractingTender) -> None:
    if data.value is None:
        return
    amount = require_currency(data.value, books.currency, "data.value", "the proposal's budget")
    left = books.given - books.bound
    fix = "Let finance allocate more first."
    require_within(amount, left, books.currency, "data.value", "what the proposal's budget has left", fix)


def _executors(case: ProposalCase, step: Step) -> tuple[str, ...]:
    """Who procures, builds and bills: the executor, and who was told of its silence, or stands in where it is gone."""
    if case.state in (BUDGETED, PROCUREMENT, IN_WORKS):
        return (case.executor, *case.asked)
    return (case.executor,) if case.executor in step.city.agencies else (step.city.default_agency,)


def _require_executor(case: ProposalCase, step: Step) -> None:
    step.require_sender(_executors(case, step), "procuring and building")


def _require_finance(case: ProposalCase, step: Step, what: str) -> None:
    proposals = step.city.proposals
    finance = proposals.finance if proposals is not None else ""
    above = step.city.parent_of(finance)
    step.require_sender([finance, *([above] if above is not None else [])], what)
