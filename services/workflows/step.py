"""What a handler sees of an event beside its data, and where it says what follows. Pure.

A step collects; nothing happens until the handler has returned. It is bounded: a handler that sends without end is a
defect, and parks its case.
"""

from __future__ import annotations

from collections.abc import Collection
from datetime import UTC, datetime, timedelta
from typing import NamedTuple

from bus.city import City
from bus.city.calendar import Within
from schemas.failures import Reason, Refused, SubakError
from schemas.registry import EventData
from schemas.types.cases import Message

WORKFLOWS = "workflows"
"""The recipient of what one case says to another: no agency, but this stage."""

EMISSIONS_MAX = 1000
"""Events that one decision may send. One that sends more loops."""

_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)


class DefectInWorkflow(SubakError):
    """A handler did what its transition does not declare."""


def moment_of(ms: int) -> datetime:
    """A moment of a case's memory (milliseconds since 1970) as it travels in events."""
    return _EPOCH + timedelta(milliseconds=ms)


class Emission(NamedTuple):
    """One event that a decision sends."""

    data: EventData
    recipient: str | None
    parties: tuple[str, ...]
    subject: str | None = None
    """The case that it is said to, where that is another one."""


class Step:
    """What a handler may see of the event beside its data, and where it says what follows."""

    __slots__ = ("at_ms", "cause", "city", "emissions", "sender", "timers")

    def __init__(self, city: City, sender: str, at_ms: int) -> None:
        self.city = city
        self.sender = sender
        """The agency that sent the event, or `workflows` for a timer."""
        self.at_ms = at_ms
        """When the city's log took the event: milliseconds since 1970. Deadlines count from here, not from a clock."""
        self.cause: EventData | None = None
        """What an open case decides on; None while one is opened."""
        self.emissions: list[Emission] = []
        self.timers: dict[str, int | None] = {}

    def emit(self, data: EventData, *, to: str | None = None, parties: Collection[str] = ()) -> None:
        """Send an event of this case: to one agency (`to`), and to those of `parties` that subscribe to it."""
        self._send(Emission(data, to, tuple(parties)))

    def tell(self, case: str, message: Message) -> None:
        """Say something to another case. Its workflow takes it as an event; what it refuses comes back.

        It travels in the transaction of this decision, so it is said exactly once, and arrives in the order in which
        this case said it. A refusal comes as `MessageRefused`, so the workflow must handle that.
        """
        self._send(Emission(message, WORKFLOWS, (), case))

    def _send(self, emission: Emission) -> None:
        if len(self.emissions) >= EMISSIONS_MAX:
            raise DefectInWorkflow(f"one decision sends more than {EMISSIONS_MAX} events: it loops")
        self.emissions.append(emission)

    def after(self, within: Within) -> datetime:
        """The moment that long after this event: calendar time, or working time by the city's calendar."""
        return self.city.calendar.deadline(self.at_ms, within).moment

    def start_timer(self, name: str, within: Within, *, share: float = 1.0) -> datetime:
        """Let the timer `name` fire that long after this event. Returns when. Replaces a running one of the name.

        Args:
            share: fire when so much of the time is over, such as 0.8 for a warning.
        """
        due, moment = self.city.calendar.deadline(self.at_ms, within, share)
        self.timers[name] = due
        return moment

    def stop_timer(self, *names: str) -> None:
        """Let these timers not fire. One that does not run is no error."""
        for name in names:
            self.timers[name] = None

    def require_sender(self, allowed: Collection[str], what: str) -> None:
        """Refuse the event where its sender is none of `allowed`; `what` says whose matter it is.

        Raises:
            Refused: the sender is told so; the case stays as it is.
        """
        if self.sender not in allowed:
            problem = f"{what} is the matter of {' or '.join(sorted(allowed))}, not of {self.sender}"
            fix = "Only who holds the matter may report on it. `subak case show` tells who does."
            raise Refused([Reason("not_your_case", "source", problem, fix)])
