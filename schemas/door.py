"""The door: what comes from outside becomes an event here, or is refused with every reason at once.

Gateway and adapters read through this module; behind the gateway `Event.from_record` and `EventType.read` suffice.
Binary mode is the Kafka protocol binding of CloudEvents 1.0.2; structured mode (HTTP, files) is in
`schemas/structured.py`. A good record takes one pass. A bad one is then read a second time, slowly, to say all
that is wrong with it.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable
from typing import Any

import schemas.types
from schemas.attributes import (
    ATTRIBUTES,
    BUS_ATTRIBUTES,
    GRAMMARS,
    PARTITION_KEY,
    attribute_reasons,
    partition_key_reasons,
    unknown_attribute,
)
from schemas.envelope import HEADER_PREFIX, REQUIRED_ATTRIBUTES, SPEC_VERSION, Event
from schemas.failures import Reason, Refused
from schemas.registry import DATA_BYTES_MAX, EventData, Registry, registry
from schemas.strict import bounded_reason, bounded_reasons
from schemas.structured import (
    BATCH_CONTENT_TYPE,
    BATCH_EVENTS_MAX,
    BODY_BYTES_MAX,
    STRUCTURED_CONTENT_TYPE,
    read_structured,
    to_structured,
)

__all__ = [
    "BATCH_CONTENT_TYPE",
    "BATCH_EVENTS_MAX",
    "BODY_BYTES_MAX",
    "HEADERS_BYTES_MAX",
    "STRUCTURED_CONTENT_TYPE",
    "check_data",
    "read_record",
    "read_structured",
    "to_structured",
]

Headers = Iterable[tuple[str, bytes | None]]

HEADERS_BYTES_MAX = 16_384
"""The most bytes that a record's headers may take, names and values together."""

assert schemas.types  # importing it fills the registry, without which the door would refuse every type


def read_record(headers: Headers, key: bytes | None, value: bytes | None, *, from_bus: bool = False) -> Event:
    """The event in a Kafka record that nobody has looked at yet. Its data is not read: `check_data` does that.

    Headers that are no attribute and readable are ignored. `from_bus` admits what only the bus sets (`parties`).

    Raises:
        Refused: with every reason. Where something is wrong here, the reasons against the data are among them.
    """
    headers = tuple(headers)
    attributes: dict[str, Any] = {"data": value}
    bytes_left = HEADERS_BYTES_MAX
    try:
        for name, header in headers:
            text = header.decode()  # type: ignore[union-attr]  # None: AttributeError, told below
            bytes_left -= len(name) + len(header)  # type: ignore[arg-type]
            found = _HEADERS.get(name)
            if found is None:
                if name.startswith(HEADER_PREFIX):
                    raise _Irregular
                continue
            attribute, accepts = found
            if attribute in attributes or not accepts(text):
                raise _Irregular
            attributes[attribute] = text
        if (
            key != attributes["subject"].encode()
            or value is None
            or len(value) > DATA_BYTES_MAX
            or bytes_left < 0
            or not attributes.keys() >= _NEEDED
            or (not from_bus and not BUS_ATTRIBUTES.isdisjoint(attributes))
            or attributes.pop(PARTITION_KEY, attributes["subject"]) != attributes["subject"]
        ):
            raise _Irregular
    except (_Irregular, AttributeError, KeyError, UnicodeDecodeError):
        raise Refused(bounded_reasons(_reasons(headers, key, value, from_bus=from_bus))) from None
    del attributes["specversion"], attributes["content-type"]
    return Event(**attributes)


def check_data(event: Event, types: Registry = registry) -> EventData:
    """The data of the event, read strictly as its type says.

    Raises:
        UnknownType: the city shares no such type or version.
        Refused: with every reason.
    """
    read: EventData = types.get(event.type).read_strictly(event.data)
    return read


class _Irregular(Exception):
    """Something is wrong; `_reasons` says what."""


_content_type = re.compile(r"application/json(\s*;\s*charset\s*=\s*\"?utf-8\"?)?\s*", re.IGNORECASE).fullmatch

_HEADERS: dict[str, tuple[str, Callable[[str], object]]] = {
    HEADER_PREFIX + "specversion": ("specversion", SPEC_VERSION.__eq__),
    "content-type": ("content-type", _content_type),
    HEADER_PREFIX + PARTITION_KEY: (PARTITION_KEY, GRAMMARS["subject"].accepts),
    **{HEADER_PREFIX + name: (name, GRAMMARS[name].accepts) for name in ATTRIBUTES},
}
_NEEDED = frozenset({"specversion", "content-type", *REQUIRED_ATTRIBUTES})


def _reasons(
    headers: tuple[tuple[str, bytes | None], ...], key: bytes | None, value: bytes | None, *, from_bus: bool
) -> list[Reason]:
    texts, reasons = _texts(headers)
    unreadable = {reason.field for reason in reasons}
    if "specversion" in texts:
        version = texts.pop("specversion")
        if version != SPEC_VERSION:
            problem = f"the record says CloudEvents {version!r}"
            reasons.append(bounded_reason("malformed", "specversion", problem, f"Send {SPEC_VERSION}."))
    elif "specversion" not in unreadable:
        reasons.append(Reason("missing", "specversion", "every event has this attribute", f"Add {SPEC_VERSION}."))
    reasons += _content_type_reasons(texts, unreadable)
    reasons += partition_key_reasons(texts)
    reasons += attribute_reasons(texts, from_bus=from_bus, unreadable=unreadable)
    reasons += _key_reasons(key, texts.get("subject"))
    reasons += _data_reasons(value, texts.get("type"))
    return reasons


def _texts(headers: tuple[tuple[str, bytes | None], ...]) -> tuple[dict[str, str], list[Reason]]:
    """The attributes that can be read as text, and the reasons against headers as such."""
    texts: dict[str, str] = {}
    reasons: list[Reason] = []
    twice: set[str] = set()
    for name, header in headers:
        known = _HEADERS.get(name)
        field = known[0] if known else name
        if header is None:
            reasons.append(bounded_reason("null_header", field, f"the header {name} is null", "Remove it, or fill it."))
        elif known is None and name.startswith(HEADER_PREFIX):
            attribute = name.removeprefix(HEADER_PREFIX)
            reasons.append(unknown_attribute(attribute, attribute))
        elif (text := _utf8(header)) is None:
            problem = f"the header {name} is not UTF-8"
            reasons.append(bounded_reason("not_utf8", field, problem, "Send UTF-8."))
        elif known is not None and field in texts and field not in twice:
            twice.add(field)
            problem = f"the header {name} stands more than once"
            reasons.append(Reason("duplicate_attribute", field, problem, "Send one: which of them counts is open."))
        elif known is not None:
            texts[field] = text
    size = sum(len(name) + len(header or b"") for name, header in headers)
    if size > HEADERS_BYTES_MAX:
        problem = f"the headers take {size} bytes, more than {HEADERS_BYTES_MAX}"
        reasons.append(Reason("headers_too_large", "headers", problem, "Remove headers that are no attributes."))
    return texts, reasons


def _utf8(header: bytes) -> str | None:
    try:
        return header.decode()
    except UnicodeDecodeError:
        return None


def _content_type_reasons(texts: dict[str, str], unreadable: set[str]) -> list[Reason]:
    fix = "Send application/json."
    found = texts.pop("content-type", None)
    if found is not None and not _content_type(found):
        return [bounded_reason("malformed", "content-type", f"the data is said to be {found[:100]!r}", fix)]
    if found is None and "content-type" not in unreadable:
        return [Reason("missing", "content-type", "the record does not say what its data is", fix)]
    return []


def _key_reasons(key: bytes | None, subject: str | None) -> list[Reason]:
    fix = "Send the case's id, which is the subject, as the key."
    if key is None:
        return [Reason("null_key", "key", "the record has no key", fix)]
    if subject is not None and key != subject.encode():
        problem = f"the key is {key[:100].decode(errors='replace')!r}, but the subject is {subject[:100]!r}"
        return [bounded_reason("key_mismatch", "key", problem, fix)]
    return []


def _data_reasons(value: bytes | None, name: str | None) -> list[Reason]:
    if value is None:
        return [
            Reason("null_value", "data", "the record has no value", "Send the data as JSON; {} where there is none.")
        ]
    if name is None or not GRAMMARS["type"].accepts(name):
        return []
    try:
        registry.get(name).read_strictly(value)
    except Refused as refused:
        return list(refused.reasons)
    return []
