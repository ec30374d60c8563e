"""What a workflows stage remembers of one partition: live cases, closed ones, parked ones, and the timers. Pure.

A batch works on a `View` that lies over the memory; `Memory.take` makes it true after the commit, and a view that is
thrown away has changed nothing. The changelog (`city-cases`) gets what a view changed, and gives it back on assignment:
a case's state under its id, a parked event under `<case>|parked|<number>`.
"""

from __future__ import annotations

import heapq
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from functools import lru_cache
from typing import Any

import msgspec

from bus.records import Output, Record
from bus.topics import CASES, EVENTS
from schemas.envelope import Event
from services.workflows.closed import ClosedCases
from services.workflows.definition import CLOSED, CaseState, Workflow
from services.workflows.pinning import Pinning
from services.workflows.sharing import shared

PARKED_MARK = b"|parked|"

TIMERS_MIN = 1000
"""So many timers are kept, running or not. Where there are more, at most as many are kept for nothing as run."""


@dataclass(frozen=True, slots=True)
class ParkedEvent:
    """An event that waits behind a decision that failed."""

    number: int
    """Its offset in the city's log: its place in the case's queue, and its name in the changelog."""
    event: Event
    at_ms: int
    """When the city's log took it."""

    def as_record(self, partition: int) -> Record:
        """The record that it came in, as far as it is remembered."""
        event = self.event
        return Record(EVENTS, partition, self.number, self.at_ms, event.key, event.data, event.headers())


@dataclass(slots=True)
class View:
    """One batch's changes over the memory, not yet true."""

    memory: Memory
    cases: dict[str, CaseState] = field(default_factory=dict)
    parked: dict[str, tuple[ParkedEvent, ...]] = field(default_factory=dict)
    _encoded: dict[str, bytes] = field(default_factory=dict)

    def put(self, case: CaseState) -> int:
        """The case as it is now. Returns its size in the changelog, in bytes."""
        self.cases[case.id] = case
        value = self._encoded[case.id] = _encode(case)
        return len(value)

    def drop(self, id: str) -> None:
        """Forget what this batch did to the case."""
        self.cases.pop(id, None)
        self._encoded.pop(id, None)

    def case(self, id: str) -> CaseState | None:
        """The case as this batch has left it; a closed one has the state `closed` and nothing else."""
        return self.cases.get(id) or self.memory.cases.get(id) or self.memory.closed_case(id)

    def parked_events(self, id: str) -> tuple[ParkedEvent, ...]:
        """What waits in this case, oldest first."""
        found = self.parked.get(id)
        return found if found is not None else self.memory.parked.get(id, ())

    def outputs(self, number: int) -> list[Output]:
        """The changelog's records: each changed case once, each parked event that came or went."""
        outputs = [
            Output(CASES, id.encode(), self._encoded[id], _workflow_header(case.workflow), number)
            for id, case in self.cases.items()
        ]
        for id, events in self.parked.items():
            before = {parked.number for parked in self.memory.parked.get(id, ())}
            now = {parked.number for parked in events}
            outputs += [Output(CASES, _parked_key(id, gone), None, [], number) for gone in sorted(before - now)]
            outputs += [
                Output(CASES, _parked_key(id, parked.number), parked.event.data, _parked_headers(parked), number)
                for parked in events
                if parked.number not in before
            ]
        return outputs


class Memory:
    """One partition's cases, as the log has them."""

    def __init__(self, workflows: Mapping[str, Workflow]) -> None:
        self.cases: dict[str, CaseState] = {}
        self.parked: dict[str, tuple[ParkedEvent, ...]] = {}
        self._closed = ClosedCases()
        self._timers: list[tuple[int, str, str]] = []
        self._timers_max = TIMERS_MIN
        self._pinning = Pinning(workflows)

    def closed_case(self, id: str) -> CaseState | None:
        """A closed case, as far as it is remembered."""
        workflow = self._closed.get(id)
        return CaseState(id=id, workflow=workflow, state=CLOSED) if workflow is not None else None

    @property
    def closed_count(self) -> int:
        """Closed cases that are remembered as such."""
        return len(self._closed)

    # -- making a view true

    def take(self, view: View) -> None:
        """Make a committed view the truth."""
        for id, case in view.cases.items():
            self._put(id, case)
        for id, events in view.parked.items():
            if events:
                self.parked[id] = events
            else:
                self.parked.pop(id, None)

    def _put(self, id: str, case: CaseState) -> None:
        if case.state == CLOSED:
            self._closed.add(id, case.workflow)
            self.cases.pop(id, None)
            return
        before = self.cases.get(id)
        self.cases[case.id] = shared(case, before)
        for name, due in case.timers.items():
            if due > 0 and (before is None or before.timers.get(name) != due):
                heapq.heappush(self._timers, (due, case.id, name))
        if len(self._timers) > self._timers_max:
            self._forget_stopped_timers()

    # -- timers

    def _forget_stopped_timers(self) -> None:
        """A timer of weeks is mostly stopped within hours: until its time it would be kept for nothing."""
        self._timers = [
            (due, id, name) for id, case in self.cases.items() for name, due in case.timers.items() if due > 0
        ]
        heapq.heapify(self._timers)
        self._timers_max = max(TIMERS_MIN, 2 * len(self._timers))

    def next_due_ms(self) -> int | None:
        """When the earliest timer is due. Timers that were stopped or have fired are forgotten on the way."""
        while self._timers:
            due, id, name = self._timers[0]
            case = self.cases.get(id)
            if case is not None and case.timers.get(name) == due:
                return due
            heapq.heappop(self._timers)
        return None

    def due(self, now_ms: int, count_max: int) -> list[tuple[CaseState, str, int]]:
        """Timers that are due: case, name, due. They stay until a view that marks them as fired is taken."""
        found: list[tuple[CaseState, str, int]] = []
        taken: list[tuple[int, str, str]] = []
        while len(found) < count_max and (first := self.next_due_ms()) is not None and first <= now_ms:
            entry = heapq.heappop(self._timers)
            if taken and taken[-1] == entry:
                continue  # stopped and started again for the same moment: working days end together
            taken.append(entry)
            due, id, name = entry
            found.append((self.cases[id], name, due))
        for entry in taken:
            heapq.heappush(self._timers, entry)
        return found

    # -- reading back

    def restore(self, records: Sequence[Record]) -> None:
        """Take in a part of the changelog, oldest first; nothing, once all of it was read.

        Raises:
            Misconfigured: all was read, and live cases are of versions that are gone, or cannot be moved.
        """
        if not records:
            for case in self._pinning.moved():
                self._put(case.id, case)
        waiting: dict[str, dict[int, ParkedEvent]] = {}
        for record in records:
            key = record.key or b""
            if PARKED_MARK in key:
                self._restore_parked(key, record, waiting)
            elif record.value:
                self._restore_case(key.decode(), record)
        for id, events in waiting.items():
            if events:
                self.parked[id] = tuple(events[number] for number in sorted(events))
            else:
                self.parked.pop(id, None)

    def _restore_case(self, id: str, record: Record) -> None:
        headers: dict[str, Any] = dict(record.headers)
        workflow = (headers.get("workflow") or b"").decode()
        if record.value == _CLOSED_VALUE:
            self._pinning.forget(id)
            self._put(id, CaseState(id=id, workflow=workflow, state=CLOSED))
            return
        case = self._pinning.read(id, workflow, record.value or b"")
        if case is not None:
            self._put(id, case)
        else:
            self.cases.pop(id, None)

    def _restore_parked(self, key: bytes, record: Record, waiting: dict[str, dict[int, ParkedEvent]]) -> None:
        """Into `waiting`: what waits in the cases of which these records speak, by number."""
        id, _, text = key.decode().partition(PARKED_MARK.decode())
        if (events := waiting.get(id)) is None:
            events = waiting[id] = {parked.number: parked for parked in self.parked.get(id, ())}
        number = int(text)
        if record.value is None:
            events.pop(number, None)
        else:
            at_ms = int((dict(record.headers).get("parked_at_ms") or b"0").decode())
            events[number] = ParkedEvent(number, Event.from_record(record.headers, record.value), at_ms)


_CLOSED_VALUE = b'{"state":"closed"}'
"""What the changelog keeps of a closed case: that it was, so that a late event is told from one of an unknown case."""


@lru_cache(maxsize=1000)
def _workflow_header(workflow: str) -> list[tuple[str, bytes]]:
    """The header that names the case's version: one list for all cases of it, since nobody changes an output's."""
    return [("workflow", workflow.encode())]


def _encode(case: CaseState) -> bytes:
    return _CLOSED_VALUE if case.state == CLOSED else msgspec.json.encode(case)


def _parked_key(id: str, number: int) -> bytes:
    return id.encode() + PARKED_MARK + str(number).encode()


def _parked_headers(parked: ParkedEvent) -> list[tuple[str, bytes]]:
    return [*parked.event.headers(), ("parked_at_ms", str(parked.at_ms).encode())]
