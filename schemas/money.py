"""How an amount of money is read by a person: the same in commands, pages and sentences. Pure."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

_INDONESIAN = str.maketrans(",.", ".,")


def money_text(money: Mapping[str, Any], language: str = "en") -> str:
    """`IDR 1,250,000` or, in Indonesian, `IDR 1.250.000`: exact, in threes, without a fraction that is nothing.

    Args:
        money: `amount`, a decimal string, and `currency`; what is no number is shown as it is.
    """
    whole, _, fraction = str(money.get("amount", "")).partition(".")
    sign, digits = ("-", whole[1:]) if whole.startswith("-") else ("", whole)
    if digits.isdecimal():
        whole = f"{sign}{int(digits):,}"
    if fraction.strip("0"):
        whole += f".{fraction}"
    text = whole.translate(_INDONESIAN) if language == "id" else whole
    return f"{money.get('currency', '')} {text}".strip()
