"""What an operator's act would come to, decided by the real workflows on the case as it is, and never made true. Pure.

Acts are taken one after the other, each on what the one before would leave. What lies beyond the case is not followed:
timers that would fire, and what other cases would answer.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Literal

from bus.city import City
from bus.logic import Decided
from bus.records import Record
from bus.resending import RESEND_REQUESTED, resent
from bus.topics import CASES, EVENTS, REJECTED
from schemas.envelope import Event
from schemas.failures import Refused
from schemas.registry import registry
from schemas.types.acts import EventDiscarded
from schemas.types.cases import CaseParked, CaseReplayed
from services.workflows.catalogue import WORKFLOWS
from services.workflows.deciding import newest_by_opening_event
from services.workflows.definition import CaseState, Workflow
from services.workflows.logic import Workflows
from services.workflows.memory import ParkedEvent

CASE_PARKED = CaseParked.registered.name
CASE_REPLAYED = CaseReplayed.registered.name

FIRST_OFFSET = 1 << 52
"""Behind all that any log holds."""


@dataclass(frozen=True, slots=True)
class Rehearsed:
    """What one act would come to."""

    outcome: Literal["unparked", "failed_again", "let_in", "noted", "refused"]
    waiting: int
    """Events that wait in the case now."""
    state: str | None
    """The state that the case would be in."""
    said: tuple[str, ...]
    """Types that the workflow would send, in order."""
    refused: tuple[str, ...]
    """What would be refused, in words: the act, or events that waited."""
    problem: str | None = None
    """Why it would fail again, or be refused."""
    workflow: str | None = None
    """The workflow and version that would decide, as these workflows take the case over; None where none would."""


class Rehearsal:
    """The workflows stage over what its changelog says of some cases."""

    def __init__(
        self, city: City, changelog: Sequence[Record], *, workflows: Mapping[str, Workflow] = WORKFLOWS
    ) -> None:
        self._city = city
        self._logic = Workflows(0, city=city, workflows=workflows, rehearsing=True)
        self._logic.restore([record for record in changelog if record.topic == CASES])
        self._logic.restore([])
        self._openers = newest_by_opening_event(workflows.values())
        self._offset = FIRST_OFFSET

    def waiting(self, case_id: str) -> tuple[ParkedEvent, ...]:
        """What waits in the case, oldest first: at the first it is parked."""
        return self._logic.memory.parked.get(case_id, ())

    def act(self, act: Event, now: datetime) -> Rehearsed:
        """What this act would come to."""
        waiting = len(self.waiting(act.subject))
        by = self._decided_by(act)
        if act.type == EventDiscarded.registered.name:
            return Rehearsed("noted", waiting, self._state(act.subject), (), (), workflow=by)
        events = [act]
        if act.type == RESEND_REQUESTED:
            try:
                events.append(resent(act, self._city))
            except Refused as refused:
                problem = "; ".join(map(str, refused.reasons))
                return Rehearsed("refused", waiting, self._state(act.subject), (), (problem,), problem, by)
        decided = self._logic.decide([self._record(event, now) for event in events], now)
        self._logic.apply(decided)
        return self._told(events, waiting, decided, by)

    def _decided_by(self, act: Event) -> str | None:
        """The version that the case keeps or was moved to; where it has not begun, the one that would open it."""
        case, waiting = self.case(act.subject), self.waiting(act.subject)
        if case is not None or not waiting:
            return case.workflow if case is not None else None
        opener = self._openers.get(waiting[0].event.type)
        return opener.id if opener is not None else None

    def _told(self, events: Sequence[Event], waiting: int, decided: Decided, by: str | None) -> Rehearsed:
        act, said, refused = events[0], [], []
        own = {event.id for event in events}
        parked: str | None = None
        problem: str | None = None
        for output in decided.outputs:
            if output.topic not in (EVENTS, REJECTED):
                continue
            event = Event.from_record(output.headers, output.value)
            if output.topic == REJECTED:
                data = registry.get(event.type).read(event.data)
                why = "; ".join(reason.problem for reason in data.reasons)
                refused.append(f"{data.event_type}: {why}")
                problem = why if data.event_id in own else problem
            elif event.type == CASE_PARKED:
                parked = registry.get(event.type).read(event.data).error
            elif event.type != CASE_REPLAYED:
                said.append(event.type)
        outcome: Literal["unparked", "failed_again", "let_in", "refused"] = "unparked"
        if problem is not None:
            outcome = "refused"
        elif parked is not None:
            outcome, problem = "failed_again", parked
        elif act.type == RESEND_REQUESTED:
            outcome = "let_in"
        return Rehearsed(outcome, waiting, self._state(act.subject), tuple(said), tuple(refused), problem, by)

    def case(self, case_id: str) -> CaseState | None:
        """The case as its workflow remembers it; None where it has not begun."""
        memory = self._logic.memory
        return memory.cases.get(case_id) or memory.closed_case(case_id)

    def _state(self, case_id: str) -> str | None:
        case = self.case(case_id)
        return case.state if case is not None else None

    def _record(self, event: Event, now: datetime) -> Record:
        self._offset += 1
        ms = int(now.timestamp() * 1000)
        return Record(EVENTS, 0, self._offset, ms, event.key, event.data, event.headers())
