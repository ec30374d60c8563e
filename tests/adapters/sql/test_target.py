"""Each event's rows stand in the agency's tables exactly once, in order; what does not fit is refused, with why."""

from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import msgspec
import pytest

from adapters.delivery import Delivery
from adapters.kinds import Place, target_kind
from adapters.outcome import Outcome
from adapters.schedule import ScheduleSettings
from adapters.targets.sql.rows import TAKEN_DDL
from bus.agency_tables import NAME, TABLES, VERSION
from bus.database import Database
from bus.inbox import Arrived
from bus.inbox.views import read_waiting
from schemas.envelope import Event
from tests.support.adapter import SmallAdapter, denpasar
from tests.support.agency_sql import AgencySql, until
from tests.support.events import case_id, comment

AGENCY = "public-works"
MAPPING = """
[[row]]
type = "subak.request.commented.v1"
table = "pekerjaan"
key.kasus = { attribute = "subject" }

  [row.values]
  catatan = "text"
  waktu = { attribute = "time", form = "time" }
"""


def target(agency: AgencySql, adapter: SmallAdapter, text: str = MAPPING) -> Any:
    (agency.folder / "mapping.toml").write_text(text, encoding="utf-8")
    place = Place(
        agency=AGENCY,
        name="target",
        folder=agency.folder,
        environment={},
        city=denpasar(),
        database=adapter.database,
    )
    kind = target_kind("sql")
    return kind.build(kind.config.model_validate({"url": agency.url, "mapping": "mapping.toml"}), place)


@pytest.fixture
def works(agency: AgencySql) -> AgencySql:
    """An agency with a table of work, and the table of what was taken."""
    moment = "TIMESTAMP WITH TIME ZONE" if agency.kind == "postgresql" else "DATETIME"
    agency.do(
        f"CREATE TABLE pekerjaan (kasus VARCHAR(36) PRIMARY KEY, catatan VARCHAR(20) NOT NULL, waktu {moment}, "
        "status VARCHAR(10) NOT NULL DEFAULT 'BARU', nilai INTEGER)"
    )
    agency.do(TAKEN_DDL)
    return agency


def arrived(event: Event, id: int = 1) -> Arrived:
    attributes = msgspec.json.encode(event.attributes()).decode()
    return Arrived(id, event.subject, event.id, attributes, event.data)


async def test_a_row_is_inserted_and_then_updated_by_its_key(works: AgencySql, adapter: SmallAdapter) -> None:
    to = target(works, adapter)
    assert await to.check() == []
    assert (await to.call(arrived(comment("satu")))).kind == "delivered"
    works.do("UPDATE pekerjaan SET status = 'JALAN'")
    assert (await to.call(arrived(comment("dua")))).kind == "delivered"
    assert works.rows("SELECT kasus, catatan, status FROM pekerjaan") == [(case_id(1), "dua", "JALAN")]
    ((at,),) = works.rows("SELECT waktu FROM pekerjaan")
    assert "08:00:00" in str(at) or "00:00:00+00:00" in str(at), "a moment without an offset is by the city's clock"
    await to.close()


async def test_an_event_that_comes_again_never_overwrites_a_newer_one(works: AgencySql, adapter: SmallAdapter) -> None:
    to = target(works, adapter)
    old, new = comment("lama"), comment("baru")
    for event in (old, new, old, new, old):
        assert (await to.call(arrived(event))).kind == "delivered"
    assert works.rows("SELECT catatan FROM pekerjaan") == [("baru",)]
    await to.close()


async def test_what_does_not_fit_is_refused_with_the_reason_and_leaves_nothing(
    works: AgencySql, adapter: SmallAdapter
) -> None:
    to = target(works, adapter)
    outcome = await to.call(arrived(comment("a" * 21)))
    assert (outcome.kind, "cut = 20" in outcome.reason) == ("refused", True), outcome
    assert works.rows("SELECT count(*) FROM subak_taken") == [(0,)], "corrected, it may come again"
    to = target(works, adapter, MAPPING.replace("catatan", "nilai"))
    outcome = await to.call(arrived(comment("not a number")))
    assert (outcome.kind, "nilai" in outcome.reason) == ("refused", True), outcome
    to = target(works, adapter, MAPPING.replace("catatan = ", "nilai = "))
    outcome = await to.call(arrived(comment("12")))
    assert outcome.kind == "refused", "catatan must not be empty"
    assert "catatan" in outcome.reason
    assert "Failing row" not in outcome.reason
    to = target(
        works,
        adapter,
        MAPPING.replace('catatan = "text"', 'catatan = "text"\n  nilai = { value = 99999999999999999999 }'),
    )
    outcome = await to.call(arrived(comment("12")))
    assert outcome.kind == "refused", outcome


async def test_quotes_and_statements_in_an_event_are_text(works: AgencySql, adapter: SmallAdapter) -> None:
    hostile = "'); DROP TABLE x;--"
    event = msgspec.structs.replace(comment(), data=json.dumps({"text": hostile}).encode())
    assert (await target(works, adapter).call(arrived(event))).kind == "delivered"
    assert works.rows("SELECT catatan FROM pekerjaan") == [(hostile,)]


async def test_a_missing_table_or_column_is_waited_for_and_said(works: AgencySql, adapter: SmallAdapter) -> None:
    to = target(works, adapter)
    works.do("ALTER TABLE pekerjaan RENAME COLUMN catatan TO uraian")
    outcome = await to.call(arrived(comment("satu")))
    assert (outcome.kind, "catatan" in outcome.reason) == ("away", True), outcome
    assert "catatan" in (await to.check())[0]
    works.do("ALTER TABLE pekerjaan RENAME COLUMN uraian TO catatan")
    assert (await to.call(arrived(comment("satu")))).kind == "delivered"
    works.do("DROP TABLE pekerjaan")
    outcome = await to.call(arrived(comment("dua")))
    assert (outcome.kind, "pekerjaan" in outcome.reason) == ("away", True), outcome
    works.do("DROP TABLE subak_taken")
    assert (await target(works, adapter).call(arrived(comment("dua")))).kind == "away"
    await to.close()


async def test_a_column_that_is_renamed_while_it_runs_is_noticed(works: AgencySql, adapter: SmallAdapter) -> None:
    to = target(works, adapter)
    assert (await to.call(arrived(comment("satu")))).kind == "delivered"
    works.do("ALTER TABLE pekerjaan RENAME COLUMN catatan TO uraian")
    assert (await to.call(arrived(comment("dua")))).kind == "away"
    assert works.rows("SELECT uraian FROM pekerjaan") == [("satu",)]
    await to.close()


async def test_a_key_that_names_several_rows_changes_none_of_them(works: AgencySql, adapter: SmallAdapter) -> None:
    works.do("CREATE TABLE lain (kasus VARCHAR(36), catatan VARCHAR(20), waktu VARCHAR(40))")
    works.do("INSERT INTO lain VALUES (:kasus, 'a', ''), (:kasus, 'b', '')", kasus=case_id(1))
    outcome = await target(works, adapter, MAPPING.replace("pekerjaan", "lain")).call(arrived(comment("satu")))
    assert (outcome.kind, "2 rows" in outcome.reason) == ("refused", True), outcome
    assert works.rows("SELECT catatan FROM lain ORDER BY catatan") == [("a",), ("b",)]


@asynccontextmanager
async def in_own_database(agency: AgencySql) -> AsyncIterator[SmallAdapter]:
    """An adapter whose outbox and inbox lie beside the agency's tables."""
    url = agency.url if agency.kind == "postgresql" else f"sqlite:///{agency.folder / 'agency.sqlite3'}"
    database = Database(url, tables=TABLES, name=NAME, version=VERSION)
    await database.start()
    try:
        yield SmallAdapter(database)
    finally:
        await database.stop()


async def test_in_the_adapters_own_database_rows_and_mark_are_one_transaction(works: AgencySql) -> None:
    if works.kind in ("mysql", "mariadb"):
        pytest.skip("an adapter keeps its own tables in SQLite or PostgreSQL")
    works.do("DROP TABLE subak_taken")
    async with in_own_database(works) as adapter:
        await adapter.arrive(AGENCY, [comment("satu"), comment("dua")])
        to = target(works, adapter)
        assert await to.check() == []

        def waiting(connection: Any) -> list[Arrived]:
            return read_waiting(connection, AGENCY, after=0, rows_max=10, bytes_max=10_000)

        first, second = await adapter.database.run(waiting)
        assert (await to.call(first)).kind == "delivered"
        # Killed here: nobody stored the mark, and yet it is not delivered again.
        assert await adapter.database.run(waiting) == [second]
        assert (await to.call(second)).kind == "delivered"
        assert (await to.call(first)).kind == "delivered", "a call under way when the process was killed"
        assert works.rows("SELECT catatan FROM pekerjaan") == [("dua",)]
        await adapter.arrive(AGENCY, [comment("x" * 30)])
        (third,) = await adapter.database.run(waiting)
        assert (await to.call(third)).kind == "refused"
        assert await adapter.database.run(waiting) == [third]


async def test_through_a_delivery_all_arrive_in_order_and_a_bad_one_is_parked(
    works: AgencySql, adapter: SmallAdapter
) -> None:
    to = target(works, adapter)
    events = [comment(f"{number}", case=number % 5) for number in range(40)]
    await adapter.arrive(AGENCY, [*events, comment("y" * 30, case="bad"), comment("later", case="bad")])
    settings = ScheduleSettings(tries_max=2, retry_seconds_first=0.01, retry_seconds_max=0.02)
    delivery = Delivery(AGENCY, adapter.inbox, to, concurrency_max=4, settings=settings)
    task = asyncio.create_task(delivery.run())
    await until(lambda: adapter.inbox.waiting[AGENCY] == 1)
    task.cancel()
    await asyncio.gather(task, return_exceptions=True)
    expected = {(case_id(number % 5), str(number)) for number in range(35, 40)}
    assert set(works.rows("SELECT kasus, catatan FROM pekerjaan")) == expected


async def test_a_database_that_is_away_parks_nothing(tmp_path: Path, adapter: SmallAdapter) -> None:
    for url in ("postgresql://nobody@127.0.0.1:1/x", "mysql://nobody@127.0.0.1:1/x", "sqlite:///missing.sqlite3"):
        to = target(AgencySql(url, tmp_path), adapter)
        outcome: Outcome = await to.call(arrived(comment("satu")))
        assert outcome.kind == "away", outcome
        assert await to.check()
        await to.close()
    assert not (tmp_path / "missing.sqlite3").exists()
