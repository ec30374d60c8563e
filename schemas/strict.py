"""The strict base of all shared data: what pydantic's defaults let in by mistake is refused here.

Refused: a number as a string, a boolean as a number, NaN and infinity, a time without an offset or as a number,
unknown fields, duplicate keys, NUL characters (the types in `schemas/values.py`), unbounded text and lists. What is
refused is told in words, every reason at once, and bounded: nobody can make an answer larger than what they sent.
"""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Collection, Sequence
from difflib import get_close_matches
from typing import Any

from pydantic import BaseModel, ConfigDict, ValidationError

from schemas.failures import Reason

REASONS_MAX = 50
"""The most reasons that one refusal gives. The last one says how many more there are."""

_FIELD_LENGTH_MAX = 300
_PROBLEM_LENGTH_MAX = 1000


class Strict(BaseModel):
    """Base of every shared model: strict, closed, frozen, finite."""

    model_config = ConfigDict(
        strict=True,
        extra="forbid",
        frozen=True,
        allow_inf_nan=False,
        str_max_length=100_000,
        use_attribute_docstrings=True,
        # An error travels (into logs, into `case.parked`), and what was sent may be somebody's name.
        hide_input_in_errors=True,
        validate_default=True,
        protected_namespaces=(),
    )


_CODES = {
    "extra_forbidden": "unknown_field",
    "json_invalid": "not_json",
    "string_pattern_mismatch": "pattern",
    "string_too_short": "too_short",
    "string_too_long": "too_long",
    "less_than_equal": "too_large",
    "greater_than_equal": "too_small",
    "literal_error": "not_one_of",
    "model_type": "object_type",
    "dict_type": "object_type",
    "tuple_type": "list_type",
    "finite_number": "not_finite",
}
"""Pydantic's kinds of error under the names that senders see, which must not change with a version of pydantic."""

_FIXES = {
    "missing": "Add it.",
    "extra_forbidden": "Remove it, or check its spelling against the published schema.",
    "json_invalid": "Send valid JSON in UTF-8.",
    "string_type": "Send a string in double quotes.",
    "string_too_short": "Send at least that much, or leave the field out.",
    "string_too_long": "Shorten it.",
    "too_long": "Send fewer.",
    "too_short": "Send more, or leave the field out.",
    "finite_number": "Send a finite number.",
    "int_type": "Send a whole number, without quotes and without a decimal point.",
    "float_type": "Send a number, without quotes.",
    "model_type": "Send an object in braces.",
    "tuple_type": "Send a list in brackets.",
    "not_a_moment": "Send RFC 3339 with an offset, as in 2026-11-24T08:00:00+08:00.",
}

TOO_DEEP = Reason("too_deep", "data", "the data is nested more than 200 deep", "Send flatter JSON.")

_patterns: dict[str, tuple[str, str, str]] = {}


def explain_pattern(pattern: str, name: str, fix: str, problem: str | None = None) -> str:
    """Have refusals and the reference say in words what `pattern` is for; gives the pattern back.

    `name` is what a matching text is, with its article; `problem` what is wrong with another, where "this is not
    <name>" says too little; `fix` what to send.
    """
    _patterns[pattern] = (name, problem or f"this is not {name}", fix)
    return pattern


def name_of_pattern(pattern: str) -> str | None:
    """What a text that matches is, as `explain_pattern` was told."""
    return _patterns[pattern][0] if pattern in _patterns else None


def reasons_of(error: ValidationError, names: Collection[str] = ()) -> list[Reason]:
    """Every failure in a pydantic error, as a reason: where in the data, what is wrong, what to do.

    `names` are the fields that the schema knows, for a guess at what an unknown one was meant to be.
    """
    details = error.errors(include_url=False, include_input=False)
    reasons = []
    for detail in details[:REASONS_MAX]:
        kind = detail["type"]
        problem = detail["msg"].removeprefix("Value error, ").removeprefix("Input ")
        fix = _FIXES.get(kind, "Correct the value.")
        if kind == "string_pattern_mismatch":
            _, problem, fix = _patterns.get(detail["ctx"]["pattern"], ("", problem, fix))
        elif kind == "missing":
            problem = "the field is missing"
        elif kind == "extra_forbidden":
            problem = "the schema has no field of this name"
            near = get_close_matches(str(detail["loc"][-1])[:100], names, n=1)
            fix = f"Did you mean {near[0]}? Otherwise remove it." if near else fix
        elif kind == "json_invalid":
            problem = "the data is not JSON: " + problem.removeprefix("Invalid JSON: ")
            if "recursion limit" in problem:
                return [TOO_DEEP]
        reasons.append(bounded_reason(_CODES.get(kind, kind), _path(detail["loc"]), problem, fix))
    return bounded_reasons(reasons, len(details))


def bounded_reason(code: str, field: str, problem: str, fix: str) -> Reason:
    """A reason whose words are cut where a sender's own text would make them endless."""
    problem = problem[:1].lower() + problem[1:]
    return Reason(code, _cut(field, _FIELD_LENGTH_MAX), _cut(problem, _PROBLEM_LENGTH_MAX), fix)


def bounded_reasons(reasons: Sequence[Reason], count: int | None = None) -> list[Reason]:
    """The first reasons, and one that counts the rest where there are too many. `count`: how many there were."""
    count = len(reasons) if count is None else count
    if count <= REASONS_MAX:
        return list(reasons)
    more = Reason("more_reasons", "data", f"{count - REASONS_MAX} more things are wrong", "Correct these first.")
    return [*reasons[:REASONS_MAX], more]


def duplicate_keys(data: bytes, model: BaseModel | None = None, within: str = "data.") -> list[Reason]:
    """A reason for each key that stands twice in one object. JSON leaves open which of them counts, so none does.

    `within` stands before the key in the reason. `model` is what has been read from `data`, strictly: with it most data
    needs no second parse. Where no string holds an escaped quote, every quote stands at the edge of a key or of a
    string, and each key that was kept is written again with the same strings: as many quotes in as out means that none
    was dropped.
    """
    if model is not None and (b"\\" not in data or (b'\\"' not in data and b"\\u" not in data)):
        written = model.__pydantic_serializer__.to_json(model, exclude_unset=True, by_alias=True)
        if written.count(b'"') == data.count(b'"'):
            return []
    found: list[Reason] = []

    def notice(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
        members = dict(pairs)
        if len(members) < len(pairs):
            for key, count in Counter(key for key, _ in pairs).items():
                if count > 1:
                    problem = f"the key stands {count} times in one object"
                    found.append(bounded_reason("duplicate_key", within + key, problem, "Keep one."))
        return members

    json.loads(data, object_pairs_hook=notice)
    return bounded_reasons(found)


def _path(steps: tuple[int | str, ...]) -> str:
    return "data" + "".join(f"[{step}]" if isinstance(step, int) else f".{step}" for step in steps)


def _cut(text: str, length_max: int) -> str:
    return text if len(text) <= length_max else text[: length_max - 1] + "…"
