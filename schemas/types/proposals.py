"""Proposals: what a neighbourhood asks to be built, from the village meeting (musrenbang) to the thing itself.

A proposal's case id is its one permanent id: the budget, the contract, the payment and the asset name it.
"""

from __future__ import annotations

from typing import Annotated, Literal

from pydantic import Field

from schemas.registry import EventData, event_type
from schemas.types.cases import Message
from schemas.values import (
    AgencyId,
    AreaCode,
    HttpUrl,
    Moment,
    NonNegativeMoney,
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
    Uuid,
)

OWNER = "planning"

Count = Annotated[int, Field(ge=1, le=100_000_000)]
"""A number of people or of proposals, from 1."""

ProposalStep = Literal["endorse", "rank", "forward", "budget", "procure", "contract", "build", "pay", "register"]
"""What a proposal waits for."""


@event_type("subak.proposal.submitted.v1", owner=OWNER, opens_case=True)
class ProposalSubmitted(EventData):
    """A meeting of neighbours asked that something be built or mended. Opens a case."""

    title: Text200
    """What is asked for, in a line."""
    service_code: ServiceCode
    """Which kind of service it belongs to, from the city's catalogue: its agencies would carry it out."""
    area: AreaCode
    """Where it would be, by the city's area code. The way up begins at the office of this area."""
    description: Text4000 | None = None
    """What is asked for, and why."""
    estimate: NonNegativeMoney | None = None
    """What it is thought to cost."""
    location: Point | None = None
    """The spot itself, where it is known."""
    address_string: Text500 | None = None
    """The place in words."""
    media_url: HttpUrl | None = None
    """A picture of the place."""
    meeting: Text200 | None = None
    """Which meeting asked: a banjar's, a neighbourhood's."""
    proposal_id: Text100 | None = None
    """The sender's own reference for the proposal."""
    beneficiaries: Count | None = None
    """How many people it would serve."""
    proposer: Reporter | None = None
    """Who speaks for the meeting, as far as they said."""


@event_type("subak.proposal.endorsed.v1", owner=OWNER)
class ProposalEndorsed(EventData):
    """The village stands behind the proposal: it is among those that go up."""

    minutes_url: HttpUrl | None = None
    """The minutes of the meeting that decided it."""
    attendance: Count | None = None
    """How many people were at that meeting."""
    status_notes: Text4000 | None = None
    """What the neighbours may know about it."""


@event_type("subak.proposal.ranked.v1", owner=OWNER)
class ProposalRanked(EventData):
    """The office whose turn it is has given the proposal its place among those of its level."""

    rank: Count
    """Its place, from 1, the most urgent."""
    of: Count | None = None
    """Among how many."""
    estimate: NonNegativeMoney | None = None
    """What it is thought to cost, where that was reckoned anew."""
    status_notes: Text4000 | None = None
    """What the neighbours may know about it."""


@event_type("subak.proposal.forwarded.v1", owner=OWNER)
class ProposalForwarded(EventData):
    """The office that ranked the proposal hands it to the next level. No level is skipped."""

    agency: AgencyId
    """To whom: the office of the next level."""
    status_notes: Text4000 | None = None
    """What the next level should know."""


@event_type("subak.proposal.merged.v1", owner=OWNER)
class ProposalMerged(EventData):
    """The proposal asks for the same as another: it goes on there."""

    into: Uuid
    """The proposal that goes on."""
    reason: Text1000
    """Why they are one."""


@event_type("subak.proposal.mergerequested.v1", owner=OWNER, publisher="bus")
class ProposalMergeRequested(Message):
    """Another proposal, `from_case`, is to go on in this one. It ends only when this one takes it up."""

    title: Text200
    """What the other asks for."""
    reason: Text1000
    """Why they are one."""


@event_type("subak.proposal.absorbed.v1", owner=OWNER, publisher="bus")
class ProposalAbsorbed(Message):
    """The proposal goes on in another, `from_case`, which has taken it up."""

    title: Text200
    """What the other asks for."""


@event_type("subak.proposal.rejected.v1", owner=OWNER)
class ProposalRejected(EventData):
    """The office whose turn it is says no. The proposal ends here."""

    reason: Text1000
    """Why not, for everybody to read."""
    decided_by: Personal[Text200] | None = None
    """Who decided."""


@event_type("subak.proposal.dropped.v1", owner=OWNER)
class ProposalDropped(EventData):
    """The proposal is given up, though nobody said no to it: the money went, or the need."""

    reason: Text1000
    """Why, for everybody to read."""
    decided_by: Personal[Text200] | None = None
    """Who decided."""


@event_type("subak.proposal.decisionrequested.v1", owner=OWNER, publisher="bus", kind="command")
class DecisionRequested(EventData):
    """An agency is told that the proposal waits for it. It answers with the event of the step, or ends it."""

    agency: AgencyId
    """Whose turn it is."""
    step: ProposalStep
    """What the proposal waits for."""
    decide_by: Moment
    """When silence is told to the agency's parent."""
    title: Text200
    """What is asked for, in a line."""
    service_code: ServiceCode
    """Which kind of service it belongs to."""
    area: AreaCode
    """Where it would be."""
    estimate: NonNegativeMoney | None = None
    """What it is thought to cost."""
    reason: Text1000 | None = None
    """Why this agency, where another had been asked before."""


@event_type("subak.proposal.budgeted.v1", owner=OWNER, publisher="bus")
class ProposalBudgeted(Message):
    """A budget line has set money aside for the proposal. `from_case` is the budget line."""

    amount: NonNegativeMoney
    """How much."""
    agency: AgencyId
    """Who may spend it."""
    allocation_id: Text64
    """The allocation, by the reference that finance gave it."""


@event_type("subak.proposal.realised.v1", owner=OWNER, publisher="bus")
class ProposalRealised(EventData):
    """What the meeting asked for stands, is paid, and is among the city's assets."""

    asset_id: Text64
    """The asset, by the register's own reference."""
    amount: NonNegativeMoney
    """What was paid for it."""


@event_type("subak.proposal.closed.v1", owner=OWNER, publisher="bus")
class ProposalClosed(EventData):
    """The proposal has ended. Nothing follows."""

    outcome: Literal["realised", "rejected", "dropped", "merged"]
    """How it ended."""
    decided_by_agency: AgencyId
    """Which agency's word ended it."""
    step: ProposalStep
    """What it waited for when it ended."""
    amount: NonNegativeMoney | None = None
    """What was paid for it, where anything was."""
    reason: Text1000 | None = None
    """Why it ended so, where that needs a word."""
