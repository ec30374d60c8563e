"""What events of work orders tell of their case. Importing it completes `telling`. Pure."""

from __future__ import annotations

from schemas.types import (
    WorkOrderAccepted,
    WorkOrderCancelled,
    WorkOrderCompleted,
    WorkOrderDeclined,
    WorkOrderDefectFound,
    WorkOrderInspected,
    WorkOrderInspectionRequested,
    WorkOrderIssued,
    WorkOrderStarted,
    WorkOrderSuspended,
)
from services.casebook.case import Case
from services.casebook.entry import Entry
from services.casebook.fields import Content, moment_in, text_in
from services.casebook.states import (
    ACCEPTED,
    CANCELLED,
    COMPLETED,
    DECLINED,
    DEFECT_FOUND,
    IN_PROGRESS,
    INSPECTED,
    ORDERED,
    SUSPENDED,
)
from services.casebook.telling import take_cost, tells


@tells(WorkOrderIssued)
def _issued(case: Case, entry: Entry, content: Content) -> None:
    case.state = ORDERED
    case.agency = text_in(content, "agency") or entry.recipient or case.agency
    case.held_by(case.agency, entry.occurred_at)
    case.answer_by = moment_in(content, "due")


@tells(WorkOrderAccepted)
def _accepted(case: Case, entry: Entry, content: Content) -> None:
    case.state = ACCEPTED


@tells(WorkOrderDeclined)
def _declined(case: Case, entry: Entry, content: Content) -> None:
    case.state = DECLINED


@tells(WorkOrderStarted)
def _started(case: Case, entry: Entry, content: Content) -> None:
    case.state = IN_PROGRESS
    case.held_by(entry.agency, entry.occurred_at)


@tells(WorkOrderSuspended)
def _suspended(case: Case, entry: Entry, content: Content) -> None:
    case.state = SUSPENDED
    case.held_by(text_in(content, "responsible"), entry.occurred_at)  # who answers for the time of the pause


@tells(WorkOrderCompleted)
def _completed(case: Case, entry: Entry, content: Content) -> None:
    case.state = COMPLETED
    case.answer_by = None
    take_cost(case, content)


@tells(WorkOrderInspectionRequested)
def _inspection_requested(case: Case, entry: Entry, content: Content) -> None:
    case.state = COMPLETED
    case.held_by(text_in(content, "agency") or entry.recipient, entry.occurred_at)
    case.answer_by = moment_in(content, "inspect_by")


@tells(WorkOrderInspected)
def _inspected(case: Case, entry: Entry, content: Content) -> None:
    case.state = INSPECTED
    _looked_at(case, entry)


@tells(WorkOrderDefectFound)
def _defect_found(case: Case, entry: Entry, content: Content) -> None:
    case.state = DEFECT_FOUND
    _looked_at(case, entry)


def _looked_at(case: Case, entry: Entry) -> None:
    case.answer_by = None
    case.held_by(case.agency, entry.occurred_at)


@tells(WorkOrderCancelled)
def _cancelled(case: Case, entry: Entry, content: Content) -> None:
    case.state = CANCELLED
    case.answer_by = None
