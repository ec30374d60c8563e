"""JSON Schemas in a form that can be compared: annotations gone, references followed, unions spread out. Pure.

`schemas/compatibility.py` stands on this. Covered is what our types use and a little more; `uncomparable` names the
keywords of a schema that are not, so that nothing is ever called compatible because it was overlooked.
"""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from fractions import Fraction
from typing import Any

Schema = Mapping[str, Any] | bool
"""A JSON Schema of draft 2020-12: an object, or true (everything), or false (nothing)."""

Limit = tuple[Fraction, bool]
"""A greatest or least number, and whether it is itself excluded."""

_ANNOTATIONS = frozenset(
    {
        "title",
        "description",
        "examples",
        "default",
        "deprecated",
        "readOnly",
        "writeOnly",
        "contentMediaType",
        "contentEncoding",
        "$comment",
        "$schema",
        "$id",
        "$defs",
    }
)
_COMPARED = (
    {"minLength", "maxLength", "pattern", "format"}
    | {"minimum", "maximum", "exclusiveMinimum", "exclusiveMaximum", "multipleOf"}
    | {"items", "prefixItems", "minItems", "maxItems", "uniqueItems"}
    | {"properties", "required", "additionalProperties", "patternProperties", "propertyNames"}
    | {"minProperties", "maxProperties"}
)
"""The keywords that the rules cover. Each speaks of one type of data only; beside another type it says nothing."""

_TYPES: dict[str, tuple[type, ...]] = {
    "string": (str,),
    "integer": (int,),
    "number": (int, float),
    "boolean": (bool,),
    "null": (type(None),),
    "array": (list,),
    "object": (dict,),
}


def without_annotations(schema: Any) -> Any:
    """The schema without what says nothing about which data is valid: titles, descriptions, examples, the owner.

    Two schemas that are equal without annotations have one shape. Marks that the rules look at (`x-personal`, `x-kind`
    and the like) stay, and so do defaults.
    """
    if not isinstance(schema, dict):
        return schema
    kept: dict[str, Any] = {}
    for keyword, value in schema.items():
        if keyword in {"properties", "patternProperties", "$defs"}:
            kept[keyword] = {name: without_annotations(each) for name, each in value.items()}
        elif keyword in {"anyOf", "oneOf", "allOf", "prefixItems"}:
            kept[keyword] = [without_annotations(each) for each in value]
        elif keyword in {"items", "additionalProperties", "propertyNames", "not"}:
            kept[keyword] = without_annotations(value)
        elif keyword == "default" or not (keyword in _ANNOTATIONS or keyword == "x-owner"):
            kept[keyword] = value
    return kept


def canonical(value: Any) -> str:
    """One text for equal JSON values, which tells 1 from true and 1.0 (Python does not)."""
    return json.dumps(value, sort_keys=True, ensure_ascii=False)


def follow(schema: Schema, definitions: Mapping[str, Any]) -> Schema:
    """The schema that `$ref` leads to, where there is one and nothing beside it says more."""
    while isinstance(schema, Mapping) and "$ref" in schema and not assertions(schema) - {"$ref"}:
        schema = definitions[schema["$ref"].rpartition("/")[2]]
    return schema


def branches(schema: Schema, definitions: Mapping[str, Any]) -> Iterator[Mapping[str, Any]]:
    """The schemas of which data must fit one: those of `anyOf`, of a list of types, and null where an enum has it."""
    schema = follow(schema, definitions)
    if isinstance(schema, bool):
        if schema:
            yield {}
        return
    if "anyOf" in schema and assertions(schema) == {"anyOf"}:
        for each in schema["anyOf"]:
            yield from branches(each, definitions)
        return
    if "const" in schema:
        schema = {"enum": [schema["const"]], **{k: v for k, v in schema.items() if k != "const"}}
    if isinstance(schema.get("type"), list):
        for each in schema["type"]:
            yield from branches({**schema, "type": each}, definitions)
        return
    if "enum" in schema:
        values = [value for value in schema["enum"] if "type" not in schema or _is_of(value, schema["type"])]
        if None in values:
            yield {**schema, "enum": [None]}
        values = [value for value in values if value is not None]
        if values:
            yield {**schema, "enum": values}
        return
    yield schema


def _is_of(value: Any, kind: str) -> bool:
    return isinstance(value, _TYPES[kind]) and (kind == "boolean" or not isinstance(value, bool))


def assertions(schema: Mapping[str, Any]) -> set[str]:
    """The keywords of the schema that say which data is valid."""
    return {keyword for keyword in schema if keyword not in _ANNOTATIONS and not keyword.startswith("x-")}


def kind_of(branch: Mapping[str, Any]) -> str | None:
    """The one type of data that fits the branch: `string`, `enum` where values are listed, None for anything."""
    if "enum" in branch:
        return "null" if branch["enum"] == [None] else "enum"
    kind: str | None = branch.get("type")
    return kind


def uncomparable(branch: Mapping[str, Any]) -> set[str]:
    """The keywords of the branch that the rules do not cover."""
    if "enum" in branch or "type" not in branch:
        return assertions(branch) - {"enum", "type"}
    return assertions(branch) - {"type"} - _COMPARED


def bound(branch: Mapping[str, Any], noun: str, *, upper: bool) -> Limit | None:
    """The greatest (or least) length or count: `noun` is `Length`, `Items` or `Properties`. At least 0 is no bound."""
    limit = branch.get(("max" if upper else "min") + noun)
    if upper and noun == "Items" and branch.get("items") is False:
        places = len(branch.get("prefixItems", ()))
        limit = places if limit is None else min(limit, places)
    return None if limit is None or (limit == 0 and not upper) else (Fraction(limit), False)


def limits(branch: Mapping[str, Any], *, upper: bool) -> Limit | None:
    """The greatest (or least) number, and whether it is itself excluded. Whole numbers are never excluded."""
    sign = 1 if upper else -1
    found = []
    for name in ("maximum", "exclusiveMaximum") if upper else ("minimum", "exclusiveMinimum"):
        if (limit := branch.get(name)) is not None:
            value, excluded = Fraction(str(limit)), name.startswith("exclusive")
            if branch.get("type") == "integer" and value.denominator == 1 and excluded:
                value, excluded = value - sign, False
            found.append((value, excluded))
    if not found:
        return None
    return min(found, key=lambda each: (sign * each[0], not each[1]))


def within(write: Limit | None, read: Limit, *, upper: bool) -> bool:
    """Whether nothing passes the limit `read` that keeps to the limit `write`."""
    if write is None:
        return False
    (one, one_excluded), (other, other_excluded) = write, read
    if one == other:
        return one_excluded or not other_excluded
    return one < other if upper else one > other


def described(branch: Mapping[str, Any]) -> str:
    """The branch in a few words: `string`, `one of "a", "b"`."""
    if "enum" in branch:
        values = ", ".join(canonical(value) for value in branch["enum"])
        return values if len(branch["enum"]) == 1 else f"one of {values}"
    return str(branch.get("type", "anything"))


def limit_in_words(limit: Limit | None) -> str:
    """The limit as people write it."""
    if limit is None:
        return "none"
    value, excluded = limit
    text = str(value) if value.denominator == 1 else str(float(value))
    return f"{text} (excluded)" if excluded else text
