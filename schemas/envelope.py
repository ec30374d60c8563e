"""The envelope: one CloudEvent 1.0, its attributes as strings and its data as the bytes that were sent.

A stage routes on attributes and passes the bytes through untouched, so nothing is parsed that nobody asks for.
On Kafka an event travels in binary mode (`ce_*` headers, `content-type`, the value is the data alone; CloudEvents
Kafka protocol binding 1.0.2, section 3.2); over HTTP it may arrive in structured mode (`schemas/door.py`).
Reading here is tolerant: it is for events that the gateway has let in. What arrives from outside goes through
`schemas/door.py` first.
"""

from __future__ import annotations

from collections.abc import Iterable
from datetime import datetime
from operator import attrgetter
from typing import TYPE_CHECKING, Any

import msgspec

from schemas.failures import Unprocessable
from schemas.identifiers import new_id

if TYPE_CHECKING:
    from schemas.registry import EventData

CONTENT_TYPE = "application/json"
SPEC_VERSION = "1.0"
HEADER_PREFIX = "ce_"

REQUIRED_ATTRIBUTES = ("id", "type", "source", "subject", "time")
OPTIONAL_ATTRIBUTES = (
    "recordedtime",
    "correlationid",
    "causationid",
    "sequence",
    "recipient",
    "jurisdiction",
    "parties",
    "workflowversion",
    "traceparent",
    "dataref",
    "expirytime",
    "history",
    "signature",
)
"""CloudEvents' registered extensions under their own names (`correlationid` and `causationid`, `sequence`,
`recordedtime`, `traceparent`, `dataref`, `expirytime`), and Subak's (`recipient`, `jurisdiction`, `parties`,
`workflowversion`, `history`, `signature`)."""


class NotAnEvent(Unprocessable):
    """A record without the attributes that every event has."""


class Event(msgspec.Struct, frozen=True, kw_only=True, gc=False):
    """One event. Times are RFC 3339 strings with an offset, exactly as sent; ids are compared as strings.

    A struct of msgspec's: made several times for every event of the city, it costs a tenth of a dataclass. Change one
    with `msgspec.structs.replace`.
    """

    id: str
    type: str
    """`subak.<domain>.<event>.v<major>`."""
    source: str
    """Who says so: the agency's URI, such as `urn:subak:denpasar:public-works`."""
    subject: str
    """The case id, which is also the Kafka key."""
    time: str
    """When it happened there (RFC 3339 with an offset)."""
    data: bytes = b"{}"
    """The payload, as JSON in UTF-8."""
    recordedtime: str | None = None
    """When the sender's outbox took it."""
    correlationid: str | None = None
    """The id of the event that set all this off."""
    causationid: str | None = None
    """The id of the event that this one answers."""
    sequence: str | None = None
    recipient: str | None = None
    """The one agency that a command is addressed to."""
    jurisdiction: str | None = None
    """The area code where the matter lies, such as `51.71.01.1005`."""
    parties: str | None = None
    """The agencies that take part in the case, ids with commas between: who must hear of it. Set by workflows."""
    workflowversion: str | None = None
    """The workflow and version that the case is pinned to, such as `repair@1`."""
    traceparent: str | None = None
    dataref: str | None = None
    expirytime: str | None = None
    history: str | None = None
    """The import that brought it, long after it happened: it is kept and shown, and nobody is told or asked."""
    signature: str | None = None

    @classmethod
    def of(cls, data: EventData, *, source: str, subject: str, time: str, id: str | None = None) -> Event:
        """A new event that carries `data`, under the type that the class of `data` is registered with."""
        return cls(
            id=id or new_id(),
            type=data.registered.name,
            source=source,
            subject=subject,
            time=time,
            data=data.encode(),
        )

    def follow(self, cause: Event) -> Event:
        """This event as a consequence of `cause`: same case and correlation, caused by it. The one way to make one.

        What is said to particular agencies (`recipient`, `parties`) is this event's own and is not carried.
        """
        return msgspec.structs.replace(
            self,
            subject=cause.subject,
            correlationid=cause.correlationid or cause.id,
            causationid=cause.id,
            jurisdiction=self.jurisdiction or cause.jurisdiction,
            traceparent=self.traceparent or cause.traceparent,
        )

    @property
    def occurred_at(self) -> datetime:
        """`time`, as an aware datetime."""
        return datetime.fromisoformat(self.time)

    def headers(self) -> list[tuple[str, bytes]]:
        """The Kafka headers of binary mode, in a fixed order."""
        headers = [
            _SPEC_VERSION,
            ("ce_id", self.id.encode()),
            ("ce_type", self.type.encode()),
            ("ce_source", self.source.encode()),
            ("ce_subject", self.subject.encode()),
            ("ce_time", self.time.encode()),
        ]
        # One `if` each, and no loop over names: this runs for every event that a stage writes.
        if self.recordedtime is not None:
            headers.append(("ce_recordedtime", self.recordedtime.encode()))
        if self.correlationid is not None:
            headers.append(("ce_correlationid", self.correlationid.encode()))
        if self.causationid is not None:
            headers.append(("ce_causationid", self.causationid.encode()))
        if self.sequence is not None:
            headers.append(("ce_sequence", self.sequence.encode()))
        if self.recipient is not None:
            headers.append(("ce_recipient", self.recipient.encode()))
        if self.jurisdiction is not None:
            headers.append(("ce_jurisdiction", self.jurisdiction.encode()))
        if self.parties is not None:
            headers.append(("ce_parties", self.parties.encode()))
        if self.workflowversion is not None:
            headers.append(("ce_workflowversion", self.workflowversion.encode()))
        if self.traceparent is not None:
            headers.append(("ce_traceparent", self.traceparent.encode()))
        if self.dataref is not None:
            headers.append(("ce_dataref", self.dataref.encode()))
        if self.expirytime is not None:
            headers.append(("ce_expirytime", self.expirytime.encode()))
        if self.history is not None:
            headers.append(("ce_history", self.history.encode()))
        if self.signature is not None:
            headers.append(("ce_signature", self.signature.encode()))
        headers.append(_CONTENT_TYPE)
        return headers

    @property
    def key(self) -> bytes:
        """The Kafka key: the case id."""
        return self.subject.encode()

    @classmethod
    def from_record(cls, headers: Iterable[tuple[str, bytes | None]], value: bytes | None) -> Event:
        """The event in a Kafka record that has passed the gateway. Headers it does not know are ignored.

        Raises:
            NotAnEvent: an attribute that every event has is missing or not UTF-8.
        """
        attributes: dict[str, Any] = {"data": value or b""}
        try:
            for name, header in headers:
                attribute = _ATTRIBUTE_OF.get(name)
                if attribute is not None and header is not None:
                    attributes[attribute] = header.decode()
        except UnicodeDecodeError as error:
            raise NotAnEvent(f"this record is not an event of the city's log: {error!r}") from error
        if not attributes.keys() >= _REQUIRED:
            missing = ", ".join(sorted(_REQUIRED - attributes.keys()))
            raise NotAnEvent(f"this record is not an event of the city's log: it has no {missing}")
        return cls(**attributes)

    def attributes(self) -> dict[str, str]:
        """All attributes that are set, by CloudEvents name, without the data."""
        values = _attribute_values(self)
        return {name: value for name, value in zip(_ATTRIBUTES, values, strict=True) if value is not None}


_ATTRIBUTES = (*REQUIRED_ATTRIBUTES, *OPTIONAL_ATTRIBUTES)
_attribute_values = attrgetter(*_ATTRIBUTES)
_ATTRIBUTE_OF = {HEADER_PREFIX + name: name for name in (*REQUIRED_ATTRIBUTES, *OPTIONAL_ATTRIBUTES)}
_REQUIRED = frozenset(REQUIRED_ATTRIBUTES)
_SPEC_VERSION = ("ce_specversion", SPEC_VERSION.encode())
_CONTENT_TYPE = ("content-type", CONTENT_TYPE.encode())
