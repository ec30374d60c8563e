"""What events of proposals, budget lines and works tell of their case. Importing it completes `telling`. Pure."""

from __future__ import annotations

from decimal import Decimal, InvalidOperation

from schemas.types import (
    BudgetCeilingSet,
    BudgetClosed,
    BudgetPaid,
    ContractingContract,
    DecisionRequested,
    ProposalBudgeted,
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
from services.casebook.case import Case
from services.casebook.entry import Entry
from services.casebook.fields import Content, moment_in, money_in, text_in
from services.casebook.states import (
    AWAITING_BUDGET,
    BUDGETED,
    CLOSED,
    COMPLETED,
    CONTRACTED,
    DROPPED,
    ENDORSED,
    FORWARDED,
    IN_WORKS,
    MERGING,
    OPEN,
    PAID,
    PROCUREMENT,
    RANKED,
    REALISED,
    REJECTED,
    SUBMITTED,
)
from services.casebook.telling import begins, take_cost, take_estimate, tells

begins(ProposalSubmitted, SUBMITTED, "title")
begins(BudgetCeilingSet, OPEN, "name")

_STATE_OF_STEP = {
    "forward": RANKED,
    "budget": AWAITING_BUDGET,
    "procure": BUDGETED,
    "contract": PROCUREMENT,
    "build": IN_WORKS,
    "pay": COMPLETED,
    "register": PAID,
}
"""The state in which a proposal waits for a step. For the others the event before it has said the state."""


@tells(ProposalSubmitted)
def _submitted(case: Case, entry: Entry, content: Content) -> None:
    take_estimate(case, content, "estimate")


@tells(DecisionRequested)
def _requested(case: Case, entry: Entry, content: Content) -> None:
    case.state = _STATE_OF_STEP.get(text_in(content, "step") or "", case.state)
    case.held_by(text_in(content, "agency") or entry.recipient, entry.occurred_at)
    case.answer_by = moment_in(content, "decide_by")


@tells(ProposalEndorsed)
def _endorsed(case: Case, entry: Entry, content: Content) -> None:
    case.state = ENDORSED


@tells(ProposalRanked)
def _ranked(case: Case, entry: Entry, content: Content) -> None:
    case.state = RANKED
    take_estimate(case, content, "estimate")


@tells(ProposalForwarded)
def _forwarded(case: Case, entry: Entry, content: Content) -> None:
    case.state = FORWARDED
    case.held_by(text_in(content, "agency"), entry.occurred_at)


@tells(ProposalMerged)
def _merged(case: Case, entry: Entry, content: Content) -> None:
    case.state = MERGING


@tells(ProposalRejected)
def _rejected(case: Case, entry: Entry, content: Content) -> None:
    case.state, case.answer_by = REJECTED, None


@tells(ProposalDropped)
def _dropped(case: Case, entry: Entry, content: Content) -> None:
    case.state, case.answer_by = DROPPED, None


@tells(ProposalBudgeted)
def _budgeted(case: Case, entry: Entry, content: Content) -> None:
    case.agency = text_in(content, "agency") or case.agency


@tells(ContractingContract)
def _contracted(case: Case, entry: Entry, content: Content) -> None:
    case.state = CONTRACTED


@tells(BudgetPaid)
def _paid(case: Case, entry: Entry, content: Content) -> None:
    money = money_in(content, "amount")
    if money is None:
        return
    before = Decimal(case.cost_amount) if case.cost_amount and case.cost_currency == money[1] else Decimal(0)
    try:
        case.cost_amount, case.cost_currency = f"{before + Decimal(money[0]):f}", money[1]
    except InvalidOperation:
        return


@tells(ProposalRealised)
def _realised(case: Case, entry: Entry, content: Content) -> None:
    case.state, case.answer_by = REALISED, None


@tells(ProposalClosed)
def _closed(case: Case, entry: Entry, content: Content) -> None:
    case.state = CLOSED
    case.outcome = text_in(content, "outcome")
    case.agency = case.agency or text_in(content, "decided_by_agency")
    case.closed_at = entry.occurred_at
    case.holder = case.held_since = case.answer_by = None
    take_cost(case, content, "amount")


@tells(BudgetClosed)
def _line_closed(case: Case, entry: Entry, content: Content) -> None:
    case.state, case.closed_at = CLOSED, entry.occurred_at
    case.holder = case.held_since = None
