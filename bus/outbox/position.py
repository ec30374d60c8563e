"""Where a relay begins: what Kafka holds for its group against the copy beside the outbox. Pure.

A position that skips rows loses events without a sound; one that repeats them makes duplicates, which the gateway and
the inboxes drop. So a position counts only where it is this outbox's own, and in doubt rows are sent again.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

from schemas.failures import Misconfigured


@dataclass(frozen=True, slots=True, kw_only=True)
class Found:
    """What is known when a relay begins. A position is the id of the next row to send."""

    agency: str
    committed: int | None
    """What Kafka holds for the relay's group; None where nothing (never written, or forgotten)."""
    committed_is_ours: bool
    """Whether the row before `committed` stands in this outbox under this agency."""
    copy: int | None
    """The copy beside the outbox; None where no relay ever began with this database."""
    topic_used: bool
    """Whether the agency's out topic ever had a record."""
    accept_new_outbox: bool
    """Whether the operator said that an empty outbox is meant."""


@dataclass(frozen=True, slots=True)
class Begin:
    """Where to begin, and why, for the log."""

    position: int
    because: Literal["first_start", "committed", "copy", "committed_is_of_another_outbox", "outbox_is_new"]


def begin_at(found: Found) -> Begin:
    """The first row to send.

    Raises:
        Misconfigured: neither Kafka nor the database knows, and the topic has been used.
    """
    if found.copy is None and found.committed is None:
        if found.topic_used and not found.accept_new_outbox:
            raise Misconfigured(
                f"the outbox of {found.agency} is new, and its topic agency-{found.agency}-out is not: an outbox was "
                "lost, perhaps with events that Kafka never got. Restore the adapter's database; or, where it is new "
                f'on purpose, set accept_new_outbox = true under [[agency]] id = "{found.agency}" in adapter.toml.'
            )
        return Begin(0, "first_start")
    if found.copy is None:  # this database never sent a row, so none of its rows is in Kafka
        return Begin(0, "outbox_is_new")
    if found.committed is None:
        return Begin(found.copy, "copy")
    if found.committed == found.copy or found.committed_is_ours:
        return Begin(found.committed, "committed")
    return Begin(found.copy, "committed_is_of_another_outbox")
