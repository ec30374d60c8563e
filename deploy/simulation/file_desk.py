"""A desk at a folder: steps go out as rows of CSV or XLSX files, laid down whole; letters come in CSV files.

Rows that are written within a short while share a file, as an export does. A file is read to its end before it is put
aside; a simulator that is killed in between reads it again, and knows its letters.
"""

from __future__ import annotations

import asyncio
import csv
import io
import os
import time
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from adapters.mapping import AgencyRow
from deploy.simulation.desk import Letter
from deploy.simulation.vocabulary import Words

SHARE_SECONDS = 0.3
"""How long a row waits for others that go into the same file."""

READ_FOLDER = "read"


class FileDesk:
    """The folders of one agency."""

    def __init__(
        self, words: Words, *, outgoing: Path, incoming: Path | None, spreadsheet: bool, delimiters: tuple[str, str]
    ) -> None:
        """
        Args:
            spreadsheet: XLSX instead of CSV.
            delimiters: of what goes out, of what comes in.
        """
        self._words = words
        self._outgoing = outgoing
        self._incoming = incoming
        self._spreadsheet = spreadsheet
        self._delimiters = delimiters
        self._waiting: list[tuple[AgencyRow, asyncio.Future[None]]] = []
        self._writing: asyncio.Task[None] | None = None
        self._given: list[Path] = []

    async def put(self, row: AgencyRow) -> None:
        """Return once a file with this row lies in the folder."""
        done: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        self._waiting.append((row, done))
        if self._writing is None or self._writing.done():
            self._writing = asyncio.create_task(self._write())
        await done

    async def letters(self, read_to: int) -> Sequence[Letter]:
        """What stands in the files that have come, the oldest first."""
        if self._incoming is None:
            return ()
        self._given, letters = await asyncio.to_thread(self._read, self._incoming)
        return letters

    async def filed(self) -> None:
        """Put the files aside."""
        given, self._given = self._given, []
        for path in given:
            target = path.parent / READ_FOLDER
            target.mkdir(exist_ok=True)
            os.replace(path, target / path.name)

    async def close(self) -> None:
        """What was not written stands in the agency's records."""
        if self._writing is not None:
            self._writing.cancel()

    async def _write(self) -> None:
        while self._waiting:
            await asyncio.sleep(SHARE_SECONDS)
            taken, self._waiting = self._waiting, []
            try:
                await asyncio.to_thread(self._lay_down, [row for row, _ in taken])
            except OSError as error:
                for _, done in taken:
                    if not done.done():
                        done.set_exception(error)
            else:
                for _, done in taken:
                    if not done.done():
                        done.set_result(None)

    def _lay_down(self, rows: Sequence[AgencyRow]) -> None:
        cells = [[{**row.key, **row.values}.get(name) for name in self._words.columns] for row in rows]
        content = self._workbook(rows[0].table, cells) if self._spreadsheet else self._csv(cells)
        suffix = "xlsx" if self._spreadsheet else "csv"
        seconds, part = divmod(time.time_ns(), 10**9)
        name = f"{rows[0].table}-{time.strftime('%Y%m%d-%H%M%S', time.localtime(seconds))}-{part:09}.{suffix}"
        hidden = self._outgoing / f".{name}"
        with open(hidden, "wb") as file:
            file.write(content)
            file.flush()
            os.fsync(file.fileno())
        os.replace(hidden, self._outgoing / name)

    def _csv(self, cells: Sequence[Sequence[Any]]) -> bytes:
        text = io.StringIO()
        writer = csv.writer(text, delimiter=self._delimiters[0])
        writer.writerow(self._words.columns)
        writer.writerows(cells)
        return text.getvalue().encode("utf-8")

    def _workbook(self, title: str, cells: Sequence[Sequence[Any]]) -> bytes:
        from openpyxl import Workbook
        from openpyxl.cell import WriteOnlyCell

        def typed(value: Any) -> Any:
            cell = WriteOnlyCell(sheet, value)
            if isinstance(value, str):
                cell.data_type = "s"  # what begins with "=" is what somebody typed, and no formula
            return cell

        book = Workbook(write_only=True)
        sheet = book.create_sheet(title[:31])
        sheet.append(list(self._words.columns))
        for row in cells:
            sheet.append([typed(value) for value in row])
        content = io.BytesIO()
        book.save(content)
        return content.getvalue()

    def _read(self, folder: Path) -> tuple[list[Path], list[Letter]]:
        paths = sorted(path for path in folder.glob("*.csv") if not path.name.startswith("."))
        letters: list[Letter] = []
        for path in paths:
            with open(path, encoding="utf-8-sig", newline="") as file:
                letters += [Letter(None, record) for record in csv.DictReader(file, delimiter=self._delimiters[1])]
        return paths, letters
