"""A case as it was: by what the city knew at a moment, by what had happened by then; and who held it how long. Pure.

*As of* counts what the city's log had taken in by a moment; *happened by* counts what had occurred by then, as the
senders say, though it was told later. Each party's share of the time counts working time of the city's calendar, from
one event to the next, for whoever the case waited for; while work rests, for whoever is named responsible.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime

from bus.city.calendar import Calendar
from services.casebook.case import Case
from services.casebook.entry import Entry
from services.casebook.order import in_order
from services.casebook.projection import told_again
from services.casebook.telling import opens, tell


@dataclass(frozen=True, slots=True)
class Share:
    """How long one party held a case."""

    agency: str
    working_ms: int
    share: float
    """Of the whole working time so far, 0 to 1."""


def seen(entries: Sequence[Entry], *, as_of: str | None, happened_by: str | None) -> list[Entry]:
    """The entries that count at that moment: UTC texts, as the tables have them; None: whatever it is."""
    return [
        entry
        for entry in entries
        if (as_of is None or entry.logged_at <= as_of) and (happened_by is None or entry.occurred_at <= happened_by)
    ]


def case_as_it_was(entries: Sequence[Entry]) -> Case | None:
    """The case that these entries tell; None where it had not begun."""
    return told_again(entries) if entries else None


def shares(entries: Sequence[Entry], calendar: Calendar, until: str) -> list[Share]:
    """Each party's working time up to `until` (or to the end of the case), the longest first."""
    held: dict[str, int] = {}
    case: Case | None = None
    since_ms = 0
    for entry in in_order(entries):
        if entry.refusal_id is not None:
            continue
        at_ms = max(since_ms, _ms(entry.logged_at))
        _add(held, case, calendar.working_ms(since_ms, at_ms) if case is not None else 0)
        content = entry.content()
        case = case if case is not None else opens(entry, content)
        if case is not None:
            tell(case, entry, content)
        since_ms = at_ms
    _add(held, case, calendar.working_ms(since_ms, _ms(until)) if case is not None else 0)
    whole = sum(held.values())
    ranked = sorted(held.items(), key=lambda item: (-item[1], item[0]))
    return [Share(agency, ms, ms / whole if whole else 0.0) for agency, ms in ranked]


def _add(held: dict[str, int], case: Case | None, working_ms: int) -> None:
    if case is not None and case.holder is not None:
        held[case.holder] = held.get(case.holder, 0) + working_ms


def _ms(text: str) -> int:
    return int(datetime.fromisoformat(text).timestamp() * 1000)
