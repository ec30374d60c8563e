"""The strict base of all shared data: what pydantic's defaults let in by mistake is refused here.

Refused: a number as a string, a boolean as a number, NaN and infinity, a time without an offset or as a number,
unknown fields, duplicate keys, NUL characters (the types in `schemas/values.py`), unbounded text and lists.
"""

from __future__ import annotations

import json
from collections import Counter
from typing import Any

from pydantic import BaseModel, ConfigDict, ValidationError

from schemas.failures import Reason


class Strict(BaseModel):
    """Base of every shared model: strict, closed, frozen, finite."""

    model_config = ConfigDict(
        strict=True,
        extra="forbid",
        frozen=True,
        allow_inf_nan=False,
        str_max_length=100_000,
        use_attribute_docstrings=True,
        validate_default=True,
        protected_namespaces=(),
    )


_FIXES = {
    "missing": "Add it.",
    "extra_forbidden": "Remove it, or check its spelling against the published schema.",
    "json_invalid": "Send valid JSON in UTF-8.",
    "string_type": "Send a string in double quotes.",
    "string_too_long": "Shorten it.",
    "too_long": "Send fewer.",
    "finite_number": "Send a finite number.",
    "timezone_aware": "Add the offset, as in 2026-11-24T08:00:00+08:00.",
}


def reasons_of(error: ValidationError) -> list[Reason]:
    """Every failure in a pydantic error, as a reason: where in the data, what is wrong, what to do."""
    reasons = []
    for detail in error.errors(include_url=False, include_context=False, include_input=False):
        path = "data"
        for step in detail["loc"]:
            path += f"[{step}]" if isinstance(step, int) else f".{step}"
        kind = detail["type"]
        code = {"extra_forbidden": "unknown_field", "json_invalid": "not_json"}.get(kind, kind)
        problem = detail["msg"].removeprefix("Value error, ")
        reasons.append(Reason(code, path, problem[:1].lower() + problem[1:], _FIXES.get(kind, "Correct the value.")))
    return reasons


def duplicate_keys(data: bytes) -> list[Reason]:
    """A reason for each key that stands twice in one object. JSON leaves open which of them counts, so none does."""
    found: list[Reason] = []

    def notice(pairs: list[tuple[str, Any]]) -> None:
        for key, count in Counter(key for key, _ in pairs).items():
            if count > 1:
                found.append(Reason("duplicate_key", f"data.{key}", f"the key stands {count} times", "Keep one."))

    json.loads(data, object_pairs_hook=notice)
    return found
