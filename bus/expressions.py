"""CEL expressions of mappings and subscriptions: compiled once, bounded in cost, wrong in words. Pure.

An expression sees one record's columns, or one event, and nothing else. It cannot loop: the macros of CEL that walk a
list are refused, so its cost is bounded by its length times the length of what it is given, and both are bounded here.
Regular expressions (`matches`) run in linear time.
"""

from __future__ import annotations

import math
import re
from collections.abc import Callable, Iterable, Mapping
from datetime import date, datetime, time
from decimal import Decimal
from typing import Any

EXPRESSION_CHARACTERS_MAX = 1000
"""CEL's parser ends the process where a chain of operators is tens of thousands long."""

TEXT_CHARACTERS_MAX = 10_000
"""The longest text that an expression is given, or may give back."""

ITEMS_MAX = 1000
"""Members of all lists and objects that an expression is given."""

DEPTH_MAX = 20

_walks = re.compile(r"\.\s*(all|exists|exists_one|existsOne|filter|map|transformList|transformMap)\s*\(")
_comments_of_cel = re.compile(r"\s*(Check that|Check function|CEL does not coerce).*", re.DOTALL)


class WrongExpression(ValueError):
    """A text that is no expression, with a sentence that says why."""


class ExpressionFailed(ValueError):
    """An expression that gave no value for this record, with a sentence that says why."""


class Expression:
    """One expression. What it may use: the names given to `value`, CEL's own functions, and `FUNCTIONS`."""

    def __init__(self, text: str) -> None:
        """
        Raises:
            WrongExpression: it is too long, walks a list, or is not CEL.
        """
        self.text = text
        if len(text) > EXPRESSION_CHARACTERS_MAX:
            raise WrongExpression(
                f"the expression has {len(text)} characters, more than {EXPRESSION_CHARACTERS_MAX}: split it over rules"
            )
        if (found := _walks.search(text)) is not None:
            raise WrongExpression(
                f"an expression may not walk a list with {found[1]}(): its cost must be bounded. "
                'Use an index (list[0]) or membership ("x" in list)'
            )
        try:
            import cel  # it brings a terminal's editor with it, and most processes have no expression

            self._program = cel.compile(text)
            self._context = cel.Context
        except Exception as error:
            raise WrongExpression(f"{text!r} is not CEL: {_first_line(error)}") from error
        self.names: tuple[str, ...] = tuple(name for name in self._program.variables() if name not in FUNCTIONS)
        """The names that it refers to."""
        used = self._program.functions()
        self._functions = {name: function for name, function in FUNCTIONS.items() if name in used}

    def value(self, given: Mapping[str, Any]) -> Any:
        """What the expression says of these values.

        Raises:
            ExpressionFailed: it raised, or what it was given or gave is out of bounds.
        """
        budget = [ITEMS_MAX]
        context = self._context({name: _plain(value, budget, 0) for name, value in given.items()}, self._functions)
        try:
            result = self._program.execute(context)
        except ExpressionFailed:
            raise
        except Exception as error:
            raise ExpressionFailed(f"the expression {self.text!r} failed: {_first_line(error)}") from error
        if isinstance(result, str) and len(result) > TEXT_CHARACTERS_MAX:
            raise ExpressionFailed(f"the expression {self.text!r} gave a text of {len(result)} characters")
        if isinstance(result, float) and not math.isfinite(result):
            raise ExpressionFailed(f"the expression {self.text!r} gave a number that is not finite")
        return result

    def holds(self, given: Mapping[str, Any]) -> bool:
        """Whether the expression, a condition, is true of these values.

        Raises:
            ExpressionFailed: as `value`, or it gave neither true nor false.
        """
        result = self.value(given)
        if not isinstance(result, bool):
            raise ExpressionFailed(f"the condition {self.text!r} gave {_kind(result)}, neither true nor false")
        return result


def _plain(value: Any, budget: list[int], depth: int) -> Any:
    """The value as CEL takes it: times as text in ISO 8601, decimals as numbers."""
    if value is None or isinstance(value, bool):
        return value
    if isinstance(value, str):
        if len(value) > TEXT_CHARACTERS_MAX:
            raise ExpressionFailed(f"a text of {len(value)} characters is too long for an expression")
        return value
    if isinstance(value, int):
        return value if -(2**63) <= value < 2**63 else float(value) if abs(value) < 10**300 else _no(value)
    if isinstance(value, (float, Decimal)):
        return as_float if is_finite(value) and math.isfinite(as_float := float(value)) else _no(value)
    if isinstance(value, (datetime, date, time)):
        return value.isoformat()
    if isinstance(value, bytes):
        return value if len(value) <= TEXT_CHARACTERS_MAX else _no(value)
    if isinstance(value, (list, tuple, dict)):
        budget[0] -= len(value)
        if budget[0] < 0 or depth >= DEPTH_MAX:
            raise ExpressionFailed(
                f"more than {ITEMS_MAX} members, or {DEPTH_MAX} levels, are too many for an expression"
            )
        if isinstance(value, dict):
            return {str(key): _plain(each, budget, depth + 1) for key, each in value.items()}
        return [_plain(each, budget, depth + 1) for each in value]
    return str(value)


def is_finite(number: float | Decimal) -> bool:
    """Whether it is a number at all. `math.isfinite` raises for a signalling NaN, and calls 1e999 infinite."""
    return number.is_finite() if isinstance(number, Decimal) else math.isfinite(number)


def _no(value: Any) -> Any:
    raise ExpressionFailed(f"{_kind(value)} is too large for an expression, or not finite")


def _kind(value: Any) -> str:
    kinds = {
        str: "a text",
        bool: "true or false",
        int: "a number",
        float: "a number",
        bytes: "bytes",
        type(None): "null",
    }
    return kinds.get(type(value), f"a {type(value).__name__}")


def _first_line(error: Exception) -> str:
    """What CEL says, without its drawing and its advice for programmers."""
    text = str(error).splitlines()[0] if str(error) else type(error).__name__
    if isinstance(error, KeyError):
        return f"there is no {text}"
    text = _comments_of_cel.sub("", text.rpartition("ERROR: <input>:")[2])
    return text.rstrip(" .")[:200]


def _text(function: Callable[..., str | list[str]]) -> Callable[..., Any]:
    def checked(*arguments: Any) -> Any:
        if not all(isinstance(argument, str) for argument in arguments):
            raise ExpressionFailed(
                "lower, upper, trim, replace and split take texts: write string(x) for another value"
            )
        result = function(*arguments)
        if len(result) > TEXT_CHARACTERS_MAX:
            raise ExpressionFailed(f"a text of {len(result)} characters is too long for an expression")
        return result

    return checked


def _replace(text: str, old: str, new: str) -> str:
    if old and text.count(old) * len(new) > TEXT_CHARACTERS_MAX:
        raise ExpressionFailed("replace() would make a text that is too long")
    return text.replace(old, new) if old else text


def _split(text: str, separator: str) -> list[str]:
    return text.split(separator, ITEMS_MAX) if separator else [text]


FUNCTIONS: Mapping[str, Callable[..., Any]] = {
    "lower": _text(str.lower),
    "upper": _text(str.upper),
    "trim": _text(str.strip),
    "replace": _text(_replace),
    "split": _text(_split),
}
"""What expressions have besides CEL's own."""


def names_of(expressions: Iterable[Expression]) -> tuple[str, ...]:
    """All names that the expressions refer to, in order."""
    return tuple(dict.fromkeys(name for expression in expressions for name in expression.names))
