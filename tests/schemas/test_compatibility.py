"""Which change of a schema may follow within a major version, and what is said where it may not: the rule table."""

from __future__ import annotations

import copy
from collections.abc import Callable
from typing import Any

import pytest

from schemas.compatibility import incompatibilities, incompatibilities_with_all

OLD: dict[str, Any] = {
    "title": "subak.test.sent.v1",
    "x-kind": "event",
    "x-publisher": "agency",
    "x-opens-case": True,
    "type": "object",
    "additionalProperties": False,
    "required": ["text", "score"],
    "properties": {
        "text": {"type": "string", "minLength": 1, "maxLength": 10, "description": "What is said."},
        "score": {"type": "integer", "minimum": 1, "maximum": 5},
        "level": {"enum": ["low", "high"], "type": "string"},
        "ratio": {"type": "number", "exclusiveMinimum": 0, "multipleOf": 0.5},
        "code": {"anyOf": [{"type": "string", "pattern": "^[a-z]+$"}, {"type": "null"}], "default": None},
        "when": {"type": "string", "format": "date-time"},
        "person": {"anyOf": [{"type": "string", "x-personal": True}, {"type": "null"}]},
        "place": {"$ref": "#/$defs/Place"},
        "places": {"type": "array", "items": {"$ref": "#/$defs/Place"}, "minItems": 1, "maxItems": 5},
        "pair": {
            "type": "array",
            "prefixItems": [{"type": "number"}, {"type": "string"}],
            "minItems": 2,
            "maxItems": 2,
        },
        "tags": {"type": "object", "additionalProperties": {"type": "string", "maxLength": 5}, "maxProperties": 3},
        "names": {"type": "object", "patternProperties": {"^[a-z]{2}$": {"type": "string"}}},
        "mode": {"const": "slow"},
        "count": {"type": "integer", "default": 1},
        "free": {"type": "object"},
        "odd": {"oneOf": [{"type": "integer"}, {"type": "string"}]},
    },
    "$defs": {
        "Place": {
            "type": "object",
            "additionalProperties": False,
            "required": ["at"],
            "properties": {"at": {"type": "string"}, "floor": {"type": "integer"}},
        }
    },
}

Change = Callable[[dict[str, Any]], object]


def changed(change: Change) -> dict[str, Any]:
    """A copy of the old schema, changed."""
    new = copy.deepcopy(OLD)
    change(new)
    return new


def field(name: str, **keywords: Any) -> Change:
    """The field with some keywords set and, where `...`, taken away."""

    def change(new: dict[str, Any]) -> None:
        schema = new["properties"][name]
        for keyword, value in keywords.items():
            schema.pop(keyword, None)
            if value is not ...:
                schema[keyword] = value

    return change


def becomes(name: str, schema: Any) -> Change:
    """The field with another schema."""
    return lambda new: new["properties"].update({name: schema})


def place(change: Change) -> Change:
    """A change of what is nested."""
    return lambda new: change(new["$defs"]["Place"])


ALLOWED: dict[str, Change] = {
    "nothing": lambda new: None,
    "titles, descriptions, examples, the owner": lambda new: new.update(
        title="x", description="y", examples=[1], **{"x-owner": "z"}
    ),
    "a field's description": field("text", description="Otherwise said."),
    "an optional field more": becomes("priority", {"type": "integer"}),
    "an optional field more, in what is nested": place(lambda new: new["properties"].update(room={"type": "string"})),
    "a closed object is opened": lambda new: new.update(additionalProperties=True),
    "a field becomes personal": field("text", **{"x-personal": True}),
    "const for an enum of one, and the reverse": becomes("mode", {"enum": ["slow"]}),
    "anyOf in another order": becomes(
        "code", {"anyOf": [{"type": "null"}, {"type": "string", "pattern": "^[a-z]+$"}], "default": None}
    ),
    "a list of types for anyOf": becomes("code", {"type": ["null", "string"], "pattern": "^[a-z]+$", "default": None}),
    "an enum in another order": field("level", enum=["high", "low"]),
    "what a reference leads to in its place": becomes("place", copy.deepcopy(OLD["$defs"]["Place"])),
    "a whole number's bound said otherwise": field("score", maximum=..., exclusiveMaximum=6),
    "keywords that say nothing here": field("text", minimum=7),
    "more may publish it": lambda new: new.update({"x-publisher": "any"}),
}

REFUSED: dict[str, tuple[Change, list[str]]] = {
    "a new field is required": (
        lambda new: (new["properties"].update(priority={"type": "integer"}), new["required"].append("priority")),
        ["`priority` is new and required: old events lack it"],
    ),
    "an optional field becomes required": (
        lambda new: new["required"].append("level"),
        ["`level` became required: old events lack it"],
    ),
    "a required field becomes optional": (
        lambda new: new["required"].remove("score"),
        ["`score` became optional: old readers need it"],
    ),
    "an optional field is removed": (
        lambda new: new["properties"].pop("level"),
        ["`level` was removed: old events that have it would be refused at the door and in a replay"],
    ),
    "a required field is removed": (
        lambda new: (new["properties"].pop("score"), new["required"].remove("score")),
        [
            "`score` was removed: old events that have it would be refused at the door and in a replay",
            "`score` was removed: old readers need it",
        ],
    ),
    "a field is renamed": (
        lambda new: new["properties"].update(rank=new["properties"].pop("level")),
        ["`level` was removed: old events that have it would be refused at the door and in a replay"],
    ),
    "a maximum falls": (
        field("score", maximum=4),
        ["`score` maximum went from 5 to 4: old events may have more"],
    ),
    "a maximum rises": (
        field("score", maximum=6),
        ["`score` maximum went from 5 to 6: old readers refuse more than 5"],
    ),
    "a maximum goes": (
        field("score", maximum=...),
        ["`score` maximum went from 5 to none: old readers refuse more than 5"],
    ),
    "a minimum rises": (
        field("score", minimum=2),
        ["`score` minimum went from 1 to 2: old events may have less"],
    ),
    "a minimum comes": (
        field("count", minimum=0),
        ["`count` minimum went from none to 0: old events may have less"],
    ),
    "a bound is no longer excluded": (
        field("ratio", exclusiveMinimum=..., minimum=0),
        ["`ratio` minimum went from 0 (excluded) to 0: old readers refuse less than 0 (excluded)"],
    ),
    "multipleOf changes": (
        field("ratio", multipleOf=0.25),
        ["`ratio` multipleOf went from 0.5 to 0.25: nothing shows that both allow the same"],
    ),
    "a length grows": (
        field("text", maxLength=11),
        ["`text` maximum length went from 10 to 11: old readers refuse more than 10"],
    ),
    "a length shrinks": (
        field("text", maxLength=9),
        ["`text` maximum length went from 10 to 9: old events may have more"],
    ),
    "text may be empty": (
        field("text", minLength=...),
        ["`text` minimum length went from 1 to none: old readers refuse less than 1"],
    ),
    "a value more": (
        field("level", enum=["low", "high", "none"]),
        ['`level` now allows "none": old readers refuse it'],
    ),
    "a value less": (
        field("level", enum=["low"]),
        ['`level` no longer allows "high": old events may have it'],
    ),
    "a value for another": (
        becomes("mode", {"const": "fast"}),
        ['`mode` no longer allows "slow": old events may have it', '`mode` now allows "fast": old readers refuse it'],
    ),
    "a list of values becomes open": (
        becomes("level", {"type": "string"}),
        ['`level` went from one of "low", "high" to string: one side refuses what the other sends'],
    ),
    "true for 1": (
        becomes("mode", {"enum": ["slow", True]}),
        ["`mode` now allows true: old readers refuse it"],
    ),
    "a type changes": (
        field("score", type="string"),
        ["`score` type went from integer to string: one side cannot read the other"],
    ),
    "a whole number may have a fraction": (
        field("score", type="number"),
        ["`score` type went from integer to number: one side cannot read the other"],
    ),
    "null is no longer allowed": (
        becomes("code", {"type": "string", "pattern": "^[a-z]+$"}),
        ["`code` no longer allows null: old events may have it"],
    ),
    "null becomes allowed": (
        becomes("text", {"anyOf": [OLD["properties"]["text"], {"type": "null"}]}),
        ["`text` now allows null: old readers refuse it"],
    ),
    "another shape becomes allowed": (
        becomes("code", {"anyOf": [*OLD["properties"]["code"]["anyOf"], {"type": "integer"}], "default": None}),
        ["`code` now allows integer: old readers refuse it"],
    ),
    "a pattern changes": (
        becomes("code", {"anyOf": [{"type": "string", "pattern": "^[a-z]*$"}, {"type": "null"}], "default": None}),
        ["`code` pattern went from ^[a-z]+$ to ^[a-z]*$: nothing shows that both allow the same"],
    ),
    "a pattern comes": (
        field("text", pattern="^[a-z]+$"),
        ["`text` pattern went from none to ^[a-z]+$: old events may not fit it"],
    ),
    "a format goes": (
        field("when", format=...),
        ["`when` format went from date-time to none: old readers refuse what does not fit it"],
    ),
    "a default changes": (
        field("count", default=2),
        ["`count` default went from 1 to 2: an event without it would mean something else"],
    ),
    "what is nested": (
        place(lambda new: new["required"].append("floor")),
        ["`place.floor` became required: old events lack it", "`places[].floor` became required: old events lack it"],
    ),
    "a list may be longer": (
        field("places", maxItems=6),
        ["`places` maximum number of items went from 5 to 6: old readers refuse more than 5"],
    ),
    "a list may be empty": (
        field("places", minItems=0),
        ["`places` minimum number of items went from 1 to none: old readers refuse less than 1"],
    ),
    "what a list holds": (
        field("places", items={"type": "string"}),
        ["`places[]` type went from object to string: one side cannot read the other"],
    ),
    "items become unique": (
        field("places", uniqueItems=True),
        ["`places` uniqueItems went from none to True: old events may not fit it"],
    ),
    "a place in a pair": (
        field("pair", prefixItems=[{"type": "string"}, {"type": "string"}]),
        ["`pair[0]` type went from number to string: one side cannot read the other"],
    ),
    "a map's values": (
        field("tags", additionalProperties={"type": "string", "maxLength": 6}),
        ["`tags.*` maximum length went from 5 to 6: old readers refuse more than 5"],
    ),
    "a map's size": (
        field("tags", maxProperties=2),
        ["`tags` maximum number of fields went from 3 to 2: old events may have more"],
    ),
    "a map's names": (
        field("tags", propertyNames={"pattern": "^[a-z]+$", "type": "string"}),
        ["`tags names` type went from anything to string: one side cannot read the other"],
    ),
    "a map's name patterns": (
        field("names", patternProperties={"^[a-z]{3}$": {"type": "string"}}),
        ["`names` names its fields by other patterns: it cannot be shown that both allow the same"],
    ),
    "an open object is closed": (
        field("free", additionalProperties=False),
        ["`free` no longer allows fields that it does not name: old events may have them"],
    ),
    "an open object gets a field": (
        field("free", properties={"size": {"type": "integer"}}),
        ["`free.size` got a meaning: until now anything could stand under this name"],
    ),
    "a field is no longer personal": (
        becomes("person", {"anyOf": [{"type": "string"}, {"type": "null"}]}),
        ["`person` is no longer marked personal: what was sent under that promise would be shown"],
    ),
    "what the check does not cover": (
        becomes("odd", {"oneOf": [{"type": "integer"}, {"type": "number"}]}),
        ["`odd` uses oneOf, which this check does not compare: keep it exactly, or make a new major"],
    ),
    "an event becomes a command": (
        lambda new: new.update({"x-kind": "command"}),
        ["the kind went from event to command: the bus delivers them differently"],
    ),
    "it no longer opens a case": (
        lambda new: new.update({"x-opens-case": False}),
        ["it no longer opens a case: old events that did would be refused"],
    ),
    "agencies may no longer publish it": (
        lambda new: new.update({"x-publisher": "bus"}),
        ["the publisher went from agency to bus: events of others would be refused"],
    ),
}


@pytest.mark.parametrize("name", ALLOWED)
def test_this_change_may_follow(name: str) -> None:
    assert incompatibilities(OLD, changed(ALLOWED[name])) == []


@pytest.mark.parametrize("name", REFUSED)
def test_this_change_may_not_follow_and_the_reason_is_told(name: str) -> None:
    change, expected = REFUSED[name]
    assert incompatibilities(OLD, changed(change)) == expected


def test_several_things_wrong_are_all_told() -> None:
    def change(new: dict[str, Any]) -> None:
        field("score", minimum=0, maximum=4)(new)
        new["properties"].pop("level")

    assert incompatibilities(OLD, changed(change)) == [
        "`score` maximum went from 5 to 4: old events may have more",
        "`level` was removed: old events that have it would be refused at the door and in a replay",
        "`score` minimum went from 1 to 0: old readers refuse less than 1",
    ]


def test_a_change_that_fits_the_last_revision_is_still_held_against_the_first() -> None:
    """Two steps, each allowed alone: a field goes with its opening object, another of that name comes."""
    first = changed(lambda new: None)
    second = changed(becomes("priority", {"type": "integer"}))
    third = changed(lambda new: None)
    assert incompatibilities(first, third) == []
    assert incompatibilities(first, second) == []
    assert incompatibilities_with_all([first, second], third) == [
        "`priority` was removed: old events that have it would be refused at the door and in a replay"
    ]


def test_a_type_that_holds_itself_is_compared_and_ends() -> None:
    def tree(**leaf: Any) -> dict[str, Any]:
        node = {
            "type": "object",
            "additionalProperties": False,
            "properties": {
                "leaf": {"type": "string", **leaf},
                "below": {"type": "array", "items": {"$ref": "#/$defs/N"}},
            },
        }
        return {"$ref": "#/$defs/N", "$defs": {"N": node}}

    assert incompatibilities(tree(), tree(description="said")) == []
    assert incompatibilities(tree(), tree(maxLength=3)) == [
        "`leaf` maximum length went from none to 3: old events may have more",
        "`below[].leaf` maximum length went from none to 3: old events may have more",
    ]
