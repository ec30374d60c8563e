"""Workflows at play in memory, on a clock of their own: no Kafka, no encoding, no waiting. Pure.

The test kit (`testing.py`) and the simulation (`simulation.py`) stand on it. It decides as the stage does
(`logic.py`), by the same workflows; what it leaves out is what only a running bus needs: ids of consequences, the
changelog, transactions. Timers fire exactly when they are due and cases hear each other at once, unless `arrivals` says
when they did.
"""

from __future__ import annotations

import heapq
import traceback
from collections.abc import Iterable
from dataclasses import dataclass, field
from pathlib import Path

import msgspec

from bus.city import City
from schemas.envelope import Event
from schemas.failures import Reason, Refused
from schemas.identifiers import derived_id
from schemas.registry import EventData, registry
from schemas.types.cases import Message, TimerFired
from services.workflows.arrivals import Arrivals
from services.workflows.deciding import TURNS_MAX, newest_by_opening_event, timer_event_id
from services.workflows.definition import (
    CLOSED,
    CaseState,
    Decision,
    Emission,
    Step,
    Workflow,
    moment_of,
)
from services.workflows.messages import answer_to, counted

UNKNOWN = Reason("unknown_case", "subject", "no such case is known", "Open it first.")
ENDED = Reason("case_closed", "subject", "the case is closed", "Open a new request where the matter goes on.")


@dataclass(frozen=True, slots=True)
class Said:
    """Something that a workflow sent."""

    at_ms: int
    case: str
    data: EventData
    recipient: str | None


@dataclass(slots=True)
class World:
    """Some workflows, all their cases, and the time."""

    city: City
    workflows: Iterable[Workflow]
    at_ms: int = 0
    cases: dict[str, CaseState] = field(default_factory=dict)
    """Closed ones too."""
    failed: dict[str, str] = field(default_factory=dict)
    """Cases whose workflow raised or looped: they stand still, as a parked case does. Why, in words."""
    said: list[Said] = field(default_factory=list)
    fired: int = 0
    arrivals: Arrivals | None = None
    _timers: list[tuple[int, str, str]] = field(default_factory=list)
    _by_id: dict[str, Workflow] = field(default_factory=dict)
    _openers: dict[str, Workflow] = field(default_factory=dict)
    _in_a_row: dict[str, int] = field(default_factory=dict)
    _held_timers: dict[str, tuple[str, str, int]] = field(default_factory=dict)
    _held_messages: dict[str, tuple[str, Message]] = field(default_factory=dict)
    """By the id of the record that each waits for: the case to which it is said, and what."""

    def __post_init__(self) -> None:
        for workflow in self.workflows:
            self._by_id[workflow.id] = workflow
        self._openers = newest_by_opening_event(self.workflows)

    def take(self, event: Event, data: EventData, at_ms: int) -> tuple[Reason, ...]:
        """An agency's event, after all timers that are due by then. Returns why it was refused; nothing where not."""
        self.run_to(at_ms)
        self._in_a_row.pop(event.subject, None)
        sender = self.city.agency_of(event.source) or event.source
        return self._decide(event.subject, event.type, data, sender, event)

    def run_to(self, at_ms: int) -> None:
        """Let time pass, and every timer fire that is due by then, in order."""
        while self._timers and self._timers[0][0] <= at_ms:
            due, id, name = heapq.heappop(self._timers)
            case = self.cases.get(id)
            if case is None or case.timers.get(name) != due or id in self.failed:
                continue
            if self.arrivals is not None and self.arrivals.of_timer(record := timer_event_id(id, name, due)):
                self._held_timers[record] = (id, name, due)
                continue
            self.at_ms = due
            self._fire(case, name, due)
        self.at_ms = max(self.at_ms, at_ms)

    def arrive(self, record: str, at_ms: int) -> None:
        """The record of a timer or a message passes: what waited for it comes now."""
        self.run_to(at_ms)
        if (timer := self._held_timers.pop(record, None)) is not None:
            id, name, due = timer
            case = self.cases.get(id)
            if case is not None and case.timers.get(name) == due and id not in self.failed:
                self._fire(case, name, due)
        elif (message := self._held_messages.pop(record, None)) is not None:
            self._hear(*message, record)

    def _fire(self, case: CaseState, name: str, due: int) -> None:
        count = self._in_a_row[case.id] = self._in_a_row.get(case.id, 0) + 1
        if count > TURNS_MAX:
            self.failed[case.id] = f"{TURNS_MAX} timers fired in a row ({name} was the last)"
            return
        self.fired += 1
        timers = {other: at for other, at in case.timers.items() if other != name}
        self.cases[case.id] = msgspec.structs.replace(case, timers=timers)
        data = TimerFired(timer=name, due=moment_of(due))
        self._decide(case.id, f"timer:{name}", data, "workflows", None)

    def _decide(self, id: str, trigger: str, data: EventData, sender: str, event: Event | None) -> tuple[Reason, ...]:
        if id in self.failed:
            return ()
        case = self.cases.get(id)
        step = Step(self.city, sender, self.at_ms)
        try:
            if case is not None and case.state == CLOSED:
                return (ENDED,)
            if case is None:
                workflow = self._openers.get(trigger)
                if workflow is None or event is None:
                    return (UNKNOWN,)
                decision: Decision | None = workflow.open(event, data, step)
            else:
                decision = self._by_id[case.workflow].decide(case, trigger, data, step)
            emissions = counted(decision.emissions, id, data) if decision is not None else ()
        except Refused as refused:
            return refused.reasons
        except Exception as error:
            self.failed[id] = _failure(error)
            return ()
        if decision is not None:
            self._put(decision.case)
            for emission in emissions:
                self._say(decision.case, emission, id, event, data)
        return ()

    def _put(self, case: CaseState) -> None:
        self.cases[case.id] = case
        for name, due in case.timers.items():
            heapq.heappush(self._timers, (due, case.id, name))

    def _say(self, case: CaseState, emission: Emission, of: str, cause: Event | None, data: EventData) -> None:
        """Note what a case says; another hears it. `of`, `cause`, `data`: what led to it, a timer without event."""
        self.said.append(Said(self.at_ms, emission.subject or case.id, emission.data, emission.recipient))
        if emission.subject is None or not isinstance(emission.data, Message):
            return
        record = self._record_of(emission, of, cause, data) if self.arrivals is not None else None
        if record is not None:
            self._held_messages[record] = (emission.subject, emission.data)
        else:
            self._hear(emission.subject, emission.data, derived_id(case.id, f"message {len(self.said)}"))

    def _record_of(self, emission: Emission, of: str, cause: Event | None, data: EventData) -> str | None:
        assert self.arrivals is not None
        assert emission.subject is not None
        if cause is not None:
            id = cause.id
        else:
            assert isinstance(data, TimerFired)
            id = timer_event_id(of, data.timer, int(data.due.timestamp() * 1000))
        return self.arrivals.of_message((id, emission.subject, emission.data.registered.name))

    def _hear(self, id: str, message: Message, event_id: str) -> None:
        """A case hears what another says. Where it cannot take it, the other hears that."""
        event = Event.of(
            message,
            id=event_id,
            source=self.city.source_of("workflows"),
            subject=id,
            time=moment_of(self.at_ms).isoformat(),
        )
        reasons = self._decide(id, event.type, message, "workflows", event)
        answer = answer_to(event, Refused(reasons)) if reasons else None
        if answer is not None:
            self._say(CaseState(id=id, workflow="", state=""), answer, id, event, message)


def _failure(error: Exception) -> str:
    """What went wrong, and in which line."""
    last = traceback.extract_tb(error.__traceback__)[-1]
    return f"{error!r} in {Path(last.filename).name}, line {last.lineno}"


def data_of(event: Event) -> EventData:
    """An event's data, as readers behind the gateway take it."""
    data: EventData = registry.get(event.type).read(event.data)
    return data
