"""What of an event's data many may read: the fields that its schema names and does not mark as personal. Pure.

A list of what may stay, not of what must go: a field that this version's schema does not know is left out too, since
nobody can say whether it is personal. The log keeps everything; a rebuild by a newer version shows what this one left.
"""

from __future__ import annotations

from functools import cache
from typing import Annotated, Any, get_args, get_origin

import msgspec
from pydantic import BaseModel

import schemas.types  # noqa: F401  # fills the registry
from schemas.registry import registry
from schemas.values import PersonalMark

Shape = dict[str, "Shape | None"]
"""Field → what may stay of the object below it; None where it is a plain value. `*` stands for any field (a map)."""

_PLAIN = (str, int, float, bool)

NOT_JSON = "it is not a JSON object"
UNKNOWN_TYPE = "this version knows no such type, and so not which fields are personal"


def public_data(event_type: str, data: bytes | None) -> tuple[dict[str, Any] | None, str | None]:
    """The fields that may be shown, or None and why nothing may.

    Tolerant: data that its schema would refuse is still reduced to the fields that the schema names.
    """
    shape = shape_of(event_type)
    if shape is None:
        return None, UNKNOWN_TYPE
    try:
        decoded = msgspec.json.decode(data or b"")
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError):
        return None, NOT_JSON
    if not isinstance(decoded, dict):
        return None, NOT_JSON
    return _reduced(decoded, shape), None


@cache
def shape_of(event_type: str) -> Shape | None:
    """What may stay of this type's data; None where the registry has no such type."""
    return _shape(registry.get(event_type).model) if event_type in registry else None


def _shape(model: type[BaseModel]) -> Shape:
    return {
        field.alias or name: _below(field.annotation)
        for name, field in model.model_fields.items()
        if not _is_personal(field.annotation, field.metadata)
    }


def _below(annotation: Any) -> Shape | None:
    """The shape of the one model or map in an annotation such as `tuple[Attribute, ...] | None`."""
    if isinstance(annotation, type) and issubclass(annotation, BaseModel):
        return _shape(annotation)
    if get_origin(annotation) is dict:
        return {"*": None}
    return next((shape for part in get_args(annotation) if (shape := _below(part)) is not None), None)


def _is_personal(annotation: Any, metadata: Any = ()) -> bool:
    if any(isinstance(mark, PersonalMark) for mark in metadata):
        return True
    if get_origin(annotation) is Annotated:
        first, *marks = get_args(annotation)
        return _is_personal(first, marks)
    return any(_is_personal(part) for part in get_args(annotation))


def _reduced(value: dict[str, Any], shape: Shape) -> dict[str, Any]:
    if "*" in shape:
        return {name: _plain(found) for name, found in value.items()}
    kept = {}
    for name, below in shape.items():
        if name in value:
            found = value[name]
            kept[name] = _plain(found) if below is None else _object(found, below)
    return kept


def _object(value: Any, shape: Shape) -> Any:
    if isinstance(value, dict):
        return _reduced(value, shape)
    if isinstance(value, list):
        return [_object(item, shape) for item in value]
    return None  # a bare value where the schema has an object: nobody knows what it is


def _plain(value: Any) -> Any:
    """A plain value, or a list of them (coordinates). An object where the schema has none may hold anything."""
    if value is None or isinstance(value, _PLAIN):
        return value
    if isinstance(value, list):
        return [item if isinstance(item, _PLAIN) else None for item in value]
    return None
