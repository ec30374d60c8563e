"""An expression sees what it is given, costs little whatever it is given, and fails in a sentence."""

from __future__ import annotations

import contextlib
import math
import time
from datetime import UTC, date, datetime
from decimal import Decimal
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from bus.expressions import (
    EXPRESSION_CHARACTERS_MAX,
    TEXT_CHARACTERS_MAX,
    Expression,
    ExpressionFailed,
    WrongExpression,
)


@pytest.mark.parametrize(
    ("text", "given", "value"),
    [
        ("a + 1", {"a": 1}, 2),
        ('a == null ? "-" : a', {"a": None}, "-"),
        ("a > 1000000.0", {"a": Decimal("1000000.5")}, True),
        ('a >= "2026-11-24"', {"a": date(2026, 11, 24)}, True),
        ('a.startsWith("2026-11-24T08:00")', {"a": datetime(2026, 11, 24, 8, tzinfo=UTC)}, True),
        ('upper(trim(a)) + replace(a, " ", "") + lower("X")', {"a": " x "}, "Xxx"),
        ('split(a, ";")[1]', {"a": "x;y"}, "y"),
        ('a.matches("^[A-Z]{2}$")', {"a": "AB"}, True),
        ('record["Nama Jalan"]', {"record": {"Nama Jalan": "Hayam Wuruk"}}, "Hayam Wuruk"),
        ('has(record.x) ? "yes" : "no"', {"record": {}}, "no"),
        ('"b" in a', {"a": ["a", "b"]}, True),
    ],
)
def test_an_expression_gives(text: str, given: dict[str, Any], value: Any) -> None:
    assert Expression(text).value(given) == value


@pytest.mark.parametrize(
    ("text", "given", "told"),
    [
        ("1 / a", {"a": 0}, "division by zero"),
        ("a + 1", {"a": "x"}, "string + int"),
        ("a ? 1 : 2", {"a": 1}, "not defined for the given operand types"),
        ("a * a", {"a": 2**62}, "overflow"),
        ("record.x", {"record": {}}, "there is no 'x'"),
        ("a[3]", {"a": [1]}, "index out of bounds"),
        ('a.matches("(")', {"a": "x"}, "not a valid regex"),
        ('a.matches("(.{1,1000}){1,1000}")', {"a": "x"}, "not a valid regex"),
        ("nonsense(a)", {"a": 1}, "nonsense"),
        ("lower(a)", {"a": 1}, "take texts"),
        ("a", {"a": math.nan}, "not finite"),
        ("a", {"a": Decimal("sNaN")}, "not finite"),
        ("a", {"a": 10**5000}, "too large"),
        ("a", {"a": "x" * (TEXT_CHARACTERS_MAX + 1)}, "too long"),
        ("a + a", {"a": "x" * TEXT_CHARACTERS_MAX}, "20000 characters"),
        ("1.0 / a", {"a": 0.0}, "not finite"),
        ("a", {"a": [0] * 2000}, "too many"),
        ('replace(a, "x", a)', {"a": "x" * 1000}, "too long"),
    ],
)
def test_an_expression_that_fails_says_which_and_why(text: str, given: dict[str, Any], told: str) -> None:
    with pytest.raises(ExpressionFailed) as caught:
        Expression(text).value(given)
    assert told in str(caught.value)
    assert len(str(caught.value)) < 400


def test_a_condition_must_be_true_or_false() -> None:
    assert Expression("a == 1").holds({"a": 1}) is True
    with pytest.raises(ExpressionFailed, match="neither true nor false"):
        Expression("a").holds({"a": 1})


@pytest.mark.parametrize(
    ("text", "told"),
    [
        ("", "is not CEL"),
        ("a +", "is not CEL"),
        ("(" * 200 + "1" + ")" * 200, "is not CEL"),
        ("+".join("1" * 20_000), "characters, more than"),
        ("[1, 2].map(x, [1, 2].map(y, x * y))", "may not walk a list"),
        ("a . exists ( x, x > 1 )", "may not walk a list"),
    ],
)
def test_what_is_no_expression_or_costs_too_much_is_refused_before_it_runs(text: str, told: str) -> None:
    with pytest.raises(WrongExpression, match=told):
        Expression(text)


def test_the_dearest_expression_there_can_be_costs_less_than_a_second() -> None:
    dearest = Expression("a" + "+a" * (EXPRESSION_CHARACTERS_MAX // 2 - 1))
    began = time.process_time()
    with pytest.raises(ExpressionFailed, match="characters"):
        dearest.value({"a": "x" * TEXT_CHARACTERS_MAX})
    assert time.process_time() - began < 1.0


values = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text() | st.binary() | st.decimals() | st.datetimes(),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(), inner, max_size=3),
    max_leaves=8,
)


@given(values)
def test_whatever_a_column_holds_an_expression_gives_a_value_or_a_sentence(value: Any) -> None:
    for text in ("a", "a == null", "string(a)", "size(a)", 'a == "x"'):
        with contextlib.suppress(ExpressionFailed):
            Expression(text).value({"a": value})
