"""On a real Kafka: two cases in two partitions agree by messages, each handed over once, also over a restart."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Sequence

import pytest

from bus.kafka import Output, ensure_topics
from bus.records import Record, partition_for
from bus.topics import EVENTS
from deploy.local.kafka import LocalKafka
from schemas.envelope import Event
from schemas.identifiers import derived_id, new_id
from schemas.registry import EventData, registry
from schemas.types.budgets import (
    BudgetAllocated,
    BudgetAppropriated,
    BudgetCeilingSet,
    BudgetReleased,
)
from schemas.types.cases import MessageRefused
from schemas.types.proposals import (
    DecisionRequested,
    ProposalBudgeted,
    ProposalDropped,
    ProposalEndorsed,
    ProposalForwarded,
    ProposalRanked,
    ProposalSubmitted,
)
from tests.support.bus import SmallBus, forget_topics
from tests.support.counting import settings_for
from tests.support.musrenbang import AREA, CITY, DISTRICT, FINANCE, PLANNING, WARD, WORKS, idr

pytestmark = pytest.mark.kafka


def elsewhere(id: str, partitions: int) -> str:
    """The id of a case that lies in another partition than `id`, where there is more than one."""
    for number in range(1000):
        other = derived_id("elsewhere", number)
        if partitions == 1 or partition_for(other.encode(), partitions) != partition_for(id.encode(), partitions):
            return other
    raise AssertionError("no such id")


def events_in(records: Sequence[Record]) -> list[Event]:
    return [Event.from_record(record.headers, record.value) for record in records]


def asks_for(step: str) -> Callable[[Sequence[Record]], bool]:
    """Whether somebody is asked for this step."""

    def enough(records: Sequence[Record]) -> bool:
        asked = [event for event in events_in(records) if event.type == DecisionRequested.registered.name]
        return any(registry.get(event.type).read(event.data).step == step for event in asked)

    return enough


def has(kind: type[EventData], count: int = 1) -> Callable[[Sequence[Record]], bool]:
    return lambda records: sum(event.type == kind.registered.name for event in events_in(records)) >= count


async def test_an_allocation_reaches_its_proposal_once_and_what_is_left_comes_back_once(kafka: LocalKafka) -> None:
    settings = settings_for(kafka.bootstrap_servers)
    partitions = settings.partitions
    bus = SmallBus(settings)
    bus.city = CITY
    await forget_topics(settings)
    await ensure_topics(settings, [])
    proposal = new_id()
    line = elsewhere(proposal, partitions)

    async def said(agency: str, data: EventData, subject: str) -> None:
        event = Event.of(data, source=CITY.source_of(agency), subject=subject, time="2026-11-24T08:00:00+08:00")
        await bus.publish("log", Output(EVENTS, event.key, event.data, event.headers()))

    async with bus.running("workflows"):
        ceiling = BudgetCeilingSet(
            budget_line="1.03.02", name="Drainase", fiscal_year=2027, amount=idr(1000), agency=WORKS, area="51.71"
        )
        await said(FINANCE, ceiling, line)
        await said(FINANCE, BudgetAppropriated(amount=idr(800)), line)
        await said(WARD, ProposalSubmitted(title="Saluran air", service_code="drain", area=AREA), proposal)
        for agency, data in (
            (WARD, ProposalEndorsed()),
            (WARD, ProposalRanked(rank=1)),
            (WARD, ProposalForwarded(agency=DISTRICT)),
            (DISTRICT, ProposalRanked(rank=1)),
            (DISTRICT, ProposalForwarded(agency=PLANNING)),
            (PLANNING, ProposalRanked(rank=1)),
        ):
            await said(agency, data, proposal)
        await bus.until(EVENTS, asks_for("budget"))
        money = BudgetAllocated(proposal=proposal, amount=idr(300), agency=WORKS, allocation_id="A-1")
        await said(FINANCE, money, line)
        await bus.until(EVENTS, asks_for("procure"))
        nobody = BudgetAllocated(proposal=new_id(), amount=idr(300), agency=WORKS, allocation_id="A-2")
        await said(FINANCE, nobody, line)
        await bus.until(EVENTS, has(MessageRefused))
    await said(PLANNING, ProposalDropped(reason="Banjir."), proposal)
    async with bus.running("workflows"):
        await bus.until(EVENTS, has(BudgetReleased))
        rest = BudgetAllocated(proposal=new_id(), amount=idr(800), agency=WORKS, allocation_id="A-3")
        await said(FINANCE, rest, line)
        log = await bus.until(EVENTS, has(MessageRefused, 2))

    events = events_in(log)
    assert max(Counter((event.source, event.id) for event in events).values()) == 1
    assert Counter(event.type.split(".")[2] for event in events if event.recipient == "workflows") == {
        "budgeted": 3, "messagerefused": 2, "released": 1,
    }  # fmt: skip
    for record, event in zip(log, events, strict=True):
        assert record.partition == partition_for(event.key, partitions), "a case's events stand in one partition"
    (told,) = [
        event for event in events if event.type == ProposalBudgeted.registered.name and event.subject == proposal
    ]
    (cause,) = [event for event in events if event.id == told.causationid]
    assert (cause.subject, cause.type) == (line, BudgetAllocated.registered.name)
