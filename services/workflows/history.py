"""What is done with history: it is noted that the case was, and nothing is decided. Pure."""

from __future__ import annotations

from bus.history import HISTORY
from schemas.envelope import Event
from schemas.failures import Reason, Refused
from schemas.registry import registry
from services.workflows.batch import Batch
from services.workflows.definition import CLOSED, CaseState


def note_history(case: CaseState | None, event: Event, batch: Batch) -> None:
    """A case that is history has ended before it began here: nothing is decided on it, now or later."""
    if case is None:
        if not registry.get(event.type).opens_case:
            problem = f"no case {event.subject} is known, and {event.type} does not open one"
            raise Refused([Reason("unknown_case", "subject", problem, "Import the event that opened it first.")])
        batch.view.put(CaseState(id=event.subject, workflow=HISTORY, state=CLOSED))
    elif case.workflow != HISTORY:
        problem = f"the case {event.subject} was opened on this bus, and is no history"
        raise Refused([Reason("not_history", "history", problem, "Send the event without the attribute.")])
    batch.count("history")
