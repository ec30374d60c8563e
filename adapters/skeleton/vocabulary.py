"""What an agency of a city could say and hear: the types, services and areas with which its first mapping begins. Pure.

Taken from the city's directory and the shared types, so that the first mapping of any agency of any city is right.
"""

from __future__ import annotations

from dataclasses import dataclass

import schemas.types
from adapters.mapping.shapes import Shape, shapes_of
from bus.city import City
from bus.city.model import Agency
from schemas.registry import registry

assert schemas.types  # importing it fills the registry

TYPES_MAX = 4
"""Types in a first mapping, each way: enough to show how, few enough to be read."""

_SAYS = (
    ("subak.request.submitted.v1", "NEW"),
    ("subak.request.acknowledged.v1", "TAKEN"),
    ("subak.workorder.accepted.v1", "ACCEPTED"),
    ("subak.workorder.started.v1", "STARTED"),
    ("subak.workorder.completed.v1", "DONE"),
    ("subak.approval.granted.v1", "GRANTED"),
    ("subak.approval.refused.v1", "REFUSED"),
    ("subak.workorder.inspected.v1", "GOOD"),
    ("subak.workorder.defectfound.v1", "DEFECT"),
    ("subak.request.commented.v1", "NOTE"),
)
"""What most agencies say, and how a column `status` of theirs might name it."""

_ANSWERS = {
    "subak.request.forwarded.v1": "subak.request.acknowledged.v1",
    "subak.workorder.issued.v1": "subak.workorder.accepted.v1",
    "subak.approval.requested.v1": "subak.approval.granted.v1",
}
"""What is addressed to an agency, and what only those who may be addressed publish."""

FIELDS = (
    "service_code", "area", "description", "address_string", "location", "service_request_id", "estimate", "cost",
    "amount", "text", "reason", "status_notes", "due", "acknowledge_by", "expected_datetime",
)  # fmt: skip
"""The fields that a first mapping shows, where the type has them."""

_SHOWN = frozenset({"text", "integer", "number", "moment", "money", "point"})
"""What one column, or two, can hold."""


@dataclass(frozen=True)
class Said:
    """An event type that the agency may publish."""

    type: str
    status: str
    """How the sample system names it."""
    opens_case: bool
    shapes: dict[str, Shape]
    """The fields that the first mapping fills."""


@dataclass(frozen=True)
class Vocabulary:
    """An agency's."""

    says: tuple[Said, ...]
    hears: tuple[str, ...]
    services: dict[str, str]
    """The sample system's code → the city's."""
    areas: dict[str, str]
    """The sample system's code → the city's."""
    currency: str
    centre: tuple[float, float]
    """Longitude and latitude of a place in the city."""


def vocabulary_of(agency: Agency, city: City) -> Vocabulary:
    """What the agency could say and hear."""
    bounds = city.bounds
    return Vocabulary(
        says=tuple(_says(agency)[:TYPES_MAX]),
        hears=tuple(_hears(agency)),
        services=_services(agency, city),
        areas=_areas(agency, city),
        currency=city.currency,
        centre=(round((bounds.west + bounds.east) / 2, 4), round((bounds.south + bounds.north) / 2, 4)),
    )


def _says(agency: Agency) -> list[Said]:
    usual = dict(_SAYS)
    names = [name for name in usual if agency.publishes_type(name)]
    others = [each.name for each in registry if each.publisher != "bus" and agency.publishes_type(each.name)]
    found = []
    for name in [*names, *(other for other in others if other not in usual)]:
        event_type = registry.get(name)
        shapes = shapes_of(event_type.model)
        kept = {field: shapes[field] for field in FIELDS if field in shapes and shapes[field].kind in _SHOWN}
        if any(shape.required and field not in kept for field, shape in shapes.items()):
            continue  # what it requires cannot be shown without knowing the agency's system
        status = usual.get(name, name.split(".")[2].upper())
        found.append(Said(name, status, event_type.opens_case, kept))
    return found


def _hears(agency: Agency) -> list[str]:
    addressed = [name for name, answer in _ANSWERS.items() if name in registry and agency.publishes_type(answer)]
    subscribed = [
        each.name
        for each in registry
        if each.name not in addressed and any(subscription.takes(each.name) for subscription in agency.subscribes)
    ]
    return [*addressed, *subscribed]


def _services(agency: Agency, city: City) -> dict[str, str]:
    own = [code for code, service in city.services.items()
           if any(agency.id in responsible.agencies for responsible in service.responsible)]  # fmt: skip
    return {_code(code): code for code in own or list(city.services)}


def _areas(agency: Agency, city: City) -> dict[str, str]:
    """The areas without others in them where the agency acts."""
    parents = {area.parent for area in city.areas.values()}
    found: dict[str, str] = {}
    for code, area in city.areas.items():
        if code not in parents and any(city.within(code, where) for where in agency.areas):
            name = _code(area.name)
            found[name if name not in found else _code(code)] = code
    return found or {_code(city.areas[city.area].name): city.area}


def _code(name: str) -> str:
    return "".join(letter if letter.isascii() and letter.isalnum() else "_" for letter in name.upper())
