"""What must not come in: bodies for the HTTP door, raw records for an out topic, each with the reason it must get."""

from __future__ import annotations

import json
from dataclasses import dataclass, field
from typing import Any

from bus.city import City
from schemas.envelope import Event
from schemas.identifiers import derived_id, new_id
from schemas.registry import DATA_BYTES_MAX
from schemas.types.requests import RequestCommented, RequestRated, RequestSubmitted

DEPTH = 200_000
NESTED = b"[" * DEPTH + b"]" * DEPTH
TIME = "2026-11-24T08:00:00+00:00"

Headers = list[tuple[str, bytes | None]]


@dataclass(frozen=True, kw_only=True)
class BadRecord:
    """A record as a hostile or broken system might write it, past its adapter."""

    name: str
    code: str
    """The reason that it must be refused with."""
    value: bytes | None
    headers: Headers
    key: bytes | None
    id: str
    partition_of: bytes
    """The key by which the partition is chosen."""
    partition_shift: int = 0


@dataclass(frozen=True, kw_only=True)
class BadBody:
    """A request's body, with the status and the reason that it must be answered with."""

    name: str
    status: int
    code: str | None
    body: bytes
    headers: dict[str, str] = field(default_factory=dict)


class BadInput:
    """Bad input in the name of the citizens' channel of one city."""

    def __init__(self, city: City) -> None:
        self.city = city
        self.sender = city.citizens_channel
        self._area = city.area
        self._service = sorted(city.services)[0]
        bounds = city.bounds
        self._place = [round((bounds.west + bounds.east) / 2, 4), round((bounds.south + bounds.north) / 2, 4)]

    def request(self, **changed: Any) -> dict[str, Any]:
        """The data of a good request, with some fields changed."""
        location = {"type": "Point", "coordinates": self._place}
        good = {"service_code": self._service, "area": self._area, "description": "A hole", "location": location}
        return good | changed

    def event(self, **attributes: Any) -> Event:
        """A good request, with some attributes changed."""
        attributes = {"id": new_id(), "subject": new_id(), "data": self.request()} | attributes
        data = attributes.pop("data")
        return Event(
            type=attributes.pop("type", RequestSubmitted.registered.name),
            source=attributes.pop("source", self.city.source_of(self.sender)),
            time=attributes.pop("time", TIME),
            data=data if isinstance(data, bytes) else json.dumps(data).encode(),
            **attributes,
        )

    def comment(self, case: str) -> Event:
        """A good comment on a case."""
        return self.event(type=RequestCommented.registered.name, subject=case, data={"text": "Still there."})

    def record(self, name: str, code: str, event: Event, **changed: Any) -> BadRecord:
        """The event as a record, with the record's own parts changed."""
        headers = changed.pop("headers", lambda good: good)(list(event.headers()))
        parts: dict[str, Any] = {"value": event.data, "key": event.key} | changed
        return BadRecord(name=name, code=code, id=event.id, partition_of=event.key, headers=headers, **parts)

    def records(self, accepted: Event) -> list[BadRecord]:
        """For the out topic. `accepted`: an event that was let in, whose id is used again with other data."""
        data, request, event, record = self._data, self.request, self.event, self.record
        another = next(id for id, agency in self.city.agencies.items() if id != self.sender and agency.kind == "agency")
        south, east = self._place[1], self._place[0]
        again = event(id=accepted.id, subject=accepted.subject, data=request(description="Another hole"))
        large = data(description="x" * DATA_BYTES_MAX)[: DATA_BYTES_MAX + 1]
        infinite = self._raw("location", b'{"type":"Point","coordinates":[1e400,1]}')
        return [
            record("not JSON", "not_json", event(data=b"<request/>")),
            record("half of it", "not_json", event(data=b'{"area":')),
            record("no UTF-8", "not_json", event(data=b'{"description":"\xff"}')),
            record("deep nesting", "too_deep", event(data=b'{"description":' + NESTED + b"}")),
            record("a byte too many", "too_large", event(data=large)),
            record("NaN", "not_finite", event(data=self._raw("location", b'{"type":"Point","coordinates":[NaN,1]}'))),
            record("infinite", "not_finite", event(data=infinite)),
            record("key twice", "duplicate_key", event(data=data()[:-1] + b',"description":"other"}')),
            record("NUL", "pattern", event(data=data(description="a\x00b"))),
            record("unknown field", "unknown_field", event(data=request(urgency="high"))),
            record("text for a number", "int_type", self._rated('"1"')),
            record("true for a number", "int_type", self._rated("true")),
            record("1.0 for a number", "int_type", self._rated("1.0")),
            record("4,000 digits", "too_large", self._rated("1" * 4000)),
            record("a number for a time", "not_a_moment", event(data=request(requested_datetime=0))),
            record("no offset", "not_a_moment", event(data=request(requested_datetime="2026-11-24T08:00:00"))),
            record("digits for a time", "not_a_moment", event(data=request(requested_datetime="253402300800"))),
            record("latitude 91", "too_large", event(data=request(location=_point(east, 91.0)))),
            record("swapped", "too_small", event(data=request(location=_point(south, east)))),
            record("elsewhere", "outside_city", event(data=request(location=_point(2.35, 48.85)))),
            record("unknown area", "unknown_area", event(data=request(area="99999"))),
            record("unknown service", "unknown_service", event(data=request(service_code="no-such-thing"))),
            record("unknown type", "unknown_type", event(type="subak.request.sumbitted.v1")),
            record("unknown version", "unknown_version", event(type="subak.request.submitted.v9")),
            record("another's source", "wrong_source", event(source=self.city.source_of(another))),
            record("not its type", "type_not_allowed", event(type="subak.workorder.started.v1", data={})),
            record("the bus's type", "type_not_allowed", event(type="subak.request.assigned.v1")),
            record("the id again", "id_reused", again),
            record("time 0", "malformed", event(time="0")),
            record("addressed", "reserved_attribute", event(recipient=another)),
            record("two ids", "duplicate_attribute", event(), headers=lambda good: [*good, ("ce_id", b"another")]),
            record("bad header", "not_utf8", event(), headers=lambda good: [*good, ("x-note", b"\xff\xfe")]),
            record("null header", "null_header", event(), headers=lambda good: [*good, ("x-note", None)]),
            record("no headers", "missing", event(), headers=lambda good: []),
            record("long headers", "headers_too_large", event(), headers=lambda good: [*good, ("x", b"x" * 20_000)]),
            record("null value", "null_value", event(), value=None),
            record("null key", "null_key", event(), key=None),
            record("another key", "key_mismatch", event(), key=new_id().encode()),
            record("wrong partition", "wrong_partition", event(), partition_shift=1),
            record("an unknown case", "unknown_case", self.comment(new_id())),
        ]  # fmt: skip

    def bodies(self) -> list[BadBody]:
        """For the HTTP door."""
        whole = {"type": RequestSubmitted.registered.name, "data": self.request()}

        def said(**changed: Any) -> bytes:
            return json.dumps(whole | changed).encode()

        plain = {"Content-Type": "text/plain"}
        return [
            BadBody(name="empty", status=400, code="not_json", body=b""),
            BadBody(name="not JSON", status=400, code="not_json", body=b"<event/>"),
            BadBody(name="deep nesting", status=400, code="too_deep", body=NESTED),
            BadBody(name="too large", status=413, code="too_large", body=b" " * (DATA_BYTES_MAX + 100_000)),
            BadBody(name="not its type of body", status=415, code="content_type", body=said(), headers=plain),
            BadBody(name="no token", status=401, code=None, body=said(), headers={"Authorization": "Bearer guessed"}),
            BadBody(name="unknown field", status=422, code="unknown_field", body=said(data=self.request(urgency=1))),
            BadBody(name="unknown type", status=422, code="unknown_type", body=said(type="subak.request.sumbitted.v1")),
            BadBody(name="another's source", status=422, code="wrong_source", body=said(source=self._other_source())),
            BadBody(name="a list with one bad", status=422, code="unknown_area", body=b"[%s,%s]" % (
                said(), said(data=self.request(area="99999")))),
        ]  # fmt: skip

    def _other_source(self) -> str:
        return self.city.source_of("another-agency")

    def _data(self, **changed: Any) -> bytes:
        return json.dumps(self.request(**changed)).encode()

    def _raw(self, name: str, value: bytes) -> bytes:
        """Good data in which one field holds what `json` would not write."""
        return json.dumps(self.request(**{name: "@"})).encode().replace(b'"@"', value)

    def _rated(self, score: str) -> Event:
        data = b'{"score":%s}' % score.encode()
        return self.event(type=RequestRated.registered.name, subject=derived_id("no", score), data=data)


def _point(longitude: float, latitude: float) -> dict[str, Any]:
    return {"type": "Point", "coordinates": [longitude, latitude]}
