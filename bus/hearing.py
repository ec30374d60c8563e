"""Who must hear of an event of the log, and of how much of it. Pure.

The router's rule, and what `subak reconcile` holds its work against.
Attributes decide nearly all, by look-up. The data is read only for a type of which some agency hears by service or by
condition. A condition that fails keeps the event from its own agency and from nobody else, and is told as a `Failed`.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, NamedTuple

from bus.city import City
from bus.city.conditions import Condition, data_of
from bus.expressions import ExpressionFailed
from schemas.envelope import Event
from schemas.personal import has_personal, redact


class Failed(NamedTuple):
    """A condition that could not say whether its agency hears of an event."""

    agency: str
    origin: str
    """Where the subscription is written."""
    problem: str


class Heard(NamedTuple):
    """Who must hear of an event."""

    agencies: tuple[str, ...]
    """Sorted."""
    failed: tuple[Failed, ...] = ()


NOBODY = Heard(())


def heard_by(city: City, event: Event) -> Heard:
    """Who must hear of it. Nobody is told of history."""
    if event.history is not None:
        return NOBODY
    lookups = city.lookups
    sure, conditions = lookups.hearers(
        event.type,
        event.jurisdiction,
        event.recipient,
        event.parties,
        lookups.ids_by_source.get(event.source),
        None if event.type in lookups.quiet_types else service_of(event.data),
    )
    if not conditions:
        return Heard(sure)
    heard, failed, seen = set(sure), [], Seen(city, event)
    for condition in conditions:
        if condition.agency in heard:
            continue
        try:
            if condition.holds(seen.by(condition)):
                heard.add(condition.agency)
        except ExpressionFailed as error:
            failed.append(Failed(condition.agency, condition.subscription.origin, str(error)))
    return Heard(tuple(sorted(heard)), tuple(one for one in failed if one.agency not in heard))


def service_of(data: bytes) -> str | None:
    """The service that an event is about; None where its data tells none."""
    if b"service_code" not in data:
        return None
    try:
        found = data_of(data).get("service_code")
    except ExpressionFailed:
        return None
    return found if isinstance(found, str) else None


def readable(city: City, agency: str, event: Event) -> bytes:
    """The event's data as the agency may read it."""
    if not has_personal(event.type):
        return event.data
    fields = city.reads(agency, event.type)
    return event.data if fields is None else redact(event.type, event.data, keep=fields)


class Seen:
    """One event as conditions see it: read once for all agencies that may read the same."""

    def __init__(self, city: City, event: Event) -> None:
        self._city = city
        self._event = event
        self._views: dict[frozenset[str] | None, dict[str, Any]] = {}
        self._attributes: dict[str, Any] | None = None

    def by(self, condition: Condition) -> Mapping[str, Any]:
        """What this agency's condition is given.

        Raises:
            ExpressionFailed: the event's data cannot be read.
        """
        names = condition.expression.names
        if self._attributes is None:
            self._attributes = self._read_attributes()
        if "data" not in names:
            return self._attributes
        return {**self._attributes, "data": self._data(condition.agency)}

    def _data(self, agency: str) -> dict[str, Any]:
        fields = self._city.reads(agency, self._event.type) if has_personal(self._event.type) else None
        if fields not in self._views:
            self._views[fields] = data_of(readable(self._city, agency, self._event))
        return self._views[fields]

    def _read_attributes(self) -> dict[str, Any]:
        city, event = self._city, self._event
        area = city.lookups.known(event.jurisdiction)
        sender = city.agency_of(event.source)
        return {
            "type": event.type,
            "sender": sender or event.source.rpartition(":")[2],
            "sender_level": city.agencies[sender].level if sender is not None else "",
            "area": area,
            "areas": list(city.lookups.chains[area]),
            "area_level": city.areas[area].level,
            "service": service_of(event.data) or "",
            "recipient": event.recipient or "",
            "parties": event.parties.split(",") if event.parties else [],
            "case": event.subject,
            "time": event.time,
        }
