"""What the city's rules hold against an event: who says it, whether they may, whether it can be true. Pure.

Asked twice with the same answer: by the adapter, so that the sender learns at once, and by the gateway, which trusts no
adapter. `sender` is what the asker knows for sure (a bearer token here, a Kafka topic there), never a field.
"""

from __future__ import annotations

from typing import Any

from bus.city import City
from schemas.door import check_data
from schemas.envelope import Event
from schemas.failures import Reason, Refused
from schemas.registry import EventData


def reasons_against(event: Event, sender: str, city: City, data: EventData | None = None) -> list[Reason]:
    """Every reason why `sender` may not say this; empty where it may. The envelope has passed the door.

    `data`: the event's, where it has been read strictly already.
    """
    reasons = [*_wrong_sender(event, sender, city), *_reserved(event)]
    try:
        data = data if data is not None else check_data(event)
    except Refused as refused:
        reasons += refused.reasons
    area = _value(data, "area") or event.jurisdiction
    if (reason := city.may_publish(sender, event.type, area)) is not None:
        reasons.append(reason)
    if data is not None:
        reasons += _wrong_place(event, data, city)
    return reasons


def _wrong_sender(event: Event, sender: str, city: City) -> list[Reason]:
    expected = city.source_of(sender)
    if event.source == expected:
        return []
    problem = f"the event says that {event.source} sent it, but it comes from {sender}"
    return [Reason("wrong_source", "source", problem, f"Set source to {expected}.")]


def _reserved(event: Event) -> list[Reason]:
    """Attributes that the bus alone sets: with them an agency could send to whom it likes."""
    return [
        Reason("reserved_attribute", name, f"only the bus sets {name}", "Leave it out.")
        for name in ("recipient", "parties", "workflowversion")
        if getattr(event, name) is not None
    ]


def _wrong_place(event: Event, data: EventData, city: City) -> list[Reason]:
    reasons = []
    area = _value(data, "area")
    if area is not None and area not in city.areas:
        reasons.append(
            Reason("unknown_area", "data.area", f"the city has no area {area}", "Use a code of the city's areas.csv.")
        )
    if area is not None and event.jurisdiction is not None and event.jurisdiction != area:
        problem = f"jurisdiction says {event.jurisdiction} and data.area {area}"
        reasons.append(
            Reason("wrong_jurisdiction", "jurisdiction", problem, "Send the same area in both, or leave it.")
        )
    service_code = _value(data, "service_code")
    if service_code is not None and service_code not in city.services:
        problem = f"the city's catalogue has no service {service_code}"
        reasons.append(Reason("unknown_service", "data.service_code", problem, "Use a service_code of the catalogue."))
    location = _value(data, "location")
    if location is not None and not city.contains(location.longitude, location.latitude):
        problem = f"longitude {location.longitude}, latitude {location.latitude} lies outside the city"
        swapped = city.contains(location.latitude, location.longitude) if abs(location.longitude) <= 90 else False
        fix = "The two are swapped: GeoJSON has the longitude first." if swapped else "Check the coordinates."
        reasons.append(Reason("outside_city", "data.location.coordinates", problem, fix))
    return reasons


def _value(data: EventData | None, name: str) -> Any:
    """A field, where this type has one. Asking pydantic for an attribute that it lacks costs ten times as much."""
    return data.__dict__.get(name) if data is not None else None
