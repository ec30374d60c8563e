"""Budgets: how money is set aside for a proposal, billed and paid.

A budget line is a case of its own: one partition decides on all that is taken from it. Bills and payments belong to
the proposal's case, where the contracts are.
"""

from __future__ import annotations

from typing import Annotated

from pydantic import Field

from schemas.registry import EventData, event_type
from schemas.types.cases import Message
from schemas.values import AgencyId, AreaCode, NonNegativeMoney, Text64, Text200, Text1000, Uuid

OWNER = "finance"

FiscalYear = Annotated[int, Field(ge=1900, le=2200)]
"""The year for which money is set aside."""


@event_type("subak.budget.ceilingset.v1", owner=OWNER, opens_case=True)
class BudgetCeilingSet(EventData):
    """A budget line has its ceiling. Opens the line's case."""

    budget_line: Text64
    """The line, by the city's own code."""
    name: Text200
    """What the line is for."""
    fiscal_year: FiscalYear
    """For which year."""
    amount: NonNegativeMoney
    """The ceiling: no more than this may ever be set aside. Its currency is the line's."""
    agency: AgencyId
    """Whose line it is."""
    area: AreaCode
    """For which area."""


@event_type("subak.budget.appropriated.v1", owner=OWNER)
class BudgetAppropriated(EventData):
    """The council has granted money to the line, within its ceiling: its whole appropriation from now on."""

    amount: NonNegativeMoney
    """How much may be set aside."""
    decree: Text200 | None = None
    """By which decision of the council."""


@event_type("subak.budget.allocated.v1", owner=OWNER)
class BudgetAllocated(EventData):
    """Money of the line is set aside for a proposal. The line's case refuses what it does not have."""

    proposal: Uuid
    """The proposal's case."""
    amount: NonNegativeMoney
    """How much."""
    agency: AgencyId
    """Who may spend it."""
    allocation_id: Text64
    """The sender's own reference. The same one twice is refused."""


@event_type("subak.budget.revised.v1", owner=OWNER)
class BudgetRevised(EventData):
    """Ceiling and appropriation of the line are others from now on. They do not fall below what is set aside."""

    ceiling: NonNegativeMoney
    """The ceiling from now on."""
    appropriation: NonNegativeMoney
    """What may be set aside from now on."""
    reason: Text1000
    """Why."""


@event_type("subak.budget.transferred.v1", owner=OWNER)
class BudgetTransferred(EventData):
    """Money that is not set aside moves from this line to another."""

    to_line: Uuid
    """The case of the line that gets it."""
    amount: NonNegativeMoney
    """How much."""
    transfer_id: Text64
    """The sender's own reference. The same one twice is refused."""
    reason: Text1000
    """Why."""


@event_type("subak.budget.transferreceived.v1", owner=OWNER, publisher="bus")
class BudgetTransferReceived(Message):
    """Money has come from another line, `from_case`, and is this one's now."""

    amount: NonNegativeMoney
    """How much."""
    transfer_id: Text64
    """The transfer, by the sender's reference."""


@event_type("subak.budget.transferarrived.v1", owner=OWNER, publisher="bus")
class BudgetTransferArrived(Message):
    """A transfer has arrived at the other line, `from_case`: this one need not wait for it any more."""

    transfer_id: Text64
    """The transfer, by the sender's reference."""


@event_type("subak.budget.released.v1", owner=OWNER, publisher="bus")
class BudgetReleased(Message):
    """A proposal, `from_case`, has ended: what it did not spend is the line's again."""

    amount: NonNegativeMoney
    """How much comes back."""
    spent: NonNegativeMoney
    """How much of the line's money was paid out."""
    reason: Text1000
    """Why it comes back."""


@event_type("subak.budget.closed.v1", owner=OWNER)
class BudgetClosed(EventData):
    """The line's year is over. It closes when no proposal holds money of it any more."""

    reason: Text1000 | None = None
    """Why, where it is not the end of the year."""


@event_type("subak.budget.billed.v1", owner=OWNER)
class BudgetBilled(EventData):
    """A supplier's bill for work under a contract was found right. The case is the proposal's."""

    contract_id: Text64
    """Under which contract (OCDS `contracts/id`)."""
    invoice_id: Text64
    """The bill's own number. The same one twice is refused."""
    amount: NonNegativeMoney
    """How much it asks for. All bills together stay within the contract."""
    milestone_id: Text64 | None = None
    """For which milestone (OC4IDS `milestones/id`)."""


@event_type("subak.budget.paid.v1", owner=OWNER)
class BudgetPaid(EventData):
    """Money was paid to a supplier for what was billed (OCDS `transactions`). The case is the proposal's."""

    contract_id: Text64
    """Under which contract (OCDS `contracts/id`)."""
    payment_id: Text64
    """The payment's own number (OCDS `transactions/id`). The same one twice is refused."""
    amount: NonNegativeMoney
    """How much (OCDS `transactions/value`). All payments together stay within what was billed."""
    invoice_id: Text64 | None = None
    """Which bill it pays."""
