"""Reads one XLSX file and writes its rows to standard output as JSON lines. A program of its own, with bounds.

A workbook is a ZIP of XML that says itself how large it is. Whoever wrote it may lie, and a sheet of two cells may
claim seventeen thousand million. So it is read here, where the memory and the time of the whole process are bounded: at
worst this process ends, and the adapter says that the file could not be read. Run by its path, with nothing of Subak
imported.

Lines: `[number, cells]` for a row, where a cell is a JSON value or `{"date": ...}`, `{"moment": ...}`, `{"time": ...}`;
`{"refused": sentence}`; and at the end `{"rows": n}`, without which the reader knows that something is missing.
"""

from __future__ import annotations

import datetime
import errno
import json
import math
import os
import resource
import sys
import zipfile
import zlib
from typing import Any, BinaryIO

CPU_SECONDS_MAX = 300
ENTRIES_MAX = 10_000
CHUNK_BYTES = 65_536

EXIT_UNWRITABLE = 74
"""EX_IOERR of sysexits.h: the rows could not be written, which is no fault of the workbook's."""


class Bomb(Exception):
    """The archive is not what it says, or too large."""


def main(path: str, sheet: str, unpacked_bytes_max: int, memory_bytes_max: int) -> None:
    """Write the rows of a sheet, or a sentence that says why not."""
    resource.setrlimit(resource.RLIMIT_AS, (memory_bytes_max, memory_bytes_max))
    resource.setrlimit(resource.RLIMIT_CPU, (CPU_SECONDS_MAX, CPU_SECONDS_MAX))
    resource.setrlimit(resource.RLIMIT_CORE, (0, 0))
    resource.setrlimit(resource.RLIMIT_FSIZE, (unpacked_bytes_max, unpacked_bytes_max))
    try:
        with open(path, "rb") as file:
            check_archive(file, unpacked_bytes_max)
        write_rows(path, sheet)
    except Bomb as error:
        say({"refused": str(error)})
    except MemoryError:
        say({"refused": "the sheet needs more memory to be read than memory_bytes_max of the source allows"})
    except (zipfile.BadZipFile, NotImplementedError, OSError, EOFError) as error:
        say({"refused": f"the file is not an XLSX workbook: {error}"})


def check_archive(file: BinaryIO, unpacked_bytes_max: int) -> None:
    """Hold what each entry says of its size against the bound, and against what it really unpacks to.

    Raises:
        Bomb: it is too large, or lies.
    """
    with zipfile.ZipFile(file) as archive:
        entries = archive.infolist()
    if len(entries) > ENTRIES_MAX:
        raise Bomb(f"the archive has more than {ENTRIES_MAX} entries")
    if sum(entry.file_size for entry in entries) > unpacked_bytes_max:
        raise Bomb(f"the workbook unpacks to more than {unpacked_bytes_max} bytes (unpacked_bytes_max of the source)")
    if "xl/workbook.xml" not in {entry.filename for entry in entries}:
        raise Bomb("the archive holds no workbook (xl/workbook.xml). Save it as XLSX")
    for entry in entries:
        if entry.flag_bits & 0x1:
            raise Bomb("the workbook is encrypted. Save it without a password")
        if _unpacked_size(file, entry) > entry.file_size:
            raise Bomb("the archive says that it is smaller than it is")


def _unpacked_size(file: BinaryIO, entry: zipfile.ZipInfo) -> int:
    """What an entry really unpacks to; stops as soon as that is more than it says."""
    file.seek(entry.header_offset)
    header = file.read(30)
    if len(header) < 30 or header[:4] != b"PK\x03\x04":
        raise zipfile.BadZipFile("an entry is not where the directory says")
    file.seek(int.from_bytes(header[26:28], "little") + int.from_bytes(header[28:30], "little"), 1)
    if entry.compress_type == zipfile.ZIP_STORED:
        return entry.compress_size
    if entry.compress_type != zipfile.ZIP_DEFLATED:
        raise Bomb("the archive is packed in a way that spreadsheets do not use")
    unpacker = zlib.decompressobj(-zlib.MAX_WBITS)
    size = 0
    while not unpacker.eof and size <= entry.file_size:
        packed = unpacker.unconsumed_tail or file.read(CHUNK_BYTES)
        if not packed:
            raise zipfile.BadZipFile("an entry ends too early")
        try:
            size += len(unpacker.decompress(packed, CHUNK_BYTES))
        except zlib.error as error:
            raise zipfile.BadZipFile(f"an entry cannot be unpacked: {error}") from error
    return size


def write_rows(path: str, sheet: str) -> None:
    """Write each row of the sheet, with the number that a spreadsheet shows."""
    from python_calamine import CalamineError, CalamineWorkbook

    try:
        workbook = CalamineWorkbook.from_path(path)
        if not workbook.sheet_names:
            say({"refused": "the workbook has no sheet"})
            return
        if sheet and sheet not in workbook.sheet_names:
            there = ", ".join(f'"{name[:50]}"' for name in workbook.sheet_names[:10])
            say({"refused": f'the workbook has no sheet "{sheet}". It has {there}'})
            return
        found = workbook.get_sheet_by_name(sheet or workbook.sheet_names[0])
    except CalamineError as error:
        say({"refused": f"the workbook cannot be read: {error}"})
        return
    number = 0
    for number, cells in enumerate(found.iter_rows(), start=1):
        write(_encode([number, [plain(cell) for cell in cells]]))
    say({"rows": number})


def plain(cell: Any) -> Any:
    """A cell as JSON has it. A spreadsheet knows no whole numbers: those that are whole become so."""
    if cell == "":
        return None
    if isinstance(cell, float) and not math.isfinite(cell):
        return str(cell)  # JSON has no such number, and the mapping says that it is none
    if isinstance(cell, float):
        return int(cell) if cell.is_integer() and abs(cell) < 2**53 else cell
    if isinstance(cell, datetime.datetime):
        return {"moment": cell.isoformat()}
    if isinstance(cell, datetime.date):
        return {"date": cell.isoformat()}
    if isinstance(cell, datetime.time):
        return {"time": cell.isoformat()}
    if isinstance(cell, datetime.timedelta):
        return {"time": str(cell)}
    return cell


def say(what: Any) -> None:
    """Write one line."""
    write(_encode(what), flush=True)


def write(line: str, *, flush: bool = False) -> None:
    """Write, or end: where the disk takes no more so that it is tried again, where the bound does not for good."""
    try:
        sys.stdout.write(line)
        if flush:
            sys.stdout.flush()
    except OSError as error:
        os._exit(1 if error.errno == errno.EFBIG else EXIT_UNWRITABLE)


def _encode(what: Any) -> str:
    return json.dumps(what, separators=(",", ":")) + "\n"


if __name__ == "__main__":
    main(sys.argv[1], sys.argv[2], int(sys.argv[3]), int(sys.argv[4]))
