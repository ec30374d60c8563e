"""Approvals: where the cost passes what an agency may spend by itself, the approver decides (design: finance)."""

from __future__ import annotations

from schemas.registry import EventData, event_type
from schemas.values import AgencyId, AreaCode, Moment, Money, Personal, ServiceCode, Text200, Text1000, Text4000

OWNER = "finance"


@event_type("subak.approval.requested.v1", owner=OWNER, publisher="bus", kind="command")
class ApprovalRequested(EventData):
    """The approver is asked whether this money may be spent. It answers granted, refused or sentback."""

    amount: Money
    """What the work is thought to cost."""
    threshold: Money
    """What the agency may spend without asking."""
    purpose: Text1000
    """What for."""
    service_code: ServiceCode
    """What kind of service."""
    area: AreaCode
    """Where the matter lies."""
    agency: AgencyId
    """Who would spend it."""
    decide_by: Moment | None = None
    """When the question expires."""


@event_type("subak.approval.granted.v1", owner=OWNER)
class ApprovalGranted(EventData):
    """The money may be spent."""

    amount: Money
    """How much, at most."""
    conditions: Text4000 | None = None
    """On what conditions."""
    decided_by: Personal[Text200] | None = None
    """Who decided."""


@event_type("subak.approval.refused.v1", owner=OWNER)
class ApprovalRefused(EventData):
    """The money may not be spent."""

    reason: Text1000
    """Why not."""
    decided_by: Personal[Text200] | None = None
    """Who decided."""


@event_type("subak.approval.sentback.v1", owner=OWNER)
class ApprovalSentBack(EventData):
    """The approver cannot decide yet: the agency must say more, or estimate anew."""

    reason: Text1000
    """What is missing."""
    decided_by: Personal[Text200] | None = None
    """Who sent it back."""


@event_type("subak.approval.expired.v1", owner=OWNER, publisher="bus")
class ApprovalExpired(EventData):
    """Nobody decided in time."""

    amount: Money
    """What had been asked for."""
    agency: AgencyId
    """Who had asked."""
