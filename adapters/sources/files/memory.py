"""What a files source remembers in the adapter's database: how far it is in a file, which files and rows it has had.

The outbox forgets an id some days after it left, and the bus after one. An agency exports the same rows again each
night, for years: so a source keeps sixteen bytes of each row's id and eight of its content, for `remember_days`.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from hashlib import blake2b
from typing import Any

import msgspec
from sqlalchemy import (
    BigInteger,
    Column,
    Connection,
    Double,
    Integer,
    LargeBinary,
    MetaData,
    String,
    Table,
    delete,
    select,
    update,
)

from bus.database import Database
from bus.statements import insert_new, set_rows

IDS_ASKED_MAX = 400
"""Rows in one question: below the number of variables that SQLite takes."""

TABLES = MetaData()

files = Table(
    "subak_source_files",
    TABLES,
    Column("agency", String(64), primary_key=True),
    Column("source", String(100), primary_key=True),
    Column("digest", String(64), primary_key=True),  # SHA-256 of the file
    Column("name", String(1100), nullable=False),
    Column("state", String(10), nullable=False),  # reading, done
    Column("row_number", BigInteger, nullable=False),  # rows up to it are in the outbox or in the errors file
    Column("error_bytes", BigInteger, nullable=False),  # as much of the errors file belongs to them
    Column("rows_taken", Integer, nullable=False),
    Column("rows_known", Integer, nullable=False),  # rows that said nothing new
    Column("rows_refused", Integer, nullable=False),
    Column("began_at", Double, nullable=False),
    Column("ended_at", Double),
)

rows = Table(
    "subak_source_rows",
    TABLES,
    Column("id", LargeBinary(16), primary_key=True),  # of agency, source and event id
    Column("content", LargeBinary(8), nullable=False),
    Column("seen_at", Integer, nullable=False, index=True),
    sqlite_with_rowid=False,
)


def known_by(agency: str, source: str, said: Mapping[str, Any]) -> tuple[bytes, bytes]:
    """What the event of a row, which has an id, is known by, and what it says: type, case and data."""
    content = msgspec.json.encode([said.get("type"), said.get("subject"), said.get("data")], order="deterministic")
    key = f"{agency}\x1f{source}\x1f{said['id']}"
    return blake2b(key.encode(), digest_size=16).digest(), blake2b(content, digest_size=8).digest()


@dataclass(slots=True)
class Progress:
    """How far a file has been read."""

    digest: str
    name: str
    began_at: float
    state: str = "reading"
    row_number: int = 0
    error_bytes: int = 0
    rows_taken: int = 0
    rows_known: int = 0
    rows_refused: int = 0


class Memory:
    """What one source of one agency remembers."""

    def __init__(self, database: Database, agency: str, source: str, *, clock: Callable[[], float] = time.time) -> None:
        self._database = database
        self._agency = agency
        self._source = source
        self._clock = clock

    async def open(self) -> None:
        """Make the tables where they are missing.

        Raises:
            DatabaseUnavailable: call again.
        """
        await self._database.run(TABLES.create_all, alone=True)

    async def progress(self, digest: str, name: str) -> Progress:
        """How far a file of this content has been read; noted now where it is new.

        Raises:
            DatabaseUnavailable: call again.
        """
        key = {"agency": self._agency, "source": self._source, "digest": digest}
        fresh = Progress(digest, name, self._clock())

        def unit(connection: Connection) -> Progress:
            row = connection.execute(select(files).filter_by(**key)).one_or_none()
            if row is None:
                connection.execute(files.insert().values(**self._file_row(fresh)))
                return fresh
            return Progress(
                digest,
                row.name,
                row.began_at,
                row.state,
                row.row_number,
                row.error_bytes,
                row.rows_taken,
                row.rows_known,
                row.rows_refused,
            )

        return await self._database.run(unit)

    async def known(self, ids: Sequence[bytes]) -> dict[bytes, bytes]:
        """The content of those rows that were seen before."""

        def unit(connection: Connection) -> dict[bytes, bytes]:
            found: dict[bytes, bytes] = {}
            for start in range(0, len(ids), IDS_ASKED_MAX):
                asked = rows.c.id.in_(ids[start : start + IDS_ASKED_MAX])
                found.update((row.id, row.content) for row in connection.execute(select(rows).where(asked)))
            return found

        return await self._database.run(unit)

    async def went_on(self, progress: Progress, seen: Mapping[bytes, bytes]) -> None:
        """Note how far the file has been read, and the rows that the outbox has now."""
        now = int(self._clock())
        found = [{"id": id, "content": content, "seen_at": now} for id, content in seen.items()]
        row = self._file_row(progress)

        def unit(connection: Connection) -> None:
            if found:
                insert_new(connection, rows, found)
            set_rows(connection, files, [row])

        await self._database.run(unit)

    async def forget(self, remember_days: int) -> None:
        """Let go of rows, and of files, that were seen so long ago."""
        before = self._clock() - remember_days * 86_400

        def unit(connection: Connection) -> None:
            connection.execute(delete(rows).where(rows.c.seen_at < int(before)))
            connection.execute(
                delete(files).where(
                    files.c.agency == self._agency, files.c.source == self._source, files.c.ended_at < before
                )
            )

        await self._database.run(unit)

    async def seen_again(self, ids: Sequence[bytes]) -> None:
        """These rows stand in a file once more: their time begins anew."""
        now = int(self._clock())

        def unit(connection: Connection) -> None:
            for start in range(0, len(ids), IDS_ASKED_MAX):
                asked = rows.c.id.in_(ids[start : start + IDS_ASKED_MAX])
                connection.execute(update(rows).where(asked, rows.c.seen_at < now - 86_400).values(seen_at=now))

        await self._database.run(unit)

    def _file_row(self, progress: Progress) -> dict[str, Any]:
        return {
            "agency": self._agency,
            "source": self._source,
            "digest": progress.digest,
            "name": progress.name,
            "state": progress.state,
            "row_number": progress.row_number,
            "error_bytes": progress.error_bytes,
            "rows_taken": progress.rows_taken,
            "rows_known": progress.rows_known,
            "rows_refused": progress.rows_refused,
            "began_at": progress.began_at,
            "ended_at": self._clock() if progress.state == "done" else None,
        }
