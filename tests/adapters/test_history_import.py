"""Old records come in as history: each once, at a bounded rate, on from where it was broken off, never in the way."""

from __future__ import annotations

import asyncio
import csv
import json
import sqlite3
import time
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import pytest
from typer.testing import CliRunner, Result

from adapters.history import HistoryImport, ImportSettings
from adapters.mapping import Mapping
from adapters.sources.files.config import FilesConfig
from bus.agency_tables import NAME, TABLES, VERSION
from bus.database import Database
from schemas.failures import Misconfigured
from services.cli.adapter import app
from tests.adapters.mapping.controls import COMPLAINTS, RECORD
from tests.support.adapter import denpasar

ADAPTER = """
[adapter]
name = "channel"
database = "sqlite:///channel.sqlite3"

[[agency]]
id = "communications"
token = "0123456789abcdef"

[[agency.source]]
kind = "files"
name = "complaints"
folder = "arriving"
mapping = "mapping.toml"
"""


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    (tmp_path / "adapter.toml").write_text(ADAPTER, encoding="utf-8")
    (tmp_path / "mapping.toml").write_text(COMPLAINTS, encoding="utf-8")
    write(tmp_path / "Keluhan 2019.csv", [{**RECORD, "nomor": number} for number in range(30)])
    return tmp_path


def write(path: Path, rows: list[dict[str, Any]]) -> None:
    with path.open("w", encoding="utf-8", newline="") as file:
        writer = csv.DictWriter(file, list(rows[0]))
        writer.writeheader()
        writer.writerows(rows)


def import_file(folder: Path, *options: str, file: str = "Keluhan 2019.csv") -> Result:
    arguments = ["import", str(folder / file), "--adapter", str(folder / "adapter.toml"), "--city", "denpasar"]
    return CliRunner().invoke(app, [*arguments, "--rate", "5000", *options], catch_exceptions=False)


def stored(folder: Path) -> list[dict[str, Any]]:
    """The envelopes in the outbox."""
    if not (folder / "channel.sqlite3").exists():
        return []
    with sqlite3.connect(folder / "channel.sqlite3") as database:
        return [json.loads(row[0]) for row in database.execute("SELECT attributes FROM subak_outbox ORDER BY id")]


@asynccontextmanager
async def importing(folder: Path, **settings: Any) -> AsyncIterator[tuple[HistoryImport, list[str]]]:
    database = Database(f"sqlite:///{folder}/channel.sqlite3", tables=TABLES, name=NAME, version=VERSION)
    await database.start()
    told: list[str] = []
    mapping = Mapping.load(folder / "mapping.toml", denpasar())
    known = ImportSettings(agency="communications", source="complaints", name="keluhan-2019", **settings)
    reading = FilesConfig(folder="x", mapping="mapping.toml")
    file = folder / "Keluhan 2019.csv"
    try:
        yield HistoryImport(file, reading, mapping, denpasar(), database, known, tell=told.append), told
    finally:
        await database.stop()


def test_each_row_is_in_the_outbox_as_history_with_the_time_at_which_it_happened(folder: Path) -> None:
    result = import_file(folder)
    assert result.exit_code == 0
    assert "keluhan-2019: 30 taken, 0 known or skipped, 0 refused." in result.output
    found = stored(folder)
    assert len(found) == 30
    assert {event["history"] for event in found} == {"keluhan-2019"}
    assert {event["time"] for event in found} == {"2026-11-24T08:00:00+08:00"}


def test_the_same_file_again_says_nothing_new_nor_does_another_with_the_same_rows(folder: Path) -> None:
    import_file(folder)
    assert import_file(folder).exit_code == 0
    write(folder / "again.csv", [{**RECORD, "nomor": number} for number in range(25, 35)])
    told = json.loads(import_file(folder, "--json", file="again.csv").output)
    assert (told["taken"], told["known"], told["refused"]) == (5, 5, 0)
    assert len(stored(folder)) == 35


def test_refused_rows_stand_beside_the_file_and_come_back_corrected(folder: Path) -> None:
    rows = [{**RECORD, "nomor": number} for number in range(10)]
    rows[3]["jenis"], rows[5]["dibuat"], rows[7]["status"] = "BOCR", "", "SELESAI"
    write(folder / "bad.csv", rows)
    result = import_file(folder, file="bad.csv")
    assert result.exit_code == 1
    assert "7 taken, 0 known or skipped, 3 refused" in result.output
    text = (folder / "bad.errors.csv").read_text("utf-8-sig")
    assert "jenis: the code list jenis lacks" in text
    assert "time: the row does not say when it happened" in text
    corrected = text.replace("BOCR", "BOCOR")
    (folder / "corrected.csv").write_text(corrected, encoding="utf-8")
    assert "1 taken, 0 known or skipped, 2 refused" in import_file(folder, file="corrected.csv").output


async def test_broken_off_anywhere_it_goes_on_and_stores_each_row_once(folder: Path) -> None:
    for batches in (1, 1, 2):
        async with importing(folder, rows_per_second=10.0) as (running, _):
            before = len(stored(folder))
            task = asyncio.create_task(running.run())
            while len(stored(folder)) < before + batches * 5:
                await asyncio.sleep(0.02)
            task.cancel()
            await asyncio.gather(task, return_exceptions=True)
    assert 0 < len(stored(folder)) < 30
    async with importing(folder, rows_per_second=1000.0) as (running, _):
        progress = await running.run()
    assert (progress.rows_taken + progress.rows_known, progress.rows_refused) == (30, 0)
    ids = [event["id"] for event in stored(folder)]
    assert len(ids) == len(set(ids)) == 30


async def test_the_rate_is_kept_to(folder: Path) -> None:
    async with importing(folder, rows_per_second=20.0) as (running, _):
        began = time.monotonic()
        await running.run()
        assert time.monotonic() - began > 1.0, "30 rows at 20 a second"


async def test_it_waits_where_the_bus_does_not_take_what_is_there(folder: Path) -> None:
    async with importing(folder, rows_per_second=20.0, waiting_max=15) as (running, told):
        task = asyncio.create_task(running.run())
        while not told:
            await asyncio.sleep(0.05)
        await asyncio.sleep(0.3)
        assert not task.done()
        assert 15 < len(stored(folder)) <= 25
        with sqlite3.connect(folder / "channel.sqlite3") as database:  # a relay of the adapter's process has them now
            database.execute("INSERT INTO subak_outbox_positions SELECT agency, max(id) + 1, 0 FROM subak_outbox")
        await asyncio.wait_for(task, 20)
    assert "Does the adapter run?" in told[0]
    assert len(stored(folder)) == 30


@pytest.mark.parametrize(
    ("options", "told"),
    [
        (["--agency", "water"], "serves no agency 'water'"),
        (["--source", "complaint"], 'Did you mean "complaints"'),
        (["--name", "No Name"], "names no import"),
        (["--delimiter", ";;"], "--delimiter is one character"),
        (["--delimiter", "|"], "the header is one column"),
        (["--mapping", "nowhere.toml"], "No such file"),
    ],
)
def test_what_is_wrong_is_a_sentence_and_nothing_is_stored(folder: Path, options: list[str], told: str) -> None:
    with pytest.raises(Misconfigured) as caught:
        import_file(folder, *options)
    assert told in str(caught.value)
    assert stored(folder) == []
