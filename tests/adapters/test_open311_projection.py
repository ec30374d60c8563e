"""What became of requests is kept alike on each database, each event once, whatever comes again or out of turn."""

from __future__ import annotations

import json
from collections.abc import AsyncIterator
from functools import partial
from pathlib import Path
from typing import Any

import pytest
from sqlalchemy import Connection

from adapters.sources.open311.projection import Projection, Question
from bus.agency_tables import NAME, TABLES, VERSION
from bus.database import Database
from schemas.envelope import Event
from tests.support.adapter import denpasar
from tests.support.databases import KINDS, sqlite_url
from tests.support.events import case_id, source
from tests.support.postgresql import PostgreSQL


@pytest.fixture(params=KINDS)
async def database(request: pytest.FixtureRequest, tmp_path: Path) -> AsyncIterator[Database]:
    if request.param == "sqlite":
        url = sqlite_url(tmp_path)
    else:
        server: PostgreSQL = request.getfixturevalue("postgresql")
        url = server.new_database()
    database = Database(url, tables=TABLES, name=NAME, version=VERSION)
    await database.start()
    try:
        yield database
    finally:
        await database.stop()


def event(case: int, kind: str, number: int, **data: Any) -> Event:
    return Event(
        id=f"{kind}-{case}-{number}",
        type=f"subak.request.{kind}.v1",
        source=source("workflows"),
        subject=case_id(case),
        time=f"2026-11-24T08:{number:02}:00+08:00",
        data=json.dumps(data).encode(),
    )


def hear(projection: Projection, events: list[Event], connection: Connection) -> None:
    projection.hear(connection, events)


async def test_each_event_counts_once_on_each_database(database: Database) -> None:
    projection = Projection("communications", denpasar(), database, clock=lambda: 1_764_000_000.0)
    await projection.open()
    await projection.open()
    place = {"service_code": "drain", "area": "51.71", "description": "Tersumbat \x07."}
    events = [event(case, "submitted", 0, **place) for case in range(900)]
    events += [event(case, "resolved", 1, agency="public-works", status_notes="Selesai.") for case in range(900)]
    events += [event(case, "reopened", 2, reason="Belum.") for case in range(0, 900, 2)]
    events += [event(9999, "resolved", 1, agency="public-works")]  # of no request that is known
    for part in (events, events[:1000], events[500:]):
        await database.run(partial(hear, projection, part))
    other = Projection("public-works", denpasar(), database)
    begun = 1_764_000_000.0 - 40 * 86_400, 1_799_000_000.0
    everything = Question(since=begun[0], until=begun[1])
    rows = await projection.find(everything)
    assert len(rows) == 900
    assert {row["service_request_id"]: row["status"] for row in rows} == {
        case_id(case): "closed" if case % 2 else "open" for case in range(900)
    }
    assert len(await projection.updates(*begun)) == 1000, "the specification's bound; 1,350 became known"
    assert await other.find(everything) == []
    assert await other.request(case_id(1)) is None
