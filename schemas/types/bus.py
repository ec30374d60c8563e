"""The bus's own word to a sender: this event was not let in, and here is every reason."""

from __future__ import annotations

from typing import Annotated

from pydantic import Field, StringConstraints

from schemas.registry import EventData, event_type
from schemas.strict import Strict, explain_pattern
from schemas.values import Personal, Text100, Text500, Text1000, Text4000

HEADERS_MAX = 200
REASONS_MAX = 100
"""More than the door ever gives (see `schemas.strict.REASONS_MAX`)."""

_BASE64 = explain_pattern(r"^[A-Za-z0-9+/]*={0,2}$", "base64", "Send base64 of RFC 4648, section 4.")
Base64 = Annotated[str, StringConstraints(max_length=1_500_000, pattern=_BASE64)]
"""Bytes in base64 (RFC 4648, section 4)."""


class Rejection(Strict):
    """One thing that was wrong: what, where, and what to do about it."""

    code: Text100
    """Stable, for machines: `missing`, `unknown_field`, `type_not_allowed` ..."""
    field: Text500
    """Where: a path such as `data.location.coordinates[1]`, or an attribute's name."""
    problem: Text4000
    """What is wrong, in words."""
    fix: Text1000
    """What the sender can do."""


class RecordHeader(Strict):
    """One header of the record, as it came."""

    name: Text500
    """Its name."""
    value_base64: Base64 | None = None
    """Its bytes; absent where it was null."""


class Original(Strict):
    """The record as it came, byte by byte, so that it can be corrected and sent again."""

    headers: Annotated[tuple[RecordHeader, ...], Field(max_length=HEADERS_MAX)]
    """Its headers, in order."""
    value_base64: Base64 | None = None
    """Its value; absent where it was null or too large to be sent back."""


@event_type("subak.event.rejected.v1", owner="bus", publisher="bus")
class EventRejected(EventData):
    """An event was refused at the door. It is in no case and in no log but that of the rejected."""

    reasons: Annotated[tuple[Rejection, ...], Field(min_length=1, max_length=REASONS_MAX)]
    """Everything that was wrong with it."""
    agency: Text100
    """Who sent it, by the topic that it came from."""
    event_id: Text500 | None = None
    """The id that it gave itself, as far as that could be read."""
    event_type: Text500 | None = None
    """The type that it gave itself, as far as that could be read."""
    topic: Text500
    """Where it was written."""
    partition: Annotated[int, Field(ge=0, le=2_147_483_647)]
    """In which partition."""
    offset: Annotated[int, Field(ge=0, le=9_007_199_254_740_991)]
    """At which offset."""
    original: Personal[Original] | None = None
    """The record itself. It may hold anything, so it is for those who may see personal fields."""
