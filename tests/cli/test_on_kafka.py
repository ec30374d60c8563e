"""An operator sees the log, the lag and a refused record as Kafka has them, and lets a parked case run again."""

from __future__ import annotations

import asyncio
import json
from operator import itemgetter
from pathlib import Path
from typing import Any

import pytest

from bus.kafka import Output, TransactionalProducer
from bus.topics import EVENTS
from schemas.failures import Misconfigured, Unprocessable
from schemas.types.requests import RequestAcknowledged, RequestCommented, RequestSubmitted
from schemas.types.workorders import WorkOrderAccepted
from schemas.values import Reporter
from services.cli.tail import Wanted, _start_ms
from services.workflows.repair import joint as repair_module
from services.workflows.repair import repair
from tests.cli.command import found, run, said
from tests.cli.running import casebook, until
from tests.support.bus import SmallBus
from tests.support.logbook import PERSONAL, Logbook

pytestmark = [pytest.mark.kafka, pytest.mark.usefixtures("quiet")]


@pytest.fixture
def logbook(bus: SmallBus) -> Logbook:
    found = Logbook(bus.city)
    service = sorted(bus.city.services)[0]
    for number in range(5):
        found.repair(number, service=service, area=bus.city.area, steps=number + 1)
    return found


async def write(bus: SmallBus, logbook: Logbook) -> None:
    """Put the log's records into Kafka."""
    producer = TransactionalProducer(bus.settings, transactional_id="test-log")
    await producer.start()
    outputs = [
        Output(
            record.topic, record.key or b"", record.value, [(n, v or b"") for n, v in record.headers], record.partition
        )
        for record in logbook.records
    ]
    await producer.commit(outputs, {}, "test")
    await producer.stop()


async def lines(*options: str) -> list[dict[str, Any]]:
    """What `tail --json --no-follow` says."""
    result = await asyncio.to_thread(run, "tail", "--no-follow", "--json", *options)
    assert result.exception is None, result.exception
    return [json.loads(line) for line in result.output.splitlines()]


async def test_tail_shows_every_event_of_the_log_and_its_filters_choose(bus: SmallBus, logbook: Logbook) -> None:
    await write(bus, logbook)
    everything = await lines()
    assert len(everything) == len([record for record in logbook.records if record.topic == EVENTS])
    submitted = await lines("--type", "request.submitted")
    assert {line["type"] for line in submitted} == {"subak.request.submitted.v1"}
    assert len(submitted) == 5
    assert len(await lines("--type", "subak.request.*")) == len(await lines("--type", "request.*")) > 5
    one = logbook.case_id(4)
    assert {line["subject"] for line in await lines("--case", one[:8])} == {one}
    holder = bus.city.candidates(sorted(bus.city.services)[0], bus.city.area)[0]
    told = await lines("--agency", holder)
    assert any(line.get("recipient") == holder for line in told)
    assert any(line["source"].endswith(f":{holder}") for line in told)
    place = itemgetter("partition", "offset")
    assert sorted(await lines("--since", "1h"), key=place) == sorted(everything, key=place)
    await asyncio.sleep(1.5)
    assert await lines("--since", "1s") == []


async def test_tail_shows_no_personal_field(bus: SmallBus, logbook: Logbook) -> None:
    await write(bus, logbook)
    for options in ((), ("--json",)):
        result = await asyncio.to_thread(run, "tail", "--no-follow", *options)
        assert result.exception is None
        assert logbook.case_id(1) in result.output
        assert not [value for value in PERSONAL.values() if value in result.output]


async def test_tail_of_a_topic_that_is_not_there_is_refused(bus: SmallBus) -> None:
    result = await asyncio.to_thread(run, "tail", "--no-follow", "--topic", "city-evens")
    assert isinstance(result.exception, Misconfigured)
    assert str(result.exception) == 'the cluster has no topic city-evens. Did you mean "city-events"?'


@pytest.mark.parametrize(
    ("since", "follow", "start"), [("10m", True, 400_000), ("all", True, 0), (None, False, 0), (None, True, None)]
)
def test_tail_begins_where_it_is_told(since: str | None, follow: bool, start: int | None) -> None:
    assert _start_ms(since, follow=follow, now=1000) == start


@pytest.mark.parametrize("since", ["10", "yesterday", "-1h", "1w"])
def test_tail_refuses_a_span_that_is_none(since: str) -> None:
    with pytest.raises(Misconfigured, match="write 30s, 10m, 2h, 3d, or all"):
        _start_ms(since, follow=True, now=0)


def test_tail_knows_an_agency_s_events_by_sender_recipient_and_party(bus: SmallBus) -> None:
    event = Logbook(bus.city).say(bus.city.citizens_channel, RequestCommented(text="x"), case=1)
    assert Wanted(agency=bus.city.citizens_channel).takes(event)
    assert not Wanted(agency="nobody").takes(event)
    assert Wanted(type="*.commented").takes(event)
    assert Wanted(type="commented").takes(event)
    assert not Wanted(type="subak.workorder.*").takes(event)


async def test_lag_tells_what_waits_for_whom_and_nothing_once_it_is_read(
    bus: SmallBus, logbook: Logbook, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    channel, service = bus.city.citizens_channel, sorted(bus.city.services)[0]
    request = RequestSubmitted(service_code=service, area=bus.city.area)
    for number in range(3):
        await bus.publish(channel, logbook.say(channel, request, case=f"new {number}"))

    def by_process() -> dict[str, dict[str, Any]]:
        return {row["process"]: row for row in found("lag")["processes"]}

    first = await asyncio.to_thread(by_process)
    assert first["gateway"]["lag_records"] == 3, "markers are no records"
    assert first["gateway"]["lag_seconds"] > 0
    assert first["workflows"]["lag_records"] == 0
    async with bus.running("gateway"):
        await until(lambda: by_process()["gateway"]["lag_records"] == 0)
    waiting = await asyncio.to_thread(by_process)
    assert [waiting[name]["lag_records"] for name in ("workflows", "router", "casebook")] == [3, 3, 3]
    shown = await asyncio.to_thread(said, "lag", "--partitions")
    assert f"workflows {EVENTS}" in shown
    assert "router 3" in shown
    async with casebook(bus, tmp_path, monkeypatch), bus.running():
        await until(lambda: all(row["lag_records"] == 0 for row in by_process().values()))
        case = logbook.case_id("new 1")
        by_place = await asyncio.to_thread(found, "route", "explain", f"{case[:8]}#2")
        by_id = await asyncio.to_thread(found, "route", "explain", by_place["event"]["id"])
        shown = await asyncio.to_thread(said, "route", "explain", f"{case}#2")
    partitions = (await asyncio.to_thread(found, "lag"))["partitions"]
    assert set(partitions[0]) == {
        "process", "topic", "partition", "position", "end", "lag_records", "lag_seconds",
    }  # fmt: skip
    assert "Nothing waits anywhere." in await asyncio.to_thread(said, "lag", "-p")
    holder = bus.city.candidates(service, bus.city.area)[0]
    assert by_place == by_id
    assert (by_place["event"]["subject"], by_place["event"]["recipient"]) == (case, holder)
    assert holder in by_place["hears"]
    for words in ("said by workflows, a process of the bus", f"addressed to {holder}", f"case {case}"):
        assert words in shown


async def test_a_refused_record_can_be_read_whole_from_kafka(
    bus: SmallBus, logbook: Logbook, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    channel = bus.city.citizens_channel
    request = RequestSubmitted(service_code="no-such", area=bus.city.area, reporter=Reporter(**PERSONAL))
    sent = logbook.say(channel, request, case="refused")
    async with casebook(bus, tmp_path, monkeypatch), bus.running("gateway"):
        await bus.publish(channel, sent)
        await until(lambda: found("rejected", "list")["rejected"])
        [row] = await asyncio.to_thread(lambda: found("rejected", "list")["rejected"])
        assert PERSONAL["name"] not in await asyncio.to_thread(said, "rejected", "show", row["id"])
        whole = await asyncio.to_thread(found, "rejected", "show", row["id"], "--original")
        assert json.loads(whole["whole"]["value"])["reporter"] == PERSONAL
        assert {"name": "ce_id", "value": sent.id} in whole["whole"]["headers"]
        assert PERSONAL["name"] in await asyncio.to_thread(said, "rejected", "show", row["id"], "--original")


async def test_a_parked_case_is_replayed_and_what_became_of_it_is_told(
    bus: SmallBus, logbook: Logbook, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    channel, service = bus.city.citizens_channel, sorted(bus.city.services)[0]
    holder = bus.city.candidates(service, bus.city.area)[0]
    id = logbook.case_id("parked")
    said_ = [
        (channel, RequestSubmitted(service_code=service, area=bus.city.area)),
        (holder, RequestAcknowledged()),
        (holder, WorkOrderAccepted()),
    ]
    events = [(agency, logbook.say(agency, data, case="parked")) for agency, data in said_]
    async with casebook(bus, tmp_path, monkeypatch), bus.running("gateway", "workflows"):
        with monkeypatch.context() as broken:
            broken.setattr(repair_module, "order", lambda *_, **__: 1 / 0)
            for agency, event in events:
                await bus.publish(agency, event)
                await until(lambda: len(found("case", "list")["cases"]) == 1)
                await asyncio.sleep(0.5)  # the gateway reads topics side by side: let one event be in before the next
            await until(lambda: found("parked", "list")["parked"])
            told = await asyncio.to_thread(said, "parked", "show", id[:8], "--original")
            meaning = repair.meanings["forwarded"]
            assert f"To {repair.id} it stands in forwarded. {meaning['en']}" in told, "the answer was not taken yet"
            whole = await asyncio.to_thread(found, "parked", "show", id[:8], "--original")
            assert (whole["workflow"], whole["state"], whole["state_means"]) == (repair.id, "forwarded", meaning)
            again = ("parked", "replay", id[:8], "--json", "--reason", "too early")
            result = await asyncio.to_thread(run, *again)
            assert json.loads(result.output)["acts"][0]["outcome"] == "failed_again"
            assert result.exit_code == 1
        await until(lambda: found("parked", "list")["parked"])
        told = await asyncio.to_thread(said, "parked", "replay", id, "--reason", "mended", "--by", "ops-1")
        assert "1 runs again." in told
        await until(lambda: not found("parked", "list")["parked"])
        entries = (await asyncio.to_thread(found, "case", "show", id))["timeline"]
        replays = [entry for entry in entries if entry["type"] == "subak.case.replayrequested.v1"]
        assert [entry["agency"] for entry in replays] == ["operations"] * 2
        event_id = events[1][1].id
        assert replays[1]["data"] == {"reason": "mended", "by": "ops-1", "event_id": event_id}
        [word] = [entry for entry in entries if entry["type"] == "subak.case.replayed.v1"]
        assert word["causationid"] == replays[1]["event_id"], "the one that failed again says that the case runs"
        assert word["data"] == {
            "act_type": "subak.case.replayrequested.v1", "by": "ops-1", "reason": "mended",
            "events": 2, "event_ids": [event.id for _, event in events[1:]],
        }  # fmt: skip
        assert "Runs again, events run: 2: mended" in await asyncio.to_thread(said, "case", "show", id)
        result = await asyncio.to_thread(run, "parked", "replay", id, "--reason", "once more")
        assert isinstance(result.exception, Unprocessable)
