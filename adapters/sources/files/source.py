"""Files in, events out: each row of a file that arrived becomes what the mapping says, once.

A file goes from its folder to `reading/`, and from there to `done/`, with `<name>.errors.csv` beside it where rows were
refused, or to `failed/` with `<name>.error.txt`. A crash at any point goes on where the last batch was stored; the rows
of that batch are read again, and known again by their ids. What is away (the folder, the database, space on the disk)
is waited for. The same file again, or a row that an earlier file had, says nothing new.
"""

from __future__ import annotations

import asyncio
import importlib.util
import os
from collections.abc import Iterator
from collections.abc import Mapping as Columned
from contextlib import suppress
from dataclasses import dataclass, field
from datetime import UTC, datetime
from hashlib import sha256
from pathlib import Path
from typing import Any, Protocol

import msgspec
from starlette.types import ASGIApp

from adapters.folders import shown
from adapters.intake import Intake
from adapters.kinds import Place, SourceKind
from adapters.mapping import Mapping
from adapters.sources.files.arrivals import DONE, FAILED, Arrivals, look, open_plain
from adapters.sources.files.config import FilesConfig
from adapters.sources.files.csv_rows import csv_rows
from adapters.sources.files.errors import ErrorsFile
from adapters.sources.files.memory import Memory, Progress, known_by
from adapters.sources.files.table import Columns, FileRefused, Row
from adapters.sources.files.xlsx_rows import xlsx_rows
from bus import metrics
from bus.backoff import Backoff
from bus.logs import get_logger
from schemas.failures import Misconfigured, Reason, Refused, Retryable
from schemas.identifiers import derived_id

log = get_logger("files_source")

BATCH_ROWS = 500
"""Rows whose events are stored together, and read again after a crash."""


class Shares(Protocol):
    """What makes events of a row: the mapping."""

    def to_shared(self, record: Columned[str, Any], *, source: str) -> list[dict[str, Any]]:
        """Events in the short form; none where the row says nothing."""

    def in_columns(self, type: str, refused: Refused) -> Refused:
        """The same reasons, told with the agency's columns."""


class FileChanged(Retryable):
    """The file was written to while it was read. It is read again when it stands still."""


@dataclass(slots=True)
class _Batch:
    rows: list[Row] = field(default_factory=list)
    """Up to `BATCH_ROWS`; none at the end of the file."""
    said: list[tuple[int, dict[str, Any]]] = field(default_factory=list)
    """The place of a row in `rows`, and an event of it."""


class FilesSource:
    """One folder of one agency."""

    def __init__(self, config: FilesConfig, place: Place, intake: Intake, mapping: Shares) -> None:
        self._config = config
        self._agency = place.agency
        self._name = place.name
        self._intake = intake
        self._mapping = mapping
        self._source = f"{place.city.source_of(place.agency)}/{place.name}"
        self._arrivals = Arrivals(place.folder / config.folder, config)
        self._memory = Memory(place.database, place.agency, place.name)

    def mount(self) -> tuple[str, ASGIApp] | None:
        """It is not called: it looks."""
        return None

    async def check(self) -> list[str]:
        """What is wrong with the folder."""
        folder = self._arrivals.folder
        if not folder.is_dir():
            return [f"the folder {folder} is not there. Make it, or set folder of the source {self._name}."]
        if not os.access(folder, os.R_OK | os.W_OK | os.X_OK):
            return [f"the folder {folder} cannot be read and written. Give the adapter's user the right to."]
        return []

    async def run(self) -> None:
        """Read what arrives, for ever."""
        backoff = Backoff(0.5, 30.0)
        opened = False
        while True:
            try:
                if not opened:
                    await self._memory.open()
                    await asyncio.to_thread(self._arrivals.prepare)
                    opened = True
                handled = await self._handle_next()
                backoff.reset()
            except (Retryable, OSError) as error:
                log.warning("files_source_waited", agency=self._agency, source=self._name, error=str(error))
                await asyncio.sleep(backoff.next_seconds())
                opened = opened and self._arrivals.folder.is_dir()
                continue
            if not handled:
                await asyncio.sleep(self._config.poll_seconds)

    async def _handle_next(self) -> bool:
        path = await asyncio.to_thread(self._arrivals.left_over)
        if path is not None:
            before = path.stat()
            await asyncio.sleep(self._config.settle_seconds)
            now = path.stat()
            if (now.st_size, now.st_mtime_ns) != (before.st_size, before.st_mtime_ns):
                return True
        else:
            found = await asyncio.to_thread(self._arrivals.next_whole)
            if found is None:
                return False
            path = await asyncio.to_thread(self._arrivals.claim, found)
        try:
            await self._handle(path)
        except FileRefused as refused:
            await self._fail(path, str(refused))
        except (Retryable, Misconfigured, OSError):
            raise
        except Exception as error:  # a defect: it may hold up its own file alone
            log.exception("file_reading_failed", agency=self._agency, file=shown(path.name))
            await self._fail(path, f"the adapter itself failed: {type(error).__name__}. Report it, with this file.")
        return True

    async def _fail(self, path: Path, sentence: str) -> None:
        await asyncio.to_thread(self._put_failed, path, sentence)
        metrics.source_files.labels(self._agency, "failed").inc()
        log.warning("file_failed", agency=self._agency, file=shown(path.name), reason=sentence)

    async def _handle(self, path: Path) -> None:
        try:
            descriptor = await asyncio.to_thread(open_plain, path)
        except PermissionError as error:
            raise FileRefused("the adapter may not read the file. Give its user the right to.") from error
        with os.fdopen(descriptor, "rb") as file:
            before = look(descriptor)
            if before[0] > self._config.file_bytes_max:
                raise FileRefused(
                    f"the file has {before[0]} bytes, more than the {self._config.file_bytes_max} of file_bytes_max. "
                    "Send it in parts."
                )
            digest = await asyncio.to_thread(lambda: _digest(file))
            progress = await self._memory.progress(digest, shown(path.name))
            errors = ErrorsFile(path.with_name(f".{digest}.errors.part"), self._config)
            outcome = "done"
            if progress.state == "done":
                outcome = "known"
            else:
                file.seek(0)
                await self._read(path, file, progress, errors)
                if look(descriptor) != before:
                    await asyncio.to_thread(errors.cut, 0)
                    progress = Progress(digest, progress.name, progress.began_at)
                    await self._memory.went_on(progress, {})
                    raise FileChanged(f"{shown(path.name)} was written to while it was read")
                progress.state = "done"
                await self._memory.went_on(progress, {})
        await asyncio.to_thread(self._put_done, path, errors)
        await self._memory.forget(self._config.remember_days)
        metrics.source_files.labels(self._agency, outcome).inc()
        log.info(
            "file_read" if outcome == "done" else "file_known_already",
            agency=self._agency,
            file=shown(path.name),
            rows_taken=progress.rows_taken,
            rows_known=progress.rows_known,
            rows_refused=progress.rows_refused,
        )

    async def _read(self, path: Path, file: Any, progress: Progress, errors: ErrorsFile) -> None:
        await asyncio.to_thread(errors.cut, progress.error_bytes)
        if path.suffix.lower() == ".xlsx":
            rows = xlsx_rows(path, self._config, after=progress.row_number)
        else:
            rows = csv_rows(file, self._config, after=progress.row_number)
        try:
            columns = await asyncio.to_thread(next, rows)
            assert isinstance(columns, Columns)
            moment = datetime.fromtimestamp(progress.began_at, UTC).isoformat(timespec="milliseconds")
            while (batch := await asyncio.to_thread(self._next_batch, rows, moment)).rows:
                await self._store(batch, columns, progress, errors)
        finally:
            with suppress(ValueError):  # cancelled: a thread still reads, and ends with its batch
                rows.close()

    def _next_batch(self, rows: Iterator[Row | Columns], moment: str) -> _Batch:
        batch = _Batch()
        for row in rows:
            assert isinstance(row, Row)
            if not row.reasons:
                try:
                    for said in self._mapping.to_shared(row.record, source=self._source):
                        batch.said.append((len(batch.rows), {"time": moment, **said}))
                except Refused as refused:
                    row.reasons.extend(refused.reasons)
                except Exception as error:
                    log.exception("mapping_failed", agency=self._agency, source=self._name)
                    problem = f"the mapping failed: {type(error).__name__}"
                    row.reasons.append(Reason("failed", "row", problem, "Report it, with this row."))
            batch.rows.append(row)
            if len(batch.rows) >= BATCH_ROWS:
                break
        return batch

    async def _store(self, batch: _Batch, columns: Columns, progress: Progress, errors: ErrorsFile) -> None:
        """Have the events of a batch in the outbox, its refused rows in the errors file, and note that they are."""
        keyed = [(place, said, *self._key(said)) for place, said in batch.said]
        known = await self._memory.known([id for _, _, id, _ in keyed])
        new: list[tuple[int, dict[str, Any], bytes, bytes]] = []
        for place, said, id, content in keyed:
            if id not in known:
                new.append((place, said, id, content))
            elif known[id] != content:
                batch.rows[place].reasons.append(_key_reused(said))
        outcomes = await self._intake.take_each(self._agency, [said for _, said, _, _ in new])
        seen: dict[bytes, bytes] = {}
        for (place, said, id, content), outcome in zip(new, outcomes, strict=True):
            if isinstance(outcome, Refused):
                batch.rows[place].reasons.extend(self._mapping.in_columns(said["type"], outcome).reasons)
            else:
                seen[id] = content
        refused = [row for row in batch.rows if row.reasons]
        fresh = {place for place, *_ in new}
        progress.row_number = batch.rows[-1].number
        progress.rows_refused += len(refused)
        progress.rows_taken += sum(place in fresh and not row.reasons for place, row in enumerate(batch.rows))
        progress.rows_known += sum(place not in fresh and not row.reasons for place, row in enumerate(batch.rows))
        if refused:
            progress.error_bytes = await asyncio.to_thread(errors.add, refused, columns.names)
        await self._memory.went_on(progress, seen)
        if known:
            await self._memory.seen_again(list(known))
        metrics.source_rows.labels(self._agency, "refused").inc(len(refused))
        metrics.source_rows.labels(self._agency, "taken").inc(len(batch.rows) - len(refused))

    def _key(self, said: dict[str, Any]) -> tuple[bytes, bytes]:
        """What a row's event is known by, and what it says."""
        if said.get("id") is None:  # what the row says is what it is
            content = [said.get("type"), said.get("subject"), said.get("data")]
            said["id"] = derived_id(self._source, msgspec.json.encode(content, order="deterministic").decode())
        return known_by(self._agency, self._name, said)

    def _put_done(self, path: Path, errors: ErrorsFile) -> None:
        stem, suffix = os.path.splitext(path.name)
        if errors.path.exists():
            stem = self._arrivals.free_stem(DONE, stem, (suffix, ".errors.csv"))
            self._arrivals.put(errors.path, DONE, stem, ".errors.csv")
        self._arrivals.put(path, DONE, stem, suffix)

    def _put_failed(self, path: Path, sentence: str) -> None:
        stem, suffix = os.path.splitext(path.name)
        stem = self._arrivals.free_stem(FAILED, stem, (suffix, ".errors.csv", ".error.txt"))
        for errors in path.parent.glob(".*.errors.part"):  # one file is read at a time, so it is this one's
            self._arrivals.put(errors, FAILED, stem, ".errors.csv")
        note = path.with_name(".error.part")
        note.write_text(f"{shown(path.name)}: {sentence}\n", encoding="utf-8")
        self._arrivals.put(note, FAILED, stem, ".error.txt")
        self._arrivals.put(path, FAILED, stem, suffix)


def _digest(file: Any) -> str:
    digest = sha256()
    while part := file.read(1024 * 1024):
        digest.update(part)
    return digest.hexdigest()


def _key_reused(said: Columned[str, Any]) -> Reason:
    return Reason(
        "id_reused",
        "row",
        f"an earlier row with the same key said something else (event {said['id']})",
        "Name the columns that tell what happened apart (such as the status) in the key of the mapping.",
    )


def _build(config: FilesConfig, place: Place, intake: Intake) -> FilesSource:
    if any(pattern.lower().endswith((".xlsx", "*")) for pattern in config.files) and not importlib.util.find_spec(
        "python_calamine"
    ):
        raise Misconfigured(
            f'the source "{place.name}" reads XLSX and needs the library python-calamine: install subak[adapters], or '
            'set files = ["*.csv"].'
        )
    return FilesSource(config, place, intake, Mapping.load(place.folder / config.mapping, place.city))


KIND = SourceKind(FilesConfig, _build)
