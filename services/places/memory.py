"""What a places stage remembers of one partition number: open cases that it read, and what lies in its cells. Pure.

Two kinds of record stand in `city-places`, by their key:

    note|<case>                where an open case lies; in the case's own partition
    <kind>|<cell>|<case>|<who> a matter (`request`, `order`) in a cell; in the cell's partition

A batch works on a `View` over the memory, which becomes true after the commit. A matter is remembered with its offset:
two are compared once, when the later one is read, with those that stand before it. So a stage that was stopped at any
place, and reads the topic back up to where it stood, says nothing twice and misses nothing.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field

import msgspec

from services.places.matters import NOTE, Key, Matter, Matters, Spot


class Note(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True, gc=False):
    """Where an open case lies, and whose orders of it are known."""

    spot: Spot
    service_code: str
    area: str | None = None
    correlation: str = ""
    orders: dict[str, str] = {}
    """Agency → the key's tail of its order: it is still to be done; empty once it is done."""


def note_key(case: str) -> bytes:
    """The key of a case's note."""
    return f"{NOTE}|{case}".encode()


@dataclass(slots=True)
class Memory:
    """One partition number's notes and cells, as the topic has them."""

    notes: dict[str, Note] = field(default_factory=dict)
    matters: Matters = field(default_factory=Matters)

    def put_note(self, case: str, note: Note | None) -> None:
        """What is known of a case now."""
        if note is None:
            self.notes.pop(case, None)
        else:
            self.notes[case] = note


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
        return cell[key] if key in cell else self.memory.matters.get(key)

    def in_cell(self, kind: str, cell: str) -> Iterator[tuple[Key, Matter]]:
        """All matters of a kind in a cell, this batch included."""
        changed = self.matters.get((kind, cell), {})
        for key, matter in self.memory.matters.in_cell(kind, cell):
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
                self.memory.matters.put(key, matter)
