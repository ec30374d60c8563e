"""What events of permits tell of their case. Importing it completes `telling`. Pure."""

from __future__ import annotations

from schemas.types import (
    ConsultationRequested,
    EvidenceRequested,
    EvidenceSupplied,
    PermitAccepted,
    PermitApplied,
    PermitClosed,
    PermitDecided,
    PermitDecisionRequested,
    PermitIssued,
    PermitReinstated,
    PermitRevoked,
    PermitSuspended,
    PermitWithdrawn,
)
from services.casebook.case import Case
from services.casebook.entry import Entry
from services.casebook.fields import Content, moment_in, text_in
from services.casebook.states import (
    AWAITING_EVIDENCE,
    CHECKING,
    CLOSED,
    CONSULTING,
    DECIDING,
    GRANTED,
    ISSUED,
    REFUSED,
    REVOKED,
    SUSPENDED,
    WITHDRAWN,
)
from services.casebook.telling import begins, tells

begins(PermitApplied, CHECKING, "title")

_STATE_OF_STEP = {"check": CHECKING, "decide": DECIDING, "issue": GRANTED}


@tells(PermitDecisionRequested)
def _requested(case: Case, entry: Entry, content: Content) -> None:
    case.state = _STATE_OF_STEP.get(text_in(content, "step") or "", case.state)
    case.held_by(text_in(content, "agency") or entry.recipient, entry.occurred_at)
    case.answer_by = moment_in(content, "decide_by")


@tells(EvidenceRequested)
def _evidence_requested(case: Case, entry: Entry, content: Content) -> None:
    case.state, case.answer_by = AWAITING_EVIDENCE, None
    case.held_by(case.opened_by, entry.occurred_at)  # the time is the applicant's


@tells(EvidenceSupplied)
def _evidence_supplied(case: Case, entry: Entry, content: Content) -> None:
    case.state = CHECKING


@tells(PermitAccepted)
def _accepted(case: Case, entry: Entry, content: Content) -> None:
    case.state, case.answer_by = CONSULTING, None


@tells(ConsultationRequested)
def _consulted(case: Case, entry: Entry, content: Content) -> None:
    case.answer_by = moment_in(content, "answer_by")


@tells(PermitDecided)
def _decided(case: Case, entry: Entry, content: Content) -> None:
    case.state = GRANTED if text_in(content, "decision") == "granted" else REFUSED
    case.agency = entry.agency


@tells(PermitIssued)
def _issued(case: Case, entry: Entry, content: Content) -> None:
    case.state, case.answer_by = ISSUED, None
    case.due_at = None


@tells(PermitSuspended)
def _suspended(case: Case, entry: Entry, content: Content) -> None:
    case.state = SUSPENDED


@tells(PermitReinstated)
def _reinstated(case: Case, entry: Entry, content: Content) -> None:
    case.state = ISSUED


@tells(PermitRevoked)
def _revoked(case: Case, entry: Entry, content: Content) -> None:
    case.state = REVOKED


@tells(PermitWithdrawn)
def _withdrawn(case: Case, entry: Entry, content: Content) -> None:
    case.state, case.answer_by = WITHDRAWN, None


@tells(PermitClosed)
def _closed(case: Case, entry: Entry, content: Content) -> None:
    case.state = CLOSED
    case.outcome = text_in(content, "outcome")
    case.agency = case.agency or text_in(content, "decided_by_agency")
    case.closed_at = entry.occurred_at
    case.holder = case.held_since = case.answer_by = None
