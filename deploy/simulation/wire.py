"""What travels between an agency's system and its adapter: CloudEvents 1.0 in structured mode, as JSON, both ways."""

from __future__ import annotations

import json
from datetime import datetime
from typing import Any
from zoneinfo import ZoneInfo

from deploy.simulation.behaviour import Heard
from deploy.simulation.records import Sent

CONTENT_TYPE = "application/cloudevents+json"


def body_of(sent: Sent, *, source: str, zone: ZoneInfo) -> bytes:
    """The body of the POST that tells the adapter of one event: the same for each attempt."""
    envelope: dict[str, Any] = {
        "specversion": "1.0",
        "id": sent.event_id,
        "type": sent.type,
        "source": source,
        "subject": sent.case,
        "time": datetime.fromtimestamp(sent.due_at, zone).isoformat(timespec="milliseconds"),
        "datacontenttype": "application/json",
    }
    if sent.jurisdiction is not None:
        envelope["jurisdiction"] = sent.jurisdiction
    if sent.cause is not None:
        envelope["causationid"] = sent.cause
    envelope["data"] = json.loads(sent.data)
    return json.dumps(envelope, ensure_ascii=False).encode()


def heard_from(body: bytes) -> Heard:
    """The event in a webhook's body.

    Raises:
        ValueError: it is not a CloudEvent in structured mode; the sentence says why.
    """
    try:
        envelope = json.loads(body)
        return Heard(
            id=envelope["id"],
            type=envelope["type"],
            source=envelope["source"],
            case=envelope["subject"],
            time=envelope["time"],
            data=envelope.get("data") or {},
            recipient=envelope.get("recipient"),
            jurisdiction=envelope.get("jurisdiction"),
            parties=envelope.get("parties"),
            causation=envelope.get("causationid"),
            sequence=envelope.get("sequence"),
        )
    except (ValueError, KeyError, TypeError, AttributeError) as error:
        raise ValueError(f"the body is not a CloudEvent in structured mode: {error!r}") from error
