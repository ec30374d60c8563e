"""An event's rows stand in exactly one file, whole, however often it comes and whenever the adapter is killed."""

from __future__ import annotations

import asyncio
import csv
import os
from collections.abc import AsyncIterator
from datetime import UTC, datetime
from pathlib import Path
from typing import Any
from zoneinfo import ZoneInfo

import msgspec
import pytest
from sqlalchemy import inspect

from adapters.kinds import Place
from adapters.mapping import Mapping
from adapters.outcome import Outcome
from adapters.targets.files import target as module
from adapters.targets.files.periods import Length, period_of
from adapters.targets.files.rows import TABLES, files, unwritten
from adapters.targets.files.target import KIND, FilesTarget, FilesTargetConfig
from bus.inbox import Arrived
from schemas.envelope import Event
from schemas.failures import Misconfigured
from tests.support.adapter import SmallAdapter, denpasar
from tests.support.events import comment

ROWS = """
key = "nomor"

[[row]]
type = "subak.request.commented.v1"
table = "catatan"
key.kasus = { attribute = "subject" }

  [row.values]
  catatan = "text"
  penulis = "author"

[[row]]
type = "subak.request.closed.v1"
table = "catatan"
key.kasus = { attribute = "subject" }

  [row.values]
  hasil = "outcome"
  biaya = { field = "cost", form = "number" }
"""
MORNING = datetime(2026, 11, 24, 0, 30, tzinfo=UTC).timestamp()  # half past eight in Denpasar
HOUR, DAY = 3600.0, 86_400.0


class Export:
    """A files target of the water utility, its clock, and the folder."""

    def __init__(self, path: Path, adapter: SmallAdapter, **keys: Any) -> None:
        self.now = MORNING
        self.folder = path / "out"
        self.folder.mkdir(exist_ok=True)
        (path / "mapping.toml").write_text(ROWS, encoding="utf-8")
        self.place = Place(
            agency="water-utility",
            name="files",
            folder=path,
            environment={},
            city=adapter.city,
            database=adapter.database,
        )
        self.config = FilesTargetConfig.model_validate({"folder": "out", "mapping": "mapping.toml"} | keys)
        self.target = self.again()

    def again(self) -> FilesTarget:
        """The target, after a restart."""
        mapping = Mapping.load(self.place.folder / "mapping.toml", self.place.city)
        self.target = FilesTarget(self.config, self.place, mapping, clock=lambda: self.now)
        return self.target

    async def take(self, *events: Event) -> list[Outcome]:
        """Hand events over."""
        outcomes = []
        for number, event in enumerate(events):
            attributes = msgspec.json.encode(event.attributes()).decode()
            arrived = Arrived(number, event.subject, event.id, attributes, event.data)
            outcomes.append(await self.target.call(arrived))
        return outcomes

    def files(self) -> dict[str, list[list[str]]]:
        """What the agency sees: each file's rows."""
        found = {}
        for path in sorted(self.folder.iterdir()):
            if not path.name.startswith("."):
                with path.open(encoding="utf-8", newline="") as file:
                    found[path.name] = list(csv.reader(file))
        return found


@pytest.fixture
async def adapter(tmp_path: Path) -> AsyncIterator[SmallAdapter]:
    async with SmallAdapter.opened(tmp_path) as adapter:
        yield adapter


HEADER = ["kasus", "catatan", "penulis", "hasil", "biaya"]


def closed(cost: str) -> Event:
    event = comment(case=3, id="closed")
    data = b'{"outcome":"rated","cost":{"amount":"%s","currency":"IDR"}}' % cost.encode()
    return msgspec.structs.replace(event, type="subak.request.closed.v1", data=data)


async def test_a_period_has_one_file_with_all_its_rows_and_one_header_whatever_an_event_fills(
    tmp_path: Path, adapter: SmallAdapter
) -> None:
    export = Export(tmp_path, adapter)
    first, second, third = comment("Satu"), comment("Dua", case=2), closed("1250000.50")
    assert [outcome.kind for outcome in await export.take(first, second, third)] == ["delivered"] * 3
    await export.target.write_due()
    assert export.files() == {}, "the day is not over"
    export.now += DAY
    await export.target.write_due()
    assert export.files() == {
        "catatan-2026-11-24.csv": [
            HEADER,
            [first.subject, "Satu", "", "", ""],
            [second.subject, "Dua", "", "", ""],
            [third.subject, "", "", "rated", "1250000.50"],
        ]
    }
    export.now += DAY
    await export.target.write_due()
    assert len(export.files()) == 1, "a day without rows has no file"


async def test_an_event_that_comes_again_adds_nothing_before_and_after_its_file(
    tmp_path: Path, adapter: SmallAdapter
) -> None:
    export = Export(tmp_path, adapter)
    await export.take(*[comment("Satu", id="e-1")] * 3)
    export.now += DAY
    await export.target.write_due()
    await export.take(comment("Satu", id="e-1"), comment("Dua", id="e-2"))
    export.now += DAY
    await export.target.write_due()
    assert [[row[1] for row in rows] for rows in export.files().values()] == [["catatan", "Satu"], ["catatan", "Dua"]]


class Killed(BaseException):
    """The process ends here."""


@pytest.mark.parametrize("step", ["_create", "_sync", "set_state", "rename", "sync_folder", "written"])
@pytest.mark.parametrize("taken_away", [False, True])
async def test_killed_at_each_step_the_agency_gets_each_row_once(
    tmp_path: Path, adapter: SmallAdapter, monkeypatch: pytest.MonkeyPatch, step: str, taken_away: bool
) -> None:
    export = Export(tmp_path, adapter)
    await export.take(comment("Satu"), comment("Dua"))
    export.now += DAY

    def killed(*_: Any, **__: Any) -> None:
        raise Killed

    with monkeypatch.context() as patch:
        if step == "rename":
            patch.setattr(os, step, killed)
        else:
            patch.setattr(module, step, killed)
        with pytest.raises(Killed):
            await export.target.write_due()
    seen = list(export.files().values())
    assert all(len(rows) == 3 for rows in seen), "whole or not at all"
    if taken_away:
        for path in list(export.folder.iterdir()):
            if not path.name.startswith("."):
                path.unlink()
    export.again()
    await export.target.write_due()
    await export.target.write_due()
    if not taken_away or not seen:
        seen = list(export.files().values())
    else:
        assert export.files() == {}
    assert [[row[1] for row in rows[1:]] for rows in seen] == [["Satu", "Dua"]]


async def test_what_a_spreadsheet_would_run_is_disarmed_and_numbers_stay_numbers(
    tmp_path: Path, adapter: SmallAdapter
) -> None:
    export = Export(tmp_path, adapter, decimal_comma=True)
    texts = ["=cmd|' /C calc'!A0", "+1", "-1+cmd", "@SUM(1)", "=1", "aman = ya"]
    await export.take(*[comment(text) for text in texts], closed("-12.50"))
    export.now += DAY
    await export.target.write_due()
    (rows,) = export.files().values()
    assert [row[1] for row in rows[1:-1]] == [*(f"'{text}" for text in texts[:-1]), texts[-1]]
    assert rows[-1][4] == "-12,50"


async def test_a_file_that_is_there_already_is_not_overwritten(tmp_path: Path, adapter: SmallAdapter) -> None:
    export = Export(tmp_path, adapter)
    await export.take(comment("Satu"))
    export.now += DAY
    (export.folder / "catatan-2026-11-24.csv").write_text("milik orang lain")
    with pytest.raises(FileExistsError, match="move it away"):
        await export.target.write_due()
    (export.folder / "catatan-2026-11-24.csv").rename(tmp_path / "away.csv")
    await export.target.write_due()
    assert len(export.files()["catatan-2026-11-24.csv"]) == 2
    assert (tmp_path / "away.csv").read_text() == "milik orang lain"


async def test_a_clock_that_is_set_back_loses_and_repeats_nothing(tmp_path: Path, adapter: SmallAdapter) -> None:
    export = Export(tmp_path, adapter, period="hour")
    await export.take(comment("Satu"))
    export.now += HOUR
    await export.target.write_due()
    export.now -= HOUR
    await export.take(comment("Dua"))
    export.now += HOUR
    await export.target.write_due()
    assert {name: rows[1][1] for name, rows in export.files().items()} == {
        "catatan-2026-11-24T08.csv": "Satu",
        "catatan-2026-11-24T08.2.csv": "Dua",
    }


@pytest.mark.parametrize("step", ["_create", "_sync", "_give_name"])
async def test_a_row_that_a_clock_puts_into_the_file_being_written_goes_into_the_next(
    tmp_path: Path, adapter: SmallAdapter, monkeypatch: pytest.MonkeyPatch, step: str
) -> None:
    """A clock that is set back by a moment, just when a period is over."""
    export = Export(tmp_path, adapter, period="hour")
    await export.take(comment("Satu"))
    export.now += HOUR
    loop, done = asyncio.get_running_loop(), getattr(module, step)

    def set_back(*args: Any) -> Any:
        export.now -= HOUR
        asyncio.run_coroutine_threadsafe(export.take(comment("Dua")), loop).result(10)
        export.now += HOUR
        return done(*args)

    with monkeypatch.context() as patch:
        patch.setattr(module, step, set_back)
        await export.target.write_due()
    await export.target.write_due()
    assert sorted(row[1] for rows in export.files().values() for row in rows[1:]) == ["Dua", "Satu"]


async def test_a_period_that_begins_while_it_is_looked_what_is_due_is_not_over(
    tmp_path: Path, adapter: SmallAdapter, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A busy machine: between a look at the clock and one at the files the hour ends, and the next one's row comes."""
    export = Export(tmp_path, adapter, period="hour")
    await export.take(comment("Satu"))
    opening = export.target._open

    async def late() -> None:
        await opening()
        monkeypatch.undo()
        export.now += HOUR
        await export.take(comment("Dua"))

    monkeypatch.setattr(export.target, "_open", late)
    await export.target.write_due()
    assert list(export.files()) == ["catatan-2026-11-24T08.csv"]
    await export.take(comment("Tiga"))
    export.now += HOUR
    await export.target.write_due()
    assert {name: [row[1] for row in rows[1:]] for name, rows in export.files().items()} == {
        "catatan-2026-11-24T08.csv": ["Satu"],
        "catatan-2026-11-24T09.csv": ["Dua", "Tiga"],
    }


async def test_a_folder_that_is_away_is_waited_for(tmp_path: Path, adapter: SmallAdapter) -> None:
    export = Export(tmp_path, adapter, look_seconds=0.02)
    await export.take(comment("Satu"))
    export.now += DAY
    export.folder.rename(tmp_path / "away")
    working = asyncio.create_task(export.target.run())
    await asyncio.sleep(0.1)
    assert "is not there" in (await export.target.check())[0]
    (tmp_path / "away").rename(export.folder)
    async with asyncio.timeout(10):
        while not export.files():
            await asyncio.sleep(0.02)
    working.cancel()
    assert await export.target.check() == []


async def test_text_that_the_encoding_lacks_is_refused_with_its_column(tmp_path: Path, adapter: SmallAdapter) -> None:
    export = Export(tmp_path, adapter, encoding="cp1252")
    (outcome,) = await export.take(comment("ᬩᬮᬶ"))
    assert outcome.kind == "refused"
    assert outcome.reason.startswith("catatan: ")
    assert "cannot be written in cp1252" in outcome.reason


async def test_an_event_that_the_mapping_does_not_name_is_delivered_and_writes_nothing(
    tmp_path: Path, adapter: SmallAdapter
) -> None:
    export = Export(tmp_path, adapter)
    event = msgspec.structs.replace(comment(), type="subak.request.rated.v1", data=b'{"score":5}')
    assert await export.take(event) == [Outcome("delivered")]
    export.now += DAY
    await export.target.write_due()
    assert export.files() == {}


def test_a_table_whose_name_leads_elsewhere_is_refused(tmp_path: Path) -> None:
    (tmp_path / "mapping.toml").write_text(ROWS.replace('table = "catatan"', 'table = "../catatan"'))
    place = Place(
        agency="a",
        name="files",
        folder=tmp_path,
        environment={},
        city=denpasar(),
        database=None,  # type: ignore[arg-type]
    )
    config = FilesTargetConfig(folder="out", mapping="mapping.toml")
    with pytest.raises(Misconfigured, match="no name for a file"):
        KIND.build(config, place)


@pytest.mark.parametrize(("length", "name"), [("hour", "2026-10-25T02"), ("day", "2026-10-25"), ("month", "2026-10")])
def test_the_hour_that_summer_time_repeats_is_one_period(length: Length, name: str) -> None:
    first = datetime(2026, 10, 25, 0, 30, tzinfo=UTC).timestamp()
    berlin = ZoneInfo("Europe/Berlin")
    assert period_of(first, length, berlin) == period_of(first + HOUR, length, berlin) == name


async def test_a_system_that_looks_all_the_time_gets_a_file_each_second(tmp_path: Path, adapter: SmallAdapter) -> None:
    export = Export(tmp_path, adapter, period="second")
    await export.take(comment(agency="public-works", id="first"), comment(agency="public-works", id="second"))
    await export.target.write_due()
    assert list(export.folder.glob("*.csv")) == [], "a second that is not over has no file"
    export.now += 1
    await export.take(comment(agency="public-works", id="third"))
    await export.target.write_due()
    export.now += 60
    await export.target.write_due()
    assert sorted(path.name for path in export.folder.iterdir()) == [
        "catatan-2026-11-24T083000.csv",
        "catatan-2026-11-24T083001.csv",
    ]
    assert period_of(export.now, "minute", ZoneInfo("Asia/Makassar")) == "2026-11-24T0831"


async def test_the_index_of_what_is_unwritten_comes_to_a_table_that_an_earlier_version_made(
    tmp_path: Path, adapter: SmallAdapter
) -> None:
    await adapter.database.run(TABLES.create_all, alone=True)
    await adapter.database.run(lambda connection: unwritten.drop(connection), alone=True)
    export = Export(tmp_path, adapter)
    await export.take(comment(agency="public-works", id="first"))
    found = await adapter.database.run(lambda connection: inspect(connection).get_indexes(files.name))
    assert unwritten.name in [index["name"] for index in found]
