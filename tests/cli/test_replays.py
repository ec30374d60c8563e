"""The word that a case runs again is said once, whatever is killed, and whoever waits for it goes by it alone."""

from __future__ import annotations

import asyncio
import signal
import sys
import time
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

import pytest
from aiokafka import AIOKafkaConsumer, TopicPartition

from bus.acting import Became, Watch
from bus.repairing import replay_of
from bus.topics import EVENTS
from schemas.envelope import Event
from schemas.registry import EventData, registry
from schemas.types.cases import CaseParked, CaseReplayed
from schemas.types.requests import RequestAcknowledged, RequestForwarded, RequestSubmitted
from schemas.types.workorders import WorkOrderAccepted
from services.workflows.repair import joint as repair_module
from services.workflows.repair import repair
from tests.cli.command import found
from tests.cli.running import casebook, until
from tests.support.bus import SmallBus
from tests.support.logbook import Logbook

pytestmark = [pytest.mark.kafka, pytest.mark.slow, pytest.mark.usefixtures("quiet")]

REPLAYED = CaseReplayed.registered.name


@pytest.fixture
def logbook(bus: SmallBus) -> Logbook:
    return Logbook(bus.city)


async def test_a_stage_killed_between_the_words_of_a_replay_and_their_commit_says_them_once(
    bus: SmallBus, logbook: Logbook, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    channel, service = bus.city.citizens_channel, sorted(bus.city.services)[0]
    holder = bus.city.candidates(service, bus.city.area)[0]
    submitted = RequestSubmitted(service_code=service, area=bus.city.area)
    first = [logbook.say(channel, submitted, case=number) for number in range(3)]
    then = [logbook.say(holder, RequestAcknowledged(), case=number) for number in range(3)]
    async with casebook(bus, tmp_path, monkeypatch), bus.running("gateway"):
        with monkeypatch.context() as broken:
            broken.setattr(repair_module, "order", lambda *_, **__: 1 / 0)
            async with bus.running("workflows"):
                await bus.publish(channel, *first)
                await until(lambda: len(found("case", "list")["cases"]) == 3)
                await bus.publish(holder, *then)
                await until(lambda: len(found("parked", "list")["parked"]) == 3)
        replays = [
            replay_of(bus.city, event.subject, event_id=event.id, by=name, reason="mended")
            for name in ("ops-1", "ops-2")
            for event in then
        ]
        async with dying(bus) as stage:
            await bus.publish("operations", *replays)
            assert await asyncio.wait_for(stage.wait(), 60) == -signal.SIGKILL
        assert await words_of_replays(bus, "read_committed") == [], "what was not committed counts"
        written = await words_of_replays(bus, "read_uncommitted")
        assert written, "it was killed too early, so the test proves nothing"
        async with bus.running("workflows"):
            await until(lambda: len(found("rejected", "list")["rejected"]) == 3)
        log = await words_of_replays(bus, "read_committed")
        assert {case["state"] for case in (await asyncio.to_thread(found, "case", "list"))["cases"]} == {"ordered"}
    assert sorted(event.subject for event in log) == sorted(logbook.case_id(number) for number in range(3))
    assert {event.id for event in written} <= {event.id for event in log}, "said again under another id"
    assert {registry.get(event.type).read(event.data).by for event in log} == {"ops-1"}


async def test_a_case_that_is_parked_anew_right_after_its_replay_is_not_told_as_having_failed_again(
    bus: SmallBus, logbook: Logbook, monkeypatch: pytest.MonkeyPatch
) -> None:
    channel, service = bus.city.citizens_channel, sorted(bus.city.services)[0]
    holder = bus.city.candidates(service, bus.city.area)[0]
    said_ = (
        (channel, RequestSubmitted(service_code=service, area=bus.city.area)),
        (holder, RequestAcknowledged()),
        (holder, WorkOrderAccepted()),
    )
    first, second, third = [(agency, logbook.say(agency, data, case="anew")) for agency, data in said_]
    failing = {RequestAcknowledged.registered.name}
    decide = repair.decide
    monkeypatch.setattr(
        repair, "decide", lambda case, type_, *_: 1 / 0 if type_ in failing else decide(case, type_, *_)
    )
    act = replay_of(bus.city, first[1].subject, event_id=second[1].id, by="ops-1", reason="mended")

    async def until_said(kind: type[EventData], count: int = 1) -> None:
        named = ("ce_type", kind.registered.name.encode())
        await bus.until(EVENTS, lambda log: sum(named in record.headers for record in log) >= count)

    async with bus.running("gateway", "workflows"):
        await bus.publish(*first)
        await until_said(RequestForwarded)
        await bus.publish(*second)
        await until_said(CaseParked)
        failing = {WorkOrderAccepted.registered.name}
        async with Watch(bus.settings) as watch:
            await bus.publish("operations", act)
            await until_said(CaseReplayed)
            await bus.publish(*third)
            await until_said(CaseParked, 2)
            assert await watch.until_seen([act], time.monotonic() + 60) == {act.id: Became("unparked")}


@asynccontextmanager
async def dying(bus: SmallBus) -> AsyncIterator[asyncio.subprocess.Process]:
    """A workflows stage in a process of its own that a replay kills."""
    process = await asyncio.create_subprocess_exec(
        sys.executable, "-m", "tests.support.dying", bus.settings.bootstrap_servers
    )
    try:
        yield process
    finally:
        if process.returncode is None:
            process.kill()
            await process.wait()


async def words_of_replays(bus: SmallBus, isolation: str) -> list[Event]:
    """What stands in the log of cases that run again, committed or as it was written."""
    consumer = AIOKafkaConsumer(
        bootstrap_servers=bus.settings.bootstrap_servers, isolation_level=isolation, auto_offset_reset="earliest"
    )
    await consumer.start()
    places = [TopicPartition(EVENTS, number) for number in range(bus.settings.partitions)]
    consumer.assign(places)
    found_: list[Event] = []
    while records := await consumer.getmany(timeout_ms=1000):
        for record in (record for batch in records.values() for record in batch):
            event = Event.from_record(list(record.headers), record.value)
            found_ += [event] if event.type == REPLAYED else []
    await consumer.stop()
    return found_
