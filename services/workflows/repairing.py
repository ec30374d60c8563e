"""What an operator asks of a parked case, held against the case as it is: replay, discard, correction. Pure.

Each names the event at which the operator saw the case parked. So of two operators who do the same at once, the second
finds the case elsewhere and is refused: no event is taken twice, none is left out twice.
"""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime, timedelta
from typing import TYPE_CHECKING

import msgspec

from bus.admission import reasons_against
from bus.city import City
from schemas.envelope import Event
from schemas.failures import Reason, Refused
from schemas.identifiers import derived_id
from schemas.registry import registry
from schemas.types.acts import CorrectionRequested, DiscardRequested, ReplayRequested
from schemas.types.cases import RAN_NAMED_MAX, CaseReplayed, TimerFired
from services.workflows.definition import CaseState

if TYPE_CHECKING:
    from services.workflows.memory import ParkedEvent

Wish = ReplayRequested | DiscardRequested | CorrectionRequested
"""What may be asked of a parked case."""

OF_PARKED_CASES = frozenset({kind.registered.name for kind in (ReplayRequested, DiscardRequested, CorrectionRequested)})

TIMER_AGAIN = timedelta(days=1)
"""When a deadline comes again that an operator has left out."""

_SEE = "`subak parked list` shows the parked cases."


def wish_of(act: Event) -> Wish:
    """What the operator asks."""
    found: Wish = registry.get(act.type).read(act.data)
    return found


def head_of(waiting: Sequence[ParkedEvent], case_id: str, wish: Wish) -> ParkedEvent:
    """The event at which the case is parked, where it is the one that is meant.

    Raises:
        Refused: the case is not parked, or is parked at another event by now.
    """
    if not waiting:
        raise Refused([Reason("not_parked", "subject", f"the case {case_id} is not parked", _SEE)])
    head = waiting[0]
    if wish.event_id is not None and head.event.id != wish.event_id:
        problem = f"the case {case_id} is parked at {head.event.id} by now, not at {wish.event_id}"
        raise Refused([Reason("parked_elsewhere", "data.event_id", problem, "Look at it again.")])
    return head


def corrected(act: Event, wish: CorrectionRequested, wrong: Event, city: City) -> Event:
    """The event that takes the place of `wrong`: other data and a new id, caused by `wrong`; all else as it was sent.

    Raises:
        Refused: it may not be corrected, or its sender could not have said this either.
    """
    sender = city.agency_of(wrong.source)
    if sender is None or sender not in city.agencies:
        problem = f"{wrong.source} is no agency: what the bus itself says is not edited"
        raise Refused([Reason("not_editable", "data.event_id", problem, "Replay the case, or discard the event.")])
    if wish.data is None:
        raise Refused([Reason("missing", "data.data", "there is no corrected data", "Send it, as JSON.")])
    event = msgspec.structs.replace(
        wrong,
        id=derived_id(act.id, "corrected"),
        data=wish.data.encode(),
        causationid=wrong.id,
        correlationid=wrong.correlationid or wrong.id,
        sequence=None,
        signature=None,
    )
    if reasons := reasons_against(event, sender, city):
        raise Refused(reasons)
    return event


def timers_again(case: CaseState, left_out: Event, wish: Wish, now: datetime) -> dict[str, int]:
    """The case's timers. One that is left out comes again in a day: no case is left without its deadline."""
    if not isinstance(wish, DiscardRequested) or left_out.type != TimerFired.registered.name:
        return case.timers
    fired = registry.get(left_out.type).read(left_out.data)
    if case.timers.get(fired.timer) != -int(fired.due.timestamp() * 1000):
        return case.timers  # it was stopped or started anew meanwhile
    return {**case.timers, fired.timer: int((now + TIMER_AGAIN).timestamp() * 1000)}


def left_out(wish: DiscardRequested) -> Refused:
    """Why a discarded event counts for nothing, as its sender is told."""
    fix = "Nothing need be done. Where it was left out by mistake, send a new event."
    return Refused([Reason("discarded", "event", f"an operator left it out of the case: {wish.reason}", fix)])


def stood_in_for(wish: CorrectionRequested, event: Event) -> Refused:
    """Why a corrected event counts for nothing, as its sender is told."""
    problem = f"an operator put the corrected event {event.id} in its place: {wish.reason}"
    return Refused([Reason("corrected", "data", problem, "Correct it in your own system too.")])


def would_fail(reasons: Sequence[Reason]) -> Refused:
    """Why a correction is refused that does not help: the case would not take it either."""
    return Refused([Reason(each.code, f"data.{each.field}"[:500], each.problem, each.fix) for each in reasons])


def fails_again(error: Exception) -> Refused:
    """Why a correction is refused with which the decision fails again."""
    fix = "The case is parked as before. Repair the workflow, or correct the event otherwise."
    return Refused([Reason("fails_again", "data.data", f"with this data the decision fails too: {error!r}", fix)])


def ran(act: Event, events: Sequence[Event], refused: int) -> CaseReplayed:
    """What the case's timeline says once all that waited has run. `events`: what ran, in order."""
    wish = wish_of(act)
    return CaseReplayed(
        act_type=act.type,
        by=wish.by,
        reason=wish.reason,
        events=len(events),
        event_ids=tuple(event.id for event in events[:RAN_NAMED_MAX]),
        refused=refused or None,
    )
