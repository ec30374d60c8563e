"""A change that stands becomes an event, once, whatever is away and wherever the adapter is killed; a bad row is kept
with its reasons and stops no other."""

from __future__ import annotations

import asyncio
import json
from typing import Any

import pytest

from adapters.sources.sql.changes import changes_table, read_changes, read_more
from bus.database import DatabaseUnavailable
from schemas.identifiers import derived_id
from tests.support.adapter import SmallAdapter
from tests.support.agency_sql import AgencySql, data_of, refused, source_config, stored, until, until_stored

SUBMITTED = "subak.request.submitted.v1"
COMMENTED = "subak.request.commented.v1"


@pytest.fixture
def works(agency: AgencySql) -> AgencySql:
    """An agency with the triggers."""
    agency.run_ddl()
    return agency


async def test_a_change_becomes_an_event_and_its_row_is_taken_away(adapter: SmallAdapter, works: AgencySql) -> None:
    async with works.read(adapter):
        works.complain(1)
        (row,) = await until_stored(adapter, 1)
        works.note(1, "Petugas datang")
        await until_stored(adapter, 2)
        await until(lambda: works.waiting() == 0)
    first, second = await stored(adapter)
    assert (first.type, second.type) == (SUBMITTED, COMMENTED)
    assert first.subject == second.subject == row.subject, "the case is known by the agency's own reference"
    assert await data_of(adapter) == [
        {"service_code": "drain", "area": "51.71.01.1005", "description": "Saluran"},
        {"text": "Petugas datang"},
    ]
    assert not await refused(adapter)


async def test_what_was_rolled_back_never_happened(adapter: SmallAdapter, works: AgencySql) -> None:
    with works.transaction() as connection:
        connection.exec_driver_sql("INSERT INTO aduan (nomor) VALUES (7)")
        connection.rollback()
    works.complain(8)
    async with works.read(adapter):
        await until_stored(adapter, 1)
        await until(lambda: works.waiting() == 0)
    assert len(await stored(adapter)) == 1


async def test_an_update_counts_only_where_a_watched_column_changed(adapter: SmallAdapter, works: AgencySql) -> None:
    works.run_ddl(source_config(table={"watch": ("catatan",)}))
    works.complain(1)
    works.do("UPDATE aduan SET keluhan = 'lain', diubah = 9", "UPDATE aduan SET catatan = catatan")
    assert works.waiting() == 1
    works.do("UPDATE aduan SET catatan = 'a'")
    works.do("UPDATE aduan SET catatan = 'A'")
    assert works.waiting() == 3, "a letter's case is a change too"


async def test_only_named_columns_leave_the_table(works: AgencySql) -> None:
    works.complain(1)
    ((row,),) = works.rows("SELECT row_data FROM subak_changes")
    assert "rahasia" not in json.loads(row)


async def test_the_ddl_may_be_run_again_and_a_deletion_is_news_where_asked(
    adapter: SmallAdapter, works: AgencySql
) -> None:
    works.run_ddl(source_config(table={"operations": ("insert", "update", "delete")}))
    works.complain(1)
    works.do("DELETE FROM aduan")
    assert works.rows("SELECT operation FROM subak_changes ORDER BY id") == [("insert",), ("delete",)]


async def test_a_bad_row_is_kept_with_its_reasons_and_stops_no_other(adapter: SmallAdapter, works: AgencySql) -> None:
    works.complain(1)
    works.complain(2, layanan="no-such-service")
    works.do(
        "INSERT INTO subak_changes (uid, table_name, operation, row_data, changed_at) "
        "VALUES ('broken', 'aduan', 'insert', '{', '2026-11-24')"
    )
    works.complain(3)
    async with works.read(adapter):
        await until_stored(adapter, 2)
        await until(lambda: works.waiting() == 0)
    kept = await refused(adapter)
    assert len(kept) == 2
    assert json.loads(kept[0].reasons)[0]["field"] == "layanan", "told with the agency's column"
    assert json.loads(json.loads(kept[0].record)["row"])["nomor"] == 2
    assert json.loads(kept[1].reasons)[0]["code"] == "not_json"


async def test_null_in_the_key_is_refused_with_that_reason(adapter: SmallAdapter, works: AgencySql) -> None:
    works.do(
        "INSERT INTO subak_changes (uid, table_name, operation, row_data, changed_at) "
        'VALUES (\'nil\', \'aduan\', \'insert\', \'{"nomor": null, "layanan": "drain", "desa": '
        '"51.71.01.1005", "keluhan": "a"}\', \'2026-11-24T08\\:00\\:00Z\')'
    )
    works.complain(3)
    async with works.read(adapter):
        await until_stored(adapter, 1)
        await until(lambda: works.waiting() == 0)
    (kept,) = await refused(adapter)
    assert [(reason["code"], reason["field"]) for reason in json.loads(kept.reasons)] == [("no_key", "nomor")]


async def read_all(source: Any) -> None:
    while await source.read_once():
        pass


STEPS = ("read", "shape", "take", "keep", "remove")


@pytest.mark.parametrize("step", STEPS)
@pytest.mark.parametrize("moment", ["before", "after"])
@pytest.mark.parametrize("rows_max", [500, 2])
async def test_killed_between_any_two_steps_it_tells_each_change_once(
    adapter: SmallAdapter, works: AgencySql, step: str, moment: str, rows_max: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    works.complain(1, 2)
    works.complain(3, layanan="no-such-service")
    works.note(1, "datang")
    source: Any = works.source(adapter, batch_rows_max=rows_max)
    taking = source._taking
    homes = {
        "read": (source._database, "run"),
        "shape": (source._database, "call"),
        "take": (taking._intake, "take_each"),
        "keep": (taking._memory, "keep_refused"),
        "remove": (source._database, "run"),
    }
    home, name = homes[step]
    real = getattr(home, name)
    calls = 0

    class Killed(BaseException):
        """As a kill, which no handler of errors sees."""

    async def dies(*arguments: Any, **keys: Any) -> Any:
        nonlocal calls
        calls += 1
        if calls < (2 if step == "remove" else 1):
            return await real(*arguments, **keys)
        if moment == "after":
            await real(*arguments, **keys)
        raise Killed

    monkeypatch.setattr(home, name, dies)
    with pytest.raises(Killed):
        await read_all(source)
    monkeypatch.undo()
    async with works.read(adapter):
        await until_stored(adapter, 3)
        await until(lambda: works.waiting() == 0)
    assert sorted(row.type for row in await stored(adapter)) == [COMMENTED, SUBMITTED, SUBMITTED]
    assert len(await refused(adapter)) == 1


async def test_a_table_of_changes_that_was_made_anew_repeats_no_id(adapter: SmallAdapter, works: AgencySql) -> None:
    text = "subak.request.commented.v1"
    values = f"'{text}', '{derived_id('case', 1)}', '{{\"text\": \"a\"}}'"
    works.do("CREATE TABLE kabar (type VARCHAR(80), subject VARCHAR(36), data VARCHAR(200), jurisdiction VARCHAR(40))")
    keys: dict[str, Any] = {
        "mapping": None,
        "table": {"name": "kabar", "key": (), "cursor": None, "columns": ("type", "subject", "data", "jurisdiction")},
    }
    for round in (1, 2):
        works.do("DROP TABLE subak_changes") if round == 2 else None
        works.run_ddl(source_config(**keys))
        works.do(f"INSERT INTO kabar (type, subject, data, jurisdiction) VALUES ({values}, '51.71.01.1005')")
        async with works.read(adapter, **keys):
            await until_stored(adapter, round)
    first, second = await stored(adapter)
    assert first.event_id != second.event_id


async def test_a_dropped_table_is_waited_for_and_said(adapter: SmallAdapter, works: AgencySql) -> None:
    works.complain(1)
    source: Any = works.source(adapter)
    task = asyncio.create_task(source.run())
    await until_stored(adapter, 1)
    assert await works.source(adapter).check() == []
    works.do("DROP TABLE subak_changes")
    await until(lambda: source.problem is not None)
    assert "subak_changes" in source.problem
    assert "sql-ddl" in source.problem
    assert "subak_changes" in (await works.source(adapter).check())[0]
    works.run_ddl()
    works.complain(2)
    await until_stored(adapter, 2)
    assert not task.done()
    task.cancel()
    await asyncio.gather(task, return_exceptions=True)


async def test_a_renamed_column_is_said_by_its_rows_and_the_agency_goes_on_writing(
    adapter: SmallAdapter, works: AgencySql
) -> None:
    works.do("ALTER TABLE aduan RENAME COLUMN keluhan TO isi")
    if works.kind in ("mysql", "mariadb"):
        with pytest.raises(Exception, match="keluhan"):
            works.complain(1)
        pytest.skip("a trigger of MariaDB fails with its column: sql-ddl must be run again, as the docs say")
    works.complain(1)
    async with works.read(adapter):
        await until(lambda: works.waiting() == 0)
        if works.kind == "sqlite":  # it renames within the triggers
            await until_stored(adapter, 1)
            return
        await until(lambda: refused(adapter))
    (kept,) = await refused(adapter)
    assert json.loads(kept.reasons)[0]["code"] == "missing_column"


async def test_a_transaction_held_open_while_others_commit_is_told_when_it_ends(
    adapter: SmallAdapter, works: AgencySql
) -> None:
    if works.kind == "sqlite":
        pytest.skip("SQLite has one writer at a time")
    async with works.read(adapter):
        with works.transaction() as late:
            late.exec_driver_sql("INSERT INTO aduan VALUES (1, 'drain', '51.71.01.1005', 'lama', NULL, 1, 'x')")
            works.complain(2, 3, 4)
            await until_stored(adapter, 3)
            await until(lambda: works.waiting() == 0)
        await until_stored(adapter, 4)
    assert [data["description"] for data in await data_of(adapter)] == ["Saluran"] * 3 + ["lama"]


async def test_more_than_one_batch_is_told_in_order(adapter: SmallAdapter, works: AgencySql) -> None:
    works.complain(*range(1, 26))
    async with works.read(adapter, batch_rows_max=10):
        await until_stored(adapter, 25)
        await until(lambda: works.waiting() == 0)
    source = f"{adapter.city.source_of('communications')}/aduan"
    cases = [derived_id(source, f'case ["{number}"]') for number in range(1, 26)]
    assert [row.subject for row in await stored(adapter)] == cases


async def test_what_was_committed_late_is_read_before_what_may_rest_on_it(works: AgencySql) -> None:
    table = changes_table("mysql" if works.kind in ("mysql", "mariadb") else works.kind, "subak_changes")

    overriding = "OVERRIDING SYSTEM VALUE " if works.kind == "postgresql" else ""

    def write(*numbers: int) -> None:
        for number in numbers:
            works.do(
                "INSERT INTO subak_changes (id, uid, table_name, operation, row_data, changed_at) "
                f"{overriding}VALUES ({number}, 'u{number}', 'aduan', 'insert', '{{}}', '2026-11-24')"
            )

    write(10, 11)
    with works.transaction() as connection:
        held = read_changes(connection, table, 2)
    write(5, 12, 13)
    with works.transaction() as connection:
        more = read_more(connection, table, 2, frozenset(change.number for change in held))
    assert [change.number for change in more] == [5, 12, 13]


async def test_rows_that_could_not_be_stored_are_read_again_with_those_read_ahead(
    adapter: SmallAdapter, works: AgencySql, monkeypatch: pytest.MonkeyPatch
) -> None:
    works.complain(*range(1, 8))
    source: Any = works.source(adapter, batch_rows_max=2)
    real, calls = source._taking._intake.take_each, 0

    async def fails(agency: str, said: Any) -> Any:
        nonlocal calls
        calls += 1
        if calls in (2, 5):
            raise DatabaseUnavailable("the adapter's own database is away")
        return await real(agency, said)

    monkeypatch.setattr(source._taking._intake, "take_each", fails)
    failures = 0
    while works.waiting():
        try:
            await source.read_once()
        except DatabaseUnavailable:
            failures += 1
    assert failures == 2
    home = f"{adapter.city.source_of('communications')}/aduan"
    cases = [derived_id(home, f'case ["{number}"]') for number in range(1, 8)]
    assert [row.subject for row in await stored(adapter)] == cases


async def test_a_defect_of_the_adapter_holds_up_its_own_row_alone(
    adapter: SmallAdapter, works: AgencySql, monkeypatch: pytest.MonkeyPatch
) -> None:
    works.complain(1, 2, 3)
    source: Any = works.source(adapter)
    real = source._taking._intake.take_each

    async def fails(agency: str, said: Any) -> Any:
        if any(one["data"]["description"] == "Saluran" and "2" in str(one) and len(said) == 1 for one in said[1:]):
            raise KeyError
        if len(said) > 1:
            raise KeyError("a defect")
        return await real(agency, said)

    monkeypatch.setattr(source._taking._intake, "take_each", fails)
    assert await source.read_once() == 3
    assert len(await stored(adapter)) == 3


def test_reading_takes_no_lock_that_outlives_it(works: AgencySql) -> None:
    works.complain(1)
    kind = "mysql" if works.kind in ("mysql", "mariadb") else works.kind
    with works.transaction() as connection:
        assert len(read_changes(connection, changes_table(kind, "subak_changes"), 10)) == 1
