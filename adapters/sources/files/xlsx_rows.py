"""Reads XLSX row by row, each cell typed as the spreadsheet has it, in a process of its own (`xlsx_child.py`)."""

from __future__ import annotations

import errno
import subprocess
import sys
import tempfile
from collections.abc import Generator, Iterator
from datetime import date, datetime
from pathlib import Path
from typing import Any

import msgspec

from adapters.sources.files.config import FilesConfig
from adapters.sources.files.table import Columns, FileRefused, Row, check_count
from schemas.failures import Reason

CHILD = Path(__file__).with_name("xlsx_child.py")
EXIT_UNWRITABLE = 74
"""As in `xlsx_child.py`, of which nothing is imported here: it runs by itself."""

LINE_BYTES_MAX = 64 * 1024 * 1024
"""A row in the child's words: 500 cells of what a spreadsheet's cell can hold, and then some."""


def xlsx_rows(path: Path, config: FilesConfig, *, after: int = 0) -> Generator[Row | Columns, None, None]:
    """First the columns, then each row whose number is above `after`.

    Raises:
        FileRefused: the file as a whole cannot be read, or not to its end.
        OSError: there is no space for its rows.
    """
    command = [sys.executable, "-I", str(CHILD), str(path), config.sheet or ""]
    command += [str(config.unpacked_bytes_max), str(config.memory_bytes_max)]
    # A file without a name, which is gone with this process: the child holds the whole sheet, and should not do so
    # until the last of its rows is stored.
    with tempfile.TemporaryFile(dir=path.parent) as said:
        done = subprocess.run(  # noqa: S603 - our own program
            command, stdin=subprocess.DEVNULL, stdout=said, stderr=subprocess.DEVNULL, check=False
        )
        if done.returncode == EXIT_UNWRITABLE:
            raise OSError(errno.ENOSPC, "the rows of a workbook could not be written", str(path.parent))
        said.seek(0)
        yield from _rows(iter(lambda: said.readline(LINE_BYTES_MAX), b""), config, after)


def _rows(lines: Iterator[bytes], config: FilesConfig, after: int) -> Generator[Row | Columns, None, None]:
    columns: Columns | None = None
    for line in lines:
        if len(line) >= LINE_BYTES_MAX:
            break
        try:
            said = msgspec.json.decode(line)
        except msgspec.DecodeError:
            break  # the child was ended within a line
        if isinstance(said, dict):
            if "refused" in said:
                raise FileRefused(f"{said['refused']}.")
            if columns is None:
                raise FileRefused(f"the sheet has no row {config.header_row}, where its columns should be named.")
            return
        number, cells = said
        if number < config.header_row:
            continue
        if columns is None:
            while cells and cells[-1] is None:
                cells.pop()
            check_count(len(cells), config)
            columns = Columns(cells, config)
            yield columns
        elif number > after and any(cell is not None for cell in cells):
            cells = [_cell(cell) for cell in cells]
            if sum(len(cell) for cell in cells if isinstance(cell, str)) > config.row_bytes_max:
                reason = Reason("too_large", "row", f"the row has more than {config.row_bytes_max} bytes", "Send less.")
                yield Row(number, [str(cell)[:1000] for cell in cells], reasons=[reason])
            else:
                yield columns.row(number, cells)
    raise FileRefused(
        "the workbook could not be read to its end: it is damaged, or needs more memory or time than the source allows "
        "(memory_bytes_max). Save it anew with fewer rows and columns."
    )


def _cell(cell: Any) -> Any:
    if not isinstance(cell, dict):
        return cell
    ((kind, text),) = cell.items()
    if kind == "moment":
        return datetime.fromisoformat(text)
    return date.fromisoformat(text) if kind == "date" else text
