"""Permits: a public service that needs the consent of many. Words are CPSV-AP's (evidence, output) where it has any."""

from __future__ import annotations

from typing import Annotated, Literal

from pydantic import Field

from schemas.registry import EventData, event_type
from schemas.strict import Strict
from schemas.values import (
    AgencyId,
    AreaCode,
    HttpUrl,
    Moment,
    Personal,
    Point,
    Reporter,
    ServiceCode,
    Text64,
    Text100,
    Text200,
    Text500,
    Text1000,
    Text4000,
)

OWNER = "permits"

EVIDENCE_MAX = 50
"""Pieces of evidence that one event may name."""

PermitStep = Literal["check", "decide", "issue"]
"""What an application waits for at its office."""

Opinion = Literal["favourable", "conditional", "unfavourable"]
"""What a consulted agency thinks."""


class EvidenceWanted(Strict):
    """One piece of evidence that the applicant has to bring (CPSV-AP `Evidence`)."""

    code: Text64
    """Which kind, by the city's own code."""
    name: Text200
    """What it is, for the applicant to read."""


class EvidenceGiven(Strict):
    """One piece of evidence that the applicant has brought."""

    code: Text64
    """Which kind, by the city's own code."""
    document_url: HttpUrl
    """Where it is kept."""


@event_type("subak.permit.applied.v1", owner=OWNER, opens_case=True)
class PermitApplied(EventData):
    """Somebody applied for a permit. Opens a case."""

    service_code: ServiceCode
    """Which permit, by the city's own code."""
    area: AreaCode
    """Where it is for, by the city's area code."""
    title: Text200
    """What it is for, in a line, without names of persons."""
    description: Text4000 | None = None
    """What is to be done."""
    location: Point | None = None
    """The spot itself, where it is known."""
    address_string: Text500 | None = None
    """The place in words."""
    application_id: Text100 | None = None
    """The sender's own reference for the application."""
    evidence: Annotated[tuple[EvidenceGiven, ...], Field(max_length=EVIDENCE_MAX)] | None = None
    """What was brought with it."""
    applicant: Reporter | None = None
    """Who applied, as far as they said."""


@event_type("subak.permit.evidencerequested.v1", owner=OWNER)
class EvidenceRequested(EventData):
    """The office cannot go on without more evidence. The time until it comes is the applicant's."""

    evidence: Annotated[tuple[EvidenceWanted, ...], Field(min_length=1, max_length=EVIDENCE_MAX)]
    """What has to be brought."""
    reason: Text1000
    """Why it is needed."""


@event_type("subak.permit.evidencesupplied.v1", owner=OWNER)
class EvidenceSupplied(EventData):
    """The applicant has brought evidence."""

    evidence: Annotated[tuple[EvidenceGiven, ...], Field(min_length=1, max_length=EVIDENCE_MAX)]
    """What was brought."""


@event_type("subak.permit.accepted.v1", owner=OWNER)
class PermitAccepted(EventData):
    """The application is complete: now the agencies whose matter it touches are consulted."""

    status_notes: Text4000 | None = None
    """What the applicant may know about it."""


@event_type("subak.permit.consultationrequested.v1", owner=OWNER, publisher="bus", kind="command")
class ConsultationRequested(EventData):
    """An agency is asked what it thinks of an application. All are asked at once. It answers with an opinion."""

    agency: AgencyId
    """Who is asked."""
    service_code: ServiceCode
    """Which permit."""
    area: AreaCode
    """Where it is for."""
    title: Text200
    """What it is for."""
    answer_by: Moment
    """When silence is told to the agency's parent."""
    description: Text4000 | None = None
    """What is to be done."""
    location: Point | None = None
    """The spot itself, where it is known."""
    reason: Text1000 | None = None
    """Why this agency, where another had been asked before."""


@event_type("subak.permit.opiniongiven.v1", owner=OWNER)
class OpinionGiven(EventData):
    """A consulted agency says what it thinks. The office decides."""

    opinion: Opinion
    """What it thinks."""
    reason: Text1000
    """Why; for a conditional one, on what conditions."""
    given_by: Personal[Text200] | None = None
    """Who gave it."""


@event_type("subak.permit.decisionrequested.v1", owner=OWNER, publisher="bus", kind="command")
class PermitDecisionRequested(EventData):
    """An agency is told that an application waits for it."""

    agency: AgencyId
    """Whose turn it is."""
    step: PermitStep
    """What the application waits for."""
    decide_by: Moment
    """When silence is told to the agency's parent."""
    service_code: ServiceCode
    """Which permit."""
    area: AreaCode
    """Where it is for."""
    title: Text200
    """What it is for."""
    opinions: Annotated[tuple[Text1000, ...], Field(max_length=EVIDENCE_MAX)] | None = None
    """What the consulted agencies said, each in a line."""
    reason: Text1000 | None = None
    """Why this agency, where another had been asked before."""


@event_type("subak.permit.decided.v1", owner=OWNER)
class PermitDecided(EventData):
    """The office has decided on the application."""

    decision: Literal["granted", "refused"]
    """How."""
    reason: Text1000
    """Why, for the applicant to read."""
    conditions: Text4000 | None = None
    """On what conditions it is granted."""
    decided_by: Personal[Text200] | None = None
    """Who decided."""


@event_type("subak.permit.issued.v1", owner=OWNER)
class PermitIssued(EventData):
    """The permit is in the applicant's hands (CPSV-AP `Output`)."""

    permit_id: Text64
    """Its number."""
    valid_until: Moment
    """Until when it holds."""
    document_url: HttpUrl | None = None
    """The permit itself."""


@event_type("subak.permit.suspended.v1", owner=OWNER)
class PermitSuspended(EventData):
    """The permit does not hold for now."""

    reason: Text1000
    """Why."""
    until: Moment | None = None
    """Until when, where that is known."""


@event_type("subak.permit.reinstated.v1", owner=OWNER)
class PermitReinstated(EventData):
    """The permit holds again."""

    reason: Text1000
    """Why."""


@event_type("subak.permit.revoked.v1", owner=OWNER)
class PermitRevoked(EventData):
    """The permit is taken back for good."""

    reason: Text1000
    """Why."""
    decided_by: Personal[Text200] | None = None
    """Who decided."""


@event_type("subak.permit.withdrawn.v1", owner=OWNER)
class PermitWithdrawn(EventData):
    """The applicant no longer wants the permit."""

    reason: Text1000 | None = None
    """Why not."""


@event_type("subak.permit.closed.v1", owner=OWNER, publisher="bus")
class PermitClosed(EventData):
    """The case has ended. Nothing follows."""

    outcome: Literal["refused", "withdrawn", "lapsed", "revoked", "expired"]
    """How it ended."""
    decided_by_agency: AgencyId
    """Which agency's word ended it; where time did, whose permit it was."""
    reason: Text1000
    """Why it ended so."""
