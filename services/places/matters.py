"""What lies in the cells: every matter of one partition number, in some five hundred bytes each.

An order is remembered for months after it is done, and a city has a hundred thousand of them: as Python's objects in
dictionaries each takes 1.5 KB. So they lie in a SQLite database in memory, by key and by the moment at which they end.
Nothing of it is on disk: it is read back from `city-places`.
"""

from __future__ import annotations

import sqlite3
from collections.abc import Iterator
from dataclasses import dataclass

import msgspec

Spot = tuple[float, float]
"""Longitude and latitude, in degrees."""

NOTE = "note"
REQUEST = "request"
ORDER = "order"


class Matter(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True, gc=False):
    """A request or an order at a place."""

    spot: Spot
    service_code: str
    at_ms: int
    """When the log took it: milliseconds since 1970."""
    until_ms: int
    """When it no longer concerns anybody."""
    area: str | None = None
    correlation: str = ""
    cause: str = ""
    """The event that told of it."""
    agency: str = ""
    """Whose order it is."""
    done: bool = False
    offset: int = 0
    """Where it stands in its partition; set on reading."""


@dataclass(frozen=True, slots=True)
class Key:
    """A matter's key, taken apart."""

    kind: str
    cell: str
    case: str
    agency: str = ""

    @classmethod
    def read(cls, key: bytes) -> Key | None:
        """A key of `city-places`; None where it is a note's."""
        kind, _, rest = key.decode().partition("|")
        if kind == NOTE:
            return None
        cell, case, agency = rest.split("|")
        return cls(kind, cell, case, agency)

    @property
    def text(self) -> bytes:
        """As it stands in the topic."""
        return f"{self.kind}|{self.cell}|{self.case}|{self.agency}".encode()


_encode = msgspec.msgpack.Encoder().encode
_decode = msgspec.msgpack.Decoder(Matter).decode

_TABLE = """
CREATE TABLE matters (
    kind TEXT, cell TEXT, "case" TEXT, agency TEXT, until_ms INTEGER, matter BLOB,
    PRIMARY KEY (kind, cell, "case", agency)
) WITHOUT ROWID;
CREATE INDEX ending ON matters (until_ms);
"""
_GET = 'SELECT matter FROM matters WHERE kind = ? AND cell = ? AND "case" = ? AND agency = ?'
_DROP = 'DELETE FROM matters WHERE kind = ? AND cell = ? AND "case" = ? AND agency = ?'


class Matters:
    """Key → matter, by cell and by end."""

    def __init__(self) -> None:
        # One thread at a time works on a partition, and not always the same.
        self._tables = sqlite3.connect(":memory:", isolation_level=None, check_same_thread=False)
        self._tables.execute("PRAGMA journal_mode = OFF")
        self._tables.executescript(_TABLE)

    def put(self, key: Key, matter: Matter | None) -> None:
        """What is known of it now; None: nothing any more."""
        named = (key.kind, key.cell, key.case, key.agency)
        if matter is None:
            self._tables.execute(_DROP, named)
        else:
            row = (*named, matter.until_ms, _encode(matter))
            self._tables.execute("INSERT OR REPLACE INTO matters VALUES (?, ?, ?, ?, ?, ?)", row)

    def get(self, key: Key) -> Matter | None:
        """A matter; None where it is not known."""
        named = (key.kind, key.cell, key.case, key.agency)
        found = self._tables.execute(_GET, named).fetchone()
        return _decode(found[0]) if found is not None else None

    def in_cell(self, kind: str, cell: str) -> Iterator[tuple[Key, Matter]]:
        """All of a kind in a cell."""
        asked = 'SELECT "case", agency, matter FROM matters WHERE kind = ? AND cell = ?'
        for case, agency, matter in self._tables.execute(asked, (kind, cell)).fetchall():
            yield Key(kind, cell, case, agency), _decode(matter)

    def next_end_ms(self) -> int | None:
        """When the next one no longer concerns anybody; None where there is none."""
        found: int | None = self._tables.execute("SELECT min(until_ms) FROM matters").fetchone()[0]
        return found

    def ended(self, now_ms: int, count_max: int) -> list[Key]:
        """Those whose time is over, the first to end first. They stay."""
        asked = 'SELECT kind, cell, "case", agency FROM matters WHERE until_ms <= ? ORDER BY until_ms LIMIT ?'
        return [Key(*row) for row in self._tables.execute(asked, (now_ms, count_max))]

    def all(self) -> dict[Key, Matter]:
        """Every one there is."""
        asked = 'SELECT kind, cell, "case", agency, matter FROM matters'
        return {Key(*row[:4]): _decode(row[4]) for row in self._tables.execute(asked)}

    def __len__(self) -> int:
        count: int = self._tables.execute("SELECT count(*) FROM matters").fetchone()[0]
        return count
