"""A bus is reconciled from what outboxes, topics and inboxes hold: what is missing, doubled or forged is named."""

from __future__ import annotations

import asyncio
import json
import sqlite3
from collections.abc import AsyncIterator
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import httpx
import pytest

from adapters.config import AdapterConfig
from adapters.process import Adapter
from bus.kafka import Output, TransactionalProducer
from bus.topics import in_topic
from deploy.local.kafka import LocalKafka
from schemas.envelope import Event
from schemas.identifiers import new_id
from services.cli.reconcile import as_dict
from services.cli.reconciling import Counted, Reconciler
from tests.support.bus import SmallBus
from tests.support.counting import settings_for

pytestmark = pytest.mark.kafka

TOKEN = "a-token-that-is-long-enough"


@dataclass
class Town:
    """A small bus with its stages running, and one adapter of two agencies."""

    bus: SmallBus
    url: str
    database: Path

    @property
    def citizens(self) -> str:
        return self.bus.city.citizens_channel

    async def post(self, agency: str, *events: dict[str, Any]) -> httpx.Response:
        async with httpx.AsyncClient() as client:
            return await client.post(
                f"{self.url}/agencies/{agency}/events",
                json=list(events),
                headers={"Authorization": f"Bearer {TOKEN}"},
            )

    async def count(self) -> Counted:
        """Everything up to now."""
        adapters = {agency: {"url": f"{self.url}/agencies/{agency}/events", "token": TOKEN} for agency in self.agencies}
        since = datetime.now(self.bus.city.zone).date() - timedelta(days=1)
        await asyncio.sleep(0.05)  # the moment of the last event is over
        work = Reconciler(self.bus.city, self.bus.settings, adapters, since=since, until=datetime.now(UTC))
        return await work.count()

    @property
    def agencies(self) -> list[str]:
        return [self.citizens, self.holder]

    @property
    def holder(self) -> str:
        city = self.bus.city
        return city.candidates(self.service, city.area)[0]

    @property
    def service(self) -> str:
        return sorted(self.bus.city.services)[0]

    def request(self) -> dict[str, Any]:
        data = {"service_code": self.service, "area": self.bus.city.area, "description": "It leaks."}
        return {"type": "subak.request.submitted.v1", "data": data}

    def change(self, statement: str, *values: Any) -> None:
        """As somebody who tampers with the adapter's database."""
        connection = sqlite3.connect(self.database)
        with connection:
            assert connection.execute(statement, values).rowcount == 1
        connection.close()

    async def heard(self, agency: str, count: int) -> None:
        """Wait until the agency's inbox has so many events."""
        async with asyncio.timeout(60):
            while True:
                connection = sqlite3.connect(self.database)
                found = connection.execute("select count(*) from subak_inbox where agency = ?", (agency,)).fetchone()
                connection.close()
                if found[0] >= count:
                    return
                await asyncio.sleep(0.05)


@pytest.fixture
async def town(kafka: LocalKafka, tmp_path: Path) -> AsyncIterator[Town]:
    bus = SmallBus(settings_for(kafka.bootstrap_servers))
    await bus.prepare()
    database = tmp_path / "adapter.sqlite3"
    town = Town(bus, "", database)
    agencies = "".join(
        f'[[agency]]\nid = "{agency}"\ntoken = "{TOKEN}"\naccept_new_outbox = true\n' for agency in town.agencies
    )
    file = tmp_path / "adapter.toml"
    file.write_text(f'[adapter]\nname = "adapter"\nlisten = "127.0.0.1:0"\n{agencies}')
    adapter = Adapter(AdapterConfig.load(file), bus.city, bus.settings)
    async with adapter.running() as (port, _):
        town.url = f"http://127.0.0.1:{port}"
        yield town


async def test_where_all_is_well_every_event_is_accounted_for(town: Town) -> None:
    async with town.bus.running():
        assert (await town.post(town.citizens, *(town.request() for _ in range(7)))).status_code == 202
        await town.heard(town.holder, 7)
        counted = await town.count()
    told = as_dict(counted, datetime.now(UTC).date(), frozenset(town.agencies))
    assert told["discrepancies"] == []
    assert [(row["agency"], row["outbox"], row["published"], row["accepted"]) for row in told["sent"]] == [
        (town.citizens, 7, 7, 7)
    ]
    due = sum(row["due"] for row in told["told"] if row["agency"] == town.holder)
    assert due == sum(row["received"] for row in told["told"] if row["agency"] == town.holder) == 7


async def test_history_is_accepted_and_due_to_nobody(town: Town) -> None:
    async with town.bus.running():
        old = {**town.request(), "history": "complaints-2019"}
        assert (await town.post(town.citizens, old)).status_code == 202
        assert (await town.post(town.citizens, town.request())).status_code == 202
        await town.heard(town.holder, 1)
        counted = await town.count()
    told = as_dict(counted, datetime.now(UTC).date(), frozenset(town.agencies))
    assert told["discrepancies"] == []
    assert [row["accepted"] for row in told["sent"]] == [2]
    assert sum(row["due"] for row in told["told"] if row["agency"] == town.holder) == 1


async def test_what_is_on_its_way_is_no_discrepancy_wherever_it_waits(town: Town) -> None:
    await town.post(town.citizens, town.request(), town.request())
    async with asyncio.timeout(30):
        while not (await town.bus.read(f"agency-{town.citizens}-out")):
            await asyncio.sleep(0.1)
    counted = await town.count()
    assert (counted.discrepancies, counted.on_the_way) == ([], 2), "the gateway does not run yet"
    async with town.bus.running("gateway"):
        await town.bus.until("city-events", lambda records: len(records) >= 2)
        await asyncio.sleep(0.5)
        counted = await town.count()
    assert counted.discrepancies == []
    assert counted.on_the_way > 0, "the router does not run yet"


async def test_what_the_gateway_refuses_is_counted_with_its_reason(town: Town) -> None:
    wrong = Event(
        id=new_id(),
        type="subak.request.closed.v1",
        source=town.bus.city.source_of(town.citizens),
        subject=new_id(),
        time=datetime.now(UTC).isoformat(),
        data=b"{}",
    )
    async with town.bus.running():
        await town.bus.publish(town.citizens, wrong)
        await town.heard(town.citizens, 1)
        counted = await town.count()
    (row,) = (row for row in as_dict(counted, datetime.now(UTC).date(), frozenset({town.citizens}))["sent"])
    assert (row["published"], row["accepted"], row["refused"]) == (1, 0, 1)
    assert row["reasons"], "the reason is not told"
    kinds = {(one.kind, one.events) for one in counted.discrepancies}
    assert kinds == {("unexplained", (wrong.id,))}, "nobody's outbox has it"


async def test_an_inbox_row_that_is_gone_a_forged_event_and_a_lost_one_are_named(town: Town) -> None:
    async with town.bus.running():
        receipts = (await town.post(town.citizens, town.request(), town.request(), town.request())).json()
        await town.heard(town.holder, 3)
        assert (await town.count()).discrepancies == []
        town.change(
            "delete from subak_inbox where id = (select max(id) from subak_inbox where agency = ?)", town.holder
        )
        town.change("update subak_outbox set event_id = 'lost' where event_id = ?", receipts[0]["id"])
        forged = await forge(town)
        await town.heard(town.holder, 3)
        counted = await town.count()
    named = {(one.kind, one.agency): one.events for one in counted.discrepancies}
    assert len(named["not_received", town.holder]) == 1
    assert named["not_relayed", town.citizens] == ("lost",)
    assert named["unexplained", town.citizens] == (receipts[0]["id"],)
    assert named["unexplained", town.holder] == (forged,)


async def forge(town: Town) -> str:
    """Somebody writes into an agency's in topic what the log does not have."""
    record = (await town.bus.read(in_topic(town.holder)))[-1]
    event = Event.from_record(record.headers, record.value)
    headers = [
        (name, b"forged-by-nobody" if name == "ce_id" else value) for name, value in record.headers if value is not None
    ]
    producer = TransactionalProducer(town.bus.settings, transactional_id="forger")
    await producer.start()
    assert record.value is not None
    await producer.commit([Output(in_topic(town.holder), event.key, record.value, headers)], {}, "forger")
    await producer.stop()
    return "forged-by-nobody"


async def test_an_adapter_that_does_not_tell_is_named_and_hides_nothing_of_the_others(town: Town) -> None:
    async with town.bus.running():
        await town.post(town.citizens, town.request())
        await town.heard(town.holder, 1)
        adapters = {
            town.citizens: {"url": f"{town.url}/agencies/{town.citizens}/events", "token": TOKEN},
            town.holder: {"url": f"{town.url}/agencies/{town.holder}/events", "token": "a-wrong-token-of-nobody"},
        }
        since = datetime.now(town.bus.city.zone).date()
        work = Reconciler(town.bus.city, town.bus.settings, adapters, since=since, until=datetime.now(UTC))
        counted = await work.count()
    assert counted.unasked[town.holder] == "its adapter answers 401"
    told = as_dict(counted, since, frozenset(town.agencies))
    assert {row["received"] for row in told["told"] if row["agency"] == town.holder} == {None}
    assert json.dumps(told)
