"""Data by the schema: a hypothesis strategy for what a JSON Schema admits, of the kinds that our types use."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import datetime, timedelta, timezone
from math import ceil, floor
from typing import Any

from hypothesis import strategies as st

from schemas.shapes import Schema

_offsets = st.integers(-23 * 60 - 59, 23 * 60 + 59).map(lambda minutes: timezone(timedelta(minutes=minutes)))

moments = st.builds(
    lambda moment, offset: moment.replace(tzinfo=offset).isoformat(),
    st.datetimes(datetime(1970, 1, 1), datetime(2100, 12, 31, 23, 59, 59)),  # noqa: DTZ001 - the offset is added
    _offsets,
)
"""Times as the bus writes them, with every offset that there may be."""


def instances(schema: Schema, definitions: Mapping[str, Any]) -> st.SearchStrategy[Any]:
    """What fits the schema; null where nothing does. Numbers are finite; objects have few fields that are not named."""
    if isinstance(schema, bool):
        return st.integers(0, 9) if schema else st.none()
    if "$ref" in schema:
        return st.deferred(lambda: instances(definitions[schema["$ref"].rpartition("/")[2]], definitions))
    if "anyOf" in schema:
        return st.one_of([instances(each, definitions) for each in schema["anyOf"]])
    if "const" in schema or "enum" in schema:
        return st.sampled_from(schema.get("enum", [schema.get("const")]))
    kind = schema.get("type")
    if isinstance(kind, list):
        return st.one_of([instances({**schema, "type": each}, definitions) for each in kind])
    return {
        None: st.none() | st.booleans() | st.integers(-9, 9) | st.text(max_size=3),
        "null": st.none(),
        "boolean": st.booleans(),
        "integer": st.deferred(lambda: _integers(schema)),
        "number": st.deferred(lambda: _numbers(schema)),
        "string": st.deferred(lambda: _texts(schema)),
        "array": st.deferred(lambda: _lists(schema, definitions)),
        "object": st.deferred(lambda: _objects(schema, definitions)),
    }[kind]


def _integers(schema: Mapping[str, Any]) -> st.SearchStrategy[int | None]:
    least, most = schema.get("minimum"), schema.get("maximum")
    if "exclusiveMinimum" in schema:
        least = max(schema["exclusiveMinimum"] + 1, -(10**9) if least is None else least)
    if "exclusiveMaximum" in schema:
        most = min(schema["exclusiveMaximum"] - 1, 10**9 if most is None else most)
    if least is not None and most is not None and least > most:
        return st.none()
    if not _near(least, most):
        return st.integers(least, most)
    return st.integers(-9 if least is None else least, 9 if most is None else most) | st.integers(least, most)


def _near(least: float | None, most: float | None) -> bool:
    """Whether small numbers are admitted: they are drawn often, since bounds are small."""
    return (least is None or least <= 9) and (most is None or most >= -9)


def _numbers(schema: Mapping[str, Any]) -> st.SearchStrategy[float | None]:
    least, most = schema.get("minimum"), schema.get("maximum")
    if least is not None and most is not None and least > most:
        return st.none()
    floats = st.floats(least, most, allow_nan=False, allow_infinity=False)
    if not _near(least, most):
        return floats
    low, high = ceil(-9 if least is None else least), floor(9 if most is None else most)
    return floats | st.integers(low, high).map(float) if low <= high else floats


def _texts(schema: Mapping[str, Any]) -> st.SearchStrategy[str | None]:
    if schema.get("format") == "date-time":
        return moments
    least, most = schema.get("minLength", 0), schema.get("maxLength")
    if most is not None and least > most:
        return st.none()
    pattern = schema.get("pattern")
    if pattern in (None, r"^[^\u0000]*$"):
        letters = st.characters(exclude_characters="\0", exclude_categories=["Cs"])
        return st.text(letters, min_size=least, max_size=min(least + 40, most if most is not None else 40 + least))
    found = st.from_regex(pattern.removeprefix("^").removesuffix("$"), fullmatch=True)
    return found.filter(lambda text: least <= len(text) <= (most if most is not None else len(text)))


def _lists(schema: Mapping[str, Any], definitions: Mapping[str, Any]) -> st.SearchStrategy[list[Any] | None]:
    first = [instances(each, definitions) for each in schema.get("prefixItems", ())]
    least, most = schema.get("minItems", 0), schema.get("maxItems", 4)
    rest = schema.get("items", True)
    if first and (rest is False or most <= len(first)):
        return st.tuples(*first).map(list) if least <= len(first) <= most else st.none()
    if first or least > most:
        return st.none()
    return st.lists(instances(rest, definitions), min_size=least, max_size=max(least, min(most, 4)))


def _objects(schema: Mapping[str, Any], definitions: Mapping[str, Any]) -> st.SearchStrategy[dict[str, Any]]:
    fields = {name: instances(field, definitions) for name, field in schema.get("properties", {}).items()}
    required = [name for name in schema.get("required", ()) if name in fields]
    named = st.fixed_dictionaries(
        {name: fields[name] for name in required},
        optional={name: field for name, field in fields.items() if name not in required},
    )
    rest = schema.get("additionalProperties", True)
    if rest is False:
        return named
    others = st.dictionaries(st.sampled_from(["x1", "x2"]), instances(rest, definitions), max_size=1)
    return st.builds(lambda one, other: {**other, **one}, named, others)
