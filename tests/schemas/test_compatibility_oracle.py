"""Where the check says that a schema may follow another, data passes in both directions: jsonschema-rs is the judge.

Schemas and changes of them are made at random. For each pair that the check allows, what fits the old schema fits
the new one (the door), and what fits the new one fits the old one where fields that it does not name are ignored (a
reader).
"""

from __future__ import annotations

import copy
from collections import Counter
from collections.abc import Callable
from typing import Any

import jsonschema_rs
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from schemas.compatibility import incompatibilities
from tests.schemas.instances import instances

Schema = dict[str, Any]

NAMES = ("a", "b", "c")
PATTERNS = ("^[a-z]{1,3}$", "^[a-z0-9]{1,3}$", "^[0-9]+$")

_bounds = st.integers(-2, 6)
_lengths = st.integers(0, 4)
_VALUES: st.SearchStrategy[Any] = st.sampled_from(["x", "y", 1, 2, True, None])


def _maybe(draw: st.DrawFn, schema: Schema, keyword: str, values: st.SearchStrategy[Any]) -> None:
    if draw(st.integers(0, 2)) == 0:
        schema[keyword] = draw(values)


@st.composite
def scalars(draw: st.DrawFn) -> Schema:
    """A string, a number, a truth, or one of some values."""
    kind = draw(st.sampled_from(["string", "integer", "number", "boolean", "enum", "const"]))
    if kind == "enum":
        values = draw(st.lists(_VALUES, min_size=1, max_size=3, unique_by=repr))
        return {"enum": values}
    if kind == "const":
        return {"const": draw(st.sampled_from(["x", 1, True]))}
    schema: Schema = {"type": kind}
    if kind == "string":
        _maybe(draw, schema, "minLength", _lengths)
        _maybe(draw, schema, "maxLength", _lengths)
        _maybe(draw, schema, "pattern", st.sampled_from(PATTERNS))
    if kind in {"integer", "number"}:
        _maybe(draw, schema, "minimum", _bounds)
        _maybe(draw, schema, "maximum", _bounds)
    if kind == "integer":
        _maybe(draw, schema, "exclusiveMaximum", _bounds)
        _maybe(draw, schema, "exclusiveMinimum", _bounds)
    return schema


@st.composite
def _containers(draw: st.DrawFn, inner: st.SearchStrategy[Schema]) -> Schema:
    kind = draw(st.sampled_from(["object", "object", "array", "pair", "anyOf", "types", "map"]))
    if kind == "array":
        array: Schema = {"type": "array", "items": draw(inner)}
        _maybe(draw, array, "minItems", st.integers(0, 2))
        _maybe(draw, array, "maxItems", st.integers(0, 3))
        return array
    if kind == "pair":
        return {"type": "array", "prefixItems": [draw(inner), draw(inner)], "minItems": 2, "maxItems": 2}
    if kind == "anyOf":
        return {"anyOf": draw(st.lists(inner | st.just({"type": "null"}), min_size=1, max_size=3))}
    if kind == "types":
        types = draw(st.lists(st.sampled_from(["string", "integer", "null"]), min_size=1, max_size=2, unique=True))
        return {"type": types, "maxLength": 3}
    if kind == "map":
        return {"type": "object", "additionalProperties": draw(inner)}
    return draw(objects(inner))


@st.composite
def objects(draw: st.DrawFn, inner: st.SearchStrategy[Schema]) -> Schema:
    """An object with some fields; mostly closed."""
    properties = draw(st.dictionaries(st.sampled_from(NAMES), inner, max_size=3))
    required = [name for name in properties if draw(st.booleans())]
    schema: Schema = {"type": "object", "properties": properties, "required": required}
    if draw(st.integers(0, 4)):
        schema["additionalProperties"] = False
    return schema


schemas = st.recursive(scalars(), _containers, max_leaves=5)


@st.composite
def documents(draw: st.DrawFn) -> Schema:
    """A whole schema: mostly small, so that one change of it is seen; with a value under $defs to refer to."""
    inner = draw(st.sampled_from([scalars(), scalars(), schemas])) | st.just({"$ref": "#/$defs/D"})
    return {**draw(objects(inner)), "$defs": {"D": draw(scalars())}}


def _places(schema: Any) -> list[Schema]:
    """Every schema within a document, itself among them."""
    if not isinstance(schema, dict):
        return []
    inner = [*schema.get("properties", {}).values(), *schema.get("$defs", {}).values()]
    inner += [*schema.get("anyOf", ()), *schema.get("prefixItems", ())]
    inner += [schema.get("items"), schema.get("additionalProperties")]
    return [schema, *(place for each in inner for place in _places(each))]


@st.composite
def pairs(draw: st.DrawFn) -> tuple[Schema, Schema]:
    """A schema, and what a developer might make of it: one to three small changes somewhere in it."""
    old = draw(documents())
    new = copy.deepcopy(old)
    for _ in range(draw(st.sampled_from([1, 1, 1, 2, 3]))):
        _change(draw, draw(st.sampled_from(_places(new))))
    return old, new


def _change(draw: st.DrawFn, place: Schema) -> None:
    """One small change in place."""
    fields, required = place.get("properties"), place.get("required", [])
    if fields is not None:
        name = draw(st.sampled_from(NAMES))
        change = draw(st.sampled_from(["add", "add", "remove", "require", "release", "open", "close", "replace"]))
        if change == "add":
            fields.setdefault(name, draw(schemas))
        elif change == "remove":
            fields.pop(name, None)
            place["required"] = [each for each in required if each != name]
        elif change == "require" and name in fields:
            place["required"] = sorted({*required, name})
        elif change == "release":
            place["required"] = [each for each in required if each != name]
        elif change in {"open", "close"}:
            place["additionalProperties"] = change == "open"
        elif name in fields:
            fields[name] = draw(schemas)
        return
    keywords = [keyword for keyword in place if keyword.startswith(("min", "max", "exclusive"))]
    by_bound = draw(st.booleans())
    if keywords and by_bound:
        place[draw(st.sampled_from(keywords))] = draw(st.integers(0, 6))
    elif "enum" in place:
        place["enum"] = draw(st.lists(_VALUES, min_size=1, max_size=3, unique_by=repr))
    elif "anyOf" in place:
        place["anyOf"] = [*draw(st.permutations(place["anyOf"])), *draw(st.lists(schemas, max_size=1))]
    elif "const" in place:
        place["enum"] = [place.pop("const"), *draw(st.lists(st.just("z"), max_size=1))]
    elif place.get("type") == "string":
        place["pattern"] = draw(st.sampled_from(PATTERNS))
    elif place.get("type") in ("integer", "number"):
        place["type"] = draw(st.sampled_from(["integer", "number"]))
    else:
        place["description"] = "Said otherwise."


def tolerant(schema: Any) -> Any:
    """The schema as a reader behind the gateway takes it: fields that it does not name are ignored."""
    if isinstance(schema, list):
        return [tolerant(each) for each in schema]
    if not isinstance(schema, dict):
        return schema
    open_ = {k: v for k, v in schema.items() if not (k == "additionalProperties" and v is False)}
    if "properties" in open_:
        open_["properties"] = {name: tolerant(each) for name, each in open_["properties"].items()}
    for keyword in ("items", "additionalProperties", "anyOf", "prefixItems"):
        if keyword in open_:
            open_[keyword] = tolerant(open_[keyword])
    if "$defs" in open_:
        open_["$defs"] = {name: tolerant(each) for name, each in open_["$defs"].items()}
    return open_


def _fits(schema: Schema) -> Any:
    return jsonschema_rs.validator_for({"$schema": "https://json-schema.org/draft/2020-12/schema", **schema}).is_valid


SETTINGS = settings(
    max_examples=200, deadline=None, suppress_health_check=[HealthCheck.too_slow, HealthCheck.filter_too_much]
)


def judge(old: Schema, new: Schema, data: st.DataObject) -> None:
    """Fails where the check allows the change and some data does not pass."""
    if incompatibilities(old, new):
        return
    for writer, reader in ((old, new), (new, tolerant(old))):
        fits, passes = _fits(writer), _fits(reader)
        # Data is drawn from both: what is just beyond one schema is often just within the other.
        several = st.lists(instances(old, old["$defs"]) | instances(new, new["$defs"]), min_size=4, max_size=8)
        for sent in data.draw(several, label="sent"):
            assert not fits(sent) or passes(sent), sent


@SETTINGS
@given(pairs(), st.data())
def test_where_the_check_allows_a_change_data_passes_in_both_directions(
    pair: tuple[Schema, Schema], data: st.DataObject
) -> None:
    judge(*pair, data)


@SETTINGS
@given(st.data(), st.booleans(), st.booleans())
def test_where_the_check_allows_another_form_of_one_field_data_passes(
    data: st.DataObject, was_required: bool, is_required: bool
) -> None:
    """Forms of one kind, made apart: nearly all must be refused, so a rule that is missing is soon seen."""

    def document(field: Schema, required: bool) -> Schema:
        closed = {"type": "object", "additionalProperties": False, "properties": {"a": field}, "$defs": {}}
        return {**closed, "required": ["a"] if required else []}

    one = data.draw(scalars())
    kind = one.get("type")
    other = data.draw(scalars().filter(lambda schema: schema.get("type") == kind))
    within = data.draw(st.sampled_from(["itself", "items", "union"]))
    forms: dict[str, Callable[[Schema], Schema]] = {
        "itself": lambda field: field,
        "items": lambda field: {"type": "array", "items": field},
        "union": lambda field: {"anyOf": [{"type": "null"}, field]},
    }
    judge(document(forms[within](one), was_required), document(forms[within](other), is_required), data)


@SETTINGS
@given(documents())
def test_every_schema_may_follow_itself(schema: Schema) -> None:
    assert incompatibilities(schema, copy.deepcopy(schema)) == []
    reordered = {**dict(reversed(schema.items())), "description": "Said otherwise."}
    reordered["properties"] = dict(reversed(schema["properties"].items()))
    assert incompatibilities(schema, reordered) == []


@SETTINGS
@given(documents(), schemas)
def test_an_optional_field_may_always_be_added_to_a_closed_object(schema: Schema, more: Schema) -> None:
    closed = {**schema, "additionalProperties": False}
    grown = {**closed, "properties": {**schema["properties"], "added": more}}
    assert incompatibilities(closed, grown) == []


def test_the_judge_hears_both_allowed_and_refused_changes() -> None:
    """Lest the property above hold because nearly nothing is allowed."""
    verdicts: Counter[bool] = Counter()

    @settings(max_examples=200, deadline=None, database=None, derandomize=True)
    @given(pairs())
    def hear(pair: tuple[Schema, Schema]) -> None:
        changed = pair[0] != pair[1]
        if changed:
            verdicts[not incompatibilities(*pair)] += 1

    hear()
    assert min(verdicts[True], verdicts[False]) >= 20, verdicts
