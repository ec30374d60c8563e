"""A changed workflow or city over the recorded log: which cases would have gone otherwise. Pure; nothing is written.

The agencies' events are played again at the times at which the log took them, and timers fire when they would have been
due. What the bus said to itself waits for its own record (`arrivals.py`). What the workflows said *then* is read from
the same log, what they would say *now* comes from the play. Each case is compared: whom it went to, how often a
deadline was missed, how it ended. People would have acted otherwise in a changed city: from its first difference on, a
case tells what the rules would have asked, not what would have been done.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import asdict, dataclass, field
from typing import Any

import msgspec

from bus.city import City
from bus.city.model import OPERATIONS_TYPES
from bus.records import Record
from schemas.envelope import Event
from schemas.failures import SubakError
from schemas.types.cases import CaseEscalated
from services.workflows.arrivals import Arrivals
from services.workflows.definition import WORKFLOWS, Workflow
from services.workflows.world import Said, World, data_of

ESCALATED = CaseEscalated.registered.name


@dataclass(slots=True)
class Course:
    """How one case went."""

    agencies: list[str] = field(default_factory=list)
    """To whom it was sent, in order, each turn once."""
    breaches: int = 0
    outcome: str | None = None
    """How it ended; None: it is open."""
    refused: int = 0
    """Events that were taken then and would be refused now."""
    failure: str | None = None

    def sent_to(self, agency: str | None) -> None:
        """It went to an agency."""
        if agency is not None and self.agencies[-1:] != [agency]:
            self.agencies.append(agency)


@dataclass(frozen=True, slots=True)
class Difference:
    """One case that would have gone otherwise."""

    case: str
    kinds: tuple[str, ...]
    """`agencies`, `more_breaches`, `fewer_breaches`, `outcome`, `stuck`."""
    then: Course
    now: Course
    why: str

    def as_dict(self) -> dict[str, Any]:
        """As plain values."""
        return asdict(self)


@dataclass(frozen=True, slots=True)
class Report:
    """What a simulation found."""

    cases: int
    events: int
    recorded: int
    """Records of the log that were read, the workflows' own too."""
    differences: tuple[Difference, ...]
    breaches_then: int
    breaches_now: int

    def counts(self) -> dict[str, int]:
        """How many cases differ in each way."""
        return dict(sorted(Counter(kind for each in self.differences for kind in each.kinds).items()))

    def as_dict(self) -> dict[str, Any]:
        """As plain values."""
        return {
            "cases": self.cases,
            "events": self.events,
            "recorded": self.recorded,
            "otherwise": len(self.differences),
            "counts": self.counts(),
            "breaches": {"then": self.breaches_then, "now": self.breaches_now},
            "differences": [difference.as_dict() for difference in self.differences],
        }


class Simulation:
    """One run. Give it the log in the order of its times, then ask for the report."""

    def __init__(self, city: City, workflows: Mapping[str, Workflow], *, only: Workflow, since_ms: int = 0) -> None:
        """
        Args:
            city: the city as it would be.
            workflows: the workflows as they would be.
            only: the cases of this one are compared.
            since_ms: cases that began before are played and not compared.
        """
        self._arrivals = Arrivals()
        self._world = World(city, list(workflows.values()), arrivals=self._arrivals)
        self._own = f"urn:subak:{city.id}:workflows".encode()
        self._opened_by = {workflow.opened_by: workflow.name for workflow in workflows.values()}
        self._only = only.name
        self._since_ms = since_ms
        self._then: dict[str, Course] = {}
        self._now: dict[str, Course] = {}
        self._taken: set[str] = set()
        """Events that had a consequence then."""
        self._refusals: list[tuple[str, str]] = []
        self._events = self._recorded = 0

    def take(self, records: Sequence[Record]) -> None:
        """A part of the city's log, in order of time within each case."""
        self._arrivals.expect(records)
        for record in records:
            self._recorded += 1
            headers = dict(record.headers)
            if headers.get("ce_source") == self._own:
                self._recall(headers, record)
            else:
                self._play(record)

    def _recall(self, headers: dict[str, bytes | None], record: Record) -> None:
        """What the workflows said then; what they said to themselves comes now."""
        arrived = self._arrivals.passes(headers)
        if arrived is not None:
            self._world.arrive(arrived, record.timestamp_ms)
            self._listen()
        cause = headers.get("ce_causationid")
        if cause:
            self._taken.add(cause.decode("utf-8", "replace"))
        id = (headers.get("ce_subject") or b"").decode("utf-8", "replace")
        course = self._then.get(id)
        if course is None:
            return
        type_ = (headers.get("ce_type") or b"").decode("utf-8", "replace")
        recipient = headers.get("ce_recipient")
        _note(course, type_, recipient.decode("utf-8", "replace") if recipient else None)
        if type_.endswith(".closed.v1"):
            content = msgspec.json.decode(record.value or b"{}")
            course.outcome = str(content.get("outcome", "closed")) if isinstance(content, dict) else "closed"

    def _play(self, record: Record) -> None:
        """What an agency said, played again."""
        try:
            event = Event.from_record(record.headers, record.value)
            world = self._world
            known = event.subject in world.cases or event.subject in world.failed
            if not known and event.type not in self._opened_by:
                return  # its case began before, or never
            if event.type in OPERATIONS_TYPES:
                return
            data = data_of(event)
        except SubakError:
            return  # no event, or of a type that is gone: no case took it
        self._events += 1
        reasons = self._world.take(event, data, record.timestamp_ms)
        begun = not known and (event.subject in world.cases or event.subject in world.failed)
        if begun and self._opened_by[event.type] == self._only and record.timestamp_ms >= self._since_ms:
            self._then[event.subject] = Course()
            self._now[event.subject] = Course()
        if reasons:
            self._refusals.append((event.subject, event.id))
        self._listen()

    def _listen(self) -> None:
        said = self._world.said
        for one in said:
            course = self._now.get(one.case)
            if course is not None:
                _say(course, one)
        said.clear()

    def _state(self, id: str) -> str:
        case = self._world.cases.get(id)
        return case.state if case is not None else "no state"

    def report(self) -> Report:
        """What would have gone otherwise, up to the last record's time."""
        self._listen()
        for case, event_id in self._refusals:
            if event_id in self._taken and case in self._now:
                self._now[case].refused += 1
        for case, failure in self._world.failed.items():
            if case in self._now:
                self._now[case].failure = failure
        differences = [
            difference
            for id, then in self._then.items()
            if (difference := _difference(id, then, self._now[id], self._state(id))) is not None
        ]
        return Report(
            cases=len(self._then),
            events=self._events,
            recorded=self._recorded,
            differences=tuple(differences),
            breaches_then=sum(course.breaches for course in self._then.values()),
            breaches_now=sum(course.breaches for course in self._now.values()),
        )


def _note(course: Course, type_: str, recipient: str | None) -> None:
    if type_ == ESCALATED:
        course.breaches += 1
    elif recipient not in (None, WORKFLOWS) and not type_.startswith("subak.case."):
        course.sent_to(recipient)


def _say(course: Course, said: Said) -> None:
    type_ = said.data.registered.name
    _note(course, type_, said.recipient)
    if type_.endswith(".closed.v1"):
        course.outcome = str(getattr(said.data, "outcome", "closed"))


def _difference(id: str, then: Course, now: Course, state: str) -> Difference | None:
    kinds: list[str] = []
    why: list[str] = []
    if then.agencies != now.agencies:
        kinds.append("agencies")
        why.append(f"{' → '.join(then.agencies) or 'nobody'} would be {' → '.join(now.agencies) or 'nobody'}")
    if now.breaches != then.breaches:
        kinds.append("more_breaches" if now.breaches > then.breaches else "fewer_breaches")
        why.append(f"{then.breaches} missed deadline{'' if then.breaches == 1 else 's'} would be {now.breaches}")
    if now.failure is not None or (then.outcome is not None and now.outcome is None):
        kinds.append("stuck")
        events = "event" if now.refused == 1 else "events"
        refused = f", and {now.refused} {events} that counted would be refused" if now.refused else ""
        why.append(now.failure or f"it would stand in {state}{refused}")
    elif then.outcome != now.outcome:
        kinds.append("outcome")
        why.append(f"{then.outcome or 'open'} would be {now.outcome or 'open'}")
    return Difference(id, tuple(kinds), then, now, "; ".join(why)) if kinds else None


def in_order(records: Iterable[Record]) -> list[Record]:
    """Records of several partitions in the order of the log's times; each partition's own order stands.

    Several write into one partition, each by its own clock: a record counts as no earlier than the one before it.
    """
    reached: dict[int, int] = {}
    placed = []
    for record in sorted(records, key=lambda record: (record.partition, record.offset)):
        at = reached[record.partition] = max(record.timestamp_ms, reached.get(record.partition, 0))
        placed.append((at, record))
    return [record for _, record in sorted(placed, key=lambda one: (one[0], one[1].partition, one[1].offset))]
