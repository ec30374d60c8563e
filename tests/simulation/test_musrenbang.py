"""The demo's round of proposals and permits: every one comes to its end, with the real workflows, over partitions."""

from __future__ import annotations

import heapq
import json

import pytest

from bus.city import City, city_path, load_city
from deploy.simulation.behaviour import Heard, random_for
from deploy.simulation.musrenbang import line_of, planned, proposal_of, react
from deploy.simulation.phrasebook import load_phrasebook
from deploy.simulation.roster import roster
from schemas.envelope import Event
from schemas.registry import registry
from schemas.types.permits import PermitClosed, PermitIssued
from schemas.types.proposals import ProposalClosed
from tests.support.partitions import Partitions


class Round(Partitions):
    """A city in memory in which the simulated agencies answer what the stage asks of them."""

    def __init__(self, city: City, *, seed: int, proposals: int, permits: int) -> None:
        super().__init__(city)
        agencies = roster(city, load_phrasebook(city_path(city.id), city))
        due: list[tuple[float, int, str, str, str, str]] = []
        count = 0
        round_ = planned(city, seed=seed, proposals=proposals, permits=permits, starts_at=0.0)
        for sender, (_, case, _, post, at) in round_:
            heapq.heappush(due, (at, count := count + 1, sender, case, post.type, json.dumps(post.data)))
        seen = 0
        while due:
            now, _, sender, case, type_, data = heapq.heappop(due)
            assert city.may_publish(sender, type_, None) is None, (sender, type_)
            self.say(sender, registry.get(type_).read_strictly(data.encode()), case)
            self.settle()
            written = self.events()
            for event in written[seen:]:
                for hears in [event.recipient] if event.recipient in agencies else []:
                    rng = random_for(seed, event.subject, hears, event.type, 0)
                    for delay, post in react(agencies[hears], heard(event), rng):
                        to = post.case or event.subject
                        entry = (now + delay, count := count + 1, hears, to, post.type, json.dumps(post.data))
                        heapq.heappush(due, entry)
            seen = len(written)


def heard(event: Event) -> Heard:
    return Heard(
        id=event.id, type=event.type, source=event.source, case=event.subject, time=event.time,
        data=json.loads(event.data), recipient=event.recipient,
    )  # fmt: skip


@pytest.mark.parametrize("seed", [1, 2])
def test_every_proposal_and_permit_of_the_round_comes_to_its_end(seed: int) -> None:
    city = load_city(city_path("denpasar"))
    found = Round(city, seed=seed, proposals=8, permits=4)
    assert found.refusals() == []
    outcomes = [end.outcome for end in found.sent(ProposalClosed)]
    assert len(outcomes) == 8
    assert set(outcomes) <= {"realised", "rejected"}
    assert "realised" in outcomes
    assert all(found.case(proposal_of(city, seed, number)).state == "closed" for number in range(1, 9))
    line = found.case(line_of(city))
    assert line.allocations == ()
    assert float(line.spent) > 0
    issued = sum(event.type == PermitIssued.registered.name for log in found.logs for event in map(event_of, log))
    assert issued + len(found.sent(PermitClosed)) == 4


def event_of(record: object) -> Event:
    return Event.from_record(record.headers, record.value)  # type: ignore[attr-defined]


def test_a_city_without_proposals_plays_none() -> None:
    city = load_city(city_path("san-francisco"))
    assert list(planned(city, seed=1, proposals=3, permits=3, starts_at=0.0)) == []
