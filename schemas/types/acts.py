"""What operators do to parked cases and rejected events: each act an event with who, when and why.

Nobody but the operators' own pseudo-agency may publish these. What is corrected keeps its sender, case and correlation;
its id is new, and its causation is the event that it stands for.
"""

from __future__ import annotations

from typing import Annotated

from pydantic import Field, StringConstraints

from schemas.registry import EventData, event_type
from schemas.strict import Strict
from schemas.values import AgencyId, EventId, Personal, Text100, Text200, Text500, Text1000, Uuid

OWNER = "bus"

DATA_LENGTH_MAX = 500_000
"""Characters of a corrected event's data: within an act it must still fit into a record."""

DataText = Annotated[str, StringConstraints(min_length=2, max_length=DATA_LENGTH_MAX)]
"""An event's data, as JSON."""


@event_type("subak.case.replayrequested.v1", owner=OWNER, kind="command")
class ReplayRequested(EventData):
    """An operator asks that a parked case run again, its waiting events in order."""

    reason: Text1000 | None = None
    """What was repaired."""
    by: Text200 | None = None
    """The operator, by the name under which the bus knows them."""
    event_id: EventId | None = None
    """The event at which the case is parked. Where it is parked at another by then, nothing is done."""


@event_type("subak.case.discardrequested.v1", owner=OWNER, kind="command")
class DiscardRequested(EventData):
    """An operator takes the event at which a case is parked out of it. It counts for nothing, and the rest runs."""

    reason: Text1000
    """Why it may be left out."""
    by: Text200
    """The operator, by the name under which the bus knows them."""
    event_id: EventId
    """The event at which the case is parked."""


@event_type("subak.case.correctionrequested.v1", owner=OWNER, kind="command")
class CorrectionRequested(EventData):
    """An operator puts corrected data in the place of the event at which a case is parked, and the case runs again."""

    reason: Text1000
    """What was wrong with it."""
    by: Text200
    """The operator, by the name under which the bus knows them."""
    event_id: EventId
    """The event at which the case is parked."""
    data: Personal[DataText] | None = None
    """The data as it should have been. All else stays as the sender sent it. Every correction has it; it is left out
    for those who may not see personal fields."""


class Resent(Strict):
    """A rejected event as it goes in. Who sent it is not in it: that stays."""

    type: Text500
    """Its type."""
    time: Text100
    """When it happened there."""
    jurisdiction: Text100 | None = None
    """The area where the matter lies."""
    correlationid: Text200 | None = None
    """What set it off."""
    history: Text100 | None = None
    """The import that brought it."""
    expirytime: Text100 | None = None
    """When it is no longer worth handling."""
    data: DataText
    """Its data, as JSON."""


@event_type("subak.event.resendrequested.v1", owner=OWNER, kind="command")
class ResendRequested(EventData):
    """An operator lets a rejected event in, as it was or corrected, after what stood against it is repaired."""

    reason: Text1000
    """What was repaired, or corrected."""
    by: Text200
    """The operator, by the name under which the bus knows them."""
    rejection_id: Uuid
    """The rejection."""
    agency: AgencyId
    """Who sent the event. It stays the sender."""
    event_id: Text500 | None = None
    """The id that the rejected event gave itself, as far as that could be read."""
    edited: bool
    """Whether anything of it was changed."""
    event: Personal[Resent] | None = None
    """The event. Every request has it; it is left out for those who may not see personal fields."""


@event_type("subak.event.discarded.v1", owner=OWNER)
class EventDiscarded(EventData):
    """An operator has seen to a rejected event, and it is not sent again."""

    reason: Text1000
    """Why not."""
    by: Text200
    """The operator, by the name under which the bus knows them."""
    rejection_id: Uuid
    """The rejection."""
    agency: Annotated[str, Field(min_length=1, max_length=100)]
    """Who sent the event, by the topic that it came from."""
    event_id: Text500 | None = None
    """The id that it gave itself, as far as that could be read."""
