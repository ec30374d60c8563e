"""An entry: one event as its case's timeline holds it. Pure.

Tolerant: a record that is no event has no entry; a time that cannot be read is the log's; data that may not be shown is
left out and the reason kept. Fields stand in the order of the table's columns.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import msgspec

from bus.history import HISTORY
from bus.records import Record
from schemas.envelope import Event
from schemas.failures import Unprocessable
from services.casebook.moments import utc_text_of_ms, utc_text_or_none
from services.casebook.public import public_data


class Entry(msgspec.Struct, kw_only=True):
    """One line of a timeline."""

    case_id: str
    seq: int
    event_id: str
    type: str
    source: str
    agency: str
    time: str
    recordedtime: str | None
    logged_at: str
    correlationid: str | None
    causationid: str | None
    recipient: str | None
    jurisdiction: str | None
    parties: str | None
    workflowversion: str | None
    data: str | None
    withheld: str | None
    refusal_id: str | None
    log_partition: int
    log_offset: int

    @property
    def occurred_at(self) -> str:
        """`time` as UTC text; the log's time where it cannot be read."""
        return utc_text_or_none(self.time) or self.logged_at

    def content(self) -> dict[str, Any]:
        """The data, empty where it is withheld."""
        found = msgspec.json.decode(self.data) if self.data is not None else {}
        return found if isinstance(found, dict) else {}


COLUMNS = Entry.__struct_fields__


def entry_of(record: Record, seq: int) -> tuple[Entry, dict[str, Any]] | None:
    """The entry for a record of the city's log, and its data decoded; None where the record is no event."""
    try:
        event = Event.from_record(_storable(record), record.value)
    except Unprocessable:
        return None
    content, withheld = public_data(event.type, record.value)
    entry = Entry(
        case_id=event.subject,
        seq=seq,
        event_id=event.id,
        type=event.type,
        source=event.source,
        agency=agency_in(event.source),
        time=event.time,
        recordedtime=event.recordedtime,
        logged_at=utc_text_of_ms(record.timestamp_ms),
        correlationid=event.correlationid,
        causationid=event.causationid,
        recipient=event.recipient,
        jurisdiction=event.jurisdiction,
        parties=event.parties,
        workflowversion=HISTORY if event.history is not None else event.workflowversion,
        data=_json(content),
        withheld=withheld,
        refusal_id=None,
        log_partition=record.partition,
        log_offset=record.offset,
    )
    return entry, content or {}


def agency_in(source: str) -> str:
    """The last part of a source: `public-works` of `urn:subak:denpasar:public-works`."""
    return source.rpartition(":")[2]


def _storable(record: Record) -> Sequence[tuple[str, bytes | None]]:
    """The headers without NUL: PostgreSQL cannot store it. The gateway lets none in; an old log may hold one."""
    if b"\x00" in b"".join([value for _, value in record.headers if value]):
        return [(name, value and value.replace(b"\x00", _REPLACEMENT)) for name, value in record.headers]
    return record.headers


_REPLACEMENT = "\ufffd".encode()


def _json(content: dict[str, Any] | None) -> str | None:
    return msgspec.json.encode(content).decode() if content is not None else None
