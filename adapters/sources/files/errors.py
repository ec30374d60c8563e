"""The errors file of one file: each row that became no event, with its number, its reasons and all of its cells.

A person opens it in a spreadsheet, corrects the rows and puts it back: so it is CSV in UTF-8 with a byte order mark,
its cells disarmed, and its two first columns are left out when it comes back. It grows beside the file that is read,
and is moved next to it at the end. After a crash it is cut to the rows that count as handled.
"""

from __future__ import annotations

import csv
import io
import os
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from adapters.sources.files.config import FilesConfig
from adapters.sources.files.table import REASONS_COLUMN, ROW_COLUMN, Row
from adapters.spreadsheets import disarmed

REASONS_CHARACTERS_MAX = 2000


class ErrorsFile:
    """Rows that were refused, on disk."""

    def __init__(self, path: Path, config: FilesConfig) -> None:
        self.path = path
        self._delimiter = config.delimiter

    def cut(self, length: int) -> None:
        """Forget what was written behind the rows that count as handled.

        Raises:
            OSError: the disk.
        """
        if length == 0:
            self.path.unlink(missing_ok=True)
        elif self.path.exists():
            os.truncate(self.path, length)

    def add(self, rows: Sequence[Row], names: Sequence[str]) -> int:
        """Write rows, the header before the first of them; returns the length of the file once all is on disk.

        Raises:
            OSError: the disk is full. Call `cut` before trying again.
        """
        with open(self.path, "ab") as file:
            text = io.StringIO()
            writer = csv.writer(text, delimiter=self._delimiter, lineterminator="\r\n")
            if file.tell() == 0:
                text.write("\ufeff")
                writer.writerow([ROW_COLUMN, REASONS_COLUMN, *(disarmed(name) for name in _own(names))])
            for row in rows:
                reasons = " | ".join(str(reason) for reason in row.reasons)[:REASONS_CHARACTERS_MAX]
                cells = row.cells
                if len(names) == len(cells) and names[:2] == [ROW_COLUMN, REASONS_COLUMN]:
                    cells = cells[2:]
                writer.writerow([row.number, disarmed(reasons), *(disarmed(_text(cell)) for cell in cells)])
            file.write(text.getvalue().encode("utf-8", "backslashreplace"))
            file.flush()
            os.fsync(file.fileno())
            return file.tell()


def _own(names: Sequence[str]) -> list[str]:
    return [name for name in names if name not in (ROW_COLUMN, REASONS_COLUMN)]


def _text(cell: Any) -> str:
    return "" if cell is None else str(cell).replace("\0", "\u2400")
