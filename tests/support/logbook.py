"""A city's log without Kafka: what agencies say, what the workflows stage makes of it, as records of both topics.

The stage's own logic decides, so refusals, parking and timers are the real ones. Offsets have gaps, as transactions
leave them. For tests of readers behind the gateway; whoever promises delivery is tested on the real Kafka.
"""

from __future__ import annotations

from collections.abc import Sequence
from datetime import UTC, datetime, timedelta
from decimal import Decimal

import msgspec

from bus.city import City
from bus.logic import Decided
from bus.records import Record, partition_for
from bus.rejections import rejection
from bus.topics import EVENTS, REJECTED, out_topic
from schemas.envelope import Event
from schemas.failures import Reason
from schemas.identifiers import derived_id
from schemas.registry import EventData
from schemas.types.approvals import ApprovalGranted
from schemas.types.requests import RequestAcknowledged, RequestRated, RequestSubmitted
from schemas.types.workorders import (
    WorkOrderAccepted,
    WorkOrderCompleted,
    WorkOrderInspected,
    WorkOrderStarted,
)
from schemas.values import Money, Point, Reporter
from services.workflows.catalogue import WORKFLOWS
from services.workflows.logic import Workflows

START = datetime(2026, 11, 24, 8, tzinfo=UTC)

PERSONAL = {"name": "Ni Wayan Rahasia", "phone": "+62 812 555 0199", "email": "rahasia@example.org"}
"""A person whose data must be nowhere but in the log."""


class Logbook:
    """The log of one city, as it grows."""

    def __init__(self, city: City, *, partitions: int = 4) -> None:
        self.city = city
        self.partitions = partitions
        self.now = START
        self.records: list[Record] = []
        """All records of both topics, in the order in which they were written."""
        self.busy = False
        """While true the workflows stage does not get to work: what agencies say waits for `catch_up`."""
        self._waiting: list[Record] = []
        self._stages = [Workflows(number, city=city, workflows=WORKFLOWS) for number in range(partitions)]
        self._ends: dict[tuple[str, int], int] = {}
        self._count = 0

    @property
    def beginnings(self) -> dict[tuple[str, int], int]:
        """The beginning of every partition."""
        return {(topic, number): 0 for topic in (EVENTS, REJECTED) for number in range(self.partitions)}

    def case_id(self, name: str | int) -> str:
        """The id of the case that a test calls so."""
        return derived_id("logbook", name)

    def say(self, agency: str, data: EventData, *, case: str | int, **attributes: str) -> Event:
        """An agency's event enters the log; the workflows stage takes it, and what follows from it."""
        self._count += 1
        self.now += timedelta(seconds=1)
        event = Event.of(
            data,
            id=derived_id("logbook event", self._count),
            source=self.city.source_of(agency),
            subject=self.case_id(case),
            time=self.now.isoformat(),
        )
        event = msgspec.structs.replace(event, jurisdiction=getattr(data, "area", None), **attributes)
        self.take(event)
        return event

    def take(self, event: Event) -> Record:
        """This event enters the log, whatever it is."""
        number = partition_for(event.key, self.partitions)
        record = self._append(EVENTS, number, event.key, event.data, event.headers())
        self._end_transaction(number)
        self._waiting.append(record)
        if not self.busy:
            self.catch_up()
        return record

    def catch_up(self) -> None:
        """The workflows stage takes what waits, one partition's records in one batch."""
        self.busy, waiting, self._waiting = False, self._waiting, []
        for number in range(self.partitions):
            self._play(number, [record for record in waiting if record.partition == number])

    def append(self, record: Record) -> Record:
        """A record as it is; its offset is the log's."""
        return self._append(record.topic, record.partition, record.key, record.value, record.headers)

    def wait(self, span: timedelta) -> None:
        """Time passes, and deadlines with it."""
        end = self.now + span
        for number, stage in enumerate(self._stages):
            while (due := stage.next_due()) is not None and due <= end:
                self.now = max(self.now, due)
                self._play(number, self._commit(number, stage.decide_due(self.now)))
        self.now = end

    def refuse_at_the_door(
        self, agency: str, event: Event, reasons: Sequence[Reason], *, more: Sequence[tuple[str, bytes]] = ()
    ) -> Record:
        """The gateway refuses this event of an agency's out topic. `more`: headers that it had beside its own."""
        number = partition_for(event.key, self.partitions)
        place = out_topic(agency)
        offset = self._ends.get((place, number), 0)
        self._ends[place, number] = offset + 1
        headers = [*event.headers(), *more]
        return self.refuse(Record(place, number, offset, self._now_ms, event.key, event.data, headers), reasons, agency)

    def refuse(self, record: Record, reasons: Sequence[Reason], agency: str | None, *, by: str = "gateway") -> Record:
        """A process of the bus refuses this record."""
        source = self.city.source_of(by)
        outputs = rejection(record, reasons, sender=agency, by=source, now=self.now, tell_sender=False)
        number = record.partition
        records = [self._append(REJECTED, number, output.key, output.value, output.headers) for output in outputs]
        self._end_transaction(number, REJECTED)
        return records[0]

    # -- a usual case

    def repair(self, case: str | int, *, service: str, area: str, steps: int = 99, estimate: str = "1000") -> None:
        """A repair as it goes when everybody does their part, up to `steps` agency's events."""
        city, holder = self.city, self.city.candidates(service, area)[0]
        cost = Money(amount=estimate, currency=city.currency)
        bounds = city.bounds
        place = Point(type="Point", coordinates=((bounds.west + bounds.east) / 2, (bounds.south + bounds.north) / 2))
        request = RequestSubmitted(
            service_code=service, area=area, description="A hole", location=place, reporter=Reporter(**PERSONAL)
        )
        said: list[tuple[str, EventData]] = [
            (city.citizens_channel, request),
            (holder, RequestAcknowledged(estimate=cost)),
        ]
        threshold = city.agencies[holder].approval_threshold
        if threshold is not None and cost.decimal > Decimal(threshold.amount):
            said.append((city.approver, ApprovalGranted(amount=cost, decided_by=PERSONAL["name"])))
        said += [
            (holder, WorkOrderAccepted()),
            (holder, WorkOrderStarted()),
            (holder, WorkOrderCompleted(cost=cost)),
            (city.inspector_of(area), WorkOrderInspected(inspector=PERSONAL["name"])),
            (city.citizens_channel, RequestRated(score=5)),
        ]
        for agency, data in said[:steps]:
            self.say(agency, data, case=case)

    # -- writing

    @property
    def _now_ms(self) -> int:
        return int(self.now.timestamp() * 1000)

    def _append(
        self,
        topic: str,
        number: int,
        key: bytes | None,
        value: bytes | None,
        headers: Sequence[tuple[str, bytes | None]],
    ) -> Record:
        offset = self._ends.get((topic, number), 0)
        self._ends[topic, number] = offset + 1
        record = Record(topic, number, offset, self._now_ms, key, value, headers)
        self.records.append(record)
        return record

    def _end_transaction(self, number: int, topic: str = EVENTS) -> None:
        """A marker takes an offset too."""
        self._ends[topic, number] = self._ends.get((topic, number), 0) + 1

    def _play(self, number: int, records: list[Record]) -> None:
        """The stage takes these, and all that follows from them in any partition."""
        while records:
            records = self._commit(number, self._stages[number].decide(records, self.now))
            for other in sorted({record.partition for record in records} - {number}):  # messages to other cases
                self._play(other, [record for record in records if record.partition == other])
            records = [record for record in records if record.partition == number]

    def _commit(self, number: int, decided: Decided) -> list[Record]:
        self._stages[number].apply(decided)
        own, written = [], set[tuple[int, str]]()
        for output in decided.outputs:
            if output.topic in (EVENTS, REJECTED):
                place = output.partition if output.partition is not None else partition_for(output.key, self.partitions)
                record = self._append(output.topic, place, output.key, output.value, output.headers)
                written.add((place, output.topic))
                own += [record] if output.topic == EVENTS else []
        for place, topic in sorted(written):
            self._end_transaction(place, topic)
        return own

    def state(self, case: str | int) -> str | None:
        """The state that the workflows stage has the case in."""
        id = self.case_id(case)
        memory = self._stages[partition_for(id.encode(), self.partitions)].memory
        found = memory.cases.get(id) or memory.closed_case(id)
        return found.state if found is not None else None
