"""Several partitions of the workflows stage, with a log each and no Kafka: who reads on when is the test's choice.

Each partition takes its own log in order, as the stage does; between partitions any order is possible. So a test that
chooses at random finds what two cases in two partitions may do to each other.
"""

from __future__ import annotations

from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from typing import Any

from bus.city import City
from bus.records import Output, Record, partition_for
from bus.topics import EVENTS, REJECTED
from schemas.envelope import Event
from schemas.identifiers import derived_id
from schemas.registry import EventData, registry
from schemas.types.bus import EventRejected
from services.workflows.catalogue import WORKFLOWS
from services.workflows.logic import Workflows


class Partitions:
    """A whole stage. `say` writes into a log, `step` lets one partition take its next record."""

    def __init__(self, city: City, count: int = 3) -> None:
        self.city = city
        self.now = datetime(2026, 11, 24, 8, tzinfo=UTC)
        self.logics = [Workflows(number, city=city, workflows=WORKFLOWS) for number in range(count)]
        self.logs: list[list[Record]] = [[] for _ in range(count)]
        self.positions = [0] * count
        self.outputs: list[Output] = []

    def say(self, agency: str, data: EventData, subject: str) -> None:
        """An agency's event stands in the log of its case's partition."""
        id = derived_id("partitions", f"event {sum(map(len, self.logs))}")
        source = self.city.source_of(agency)
        self._append(Event.of(data, id=id, source=source, subject=subject, time=self.now.isoformat()))

    def waiting(self) -> list[int]:
        """The partitions that have something to take."""
        return [number for number, log in enumerate(self.logs) if self.positions[number] < len(log)]

    def step(self, number: int) -> None:
        """One partition takes its next record, decides and commits."""
        record = self.logs[number][self.positions[number]]
        self.positions[number] += 1
        self._commit(number, self.logics[number].decide([record], self.now))

    def settle(self) -> None:
        """All partitions take all they have."""
        while waiting := self.waiting():
            self.step(waiting[0])

    def wait(self, span: timedelta) -> None:
        """Time passes, and what is due fires."""
        end = self.now + span
        while due := [
            (at, number) for number, logic in enumerate(self.logics) if (at := logic.next_due()) and at <= end
        ]:
            at, number = min(due)
            self.now = max(self.now, at)
            self._commit(number, self.logics[number].decide_due(self.now))
            self.settle()
        self.now = end

    def case(self, id: str) -> Any:
        """The case as it is remembered."""
        memory = self.logics[partition_for(id.encode(), len(self.logics))].memory
        return memory.cases.get(id) or memory.closed_case(id)

    def cases(self, kind: type[Any]) -> Iterator[Any]:
        """All live cases of a workflow's class."""
        return (case for logic in self.logics for case in logic.memory.cases.values() if isinstance(case, kind))

    def in_flight(self) -> Iterator[Event]:
        """What stands in the logs and was not taken yet."""
        for number, log in enumerate(self.logs):
            for record in log[self.positions[number] :]:
                yield Event.from_record(record.headers, record.value)

    def events(self, topic: str = EVENTS) -> list[Event]:
        """All that the stage wrote into a topic."""
        return [Event.from_record(o.headers, o.value) for o in self.outputs if o.topic == topic]

    def sent(self, kind: type[Any]) -> list[Any]:
        """The data of all events of one type that the stage wrote."""
        return [
            registry.get(event.type).read_strictly(event.data)
            for event in self.events()
            if event.type == kind.registered.name
        ]

    def refusals(self) -> list[EventRejected]:
        """What was refused."""
        return [registry.get(event.type).read_strictly(event.data) for event in self.events(REJECTED)]

    def _commit(self, number: int, decided: Any) -> None:
        self.logics[number].apply(decided)
        self.outputs += decided.outputs
        for output in decided.outputs:
            if output.topic == EVENTS:
                self._append(Event.from_record(output.headers, output.value), output.partition)

    def _append(self, event: Event, number: int | None = None) -> None:
        right = partition_for(event.key, len(self.logs))
        assert number is None or number == right, f"{event.type} was written into another's partition"
        log = self.logs[right]
        ms = int(self.now.timestamp() * 1000)
        log.append(Record(EVENTS, right, len(log), ms, event.key, event.data, event.headers()))
