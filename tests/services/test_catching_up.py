"""An agency that subscribes late is brought what it has missed, once, marked as history, as far as it may read it."""

from __future__ import annotations

import asyncio
import json

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from bus.catching_up import CatchUpSettings, CaughtUp, Missed, catch_up
from bus.city import City
from bus.city.model import Subscription
from bus.kafka.errors import Fenced
from bus.records import Output, Record
from bus.topics import EVENTS, in_topic
from deploy.local.kafka import LocalKafka
from schemas.envelope import Event
from schemas.identifiers import derived_id
from schemas.types.requests import RequestSubmitted
from schemas.values import Reporter
from tests.city.control import harbour
from tests.support.bus import SmallBus
from tests.support.counting import settings_for

SUBMITTED = "subak.request.submitted.v1"
LATE = CatchUpSettings(name="catch-up-1", events_per_second_max=100_000)


def with_subscription(city: City, agency: str, subscription: Subscription) -> City:
    """The city in which the agency subscribes to one thing more."""
    fields = {name: getattr(city, name) for name in City.model_fields}
    own = city.agencies[agency]
    mine = {name: getattr(own, name) for name in type(own).model_fields}
    changed = type(own)(**{**mine, "subscribes": (*own.subscribes, subscription)})
    return City(**{**fields, "agencies": {**city.agencies, agency: changed}})


def record(event: Event, offset: int, topic: str = EVENTS) -> Record:
    return Record(topic, 0, offset, 1000 * offset, event.key, event.data, event.headers())


def case_record(case: str, state: str) -> Record:
    return Record("city-cases", 0, 0, 0, case.encode(), json.dumps({"state": state}).encode(), [])


CASES = [derived_id("late", str(number)) for number in range(4)]
EVENT_SETS = st.lists(st.tuples(st.sampled_from(CASES), st.booleans(), st.booleans()), max_size=20)


@settings(deadline=None)
@given(EVENT_SETS, st.sets(st.sampled_from(CASES)), st.booleans())
def test_what_was_missed_is_brought_once_and_nothing_else(
    log: list[tuple[str, bool, bool]], closed: set[str], closed_too: bool
) -> None:
    wanted = CatchUpSettings(name="catch-up-1", closed_too=closed_too)
    told = CaughtUp()
    missed = Missed(harbour(), "archive", wanted, told)
    for case in CASES:
        missed.case(case_record(case, "received"))
    for case in closed:
        missed.case(case_record(case, "closed"))
    expected = []
    for number, (case, sent_before, is_history) in enumerate(log):
        event = Event(
            id=f"e-{number}", type=SUBMITTED, source="urn:subak:harbour:desk", subject=case, jurisdiction="h-1",
            time="2026-11-24T08:00:00Z", data=b'{"reporter":{"name":"Made"}}', history="old" if is_history else None,
        )  # fmt: skip
        if sent_before:
            missed.has(record(event, number, in_topic("archive")))
        elif not is_history and (closed_too or case not in closed):
            expected.append(event.id)
    events = [
        Event(
            id=f"e-{number}", type=SUBMITTED, source="urn:subak:harbour:desk", subject=case, jurisdiction="h-1",
            time="2026-11-24T08:00:00Z", data=b'{"reporter":{"name":"Made"}}', history="old" if is_history else None,
        )
        for number, (case, _, is_history) in enumerate(log)
    ]  # fmt: skip
    for _ in range(2):  # the log read twice over: a copy that was made is not made again
        copies = [copy for number, event in enumerate(events) if (copy := missed.copy(record(event, number)))]
        assert [ids(copy) for copy in copies] == [(id, "catch-up-1") for id in expected]
        assert all(copy.topic == in_topic("archive") and b"Made" not in (copy.value or b"") for copy in copies)
        expected = []
    assert told.covered == told.there + told.of_closed + told.brought


def ids(output: Output) -> tuple[str, str | None]:
    event = Event.from_record(output.headers, output.value)
    return event.id, event.history


# -- on Kafka


@pytest.fixture
async def bus(kafka: LocalKafka) -> SmallBus:
    found = SmallBus(settings_for(kafka.bootstrap_servers))
    await found.prepare()
    return found


def requests(bus: SmallBus, first: int, count: int) -> list[Event]:
    service = sorted(bus.city.services)[0]
    reporter = Reporter(name="Ana Secret", phone="+1 555 0100")
    data = RequestSubmitted(service_code=service, area=bus.city.area, reporter=reporter)
    return [
        Event.of(
            data, id=f"r-{number}", source=bus.city.source_of(bus.city.citizens_channel),
            subject=derived_id("late", f"case-{number}"), time="2026-11-24T08:00:00-08:00",
        )
        for number in range(first, first + count)
    ]  # fmt: skip


@pytest.mark.kafka
async def test_a_late_subscriber_hears_all_of_it_exactly_once_whatever_runs_beside(bus: SmallBus) -> None:
    late = next(id for id in sorted(bus.city.agencies) if not bus.city.entitled(id) and id != "operations")
    before = bus.city
    async with bus.running():
        await bus.publish(before.citizens_channel, *requests(bus, 0, 40))
        mark = ("ce_type", SUBMITTED.encode())
        await bus.until(EVENTS, lambda found: sum(mark in one.headers for one in found) >= 40)
        holder = before.candidates(sorted(before.services)[0], before.area)[0]
        await bus.until(in_topic(holder), lambda found: len(found) >= 40)
    assert await heard(bus, late) == []

    bus.city = with_subscription(before, late, Subscription(types=(SUBMITTED,), relation="all"))
    async with bus.running():  # with the new files, and events come while it is caught up
        await bus.publish(before.citizens_channel, *requests(bus, 40, 20))
        found = await asyncio.gather(
            *(catch_up(bus.city, bus.settings, late, LATE) for _ in range(2)), return_exceptions=True
        )
        assert all(isinstance(one, (CaughtUp, Fenced)) for one in found), found
        await bus.until(in_topic(late), lambda records: len(records) >= 20)
        await catch_up(bus.city, bus.settings, late, LATE)
        again = await catch_up(bus.city, bus.settings, late, LATE)
    assert again.brought == 0
    told = await bus.inbox(late)
    assert sorted(event.id for event in told) == sorted(f"r-{number}" for number in range(60))
    assert {event.id for event in told if event.history is None} == {f"r-{number}" for number in range(40, 60)}
    assert not any(b"Secret" in event.data or b"555" in event.data for event in told)


async def heard(bus: SmallBus, agency: str) -> list[str]:
    return [event.id for event in await bus.inbox(agency) if event.type == SUBMITTED]
