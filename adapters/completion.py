"""Completes what an agency's system sends: it says what happened, the adapter knows who says it and of which case.

The short form and the whole CloudEvent are one thing: a JSON object from which the sender may leave out whatever the
adapter can fill in. What the sender does say is never changed. What is filled in follows from what the sender said, so
that a repeated POST gives the same event; only an id, where the sender names neither id nor key, is new each time.
"""

from __future__ import annotations

from collections.abc import Callable
from datetime import datetime
from typing import Any

from schemas.attributes import GRAMMARS
from schemas.envelope import SPEC_VERSION
from schemas.failures import Reason, Refused
from schemas.identifiers import derived_id, new_id
from schemas.registry import registry

IDEMPOTENCY_KEY_CHARACTERS_MAX = 255

Complete = Callable[[dict[str, Any], int], dict[str, Any]]


def completion(source: str, idempotency_key: str | None, now: datetime) -> Complete:
    """What completes the objects of one request, for `schemas.door.read_structured`."""
    moment = now.isoformat(timespec="milliseconds")

    def complete(said: dict[str, Any], position: int) -> dict[str, Any]:
        if said.get("recordedtime") is not None:
            problem = "the adapter sets it, when it has stored the event"
            raise Refused([Reason("reserved_attribute", "recordedtime", problem, "Remove it.")])
        whole = {**said, "recordedtime": moment}
        if said.get("specversion") is None:
            whole["specversion"] = SPEC_VERSION
        if said.get("source") is None:
            whole["source"] = source
        if said.get("time") is None:
            whole["time"] = moment
        if said.get("id") is None:
            known = idempotency_key is not None
            whole["id"] = derived_id(f"{source}/{idempotency_key}", f"event {position}") if known else new_id()
        if said.get("subject") is None and _opens_case(said.get("type")):
            whole["subject"] = case_of(source, whole["id"])
        data = said.get("data")
        if said.get("jurisdiction") is None and isinstance(data, dict) and isinstance(data.get("area"), str):
            whole["jurisdiction"] = data["area"]
        return whole

    return complete


def case_of(source: str, event_id: str) -> str:
    """The case that an event opens whose sender names none."""
    return derived_id(f"{source}/{event_id}", "case")


def keyed_id(cause: str, app: str, idempotency_key: str) -> str:
    """The id of the event that an app's post with this key becomes. `cause`: the agency's URI, a slash, the source."""
    return derived_id(f"{cause}/{app}/{idempotency_key}", "request")


def read_idempotency_key(header: str) -> str:
    """The key in an `Idempotency-Key` header, with or without the quotes that its draft standard asks for.

    Raises:
        Refused: empty, too long, or not printable ASCII.
    """
    key = header.strip()
    if len(key) >= 2 and key[0] == key[-1] == '"':
        key = key[1:-1]
    if not 1 <= len(key) <= IDEMPOTENCY_KEY_CHARACTERS_MAX or not (key.isascii() and key.isprintable()):
        problem = f"this is not a key of 1 to {IDEMPOTENCY_KEY_CHARACTERS_MAX} printable ASCII characters"
        raise Refused([Reason("malformed", "Idempotency-Key", problem, "Send a UUID, or your own reference.")])
    return key


def _opens_case(type: Any) -> bool:
    """Whether an event of this type needs no subject.

    Raises:
        UnknownType: a misspelt type. Without this its sender would only be told to add a subject.
    """
    if not isinstance(type, str) or not GRAMMARS["type"].accepts(type):
        return False  # the door says what is wrong with it
    return registry.get(type).opens_case
