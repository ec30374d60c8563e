"""What happened before an agency was on the bus is kept and shown, and nobody is told, asked or reminded of it."""

from __future__ import annotations

from datetime import UTC, datetime

import msgspec
import pytest

from bus.records import Record
from bus.topics import CASES, EVENTS, REJECTED, in_topic
from deploy.local.kafka import LocalKafka
from schemas.envelope import Event
from schemas.identifiers import derived_id
from schemas.registry import registry
from schemas.types.requests import RequestCommented, RequestSubmitted
from services.casebook.projection import Known, project
from services.workflows.catalogue import WORKFLOWS
from services.workflows.logic import Workflows
from tests.support.bus import SmallBus
from tests.support.counting import settings_for

pytestmark = pytest.mark.kafka

CASE = derived_id("history", "case")
LIVE = derived_id("history", "live")
THEN = "2019-03-01T08:00:00-08:00"


@pytest.fixture
async def bus(kafka: LocalKafka) -> SmallBus:
    found = SmallBus(settings_for(kafka.bootstrap_servers))
    await found.prepare()
    return found


def event(bus: SmallBus, data: RequestSubmitted | RequestCommented, id: str, case: str, history: str | None) -> Event:
    channel = bus.city.source_of(bus.city.citizens_channel)
    found = Event.of(data, id=id, source=channel, subject=case, time=THEN)
    return msgspec.structs.replace(found, history=history)


def request(bus: SmallBus, id: str, case: str = CASE, history: str | None = "complaints-2019") -> Event:
    data = RequestSubmitted(service_code=sorted(bus.city.services)[0], area=bus.city.area)
    return event(bus, data, id, case, history)


def comment(bus: SmallBus, id: str, case: str = CASE, history: str | None = "complaints-2019") -> Event:
    return event(bus, RequestCommented(text=id), id, case, history)


async def reasons(bus: SmallBus, count: int) -> dict[str | None, list[str]]:
    records = await bus.until(REJECTED, lambda found: len(found) >= count)
    told = [registry.get("subak.event.rejected.v1").read(record.value or b"") for record in records]
    return {one.event_id: [reason.code for reason in one.reasons] for one in told}


async def heard(bus: SmallBus) -> list[Event]:
    """All that any agency was sent."""
    return [event for agency in bus.city.agencies for event in await bus.inbox(agency)]


async def test_history_is_in_the_log_and_the_casebook_and_nobody_hears_of_it(bus: SmallBus) -> None:
    channel = bus.city.citizens_channel
    async with bus.running():
        await bus.publish(channel, request(bus, "old-1"), comment(bus, "old-2"), request(bus, "now-1", LIVE, None))
        holder = bus.city.candidates(sorted(bus.city.services)[0], bus.city.area)[0]
        await bus.until(in_topic(holder), bool)  # what happens now goes its way, and all before it in the log went too
        await bus.until(EVENTS, lambda found: len(found) >= 4)
    log = await bus.read(EVENTS)
    of_case = [record for record in log if record.key == CASE.encode()]
    assert [Event.from_record(one.headers, one.value) for one in of_case] == [
        request(bus, "old-1"),
        comment(bus, "old-2"),
    ]
    assert {one.subject for one in await heard(bus)} == {LIVE}
    case = project(log, Known({}, {}, {})).cases[CASE]
    assert (case.state, case.outcome, case.workflow, case.events) == ("closed", "history", "history@1", 2)
    assert (case.opened_at[:10], case.due_at, case.answer_by, case.holder) == ("2019-03-01", None, None, None)


async def test_history_never_moves_a_case_that_lives_and_no_live_event_wakes_history(bus: SmallBus) -> None:
    channel = bus.city.citizens_channel
    async with bus.running("gateway", "workflows"):
        await bus.publish(channel, request(bus, "old-1"), request(bus, "now-1", LIVE, None))
        await bus.until(CASES, lambda found: len(found) >= 2)
    async with bus.running("gateway", "workflows"):  # remembered across a restart
        await bus.publish(
            channel,
            comment(bus, "late-history", LIVE),
            comment(bus, "live-on-history", CASE, None),
            comment(bus, "history-of-nothing", derived_id("history", "unknown")),
            comment(bus, "more-history"),
        )
        found = await reasons(bus, 3)
        await bus.until(EVENTS, lambda log: any(b"more-history" in (one.value or b"") for one in log))
    assert found == {
        "late-history": ["not_history"],
        "live-on-history": ["case_closed"],
        "history-of-nothing": ["unknown_case"],
    }
    case = project(await bus.read(EVENTS), Known({}, {}, {})).cases[LIVE]
    assert case.workflow != "history@1"


async def test_history_is_held_to_the_same_rules_at_the_gateway(bus: SmallBus) -> None:
    channel = bus.city.citizens_channel
    bad = request(bus, "bad-name")
    async with bus.running("gateway"):
        await bus.publish(
            channel,
            msgspec.structs.replace(bad, history="Not A Name"),
            msgspec.structs.replace(bad, id="bad-source", source=bus.city.source_of("public-works")),
            msgspec.structs.replace(bad, id="bad-data", data=b'{"service_code":"none","area":"none"}'),
        )
        found = await reasons(bus, 3)
    assert len(await bus.read(EVENTS)) == 0
    assert found["bad-name"] == ["malformed"]
    assert "wrong_source" in found["bad-source"]
    assert "unknown_service" in found["bad-data"]


async def test_a_case_of_history_has_no_timer_and_sends_nothing(bus: SmallBus) -> None:
    logic = Workflows(0, city=bus.city, workflows=WORKFLOWS)
    sent = [request(bus, "old-1"), comment(bus, "old-2")]
    records = [Record(EVENTS, 0, place, 0, one.key, one.data, one.headers()) for place, one in enumerate(sent)]
    decided = logic.decide(records, datetime(2026, 11, 24, tzinfo=UTC))
    assert [output.topic for output in decided.outputs] == [CASES]
    logic.apply(decided)
    assert logic.next_due() is None
    assert logic.sizes()["live"] == 0
