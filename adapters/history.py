"""Brings an agency's old records in as history: from a CSV file, at a bounded rate, and on from where it was.

Each row becomes what the mapping says, marked with the import's name (`bus/history.py`), and goes the way of every
event: outbox, relay, gateway. So a running adapter of the agency takes it to the bus; where none runs, or the bus is
away, the import waits and does not fill the outbox. How far it is stands in the adapter's database, by the file's
content: a crash reads one batch again, whose ids are derived and known. A row that is refused goes to
`<name>.errors.csv`, with its reasons.
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable, Generator
from dataclasses import dataclass
from hashlib import sha256
from pathlib import Path
from typing import Any

from adapters.intake import Intake
from adapters.mapping import Mapping
from adapters.sources.files.config import FilesConfig
from adapters.sources.files.csv_rows import csv_rows
from adapters.sources.files.errors import ErrorsFile
from adapters.sources.files.memory import Memory, Progress, known_by
from adapters.sources.files.table import Columns, Row
from bus.backoff import Backoff
from bus.cases import KnownCases
from bus.city import City
from bus.database import Database
from bus.outbox import Outbox
from schemas.failures import Reason, Refused, Retryable

BATCH_ROWS_MAX = 500
"""Rows whose events are stored together, and read again after a crash."""

WAITING_MAX = 20_000
"""Events of the agency that may wait for Kafka. With more the import waits too, and what happens now goes first."""


@dataclass(frozen=True, kw_only=True)
class ImportSettings:
    """One import."""

    agency: str
    source: str
    """The name of the source whose records these are: ids are derived from it, so a record is known again."""
    name: str
    """What the events bear in `history`."""
    rows_per_second: float = 200.0
    waiting_max: int = WAITING_MAX


class HistoryImport:
    """One file on its way into the outbox."""

    def __init__(
        self,
        file: Path,
        reading: FilesConfig,
        mapping: Mapping,
        city: City,
        database: Database,
        settings: ImportSettings,
        *,
        tell: Callable[[str], None] = lambda sentence: None,
    ) -> None:
        """
        Args:
            database: the adapter's own, started.
            tell: takes a sentence where the import waits.
        """
        self._file = file
        self._reading = reading
        self._mapping = mapping
        self._settings = settings
        self._source = f"{city.source_of(settings.agency)}/{settings.source}"
        cases = KnownCases(database)
        self._outbox = Outbox(database, cases)
        self._intake = Intake(city, self._outbox, cases)
        self._memory = Memory(database, settings.agency, settings.source)
        self.errors = ErrorsFile(file.with_name(f"{file.stem}.errors.csv"), reading)
        self._tell = tell

    async def run(self, went_on: Callable[[Progress], None] = lambda progress: None) -> Progress:
        """Bring in what is left of the file; returns how it went. `went_on` is called after each batch.

        Raises:
            FileRefused: the file as a whole cannot be read.
            OSError: the file, or the errors file.
        """
        await self._memory.open()
        await self._outbox.start([self._settings.agency])
        with self._file.open("rb") as file:
            digest = sha256(f"{self._settings.name}\x1f".encode())
            while part := await asyncio.to_thread(file.read, 1024 * 1024):
                digest.update(part)
            progress = await self._memory.progress(digest.hexdigest(), self._file.name[:1000])
            if progress.state == "done":
                return progress
            await asyncio.to_thread(self.errors.cut, progress.error_bytes)
            file.seek(0)
            rows = csv_rows(file, self._reading, after=progress.row_number)
            columns = await asyncio.to_thread(next, rows)
            assert isinstance(columns, Columns)
            due = time.monotonic()
            while batch := await asyncio.to_thread(self._next_batch, rows):
                await self._until_there_is_room()
                await self._store(batch, columns, progress)
                went_on(progress)
                due = max(due, time.monotonic() - 1.0) + len(batch) / self._settings.rows_per_second
                await asyncio.sleep(max(0.0, due - time.monotonic()))
        progress.state = "done"
        await self._memory.went_on(progress, {})
        return progress

    def _next_batch(self, rows: Generator[Row | Columns, None, None]) -> list[Row]:
        size = int(max(1, min(BATCH_ROWS_MAX, self._settings.rows_per_second / 2)))
        batch: list[Row] = []
        for row in rows:
            assert isinstance(row, Row)
            batch.append(row)
            if len(batch) >= size:
                break
        return batch

    async def _until_there_is_room(self) -> None:
        told = False
        agency = self._settings.agency
        while self._outbox.waiting[agency] > self._settings.waiting_max:
            self._outbox.waiting[agency] = 0  # not known: another process relays them
            try:
                await self._outbox.measure([agency])
            except Retryable as error:
                self._outbox.waiting[agency] = self._settings.waiting_max + 1
                self._tell(str(error))
            count = self._outbox.waiting[agency]
            if count <= self._settings.waiting_max:
                return
            if not told:
                self._tell(f"{count} events wait for the bus: the import waits too. Does the adapter run?")
                told = True
            await asyncio.sleep(1.0)

    async def _store(self, batch: list[Row], columns: Columns, progress: Progress) -> None:
        said = [(row, event) for row in batch for event in self._events(row)]
        before = await self._memory.known([self._known_by(event)[0] for _, event in said])
        said = [(row, event) for row, event in said if self._known_by(event)[0] not in before]
        known = {id: content for _, event in said for id, content in [self._known_by(event)]}
        backoff = Backoff(0.5, 30.0)
        while True:
            try:
                outcomes = await self._intake.take_each(self._settings.agency, [event for _, event in said])
                break
            except Retryable as error:
                self._tell(f"{error} The import waits.")
                await asyncio.sleep(backoff.next_seconds())
        fresh: set[int] = set()
        for (row, event), outcome in zip(said, outcomes, strict=True):
            if isinstance(outcome, Refused):
                row.reasons.extend(self._mapping.in_columns(event["type"], outcome).reasons)
                known.pop(self._known_by(event)[0], None)
            elif not outcome.known:
                fresh.add(row.number)
        refused = [row for row in batch if row.reasons]
        progress.row_number = batch[-1].number
        progress.rows_refused += len(refused)
        progress.rows_taken += sum(row.number in fresh and not row.reasons for row in batch)
        progress.rows_known += sum(row.number not in fresh and not row.reasons for row in batch)
        if refused:
            progress.error_bytes = await asyncio.to_thread(self.errors.add, refused, columns.names)
        await self._memory.went_on(progress, known)

    def _events(self, row: Row) -> list[dict[str, Any]]:
        if row.reasons:
            return []
        try:
            said = self._mapping.to_shared(row.record, source=self._source)
            if any("time" not in event for event in said):
                problem = "the row does not say when it happened"
                fix = "State time in the mapping: history without its time is none."
                raise Refused([Reason("no_time", "time", problem, fix)])
        except Refused as refused:
            row.reasons.extend(refused.reasons)
            return []
        except Exception as error:  # a defect: it may hold up its own row alone
            problem = f"the mapping failed: {type(error).__name__}"
            row.reasons.append(Reason("failed", "row", problem, "Report it, with this row."))
            return []
        return [{**event, "history": self._settings.name} for event in said]

    def _known_by(self, said: dict[str, Any]) -> tuple[bytes, bytes]:
        return known_by(self._settings.agency, self._settings.source, said)
