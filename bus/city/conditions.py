"""A subscription's `when`: a condition in CEL over one event, as the agency itself would read it. Pure.

What it sees of the data is what the agency may read: a condition over a personal field cannot tell it what it is not
entitled to know. A condition that fails for one event (a field that is not there) takes nothing: the caller says so.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from functools import lru_cache
from typing import Any, NamedTuple

from pydantic_core import from_json

from bus.city.model import Subscription
from bus.expressions import Expression, ExpressionFailed

TEXTS_MAX = 4096
"""Conditions whose fields are remembered."""

NAMES: Mapping[str, str] = {
    "type": "the event's type",
    "sender": "the agency that says it, or the process of the bus: `workflows`",
    "sender_level": "that agency's level; empty for a process of the bus",
    "area": "the code of the area that it is about; the city's own where none is told",
    "areas": "that area and those that hold it, the nearest first",
    "area_level": "that area's level",
    "service": "the `service_code`, empty where the event tells none",
    "recipient": "the one agency that it is addressed to, or empty",
    "parties": "the agencies that take part in the case, as far as the event tells",
    "case": "the case's id",
    "time": "when it happened, as text: `timestamp(time)` makes it a moment",
    "data": "the event's data, without the personal fields that the agency may not read",
}
"""What a condition may speak of, and what each name is."""


_quoted = re.compile(r"\"[^\"]*\"|'[^']*'")
_data = re.compile(r"(?<![\w.])data\b")
_field = re.compile(r"""(?<![\w.])data\s*(?:\.\s*(\w+)|\[\s*(?:"([^"]*)"|'([^']*)')\s*\])""")


@lru_cache(TEXTS_MAX)
def fields_named(text: str) -> tuple[str, ...] | None:
    """The fields of `data` that a condition speaks of; None where it speaks of `data` as a whole."""
    quoted = [(place.start(), place.end()) for place in _quoted.finditer(text)]

    def outside(place: re.Match[str]) -> bool:
        return not any(start < place.start() < end for start, end in quoted)

    places = [place for place in _field.finditer(text) if outside(place)]
    if len(places) != sum(outside(place) for place in _data.finditer(text)):
        return None
    return tuple(dict.fromkeys(next(name for name in place.groups() if name is not None) for place in places))


class Condition(NamedTuple):
    """One agency's subscription that takes an event where its expression holds."""

    agency: str
    subscription: Subscription
    expression: Expression

    def holds(self, given: Mapping[str, Any]) -> bool:
        """Whether it takes the event.

        Raises:
            ExpressionFailed: it cannot say, in words.
        """
        expression = self.expression
        seen = {name: given[name] for name in expression.names}
        fields = fields_named(expression.text)
        if fields is not None and "data" in seen:  # handing the data over to CEL costs forty times the expression
            data = seen["data"]
            seen["data"] = {field: data[field] for field in fields if field in data}
        return expression.holds(seen)


def data_of(value: bytes) -> dict[str, Any]:
    """An event's data as a condition sees it.

    Raises:
        ExpressionFailed: it is no JSON object.
    """
    try:
        found = from_json(value)
    except ValueError as error:
        raise ExpressionFailed("the event's data is no JSON") from error
    if not isinstance(found, dict):
        raise ExpressionFailed("the event's data is no JSON object")
    return found
