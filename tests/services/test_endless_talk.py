"""Two cases whose workflows answer each other for ever are stopped: one is parked, and the reason names both."""

from __future__ import annotations

from collections.abc import Callable
from datetime import timedelta
from typing import Any

import pytest

from bus.city.model import OPERATIONS
from bus.kafka import Output, ensure_topics
from bus.topics import EVENTS
from deploy.local.kafka import LocalKafka
from schemas.envelope import Event
from schemas.identifiers import derived_id
from schemas.registry import registry
from schemas.types.acts import ReplayRequested
from schemas.types.cases import CaseParked, Message, MessageRefused, TimerFired
from schemas.types.merging import RequestLeft
from schemas.types.requests import RequestCommented, RequestSubmitted
from services.workflows import messages
from services.workflows.deciding import TURNS_MAX
from services.workflows.definition import CaseState, Step, Workflow
from services.workflows.logic import Workflows
from services.workflows.messages import HOPS_MAX
from services.workflows.world import World
from tests.services.test_messages import elsewhere, has
from tests.services.test_repair import AREA, CITIZENS, CITY, SERVICE
from tests.support.bus import SmallBus, forget_topics
from tests.support.counting import settings_for
from tests.support.partitions import Partitions

ONE, TWO = derived_id("endless", "one"), derived_id("endless", "two")
SUBMITTED = RequestSubmitted(service_code=SERVICE, area=AREA)
Tell = Callable[[str, Step, Message], None]


def talkative(answer: Callable[[CaseState, str, Step], None]) -> dict[str, Workflow]:
    """A workflow that begins to talk with the case that a comment names, and answers by `answer`."""
    workflow = Workflow("repair", version=2, case=CaseState, opened_by=RequestSubmitted)

    @workflow.opens
    def opened(event: Event, data: RequestSubmitted, step: Step) -> CaseState:
        return CaseState(id=event.subject, workflow=workflow.id, state="open", correlation=event.id)

    @workflow.on(RequestCommented, states=["open"], to="same")
    def begins(case: CaseState, data: RequestCommented, step: Step) -> CaseState:
        step.tell(data.text, RequestLeft(from_case=case.id))
        return case

    @workflow.on(RequestLeft, states=["open"], to="same")
    def answers(case: CaseState, data: RequestLeft, step: Step) -> CaseState:
        answer(case, data.from_case, step)
        return case

    @workflow.on(MessageRefused, states=["open"], to="same")
    def asks_again(case: CaseState, data: MessageRefused, step: Step) -> CaseState:
        answer(case, data.from_case, step)
        return case

    @workflow.on_timer("later", states=["open"], to="same")
    def later(case: CaseState, data: TimerFired, step: Step) -> CaseState:
        answer(case, TWO if case.id == ONE else ONE, step)
        return case

    return {workflow.id: workflow}


def at_once(case: CaseState, other: str, step: Step) -> None:
    step.tell(other, RequestLeft(from_case=case.id))


def twice(case: CaseState, other: str, step: Step) -> None:
    at_once(case, other, step)
    at_once(case, other, step)


def a_day_later(case: CaseState, other: str, step: Step) -> None:
    """As a talk over timers goes: each message starts the other's timer, which says the next one."""
    at_once(case, other, step) if step.cause.__class__ is TimerFired else step.start_timer("later", timedelta(days=1))


def between(answer: Callable[[CaseState, str, Step], None], *, second: bool = True) -> Partitions:
    """Two such cases in two partitions, the first of which begins."""
    found = Partitions(CITY)
    found.logics = [Workflows(number, city=CITY, workflows=talkative(answer)) for number in range(3)]
    found.say(CITIZENS, SUBMITTED, ONE)
    if second:
        found.say(CITIZENS, SUBMITTED, TWO)
    found.settle()
    found.say(CITIZENS, RequestCommented(text=TWO), ONE)
    found.settle()
    return found


def parked(found: Partitions) -> list[str]:
    return [id for logic in found.logics for id in logic.memory.parked]


def test_an_endless_talk_ends_with_one_case_parked_and_a_reason_that_names_both() -> None:
    found = between(at_once)
    assert len(found.sent(RequestLeft)) == HOPS_MAX
    (told,) = found.sent(CaseParked)
    assert f"{HOPS_MAX} messages in a row" in told.error
    assert ONE in told.error
    assert TWO in told.error
    assert len(parked(found)) == 1


def test_who_asks_again_after_each_refusal_is_stopped_too() -> None:
    found = between(at_once, second=False)
    assert parked(found) == [ONE]
    assert len(found.sent(RequestLeft)) + len(found.sent(MessageRefused)) == HOPS_MAX


def test_a_talk_that_grows_is_stopped_by_the_number_of_its_messages(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(messages, "MESSAGES_MAX", 500)
    found = between(twice)
    assert len(found.sent(RequestLeft)) <= 500
    assert f"one event led to {500} messages" in found.sent(CaseParked)[0].error
    assert set(parked(found)) <= {ONE, TWO}


def test_a_talk_over_timers_is_stopped_though_neither_hears_nothing() -> None:
    found = between(a_day_later)
    found.wait(timedelta(days=3 * TURNS_MAX))
    assert f"{TURNS_MAX} timers fired in a row" in found.sent(CaseParked)[0].error
    assert len(found.sent(RequestLeft)) <= 2 * TURNS_MAX + 1


def test_an_operator_who_has_looked_may_let_them_go_on_and_they_are_stopped_again() -> None:
    found = between(at_once)
    (id,) = parked(found)
    found.say(OPERATIONS, ReplayRequested(), id)
    found.settle()
    assert len(found.sent(RequestLeft)) == 2 * HOPS_MAX
    assert len(found.sent(CaseParked)) == 2


def test_an_agencys_word_begins_anew() -> None:
    found = between(lambda case, other, step: None)
    for _ in range(3):
        found.say(CITIZENS, RequestCommented(text=TWO), ONE)
        found.settle()
    assert [told.hops for told in found.sent(RequestLeft)] == [1] * 4


def test_the_test_kit_and_the_simulation_stop_it_as_the_stage_does() -> None:
    world = World(CITY, list(talkative(at_once).values()))
    for subject, data in ((ONE, SUBMITTED), (TWO, SUBMITTED), (ONE, RequestCommented(text=TWO))):
        event = Event.of(data, source=CITY.source_of(CITIZENS), subject=subject, time="2026-11-24T08:00:00Z")
        world.take(event, data, 0)
    assert f"{HOPS_MAX} messages in a row" in world.failed.popitem()[1]


@pytest.mark.kafka
async def test_on_kafka_two_cases_that_talk_for_ever_are_stopped_and_others_flow_on(
    kafka: LocalKafka, monkeypatch: pytest.MonkeyPatch
) -> None:
    from tests.support import bus as support

    monkeypatch.setattr(support, "WORKFLOWS", talkative(at_once))
    settings = settings_for(kafka.bootstrap_servers)
    bus = SmallBus(settings)
    bus.city = CITY
    await forget_topics(settings)
    await ensure_topics(settings, [])
    two = elsewhere(ONE, settings.partitions)

    async def said(data: Any, subject: str) -> None:
        event = Event.of(data, source=CITY.source_of(CITIZENS), subject=subject, time="2026-11-24T08:00:00+08:00")
        await bus.publish("log", Output(EVENTS, event.key, event.data, event.headers()))

    async with bus.running("workflows"):
        for subject, data in ((ONE, SUBMITTED), (two, SUBMITTED), (ONE, RequestCommented(text=two))):
            await said(data, subject)
        log = await bus.until(EVENTS, has(CaseParked))
        other = derived_id("endless", "another")
        await said(SUBMITTED, other)
        await said(RequestCommented(text=other), other)
        log = await bus.until(EVENTS, has(CaseParked, 2))
    events = [Event.from_record(record.headers, record.value) for record in log]
    told = [registry.get(event.type).read(event.data) for event in events if event.type == CaseParked.registered.name]
    assert any(ONE in parked.error and two in parked.error for parked in told)
    assert any(f"tells the case {other}" in parked.error for parked in told), "others do not flow on"
