"""How the acts of operators are built: with a reason, locked fields held, nothing that would be refused. Pure.

An event to be corrected is shown as CloudEvents' JSON form has it: its attributes, and `data`. What comes back may
differ only where a correction may: of a parked event in its data alone, of a rejected one also in what the door could
not read. Who sent it stays, whatever is edited.
"""

from __future__ import annotations

import base64
import json
from collections.abc import Mapping
from datetime import UTC, datetime
from typing import Any

import msgspec
from pydantic import ValidationError

from bus.city import City
from bus.city.model import OPERATIONS
from bus.records import Record
from bus.resending import resent
from schemas.envelope import HEADER_PREFIX, Event
from schemas.failures import Unprocessable
from schemas.identifiers import is_event_id, is_uuid
from schemas.registry import EventData
from schemas.types.acts import (
    CorrectionRequested,
    DiscardRequested,
    EventDiscarded,
    ReplayRequested,
    ResendRequested,
    Resent,
)

REASON_MAX = 1000
"""Characters of a reason: the rest belongs into a ticket that it names."""

EDITABLE_OF_REJECTED = frozenset(
    {"type", "subject", "time", "jurisdiction", "correlationid", "history", "expirytime", "data"}
)
"""What of a rejected event may be corrected. Its id, its source and all else are the sender's, or the bus's."""

EDITABLE_OF_PARKED = frozenset({"data"})


class NotDone(Unprocessable):
    """An act that cannot be, in words. Nothing was sent."""


def checked_reason(text: str | None) -> str:
    """The reason, as it will stand in the log.

    Raises:
        NotDone: there is none, or it is too long.
    """
    reason = " ".join((text or "").replace("\x00", " ").split())
    if not reason:
        raise NotDone("say why: the reason stands in the case's timeline. Nothing was done.")
    if len(reason) > REASON_MAX:
        raise NotDone(
            f"the reason has {len(reason)} characters, and at most {REASON_MAX} are kept: write the short one, and "
            "name the ticket that has the rest. Nothing was done."
        )
    return reason


def replay_of(city: City, case_id: str, *, event_id: str | None, by: str, reason: str) -> Event:
    """The act that runs a parked case again."""
    return _act(city, case_id, event_id, ReplayRequested, reason=reason, by=by, event_id=event_id)


def discard_of_parked(city: City, case_id: str, *, event_id: str, by: str, reason: str) -> Event:
    """The act that takes the event at which a case is parked out of it."""
    return _act(city, case_id, event_id, DiscardRequested, reason=reason, by=by, event_id=event_id)


def correction_of(city: City, wrong: Event, document: Mapping[str, Any], *, by: str, reason: str) -> Event:
    """The act that puts `document`'s data in the place of a parked event.

    Raises:
        NotDone: a locked field was changed, or it holds no data.
    """
    _hold(parked_document(wrong), document, EDITABLE_OF_PARKED)
    data = _data_text(document)
    return _act(city, wrong.subject, wrong.id, CorrectionRequested, reason=reason, by=by, event_id=wrong.id, data=data)


def discard_of_rejected(city: City, rejection: Mapping[str, Any], *, by: str, reason: str) -> Event:
    """The act that sets a rejected event aside. `rejection`: as the casebook tells it."""
    case, event = str(rejection["case_id"]), rejection["event_id"]
    return _act(
        city, case, event, EventDiscarded,
        reason=reason, by=by, rejection_id=rejection["id"], agency=rejection["agency"], event_id=event,
    )  # fmt: skip


def resend_of(
    city: City,
    rejection: Mapping[str, Any],
    original: Mapping[str, Any],
    *,
    by: str,
    reason: str,
    document: Mapping[str, Any] | None = None,
) -> Event:
    """The act that lets a rejected event in, as it was or as `document` says.

    Args:
        rejection: as the casebook tells it.
        original: `rejected_document` of its record.
        document: the corrected event.

    Raises:
        NotDone: a locked field was changed, or it cannot be sent so.
        Refused: the gateway would refuse it, with every reason.
    """
    if document is not None:
        _hold(original, document, EDITABLE_OF_REJECTED)
    wanted = original if document is None else document
    fields = {name: wanted.get(name) for name in EDITABLE_OF_REJECTED - {"subject", "data"}}
    subject = str(wanted.get("subject") or "")
    try:
        event = Resent.model_validate({**fields, "data": _data_text(wanted)})
    except ValidationError as error:
        raise NotDone(_words(error)) from error
    act = _act(
        city, subject if is_uuid(subject) else str(rejection["case_id"]), rejection["event_id"], ResendRequested,
        reason=reason, by=by, rejection_id=rejection["id"], agency=rejection["agency"],
        event_id=rejection["event_id"], edited=document is not None and dict(document) != dict(original), event=event,
    )  # fmt: skip
    resent(act, city)
    return act


# -- events as they are edited


def parked_document(event: Event) -> dict[str, Any]:
    """A parked event, to be edited."""
    return {**event.attributes(), "data": _json(event.data)}


def rejected_document(record: Record) -> dict[str, Any]:
    """The event in a record of `city-rejected`, as it came, to be edited. Of two equal attributes the first counts."""
    original = (_json(record.value or b"") or {}).get("original") or {}
    document: dict[str, Any] = {}
    for header in original.get("headers", []):
        name, value = str(header["name"]), header.get("value_base64")
        if name.startswith(HEADER_PREFIX) and value is not None and name != "ce_specversion":
            document.setdefault(
                name.removeprefix(HEADER_PREFIX), base64.b64decode(value).decode("utf-8", "backslashreplace")
            )
    value = original.get("value_base64")
    return {**document, "data": _json(base64.b64decode(value)) if value is not None else None}


def _hold(before: Mapping[str, Any], after: Mapping[str, Any], editable: frozenset[str]) -> None:
    """Refuse a change of what is not to be edited."""
    names = sorted(before.keys() | after.keys())
    changed = [name for name in names if name not in editable and before.get(name) != after.get(name)]
    if changed:
        raise NotDone(
            f"{', '.join(changed)} cannot be edited: who sent an event, and as which, stays as it was. "
            f"Of this one {', '.join(sorted(editable))} may be corrected. Nothing was done."
        )


def _data_text(document: Mapping[str, Any]) -> str:
    data = document.get("data")
    if not isinstance(data, dict):
        raise NotDone("data must be a JSON object. Nothing was done.")
    return json.dumps(data, ensure_ascii=False)


def _json(data: bytes) -> Any:
    """The value; as text where it is no JSON."""
    try:
        return json.loads(data)
    except (ValueError, RecursionError):
        return data.decode("utf-8", "backslashreplace")


def _event_of(city: City, data: EventData, case_id: str, *, cause: str | None = None) -> Event:
    """The event of an act. `cause`: the event to which it is done."""
    event = Event.of(data, source=city.source_of(OPERATIONS), subject=case_id, time=datetime.now(UTC).isoformat())
    known = cause if cause is not None and is_event_id(cause) else None
    return msgspec.structs.replace(event, causationid=known)


def _act(city: City, case_id: str, cause: str | None, kind: type[EventData], **fields: Any) -> Event:
    try:
        return _event_of(city, kind(**fields), case_id, cause=cause)
    except ValidationError as error:
        raise NotDone(_words(error)) from error


def _words(error: ValidationError) -> str:
    found = "; ".join(f"{'.'.join(map(str, each['loc']))}: {each['msg']}" for each in error.errors(include_input=False))
    return f"{found}. Nothing was done."
