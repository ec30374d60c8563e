"""What a places stage remembers of one partition number: open cases that it read, and what lies in its cells. Pure.

Two kinds of record stand in `city-places`, by their key:

    note|<case>                where an open case lies; in the case's own partition
    <kind>|<cell>|<case>|<who> a matter (`request`, `order`) in a cell; in the cell's partition

A batch works on a `View` over the memory, which becomes true after the commit. A matter is remembered with its offset:
two are compared once, when the later one is read, with those that stand before it. So a stage that was stopped at any
place, and reads the topic back up to where it stood, says nothing twice and misses nothing.
"""

from __future__ import annotations

import heapq
from collections.abc import Iterator
from dataclasses import dataclass, field

import msgspec

Spot = tuple[float, float]
"""Longitude and latitude, in degrees."""

NOTE = "note"
REQUEST = "request"
ORDER = "order"


class Note(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True, gc=False):
    """Where an open case lies, and whose orders of it are known."""

    spot: Spot
    service_code: str
    area: str | None = None
    correlation: str = ""
    orders: dict[str, str] = {}
    """Agency → the key's tail of its order: it is still to be done; empty once it is done."""


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


def note_key(case: str) -> bytes:
    """The key of a case's note."""
    return f"{NOTE}|{case}".encode()


@dataclass(slots=True)
class Memory:
    """One partition number's notes and cells, as the topic has them."""

    notes: dict[str, Note] = field(default_factory=dict)
    cells: dict[tuple[str, str], dict[Key, Matter]] = field(default_factory=dict)
    """(kind, cell) → the matters there."""
    _ending: list[tuple[int, bytes]] = field(default_factory=list)

    def put_note(self, case: str, note: Note | None) -> None:
        """What is known of a case now."""
        if note is None:
            self.notes.pop(case, None)
        else:
            self.notes[case] = note

    def put_matter(self, key: Key, matter: Matter | None) -> None:
        """What is known of a matter now."""
        cell = self.cells.setdefault((key.kind, key.cell), {})
        if matter is None:
            cell.pop(key, None)
            if not cell:
                del self.cells[key.kind, key.cell]
            return
        cell[key] = matter
        heapq.heappush(self._ending, (matter.until_ms, key.text))

    def matter(self, key: Key) -> Matter | None:
        """A matter; None where it is not known."""
        return self.cells.get((key.kind, key.cell), {}).get(key)

    @property
    def matter_count(self) -> int:
        """Matters in all cells."""
        return sum(map(len, self.cells.values()))

    def next_end_ms(self) -> int | None:
        """When the next matter no longer concerns anybody."""
        while self._ending:
            until_ms, text = self._ending[0]
            key = Key.read(text)
            matter = self.matter(key) if key is not None else None
            if matter is not None and matter.until_ms == until_ms:
                return until_ms
            heapq.heappop(self._ending)
        return None

    def ended(self, now_ms: int, count_max: int) -> list[Key]:
        """Matters whose time is over. They stay until a view that drops them is taken."""
        found: list[Key] = []
        taken: list[tuple[int, bytes]] = []
        while len(found) < count_max and (end := self.next_end_ms()) is not None and end <= now_ms:
            taken.append(heapq.heappop(self._ending))
            key = Key.read(taken[-1][1])
            if key is not None and key not in found:
                found.append(key)
        for entry in taken:
            heapq.heappush(self._ending, entry)
        return found


@dataclass(slots=True)
class View:
    """One batch's changes over the memory, not yet true."""

    memory: Memory
    notes: dict[str, Note | None] = field(default_factory=dict)
    matters: dict[tuple[str, str], dict[Key, Matter | None]] = field(default_factory=dict)

    def note(self, case: str) -> Note | None:
        """What is known of a case, this batch included."""
        return self.notes[case] if case in self.notes else self.memory.notes.get(case)

    def put(self, key: Key, matter: Matter | None) -> None:
        """What this batch says of a matter."""
        self.matters.setdefault((key.kind, key.cell), {})[key] = matter

    def matter(self, key: Key) -> Matter | None:
        """A matter, this batch included."""
        cell = self.matters.get((key.kind, key.cell), {})
        return cell[key] if key in cell else self.memory.matter(key)

    def in_cell(self, kind: str, cell: str) -> Iterator[tuple[Key, Matter]]:
        """All matters of a kind in a cell, this batch included."""
        changed = self.matters.get((kind, cell), {})
        for key, matter in self.memory.cells.get((kind, cell), {}).items():
            if key not in changed:
                yield key, matter
        for key, found in changed.items():
            if found is not None:
                yield key, found

    def take(self) -> None:
        """Make this view the truth."""
        for case, note in self.notes.items():
            self.memory.put_note(case, note)
        for changed in self.matters.values():
            for key, matter in changed.items():
                self.memory.put_matter(key, matter)
