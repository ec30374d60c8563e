"""The rules of money that budget lines and proposals share: how amounts are remembered, compared and refused. Pure.

An amount is remembered as a decimal string; the currency stands once, in whose books it is. Every rule here either
holds or raises `Refused` with the sentence that the sender needs, so no books are ever left in a state that breaks one.
"""

from __future__ import annotations

from collections.abc import Collection, Iterable
from decimal import Decimal

from schemas.failures import Reason, Refused
from schemas.values import Money, NonNegativeMoney

AMOUNT_MAX = Decimal(10) ** 15 - 1
"""The largest amount that an event can say."""

REFERENCES_MAX = 500
"""References that one case remembers, to know each again that comes twice."""


def total(amounts: Iterable[str]) -> Decimal:
    """The sum of remembered amounts, exact."""
    return sum((Decimal(amount) for amount in amounts), Decimal(0))


def text_of(amount: Decimal) -> str:
    """An amount as it is remembered."""
    return f"{amount:f}"


def as_money(amount: Decimal, currency: str) -> NonNegativeMoney:
    """An amount as it travels in events."""
    return NonNegativeMoney(amount=text_of(amount), currency=currency)


def refuse(code: str, field: str, problem: str, fix: str) -> Refused:
    """One reason, ready to raise."""
    return Refused([Reason(code, field, problem, fix)])


def require_currency(money: Money, currency: str, field: str, whose: str) -> Decimal:
    """The amount, in the currency of whose books it is for.

    Raises:
        Refused: it is in another currency; nobody here knows a rate.
    """
    if money.currency != currency:
        problem = f"the amount is in {money.currency}, and {whose} is in {currency}"
        raise refuse("wrong_currency", f"{field}.currency", problem, f"Send the amount in {currency}.")
    return money.decimal


def require_something(amount: Decimal, field: str) -> Decimal:
    """The amount, which must be more than nothing.

    Raises:
        Refused: it is zero.
    """
    if amount <= 0:
        raise refuse("nothing", f"{field}.amount", "the amount is zero", "Send an amount above zero.")
    return amount


def require_within(amount: Decimal, limit: Decimal, currency: str, field: str, what: str, fix: str) -> Decimal:
    """The amount, which must not pass the limit.

    Raises:
        Refused: it does; `what` says what the limit is.
    """
    if amount > limit:
        problem = f"{text_of(amount)} {currency} is more than {what}, {text_of(limit)} {currency}"
        raise refuse("over_limit", f"{field}.amount", problem, fix)
    return amount


def require_new(reference: str, known: Collection[str], field: str, what: str) -> None:
    """A reference that this case has not had yet.

    Raises:
        Refused: it has, or it has as many as it can remember.
    """
    if reference in known:
        problem = f"{what} is known already"
        raise refuse("twice", field, problem, "It was taken the first time: do not send it again.")
    if len(known) >= REFERENCES_MAX:
        problem = f"the case has {REFERENCES_MAX} references, and can remember no more"
        raise refuse("case_full", field, problem, "Open another case for what follows.")
