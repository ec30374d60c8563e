"""From a batch of the log's records to changes of rows: the whole of what the casebook does, without a database. Pure.

The same log gives the same rows, in whatever portions it is read and whichever of the two topics is ahead. A case's
events stand in one partition, in order; two things come later than they count, and then the case is told again from
its timeline (`order.py`): a refusal of an event that was taken in already, and a consequence of an event that
others have followed.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field

from bus.records import Record
from services.casebook import telling_permits, telling_proposals, telling_works
from services.casebook.acts import Act, act_in
from services.casebook.case import Case
from services.casebook.entry import Entry, entry_of
from services.casebook.fields import Content
from services.casebook.links import Link, links_in
from services.casebook.order import follows, in_order, is_consequence, is_parking
from services.casebook.refusals import Place, Rejection, rejection_of
from services.casebook.telling import opens, tell

TOLD_BY = (telling_permits, telling_proposals, telling_works)
"""The modules that say what types tell, beside `telling`: importing them registers it."""


@dataclass(slots=True)
class Known:
    """What the tables say of the cases in a batch. A projection changes it."""

    cases: dict[str, Case]
    entries: dict[str, int]
    """Subjects without a case in `cases`: how many entries their timeline has."""
    refused: Mapping[Place, str]
    """Events that count for nothing, by the id of the rejection that says so."""
    again: set[str] = field(default_factory=set)
    """Cases that must be told again whatever comes: of these no case is in `cases`."""


@dataclass(slots=True)
class Changes:
    """What the tables must be told."""

    cases: dict[str, Case] = field(default_factory=dict)
    """Cases that are new or changed, whole."""
    again: set[str] = field(default_factory=set)
    """Cases that must be told again from their whole timeline, these entries included."""
    entries: list[Entry] = field(default_factory=list)
    """New lines of timelines."""
    links: list[Link] = field(default_factory=list)
    """What those lines name."""
    acts: list[Act] = field(default_factory=list)
    """Which of those lines operators did."""
    unreadable: int = 0
    """Records that are no events: passed over."""


def project(records: Sequence[Record], known: Known) -> Changes:
    """What these records of the city's log change, in order."""
    changes = Changes(again=known.again)
    cases, counts, refused, again = known.cases, known.entries, known.refused, known.again
    for record in records:
        found = entry_of(record, 0)
        if found is None:
            changes.unreadable += 1
            continue
        entry, content = found
        id = entry.case_id
        case = cases.get(id)
        if case is not None and entry.log_offset <= case.log_offset:
            continue  # the tables have it
        entry.seq = counts[id] = (case.events if case is not None else counts.get(id, 0)) + 1
        entry.refusal_id = refused.get(Place(entry.log_partition, entry.log_offset))
        changes.entries.append(entry)
        changes.links += links_in(entry, content)
        if (act := act_in(entry, content)) is not None:
            changes.acts.append(act)
        if id in again:
            continue
        if case is not None and entry.refusal_id is None and not follows(case, entry):
            again.add(id)
            del cases[id]
            changes.cases.pop(id, None)
            continue
        case = apply(case, entry, content)
        if case is not None:
            cases[id] = changes.cases[id] = case
    return changes


def apply(case: Case | None, entry: Entry, content: Content) -> Case | None:
    """The case after this event; None where there is none yet. `case` is changed in place.

    An entry at or before the case's newest changes nothing: applied twice is applied once.
    """
    if case is not None and entry.log_offset <= case.log_offset:
        return case
    if entry.refusal_id is None:
        case = _told(case, entry, content)
    if case is not None:
        case.events, case.log_offset = entry.seq, entry.log_offset
    return case


def told_again(entries: Sequence[Entry]) -> Case | None:
    """The case that a whole timeline tells; None where none of it opens one. `entries` stand in the log's order."""
    case: Case | None = None
    counting = [entry for entry in entries if entry.refusal_id is None]
    for entry in in_order(entries):
        if entry.refusal_id is None:
            case = _told(case, entry, entry.content())
    if case is not None:
        case.updated_at = counting[-1].logged_at
        case.events, case.log_offset = entries[-1].seq, entries[-1].log_offset
    return case


def _told(case: Case | None, entry: Entry, content: Content) -> Case | None:
    if case is None:
        case = opens(entry, content)
    if case is not None:
        tell(case, entry, content)
        if not is_consequence(entry) and not is_parking(entry):
            case.told_event_id = entry.event_id
    return case


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
