"""Whatever comes in, each bad thing gets its reason, the operator can look it up, and nobody else notices."""

from __future__ import annotations

import asyncio
import json
import time
import urllib.error
import urllib.parse
import urllib.request
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import pytest
from aiokafka import AIOKafkaProducer

from bus.records import partition_for
from bus.topics import REJECTED, in_topic, out_topic
from tests.faults import evidence
from tests.faults.bad_input import BadBody, BadInput, BadRecord
from tests.faults.town import Town

pytestmark = [pytest.mark.kafka, pytest.mark.slow, pytest.mark.timeout(900)]

Place = tuple[str, int, int]

REFUSED_SECONDS_MAX = 120.0


def test_bad_input_is_refused_with_its_reason_and_no_other_case_is_harmed(town: Town) -> None:
    bad = BadInput(town.directory)
    town.submit(25, per_second=5)
    for body in bad.bodies():
        status, codes = post(town, bad.sender, body)
        assert status == body.status, f"{body.name}: {status} {codes}"
        assert body.code is None or body.code in codes, f"{body.name}: {codes}"

    watch = town.city.watch
    assert watch is not None
    # A relay that finds records in its topic and never wrote one stops: its outbox might be lost.
    town.until(lambda: watch.look().reached("taken on") > 0, "the first request is taken on", seconds=120)
    good = bad.event()
    records = bad.records(good)
    write(town, bad.sender, [bad.record("good", "", good)])
    places = write(town, bad.sender, records)
    told = until_refused(town, bad.sender, {record.id for record in records if record.code == "unknown_case"}, places)
    for record, place in zip(records, places, strict=True):
        codes = told[record.id if record.code == "unknown_case" else place]
        assert record.code in codes, f"{record.name}: it is refused for {codes}"

    town.until_done(seconds=300)
    late = bad.comment(town.city.cases[0])
    write(town, bad.sender, [bad.record("late", "case_closed", late)])
    assert until_refused(town, bad.sender, {late.id}, [])[late.id] == ["case_closed"]
    town.until(lambda: _state(town, good.subject) == "closed", f"the good case {good.subject} is closed", seconds=120)
    assert len(refusals_of(town)) >= len(records) + 1, "the casebook shows each refusal"
    town.check(forged=True)


def write(town: Town, sender: str, records: Sequence[BadRecord]) -> list[Place]:
    """Write these into the sender's out topic, as they are; where each came to stand."""
    settings = town.city.local.settings

    async def run() -> list[Place]:
        producer = AIOKafkaProducer(
            bootstrap_servers=settings.bootstrap_servers, enable_idempotence=True, max_request_size=2_000_000
        )
        await producer.start()
        try:
            places = []
            for record in records:
                number = (partition_for(record.partition_of, settings.partitions) + record.partition_shift) % (
                    settings.partitions
                )
                done = await producer.send_and_wait(
                    out_topic(sender), record.value, key=record.key, partition=number, headers=record.headers
                )
                places.append((done.topic, done.partition, done.offset))
            return places
        finally:
            await producer.stop()

    with ThreadPoolExecutor(1) as own:
        return own.submit(lambda: asyncio.run(run())).result()


def until_refused(town: Town, sender: str, ids: set[str], places: Sequence[Place]) -> dict[Place | str, list[str]]:
    """The codes of each refusal by the place of what was refused, and by its id; once all of these are there, and told
    to the sender."""
    deadline = time.monotonic() + REFUSED_SECONDS_MAX
    wanted = len(places) or len(ids)
    while True:
        topics = evidence.read_topics(town.city.local.settings, [REJECTED, in_topic(sender)])
        found: dict[Place | str, list[str]] = {}
        for record in topics[REJECTED]:
            data = json.loads(record.value or b"{}")
            codes = [reason["code"] for reason in data["reasons"]]
            assert all(reason["problem"] and reason["fix"] for reason in data["reasons"])
            found[data["topic"], data["partition"], data["offset"]] = codes
            if data.get("event_id") in ids:
                found[data["event_id"]] = codes
        known = sum(place in found for place in places) + sum(id in found for id in ids)
        notices = {_place(record.value) for record in topics[in_topic(sender)]}
        unknown = [place for place in places if place in found and place not in notices]
        if known >= wanted and not unknown:
            return found
        if time.monotonic() > deadline:
            pytest.fail(f"{known} of {wanted} refusals came; not told to {sender}: {unknown}\n{town.situation()}")
        time.sleep(0.5)


def post(town: Town, agency: str, bad: BadBody) -> tuple[int, list[str]]:
    """POST it at the agency's adapter: the status, and the reasons' codes."""
    run = town.city.local.run
    assert run is not None
    access = run.adapters[agency]
    headers = {"Authorization": f"Bearer {access['token']}", "Content-Type": "application/json"} | bad.headers
    request = urllib.request.Request(access["url"], data=bad.body, headers=headers, method="POST")
    try:
        with urllib.request.urlopen(request, timeout=60) as answer:
            return answer.status, []
    except urllib.error.HTTPError as error:
        with error:
            said = json.load(error)
        return error.code, [reason["code"] for reason in said.get("reasons", ())]


def refusals_of(town: Town) -> list[dict[str, Any]]:
    """All that the casebook tells of refusals."""
    assert town.city.local.run is not None
    found: list[dict[str, Any]] = []
    cursor = ""
    while True:
        query = urllib.parse.urlencode({"limit": 500, **({"cursor": cursor} if cursor else {})})
        with urllib.request.urlopen(f"{town.city.local.run.casebook_url}/api/rejected?{query}", timeout=30) as answer:
            page = json.load(answer)
        found += page["rejected"]
        cursor = page["next"]
        if not cursor:
            return found


def _state(town: Town, case: str) -> str | None:
    assert town.city.local.run is not None
    try:
        found = evidence.all_cases(town.city.local.run.casebook_url).get(case)
    except OSError:
        return None
    return found["state"] if found else None


def _place(value: bytes | None) -> Place | None:
    try:
        data = json.loads(value or b"{}")
        return data["topic"], data["partition"], data["offset"]
    except (ValueError, KeyError, TypeError):
        return None
