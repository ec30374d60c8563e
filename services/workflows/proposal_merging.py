"""The proposal workflow: one proposal that goes on in another. Importing it completes `proposal.proposal`.

The other is asked first, and this one ends only when it has been taken up: so no proposal ends in one that is gone, and
two that are merged into each other do not both vanish.
"""

from __future__ import annotations

from schemas.types.cases import MessageRefused, TimerFired
from schemas.types.proposals import ProposalAbsorbed, ProposalMerged, ProposalMergeRequested
from services.workflows.definition import CLOSED, Step
from services.workflows.money import refuse
from services.workflows.proposal import (
    AWAITING_BUDGET,
    BUDGETED,
    DELIBERATED,
    FUNDED,
    MERGING,
    ProposalCase,
    ask,
    change,
    close,
    may_end,
    proposal,
    within,
)

ABSORBED_MAX = 100
"""Proposals that one may take up."""


@proposal.on(ProposalMerged, states=DELIBERATED, to=[MERGING])
def merged(case: ProposalCase, data: ProposalMerged, step: Step) -> ProposalCase:
    """It is to go on in another: that one is asked first, so that no proposal ends in one that is gone."""
    step.require_sender(may_end(case, step), "merging the proposal")
    if data.into == case.id:
        raise refuse("same_case", "data.into", "a proposal cannot go on in itself", "Name the other proposal's case.")
    step.tell(data.into, ProposalMergeRequested(from_case=case.id, title=case.title, reason=data.reason))
    step.start_timer("answer", within(case.state, step))
    return change(case, state=MERGING, merging=data.into, before_merging=case.state, asked=(step.sender,))


@proposal.on(ProposalMergeRequested, states=[*DELIBERATED, BUDGETED], to="same")
def absorbs(case: ProposalCase, data: ProposalMergeRequested, step: Step) -> ProposalCase:
    """Another goes on in this one."""
    if len(case.absorbed) >= ABSORBED_MAX:
        raise refuse("case_full", "subject", f"it has taken up {ABSORBED_MAX} proposals", "Merge it into another.")
    step.tell(data.from_case, ProposalAbsorbed(from_case=case.id, title=case.title))
    absorbed = case.absorbed if data.from_case in case.absorbed else (*case.absorbed, data.from_case)
    return change(case, absorbed=absorbed)


@proposal.on(ProposalAbsorbed, states=[MERGING], to=[CLOSED])
def gone_on(case: ProposalCase, data: ProposalAbsorbed, step: Step) -> ProposalCase:
    """The other has taken it up: this one ends. Where the other was asked earlier, and answers late, it does not."""
    if data.from_case != case.merging:
        raise refuse("not_merging", "subject", f"it is to go on in {case.merging}", "It does not go on in this one.")
    back = change(case, state=case.before_merging)
    return close(back, "merged", case.asked[-1], step, reason=f"It goes on in {data.from_case}: {data.title}")


@proposal.on(MessageRefused, states=[MERGING], to=[MERGING, *DELIBERATED])
def not_taken_up(case: ProposalCase, data: MessageRefused, step: Step) -> ProposalCase:
    """The other cannot take it up: the merge is off."""
    if data.message_type == ProposalAbsorbed.registered.name:
        return _without(case, data.from_case)
    if data.message_type != ProposalMergeRequested.registered.name or data.from_case != case.merging:
        return case
    return _stay(case, f"{data.from_case} could not take it up: {data.reason}", step)


@proposal.on(MessageRefused, states=[*DELIBERATED, *FUNDED], to="same")
def refused_elsewhere(case: ProposalCase, data: MessageRefused, step: Step) -> ProposalCase:
    """A case that this one told something could not take it. One that it took up too late does not go on in it."""
    return _without(case, data.from_case) if data.message_type == ProposalAbsorbed.registered.name else case


@proposal.on_timer("answer", states=[MERGING], to=DELIBERATED)
def not_said(case: ProposalCase, data: TimerFired, step: Step) -> ProposalCase:
    """The other did not say anything: the merge is off."""
    return _stay(case, f"{case.merging} did not answer in time.", step)


def _stay(case: ProposalCase, reason: str, step: Step) -> ProposalCase:
    """It does not go on in the other: it is where it was, and whoever meant to merge it is asked anew."""
    case = change(case, state=case.before_merging, merging="", before_merging="")
    assert step.city.proposals is not None
    agency = case.offices[case.level] if case.state != AWAITING_BUDGET else step.city.proposals.finance
    return ask(case, agency, step, reason=f"The merge is off. {reason}")


def _without(case: ProposalCase, other: str) -> ProposalCase:
    """The other does not go on in this one."""
    return change(case, absorbed=tuple(one for one in case.absorbed if one != other))
