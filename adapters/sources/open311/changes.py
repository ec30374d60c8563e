"""What one event changes of a request as apps see it. Pure.

GeoReport knows two states. A request is closed when the work is done and inspected, or when its case has ended in any
other way; what comes after (a rating, the end of the time to complain) changes nothing. Reopened, it is open again.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import msgspec

from bus.city import City
from schemas.envelope import Event
from schemas.moments import NotAMoment, parse_moment

Row = dict[str, Any]
"""A row of `subak_open311_requests`, by column."""

SUBMITTED = "subak.request.submitted.v1"
FORWARDED = "subak.request.forwarded.v1"
ASSIGNED = "subak.request.assigned.v1"
COMMENTED = "subak.request.commented.v1"
MERGED = "subak.request.merged.v1"
REOPENED = "subak.request.reopened.v1"
RESOLVED = "subak.request.resolved.v1"
WITHDRAWN = "subak.request.withdrawn.v1"
CLOSED = "subak.request.closed.v1"
REJECTED = "subak.event.rejected.v1"

CLOSING = frozenset({MERGED, RESOLVED, CLOSED})
OPENING = frozenset({SUBMITTED, FORWARDED, ASSIGNED})
"""What says enough of a case to show it as a request."""


@dataclass(frozen=True)
class Change:
    """What follows from one event."""

    row: Row
    description: str | None = None
    shown: bool = False
    """Whether it is an update that an app is told."""


def change(city: City, row: Row | None, event: Event, token: str) -> Change | None:
    """The request after the event; None where the event is of no request that is known.

    Args:
        row: the request before it.
        token: for a request that begins now.
    """
    data = data_of(event)
    if row is None:
        row = _begun(city, event, data, token)
        return None if row is None else Change(row)
    if event.type == REJECTED:
        return _rejected(row, event, data)
    after = dict(row)
    if event.type == COMMENTED:
        after["updated_datetime"] = event.time
        return Change(after, _text(data, "text"), shown=True)
    if event.type == ASSIGNED:
        after |= {
            "agency_responsible": _text(data, "agency") or row["agency_responsible"],
            "service_code": _text(data, "service_code") or row["service_code"],
            "expected_datetime": _text(data, "expected_datetime") or row["expected_datetime"],
        }
    notes = _text(data, "status_notes") or (_text(data, "reason") if event.type in (CLOSED, REOPENED) else None)
    if event.type == MERGED and notes is None:
        notes = f"This request goes on as {_text(data, 'into')}."
    if event.type in CLOSING:
        if row["status"] == "closed":
            return Change(row)  # the time of the closing stays
        after["status"] = "closed"
    elif event.type == REOPENED:
        after["status"] = "open"
    told = notes is not None or after["status"] != row["status"]
    if told:
        after["status_notes"] = notes
    if after != row:
        after["updated_datetime"] = event.time
    return Change(after, notes, shown=told)


def _begun(city: City, event: Event, data: dict[str, Any], token: str) -> Row | None:
    service_code = _text(data, "service_code")
    if event.type not in OPENING or service_code is None:
        return None
    requested = _text(data, "requested_datetime") or event.time
    longitude, latitude = _point(data)
    return {
        "service_request_id": event.subject,
        "token": token,
        "opened_by": event.id,
        "status": "open",
        "status_notes": None,
        "service_code": service_code,
        "description": _text(data, "description"),
        "agency_responsible": _text(data, "agency") if event.type == ASSIGNED else None,
        "requested_datetime": requested,
        "requested_at": seconds(requested) or seconds(event.time) or 0.0,
        "updated_datetime": event.time,
        "expected_datetime": _text(data, "expected_datetime"),
        "address": _text(data, "address_string"),
        "area": _text(data, "area"),
        "latitude": latitude,
        "longitude": longitude,
        "media_url": _text(data, "media_url"),
    }


def _rejected(row: Row, event: Event, data: dict[str, Any]) -> Change:
    """The bus did not take the request itself: nobody will work on it, and the app must know."""
    if data.get("event_id") != row["opened_by"] or row["status"] == "closed":
        return Change(row)
    reasons = data.get("reasons")
    said = [str(one.get("problem")) for one in reasons if isinstance(one, dict)] if isinstance(reasons, list) else []
    notes = f"The request was not accepted: {'; '.join(said)}."[:4000]
    return Change(row | {"status": "closed", "status_notes": notes, "updated_datetime": event.time}, notes, shown=True)


def seconds(moment: str) -> float | None:
    """A time as seconds since 1970; None where it cannot be read."""
    try:
        return parse_moment(moment).timestamp()
    except NotAMoment:
        return None


def data_of(event: Event) -> dict[str, Any]:
    """The event's data; nothing where it is no object, which only a record from before the gateway can be."""
    try:
        found = msgspec.json.decode(event.data)
    except (msgspec.DecodeError, RecursionError):
        return {}
    return found if isinstance(found, dict) else {}


def _text(data: dict[str, Any], name: str) -> str | None:
    found = data.get(name)
    return found if isinstance(found, str) else None


def _point(data: dict[str, Any]) -> tuple[float | None, float | None]:
    try:
        longitude, latitude = data["location"]["coordinates"]
        return float(longitude), float(latitude)
    except (KeyError, TypeError, ValueError):
        return None, None
