"""Contracting: how a proposal is procured and built. The events are OCDS's release tags, the milestones OC4IDS's.

The case is the proposal's; `ocid` is the Open Contracting ID of the contracting process.
"""

from __future__ import annotations

from typing import Annotated, Literal

from pydantic import Field, StringConstraints

from schemas.registry import EventData, event_type
from schemas.strict import Strict, explain_pattern
from schemas.values import AgencyId, HttpUrl, Moment, NonNegativeMoney, Text64, Text200, Text1000, Text4000

OWNER = "procurement"

_OCID = explain_pattern(
    r"^ocds-[a-z0-9]{6}-[A-Za-z0-9._/-]{1,80}$",
    "an Open Contracting ID",
    "Send ocds-, the publisher's prefix of six letters and digits, a hyphen and your own reference.",
)
Ocid = Annotated[str, StringConstraints(pattern=_OCID, max_length=92)]
"""An Open Contracting ID (OCDS `ocid`): `ocds-213czf-PBJ-2026-0017`."""

ProcurementMethod = Literal["open", "selective", "limited", "direct"]
"""OCDS's codelist `method`."""

AwardCriteria = Literal["priceOnly", "costOnly", "qualityOnly", "ratedCriteria"]
"""OCDS's codelist `awardCriteria`."""

MilestoneStatus = Literal["scheduled", "met", "notMet", "partiallyMet"]
"""OCDS's and OC4IDS's codelist `milestoneStatus`."""

MilestoneType = Literal["preProcurement", "approval", "engagement", "assessment", "delivery", "reporting", "financing"]
"""OCDS's and OC4IDS's codelist `milestoneType`."""

MILESTONES_MAX = 50
"""Milestones that one event may tell of."""


class Milestone(Strict):
    """One step of the works, and whether it was reached."""

    id: Text64
    """The milestone, by the contract's own numbering."""
    title: Text200
    """What is to be reached."""
    status: MilestoneStatus
    """Whether it was."""
    type: MilestoneType | None = None
    """What kind of step it is."""
    due_date: Moment | None = None
    """By when it should be."""
    date_met: Moment | None = None
    """When it was."""


@event_type("subak.contracting.planning.v1", owner=OWNER)
class ContractingPlanning(EventData):
    """A contracting process is planned for the proposal."""

    ocid: Ocid
    """The contracting process."""
    rationale: Text4000 | None = None
    """Why it is done so."""
    value: NonNegativeMoney | None = None
    """What it is thought to cost."""


@event_type("subak.contracting.tender.v1", owner=OWNER)
class ContractingTender(EventData):
    """Suppliers are asked for their offers."""

    ocid: Ocid
    """The contracting process."""
    title: Text200 | None = None
    """What is asked for."""
    value: NonNegativeMoney | None = None
    """What it is thought to cost. It stays within the proposal's budget."""
    procurement_method: ProcurementMethod
    """How the supplier is found."""
    award_criteria: AwardCriteria | None = None
    """By what an offer is chosen."""
    tender_period_end: Moment | None = None
    """Until when offers are taken."""
    document_url: HttpUrl | None = None
    """The notice."""


@event_type("subak.contracting.tendercancellation.v1", owner=OWNER)
class ContractingTenderCancellation(EventData):
    """The tender came to nothing. Another may follow."""

    ocid: Ocid
    """The contracting process."""
    rationale: Text1000
    """Why."""


@event_type("subak.contracting.award.v1", owner=OWNER)
class ContractingAward(EventData):
    """An offer was chosen."""

    ocid: Ocid
    """The contracting process."""
    award_id: Text64
    """The award (OCDS `awards/id`)."""
    supplier: Text200
    """Whose offer it is: the firm's or the association's name."""
    supplier_agency: AgencyId | None = None
    """The supplier's id on the bus, where it is a partner of the city."""
    value: NonNegativeMoney
    """What it costs. It stays within the proposal's budget."""


@event_type("subak.contracting.contract.v1", owner=OWNER)
class ContractingContract(EventData):
    """The contract is signed."""

    ocid: Ocid
    """The contracting process."""
    contract_id: Text64
    """The contract (OCDS `contracts/id`)."""
    award_id: Text64
    """The award that it makes binding."""
    value: NonNegativeMoney
    """What it costs. All contracts together stay within the proposal's budget."""
    period_end: Moment | None = None
    """By when the work is to be done."""
    document_url: HttpUrl | None = None
    """Its text."""


@event_type("subak.contracting.amendment.v1", owner=OWNER)
class ContractingAmendment(EventData):
    """The contract's value is another from now on."""

    ocid: Ocid
    """The contracting process."""
    contract_id: Text64
    """The contract."""
    value: NonNegativeMoney
    """What it costs from now on: not less than was billed, not more than the budget has."""
    rationale: Text1000
    """Why (OCDS `amendments/rationale`)."""


@event_type("subak.contracting.implementation.v1", owner=OWNER)
class ContractingImplementation(EventData):
    """The works go on: milestones are planned, reached or missed."""

    ocid: Ocid
    """The contracting process."""
    contract_id: Text64
    """The contract."""
    milestones: Annotated[tuple[Milestone, ...], Field(min_length=1, max_length=MILESTONES_MAX)]
    """What is said of each; of the others nothing changes."""
    status_notes: Text4000 | None = None
    """What the neighbours may know about it."""


@event_type("subak.contracting.termination.v1", owner=OWNER)
class ContractingTermination(EventData):
    """The contract ends before its work is done. What was billed stays owed, no more is."""

    ocid: Ocid
    """The contracting process."""
    contract_id: Text64
    """The contract."""
    rationale: Text1000
    """Why."""
