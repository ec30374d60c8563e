"""What operators did, as rows: who, when, why, to which case or rejection. Pure.

A row is made of the act's own event, so a rebuild finds the same ones. Whether the case refused it (it was not
parked any more) stands in the timeline, to which a row points.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import NamedTuple

from schemas.identifiers import derived_id
from schemas.types.acts import (
    CorrectionRequested,
    DiscardRequested,
    EventDiscarded,
    ReplayRequested,
    ResendRequested,
)
from services.casebook.entry import Entry
from services.casebook.fields import Content, text_in

KINDS: Mapping[str, str] = {
    ReplayRequested.registered.name: "replay",
    DiscardRequested.registered.name: "discard",
    CorrectionRequested.registered.name: "correction",
    ResendRequested.registered.name: "resend",
    EventDiscarded.registered.name: "discard",
}
"""Type → what was done."""


class Act(NamedTuple):
    """One row of `acts`."""

    case_id: str
    seq: int
    kind: str
    at: str
    by: str | None
    reason: str | None
    event_id: str | None
    rejection_id: str | None
    new_event_id: str | None


COLUMNS = Act._fields


def act_in(entry: Entry, content: Content) -> Act | None:
    """The act that this entry is; None for any other event."""
    kind = KINDS.get(entry.type)
    if kind is None:
        return None
    rejection = text_in(content, "rejection_id")
    new = None
    if kind == "resend" and rejection is not None:
        new = derived_id(rejection, "resent")
    elif kind == "correction":
        new = derived_id(entry.event_id, "corrected")
    by, reason, event = (text_in(content, name) for name in ("by", "reason", "event_id"))
    return Act(entry.case_id, entry.seq, kind, entry.logged_at, by, reason, event, rejection, new)
