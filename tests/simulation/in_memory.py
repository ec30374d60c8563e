"""A whole city in memory: the real workflow, the real directory and the simulated agencies, with no Kafka between them.

It delivers perfectly, so what the counts say of its databases must be spotless, until a test spoils something.
"""

from __future__ import annotations

import heapq
import json
from dataclasses import dataclass
from datetime import UTC, datetime
from functools import cache
from pathlib import Path
from typing import Any

from bus.city import City, city_path, load_city
from deploy.simulation.behaviour import Habits, Heard, random_for, react
from deploy.simulation.ledger import Ledger, read_ledgers
from deploy.simulation.phrasebook import Phrasebook, load_phrasebook
from deploy.simulation.records import REJECTED, AgencyRecords, Sent
from deploy.simulation.requests import made_up, plan
from deploy.simulation.roster import roster
from schemas.envelope import Event
from schemas.failures import Reason, Refused
from schemas.identifiers import derived_id
from schemas.registry import registry
from services.workflows.definition import CLOSED, Step, consequence
from services.workflows.repair import RepairCase, repair


@cache
def denpasar() -> tuple[City, Phrasebook]:
    """The shipped city, read once."""
    folder = city_path("denpasar")
    city = load_city(folder)
    return city, load_phrasebook(folder, city)


@dataclass
class Clock:
    """The time in seconds; each delivery takes some."""

    now: float = 1_800_000_000.0

    def tick(self) -> float:
        """A moment later."""
        self.now += 0.001
        return self.now


class InMemoryCity:
    """One city that plays requests until nobody has anything left to say."""

    def __init__(self, *, seed: int = 1, habits: Habits | None = None) -> None:
        self.city, self.book = denpasar()
        self.seed = seed
        self.clock = Clock()
        self.agencies = roster(self.city, self.book, habits)
        self.records = {id: AgencyRecords(Path(":memory:"), id, clock=self.clock.tick) for id in self.agencies}
        self.cases: dict[str, RepairCase] = {}
        self._due: list[tuple[float, int, str, Sent]] = []
        self.steps = 0

    def play(self, count: int, *, steps_max: int = 1_000_000) -> None:
        """Let `count` requests come in, and everybody act until all is said."""
        channel = self.records[self.city.citizens_channel]
        requests = list(made_up(self.city, self.book, count=count, seed=self.seed))
        channel.plan(
            plan(
                requests,
                book=self.book,
                city=self.city,
                seed=self.seed,
                first=1,
                starts_at=self.clock.now,
                per_second=50,
            )
        )
        self._schedule(channel.agency_id, channel.waiting())
        while self._due:
            self.steps += 1
            assert self.steps < steps_max, "the agencies talk without end"
            due_at, _, agency, post = heapq.heappop(self._due)
            self.clock.now = max(self.clock.now, due_at)
            if self.records[agency].is_waiting(post.number):
                self._send(agency, post)

    def ledgers(self) -> dict[str, Ledger]:
        """What all the databases hold."""
        return read_ledgers(self.records.values())

    def close(self) -> None:
        """Let go of the databases."""
        for records in self.records.values():
            records.close()

    def _schedule(self, agency: str, posts: list[Sent]) -> None:
        for post in posts:
            heapq.heappush(self._due, (post.due_at, post.number, agency, post))

    def _send(self, agency: str, post: Sent) -> None:
        data = post.data.encode()
        assert self.city.may_publish(agency, post.type, post.jurisdiction) is None, (agency, post.type)
        registry.get(post.type).read_strictly(data)
        self.records[agency].began(post.number)
        self.records[agency].answered(post.number, accepted=True)
        event = Event(
            id=post.event_id,
            type=post.type,
            source=self.city.source_of(agency),
            subject=post.case,
            time=datetime.fromtimestamp(self.clock.now, UTC).isoformat(),
            data=data,
            jurisdiction=post.jurisdiction,
            causationid=post.cause,
        )
        self._deliver(event)
        for following in self._decide(event, agency):
            self._deliver(following)

    def _decide(self, event: Event, sender: str) -> list[Event]:
        data: Any = registry.get(event.type).read(event.data)
        step = Step(city=self.city, sender=sender, at_ms=int(self.clock.tick() * 1000))
        case = self.cases.get(event.subject)
        try:
            if case is not None and case.state == CLOSED:
                raise Refused([Reason("case_closed", "subject", f"the case {case.id} is closed", "Open another.")])
            decision = repair.open(event, data, step) if case is None else repair.decide(case, event.type, data, step)
        except Refused as refusal:
            self._reject(event, sender, refusal)
            return []
        assert decision is not None
        assert isinstance(decision.case, RepairCase)
        self.cases[event.subject] = decision.case
        source = self.city.source_of("workflows")
        return [
            consequence(
                emission,
                number,
                event,
                decision.case,
                source=source,
                now=datetime.fromtimestamp(self.clock.now, UTC).isoformat(),
            )
            for number, emission in enumerate(decision.emissions)
        ]

    def _deliver(self, event: Event) -> None:
        parties = tuple(event.parties.split(",")) if event.parties else ()
        sender = self.city.agency_of(event.source)
        recipients = self.city.recipients(event.type, event.jurisdiction, event.recipient, parties, sender)
        for agency in recipients:
            if agency in self.records:
                self._hear(agency, _as_heard(event))

    def _reject(self, event: Event, sender: str, refusal: Refused) -> None:
        data = {
            "agency": sender,
            "event_id": event.id,
            "event_type": event.type,
            "reasons": [reason.as_dict() for reason in refusal.reasons],
        }
        notice = Heard(
            id=derived_id(event.id, "rejected"),
            type=REJECTED,
            source=self.city.source_of("workflows"),
            case=event.subject,
            time=event.time,
            data=data,
        )
        self._hear(sender, notice)

    def _hear(self, agency: str, event: Heard) -> None:
        records = self.records[agency]
        file = records.file_of(event.case)
        nth = sum(told.type == event.type for told in file)
        rng = random_for(self.seed, event.case, agency, event.type, nth)
        stored = records.take(event, react(self.agencies[agency], event, rng, file), self.clock.tick())
        assert stored is not None
        self._schedule(agency, stored)


def _as_heard(event: Event) -> Heard:
    return Heard(
        id=event.id,
        type=event.type,
        source=event.source,
        case=event.subject,
        time=event.time,
        data=json.loads(event.data),
        recipient=event.recipient,
        jurisdiction=event.jurisdiction,
        parties=event.parties,
        causation=event.causationid,
    )
