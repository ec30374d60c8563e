"""Whatever stands in the folder: a clear sentence to its sender, nothing lost, nothing else delayed, memory bounded."""

from __future__ import annotations

import asyncio
import io
import os
import shutil
import struct
import tempfile
import zipfile
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import openpyxl
import pytest

from adapters.sources.files import xlsx_child
from adapters.sources.files.config import FilesConfig
from adapters.sources.files.csv_rows import csv_rows
from adapters.sources.files.errors import ErrorsFile
from adapters.sources.files.table import FileRefused, Row
from adapters.sources.files.xlsx_rows import _rows
from tests.support.adapter import SmallAdapter
from tests.support.folder import HEADER, Folder, Rows, row


@pytest.fixture
async def folder(tmp_path: Path) -> AsyncIterator[Folder]:
    async with SmallAdapter.opened(tmp_path) as adapter:
        yield Folder(tmp_path, adapter)


async def fails(folder: Folder, name: str, content: str | bytes, **keys: Any) -> str:
    """The sentence beside a file that failed; what comes after it is read all the same."""
    stem = name.rpartition(".")[0]
    await folder.read(name, content, **keys)
    assert folder.there("failed") == sorted([name, f"{stem}.error.txt"])
    assert (folder.path / "failed" / name).read_bytes() == (content if isinstance(content, bytes) else content.encode())
    await folder.read("next.csv", f"{HEADER}\n{row(1)}\n")
    assert len(await folder.stored()) == 1
    return folder.text(f"failed/{stem}.error.txt")


async def test_an_empty_file_fails(folder: Folder) -> None:
    assert "the file is empty" in await fails(folder, "requests.csv", b"")


async def test_a_header_that_names_two_columns_alike_fails(folder: Folder) -> None:
    said = await fails(folder, "requests.csv", "nomor,layanan,nomor\n1,2,3\n")
    assert 'several columns are named "nomor". Give each a name of its own.' in said


async def test_a_header_in_another_delimiter_fails_and_names_the_key(folder: Folder) -> None:
    said = await fails(folder, "requests.csv", "nomor;layanan\n1;2\n")
    assert 'set delimiter = ";"' in said


async def test_a_file_in_utf_16_fails(folder: Folder) -> None:
    assert "UTF-16. Save it as CSV in UTF-8." in await fails(folder, "requests.csv", HEADER.encode("utf-16"))


async def test_a_workbook_that_is_named_csv_and_a_text_that_is_named_xlsx_fail(folder: Folder) -> None:
    said = await fails(folder, "requests.xlsx", f"{HEADER}\n{row(1)}")
    assert "the file is not an XLSX workbook: File is not a zip file." in said
    (folder.path / "failed/requests.xlsx").unlink()
    (folder.path / "failed/requests.error.txt").unlink()
    await folder.read("book.csv", archive({"xl/workbook.xml": b"<workbook/>"}))
    assert "is named CSV" in folder.text("failed/book.error.txt")


async def test_rows_in_another_encoding_are_refused_one_by_one(folder: Folder) -> None:
    content = f"{HEADER}\n{row(1)}\n".encode() + row(2, "Café").encode("cp1252") + f"\n{row(3)}\n".encode()
    await folder.read("requests.csv", content)
    assert len(await folder.stored()) == 2
    ((number, reasons, *cells),) = folder.errors()
    assert (number, cells) == ("3", [r"R-00002,drain,51.71.01.1005,Caf\xe9"])
    assert "byte 32 of the row is not text in UTF-8" in reasons


async def test_utf_8_that_is_declared_as_cp1252_is_not_taken_for_gibberish(folder: Folder) -> None:
    await folder.read("requests.csv", f"{HEADER}\n{row(1, 'Café')}\n{row(2)}\n".encode(), encoding="cp1252")
    assert len(await folder.stored()) == 1
    assert "the row is text in UTF-8, and the source says CP1252" in folder.errors()[0][1]


async def test_a_quote_that_is_never_closed_costs_one_row(folder: Folder) -> None:
    rows = [row(1), 'R-00002,drain,51.71.01.1005,"Tersumbat', *(row(number) for number in range(3, 2000))]
    await folder.read("requests.csv", "\n".join([HEADER, *rows]))
    assert len(await folder.stored()) == 1998
    ((number, reasons, cell),) = folder.errors()
    assert (number, cell) == ("3", rows[1])
    assert "a quote is opened in this row and not closed" in reasons


async def test_a_quote_that_another_rows_quote_would_close_costs_one_row(folder: Folder) -> None:
    rows = [row(1), 'R-00002,drain,51.71.01.1005,"Tersumbat', row(3), row(4), row(5, '"Gelap, sepi"'), row(6)]
    await folder.read("requests.csv", "\n".join([HEADER, *rows]))
    assert len(await folder.stored()) == 5
    assert [(error[0], error[2]) for error in folder.errors()] == [("3", rows[1])]


@pytest.mark.parametrize(
    "ragged", ["R-00002,drain,51.71.01.1005", "R-00002,drain,51.71.01.1005,a,b", "R-00002", "R-00002,,,,,,,,x"]
)
async def test_a_row_with_too_few_or_too_many_cells_costs_itself_and_is_told_how_many(
    folder: Folder, ragged: str
) -> None:
    await folder.read("requests.csv", f"{HEADER}\n{row(1)}\n{ragged}\n{row(3)},\n{row(4)}\n")
    assert len(await folder.stored()) == 3, "empty cells at the end say nothing"
    ((number, reasons, *cells),) = folder.errors()
    assert (number, cells) == ("3", ragged.split(","))
    assert f"the row has {ragged.count(',') + 1} cells, and the header 4 columns" in reasons


async def test_a_cell_may_hold_lines_delimiters_and_quotes(folder: Folder) -> None:
    cell = '"a, ""b""\nc"'
    await folder.read("requests.csv", f"{HEADER}\n{row(1, cell)}\n{row(2)}\n")
    assert b'a, \\"b\\"\\nc' in (await folder.stored())[0].data


async def test_a_nul_is_refused(folder: Folder) -> None:
    await folder.read("requests.csv", f"{HEADER}\n{row(1, 'a' + chr(0) + 'b')}\n{row(2)}\n")
    assert len(await folder.stored()) == 1
    ((number, reasons, cell),) = folder.errors()
    assert number == "2"
    assert "the row holds a NUL character" in reasons
    assert cell.endswith("a\u2400b")


async def test_a_row_of_ten_million_columns_costs_one_row(folder: Folder) -> None:
    content = f"{HEADER}\n{row(1)}\n".encode() + b"," * 10_000_000 + f"\n{row(2)}\n".encode()
    await folder.read("requests.csv", content)
    assert len(await folder.stored()) == 2
    ((number, reasons, cell),) = folder.errors()
    assert number == "3"
    assert "the row has more than 1048576 bytes" in reasons
    assert len(cell) == 1000


def test_a_header_of_ten_million_columns_is_refused_without_reading_the_file() -> None:
    class Counted(io.BytesIO):
        taken = 0

        def readline(self, size: int | None = -1, /) -> bytes:
            line = super().readline(size)
            Counted.taken += len(line)
            return line

    with pytest.raises(FileRefused, match="more than 1048576 bytes"):
        next(csv_rows(Counted(b"a," * 10_000_000), FilesConfig(folder="f", mapping="m")))
    assert Counted.taken <= 1_048_577
    with pytest.raises(FileRefused, match="the header names more than 500 columns"):
        next(csv_rows(io.BytesIO(b",".join(b"c%d" % n for n in range(501))), FilesConfig(folder="f", mapping="m")))


def archive(entries: dict[str, bytes]) -> bytes:
    content = io.BytesIO()
    with zipfile.ZipFile(content, "w", zipfile.ZIP_DEFLATED) as file:
        for name, data in entries.items():
            file.writestr(name, data)
    return content.getvalue()


async def test_a_zip_bomb_that_says_so_fails_unread(folder: Folder) -> None:
    bomb = archive({"xl/workbook.xml": b"<workbook/>", "xl/worksheets/sheet1.xml": b"0" * 20_000_000})
    assert len(bomb) < 100_000
    said = await fails(folder, "requests.xlsx", bomb, unpacked_bytes_max=10_000_000)
    assert "the workbook unpacks to more than 10000000 bytes" in said


async def test_a_zip_bomb_that_lies_about_its_size_fails_unread(folder: Folder) -> None:
    bomb = bytearray(archive({"xl/workbook.xml": b"<workbook/>", "xl/worksheets/sheet1.xml": b"0" * 20_000_000}))
    at = bomb.rfind(b"PK\x01\x02")  # the directory's entry of the sheet
    bomb[at + 24 : at + 28] = struct.pack("<I", 1000)
    local = bomb.find(b"PK\x03\x04", 4)
    bomb[local + 22 : local + 26] = struct.pack("<I", 1000)
    said = await fails(folder, "requests.xlsx", bytes(bomb), unpacked_bytes_max=10_000_000)
    assert "the archive says that it is smaller than it is" in said


async def test_two_cells_that_span_a_whole_sheet_fail_and_take_no_memory_of_the_adapter(
    folder: Folder, tmp_path: Path
) -> None:
    book = openpyxl.Workbook()
    sheet = book.active
    assert sheet is not None
    sheet["A1"] = "nomor"
    sheet["XFD1048576"] = "x"
    book.save(tmp_path / "made.xlsx")
    said = await fails(folder, "requests.xlsx", (tmp_path / "made.xlsx").read_bytes())
    assert "needs more memory" in said


@pytest.mark.parametrize("number", ["1e999", "-1e999", "NaN", "inf"])
async def test_a_number_that_is_none_in_a_workbook_costs_no_other_row(
    folder: Folder, tmp_path: Path, number: str
) -> None:
    book = openpyxl.Workbook()
    sheet = book.active
    assert sheet is not None
    for cells in (HEADER.split(","), row(1).split(","), [*row(2).split(",")[:3], 12345.5], row(3).split(",")):
        sheet.append(cells)
    book.save(tmp_path / "made.xlsx")
    content = io.BytesIO()
    with zipfile.ZipFile(tmp_path / "made.xlsx") as made, zipfile.ZipFile(content, "w", zipfile.ZIP_DEFLATED) as file:
        for name in made.namelist():
            file.writestr(name, made.read(name).replace(b"<v>12345.5</v>", f"<v>{number}</v>".encode()))
    await folder.read("requests.xlsx", content.getvalue())
    assert folder.there("failed") == []
    assert len(await folder.stored()) in (2, 3), "as a text it is one"


def test_a_reader_of_workbooks_that_was_ended_within_a_row_fails_the_file() -> None:
    config = FilesConfig(folder="x", mapping="x")
    lines = [b'[1,["nomor"]]\n', b'[2,["R-1"]]\n', b'[3,["R-']
    with pytest.raises(FileRefused, match="could not be read to its end"):
        list(_rows(iter(lines), config, 0))


async def test_a_file_that_the_adapter_itself_fails_at_is_put_aside_and_the_next_is_read(folder: Folder) -> None:
    class Defect(Rows):
        def to_shared(self, record: Any, *, source: str) -> list[dict[str, Any]]:
            return [{"type": "subak.request.submitted.v1", "data": {"of no JSON": object()}}]

    await folder.read("requests.csv", f"{HEADER}\n{row(1)}\n", Defect())
    assert folder.there("failed") == ["requests.csv", "requests.error.txt"]
    assert "the adapter itself failed" in folder.text("failed/requests.error.txt")


async def test_xml_entities_in_a_workbook_are_not_unfolded(folder: Folder, tmp_path: Path) -> None:
    book = openpyxl.Workbook()
    book.save(tmp_path / "made.xlsx")
    entities = "".join(f'<!ENTITY e{n} "{f"&e{n - 1};" * 10}">' for n in range(1, 12))
    bomb = f'<?xml version="1.0"?><!DOCTYPE x [<!ENTITY e0 "lol"><!ENTITY f SYSTEM "file:///etc/passwd">{entities}]>'
    sheet = (
        '<worksheet xmlns="http://schemas.openxmlformats.org/spreadsheetml/2006/main"><sheetData><row r="1">'
        '<c r="A1" t="inlineStr"><is><t>nomor</t></is></c></row><row r="2"><c r="A2" t="inlineStr"><is><t>&e11;&f;</t>'
        "</is></c></row></sheetData></worksheet>"
    )
    content = io.BytesIO()
    with zipfile.ZipFile(tmp_path / "made.xlsx") as made, zipfile.ZipFile(content, "w", zipfile.ZIP_DEFLATED) as file:
        for name in made.namelist():
            file.writestr(name, bomb + sheet if name == "xl/worksheets/sheet1.xml" else made.read(name))
    await folder.read("requests.xlsx", content.getvalue())
    there = [*folder.there("failed"), *folder.there("done")]
    said = "".join(
        (folder.path / where / name).read_text("latin-1")
        for where in ("failed", "done")
        for name in folder.there(where)
        if not name.endswith(".xlsx")
    )
    assert there
    assert "root:" not in said
    assert "lollol" not in said
    assert await folder.stored() == []


async def test_only_plain_files_are_read_whatever_their_names(folder: Folder, tmp_path: Path) -> None:
    secret = tmp_path / "secret.csv"
    secret.write_text(f"{HEADER}\n{row(7)}\n")
    (folder.path / "link.csv").symlink_to(secret)
    (folder.path / "folder.csv").mkdir()
    os.mkfifo(folder.path / "pipe.csv")
    await folder.read("%2e%2e%2f..\\escape\n.csv", f"{HEADER}\n{row(1)}\n")
    assert len(await folder.stored()) == 1
    assert secret.exists()
    assert (folder.path / "link.csv").is_symlink()
    assert folder.there("done") == ["%2e%2e%2f..\\escape\n.csv"]


async def test_a_name_that_is_no_text_and_one_as_long_as_names_may_be_are_read(folder: Folder) -> None:
    odd, long = os.fsdecode(b"lapor\xff\x1b[31m.csv"), "a" * 251 + ".csv"
    await folder.read(odd, f"{HEADER}\n{row(1)}\nx,y")
    await folder.read(long, f"{HEADER}\n{row(2)}\nx,y\n")
    assert len(await folder.stored()) == 2
    assert len(folder.there("done")) == 4


async def test_a_link_in_the_place_of_done_is_not_written_through(folder: Folder, tmp_path: Path) -> None:
    (tmp_path / "elsewhere").mkdir()
    (folder.path / "done").symlink_to(tmp_path / "elsewhere")
    (folder.path / "requests.csv").write_text(f"{HEADER}\n{row(1)}\n")
    async with folder.watched():
        await asyncio.sleep(0.5)
    assert list((tmp_path / "elsewhere").iterdir()) == []


async def test_a_file_that_may_not_be_read_fails_with_that(folder: Folder) -> None:
    path = folder.path / "requests.csv"
    path.write_text(f"{HEADER}\n{row(1)}\n")
    root = os.geteuid() == 0
    if root:  # who may read everything
        for found in (folder.path.parent, folder.path):
            shutil.chown(found, 65534)
        for found in folder.path.parent.iterdir():
            found.chmod(found.stat().st_mode | 0o006)
    path.chmod(0)
    for name in ("reading", "failed", "done"):
        (folder.path / name).mkdir()
    if root:
        for name in ("reading", "failed", "done"):
            shutil.chown(folder.path / name, 65534)
        parents = [parent for parent in folder.path.parents if not os.stat(parent).st_mode & 0o001]
        modes = [(parent, os.stat(parent).st_mode & 0o777) for parent in parents]
        for parent in parents:
            parent.chmod(os.stat(parent).st_mode | 0o011)
        os.seteuid(65534)
    try:
        async with folder.watched(Rows()):
            await folder.until(lambda: "requests.error.txt" in folder.there("failed"), 10)
    finally:
        if root:
            os.seteuid(0)
            for parent, mode in modes:
                parent.chmod(mode)
    assert "the adapter may not read the file" in folder.text("failed/requests.error.txt")


async def test_a_disk_that_is_full_for_the_errors_file_is_waited_for_and_nothing_is_lost(
    folder: Folder, monkeypatch: pytest.MonkeyPatch
) -> None:
    """/dev/full refuses every byte, as a full disk does."""
    real, full = os.fsync, [True]
    added = ErrorsFile.add

    def add(self: ErrorsFile, rows: list[Row], names: list[str]) -> int:
        if full[0]:
            path, self.path = self.path, Path("/dev/full")
            try:
                return added(self, rows, names)
            finally:
                self.path = path
        return added(self, rows, names)

    monkeypatch.setattr(ErrorsFile, "add", add)
    (folder.path / "requests.csv").write_text("\n".join([HEADER, row(1), "R-2,drain", row(3)]))
    async with folder.watched():
        await asyncio.sleep(1)
        assert folder.there("done") == []
        full[0] = False
        await folder.until(lambda: "requests.csv" in folder.there("done"))
    assert real is os.fsync
    assert len(await folder.stored()) == 2
    assert [error[0] for error in folder.errors()] == ["3"]


async def test_a_disk_that_is_full_for_a_workbooks_rows_is_waited_for(
    folder: Folder, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    book = openpyxl.Workbook()
    assert book.active is not None
    book.active.append(HEADER.split(","))
    for number in range(3):
        book.active.append(row(number).split(","))
    with monkeypatch.context() as patch:
        full = Path("/dev/full")
        patch.setattr(tempfile, "TemporaryFile", lambda dir: full.open("r+b", buffering=0))
        book.save(folder.path / "requests.xlsx")
        async with folder.watched():
            await folder.until(lambda: bool(folder.there("reading")))
            await asyncio.sleep(1)
            assert folder.there("failed") == folder.there("done") == []
    async with folder.watched():
        await folder.until(lambda: "requests.xlsx" in folder.there("done"))
    assert len(await folder.stored()) == 3
    assert folder.there("reading") == [], "nothing is left behind"


async def test_a_file_that_is_too_large_fails(folder: Folder) -> None:
    said = await fails(folder, "requests.csv", f"{HEADER}\n{row(1)}\n" * 100, file_bytes_max=1000)
    assert "more than the 1000 of file_bytes_max. Send it in parts." in said


async def test_commands_in_cells_are_text_on_the_way_in_and_disarmed_in_the_errors_file(folder: Folder) -> None:
    command = "=cmd|' /C calc'!A0"
    cells = [command, "+1", "-1", "@SUM(A1)", "\t=1"]
    rows = [row(number, cell) for number, cell in enumerate(cells)]
    rows += [f"R-1{number},drain,99,{cell}" for number, cell in enumerate(cells)]
    await folder.read("requests.csv", "\n".join([HEADER, *rows]))
    assert len(await folder.stored()) == len(cells)
    assert [error[-1] for error in folder.errors()] == [f"'{cell}" for cell in cells]


def test_the_child_needs_nothing_of_subak() -> None:
    """It is run by its path, in isolation: what it imports is the standard library and calamine."""
    text = Path(xlsx_child.__file__).read_text(encoding="utf-8")
    assert not any(f"{word} {name}" in text for word in ("from", "import") for name in ("adapters", "bus", "schemas"))
