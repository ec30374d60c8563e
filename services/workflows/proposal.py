"""The proposal workflow (musrenbang), from the neighbours' meeting to the budget; `proposal_works.py` goes on.

    submitted → endorsed → ranked → forwarded → ranked … → awaiting budget → budgeted → procurement → in works
    → completed → paid → closed (realised); or closed (rejected, dropped, merged), always with a reason

At every moment the proposal waits for one step of one agency, and that agency has been told until when. Whoever is
silent past that is reported to its parent, who may then act too: so it cannot stall without a name to it. The levels
are the city's: from the office of its own area up to the city's, none skipped. What ends it says who decided, what it
waited for, and why. Who is asked and how long it may take comes from the city's files.
"""

from __future__ import annotations

import msgspec

from bus.city.calendar import Within
from schemas.envelope import Event
from schemas.types.budgets import BudgetReleased
from schemas.types.cases import CaseEscalated, TimerFired
from schemas.types.proposals import (
    DecisionRequested,
    ProposalBudgeted,
    ProposalClosed,
    ProposalDropped,
    ProposalEndorsed,
    ProposalForwarded,
    ProposalRanked,
    ProposalRejected,
    ProposalSubmitted,
)
from schemas.values import NonNegativeMoney
from services.workflows.books import Books, money_paid
from services.workflows.definition import CLOSED, CaseState, Step, Workflow
from services.workflows.money import as_money, refuse
from services.workflows.silence import told_next

SUBMITTED = "submitted"
ENDORSED = "endorsed"
RANKED = "ranked"
FORWARDED = "forwarded"
AWAITING_BUDGET = "awaiting_budget"
MERGING = "merging"
BUDGETED = "budgeted"
PROCUREMENT = "procurement"
IN_WORKS = "in_works"
COMPLETED = "completed"
PAID = "paid"

DELIBERATED = (SUBMITTED, ENDORSED, RANKED, FORWARDED, AWAITING_BUDGET)
"""Before there is money: here it may be rejected or merged."""
FUNDED = (BUDGETED, PROCUREMENT, IN_WORKS, COMPLETED, PAID)
OPEN = (*DELIBERATED, MERGING, *FUNDED)

STEP_OF = {
    SUBMITTED: "endorse", ENDORSED: "rank", RANKED: "forward", FORWARDED: "rank", AWAITING_BUDGET: "budget",
    BUDGETED: "procure", PROCUREMENT: "contract", IN_WORKS: "build", COMPLETED: "pay", PAID: "register",
}  # fmt: skip
"""What a proposal waits for in each state."""

REMINDERS_MAX = 1000
"""The highest step of an escalation that the schema counts; reminders go on."""


class ProposalCase(CaseState, frozen=True, kw_only=True, omit_defaults=True, gc=False):
    """What is remembered of a proposal."""

    title: str
    service_code: str
    area: str
    submitted_by: str
    offices: tuple[str, ...]
    """The way up: the office of its area, and of each level above, up to the city's."""
    level: int = 0
    """How far up it is: a place in `offices`."""
    asked: tuple[str, ...] = ()
    """Whose turn it is: the agency of this step, then those above who were told that it was silent."""
    reminders: int = 0
    estimate: tuple[str, str] | None = None
    executor: str = ""
    """The agency that procures and builds, once there is money."""
    books: Books | None = None
    absorbed: tuple[str, ...] = ()
    """The proposals that go on in this one."""
    merging: str = ""
    """The proposal that is asked to take this one up."""
    before_merging: str = ""
    """The state to go back to where it does not."""

    @property
    def parties(self) -> tuple[str, ...]:
        """Who takes part: the meeting, the offices that it has passed, whose turn it is, who builds."""
        found = (self.submitted_by, *self.offices[: self.level + 1], *self.asked, self.executor)
        return tuple(dict.fromkeys(agency for agency in found if agency))

    @property
    def money(self) -> NonNegativeMoney | None:
        """The estimate as it travels in events."""
        return NonNegativeMoney(amount=self.estimate[0], currency=self.estimate[1]) if self.estimate else None


proposal = Workflow("proposal", version=1, case=ProposalCase, opened_by=ProposalSubmitted)
change = msgspec.structs.replace


@proposal.opens
def submitted(event: Event, data: ProposalSubmitted, step: Step) -> ProposalCase:
    """A meeting proposes: the office of its area is asked to endorse it."""
    if step.city.proposals is None:
        problem = f"{step.city.id} takes no proposals"
        raise refuse("no_proposals", "type", problem, "Send a request instead: subak.request.submitted.v1.")
    offices = step.city.offices_of(data.area)
    if not offices:
        problem = f"{data.area} is no area of {step.city.id}"
        raise refuse("unknown_area", "data.area", problem, "Send a code of the city's areas.csv.")
    if data.service_code not in step.city.services:
        problem = f"there is no service {data.service_code}"
        raise refuse("unknown_service", "data.service_code", problem, "Send a code of the city's services.toml.")
    case = ProposalCase(
        id=event.subject,
        workflow=proposal.id,
        state=SUBMITTED,
        opened_ms=step.at_ms,
        correlation=event.id,
        jurisdiction=data.area,
        title=data.title,
        service_code=data.service_code,
        area=data.area,
        submitted_by=step.sender,
        offices=offices,
        estimate=(data.estimate.amount, data.estimate.currency) if data.estimate is not None else None,
    )
    if len(offices) == 1:  # proposed for the whole city: nobody endorses it first
        return ask(change(case, state=FORWARDED), offices[0], step)
    return ask(case, offices[0], step)


# -- the way up


@proposal.on(ProposalEndorsed, states=[SUBMITTED], to=[ENDORSED])
def endorsed(case: ProposalCase, data: ProposalEndorsed, step: Step) -> ProposalCase:
    """The village stands behind it: now it gets its place."""
    step.require_sender(case.asked, "endorsing the proposal")
    return ask(change(case, state=ENDORSED), case.offices[case.level], step)


@proposal.on(ProposalRanked, states=[ENDORSED, FORWARDED], to=[RANKED, AWAITING_BUDGET])
def ranked(case: ProposalCase, data: ProposalRanked, step: Step) -> ProposalCase:
    """It has its place at this level: it goes up, or at the top waits for money."""
    step.require_sender(case.asked, "ranking the proposal")
    if data.estimate is not None:
        case = change(case, estimate=(data.estimate.amount, data.estimate.currency))
    if case.level + 1 < len(case.offices):
        return ask(change(case, state=RANKED), case.offices[case.level], step)
    assert step.city.proposals is not None
    return ask(change(case, state=AWAITING_BUDGET), step.city.proposals.finance, step)


@proposal.on(ProposalForwarded, states=[RANKED], to=[FORWARDED])
def forwarded(case: ProposalCase, data: ProposalForwarded, step: Step) -> ProposalCase:
    """It goes to the next level, and to no other."""
    step.require_sender(case.asked, "forwarding the proposal")
    following = case.offices[case.level + 1]
    if data.agency != following:
        problem = f"after {case.offices[case.level]} comes {following}, not {data.agency}"
        raise refuse("level_skipped", "data.agency", problem, f"Forward it to {following}.")
    return ask(change(case, state=FORWARDED, level=case.level + 1), following, step)


@proposal.on_timer("answer", states=[*DELIBERATED, *FUNDED], to="same")
def not_answered(case: ProposalCase, data: TimerFired, step: Step) -> ProposalCase:
    """Silence: the agency above is told, and may act too. Where nobody is above, the last one is told again."""
    last = case.asked[-1]
    above = told_next(step.city, case.asked)
    told = above or last
    reason = f"{case.asked[0]} was silent: the proposal waits for the step {STEP_OF[case.state]}."
    case = change(case, reminders=min(case.reminders + 1, REMINDERS_MAX))
    step.emit(
        CaseEscalated(from_agency=last, to_agency=told, reason=reason, step=case.reminders),
        to=told,
        parties=case.parties,
    )
    if above is not None:
        case = change(case, asked=(*case.asked, above))
    _request(case, told, step, reason)
    return case


# -- no


@proposal.on(ProposalRejected, states=DELIBERATED, to=[CLOSED])
def rejected(case: ProposalCase, data: ProposalRejected, step: Step) -> ProposalCase:
    """Whose turn it is says no."""
    step.require_sender(may_end(case, step), "rejecting the proposal")
    return close(case, "rejected", step.sender, step, reason=data.reason)


@proposal.on(ProposalDropped, states=[*DELIBERATED, *FUNDED], to=[CLOSED])
def dropped(case: ProposalCase, data: ProposalDropped, step: Step) -> ProposalCase:
    """It is given up. What contracts bind is settled first; what is left of the money goes back."""
    step.require_sender((*may_end(case, step), case.submitted_by), "dropping the proposal")
    books = case.books
    if books is not None and (books.live or not books.settled):
        live = ", ".join(contract.id for contract in books.contracts if not contract.terminated or not contract.settled)
        fix = "Terminate its contracts and pay what was billed first."
        raise refuse("contracts_stand", "type", f"contracts stand or are unpaid: {live}", fix)
    return close(case, "dropped", step.sender, step, reason=data.reason)


# -- money comes


@proposal.on(ProposalBudgeted, states=[AWAITING_BUDGET], to=[BUDGETED])
def budgeted(case: ProposalCase, data: ProposalBudgeted, step: Step) -> ProposalCase:
    """A budget line has set money aside: somebody may begin."""
    books = Books(currency=data.amount.currency).fund(data.from_case, data.amount)
    return ask(change(case, state=BUDGETED, books=books, executor=data.agency), data.agency, step)


@proposal.on(ProposalBudgeted, states=FUNDED[:4], to="same")
def more_budgeted(case: ProposalCase, data: ProposalBudgeted, step: Step) -> ProposalCase:
    """There is more money."""
    assert case.books is not None
    return change(case, books=case.books.fund(data.from_case, data.amount))


# -- the steps that several of these take


def ask(case: ProposalCase, agency: str, step: Step, *, reason: str | None = None) -> ProposalCase:
    """It is this agency's turn, for the step of the case's state."""
    case = change(case, asked=(agency,), reminders=0)
    _request(case, agency, step, reason)
    return case


def close(case: ProposalCase, outcome: str, agency: str, step: Step, *, reason: str | None = None) -> ProposalCase:
    """The end: who decided, at which step, and why. What was not spent goes back to its budget lines."""
    if case.books is not None:
        for line, (back, spent) in case.books.spent_by_line().items():
            step.tell(
                line,
                BudgetReleased(
                    from_case=case.id,
                    amount=as_money(back, case.books.currency),
                    spent=as_money(spent, case.books.currency),
                    reason=f"The proposal ended: {outcome}.",
                ),
            )
    step.emit(
        ProposalClosed(
            outcome=outcome,  # type: ignore[arg-type]  # one of the schema's literals, which pydantic checks
            decided_by_agency=agency,
            step=STEP_OF[case.state],  # type: ignore[arg-type]  # the same
            amount=money_paid(case.books),
            reason=reason[:1000] if reason is not None else None,
        ),
        parties=case.parties,
    )
    return change(case, state=CLOSED)


def _request(case: ProposalCase, agency: str, step: Step, reason: str | None) -> None:
    decide_by = step.start_timer("answer", within(case.state, step))
    step.emit(
        DecisionRequested(
            agency=agency,
            step=STEP_OF[case.state],  # type: ignore[arg-type]  # one of the schema's literals, which pydantic checks
            decide_by=decide_by,
            title=case.title,
            service_code=case.service_code,
            area=case.area,
            estimate=case.money,
            reason=reason[:1000] if reason is not None else None,
        ),
        to=agency,
        parties=case.parties,
    )


def within(state: str, step: Step) -> Within:
    proposals = step.city.proposals
    if proposals is None:
        problem = f"{step.city.id} takes no proposals any more"
        raise refuse("no_proposals", "type", problem, "Put [proposals] back into its city.toml.")
    return proposals.within[STEP_OF[state]]


def may_end(case: ProposalCase, step: Step) -> tuple[str, ...]:
    """Who may end it: whose turn it is, and the city's office for proposals."""
    proposals = step.city.proposals
    return (*case.asked, proposals.office) if proposals is not None else case.asked
