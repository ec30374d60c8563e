"""A proposal's books: what budget lines gave, what contracts bind, what was billed and paid. Pure.

The rule of the books, after every event: paid ≤ billed ≤ the contract's value, for each contract; and what the
contracts bind together ≤ what the budget lines gave. A contract that was terminated binds what was billed. What would
break the rule is refused with its reason, and the books stay as they were.
"""

from __future__ import annotations

from decimal import Decimal

import msgspec

from schemas.types.contracting import Milestone
from schemas.values import Money, NonNegativeMoney
from services.workflows.money import (
    as_money,
    refuse,
    require_currency,
    require_new,
    require_something,
    require_within,
    text_of,
    total,
)

FUNDS_MAX, AWARDS_MAX, MILESTONES_MAX = 20, 20, 100
"""Allocations and awards (so, contracts) of one proposal, and milestones of one contract: no case grows for ever."""

change = msgspec.structs.replace


class Fund(msgspec.Struct, frozen=True, array_like=True, gc=False):
    """What one budget line gave."""

    line: str
    amount: str


class Award(msgspec.Struct, frozen=True, array_like=True, gc=False):
    """An offer that was chosen, until a contract makes it binding."""

    id: str
    value: str
    ocid: str
    supplier: str = ""
    """The supplier's id on the bus, where it is a partner."""


class Contract(msgspec.Struct, frozen=True, array_like=True, gc=False):
    """A contract, and what became of its money and its milestones."""

    id: str
    value: str
    supplier: str = ""
    billed: str = "0"
    paid: str = "0"
    terminated: bool = False
    milestones: tuple[tuple[str, str], ...] = ()
    """Each milestone and its status, in the order in which they were first told."""

    @property
    def binds(self) -> Decimal:
        """How much of the budget it takes."""
        return Decimal(self.billed if self.terminated else self.value)

    @property
    def built(self) -> bool:
        """Whether nothing more is to be done under it."""
        return self.terminated or (bool(self.milestones) and all(status == "met" for _, status in self.milestones))

    @property
    def settled(self) -> bool:
        """Whether nothing more is to be paid under it."""
        return Decimal(self.paid) == self.binds


class Books(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True, gc=False):
    """All the money of one proposal, in one currency."""

    currency: str
    funds: tuple[Fund, ...] = ()
    awards: tuple[Award, ...] = ()
    contracts: tuple[Contract, ...] = ()
    references: tuple[str, ...] = ()
    """All bills and payments that were taken, each with a letter before the sender's number."""

    # -- what they say

    @property
    def given(self) -> Decimal:
        """What the budget lines gave."""
        return total(fund.amount for fund in self.funds)

    @property
    def bound(self) -> Decimal:
        """What contracts bind, and awards promise."""
        return sum((contract.binds for contract in self.contracts), total(award.value for award in self.awards))

    @property
    def paid(self) -> Decimal:
        """What was paid."""
        return total(contract.paid for contract in self.contracts)

    @property
    def live(self) -> tuple[Contract, ...]:
        """The contracts that were not terminated."""
        return tuple(contract for contract in self.contracts if not contract.terminated)

    @property
    def built(self) -> bool:
        """Whether all that was contracted is built, and anything was."""
        return bool(self.live) and not self.awards and all(contract.built for contract in self.contracts)

    @property
    def settled(self) -> bool:
        """Whether nothing more is to be paid."""
        return all(contract.settled for contract in self.contracts)

    def contract(self, id: str) -> Contract:
        """The contract of that id.

        Raises:
            Refused: there is none.
        """
        found = next((contract for contract in self.contracts if contract.id == id), None)
        if found is None:
            known = ", ".join(contract.id for contract in self.contracts) or "none"
            problem = f"the proposal has no contract {id}; it has {known}"
            raise refuse(
                "unknown_contract", "data.contract_id", problem, "Sign it first: subak.contracting.contract.v1."
            )
        return found

    def spent_by_line(self) -> dict[str, tuple[Decimal, Decimal]]:
        """For each budget line what comes back and what was spent of it: the first to give is the first to pay."""
        left = self.paid
        found: dict[str, tuple[Decimal, Decimal]] = {}
        for fund in self.funds:
            amount = Decimal(fund.amount)
            spent = min(left, amount)
            left -= spent
            back_before, spent_before = found.get(fund.line, (Decimal(0), Decimal(0)))
            found[fund.line] = (back_before + amount - spent, spent_before + spent)
        return found

    # -- what changes them

    def fund(self, line: str, money: Money) -> Books:
        """A budget line gives."""
        amount = require_currency(money, self.currency, "data.amount", "the proposal's budget")
        if len(self.funds) >= FUNDS_MAX:
            problem = f"the proposal has {FUNDS_MAX} allocations, and can keep no more"
            raise refuse("case_full", "data.proposal", problem, "Allocate the whole sum at once.")
        return change(self, funds=(*self.funds, Fund(line, text_of(amount))))

    def award(self, id: str, value: Money, ocid: str, supplier: str) -> Books:
        """An offer is chosen: its sum is promised."""
        if any(award.id == id for award in self.awards):
            raise refuse("twice", "data.award_id", f"the award {id} is known already", "Do not send it again.")
        if len(self.awards) + len(self.contracts) >= AWARDS_MAX:
            problem = f"the proposal has {AWARDS_MAX} awards and contracts, and can keep no more"
            raise refuse("case_full", "data.award_id", problem, "Propose the rest anew.")
        amount = self._affordable(value, self.bound)
        return change(self, awards=(*self.awards, Award(id, text_of(amount), ocid, supplier)))

    def cancel(self, ocid: str) -> Books:
        """A tender comes to nothing: what it promised and no contract made binding is free again."""
        return change(self, awards=tuple(award for award in self.awards if award.ocid != ocid))

    def sign(self, id: str, award_id: str, value: Money) -> Books:
        """A contract makes an award binding."""
        award = next((award for award in self.awards if award.id == award_id), None)
        if award is None:
            problem = f"no award {award_id} waits for its contract"
            raise refuse("unknown_award", "data.award_id", problem, "Award first: subak.contracting.award.v1.")
        if any(contract.id == id for contract in self.contracts):
            raise refuse("twice", "data.contract_id", f"the contract {id} is known already", "Do not send it again.")
        amount = self._affordable(value, self.bound - Decimal(award.value))
        contract = Contract(id, text_of(amount), award.supplier)
        awards = tuple(other for other in self.awards if other.id != award_id)
        return change(self, awards=awards, contracts=(*self.contracts, contract))

    def amend(self, id: str, value: Money) -> Books:
        """A contract has another value."""
        contract = self._standing(id)
        amount = self._affordable(value, self.bound - contract.binds)
        if amount < Decimal(contract.billed):
            problem = f"{contract.billed} {self.currency} was billed already under the contract {id}"
            raise refuse("below_billed", "data.value.amount", problem, "Leave at least what was billed.")
        return self._with(change(contract, value=text_of(amount)))

    def terminate(self, id: str) -> Books:
        """A contract ends early: what was billed stays owed."""
        return self._with(change(self._standing(id), terminated=True))

    def bill(self, id: str, invoice: str, money: Money) -> Books:
        """A bill under a contract."""
        contract = self._standing(id)
        amount = self._new_amount(money, f"b{invoice}", "data.invoice_id", f"the bill {invoice}")
        left = Decimal(contract.value) - Decimal(contract.billed)
        fix = "Amend the contract first, or bill less."
        require_within(amount, left, self.currency, "data.amount", f"what the contract {id} has left", fix)
        return self._with(change(contract, billed=text_of(Decimal(contract.billed) + amount)), f"b{invoice}")

    def pay(self, id: str, payment: str, money: Money) -> Books:
        """A payment for what was billed under a contract."""
        contract = self.contract(id)
        amount = self._new_amount(money, f"p{payment}", "data.payment_id", f"the payment {payment}")
        left = Decimal(contract.value) - Decimal(contract.paid)
        fix = "Pay what was agreed, or amend the contract first."
        require_within(amount, left, self.currency, "data.amount", f"what the contract {id} has left", fix)
        owed = Decimal(contract.billed) - Decimal(contract.paid)
        what = f"what is billed and unpaid under the contract {id}"
        require_within(amount, owed, self.currency, "data.amount", what, "Pay when the bill has come.")
        return self._with(change(contract, paid=text_of(Decimal(contract.paid) + amount)), f"p{payment}")

    def report(self, id: str, milestones: tuple[Milestone, ...]) -> Books:
        """What became of milestones; those that are not named stay as they were."""
        contract = self._standing(id)
        statuses = {**dict(contract.milestones), **{milestone.id: milestone.status for milestone in milestones}}
        if len(statuses) > MILESTONES_MAX:
            problem = f"the contract has more than {MILESTONES_MAX} milestones"
            raise refuse("case_full", "data.milestones", problem, "Tell of those that matter to the neighbours.")
        return self._with(change(contract, milestones=tuple(statuses.items())))

    # -- how

    def _affordable(self, value: Money, bound: Decimal) -> Decimal:
        """The value, which must be within what the budget has beside `bound`."""
        amount = require_currency(value, self.currency, "data.value", "the proposal's budget")
        require_something(amount, "data.value")
        fix = "Let finance allocate more first."
        left = self.given - bound
        return require_within(amount, left, self.currency, "data.value", "what the proposal's budget has left", fix)

    def _new_amount(self, money: Money, key: str, field: str, what: str) -> Decimal:
        amount = require_something(require_currency(money, self.currency, "data.amount", "the contract"), "data.amount")
        require_new(key, self.references, field, what)
        return amount

    def _standing(self, id: str) -> Contract:
        contract = self.contract(id)
        if contract.terminated:
            problem = f"the contract {id} was terminated"
            raise refuse("contract_terminated", "data.contract_id", problem, "Only what was billed may still be paid.")
        return contract

    def _with(self, contract: Contract, reference: str | None = None) -> Books:
        contracts = tuple(contract if other.id == contract.id else other for other in self.contracts)
        references = self.references if reference is None else (*self.references, reference)
        return change(self, contracts=contracts, references=references)


def money_paid(books: Books | None) -> NonNegativeMoney | None:
    """What was paid, as it travels in events; None where no budget line ever gave anything."""
    return as_money(books.paid, books.currency) if books is not None and books.paid else None
