"""The budget workflow: one budget line, from its ceiling to the end of its year. It alone decides on its money.

    open → closed

A line is a case of its own, so one partition sees every allocation, one after the other: however many agencies ask at
once, what is set aside never passes the appropriation, nor the appropriation its ceiling. A proposal is another case
and may be in another partition, so the line first sets the money aside, and then tells the proposal (`messages.py`). A
proposal that cannot take it says so, and the line takes the allocation back. In between the money is nobody else's, so
it is never given twice. A transfer between lines goes the same way, and the other line says that it has arrived: until
then the line that gave it does not close, since it may come back.
"""

from __future__ import annotations

from datetime import datetime, timedelta
from decimal import Decimal

import msgspec

from schemas.envelope import Event
from schemas.types.budgets import (
    BudgetAllocated,
    BudgetAppropriated,
    BudgetCeilingSet,
    BudgetClosed,
    BudgetReleased,
    BudgetRevised,
    BudgetTransferArrived,
    BudgetTransferReceived,
    BudgetTransferred,
)
from schemas.types.cases import CaseEscalated, MessageRefused, TimerFired
from schemas.types.contracting import ContractingContract, ContractingTender
from schemas.types.proposals import ProposalBudgeted
from schemas.values import Money
from services.workflows.definition import CLOSED, CaseState, Step, Workflow
from services.workflows.messages import message_in
from services.workflows.money import (
    AMOUNT_MAX,
    as_money,
    refuse,
    require_currency,
    require_new,
    require_something,
    require_within,
    text_of,
    total,
)

OPEN = "open"

REMIND_AFTER = timedelta(days=90)
"""How long a line may stand open after its year before its keeper is reminded, and again after that."""

REMINDERS_MAX = 1000
"""The highest step of an escalation that the schema counts; reminders go on."""


class Allocation(msgspec.Struct, frozen=True, array_like=True, gc=False):
    """Money that is set aside for one proposal."""

    id: str
    proposal: str
    amount: str


class BudgetCase(CaseState, frozen=True, kw_only=True, omit_defaults=True, gc=False):
    """What is remembered of a budget line."""

    budget_line: str
    agency: str
    """Whose line it is."""
    keeper: str
    """The agency that kept the city's budget lines when this one began."""
    currency: str
    ceiling: str
    appropriation: str = "0"
    allocations: tuple[Allocation, ...] = ()
    spent: str = "0"
    """What proposals that have ended paid out of it."""
    reminders: int = 0
    references: tuple[str, ...] = ()
    """All allocations and transfers that it has had, by the senders' references."""
    on_the_way: tuple[str, ...] = ()
    """Transfers of it that have neither arrived nor come back, by their references."""

    @property
    def set_aside(self) -> Decimal:
        """What proposals hold or have spent."""
        return total(allocation.amount for allocation in self.allocations) + Decimal(self.spent)

    @property
    def free(self) -> Decimal:
        """What may still be set aside."""
        return Decimal(self.appropriation) - self.set_aside


budget = Workflow("budget", version=1, case=BudgetCase, opened_by=BudgetCeilingSet)
change = msgspec.structs.replace


@budget.opens
def ceiling_set(event: Event, data: BudgetCeilingSet, step: Step) -> BudgetCase:
    """A line begins with its ceiling and nothing to give."""
    proposals = step.city.proposals
    if proposals is None:
        problem = f"{step.city.id} takes no proposals, so it keeps no budget lines here"
        raise refuse("no_proposals", "type", problem, "Add [proposals] to its city.toml.")
    step.require_sender([proposals.finance], "a budget line")
    if data.area not in step.city.areas:
        raise refuse("unknown_area", "data.area", f"there is no area {data.area}", "Send a code of areas.csv.")
    year_end = datetime(data.fiscal_year + 1, 1, 1, tzinfo=step.city.zone)
    step.start_timer("close", max(year_end - step.after(timedelta()), REMIND_AFTER))
    return BudgetCase(
        id=event.subject,
        workflow=budget.id,
        state=OPEN,
        opened_ms=step.at_ms,
        correlation=event.id,
        jurisdiction=data.area,
        budget_line=data.budget_line,
        agency=data.agency,
        keeper=proposals.finance,
        currency=data.amount.currency,
        ceiling=text_of(data.amount.decimal),
    )


@budget.on(BudgetAppropriated, states=[OPEN], to="same")
def appropriated(case: BudgetCase, data: BudgetAppropriated, step: Step) -> BudgetCase:
    """The council's grant: within the ceiling, and not below what is set aside already."""
    amount = _own(case, data.amount, step)
    return _with_bounds(case, Decimal(case.ceiling), amount, "data.amount")


@budget.on(BudgetRevised, states=[OPEN], to="same")
def revised(case: BudgetCase, data: BudgetRevised, step: Step) -> BudgetCase:
    """Other bounds from now on."""
    ceiling = _own(case, data.ceiling, step, "data.ceiling")
    appropriation = _own(case, data.appropriation, step, "data.appropriation")
    return _with_bounds(case, ceiling, appropriation, "data.appropriation")


@budget.on(BudgetAllocated, states=[OPEN], to="same")
def allocated(case: BudgetCase, data: BudgetAllocated, step: Step) -> BudgetCase:
    """Money for a proposal: set aside here first, then the proposal is told."""
    amount = require_something(_own(case, data.amount, step), "data.amount")
    require_new(data.allocation_id, case.references, "data.allocation_id", f"the allocation {data.allocation_id}")
    executor = step.city.agencies.get(data.agency)
    if executor is None or not all(map(executor.publishes_type, _EXECUTOR_SAYS)):
        problem = f"{data.agency} is no agency of the city that may procure"
        raise refuse(
            "unknown_agency", "data.agency", problem, f"Name one that publishes {' and '.join(_EXECUTOR_SAYS)}."
        )
    fix = "Allocate less, or ask for the line to be revised."
    require_within(amount, case.free, case.currency, "data.amount", "what the budget line has left", fix)
    step.tell(
        data.proposal,
        ProposalBudgeted(
            from_case=case.id,
            amount=as_money(amount, case.currency),
            agency=data.agency,
            allocation_id=data.allocation_id,
        ),
    )
    allocation = Allocation(data.allocation_id, data.proposal, text_of(amount))
    references = (*case.references, data.allocation_id)
    return change(case, allocations=(*case.allocations, allocation), references=references)


@budget.on(BudgetReleased, states=[OPEN], to="same")
def released(case: BudgetCase, data: BudgetReleased, step: Step) -> BudgetCase:
    """A proposal has ended: what it spent is gone, the rest is free."""
    kept = tuple(allocation for allocation in case.allocations if allocation.proposal != data.from_case)
    return change(case, allocations=kept, spent=text_of(Decimal(case.spent) + data.spent.decimal))


@budget.on(BudgetTransferred, states=[OPEN], to="same")
def transferred(case: BudgetCase, data: BudgetTransferred, step: Step) -> BudgetCase:
    """Free money leaves for another line: it is gone from here before it arrives there."""
    amount = require_something(_own(case, data.amount, step), "data.amount")
    require_new(data.transfer_id, case.references, "data.transfer_id", f"the transfer {data.transfer_id}")
    if data.to_line == case.id:
        raise refuse("same_line", "data.to_line", "a line cannot give to itself", "Name another line's case.")
    fix = "Transfer less: what is set aside for proposals stays."
    require_within(amount, case.free, case.currency, "data.amount", "what the budget line has left", fix)
    message = BudgetTransferReceived(
        from_case=case.id, amount=as_money(amount, case.currency), transfer_id=data.transfer_id
    )
    step.tell(data.to_line, message)
    references, on_the_way = (*case.references, data.transfer_id), (*case.on_the_way, data.transfer_id)
    return _moved(change(case, references=references, on_the_way=on_the_way), -amount)


@budget.on(BudgetTransferReceived, states=[OPEN], to="same")
def received(case: BudgetCase, data: BudgetTransferReceived, step: Step) -> BudgetCase:
    """Money comes from another line, with its part of the ceiling."""
    amount = require_currency(data.amount, case.currency, "data.amount", "the budget line")
    fix = "Give it to another line."
    require_within(Decimal(case.ceiling) + amount, AMOUNT_MAX, case.currency, "data.amount", "what can be counted", fix)
    step.tell(data.from_case, BudgetTransferArrived(from_case=case.id, transfer_id=data.transfer_id))
    return _moved(case, amount)


@budget.on(BudgetTransferArrived, states=[OPEN], to="same")
def arrived(case: BudgetCase, data: BudgetTransferArrived, step: Step) -> BudgetCase:
    """What was transferred is the other line's."""
    return _no_longer_on_the_way(case, data.transfer_id)


@budget.on(MessageRefused, states=[OPEN], to="same")
def taken_back(case: BudgetCase, data: MessageRefused, step: Step) -> BudgetCase:
    """The other case could not take the money: it is this line's again."""
    message = message_in(data)
    if isinstance(message, BudgetTransferReceived):
        return _moved(_no_longer_on_the_way(case, message.transfer_id), message.amount.decimal)
    if isinstance(message, BudgetTransferArrived):
        return case  # the other line has closed: nothing was to come back to it
    assert isinstance(message, ProposalBudgeted)
    kept = tuple(allocation for allocation in case.allocations if allocation.id != message.allocation_id)
    return change(case, allocations=kept)


@budget.on(BudgetClosed, states=[OPEN], to=[CLOSED])
def closed(case: BudgetCase, data: BudgetClosed, step: Step) -> BudgetCase:
    """The year is over, and no proposal holds money of the line."""
    step.require_sender(_keepers(case, step), "a budget line")
    if case.allocations:
        holding = sorted({allocation.proposal for allocation in case.allocations})
        problem = f"{len(holding)} proposals still hold money of it, such as {holding[0]}"
        raise refuse(
            "money_set_aside", "type", problem, "Close it when they have ended; `subak trace` shows where they are."
        )
    if case.on_the_way:
        problem = f"the transfer {case.on_the_way[0]} has not arrived yet, and may come back"
        raise refuse("transfer_on_the_way", "type", problem, "Close it again in a minute, when the other line has it.")
    return change(case, state=CLOSED)


@budget.on_timer("close", states=[OPEN], to="same")
def not_closed(case: BudgetCase, data: TimerFired, step: Step) -> BudgetCase:
    """Its year is over, and it stands open: its keeper is told, again and again, and who is above hears it."""
    step.start_timer("close", REMIND_AFTER)
    reminders = min(case.reminders + 1, REMINDERS_MAX)
    holding = len({allocation.proposal for allocation in case.allocations})
    reason = f"The year of the budget line {case.budget_line} is over; {holding} proposals hold money of it."
    keepers = _keepers(case, step)
    escalated = CaseEscalated(from_agency=keepers[0], to_agency=keepers[-1], reason=reason, step=reminders)
    step.emit(escalated, to=keepers[-1], parties=keepers[:1])
    return change(case, reminders=reminders)


_EXECUTOR_SAYS = (ContractingTender.registered.name, ContractingContract.registered.name)


def _keepers(case: BudgetCase, step: Step) -> tuple[str, ...]:
    """Who keeps the city's lines now, and who stands above: what is overdue there comes to them."""
    keeper = step.city.proposals.finance if step.city.proposals is not None else case.keeper
    above = step.city.parent_of(keeper)
    return (keeper,) if above is None else (keeper, above)


def _own(case: BudgetCase, money: Money, step: Step, field: str = "data.amount") -> Decimal:
    """The amount of an event that only the line's keepers may send, in the line's currency."""
    step.require_sender(_keepers(case, step), "a budget line")
    return require_currency(money, case.currency, field, "the budget line")


def _with_bounds(case: BudgetCase, ceiling: Decimal, appropriation: Decimal, field: str) -> BudgetCase:
    fix = "Raise the ceiling first, with subak.budget.revised.v1."
    require_within(appropriation, ceiling, case.currency, field, "the budget line's ceiling", fix)
    if appropriation < case.set_aside:
        problem = f"{text_of(case.set_aside)} {case.currency} of the line is set aside or spent already"
        raise refuse("below_set_aside", f"{field}.amount", problem, "Leave at least that much.")
    return change(case, ceiling=text_of(ceiling), appropriation=text_of(appropriation))


def _no_longer_on_the_way(case: BudgetCase, transfer_id: str) -> BudgetCase:
    return change(case, on_the_way=tuple(other for other in case.on_the_way if other != transfer_id))


def _moved(case: BudgetCase, amount: Decimal) -> BudgetCase:
    ceiling, appropriation = Decimal(case.ceiling) + amount, Decimal(case.appropriation) + amount
    return change(case, ceiling=text_of(ceiling), appropriation=text_of(appropriation))
