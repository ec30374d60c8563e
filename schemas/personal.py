"""Redaction: an event's data without its personal fields, for those who are not entitled to them.

The schema decides, nobody's memory: a field is personal where its type says `Personal[...]`. What remains is what the
schema knows and does not mark; a field that it does not know is dropped too, because nobody can tell what it says. So a
router that is older than the gateway hides too much and never too little. (One gap follows from speed: data of a type
without personal fields passes untouched, so upgrade the router before the gateway.) What remains is still valid, as
`schemas check` makes sure: personal fields are optional.
"""

from __future__ import annotations

from functools import lru_cache, reduce
from typing import Any

from pydantic_core import from_json, to_json

from schemas.registry import Registry, UnknownType, registry

Plan = dict[str, Any]
"""What to keep of a value: of an object, `fields` by name and `values` under other names; of a list, `items`. A string,
number or boolean is kept. The plan for anything else that the value may be is to drop it."""

PLANS_MAX = 4096
"""Plans remembered: one for each type, and for each set of fields that somebody may read."""

_DROP: Plan = {"drop": True}
_ALL: Plan = {"all": True}
_NULL = {"type": "null"}
_GONE = object()
"""What `_kept` gives where nothing remains."""


def has_personal(event_type: str, types: Registry = registry) -> bool:
    """Whether data of this type can hold personal fields. A type that is not known here may."""
    return _plan_of(event_type, types) is not _ALL


def redact(event_type: str, data: bytes, types: Registry = registry, *, keep: frozenset[str] = frozenset()) -> bytes:
    """`data` without personal fields and without fields that the schema does not know.

    `keep` are the paths, as `personal_fields` has them, of those that may stay. A type without personal fields gives
    the same bytes back. A type that is not known here, or data that is not a JSON object, gives an empty object: what
    cannot be judged is not shown.
    """
    plan = _plan_of(event_type, types, keep)
    if plan is _ALL:
        return data
    try:
        kept = _kept(from_json(data), plan)
    except ValueError:
        kept = _GONE
    return to_json(kept if isinstance(kept, dict) else {})


def personal_fields(event_type: str, types: Registry = registry) -> list[str]:
    """The paths of the personal fields, for the reference and the checks: `reporter.phone`, `authors[].name`."""
    found: list[str] = []
    schema = types.get(event_type).model.model_json_schema()
    _collect(schema, schema.get("$defs", {}), "", found, ())
    return found


@lru_cache(PLANS_MAX)
def _plan_of(event_type: str, types: Registry, keep: frozenset[str] = frozenset()) -> Plan:
    try:
        schema = types.get(event_type).model.model_json_schema()
    except UnknownType:
        return _DROP
    if not personal_fields(event_type, types):
        return _ALL
    return _Planning(schema.get("$defs", {}), keep).plan(schema, "", ())


class _Planning:
    """Plans for the values of one schema."""

    def __init__(self, definitions: dict[str, Any], keep: frozenset[str]) -> None:
        self._definitions = definitions
        self._keep = keep

    def plan(self, schema: Any, path: str, within: tuple[str, ...]) -> Plan:
        """What to keep of a value at this path. A type that holds itself is dropped below its first level."""
        if schema is True or schema == {}:
            return _ALL
        if schema is False:
            return _DROP
        if schema.get("x-personal"):
            return _ALL if path in self._keep else _DROP
        if (reference := schema.get("$ref")) is not None:
            name = reference.rpartition("/")[2]
            return _DROP if name in within else self.plan(self._definitions[name], path, (*within, name))
        parts: list[Plan] = []
        if "properties" in schema:
            fields = {
                name: self.plan(field, f"{path}.{name}" if path else name, within)
                for name, field in schema["properties"].items()
            }
            parts.append({"fields": fields})
        for value in (schema.get("additionalProperties", False), *schema.get("patternProperties", {}).values()):
            if value is not False:
                parts.append({"values": self.plan(value, path + ".*", within)})
        for item in (schema.get("items", False), *schema.get("prefixItems", ())):
            if item is not False:
                parts.append({"items": self.plan(item, path + "[]", within)})
        for shape in (*schema.get("anyOf", ()), *schema.get("oneOf", ()), *schema.get("allOf", ())):
            if shape != _NULL:  # it holds nothing, so it says nothing of what an object or a list may keep
                parts.append(self.plan(shape, path, within))
        return reduce(_merged, parts) if parts else {}


def _merged(one: Plan, other: Plan) -> Plan:
    """The plan for a value that may have either shape: what one of them drops is dropped."""
    if one is _DROP or other is _DROP:
        return _DROP
    if one is _ALL or other is _ALL:
        return other if one is _ALL else one
    merged = {**one, **other}
    for part in one.keys() & other.keys():
        if part == "fields":
            both = {name: _merged(one[part][name], other[part][name]) for name in one[part].keys() & other[part].keys()}
            merged[part] = {**one[part], **other[part], **both}
        else:
            merged[part] = _merged(one[part], other[part])
    return merged


def _kept(value: Any, plan: Plan) -> Any:
    """What the plan leaves of a value."""
    if plan is _ALL:
        return value
    if plan is _DROP:
        return _GONE
    if isinstance(value, dict):
        if "fields" not in plan and "values" not in plan:
            return _GONE
        fields, others = plan.get("fields", {}), plan.get("values", _DROP)
        kept = {}
        for name, part in value.items():
            within = fields.get(name, others)
            if within is _DROP:
                continue
            if type(part) is dict or type(part) is list:
                part = _kept(part, within)
                if part is _GONE:
                    continue
            kept[name] = part
        return kept
    if isinstance(value, list):
        items = [_kept(item, plan.get("items", _DROP)) for item in value]
        return [item for item in items if item is not _GONE]
    return value


def _collect(
    schema: dict[str, Any], definitions: dict[str, Any], path: str, found: list[str], within: tuple[str, ...]
) -> None:
    if schema.get("x-personal"):
        found.append(path)
        return
    if (reference := schema.get("$ref")) is not None:
        name = reference.rpartition("/")[2]
        if name not in within:
            _collect(definitions[name], definitions, path, found, (*within, name))
    for name, field in schema.get("properties", {}).items():
        _collect(field, definitions, f"{path}.{name}" if path else name, found, within)
    for shape in (*schema.get("anyOf", ()), *schema.get("oneOf", ()), *schema.get("allOf", ())):
        _collect(shape, definitions, path, found, within)
    for item in (schema.get("items"), *schema.get("prefixItems", ())):
        if isinstance(item, dict):
            _collect(item, definitions, path + "[]", found, within)
    for value in (schema.get("additionalProperties"), *schema.get("patternProperties", {}).values()):
        if isinstance(value, dict):
            _collect(value, definitions, path + ".*", found, within)


def unredacted(event_type: str, original: bytes, edited: Any) -> Any:
    """`edited`, which was made of `redact(event_type, original)`, with what was hidden put back as it was.

    Of a list with another length than before nothing is put back: nobody can tell which of its items is which.
    """
    whole = from_json(original)
    return _put_back(whole, from_json(redact(event_type, original)), edited)


def _put_back(whole: Any, shown: Any, edited: Any) -> Any:
    if isinstance(whole, dict) and isinstance(shown, dict) and isinstance(edited, dict):
        hidden = {name: value for name, value in whole.items() if name not in shown and name not in edited}
        kept = {name: _put_back(whole.get(name), shown.get(name), value) for name, value in edited.items()}
        return {**kept, **hidden}
    lists = isinstance(whole, list) and isinstance(shown, list) and isinstance(edited, list)
    if lists and len(whole) == len(shown) == len(edited):
        return [_put_back(*each) for each in zip(whole, shown, edited, strict=True)]
    return edited
