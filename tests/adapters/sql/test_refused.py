"""A refused row is told after the agency mended it, or the mapping: by a command, once, with the reasons until then."""

from __future__ import annotations

import asyncio
import json
from pathlib import Path
from typing import Any

import pytest
from typer.testing import CliRunner, Result

from schemas.failures import Misconfigured
from services.cli.adapter import app
from tests.support.adapter import SmallAdapter
from tests.support.agency_sql import MAPPING, TABLE, AgencySql, refused, stored, until, until_stored

CODES = MAPPING.replace('service_code = "layanan"', 'service_code = { column = "layanan", codes = "layanan" }')
LIST = '\n[codes.layanan]\ndrain = "drain"\n'


@pytest.fixture
def works(agency: AgencySql) -> AgencySql:
    agency.run_ddl()
    return agency


async def command(works: AgencySql, adapter: SmallAdapter, *arguments: str, key: bool = False) -> Result:
    """A command beside the adapter that runs."""
    columns = json.dumps(TABLE["columns"])
    keys = 'key = ["nomor"]' if key else ""
    (works.folder / "adapter.toml").write_text(
        f"""
[adapter]
name = "works"
database = "{adapter.database.url}"

[[agency]]
id = "communications"
token = "communications-has-a-long-token"

  [[agency.source]]
  kind = "sql"
  name = "aduan"
  url = "{works.url}"
  mapping = "mapping.toml"

    [[agency.source.table]]
    name = "aduan"
    columns = {columns}
    {keys}
""",
        encoding="utf-8",
    )
    words = ["refused", arguments[0], str(works.folder / "adapter.toml"), *arguments[1:], "--city", "denpasar"]
    return await asyncio.to_thread(CliRunner().invoke, app, words, catch_exceptions=False)


async def refuse(works: AgencySql, adapter: SmallAdapter, **keys: Any) -> None:
    works.complain(1)
    works.complain(2, layanan="drian")
    works.complain(3, layanan="road-dmg")
    async with works.read(adapter, **keys):
        await until_stored(adapter, 1)
        await until(lambda: works.waiting() == 0)
    assert len(await refused(adapter)) == 2


async def test_a_row_that_the_agency_mended_is_told_by_a_retry_and_only_once(
    adapter: SmallAdapter, works: AgencySql
) -> None:
    await refuse(works, adapter)
    listed = json.loads((await command(works, adapter, "list", "--json")).output)["refused"]
    assert [(one["row"]["nomor"], one["reasons"][0]["field"]) for one in listed] == [(2, "layanan"), (3, "layanan")]
    works.do("UPDATE aduan SET layanan = 'drain' WHERE nomor = 2")
    done = await command(works, adapter, "retry", "--all")
    assert done.exit_code == 1
    assert "1 taken, 1 refused again." in done.output
    assert [json.loads(row.data)["service_code"] for row in await stored(adapter)] == ["drain", "drain"]
    assert [json.loads(row.record)["row"].count("road-dmg") for row in await refused(adapter)] == [1]
    works.do("UPDATE aduan SET layanan = 'drain' WHERE nomor = 3")
    assert (await command(works, adapter, "retry", str(listed[1]["number"]))).exit_code == 0
    assert (await command(works, adapter, "retry", "--all")).output.strip() == "0 taken, 0 refused again."
    assert await refused(adapter) == []
    assert len({row.event_id for row in await stored(adapter)}) == 3


async def test_a_mended_mapping_is_enough_and_a_row_can_be_told_as_it_was_kept(
    adapter: SmallAdapter, works: AgencySql
) -> None:
    await refuse(works, adapter, mapping_text=CODES + LIST)
    (works.folder / "mapping.toml").write_text(CODES + LIST + 'drian = "drain"\n', encoding="utf-8")
    works.do("DELETE FROM aduan WHERE nomor = 2")
    done = await command(works, adapter, "retry", "--all")
    assert "aduan has no row with nomor 2 now" in done.output
    done = await command(works, adapter, "retry", "--all", "--as-kept", "--json")
    found = json.loads(done.output)
    assert (found["taken"], [reasons[0]["code"] for reasons in found["refused"].values()]) == (1, ["unmapped_code"])
    assert len(await stored(adapter)) == 2


async def test_a_row_that_was_told_meanwhile_is_known(adapter: SmallAdapter, works: AgencySql) -> None:
    """A cursor, or a trigger for the update, told the mended row by itself."""
    await refuse(works, adapter)
    works.do("DELETE FROM aduan WHERE nomor = 2")
    works.complain(2)
    async with works.read(adapter):
        await until_stored(adapter, 2)
    await command(works, adapter, "retry", "--all", key=True)
    assert len(await stored(adapter)) == 2
    assert len(await refused(adapter)) == 1


async def test_what_nobody_wants_is_dropped_and_nothing_else(adapter: SmallAdapter, works: AgencySql) -> None:
    await refuse(works, adapter)
    first, second = await refused(adapter)
    assert "1 dropped." in (await command(works, adapter, "drop", str(first.id))).output
    assert [row.id for row in await refused(adapter)] == [second.id]
    assert "1 dropped." in (await command(works, adapter, "drop", "--all")).output
    assert "No refused row is kept." in (await command(works, adapter, "list")).output


async def test_what_is_wrong_is_a_sentence(adapter: SmallAdapter, works: AgencySql) -> None:
    (works.folder / "mapping.toml").write_text(MAPPING, encoding="utf-8")
    for arguments, told in (
        (("retry",), "say which"),
        (("retry", "1", "--all"), "say which"),
        (("list", "--source", "aduna"), 'Did you mean "aduan"'),
        (("list", "--agency", "works"), "serves no agency 'works'"),
    ):
        with pytest.raises(Misconfigured, match=told):
            await command(works, adapter, *arguments)
    assert Path(works.folder / "adapter.toml").exists()
