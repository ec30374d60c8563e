"""What happens to an event that is refused: whole into `city-rejected`, and back to its sender with every reason. Pure.

Nothing that an agency sent is ever lost: the rejected record carries the original, byte for byte, in base64. The
sender's copy goes without it (it has its own), so that a large event cannot fill its inbox twice.
"""

from __future__ import annotations

import base64
from collections.abc import Sequence
from datetime import datetime

from bus.records import Output, Record
from bus.topics import REJECTED, in_topic
from schemas.envelope import Event
from schemas.failures import Reason
from schemas.identifiers import derived_id, is_uuid
from schemas.types.bus import HEADERS_MAX, REASONS_MAX, EventRejected, Original, RecordHeader, Rejection


def rejection(
    record: Record, reasons: Sequence[Reason], *, sender: str | None, by: str, now: datetime, tell_sender: bool = True
) -> list[Output]:
    """The records that say why `record` was refused.

    Args:
        sender: the agency that sent it, where one did.
        by: the source of the process that refuses it.
        tell_sender: whether `sender` has an inbox to be told in.
    """
    place = f"{record.topic}/{record.partition}/{record.offset}"
    attributes = _readable(record)
    key = attributes.get("subject", "")
    data = EventRejected(
        reasons=tuple(Rejection(**_shortened(reason)) for reason in reasons[:REASONS_MAX]),
        agency=sender or "unknown",
        event_id=attributes.get("id"),
        event_type=attributes.get("type"),
        topic=record.topic,
        partition=record.partition,
        offset=record.offset,
        original=None,
    )
    notice = Event.of(
        data,
        id=derived_id(place, "rejected"),
        source=by,
        subject=key if is_uuid(key) else derived_id(place, "case"),
        time=now.isoformat(),
    )
    whole = data.model_copy(update={"original": _original(record)})
    headers = notice.headers()
    outputs = [Output(REJECTED, notice.key, whole.encode(), headers, record.partition)]
    if tell_sender and sender is not None:
        outputs.append(Output(in_topic(sender), notice.key, notice.data, headers, record.partition))
    return outputs


def _shortened(reason: Reason) -> dict[str, str]:
    return {
        name: text[: 100 if name == "code" else 500].replace("\x00", "\ufffd") or "-"
        for name, text in reason.as_dict().items()
    }


def _readable(record: Record) -> dict[str, str]:
    """The attributes that can be read at all, of a record that may be anything."""
    found: dict[str, str] = {}
    for name, value in record.headers:
        if name in ("ce_id", "ce_type", "ce_subject") and value is not None:
            text = value.decode("utf-8", "replace").replace("\x00", "\ufffd")[:128]
            if text:
                found.setdefault(name[3:], text)
    return found


def _original(record: Record) -> Original:
    return Original(
        headers=tuple(
            RecordHeader(
                name=name[:500].replace("\x00", "\ufffd") or "-",
                value_base64=base64.b64encode(value).decode() if value is not None else None,
            )
            for name, value in record.headers[:HEADERS_MAX]
        ),
        value_base64=base64.b64encode(record.value).decode() if record.value is not None else None,
    )
