"""What operators do is done once, in each case's order, by name and with a reason; or nothing of it leaves."""

from __future__ import annotations

import asyncio
import json
import sys
from pathlib import Path
from typing import Any

import pytest

from bus.topics import EVENTS
from schemas.failures import SubakError
from schemas.types.cases import CaseReplayed
from schemas.types.requests import RequestAcknowledged, RequestSubmitted
from schemas.types.workorders import WorkOrderAccepted, WorkOrderStarted
from schemas.values import Reporter
from services.workflows.repair import joint as repair_module
from services.workflows.repair import repair
from tests.cli.command import found, run, said
from tests.cli.running import casebook, until
from tests.support.bus import SmallBus
from tests.support.logbook import PERSONAL, Logbook

pytestmark = [pytest.mark.kafka, pytest.mark.slow, pytest.mark.usefixtures("quiet")]

CASES = 50
REPLAYED = CaseReplayed.registered.name


@pytest.fixture
def logbook(bus: SmallBus) -> Logbook:
    return Logbook(bus.city)


async def ask(*arguments: str) -> Any:
    return await asyncio.to_thread(found, *arguments)


async def refused(*arguments: str) -> str:
    """The sentence with which a command does nothing."""
    error = (await asyncio.to_thread(run, *arguments)).exception
    assert isinstance(error, SubakError), error
    return str(error)


async def acts(*arguments: str) -> list[dict[str, Any]]:
    """What became of acts, whatever it was."""
    result = await asyncio.to_thread(run, *arguments, "--json")
    assert not isinstance(result.exception, SubakError), result.exception
    rows: list[dict[str, Any]] = json.loads(result.output)["acts"]
    return rows


async def acts_of_another(*arguments: str) -> list[dict[str, Any]]:
    """The same in a process of its own, as another operator's; none where it came so late that nothing was left."""
    process = await asyncio.create_subprocess_exec(
        sys.executable, "-m", "services.cli", *arguments, "--json", stdout=asyncio.subprocess.PIPE
    )
    written, _ = await process.communicate()
    rows: list[dict[str, Any]] = json.loads(written)["acts"] if written else []
    return rows


def outcomes(rows: list[dict[str, Any]]) -> list[str]:
    return sorted(row["outcome"] for row in rows)


async def test_fifty_parked_cases_run_in_order_after_the_repair_once_though_two_operators_replay_them(
    bus: SmallBus, logbook: Logbook, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    channel, service = bus.city.citizens_channel, sorted(bus.city.services)[0]
    holder = bus.city.candidates(service, bus.city.area)[0]
    submitted = [
        logbook.say(channel, RequestSubmitted(service_code=service, area=bus.city.area), case=number)
        for number in range(CASES)
    ]
    told = [
        logbook.say(holder, data, case=number)
        for data in (RequestAcknowledged(), WorkOrderAccepted(), WorkOrderStarted())
        for number in range(CASES)
    ]
    async with casebook(bus, tmp_path, monkeypatch), bus.running("gateway", "workflows"):
        with monkeypatch.context() as broken:
            broken.setattr(repair_module, "order", lambda *_, **__: 1 / 0)
            await bus.publish(channel, *submitted)
            await until(lambda: len(found("case", "list", "--limit", "100")["cases"]) == CASES)
            await bus.publish(holder, *told)
            await until(lambda: len(found("parked", "list", "--limit", "100")["parked"]) == CASES)
            await until(lambda: all(case["parked"]["waiting"] == 2 for case in found("parked", "list")["parked"]))
            [group] = (await ask("parked", "list", "--by", "cause"))["groups"]
            assert group["cases"] == CASES
            [of_type] = (await ask("parked", "list", "--by", "type"))["groups"]
            assert of_type["event_type"] == "subak.request.acknowledged.v1"
            rehearsed = await acts("parked", "replay", "--cause", group["cause"], "--dry-run")
            assert outcomes(rehearsed) == ["failed_again"] * CASES
        rehearsed = await acts("parked", "replay", "--cause", group["cause"], "--dry-run")
        assert outcomes(rehearsed) == ["unparked"] * CASES
        assert {row["state"] for row in rehearsed} == {"in_progress"}
        assert {(row["workflow"], row["parked_under"]) for row in rehearsed} == {(repair.id, repair.id)}
        assert len((await ask("parked", "list", "--limit", "100"))["parked"]) == CASES, "a rehearsal did something"

        both = [
            acts_of_another("parked", "replay", *which, "--reason", "mended", "--by", name, "--rate", "40")
            for which, name in ((("--cause", group["cause"]), "ops-1"), (("--all",), "ops-2"))
        ]
        first, second = await asyncio.gather(*both)
        ran = [row["case"] for row in (*first, *second) if row["outcome"] == "unparked"]
        assert len(ran) == len(set(ran)) == CASES, "a case ran twice, or not at all"
        assert set(outcomes([*first, *second])) <= {"refused", "unparked"}
        await until(lambda: not found("parked", "list")["parked"])
        for number in (0, 17, CASES - 1):
            whole = await ask("case", "show", logbook.case_id(number))
            types = [entry["type"].split(".")[2] for entry in whole["timeline"] if entry["agency"] == "workflows"]
            assert types.count("issued") == 1, "the agency was given the order twice"
            assert whole["case"]["state"] == "in_progress"
            replays = [each for each in whole["timeline"] if each["type"] == "subak.case.replayrequested.v1"]
            assert {each["data"]["by"] for each in replays} <= {"ops-1", "ops-2"}
            [good] = [each for each in replays if each["refusal_id"] is None]
            [word] = [each for each in whole["timeline"] if each["type"] == REPLAYED]
            assert word["causationid"] == good["event_id"]
            assert (word["data"]["by"], word["data"]["reason"]) == (good["data"]["by"], "mended")
            waited = [event.id for event in told if event.subject == logbook.case_id(number)]
            assert (word["data"]["events"], word["data"]["event_ids"]) == (3, waited)
        log = [record for record in await bus.read(EVENTS) if ("ce_type", REPLAYED.encode()) in record.headers]
        assert len({record.key for record in log}) == len(log) == CASES, "not one word for each case"
        assert "is not parked" in await refused("parked", "replay", logbook.case_id(3), "--reason", "again")


async def test_a_parked_event_is_corrected_or_left_out_and_hostile_edits_do_nothing(
    bus: SmallBus, logbook: Logbook, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    channel, service = bus.city.citizens_channel, sorted(bus.city.services)[0]
    holder = bus.city.candidates(service, bus.city.area)[0]
    names = ("corrected", "left out")
    submitted = [
        logbook.say(channel, RequestSubmitted(service_code=service, area=bus.city.area), case=name) for name in names
    ]
    said_ = {name: logbook.say(holder, RequestAcknowledged(), case=name) for name in names}
    ids = {name: logbook.case_id(name) for name in names}

    def file(**changed: Any) -> str:
        path = tmp_path / "event.json"
        path.write_text(json.dumps(document | changed))
        return str(path)

    order = repair_module.order  # type: ignore[attr-defined]
    async with casebook(bus, tmp_path, monkeypatch), bus.running("gateway", "workflows"):
        monkeypatch.setattr(repair_module, "order", lambda *_, **__: 1 / 0)
        await bus.publish(channel, *submitted)
        await until(lambda: len(found("case", "list")["cases"]) == 2)
        await bus.publish(holder, *said_.values())
        await until(lambda: len(found("parked", "list")["parked"]) == 2)
        id = ids["corrected"]
        document = json.loads((await asyncio.to_thread(run, "parked", "edit", id, "--print")).output)
        assert document["source"] == bus.city.source_of(holder)
        good = {"status_notes": "Corrected."}
        why = ("--reason", "wrong notes", "--by", "ops-1")
        for locked in ("source", "id", "subject", "type", "time"):
            told = await refused("parked", "edit", id, "--from", file(data=good, **{locked: "urn:subak:x:mayor"}), *why)
            assert f"{locked} cannot be edited" in told
        assert "signature cannot be edited" in await refused(
            "parked", "edit", id, "--from", file(data=good, signature="x"), *why
        )
        invalid = await refused("parked", "edit", id, "--from", file(data={"status_notes": 7}), *why)
        assert "Nothing was sent" in invalid
        assert "say why" in await refused("parked", "edit", id, "--from", file(data=good))
        assert "say why" in await refused("parked", "discard", id)
        assert "10000 characters" in await refused("parked", "discard", id, "--reason", "x" * 10_000)
        assert "nothing was changed" in await refused("parked", "edit", id, "--from", file(), *why)
        entries = (await ask("case", "show", id))["timeline"]
        assert not [entry for entry in entries if entry["agency"] == "operations"], "something left after all"

        assert "fails too" in await refused("parked", "edit", id, "--from", file(data=good), *why)
        monkeypatch.setattr(repair_module, "order", order)
        assert outcomes(await acts("parked", "edit", id, "--from", file(data=good), *why)) == ["unparked"]
        assert outcomes(await acts("parked", "discard", ids["left out"], "--reason", "twice", "--by", "ops-2")) == [
            "unparked"
        ]
        await until(lambda: not found("parked", "list")["parked"])
        whole = await ask("case", "show", id)
        assert whole["case"]["state"] == "ordered"
        [new] = [each for each in whole["timeline"] if (each["data"] or {}).get("status_notes") == "Corrected."]
        assert (new["agency"], new["causationid"]) == (holder, said_["corrected"].id)
        assert new["event_id"] != said_["corrected"].id
        left = await ask("case", "show", ids["left out"])
        assert left["case"]["state"] == "forwarded"
        [ran], [none] = (
            [each["data"] for each in one["timeline"] if each["type"] == REPLAYED] for one in (whole, left)
        )
        assert (ran["act_type"], ran["by"], ran["event_ids"]) == (
            "subak.case.correctionrequested.v1", "ops-1", [new["event_id"]],
        )  # fmt: skip
        assert (none["act_type"], none["by"], none["events"]) == ("subak.case.discardrequested.v1", "ops-2", 0)
        notices = [event for event in await bus.inbox(holder) if event.type == "subak.event.rejected.v1"]
        assert len(notices) == 2, "the sender was not told what became of its events"


async def test_a_rejected_event_is_let_in_once_corrected_or_set_aside(
    bus: SmallBus, logbook: Logbook, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    channel, service = bus.city.citizens_channel, sorted(bus.city.services)[0]
    wrong = RequestSubmitted(service_code="no-such", area=bus.city.area, reporter=Reporter(**PERSONAL))
    sent = [logbook.say(channel, wrong, case=number) for number in range(3)]

    def file(document: dict[str, Any]) -> str:
        path = tmp_path / "event.json"
        path.write_text(json.dumps(document))
        return str(path)

    async with casebook(bus, tmp_path, monkeypatch), bus.running("gateway", "workflows"):
        await bus.publish(channel, *sent)
        await until(lambda: len(found("rejected", "list")["rejected"]) == 3)
        rows = {row["event_id"]: row["id"] for row in (await ask("rejected", "list"))["rejected"]}
        first, second, third = (rows[event.id] for event in sent)
        assert (await ask("rejected", "list", "--by", "cause"))["groups"][0]["cause"] == "unknown_service"
        why = ("--reason", "the service was wrong", "--by", "ops-1")
        assert "no service no-such" in await refused("rejected", "replay", first, *why)
        assert "no service no-such" in await refused("rejected", "replay", "--cause", "unknown_service", *why)
        document = json.loads((await asyncio.to_thread(run, "rejected", "edit", first, "--print")).output)
        assert document["data"]["reporter"] == PERSONAL
        good = document["data"] | {"service_code": service}
        forged = file(document | {"data": good, "source": bus.city.source_of("operations")})
        assert "source cannot be edited" in await refused("rejected", "edit", first, "--from", forged, *why)
        invalid = file(document | {"data": good | {"area": "nowhere"}})
        assert "nowhere" in await refused("rejected", "edit", first, "--from", invalid, *why)
        assert "say why" in await refused("rejected", "discard", second)
        assert "10000 characters" in await refused("rejected", "discard", second, "--reason", "x" * 10_000)

        corrected = file(document | {"data": good})
        at_once = [acts_of_another("rejected", "edit", first, "--from", corrected, *why) for _ in range(2)]
        became = outcomes([row for rows in await asyncio.gather(*at_once) for row in rows])
        assert became in (["let_in"], ["let_in", "refused"])
        assert outcomes(await acts("rejected", "discard", second, "--reason", "a trial", "--by", "ops-2")) == ["noted"]
        await until(lambda: len(found("rejected", "list", "--open", "--agency", channel)["rejected"]) == 1)
        assert "ops-2 has set aside" in await refused("rejected", "replay", second, *why)
        assert "ops-1 has let in" in await refused("rejected", "replay", first, *why)

        whole = await ask("case", "show", logbook.case_id(0))
        assert whole["case"]["opened_by"] == channel
        [opened] = [each for each in whole["timeline"] if each["type"] == "subak.request.submitted.v1"]
        assert (opened["agency"], opened["causationid"]) == (channel, sent[0].id)
        shown = await asyncio.to_thread(said, "case", "show", logbook.case_id(0))
        assert "the service was wrong" in shown
        assert not [value for value in PERSONAL.values() if value in json.dumps(whole) + shown]
        assert third in json.dumps(await ask("rejected", "list", "--open"))
