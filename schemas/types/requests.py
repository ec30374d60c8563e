"""Requests: what a citizen asks of the city, from the first word to the last. Names are Open311 GeoReport v2's."""

from __future__ import annotations

from typing import Annotated, Literal

from pydantic import Field

from schemas.registry import EventData, event_type
from schemas.values import (
    AgencyId,
    AreaCode,
    Attachments,
    Attribute,
    HttpUrl,
    Moment,
    Money,
    Personal,
    Point,
    Reporter,
    ServiceCode,
    Text100,
    Text200,
    Text500,
    Text1000,
    Text4000,
    Uuid,
)

OWNER = "citizens-channel"


@event_type("subak.request.submitted.v1", owner=OWNER, opens_case=True)
class RequestSubmitted(EventData):
    """A citizen asked the city for a service, or reported that something is wrong. Opens a case."""

    service_code: ServiceCode
    """What kind of service, from the city's catalogue."""
    area: AreaCode
    """Where the matter lies, by the city's area code."""
    description: Text4000 | None = None
    """What the citizen says, in their own words."""
    location: Point | None = None
    """The spot itself, where it is known."""
    address_string: Text500 | None = None
    """The place in words: street, number, landmark."""
    media_url: HttpUrl | None = None
    """A picture of the matter."""
    requested_datetime: Moment | None = None
    """When the citizen asked, where that was before the event."""
    service_request_id: Text100 | None = None
    """The sender's own reference for the request."""
    reporter: Reporter | None = None
    """Who asked, as far as they said."""
    attributes: Annotated[tuple[Attribute, ...], Field(max_length=50)] | None = None
    """Further answers that this service asks for."""
    attachments: Attachments | None = None
    """Photos and documents, which are kept elsewhere."""


@event_type("subak.request.acknowledged.v1", owner=OWNER)
class RequestAcknowledged(EventData):
    """The agency that the request was forwarded to takes it on, and may say what the work would cost."""

    estimate: Money | None = None
    """What the work is thought to cost."""
    service_request_id: Text100 | None = None
    """The agency's own reference for the request."""
    status_notes: Text4000 | None = None
    """What the citizen may know about it."""


@event_type("subak.request.forwarded.v1", owner=OWNER, publisher="any", kind="command")
class RequestForwarded(EventData):
    """An agency is asked to take a request on. It answers with acknowledged, or forwards it with a reason."""

    agency: AgencyId
    """Who is asked."""
    service_code: ServiceCode
    """What kind of service, from the city's catalogue."""
    area: AreaCode
    """Where the matter lies."""
    reason: Text1000 | None = None
    """Why it is this agency's matter."""
    description: Text4000 | None = None
    """What the citizen says, in their own words."""
    location: Point | None = None
    """The spot itself, where it is known."""
    address_string: Text500 | None = None
    """The place in words."""
    media_url: HttpUrl | None = None
    """A picture of the matter."""
    acknowledge_by: Moment | None = None
    """When the silence of the agency is told to its parent."""
    reporter: Reporter | None = None
    """Who asked, as far as they said."""
    attachments: Attachments | None = None
    """Photos and documents that came with the request."""


@event_type("subak.request.assigned.v1", owner=OWNER, publisher="bus")
class RequestAssigned(EventData):
    """The request is now in one agency's hands."""

    agency: AgencyId
    """In whose hands."""
    service_code: ServiceCode
    """What kind of service."""
    area: AreaCode
    """Where the matter lies."""
    expected_datetime: Moment | None = None
    """By when the city means to have it done."""


@event_type("subak.request.commented.v1", owner=OWNER)
class RequestCommented(EventData):
    """Somebody added a remark. It changes no deadline."""

    text: Text4000
    """The remark."""
    author: Personal[Text200] | None = None
    """Who made it."""


@event_type("subak.request.merged.v1", owner=OWNER)
class RequestMerged(EventData):
    """The request tells of the same matter as another: it goes on there."""

    into: Uuid
    """The case that goes on."""
    status_notes: Text4000 | None = None
    """What the citizen may know about it."""


@event_type("subak.request.reopened.v1", owner=OWNER)
class RequestReopened(EventData):
    """The citizen says that the matter is not settled."""

    reason: Text1000
    """What is still wrong."""


@event_type("subak.request.resolved.v1", owner=OWNER, publisher="bus")
class RequestResolved(EventData):
    """The work is done and was looked at. The citizen may rate it or reopen the request."""

    agency: AgencyId
    """Who did it."""
    cost: Money | None = None
    """What it cost."""
    status_notes: Text4000 | None = None
    """What the citizen may know about it."""


@event_type("subak.request.rated.v1", owner=OWNER)
class RequestRated(EventData):
    """The citizen says how well it was done."""

    score: Annotated[int, Field(ge=1, le=5)]
    """1, badly, to 5, very well."""
    comment: Text4000 | None = None
    """Why."""


@event_type("subak.request.withdrawn.v1", owner=OWNER)
class RequestWithdrawn(EventData):
    """The citizen no longer asks."""

    reason: Text1000 | None = None
    """Why not."""


@event_type("subak.request.closed.v1", owner=OWNER, publisher="bus")
class RequestClosed(EventData):
    """The case has ended. Nothing follows."""

    outcome: Literal["rated", "unrated", "refused", "withdrawn", "merged", "unserviceable"]
    """How it ended."""
    agency: AgencyId | None = None
    """Who did the work, where somebody did."""
    cost: Money | None = None
    """What it cost, where it is known."""
    reason: Text1000 | None = None
    """Why it ended so, where that needs a word."""
