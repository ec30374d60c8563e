"""What stands in `city-rejected`, as rows: who was refused what, and which events count for nothing. Pure.

Two kinds of refusal meet here. The gateway's concern records that never came into the log. The workflows stage's
concern events that are in the log and that their case could not take: those stay in the timeline, marked, and count
for nothing.
"""

from __future__ import annotations

import base64
import binascii
from typing import Any, NamedTuple

import msgspec

from bus.records import Record
from bus.topics import EVENTS
from schemas.envelope import OPTIONAL_ATTRIBUTES, REQUIRED_ATTRIBUTES, Event
from schemas.failures import Unprocessable
from services.casebook.entry import agency_in
from services.casebook.moments import utc_text_of_ms, utc_text_or_none
from services.casebook.public import public_data

WORKFLOWS = "workflows"
"""The process that answers for cases: what it refuses, the case did not take."""

SHOWN_HEADERS = frozenset(
    {f"ce_{name}" for name in (*REQUIRED_ATTRIBUTES, *OPTIONAL_ATTRIBUTES, "specversion", "dataschema")}
    | {"ce_datacontenttype", "content-type"}
)
"""Headers whose values may be shown. Of any other only its name and size: an agency may have put anything there."""

HEADER_BYTES_MAX = 500
"""How much of one header's value is shown."""


class Rejection(msgspec.Struct, kw_only=True):
    """One row of `rejected`. Fields stand in the order of the table's columns."""

    id: str
    rejected_at: str
    rejected_by: str
    case_id: str
    agency: str
    event_id: str | None
    event_type: str | None
    topic: str
    partition: int
    offset: int
    reasons: str
    code: str
    headers: str | None
    data: str | None
    withheld: str | None
    size_bytes: int | None
    log_partition: int
    log_offset: int

    @property
    def place(self) -> Place | None:
        """Where the event stands in the city's log that counts for nothing by this; None where it never came in."""
        if self.topic == EVENTS and self.rejected_by == WORKFLOWS:
            return Place(self.partition, self.offset)
        return None


COLUMNS = Rejection.__struct_fields__


class Place(NamedTuple):
    """One record of the city's log."""

    partition: int
    offset: int


def rejection_of(record: Record) -> Rejection | None:
    """The row for a record of `city-rejected`; None where the record is no event of that kind."""
    try:
        notice = Event.from_record(record.headers, record.value)
        data = msgspec.json.decode(notice.data)
        original = data.get("original") or {}
        headers = original.get("headers") or []
        value = _bytes(original.get("value_base64"))
        content, withheld = public_data(_clean(data.get("event_type")) or "", value) if original else (None, None)
        logged_at = utc_text_of_ms(record.timestamp_ms)
        return Rejection(
            id=_clean(notice.id) or "",
            rejected_at=utc_text_or_none(notice.time) or logged_at,
            rejected_by=agency_in(notice.source),
            case_id=_clean(notice.subject) or "",
            agency=_clean(data["agency"]) or "unknown",
            event_id=_clean(data.get("event_id")),
            event_type=_clean(data.get("event_type")),
            topic=_clean(data["topic"]) or "",
            partition=int(data["partition"]),
            offset=int(data["offset"]),
            reasons=msgspec.json.encode(data["reasons"]).decode(),
            code=_first_code(data["reasons"]),
            headers=msgspec.json.encode([_shown(header) for header in headers]).decode() if original else None,
            data=msgspec.json.encode(content).decode() if content is not None else None,
            withheld=withheld if original else "the sender's record was not kept",
            size_bytes=len(value) if value is not None else None,
            log_partition=record.partition,
            log_offset=record.offset,
        )
    except (Unprocessable, msgspec.DecodeError, AttributeError, KeyError, TypeError, ValueError):
        return None


def _first_code(reasons: object) -> str:
    """What most of all was wrong; tolerant of reasons of another form."""
    first = reasons[0] if isinstance(reasons, list) and reasons else None
    code = _clean(first.get("code")) if isinstance(first, dict) else None
    return (code or "unknown")[:64]


def _bytes(text: object) -> bytes | None:
    if not isinstance(text, str):
        return None
    try:
        return base64.b64decode(text)
    except binascii.Error:
        return None


def _shown(header: dict[str, Any]) -> dict[str, Any]:
    """A header's name, and its value where it may be shown."""
    name, value = str(header["name"]), _bytes(header.get("value_base64"))
    if value is None:
        return {"name": name, "value": None}
    if name.lower() not in SHOWN_HEADERS:
        return {"name": name, "bytes": len(value)}
    return {"name": name, "value": value[:HEADER_BYTES_MAX].decode("utf-8", "replace")}


def _clean(text: object) -> str | None:
    return text.replace("\x00", "\ufffd") if isinstance(text, str) else None
