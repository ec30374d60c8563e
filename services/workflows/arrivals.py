"""When what the bus said to itself arrived, by the recorded log: deadlines, and what one case says to another. Pure.

In a simulation a deadline comes when it is due and a message at once, unless the log holds the same one: then it waits
for its record, because what agencies said meanwhile was decided on first. So the same rules give the same course, also
of a log in which a stage was slow, or away for a day.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Sequence

from bus.records import Record
from schemas.types.cases import TimerFired
from services.workflows.definition import WORKFLOWS

_MESSAGE = ("ce_recipient", WORKFLOWS.encode())
_TIMER_FIRED = ("ce_type", TimerFired.registered.name.encode())

Said = tuple[str, str, str]
"""The event that led to a message, the case to which it is said, and its type."""


class Arrivals:
    """What the log holds that has not passed yet."""

    def __init__(self) -> None:
        self._timers: set[str] = set()
        self._messages: dict[Said, deque[str]] = {}

    def expect(self, records: Sequence[Record]) -> None:
        """Look ahead over records that are about to be played."""
        for record in records:
            if _TIMER_FIRED in record.headers:
                self._timers.add(_text(dict(record.headers), "ce_id"))
            elif _MESSAGE in record.headers:
                id, said = _message(dict(record.headers))
                self._messages.setdefault(said, deque()).append(id)

    def of_timer(self, id: str) -> bool:
        """Whether the record of this timer is still to come."""
        return id in self._timers

    def of_message(self, said: Said) -> str | None:
        """The id of the next record of such a message, which only this one waits for; None where none is to come."""
        coming = self._messages.get(said)
        return coming.popleft() if coming else None

    def passes(self, headers: dict[str, bytes | None]) -> str | None:
        """The id of a timer or message whose record this is; None for anything else. Nothing waits for it any more."""
        if headers.get("ce_type") == _TIMER_FIRED[1]:
            id = _text(headers, "ce_id")
            self._timers.discard(id)
            return id
        if headers.get("ce_recipient") != _MESSAGE[1]:
            return None
        id, said = _message(headers)
        coming = self._messages.get(said)
        if coming and id in coming:
            coming.remove(id)
        return id


def _message(headers: dict[str, bytes | None]) -> tuple[str, Said]:
    cause, subject, kind = (_text(headers, name) for name in ("ce_causationid", "ce_subject", "ce_type"))
    return _text(headers, "ce_id"), (cause, subject, kind)


def _text(headers: dict[str, bytes | None], name: str) -> str:
    return (headers.get(name) or b"").decode("utf-8", "replace")
