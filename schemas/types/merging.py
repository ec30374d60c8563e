"""Requests that tell of one matter: how one is found to go on in another, follows it, and is parted from it again."""

from __future__ import annotations

from typing import Annotated, Literal

from pydantic import Field

from schemas.registry import EventData, event_type
from schemas.types.cases import Message
from schemas.values import AgencyId, Moment, Money, Text1000, Text4000, Uuid

OWNER = "citizens-channel"

Metres = Annotated[float, Field(ge=0, le=1_000_000)]
"""A distance on the ground, in metres."""


@event_type("subak.request.duplicatefound.v1", owner=OWNER, publisher="bus")
class DuplicateFound(Message):
    """An older request of the same service, `from_case`, lies so near that both may tell of one matter."""

    metres: Metres
    """How far the two spots are from each other."""


@event_type("subak.request.mergerequested.v1", owner=OWNER, publisher="bus")
class RequestMergeRequested(Message):
    """A request, `from_case`, asks to go on in this one."""

    metres: Metres | None = None
    """How far the two spots are from each other, where both are known."""
    description: Text1000 | None = None
    """What its citizen says."""
    after: Uuid | None = None
    """The case that both went on in, where that one has ended and left this one to lead."""


@event_type("subak.request.absorbed.v1", owner=OWNER, publisher="bus")
class RequestAbsorbed(Message):
    """The other request, `from_case`, has taken this one up: it goes on there."""

    agency: AgencyId
    """Who holds it there now."""
    expected_datetime: Moment | None = None
    """By when the city means to have it done, where somebody has taken it on."""


@event_type("subak.request.progressed.v1", owner=OWNER, publisher="bus")
class RequestProgressed(Message):
    """What became of the request, `from_case`, in which this one goes on: its citizen is to hear so too."""

    step: Literal["assigned", "resolved", "reopened", "closed"]
    """What happened there."""
    agency: AgencyId | None = None
    """Who holds it, or did the work."""
    expected_datetime: Moment | None = None
    """By when the city means to have it done."""
    cost: Money | None = None
    """What it cost."""
    outcome: Text1000 | None = None
    """How it ended, by the words of closed."""
    reason: Text1000 | None = None
    """Why."""
    status_notes: Text4000 | None = None
    """What the citizen may know about it."""
    heir: Uuid | None = None
    """Where its own citizen withdrew it: which of those that follow it goes on for all of them."""


@event_type("subak.request.left.v1", owner=OWNER, publisher="bus")
class RequestLeft(Message):
    """A request that went on in this one, `from_case`, has ended or goes its own way again."""


@event_type("subak.request.followed.v1", owner=OWNER, publisher="bus")
class RequestFollowed(EventData):
    """One more citizen has reported the same matter: whoever works on it hears so."""

    by_case: Uuid
    """The request that goes on in this one."""
    followers: Annotated[int, Field(ge=1, le=10_000)]
    """How many go on in it now."""
    metres: Metres | None = None
    """How far the two spots are from each other, where both are known."""
    description: Text1000 | None = None
    """What that citizen says."""


@event_type("subak.request.joined.v1", owner=OWNER, publisher="bus")
class RequestJoined(EventData):
    """The request tells of the same matter as another and goes on there. Its citizen hears of all that follows."""

    into: Uuid
    """The case in which it goes on."""
    agency: AgencyId
    """Who holds that one now."""
    metres: Metres | None = None
    """How far the two spots are from each other, where both are known."""
    expected_datetime: Moment | None = None
    """By when the city means to have it done, where somebody has taken it on."""


@event_type("subak.request.mergerefused.v1", owner=OWNER, publisher="bus")
class RequestMergeRefused(EventData):
    """The other request could not take this one up: it goes on by itself, as before. Whoever merged them hears so."""

    into: Uuid
    """The case that was named."""
    reason: Text4000
    """Why not."""


@event_type("subak.request.separated.v1", owner=OWNER)
class RequestSeparated(EventData):
    """The merge was a mistake: the request is another matter, and goes on by itself."""

    reason: Text1000
    """What differs."""
