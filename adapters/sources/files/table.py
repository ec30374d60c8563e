"""What CSV and XLSX have in common: a header that names columns, and rows that keep to it. Pure.

A row that does not keep to it carries its reasons and goes no further; a header that does not makes the file fail.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any

from adapters.sources.files.config import FilesConfig
from adapters.spreadsheets import armed
from schemas.failures import Reason, Unprocessable

ROW_COLUMN, REASONS_COLUMN = "subak_row", "subak_reasons"
"""The columns that an errors file has before the file's own. Where such a file comes back, corrected, they are left."""


class FileRefused(Unprocessable):
    """A file of which nothing, or nothing more, can be read. Says what is wrong and what to do."""


@dataclass(slots=True)
class Row:
    """One row as it stands in its file."""

    number: int
    """As a spreadsheet shows it: the first row of the file is 1."""
    cells: list[Any]
    record: dict[str, Any] = field(default_factory=dict)
    """Column → value, for the mapping; empty where there are reasons."""
    reasons: list[Reason] = field(default_factory=list)
    """Why the row cannot be read."""


class Columns:
    """The header of one file, and what makes records of its rows."""

    def __init__(self, header: Sequence[Any], config: FilesConfig) -> None:
        """
        Raises:
            FileRefused: no column, too many, one without a name or with that of another.
        """
        names = ["" if name is None else str(name).strip() for name in header]
        while names and not names[-1]:
            names.pop()
        check_count(len(names), config)
        if not names:
            raise FileRefused(f"row {config.header_row} names no columns. Put their names there, or set header_row.")
        if "" in names:
            where = names.index("") + 1
            raise FileRefused(f"column {where} has no name in row {config.header_row}. Give it one.")
        if twice := [name for name, count in Counter(names).items() if count > 1]:
            shown = ", ".join(f'"{name[:100]}"' for name in twice[:5])
            raise FileRefused(f"several columns are named {shown}. Give each a name of its own.")
        _check_delimiter(names, config)
        self.names = names
        self._returned = ROW_COLUMN in names

    def row(self, number: int, cells: list[Any]) -> Row:
        """A row with its record, or with the reasons why it has none."""
        row = Row(number, cells)
        width = len(self.names)
        if len(cells) < width or any(cell not in (None, "") for cell in cells[width:]):
            problem = f"the row has {len(cells)} cells, and the header {width} columns"
            fix = "Send a cell for each column; put a cell that holds the delimiter or a quote in quotes."
            row.reasons.append(Reason("ragged", "row", problem, fix))
            return row
        record = dict(zip(self.names, cells, strict=False))
        if self._returned:
            record = {
                name: armed(value) if isinstance(value, str) else value
                for name, value in record.items()
                if name not in (ROW_COLUMN, REASONS_COLUMN)
            }
        row.record = record
        return row


def check_count(columns: int, config: FilesConfig) -> None:
    """
    Raises:
        FileRefused: there are more columns than a file may have.
    """
    if columns > config.columns_max:
        raise FileRefused(
            f"the header names more than {config.columns_max} columns. Send those that the mapping uses, or raise "
            "columns_max of the source."
        )


def _check_delimiter(names: Sequence[str], config: FilesConfig) -> None:
    if len(names) == 1:
        for other in ";,\t|":
            if other != config.delimiter and other in names[0]:
                raise FileRefused(
                    f'the header is one column, "{names[0][:100]}". If its columns are separated by {other!r}, set '
                    f"delimiter = {_toml(other)} for this source."
                )


def _toml(text: str) -> str:
    return r'"\t"' if text == "\t" else f'"{text}"'
