"""Ids: UUIDv7 where something begins, derived where one thing follows from another.

A derived id is a function of its cause, so a decision that is made twice (after an abort, in a simulation, in a replay)
gives the same ids, and whoever already has one knows it again. Derived ids are RFC 9562 version 8.
"""

from __future__ import annotations

import re
from hashlib import blake2b

import uuid_utils

UUID_PATTERN = r"^[0-9a-f]{8}-[0-9a-f]{4}-[1-8][0-9a-f]{3}-[89ab][0-9a-f]{3}-[0-9a-f]{12}$"
"""A UUID of RFC 9562 in lower case: case ids, and every id that Subak makes."""

EVENT_ID_PATTERN = r"^[A-Za-z0-9][A-Za-z0-9._:~/+=@-]{0,127}$"
"""An event's id: unique within its source (CloudEvents 1.0, `id`). A UUID is best; an agency's own key will do."""

AGENCY_ID_PATTERN = r"^[a-z0-9]+(-[a-z0-9]+)*$"
"""An agency's id, in kebab case: `public-works`. At most 64 characters."""

SOURCE_PATTERN = r"^urn:subak:[a-z0-9]+(-[a-z0-9]+)*:[a-z0-9]+(-[a-z0-9]+)*$"
"""A sender's URI: `urn:subak:<city>:<agency>`."""

TYPE_PATTERN = r"^subak\.[a-z]+\.[a-z]+\.v[1-9][0-9]{0,3}$"
"""An event type's name: `subak.<domain>.<event>.v<major>`."""

_VARIANT = {digit: "89ab"[int(digit, 16) & 3] for digit in "0123456789abcdef"}
"""A digit → what it becomes where RFC 9562 wants its variant."""

_uuid = re.compile(UUID_PATTERN)
_event_id = re.compile(EVENT_ID_PATTERN)


def new_id() -> str:
    """A fresh UUIDv7: sortable by the millisecond in which it was made."""
    return str(uuid_utils.uuid7())


def derived_id(cause: str, label: str | int) -> str:
    """The id of what follows from `cause`, told from its siblings by `label`: same arguments, same id."""
    digest = blake2b(f"{cause}\x1f{label}".encode(), digest_size=16).hexdigest()
    return f"{digest[:8]}-{digest[8:12]}-8{digest[13:16]}-{_VARIANT[digest[16]]}{digest[17:20]}-{digest[20:]}"


def is_uuid(text: str) -> bool:
    """Whether `text` is a UUID as Subak writes them: lower case, with hyphens."""
    return _uuid.fullmatch(text) is not None


def is_event_id(text: str) -> bool:
    """Whether `text` may be an event's id."""
    return _event_id.fullmatch(text) is not None
