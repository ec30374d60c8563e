"""The order in which a case's events count: each event of an agency, and right behind it what the workflow made of
it. Pure.

The log has two writers for a case. The gateway may put an agency's next event in before the workflows stage has
answered the one before; and what waited in a parked case is answered long after. But a workflow decides on one
event after the other, in the log's order, and each consequence names its cause. So the order of the decisions can
be read from the log.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from bus.city.model import OPERATIONS, RESERVED_AGENCY_IDS
from bus.history import HISTORY
from schemas.types.cases import CaseParked, CaseReplayed, TimerFired
from services.casebook.case import Case
from services.casebook.entry import Entry
from services.casebook.refusals import WORKFLOWS

_TIMER_FIRED = TimerFired.registered.name
_OF_PARKING = frozenset({CaseParked.registered.name, CaseReplayed.registered.name})


def is_consequence(entry: Entry) -> bool:
    """Whether the workflows stage made it of another event of the case.

    A timer that fires is an event of its own, and so is what another case says (its recipient is the stage itself).
    A corrected event stands in the place of the one that it is caused by: by its pinned workflow it is known, which no
    agency sets.
    """
    if entry.agency not in RESERVED_AGENCY_IDS:
        return entry.workflowversion is not None and entry.workflowversion != HISTORY
    return entry.agency == WORKFLOWS and entry.type != _TIMER_FIRED and entry.recipient != WORKFLOWS


def is_parking(entry: Entry) -> bool:
    """Whether it tells of the case as such, parked or seen to by an operator: that counts in the log's own order."""
    return entry.type in _OF_PARKING or entry.agency == OPERATIONS


def follows(case: Case, entry: Entry) -> bool:
    """Whether the entry counts behind all that the case was told so far."""
    return not is_consequence(entry) or is_parking(entry) or entry.causationid == case.told_event_id


def in_order(entries: Sequence[Entry]) -> Iterator[Entry]:
    """The entries in the order in which they count. `entries` stand in the log's order."""
    groups: list[list[Entry]] = []
    by_cause: dict[str, list[Entry]] = {}
    for entry in entries:
        if is_parking(entry):
            continue
        group = by_cause.get(entry.causationid or "") if is_consequence(entry) else None
        if group is None:
            groups.append(group := [])
        group.append(entry)
        if entry.agency != WORKFLOWS or not is_consequence(entry):
            by_cause[entry.event_id] = group
    for group in groups:
        yield from group
    yield from (entry for entry in entries if is_parking(entry))
