"""What a shared type's fields are made of, as far as a mapping must know: text, number, time, money, place, list.

Read from the type's class, so a new event type or field needs nothing here. Pure.
"""

from __future__ import annotations

import types
import typing
from dataclasses import dataclass
from datetime import datetime
from typing import Annotated, Any, Literal

from pydantic import StringConstraints

from schemas.strict import Strict
from schemas.values import Attribute, Money, Point

Kind = Literal[
    "text", "integer", "number", "boolean", "moment", "money", "point", "attributes", "localised", "object", "any"
]


@dataclass(frozen=True)
class Shape:
    """One field."""

    kind: Kind
    required: bool
    length_max: int | None = None
    """For a text: the most characters."""
    choices: tuple[str, ...] = ()
    """For a text that is one of few."""
    fields: dict[str, Shape] | None = None
    """For an object: its own fields."""


def shapes_of(model: type[Strict]) -> dict[str, Shape]:
    """The fields of a class of shared data, by name."""
    found = {}
    hints = typing.get_type_hints(model, include_extras=True)
    for name, field in model.model_fields.items():
        found[name] = _shape(hints[name], required=field.is_required())
    return found


def _shape(hint: Any, *, required: bool) -> Shape:
    length_max: int | None = None
    while True:
        origin = typing.get_origin(hint)
        if origin is Annotated:
            hint, *marks = typing.get_args(hint)
            for mark in marks:
                if isinstance(mark, StringConstraints) and mark.max_length is not None:
                    length_max = mark.max_length
        elif origin in (typing.Union, types.UnionType):
            several = [each for each in typing.get_args(hint) if each is not type(None)]
            if len(several) != 1:
                return Shape("any", required)
            hint = several[0]
        else:
            break
    if origin is Literal:
        return Shape("text", required, choices=tuple(str(choice) for choice in typing.get_args(hint)))
    if origin is tuple:
        return Shape("attributes" if Attribute in _inner(hint) else "any", required)
    if origin is dict:
        return Shape("localised", required)
    if isinstance(hint, type) and issubclass(hint, Strict):
        if hint in (Money, Point):
            return Shape("money" if hint is Money else "point", required)
        return Shape("object", required, fields=shapes_of(hint))
    kinds: dict[Any, Kind] = {
        str: "text",
        int: "integer",
        float: "number",
        bool: "boolean",
        datetime: "moment",
    }
    return Shape(kinds.get(hint, "any"), required, length_max)


def _inner(hint: Any) -> tuple[Any, ...]:
    return typing.get_args(hint)
