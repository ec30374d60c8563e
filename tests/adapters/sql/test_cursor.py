"""What a growing column shows is told once: ties, late commits and second changes included."""

from __future__ import annotations

import asyncio
import json
from datetime import date, datetime
from decimal import Decimal
from typing import Any

import pytest

from adapters.sources.sql.pages import read_position, write_position
from bus.agency_tables import source_seen
from schemas.failures import Misconfigured
from tests.support.adapter import SmallAdapter
from tests.support.agency_sql import AgencySql, data_of, refused, stored

SUBMITTED = "subak.request.submitted.v1"


class Clock:
    """Time that a test owns."""

    now = 1000.0

    def __call__(self) -> float:
        return self.now


def source_of(agency: AgencySql, adapter: SmallAdapter, clock: Clock | None = None, **keys: Any) -> Any:
    source: Any = agency.source(adapter, **{"way": "cursor", "begin": "beginning", "settle_seconds": 10.0, **keys})
    source._clock = source._memory._clock = clock or Clock()
    return source


async def seen(adapter: SmallAdapter) -> int:
    return len(await adapter.database.run(lambda connection: connection.execute(source_seen.select()).all()))


async def test_rows_are_told_once_with_ties_and_across_pages(adapter: SmallAdapter, agency: AgencySql) -> None:
    agency.complain(*range(1, 8), diubah=5)
    source = source_of(agency, adapter, batch_rows_max=3)
    assert await source.read_once() == 7
    assert await source.read_once() == 0
    agency.complain(8, diubah=5)
    agency.complain(9, diubah=6)
    assert await source_of(agency, adapter, batch_rows_max=3).read_once() == 2, "also after a restart"
    assert len(await stored(adapter)) == 9


async def test_at_a_first_start_old_rows_are_no_news_unless_asked(adapter: SmallAdapter, agency: AgencySql) -> None:
    agency.complain(1, 2, diubah=5)
    agency.complain(3, diubah=4)
    source = source_of(agency, adapter, begin="now")
    assert await source.read_once() == 0
    agency.complain(4, diubah=5)
    assert await source.read_once() == 1


async def test_an_empty_table_begins_with_its_first_row(adapter: SmallAdapter, agency: AgencySql) -> None:
    source = source_of(agency, adapter, begin="now")
    assert await source.read_once() == 0
    agency.complain(1)
    assert await source.read_once() == 1


async def test_a_row_that_is_committed_late_is_told_while_it_settles_and_missed_after(
    adapter: SmallAdapter, agency: AgencySql
) -> None:
    clock = Clock()
    source = source_of(agency, adapter, clock)
    agency.complain(1, diubah=10)
    assert await source.read_once() == 1
    clock.now += 9
    agency.complain(2, diubah=8)
    assert await source.read_once() == 1, "two below the highest, nine seconds after it"
    clock.now += 2
    assert await source.read_once() == 0
    agency.complain(3, diubah=8)
    assert await source.read_once() == 0, "the docs say so"
    assert await seen(adapter) == 2
    clock.now += 11
    await source.read_once()
    agency.complain(4, diubah=11)
    assert await source.read_once() == 1
    for _ in range(3):
        clock.now += 11
        await source.read_once()
    assert await seen(adapter) == 1, "what lies below the position is forgotten"


async def test_a_second_change_under_the_same_value_is_another_change(adapter: SmallAdapter, agency: AgencySql) -> None:
    text = """
key = "nomor"

[[event]]
type = "subak.request.commented.v1"
when = 'catatan != null'
id = "change.id"
case.reference = "nomor"
jurisdiction = "desa"

  [event.data]
  text = "catatan"

[[event]]
skip = true
"""
    agency.complain(1, diubah=5)
    source = source_of(agency, adapter, mapping_text=text)
    await source.read_once()
    for note in ("satu", "dua"):
        agency.note(1, note, diubah=5)
        assert await source.read_once() == 1
    assert [data["text"] for data in await data_of(adapter)] == ["satu", "dua"]


async def test_a_row_without_a_key_is_refused_and_stops_no_other(adapter: SmallAdapter, agency: AgencySql) -> None:
    if agency.kind == "sqlite":
        pytest.skip("an INTEGER PRIMARY KEY of SQLite is never empty")
    agency.do("INSERT INTO aduan VALUES (NULL, 'drain', '51.71.01.1005', 'a', NULL, 1, 'x')")
    agency.complain(1, 2)
    source = source_of(agency, adapter)
    assert await source.read_once() == 3
    assert await source.read_once() == 0
    (kept,) = await refused(adapter)
    assert json.loads(kept.reasons)[0]["code"] == "no_key"
    assert len(await stored(adapter)) == 2


@pytest.mark.parametrize("step", ["take_each", "seen", "settle"])
async def test_killed_at_any_step_it_tells_each_row_once(
    adapter: SmallAdapter, agency: AgencySql, step: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    agency.complain(1, 2)
    source = source_of(agency, adapter)
    home = source._taking._intake if step == "take_each" else source._memory
    real = getattr(home, step)

    class Killed(BaseException):
        """As a kill, which no handler of errors sees."""

    async def dies(*arguments: Any, **keys: Any) -> None:
        if step == "take_each":
            await real(*arguments, **keys)
        raise Killed

    monkeypatch.setattr(home, step, dies)
    with pytest.raises(Killed):
        await source.read_once()
    monkeypatch.undo()
    await source_of(agency, adapter).read_once()
    assert [row.type for row in await stored(adapter)] == [SUBMITTED] * 2


async def test_a_column_that_is_gone_is_said(adapter: SmallAdapter, agency: AgencySql) -> None:
    agency.do("ALTER TABLE aduan RENAME COLUMN diubah TO diperbarui")
    assert "diubah" in (await source_of(agency, adapter).check())[0]


async def test_a_name_with_a_space_that_is_gone_is_no_text(adapter: SmallAdapter, agency: AgencySql) -> None:
    table = {"columns": ("nomor", "layanan", "desa", "keluhan", "catatan", "diubah", "Nama Jalan")}
    agency.complain(1)
    assert "Nama Jalan" in (await source_of(agency, adapter, table=table).check())[0]


@pytest.mark.parametrize(
    "value",
    [
        7,
        2**60,
        1.5,
        Decimal("1.50"),
        "2026-11-24",
        datetime.fromisoformat("2026-11-24T08:00:01.000005"),
        date(2026, 11, 24),
    ],
)
def test_a_position_is_the_value_again(value: Any) -> None:
    assert read_position(write_position(value)) == value
    assert type(read_position(write_position(value))) is type(value)


def test_a_column_that_cannot_grow_is_no_cursor() -> None:
    with pytest.raises(Misconfigured, match="bool"):
        write_position(True)


@pytest.mark.parametrize("way", ["cursor", "triggers"])
async def test_a_defect_of_the_adapter_ends_no_source(
    adapter: SmallAdapter, agency: AgencySql, monkeypatch: pytest.MonkeyPatch, way: str
) -> None:
    """One process serves many agencies: it would end for all of them."""
    source: Any = agency.source(adapter, way=way, begin="beginning", poll_seconds=0.05)
    if way == "triggers":
        agency.run_ddl()
    agency.complain(1)
    taking = source._taking
    failures: list[Any] = []
    once = taking.take

    async def take(*arguments: Any) -> None:
        if not failures:
            failures.append(arguments)
            raise RecursionError("too deep")
        await once(*arguments)

    monkeypatch.setattr(taking, "take", take)
    running = asyncio.create_task(source.run())
    try:
        async with asyncio.timeout(20):
            while not await stored(adapter):
                assert not running.done()
                await asyncio.sleep(0.05)
    finally:
        running.cancel()
        await asyncio.gather(running, return_exceptions=True)
    assert source.problem is None or "RecursionError" in source.problem


@pytest.fixture
def in_moments(agency: AgencySql) -> AgencySql:
    """PostgreSQL has moments for which Python has no value; complaints that grow by a moment, and end at one."""
    agency.do(
        "ALTER TABLE aduan ALTER diubah TYPE timestamptz USING timestamptz '2026-11-24T08:00Z'",
        "ALTER TABLE aduan ADD berlaku date",
        "ALTER DATABASE " + agency.url.rpartition("/")[2].partition("?")[0] + " SET datestyle = 'German, DMY'",
    )
    return agency


@pytest.mark.parametrize("agency", ["postgresql"], indirect=True)
async def test_a_moment_that_python_has_no_value_for_costs_its_own_field(
    adapter: SmallAdapter, in_moments: AgencySql
) -> None:
    table = {"columns": ("nomor", "layanan", "desa", "keluhan", "catatan", "diubah", "berlaku")}
    for number, berlaku in enumerate(("2026-12-01", "infinity", "20226-12-01", "0044-03-15 BC"), start=1):
        insert = (
            "INSERT INTO aduan VALUES (:n, 'drain', '51.71.01.1005', 'Saluran', NULL, '2026-11-24T08:00Z', 'x', :b)"
        )
        in_moments.do(insert.replace(":b", f"'{berlaku}'"), n=number)
    source = source_of(in_moments, adapter, table=table)
    assert await source.read_once() == 4
    assert await refused(adapter) == []
    assert len(await stored(adapter)) == 4


@pytest.mark.parametrize("agency", ["postgresql"], indirect=True)
@pytest.mark.parametrize("begin", ["beginning", "now"])
async def test_behind_a_row_that_is_endless_the_others_still_come_and_it_comes_once(
    adapter: SmallAdapter, in_moments: AgencySql, begin: str
) -> None:
    def complain(number: int, moment: str) -> None:
        insert = "INSERT INTO aduan VALUES (:n, 'drain', '51.71.01.1005', 'Saluran', NULL, 'M', 'x', NULL)"
        in_moments.do(insert.replace("'M'", f"'{moment}'"), n=number)

    clock = Clock()
    for number, moment in enumerate(("-infinity", "2026-11-24T08:00Z", "20226-11-24", "infinity"), start=1):
        complain(number, moment)
    source = source_of(in_moments, adapter, clock, begin=begin, batch_rows_max=2)
    told = 4 if begin == "beginning" else 0
    assert await source.read_once() == told
    for number in range(5, 9):
        clock.now += 11
        complain(number, f"2026-11-24T08:0{number}Z")
        assert await source.read_once() == 1
        assert await source.read_once() == 0
    assert len(await stored(adapter)) == told + 4
    assert read_position(await source._memory.position("aduan")) < datetime.fromisoformat("2026-11-24T08:09Z")
