"""Reading one field of an event's data, tolerantly: what is missing or of another form is None. Pure."""

from __future__ import annotations

from typing import Any

from services.casebook.moments import utc_text_or_none

Content = dict[str, Any]


def text_in(content: Content, name: str) -> str | None:
    """A text that is there and not empty."""
    found = content.get(name)
    return found.replace("\x00", "\ufffd") if isinstance(found, str) and found else None


def moment_in(content: Content, name: str) -> str | None:
    """A time, as UTC text."""
    return utc_text_or_none(content.get(name))


def money_in(content: Content, name: str) -> tuple[str, str] | None:
    """An amount and its currency."""
    found = content.get(name)
    if not isinstance(found, dict):
        return None
    amount, currency = text_in(found, "amount"), text_in(found, "currency")
    return (amount, currency) if amount is not None and currency is not None else None
