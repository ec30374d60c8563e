"""A case under test: the workflows stage's logic over one partition, with a clock that the test owns and no Kafka.

matter = Matter(city)
matter.say("communications", RequestSubmitted(...))
assert matter.said(RequestForwarded).agency == "public-works"
"""

from __future__ import annotations

from collections.abc import Sequence
from datetime import UTC, datetime, timedelta
from typing import Any, TypeVar

from bus.city import City
from bus.city.calendar import Within
from bus.logic import Decided
from bus.records import Output, Record
from bus.topics import CASES, EVENTS, REJECTED
from schemas.envelope import Event
from schemas.identifiers import derived_id
from schemas.registry import EventData, registry
from schemas.types.bus import EventRejected
from services.workflows.catalogue import WORKFLOWS
from services.workflows.logic import Workflows

Data = TypeVar("Data", bound=EventData)


class Matter:
    """One case, by default; more where events name another `subject`."""

    def __init__(self, city: City, *, start: datetime = datetime(2026, 11, 24, 8, tzinfo=UTC)) -> None:
        self.city = city
        self.now = start
        self.id = derived_id("matter", "case")
        self.logic = Workflows(0, city=city, workflows=WORKFLOWS)
        self.outputs: list[Output] = []
        """All that was written so far, in order."""
        self._offset = 0

    def say(self, agency: str, data: EventData, *, subject: str | None = None, id: str | None = None) -> Decided:
        """An agency publishes an event; the stage decides and commits. What follows on its own is played too."""
        event = Event.of(
            data,
            id=id or derived_id("matter", f"event {self._offset}"),
            source=self.city.source_of(agency),
            subject=subject or self.id,
            time=self.now.isoformat(),
        )
        return self.take([event])

    def take(self, events: Sequence[Event]) -> Decided:
        """The log gets these events; the stage takes them in one batch."""
        records = [self._record(event) for event in events]
        decided = self.logic.decide(records, self.now)
        self._commit(decided)
        return decided

    def wait(self, span: Within) -> None:
        """Time passes, calendar or working time. Timers that become due fire, each at its moment, and come back."""
        end = self.now + span if isinstance(span, timedelta) else self.city.calendar.due(self.now, span)
        while (due := self.logic.next_due()) is not None and due <= end:
            self.now = max(self.now, due)
            self._commit(self.logic.decide_due(self.now))
        self.now = end

    def _commit(self, decided: Decided) -> None:
        self.logic.apply(decided)
        self.outputs += decided.outputs
        while own := [
            Event.from_record(output.headers, output.value) for output in decided.outputs if output.topic == EVENTS
        ]:
            decided = self.logic.decide([self._record(event) for event in own], self.now)
            self.logic.apply(decided)
            self.outputs += decided.outputs

    def _record(self, event: Event) -> Record:
        self._offset += 1
        ms = int(self.now.timestamp() * 1000)
        return Record(EVENTS, 0, self._offset, ms, event.key, event.data, event.headers())

    # -- what the test looks at

    def state(self, subject: str | None = None) -> str | None:
        """The state that the case is in; None where there is none."""
        case = self.case(subject)
        return str(case.state) if case is not None else None

    def case(self, subject: str | None = None) -> Any:
        """The case as it is remembered."""
        id = subject or self.id
        return self.logic.memory.cases.get(id) or self.logic.memory.closed_case(id)

    def events(self, *, topic: str = EVENTS) -> list[Event]:
        """All events that the stage wrote into a topic."""
        return [Event.from_record(o.headers, o.value) for o in self.outputs if o.topic == topic]

    def sent(self, kind: type[Data]) -> list[tuple[Event, Data]]:
        """All events of one type that the stage sent, with their data."""
        return [
            (event, registry.get(event.type).read_strictly(event.data))
            for event in self.events()
            if event.type == kind.registered.name
        ]

    def said(self, kind: type[Data]) -> Data:
        """The data of the last event of that type."""
        found = self.sent(kind)
        assert found, f"no {kind.__name__} was sent, but {[event.type for event in self.events()]}"
        return found[-1][1]

    def refusals(self) -> list[EventRejected]:
        """What was refused, as the operators see it."""
        return [registry.get(event.type).read_strictly(event.data) for event in self.events(topic=REJECTED)]

    def changelog(self) -> list[Record]:
        """The changelog so far, as it would be read back."""
        return [
            Record(CASES, 0, place, 0, output.key, output.value, output.headers)
            for place, output in enumerate(output for output in self.outputs if output.topic == CASES)
        ]
