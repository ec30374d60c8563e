"""Work orders: the city orders an agency to do the work, and hears how it goes (milestones as in OC4IDS)."""

from __future__ import annotations

from typing import Annotated

from pydantic import Field

from schemas.registry import EventData, event_type
from schemas.values import (
    AgencyId,
    AreaCode,
    Attachments,
    Moment,
    Money,
    Personal,
    Point,
    ServiceCode,
    Text200,
    Text500,
    Text1000,
    Text4000,
    Uuid,
)

OWNER = "public-works"

Count = Annotated[int, Field(ge=1, le=1_000_000)]
"""Which time it is, from 1."""


@event_type("subak.workorder.issued.v1", owner=OWNER, publisher="bus", kind="command")
class WorkOrderIssued(EventData):
    """An agency is ordered to do the work. It answers accepted or declined."""

    agency: AgencyId
    """Who is ordered."""
    service_code: ServiceCode
    """What kind of service."""
    area: AreaCode
    """Where the matter lies."""
    description: Text4000 | None = None
    """What is to be done."""
    location: Point | None = None
    """The spot itself, where it is known."""
    address_string: Text500 | None = None
    """The place in words."""
    amount: Money | None = None
    """What it may cost."""
    due: Moment | None = None
    """By when it should be done."""
    attempt: Count
    """Which order of this case it is, from 1."""


@event_type("subak.workorder.accepted.v1", owner=OWNER)
class WorkOrderAccepted(EventData):
    """The agency will do the work."""

    planned_start: Moment | None = None
    """When it means to begin."""
    status_notes: Text4000 | None = None
    """What the citizen may know about it."""


@event_type("subak.workorder.declined.v1", owner=OWNER)
class WorkOrderDeclined(EventData):
    """The agency will not do the work. The next one of the catalogue is ordered."""

    reason: Text1000
    """Why not."""


@event_type("subak.workorder.started.v1", owner=OWNER)
class WorkOrderStarted(EventData):
    """The work has begun."""

    status_notes: Text4000 | None = None
    """What the citizen may know about it."""


@event_type("subak.workorder.suspended.v1", owner=OWNER)
class WorkOrderSuspended(EventData):
    """The work rests. Whoever is responsible for the pause answers for the time."""

    reason: Text1000
    """Why."""
    responsible: AgencyId | None = None
    """Who answers for the time of the pause."""
    until: Moment | None = None
    """When it goes on, where that is known."""


@event_type("subak.workorder.completed.v1", owner=OWNER)
class WorkOrderCompleted(EventData):
    """The agency says that the work is done. Now it is inspected."""

    cost: Money | None = None
    """What it cost."""
    status_notes: Text4000 | None = None
    """What the citizen may know about it."""
    attachments: Attachments | None = None
    """Photos and documents that show it."""


@event_type("subak.workorder.inspectionrequested.v1", owner=OWNER, publisher="bus", kind="command")
class WorkOrderInspectionRequested(EventData):
    """All the work is done: an agency is asked to look at it. It answers inspected or defectfound."""

    agency: AgencyId
    """Who is asked to look."""
    executor: AgencyId
    """Who did the work; of works of several agencies, who answers for the whole."""
    service_code: ServiceCode
    """What kind of service."""
    area: AreaCode
    """Where the matter lies."""
    description: Text4000 | None = None
    """What the case is about."""
    location: Point | None = None
    """The spot itself, where it is known."""
    address_string: Text500 | None = None
    """The place in words."""
    cost: Money | None = None
    """What all of it cost."""
    status_notes: Text4000 | None = None
    """What the executor says of the work."""
    attachments: Attachments | None = None
    """Photos and documents that show it."""
    inspect_by: Moment | None = None
    """By when an answer is expected."""


@event_type("subak.workorder.inspected.v1", owner=OWNER)
class WorkOrderInspected(EventData):
    """The work was looked at, and it is good."""

    status_notes: Text4000 | None = None
    """What the citizen may know about it."""
    inspector: Personal[Text200] | None = None
    """Who looked."""


@event_type("subak.workorder.defectfound.v1", owner=OWNER)
class WorkOrderDefectFound(EventData):
    """The work was looked at, and something is wrong with it: it is ordered again."""

    description: Text4000
    """What is wrong."""


@event_type("subak.workorder.cancelled.v1", owner=OWNER, publisher="bus", kind="command")
class WorkOrderCancelled(EventData):
    """The order is taken back: the agency is to stop."""

    reason: Text1000
    """Why."""
    agency: AgencyId
    """Whose order it was."""


@event_type("subak.workorder.clashfound.v1", owner=OWNER, publisher="bus")
class WorkOrderClashFound(EventData):
    """Another agency has worked, or is to work, at the same place within a short time. Both agencies are told."""

    agency: AgencyId
    """Whose order of this case it concerns."""
    other_agency: AgencyId
    """Who has the other order."""
    other_case: Uuid
    """The case of the other order."""
    other_service_code: ServiceCode
    """What kind of work the other is."""
    other_ordered_at: Moment
    """When the other was ordered."""
    other_done: bool
    """Whether the other work is done: its result is what this one would break open, or the other way round."""
    metres: Annotated[float, Field(ge=0, le=1_000_000)]
    """How far the two spots are from each other on the ground, in metres."""
    location: Point | None = None
    """The other spot."""
