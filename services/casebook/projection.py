"""From a batch of the log's records to changes of rows: the whole of what the casebook does, without a database. Pure.

The same log gives the same rows, in whatever portions it is read and whichever of the two topics is ahead. Two
things make that hold: a case's events stand in one partition, in order; and an event's refusal, which comes in the
other topic and so sooner or later, leads to the same row either way: known beforehand the event is passed over,
known later the case is told again from its timeline without it.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field

from bus.records import Record
from services.casebook.case import Case
from services.casebook.entry import Entry, entry_of
from services.casebook.refusals import Place, Rejection, rejection_of
from services.casebook.telling import Content, opens, tell


@dataclass(slots=True)
class Known:
    """What the tables say of the cases in a batch. A projection changes the cases in it."""

    cases: dict[str, Case]
    entries: dict[str, int]
    """Subjects that have no case but a timeline: how many entries it has."""
    refused: Mapping[Place, str]
    """Events that count for nothing, by the id of the rejection that says so."""


@dataclass(slots=True)
class Changes:
    """What the tables must be told."""

    cases: dict[str, Case] = field(default_factory=dict)
    """Cases that are new or changed, whole."""
    entries: list[Entry] = field(default_factory=list)
    """New lines of timelines."""
    unreadable: int = 0
    """Records that are no events: passed over."""
    repeated: int = 0
    """Records that the tables had already: passed over."""


def apply(case: Case | None, entry: Entry, content: Content) -> Case | None:
    """The case after this event; None where there is none yet. `case` is changed in place.

    An entry at or before the case's newest changes nothing: applied twice is applied once.
    """
    if case is not None and entry.log_offset <= case.log_offset:
        return case
    if entry.refusal_id is None:
        if case is None:
            case = opens(entry, content)
        if case is not None:
            tell(case, entry, content)
    if case is not None:
        case.events = entry.seq
        case.log_offset = entry.log_offset
    return case


def told_again(entries: Iterable[Entry]) -> Case | None:
    """The case that a whole timeline tells, in its order; None where none of it opens one."""
    case: Case | None = None
    for entry in entries:
        case = apply(case, entry, entry.content())
    return case


def project(records: Sequence[Record], known: Known) -> Changes:
    """What these records of the city's log change, in order."""
    changes = Changes()
    cases, counts, refused = known.cases, known.entries, known.refused
    for record in records:
        found = entry_of(record, 0)
        if found is None:
            changes.unreadable += 1
            continue
        entry, content = found
        id = entry.case_id
        case = cases.get(id)
        if case is not None and entry.log_offset <= case.log_offset:
            changes.repeated += 1
            continue
        entry.seq = (case.events if case is not None else counts.get(id, 0)) + 1
        entry.refusal_id = refused.get(Place(entry.log_partition, entry.log_offset))
        changes.entries.append(entry)
        counts[id] = entry.seq
        case = apply(case, entry, content)
        if case is not None:
            cases[id] = changes.cases[id] = case
    return changes


def subjects(records: Iterable[Record]) -> set[str]:
    """The cases that these records speak of, as far as they can be read: what `Known` must hold."""
    found = set()
    for record in records:
        for name, value in record.headers:
            if name == "ce_subject" and value is not None:
                found.add(value.decode("utf-8", "replace").replace("\x00", "\ufffd"))
    return found


def rejections(records: Iterable[Record]) -> list[Rejection]:
    """The rows for these records of `city-rejected`, each id once."""
    found: dict[str, Rejection] = {}
    for record in records:
        rejection = rejection_of(record)
        if rejection is not None:
            found.setdefault(rejection.id, rejection)
    return list(found.values())
