"""The permit workflow: from the application to the permit, and to the permit's end.

    checking ⇄ awaiting evidence → consulting (several at once) → deciding → granted → issued ⇄ suspended → closed

Whoever is consulted is asked at the same moment as the others, and the last answer leads on. Silence first goes to the
agency's parent; after that the application goes on without that opinion, and the office is told whose is missing: no
agency can make an application stall by silence. An applicant who does not bring the evidence in time lets the
application lapse. A permit always has an end, and its end is told. Who decides, who is consulted and how long each may
take comes from the city's files.
"""

from __future__ import annotations

from datetime import datetime, timedelta

import msgspec

from bus.city import Permit
from schemas.envelope import Event
from schemas.types.cases import CaseEscalated, TimerFired
from schemas.types.permits import (
    ConsultationRequested,
    EvidenceRequested,
    EvidenceSupplied,
    OpinionGiven,
    PermitAccepted,
    PermitApplied,
    PermitClosed,
    PermitDecided,
    PermitDecisionRequested,
    PermitIssued,
)
from schemas.values import Point
from services.workflows.definition import CLOSED, CaseState, Step, Workflow
from services.workflows.money import refuse
from services.workflows.silence import told_next

CHECKING = "checking"
AWAITING_EVIDENCE = "awaiting_evidence"
CONSULTING = "consulting"
DECIDING = "deciding"
GRANTED = "granted"
ISSUED = "issued"
SUSPENDED = "suspended"

AT_OFFICE = (CHECKING, DECIDING, GRANTED)
APPLICATION = (CHECKING, AWAITING_EVIDENCE, CONSULTING, DECIDING, GRANTED)
VALID = (ISSUED, SUSPENDED)

STEP_OF = {CHECKING: "check", DECIDING: "decide", GRANTED: "issue"}
"""What an application waits for at its office, by state."""

EVIDENCE_ROUNDS_MAX = 20
"""The office may ask for evidence so often; then it has to decide on what it has."""

REMINDERS_MAX = 1000
"""The highest step of an escalation that the schema counts; reminders go on."""


class PermitCase(CaseState, frozen=True, kw_only=True, omit_defaults=True, gc=False):
    """What is remembered of a permit."""

    service_code: str
    area: str
    title: str
    applied_through: str
    """The agency that speaks for the applicant."""
    office: str
    asked: tuple[str, ...] = ()
    """Whose turn it is at the office: the office, then those above who were told that it was silent."""
    reminders: int = 0
    evidence_rounds: int = 0
    waiting_for: tuple[str, ...] = ()
    """Consulted agencies that have not answered."""
    standing_in: dict[str, tuple[str, ...]] = {}
    """A parent that was told of the silence of consulted agencies → those that it may answer for."""
    opinions: tuple[str, ...] = ()
    """What was said, each in a line for the office."""
    permit_id: str = ""
    description: str | None = None
    location: tuple[float, float] | None = None

    @property
    def parties(self) -> tuple[str, ...]:
        """Who takes part: who speaks for the applicant, whose turn it is."""
        return tuple(dict.fromkeys((self.applied_through, self.office, *self.asked)))


permit = Workflow("permit", version=1, case=PermitCase, opened_by=PermitApplied)
change = msgspec.structs.replace


@permit.opens
def applied(event: Event, data: PermitApplied, step: Step) -> PermitCase:
    """Somebody applies: the office is asked to check it."""
    kind = step.city.permits.get(data.service_code)
    if kind is None:
        known = ", ".join(step.city.permits) or "none"
        problem = f"{step.city.id} has no permit {data.service_code}; it has {known}"
        raise refuse("unknown_service", "data.service_code", problem, "Send a code of [[permit]] in its city.toml.")
    if data.area not in step.city.areas or not step.city.within(data.area, step.city.area):
        problem = f"{data.area} is no area of {step.city.id}"
        raise refuse("unknown_area", "data.area", problem, "Send a code of the city's areas.csv.")
    case = PermitCase(
        id=event.subject,
        workflow=permit.id,
        state=CHECKING,
        opened_ms=step.at_ms,
        correlation=event.id,
        jurisdiction=data.area,
        service_code=data.service_code,
        area=data.area,
        title=data.title,
        applied_through=step.sender,
        office=kind.office,
        description=data.description,
        location=data.location.coordinates if data.location is not None else None,
    )
    return _ask(case, step)


# -- is it complete


@permit.on(EvidenceRequested, states=[CHECKING, DECIDING], to=[AWAITING_EVIDENCE])
def evidence_requested(case: PermitCase, data: EvidenceRequested, step: Step) -> PermitCase:
    """Something is missing: the time is the applicant's now."""
    step.require_sender(case.asked, "asking for evidence")
    if case.evidence_rounds >= EVIDENCE_ROUNDS_MAX:
        problem = f"evidence was asked for {EVIDENCE_ROUNDS_MAX} times"
        raise refuse("too_often", "type", problem, "Decide on what there is: subak.permit.decided.v1.")
    step.stop_timer("answer")
    step.start_timer("supply", _kind(case, step).within["supply"])
    return change(case, state=AWAITING_EVIDENCE, evidence_rounds=case.evidence_rounds + 1)


@permit.on(EvidenceSupplied, states=[AWAITING_EVIDENCE], to=[CHECKING])
def evidence_supplied(case: PermitCase, data: EvidenceSupplied, step: Step) -> PermitCase:
    """It is brought: the office checks again."""
    step.require_sender([case.applied_through], "speaking for the applicant")
    step.stop_timer("supply")
    return _ask(change(case, state=CHECKING), step)


@permit.on_timer("supply", states=[AWAITING_EVIDENCE], to=[CLOSED])
def not_supplied(case: PermitCase, data: TimerFired, step: Step) -> PermitCase:
    """It was not brought in time: the application lapses."""
    return close(case, "lapsed", case.office, step, "The evidence was not brought in time.")


# -- what others think


@permit.on(PermitAccepted, states=[CHECKING], to=[CONSULTING, DECIDING])
def accepted(case: PermitCase, data: PermitAccepted, step: Step) -> PermitCase:
    """It is complete: all that are to be heard are asked at once."""
    step.require_sender(case.asked, "checking the application")
    consulted = tuple(agency for agency in _kind(case, step).consulted if agency != case.office)
    if not consulted:
        return _ask(change(case, state=DECIDING), step)
    step.stop_timer("answer")
    answer_by = step.start_timer("consult", _kind(case, step).within["consult"])
    for agency in consulted:
        step.emit(_consultation(case, agency, answer_by), to=agency, parties=case.parties)
    return change(case, state=CONSULTING, waiting_for=consulted, standing_in={}, opinions=())


@permit.on(OpinionGiven, states=[CONSULTING], to=[CONSULTING, DECIDING])
def opinion_given(case: PermitCase, data: OpinionGiven, step: Step) -> PermitCase:
    """One answer of several. The last one leads on."""
    step.require_sender([*case.waiting_for, *case.standing_in], "an opinion that is still waited for")
    answered = (step.sender, *case.standing_in.get(step.sender, ()))
    waiting = tuple(other for other in case.waiting_for if other not in answered)
    standing_in = {
        parent: left
        for parent, agencies in case.standing_in.items()
        if (left := tuple(agency for agency in agencies if agency in waiting))
    }
    opinions = (*case.opinions, f"{step.sender}: {data.opinion}: {data.reason}"[:1000])
    case = change(case, waiting_for=waiting, standing_in=standing_in, opinions=opinions)
    if waiting:
        return change(case, state=CONSULTING)
    step.stop_timer("consult")
    return _ask(change(case, state=DECIDING), step)


@permit.on_timer("consult", states=[CONSULTING], to=[CONSULTING, DECIDING])
def not_answered(case: PermitCase, data: TimerFired, step: Step) -> PermitCase:
    """Some are silent: first their parents are asked in their place, then it goes on without them."""
    silent = case.waiting_for
    parents: dict[str, tuple[str, ...]] = {}
    for agency in silent:
        if (parent := step.city.parent_of(agency)) is not None:
            parents[parent] = (*parents.get(parent, ()), agency)
    if case.standing_in or not parents:
        missing = tuple(f"{agency}: no opinion in time" for agency in silent)
        case = change(case, waiting_for=(), standing_in={}, opinions=(*case.opinions, *missing))
        return _ask(change(case, state=DECIDING), step)
    answer_by = step.start_timer("consult", _kind(case, step).within["consult"])
    case = change(case, reminders=min(case.reminders + 1, REMINDERS_MAX))
    for parent, agencies in parents.items():
        reason = f"No opinion in time: {', '.join(agencies)}."
        step.emit(
            CaseEscalated(from_agency=agencies[0], to_agency=parent, reason=reason, step=case.reminders),
            to=parent,
            parties=case.parties,
        )
        step.emit(_consultation(case, parent, answer_by, reason), to=parent, parties=case.parties)
    return change(case, state=CONSULTING, standing_in=parents)


# -- yes or no


@permit.on(PermitDecided, states=[DECIDING], to=[GRANTED, CLOSED])
def decided(case: PermitCase, data: PermitDecided, step: Step) -> PermitCase:
    """The office decides, whatever the opinions are: they stand in the record."""
    step.require_sender(case.asked, "deciding on the application")
    if data.decision == "refused":
        return close(case, "refused", step.sender, step, data.reason)
    return _ask(change(case, state=GRANTED), step)


@permit.on(PermitIssued, states=[GRANTED], to=[ISSUED])
def issued(case: PermitCase, data: PermitIssued, step: Step) -> PermitCase:
    """The applicant has it, until its end."""
    step.require_sender(case.asked, "issuing the permit")
    left = data.valid_until - step.after(timedelta())
    if left <= timedelta():
        problem = "the permit would have ended before it began"
        raise refuse("ended_already", "data.valid_until", problem, "Send an end that lies ahead.")
    step.stop_timer("answer")
    step.start_timer("expire", left)
    return change(case, state=ISSUED, permit_id=data.permit_id, asked=(case.office,))


@permit.on_timer("answer", states=AT_OFFICE, to="same")
def silent(case: PermitCase, data: TimerFired, step: Step) -> PermitCase:
    """The office is silent: who stands above is told, and may act too. Where nobody does, the last is told again."""
    last = case.asked[-1]
    above = told_next(step.city, case.asked)
    told = above or last
    reason = f"{case.office} was silent: the application waits for the step {STEP_OF[case.state]}."
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


# -- the steps that several of these take


def _ask(case: PermitCase, step: Step) -> PermitCase:
    """It is the office's turn, for the case's step: of the one that decides now, where the first is gone."""
    office = case.office if case.office in step.city.agencies else _kind(case, step).office
    case = change(case, office=office, asked=(office,))
    _request(case, office, step, None)
    return case


def _request(case: PermitCase, agency: str, step: Step, reason: str | None) -> None:
    decide_by = step.start_timer("answer", _kind(case, step).within[STEP_OF[case.state]])
    step.emit(
        PermitDecisionRequested(
            agency=agency,
            step=STEP_OF[case.state],  # type: ignore[arg-type]  # one of the schema's literals, which pydantic checks
            decide_by=decide_by,
            service_code=case.service_code,
            area=case.area,
            title=case.title,
            opinions=case.opinions or None,
            reason=reason,
        ),
        to=agency,
        parties=case.parties,
    )


def _consultation(
    case: PermitCase, agency: str, answer_by: datetime, reason: str | None = None
) -> ConsultationRequested:
    return ConsultationRequested(
        agency=agency,
        service_code=case.service_code,
        area=case.area,
        title=case.title,
        answer_by=answer_by,
        description=case.description,
        location=Point(type="Point", coordinates=case.location) if case.location is not None else None,
        reason=reason,
    )


def _kind(case: PermitCase, step: Step) -> Permit:
    """The permit as the city's files have it now.

    Raises:
        Refused: they no longer have it.
    """
    kind = step.city.permits.get(case.service_code)
    if kind is None:
        problem = f"{step.city.id} has no permit {case.service_code} any more"
        raise refuse("unknown_service", "type", problem, "Put it back into its city.toml until its cases have ended.")
    return kind


def close(
    case: PermitCase, outcome: str, agency: str, step: Step, reason: str, *, also: tuple[str, ...] = ()
) -> PermitCase:
    """The end, told to all parties; `also` are agencies whose answer nobody waits for any more."""
    step.emit(
        PermitClosed(
            outcome=outcome,  # type: ignore[arg-type]  # one of the schema's literals, which pydantic checks
            decided_by_agency=agency,
            reason=reason[:1000],
        ),
        parties=tuple(dict.fromkeys((*case.parties, *also))),
    )
    return change(case, state=CLOSED)
