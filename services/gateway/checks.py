"""What the gateway holds against an event: who sent it, whether it may, whether it can be true. Pure.

The sender is the topic, which Kafka's ACLs guard, and never a field: a payload is not trusted about who sent it.
"""

from __future__ import annotations

from typing import Any

from bus.city import City
from bus.records import Record, partition_for
from bus.topics import agency_of_out
from schemas.door import check_data, read_record
from schemas.envelope import Event
from schemas.failures import Reason, Refused
from schemas.registry import EventData


def admit(record: Record, city: City, partitions: int) -> Event:
    """The event in a record of an agency's out topic, if it may enter the city's log.

    Raises:
        Refused: with every reason that can be found; the later checks need what the earlier ones establish.
    """
    event: Event = read_record(record.headers, record.key, record.value)
    sender = agency_of_out(record.topic)
    reasons = [
        *_wrong_sender(event, sender, city),
        *_wrong_partition(event, record, partitions),
        *_reserved(event),
    ]
    data: EventData | None = None
    try:
        data = check_data(event)
    except Refused as refused:
        reasons += refused.reasons
    area = _value(data, "area") or event.jurisdiction
    if (reason := city.may_publish(sender, event.type, area)) is not None:
        reasons.append(reason)
    if data is not None:
        reasons += _wrong_place(event, data, city)
    if reasons:
        raise Refused(reasons)
    return event


def _wrong_sender(event: Event, sender: str, city: City) -> list[Reason]:
    expected = city.source_of(sender)
    if event.source == expected:
        return []
    problem = f"the event says that {event.source} sent it, but it came through the topic of {sender}"
    return [Reason("wrong_source", "source", problem, f"Set source to {expected}.")]


def _wrong_partition(event: Event, record: Record, partitions: int) -> list[Reason]:
    expected = partition_for(event.key, partitions)
    if record.partition == expected:
        return []
    problem = f"the case belongs on partition {expected}, and the event came on {record.partition}"
    fix = "Partition by murmur2 on the key; with librdkafka set partitioner=murmur2_random."
    return [Reason("wrong_partition", "subject", problem, fix)]


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
