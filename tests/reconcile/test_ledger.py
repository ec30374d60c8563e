"""What an adapter tells of its rows: a wrong question is answered with what is wrong, a large outbox page by page."""

from __future__ import annotations

from collections.abc import AsyncIterator
from pathlib import Path

import httpx
import pytest
from starlette.applications import Starlette

from adapters import ledger
from adapters.http_app import HttpApp, Route
from adapters.ledger import Ledger
from bus.agency_tables import NAME, TABLES, VERSION, inbox
from bus.cases import KnownCases
from bus.database import Database
from bus.outbox import Outbox
from bus.reconciliation import Tally, fingerprint
from bus.statements import set_rows
from tests.support.events import comment

AGENCY = "animal-welfare"
TOKEN = "a-token-that-is-long-enough"
LEDGER_TOKEN = "another-token-that-only-reads"


@pytest.fixture
async def outbox(tmp_path: Path) -> AsyncIterator[Outbox]:
    database = Database(f"sqlite:///{tmp_path / 'adapter.sqlite3'}", tables=TABLES, name=NAME, version=VERSION)
    await database.start()
    yield Outbox(database, KnownCases(database))
    await database.stop()


@pytest.fixture
async def client(outbox: Outbox) -> AsyncIterator[httpx.AsyncClient]:
    told = Ledger(outbox.database, agency_of=lambda source: None, outbox_keep_seconds=3600)
    other = Route("POST", "events", "", False, told.get_tallies)
    app = HttpApp({AGENCY: TOKEN}, [*told.routes(), other], Starlette(), ledger_tokens={AGENCY: LEDGER_TOKEN})
    async with httpx.AsyncClient(
        transport=httpx.ASGITransport(app),
        base_url=f"http://adapter/agencies/{AGENCY}",
        headers={"Authorization": f"Bearer {TOKEN}"},
    ) as client:
        yield client


@pytest.mark.parametrize(
    ("query", "field"),
    [
        ({"until": "yesterday"}, "until"),
        ({"until": "2026-11-24T10:00:00"}, "until"),
        ({"zone": "Mars/Base"}, "zone"),
        ({"zone": "../../etc/passwd"}, "zone"),
        ({"zone": "x" * 10_000}, "zone"),
        ({"after": "-1"}, "after"),
    ],
)
async def test_a_wrong_question_is_told_what_is_wrong(
    client: httpx.AsyncClient, query: dict[str, str], field: str
) -> None:
    answer = await client.get("/ledger/outbox" if "after" in query else "/ledger", params=query)
    assert answer.status_code == 400
    assert answer.json()["reasons"][0]["field"] == field


async def test_there_is_no_other_side(client: httpx.AsyncClient) -> None:
    assert (await client.get("/ledger/passwords")).status_code == 404


async def test_nobody_without_the_agencys_token_is_told(client: httpx.AsyncClient) -> None:
    assert (await client.get("/ledger", headers={"Authorization": "Bearer nothing"})).status_code == 401


async def test_the_token_for_the_ledger_reads_it_and_opens_nothing_else(client: httpx.AsyncClient) -> None:
    reads = {"Authorization": f"Bearer {LEDGER_TOKEN}"}
    assert (await client.get("/ledger", headers=reads)).status_code == 200
    assert (await client.get("/ledger/outbox", headers=reads)).status_code == 200
    refused = await client.post("/events", headers=reads, json={})
    assert (refused.status_code, refused.json()["reasons"][0]["code"]) == (403, "forbidden")
    assert (await client.post("/events", json={})).status_code == 200, "the agency's own token does"
    elsewhere = str(client.base_url).replace(AGENCY, "another")
    assert (await client.get(f"{elsewhere}/ledger", headers=reads)).status_code == 401


async def test_many_rows_are_told_page_by_page_and_each_once(
    client: httpx.AsyncClient, outbox: Outbox, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(ledger, "PAGE_ROWS", 3)
    monkeypatch.setattr(ledger, "ENTRIES_MAX", 4)
    events = [comment(f"{number}", id=f"comment-{number}", case=number) for number in range(11)]
    await outbox.add(AGENCY, events)
    (row,) = (await client.get("/ledger")).json()["outbox"]
    expected = Tally()
    for event in events:
        expected.add(fingerprint(event.source, event.id))
    assert (row["count"], row["digest"], row["waiting"]) == (11, expected.digest, 11)
    named: list[str] = []
    after: int | None = 0
    while after is not None:
        page = (await client.get("/ledger/outbox", params={"day": row["day"], "after": after})).json()
        named += [entry["id"] for entry in page["entries"]]
        after = page["next"]
    assert named == [event.id for event in events]


async def test_what_became_of_an_event_is_told_and_a_question_without_one_refused(
    client: httpx.AsyncClient, outbox: Outbox
) -> None:
    row = {"agency": AGENCY, "source": "urn:a", "type": "t", "subject": "s", "attributes": "{}", "data": b"{}"}
    states = [
        ("e 1", "waiting", {}),
        ("e-2", "delivered", {"delivered_at": 2.0}),
        ("e-3", "parked", {"parked_at": 3.0}),
    ]
    rows = [
        {**row, "event_id": id, "state": state, "received_at": 1.0, "delivered_at": None, "parked_at": None, **more}
        for id, state, more in states
    ]
    rows.append({**rows[0], "agency": "another", "event_id": "e-4"})
    await outbox.database.run(lambda connection: set_rows(connection, inbox, rows, first_wins=True))
    asked = {"event": [f"urn:a {id}" for id in ("e 1", "e-2", "e-3", "e-4", "e-5")]}
    found = (await client.get("/ledger/deliveries", params=asked)).json()["events"]
    assert {(one["id"], one["state"], one["at"][17:19]) for one in found} == {
        ("e 1", "waiting", "01"),
        ("e-2", "delivered", "02"),
        ("e-3", "parked", "03"),
    }
    reads = {"Authorization": f"Bearer {LEDGER_TOKEN}"}
    assert (await client.get("/ledger/deliveries", params=asked, headers=reads)).status_code == 200
    for wrong in ({}, {"event": asked["event"] * 11}):
        assert (await client.get("/ledger/deliveries", params=wrong)).status_code == 400
