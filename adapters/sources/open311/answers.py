"""GeoReport v2's answers, written as XML and as JSON from one value.

An answer is a list of objects (services, requests, errors) or one object (a service definition, discovery). XML names
each element of a list; JSON does not (the "Spark" convention of the specification). What is not known is an empty
element, and null. XML 1.0 cannot hold most control characters, whatever their escape: there stands U+FFFD for them.
"""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any
from xml.etree import ElementTree as Xml

import msgspec

from schemas.failures import Reason

ELEMENTS: Mapping[str, str] = {
    "services": "service",
    "attributes": "attribute",
    "values": "value",
    "service_requests": "request",
    "service_request_updates": "request_update",
    "errors": "error",
    "endpoints": "endpoint",
    "formats": "format",
}
"""What the elements of each list are called in XML."""

CONTENT_TYPES: Mapping[str, str] = {
    "xml": "text/xml; charset=utf-8",
    "json": "application/json; charset=utf-8",
}

_UNWRITABLE = re.compile("[^\t\n\r\u0020-\ud7ff\ue000-\ufffd\U00010000-\U0010ffff]")

DESCRIPTION_CHARACTERS_MAX = 2000


@dataclass(frozen=True)
class Answer:
    """What to send back, before it is XML or JSON."""

    root: str
    content: Any
    """A list of mappings, or a mapping."""
    status: int = 200
    headers: Mapping[str, str] = field(default_factory=dict)

    def body(self, format: str) -> bytes:
        """The bytes in `xml` or `json`."""
        if format == "json":
            return msgspec.json.encode(self.content)
        root = Xml.Element(self.root)
        _fill(root, self.content)
        written: bytes = Xml.tostring(root, encoding="utf-8", xml_declaration=True)
        return written


class Failed(Exception):
    """A request that cannot be answered as asked, in the specification's words: `errors`, each code and description."""

    def __init__(self, status: int, *descriptions: str, headers: Mapping[str, str] | None = None) -> None:
        self.status = status
        self.descriptions = descriptions
        self.headers = headers or {}
        super().__init__(f"{status}: {'; '.join(descriptions)}")

    @property
    def answer(self) -> Answer:
        """As it is sent."""
        errors = [{"code": self.status, "description": _cut(text)} for text in self.descriptions]
        return Answer("errors", errors, self.status, self.headers)


def failed_for(reasons: Sequence[Reason], names: Mapping[str, str]) -> Failed:
    """What the shared schema or the city refuses, told with the sender's own names of fields."""
    said = []
    for reason in reasons:
        path = reason.field.removeprefix("data.")
        own = next(
            (name for ours, name in names.items() if path == ours or path.startswith((f"{ours}.", f"{ours}["))), path
        )
        said.append(f"{own}: {reason.problem}. {reason.fix}")
    return Failed(400, *said)


def _fill(element: Xml.Element, content: Any) -> None:
    if isinstance(content, Mapping):
        for name, value in content.items():
            _fill(Xml.SubElement(element, name), value)
    elif isinstance(content, Sequence) and not isinstance(content, str):
        name = ELEMENTS[element.tag]
        for value in content:
            _fill(Xml.SubElement(element, name), value)
    elif content is not None:
        text = str(content).lower() if isinstance(content, bool) else str(content)
        element.text = _UNWRITABLE.sub("\ufffd", text)


def _cut(text: str) -> str:
    return text if len(text) <= DESCRIPTION_CHARACTERS_MAX else text[: DESCRIPTION_CHARACTERS_MAX - 1] + "…"
