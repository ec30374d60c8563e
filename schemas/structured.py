"""Structured mode: events as JSON objects, alone or in a list (CloudEvents 1.0.2 JSON format and its batch format).

The data is written anew as compact JSON, because a JSON member has no bytes of its own; a sender whose signature covers
bytes sends them as `data_base64`. What JSON leaves open (a key twice, NaN, numbers beyond a double) is refused here.
"""

from __future__ import annotations

import binascii
import json
from base64 import b64decode, b64encode
from collections.abc import Callable
from typing import Any

from pydantic_core import from_json

from schemas.attributes import (
    ATTRIBUTES,
    PARTITION_KEY,
    attribute_reasons,
    partition_key_reasons,
    unknown_attribute,
)
from schemas.envelope import CONTENT_TYPE, SPEC_VERSION, Event
from schemas.failures import Reason, Refused
from schemas.registry import DATA_BYTES_MAX
from schemas.strict import TOO_DEEP, bounded_reason, bounded_reasons, duplicate_keys

STRUCTURED_CONTENT_TYPE = "application/cloudevents+json"
BATCH_CONTENT_TYPE = "application/cloudevents-batch+json"

BATCH_EVENTS_MAX = 1000
"""The most events in one list. A list is refused whole or taken whole, so it is kept small."""

BODY_BYTES_MAX = 8 * DATA_BYTES_MAX
"""The most bytes of one object or list."""

_ATTRIBUTES = frozenset({*ATTRIBUTES, PARTITION_KEY})
_MEMBERS = frozenset({"specversion", "datacontenttype", "data", "data_base64"})


def read_structured(
    body: bytes, *, from_bus: bool = False, complete: Callable[[dict[str, Any], int], dict[str, Any]] | None = None
) -> list[Event]:
    """The events in a JSON object or list that nobody has looked at yet. Data is not checked: see `door.check_data`.

    `complete` may add to each object, given its position, what the sender left out: an adapter knows who it is.

    Raises:
        Refused: with every reason of every event. In a list, a reason's field begins with the position: `[2].time`.
    """
    document = parse_json(body)
    events: list[Event] = []
    reasons: list[Reason] = []
    several = isinstance(document, list)
    members = document if isinstance(document, list) else [document]
    if several and not 1 <= len(members) <= BATCH_EVENTS_MAX:
        problem = f"the list holds {len(members)} events, not 1 to {BATCH_EVENTS_MAX}"
        raise Refused([Reason("batch_size", "body", problem, "Send them in several lists.")])
    for position, member in enumerate(members):
        before = f"[{position}]." if several else ""
        try:
            if complete is not None and isinstance(member, dict):
                member = complete(member, position)
            events.append(_event(member, from_bus=from_bus))
        except Refused as refused:
            reasons += [Reason(r.code, before + r.field, r.problem, r.fix) for r in refused.reasons]
    if reasons:
        raise Refused(bounded_reasons(reasons))
    return events


def read_member(member: dict[str, Any], data: bytes) -> Event:
    """The event in a JSON object's members but for its data, which stands beside them, as read already.

    Raises:
        Refused: with every reason.
    """
    return _event(member, from_bus=False, data=data)


def to_structured(event: Event) -> dict[str, Any]:
    """The event as one JSON object, for `application/cloudevents+json`. Data that is not JSON goes as base64."""
    document: dict[str, Any] = {"specversion": SPEC_VERSION, **event.attributes(), "datacontenttype": CONTENT_TYPE}
    try:
        document["data"] = from_json(event.data, allow_inf_nan=False)
    except ValueError:
        document["data_base64"] = b64encode(event.data).decode()
    return document


def parse_json(body: bytes) -> Any:
    """The JSON in `body`, which is sure to be finite, without duplicate keys, and at most 200 deep."""
    if len(body) > BODY_BYTES_MAX:
        problem = f"the body has {len(body)} bytes, more than {BODY_BYTES_MAX}"
        raise Refused([Reason("too_large", "body", problem, "Send it in several parts.")])
    try:
        document = from_json(body, allow_inf_nan=False)  # bounds the depth, so that json.loads below cannot overflow
    except ValueError as error:
        if "recursion limit" in str(error):
            raise Refused([Reason(TOO_DEEP.code, "body", TOO_DEEP.problem, TOO_DEEP.fix)]) from error
        raise Refused([bounded_reason("not_json", "body", f"this is not JSON: {error}", "Send valid JSON.")]) from error
    if twice := duplicate_keys(body, within=""):
        raise Refused(twice)
    return document


def _event(member: Any, *, from_bus: bool, data: bytes | None = None) -> Event:
    if not isinstance(member, dict):
        raise Refused([Reason("object_type", "event", "an event is a JSON object", "Send an object in braces.")])
    reasons: list[Reason] = []
    texts: dict[str, str] = {}
    unreadable: set[str] = set()
    for name, content in member.items():
        if name in _MEMBERS or (content is None and name in _ATTRIBUTES):
            continue
        if name not in _ATTRIBUTES:
            reasons.append(unknown_attribute(name, name))
        elif not isinstance(content, str):
            unreadable.add(name)
            reasons.append(Reason("string_type", name, "attributes are strings", "Send a string in double quotes."))
        else:
            texts[name] = content
    reasons += _spec_version(member.get("specversion")) + _content_type(member.get("datacontenttype"))
    reasons += partition_key_reasons(texts)
    reasons += attribute_reasons(texts, from_bus=from_bus, unreadable=unreadable)
    data = data if data is not None else _data(member, reasons)
    if reasons:
        raise Refused(reasons)
    return Event(data=data, **texts)


def _spec_version(found: Any) -> list[Reason]:
    if found is None:
        return [Reason("missing", "specversion", "every event has this attribute", f"Add {SPEC_VERSION}.")]
    if found != SPEC_VERSION:
        problem = f"the event says CloudEvents {str(found)[:50]!r}"
        return [Reason("malformed", "specversion", problem, f"Send {SPEC_VERSION}.")]
    return []


def _content_type(found: Any) -> list[Reason]:
    if found is None or (isinstance(found, str) and found.split(";")[0].strip().lower() == CONTENT_TYPE):
        return []
    problem = f"the data is said to be {str(found)[:100]!r}"
    return [Reason("malformed", "datacontenttype", problem, f"Send {CONTENT_TYPE}.")]


def _data(member: dict[str, Any], reasons: list[Reason]) -> bytes:
    """The bytes of the data; what is wrong with them goes into `reasons`."""
    content, encoded = member.get("data"), member.get("data_base64")
    data = b""
    if content is not None and encoded is not None:
        reasons.append(Reason("duplicate_data", "data", "both data and data_base64 are there", "Send one."))
    elif encoded is not None:
        try:
            data = b64decode(encoded, validate=True)
        except (TypeError, ValueError, binascii.Error):
            fix = "Send base64 of RFC 4648, or JSON in data."
            reasons.append(Reason("malformed", "data_base64", "this is not base64", fix))
    elif content is None:
        reasons.append(Reason("null_value", "data", "the event has no data", "Send an object; {} where there is none."))
    else:
        try:
            data = json.dumps(content, ensure_ascii=False, separators=(",", ":"), allow_nan=False).encode()
        except ValueError:
            problem = "the data holds a number beyond what a double can hold"
            reasons.append(Reason("not_finite", "data", problem, "Send finite numbers."))
    if len(data) > DATA_BYTES_MAX:
        problem = f"the data has {len(data)} bytes, more than {DATA_BYTES_MAX}"
        reasons.append(Reason("too_large", "data", problem, "Send large content by reference, in dataref."))
    return data
