"""Events out, as CSV files: one for each table of the mapping and each period of the city's clock, whole or not at all.

A call stores the event's rows in the adapter's database, and counts as delivered: an event that comes again adds
nothing. When a period is over its file is written under a temporary name, flushed to disk, noted as ready, and given
its name. So a crash at any moment leaves either no file, or all of it, and never a second one, even where the agency
has taken the first away already. A period without rows has no file.
"""

from __future__ import annotations

import asyncio
import csv
import os
import re
import time
from collections.abc import Callable
from datetime import date, datetime
from decimal import Decimal
from functools import partial
from pathlib import Path
from typing import Annotated, Any, Literal, TextIO

import msgspec
from pydantic import Field, StringConstraints

from adapters.folders import sync_folder
from adapters.kinds import Place, TargetKind
from adapters.mapping import AgencyRow, Mapping
from adapters.outcome import DELIVERED, Outcome
from adapters.spreadsheets import disarmed
from adapters.targets.files.periods import Length, period_of
from adapters.targets.files.rows import (
    FileOf,
    NewRow,
    event_key,
    forget,
    make_tables,
    read_cells,
    set_state,
    store_rows,
    unfinished,
    written,
)
from bus.backoff import Backoff
from bus.inbox import Arrived
from bus.logs import get_logger
from schemas.envelope import Event
from schemas.failures import Misconfigured, Reason, Refused, Retryable
from schemas.strict import Strict
from schemas.values import Text500

log = get_logger("files_target")

READ_ROWS = 1000
FORGET_SECONDS = 3600.0
_TABLE = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]{0,63}")


class FilesTargetConfig(Strict):
    """`[agency.target]` of kind `files`."""

    folder: Text500
    """Where files are put, relative to adapter.toml."""
    mapping: Text500
    """The mapping whose `[[row]]`s say which rows an event becomes, relative to adapter.toml. A table is a file."""
    period: Length = "day"
    """What one file covers, by the city's clock and the time at which the adapter had the event."""
    delimiter: Annotated[str, StringConstraints(pattern=r"^[^\"\r\n\u0000]$")] = ","
    """What stands between cells."""
    encoding: Literal["utf-8", "utf-8-sig", "cp1252"] = "utf-8"
    """How text is written; `utf-8-sig` has the byte order mark by which spreadsheets know UTF-8."""
    decimal_comma: bool = False
    """Whether numbers are written 1250000,50."""
    look_seconds: float = Field(default=5.0, gt=0, le=3600)
    """How often it is looked whether a period is over."""
    remember_days: int = Field(default=90, ge=1)
    """How long an event is known again after its file was written."""


class FilesTarget:
    """The files of one agency."""

    def __init__(
        self, config: FilesTargetConfig, place: Place, mapping: Mapping, *, clock: Callable[[], float] = time.time
    ) -> None:
        """
        Raises:
            Misconfigured: a table's name is no name for a file.
        """
        self._config = config
        self._agency = place.agency
        self._zone = place.city.zone
        self._database = place.database
        self._mapping = mapping
        self._clock = clock
        self._folder = place.folder / config.folder
        self._columns = _columns(mapping)
        if wrong := [table for table in self._columns if not _TABLE.fullmatch(table)]:
            raise Misconfigured(
                f'the table "{wrong[0][:100]}" of the mapping is no name for a file: use letters, digits, dot, '
                "hyphen and underscore, a letter or digit first."
            )
        self._opened = asyncio.Lock()
        self._is_open = False
        self._forgot_at = 0.0

    async def call(self, event: Arrived) -> Outcome:
        """Store the rows of an event for the file of the present period."""
        attributes = msgspec.json.decode(event.attributes)
        try:
            said = self._mapping.to_agency(Event(data=event.data, **attributes))
            new = [self._row(row) for row in said]
        except Refused as refused:
            return Outcome("refused", str(refused)[:500])
        if not new:
            return DELIVERED
        key = event_key(attributes["source"], event.event_id)

        def unit(connection: Any) -> None:
            now = self._clock()  # in the unit: what is read for a file later has all that came before
            period = period_of(now, self._config.period, self._zone)
            store_rows(connection, self._agency, key, new, period=period, now=now)

        try:
            await self._open()
            await self._database.run(unit)
        except Retryable as error:
            return Outcome("away", str(error))
        return DELIVERED

    async def run(self) -> None:
        """Write the files of periods that are over, for ever; wait out what is away."""
        backoff = Backoff(0.5, 60.0)
        while True:
            try:
                await self.write_due()
                backoff.reset()
            except (Retryable, OSError) as error:
                log.warning("files_target_waited", agency=self._agency, error=str(error))
                await asyncio.sleep(backoff.next_seconds())
                continue
            await asyncio.sleep(self._config.look_seconds)

    async def write_due(self) -> None:
        """Write the file of each period that is over.

        Raises:
            DatabaseUnavailable, OSError: call again.
        """

        def unit(connection: Any) -> tuple[list[tuple[FileOf, str]], float]:
            return unfinished(connection, self._agency), self._clock()  # in this order: none of them began later

        await self._open()
        due, now = await self._database.run(unit)
        present = period_of(now, self._config.period, self._zone)
        for file, state in due:
            if state == "open":
                if file.period == present:
                    continue
                # Nothing comes into it from here on, whatever the clock says: it would be neither read nor written.
                closing = partial(set_state, agency=self._agency, file=file, state="closing", now=now)
                await self._database.run(closing)
            if state != "ready":
                await self._write(file)
            await asyncio.to_thread(_give_name, self._temporary(file), self._folder / file.name)
            await self._database.run(partial(written, agency=self._agency, file=file, now=now))
            log.info("file_written", agency=self._agency, file=file.name)
        if due and now - self._forgot_at > FORGET_SECONDS:  # not with each file: there may be one each second
            before = now - self._config.remember_days * 86_400
            await self._database.run(partial(forget, agency=self._agency, before=before))
            self._forgot_at = now

    async def _write(self, file: FileOf) -> None:
        path = self._temporary(file)
        handle = await asyncio.to_thread(_create, path, self._config.encoding)
        try:
            names = self._columns.get(file.table, [])
            output = csv.writer(handle, delimiter=self._config.delimiter, lineterminator="\r\n")
            output.writerow([disarmed(name) for name in names])
            after = 0
            while True:
                part = await self._database.run(
                    partial(read_cells, agency=self._agency, file=file, after=after, rows_max=READ_ROWS)
                )
                if not part:
                    break
                after = part[-1][0]
                await asyncio.to_thread(
                    output.writerows, [[cells.get(name, "") for name in names] for _, cells in part]
                )
            await asyncio.to_thread(_sync, handle)
        finally:
            handle.close()
        await self._database.run(partial(set_state, agency=self._agency, file=file, state="ready", now=self._clock()))

    async def check(self) -> list[str]:
        """What is wrong with the folder."""
        if not self._folder.is_dir():
            return [f"the folder {self._folder} is not there. Make it, or set folder of the target."]
        if not os.access(self._folder, os.W_OK | os.X_OK):
            return [f"nothing can be written into {self._folder}. Give the adapter's user the right to."]
        return []

    async def close(self) -> None:
        """Nothing is open between calls."""

    async def _open(self) -> None:
        async with self._opened:
            if not self._is_open:
                await self._database.run(make_tables, alone=True)
                self._is_open = True

    def _temporary(self, file: FileOf) -> Path:
        return self._folder / f".{file.name}.part"

    def _row(self, row: AgencyRow) -> NewRow:
        cells = {}
        for name, value in {**row.key, **row.values}.items():
            cells[name] = text = self._text(value)
            try:
                text.encode(self._config.encoding)
            except UnicodeEncodeError as error:
                problem = f"{text[error.start]!r} cannot be written in {self._config.encoding}"
                reason = Reason("encoding", name, problem, 'Set encoding = "utf-8" for the target.')
                raise Refused([reason]) from error
        return NewRow(row.table, cells)

    def _text(self, value: Any) -> str:
        if value is None:
            return ""
        if isinstance(value, bool):
            return "true" if value else "false"
        if isinstance(value, int | float | Decimal):
            text = f"{value:f}" if isinstance(value, Decimal) else str(value)
            return text.replace(".", ",") if self._config.decimal_comma else text
        if isinstance(value, date | datetime):
            return value.isoformat()
        return disarmed(str(value).replace("\0", "\u2400"))


def _columns(mapping: Mapping) -> dict[str, list[str]]:
    """The header of each table: the columns of all its rules, in their order, whatever one event fills."""
    found: dict[str, list[str]] = {}
    for rule in mapping.rows:
        names = found.setdefault(rule.table, [])
        names += [cell.column for cell in (*rule.key, *rule.values) if cell.column not in names]
    return found


def _create(path: Path, encoding: str) -> TextIO:
    descriptor = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_TRUNC | os.O_NOFOLLOW | os.O_CLOEXEC, 0o640)
    return os.fdopen(descriptor, "w", encoding=encoding, newline="")


def _sync(file: TextIO) -> None:
    file.flush()
    os.fsync(file.fileno())


def _give_name(temporary: Path, final: Path) -> None:
    """Give a whole file its name, over nothing. It has it already where the temporary name is gone: after a crash."""
    if not os.path.lexists(temporary):
        return
    if os.path.lexists(final):
        raise FileExistsError(f"{final} is there already, and not the adapter's: move it away")
    os.rename(temporary, final)  # and no second link, which a crash could leave under the temporary name
    sync_folder(final.parent)


def _build(config: FilesTargetConfig, place: Place) -> FilesTarget:
    mapping = Mapping.load(place.folder / config.mapping, place.city)
    if not mapping.rows:
        raise Misconfigured(f"{config.mapping} has no [[row]]: add one for each kind of event that the agency is told.")
    return FilesTarget(config, place, mapping)


KIND = TargetKind(FilesTargetConfig, _build)
