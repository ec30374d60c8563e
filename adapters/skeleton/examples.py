"""Made-up values for the first samples of an adapter. Pure."""

from __future__ import annotations

from typing import Any

from pydantic_core import to_json

from adapters.mapping.shapes import Shape, shapes_of
from adapters.skeleton.vocabulary import Vocabulary
from schemas.failures import Refused
from schemas.registry import registry

CASE = "0190b7c2-7a3e-7cc0-8f00-5d1f7a1c2b3d"

FIELDS_SHOWN = ("description", "address_string", "reason", "text", "due", "expected_datetime")


def example_data(type: str, words: Vocabulary) -> dict[str, Any] | None:
    """Data of an event of this type; None where it takes more than made-up values to fill it."""
    event_type = registry.get(type)
    data = {
        field: value
        for field, shape in shapes_of(event_type.model).items()
        if (value := _field_value(field, shape, words)) is not None
    }
    try:
        event_type.read_strictly(to_json(data))
    except Refused:
        return None
    return data


def column_values(words: Vocabulary) -> dict[str, Any]:
    longitude, latitude = words.centre
    return {
        "changed_at": "2026-11-24 08:00:00",
        "case_id": CASE,
        "service": next(iter(words.services)),
        "area": next(iter(words.areas)),
        "longitude": longitude,
        "latitude": latitude,
        "description": "The drain is blocked and the road is under water.",
        "address_string": "In front of the market",
        "service_request_id": "2026-0042",
        "estimate": "1250000",
        "cost": "1250000",
        "amount": "1250000",
        "text": "A crew will come on Monday.",
        "reason": "It is not a public road.",
        "status_notes": "A crew will come on Monday.",
        "due": "2026-12-08 16:00:00",
        "acknowledge_by": "2026-11-26 16:00:00",
        "expected_datetime": "2026-12-08 16:00:00",
    }


def _field_value(name: str, shape: Shape, words: Vocabulary) -> Any:
    """A value of a field, as it stands in an event; None where it is left out."""
    longitude, latitude = words.centre
    known = {
        "service_code": next(iter(words.services.values())),
        "area": next(iter(words.areas.values())),
        "location": {"type": "Point", "coordinates": [longitude, latitude]},
        "agency": "public-works",
        "into": CASE,
    }
    if name in known:
        return known[name]
    if name in FIELDS_SHOWN or shape.required:
        by_kind = {
            "integer": 1,
            "number": 1.0,
            "boolean": True,
            "moment": "2026-12-08T16:00:00+08:00",
            "money": {"amount": "1250000", "currency": words.currency},
            "text": shape.choices[0] if shape.choices else str(column_values(words).get(name, "As agreed."))[:60],
        }
        return by_kind.get(shape.kind)
    return None
