"""A file that arrives whole is read once: good rows become events, each bad one stands in the errors file with why."""

from __future__ import annotations

import asyncio
import json
import os
from collections.abc import AsyncIterator
from collections.abc import Mapping as Columned
from datetime import date, datetime
from pathlib import Path
from typing import Any

import openpyxl
import pytest

from adapters.intake import Intake
from adapters.mapping import Mapping
from bus.agency_tables import outbox_positions
from tests.support.adapter import SmallAdapter
from tests.support.folder import HEADER, Folder, Rows, row


@pytest.fixture
async def folder(tmp_path: Path) -> AsyncIterator[Folder]:
    async with SmallAdapter.opened(tmp_path) as adapter:
        yield Folder(tmp_path, adapter)


async def test_each_row_becomes_an_event_and_the_file_moves_to_done(folder: Folder) -> None:
    await folder.read("requests.csv", f"{HEADER}\r\n{row(1)}\r\n{row(2, 'Lampu mati — gelap')}\r\n")
    events = await folder.stored()
    assert [json.loads(event.data)["description"] for event in events] == [
        "Saluran air tersumbat",
        "Lampu mati — gelap",
    ]
    assert len({event.subject for event in events}) == 2
    assert folder.there("done") == ["requests.csv"]
    assert folder.there("failed") == folder.there("reading") == []


async def test_a_half_written_file_waits_until_it_stands_still(folder: Folder) -> None:
    path = folder.path / "requests.csv"
    async with folder.watched(settle_seconds=0.4):
        for number in range(5):
            with path.open("a") as file:
                file.write((f"{HEADER}\n" if number == 0 else "") + row(number) + "\n")
            await asyncio.sleep(0.15)
            assert path.exists()
            assert folder.there("reading") == []
        await folder.until(lambda: folder.there("done") == ["requests.csv"])
    assert len(await folder.stored()) == 5


async def test_names_of_files_that_are_not_finished_are_left_alone(folder: Folder) -> None:
    names = [".requests.csv", "~$requests.xlsx", "requests.csv.part", "requests.csv.tmp", "notes.pdf"]
    for name in names:
        (folder.path / name).write_text(f"{HEADER}\n{row(1)}\n")
    await folder.read("REQUESTS.CSV", f"{HEADER}\n{row(2)}\n")
    assert sorted(path.name for path in folder.path.iterdir() if path.is_file()) == sorted(names)
    assert folder.there("done") == ["REQUESTS.CSV"]


async def test_a_bad_row_goes_to_the_errors_file_with_its_number_and_reasons_and_the_others_go_on(
    folder: Folder,
) -> None:
    rows = [row(1), "R-00002,drain,99.99,Di mana", "R-00003,drain", row(4), "R-00005,drane,51.71.01.1005,Salah"]
    await folder.read("requests.csv", "\n".join([HEADER, *rows]))
    assert len(await folder.stored()) == 2
    errors = folder.errors()
    assert [error[0] for error in errors] == ["3", "4", "6"]
    assert [error[2:] for error in errors] == [bad.split(",") for bad in (rows[1], rows[2], rows[4])]
    assert "99.99" in errors[0][1]
    assert "the row has 2 cells, and the header 4 columns" in errors[1][1]
    assert "the city's catalogue has no service drane" in errors[2][1]
    assert folder.text("done/requests.errors.csv").startswith(f"subak_row,subak_reasons,{HEADER}")


async def test_a_corrected_errors_file_can_be_put_back(folder: Folder) -> None:
    await folder.read("requests.csv", "\n".join([HEADER, row(1), "R-00002,drain,99.99,=SUM(A1)"]))
    corrected = (folder.path / "done/requests.errors.csv").read_bytes().replace(b"99.99", b"51.71.01.1005")
    assert b"'=SUM(A1)" in corrected
    await folder.read("requests-2.csv", corrected)
    assert [json.loads(event.data)["description"] for event in await folder.stored()][1] == "=SUM(A1)"


async def test_the_same_file_again_says_nothing_new_and_overwrites_nothing(folder: Folder) -> None:
    content = "\n".join([HEADER, row(1), "R-00002,drain"])
    await folder.read("requests.csv", content)
    await folder.read("requests.csv", content)
    await folder.read("copy of requests.csv", content)
    assert len(await folder.stored()) == 1
    assert folder.there("done") == [
        "copy of requests.csv",
        "requests.2.csv",
        "requests.csv",
        "requests.errors.csv",
    ]


async def test_another_file_of_the_same_name_is_read_and_overwrites_nothing(folder: Folder) -> None:
    await folder.read("requests.csv", f"{HEADER}\n{row(1)}\nR-9,drain")
    await folder.read("requests.csv", f"{HEADER}\n{row(2)}\nR-8,drain")
    assert len(await folder.stored()) == 2
    assert folder.there("done") == [
        "requests.2.csv",
        "requests.2.errors.csv",
        "requests.csv",
        "requests.errors.csv",
    ]


async def test_a_row_that_an_earlier_file_had_says_nothing_new_even_when_the_outbox_has_forgotten_it(
    folder: Folder,
) -> None:
    await folder.read("monday.csv", "\n".join([HEADER, row(1), row(2)]))
    position = (await folder.stored())[-1].id + 1
    await folder.adapter.database.run(
        lambda connection: connection.execute(
            outbox_positions.insert().values(agency="communications", position=position, committed_at=0.0)
        )
    )
    assert await folder.adapter.outbox.prune("communications", -10) == 2
    await folder.read("tuesday.csv", "\n".join([HEADER, row(2), row(1), row(3)]))
    assert len(await folder.stored()) == 1
    assert folder.there("done") == ["monday.csv", "tuesday.csv"]


async def test_a_row_whose_key_stood_for_something_else_is_refused(folder: Folder) -> None:
    await folder.read("monday.csv", "\n".join([HEADER, row(1)]))
    await folder.read("requests.csv", "\n".join([HEADER, row(1, "Lain sama sekali"), row(2)]))
    assert len(await folder.stored()) == 2
    ((number, reasons, *_),) = folder.errors()
    assert number == "2"
    assert "an earlier row with the same key said something else" in reasons


class Killed(BaseException):
    """The process ends here."""


async def test_a_crash_in_the_middle_goes_on_without_repeating_what_was_done(
    folder: Folder, monkeypatch: pytest.MonkeyPatch
) -> None:
    lines = [HEADER]
    for number in range(2600):
        lines.append(row(number) if number % 100 else f"R-{number:05},drain")
    (folder.path / "requests.csv").write_text("\n".join(lines))
    taken = Intake.take_each
    batches = 0

    async def take_each(self: Intake, agency: str, said: Any) -> Any:
        nonlocal batches
        outcome = await taken(self, agency, said)
        batches += 1
        if batches == 3:
            raise Killed  # what the third batch said is stored, and not yet noted
        return outcome

    monkeypatch.setattr(Intake, "take_each", take_each)
    task = asyncio.create_task(folder.source().run())
    with pytest.raises(Killed):
        await task
    assert folder.there("done") == []
    assert len(await folder.stored()) == 1485
    async with folder.watched():
        await folder.until(lambda: "requests.csv" in folder.there("done"))
    assert batches == 3 + 4, "what was noted is not done again"
    assert len(await folder.stored()) == 2574
    assert [int(error[0]) for error in folder.errors()] == [number + 2 for number in range(0, 2600, 100)]


@pytest.mark.parametrize(
    ("encoding", "keys"),
    [("utf-8", {}), ("utf-8-sig", {"encoding": "cp1252"}), ("cp1252", {"encoding": "cp1252"})],
)
async def test_text_is_read_as_its_encoding_says(folder: Folder, encoding: str, keys: dict[str, Any]) -> None:
    content = f"{HEADER}\n{row(1, 'Café di trotoar rusak')}\n".encode(encoding)
    await folder.read("requests.csv", content, **keys)
    (event,) = await folder.stored()
    assert json.loads(event.data)["description"] == "Café di trotoar rusak"


async def test_delimiter_and_header_row_are_as_declared_and_the_mapping_reads_numbers_and_dates(
    folder: Folder, tmp_path: Path
) -> None:
    (tmp_path / "reports.toml").write_text(REPORTS, encoding="utf-8")
    mapping = Mapping.load(tmp_path / "reports.toml", folder.adapter.city)
    rows = ["R-1;115,2373;-8,6733;24/11/2026", "R-2;115,2373;-8,6733;2026-11-24"]
    content = "\n".join(["LAPORAN", "nomor;bujur;lintang;tanggal", *rows])
    await folder.read("requests.csv", content, mapping, delimiter=";", header_row=2)
    (event,) = await folder.stored()
    assert json.loads(event.data)["location"]["coordinates"] == [115.2373, -8.6733]
    assert json.loads(event.attributes)["time"] == "2026-11-24T08:00:00+08:00"
    ((number, reasons, *_),) = folder.errors(delimiter=";")
    assert number == "4"
    assert reasons.startswith("tanggal: ")


REPORTS = """
key = "nomor"

[formats]
time = "%d/%m/%Y"
at = "08:00"
decimal = ","

[[event]]
type = "subak.request.submitted.v1"
time = "tanggal"

  [event.data]
  service_code = { value = "drain" }
  area = { value = "51.71.01.1005" }
  location = { longitude = "bujur", latitude = "lintang" }
"""


def workbook(path: Path, rows: list[list[Any]], title: str = "Laporan") -> None:
    book = openpyxl.Workbook()
    sheet = book.active
    assert sheet is not None
    sheet.title = title
    for cells in rows:
        sheet.append(cells)
    book.create_sheet("Lain").append(["kosong"])
    book.save(path)


async def test_a_workbooks_cells_keep_their_types(folder: Folder, tmp_path: Path) -> None:
    records = Rows()
    made = tmp_path / "made.xlsx"
    header = ["nomor", "jumlah", "biaya", "tanggal", "waktu", "selesai", "catatan"]
    cells = [20260001, 3, 12.5, date(2026, 11, 24), datetime(2026, 11, 24, 8, 30), True, "'=1+1"]  # noqa: DTZ001 - as in a sheet
    workbook(made, [header, cells, [None] * 7, [2, *[None] * 5, "x"]])
    await folder.read("planning.xlsx", made.read_bytes(), records, sheet="Laporan")
    assert records.seen == [
        dict(zip(header, cells, strict=True)),
        dict(zip(header, [2, *[None] * 5, "x"], strict=True)),
    ]
    assert isinstance(records.seen[0]["nomor"], int)
    assert folder.there("done") == ["planning.xlsx"]


async def test_a_workbooks_bad_row_is_told_with_the_number_that_the_spreadsheet_shows(
    folder: Folder, tmp_path: Path
) -> None:
    made = tmp_path / "made.xlsx"
    good = ["R-1", "drain", "51.71.01.1005", "Tersumbat"]
    workbook(made, [HEADER.split(","), good, ["R-2", "drain", "99", "Salah"], ["R-3", *good[1:]]])
    await folder.read("requests.xlsx", made.read_bytes())
    assert len(await folder.stored()) == 2
    assert [(error[0], error[2:]) for error in folder.errors()] == [("3", ["R-2", "drain", "99", "Salah"])]


async def test_a_sheet_that_is_not_there_is_told_with_those_that_are(folder: Folder, tmp_path: Path) -> None:
    made = tmp_path / "made.xlsx"
    workbook(made, [HEADER.split(",")])
    await folder.read("requests.xlsx", made.read_bytes(), sheet="Data")
    assert 'the workbook has no sheet "Data". It has "Laporan", "Lain".' in folder.text("failed/requests.error.txt")


async def test_files_are_read_in_the_order_in_which_they_were_written(folder: Folder) -> None:
    records = Rows()
    for number, name in enumerate(["b.csv", "c.csv", "a.csv"]):
        (folder.path / name).write_text(f"nomor\n{name}\n")
        os.utime(folder.path / name, (1_000_000 + number, 1_000_000 + number))
    async with folder.watched(records):
        await folder.until(lambda: len(folder.there("done")) == 3)
    assert [record["nomor"] for record in records.seen] == ["b.csv", "c.csv", "a.csv"]


async def test_a_folder_that_is_away_is_waited_for(folder: Folder) -> None:
    folder.path.rename(folder.path.with_name("away"))
    async with folder.watched():
        await asyncio.sleep(0.2)
        assert await folder.source().check() != []
        folder.path.with_name("away").rename(folder.path)
        (folder.path / "requests.csv").write_text(f"{HEADER}\n{row(1)}\n")
        await folder.until(lambda: folder.there("done") == ["requests.csv"])
    assert await folder.source().check() == []


async def test_a_mapping_that_fails_costs_its_row_only(folder: Folder) -> None:
    class Failing(Rows):
        def to_shared(self, record: Columned[str, Any], *, source: str) -> list[dict[str, Any]]:
            if record["nomor"] == "R-00002":
                raise KeyError("oops")
            return super().to_shared(record, source=source)

    mapping = Failing()
    await folder.read("requests.csv", "\n".join([HEADER, row(1), row(2), row(3)]), mapping)
    assert len(mapping.seen) == 2
    assert "the mapping failed: KeyError" in folder.errors()[0][1]
