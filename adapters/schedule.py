"""Which event may be called next: a case's events in order, cases side by side, nobody held up by another. Pure.

One line for each case that waits. A line that was refused or got no answer *rests*; it keeps no events in memory
meanwhile, only the mark that the inbox has more (`partial`), so resting lines never fill the memory that others need.
When several cases in a row got no answer, the system itself is away: then one call at a time asks whether it is back.
"""

from __future__ import annotations

import heapq
from collections import deque
from collections.abc import Sequence
from dataclasses import dataclass, field

import msgspec

from adapters.outcome import Outcome
from bus.backoff import pause_seconds
from bus.inbox import Arrived, Mark

CASES_AWAY_MIN = 3
"""Cases without an answer, with none in between, after which the system is away. One alone may be its own fault."""


@dataclass(frozen=True, kw_only=True)
class ScheduleSettings:
    """How patiently one agency's system is called."""

    tries_max: int = 8
    """Refusals of one event after which it is parked."""
    retry_seconds_first: float = 0.5
    retry_seconds_max: float = 300.0
    """Pause before the next try: doubles from first to max, jittered."""
    probe_seconds_max: float = 30.0
    """The longest pause before a system that is away is asked again."""
    events_max: int = 1000
    bytes_max: int = 32 * 1024 * 1024
    """Events in memory, over all lines, and their data."""
    lines_max: int = 20_000
    """Lines in memory. Where so many rest, further cases wait in the inbox."""


@dataclass(slots=True)
class _Line:
    case: str
    events: deque[Arrived] = field(default_factory=deque)
    after: int = 0
    """The last row of this case that is settled."""
    partial: bool = False
    """Whether the inbox has rows of this case that were passed over and are not in memory."""
    state: str = "ready"
    """`ready`, `called`, `resting`, `empty` (its rows must be read), `parking` (its parking must be stored)."""
    rests_until: float = 0.0
    waited_for: int = 0
    """The event whose stored pause has been waited out here."""
    unanswered: int = 0
    """Calls in a row that got no answer."""
    last: Mark | None = None
    """What became of the latest call. What the inbox says of it may be older: marks are stored later."""
    parking: Mark | None = None
    """What is to be stored before the line may go."""


class Schedule:
    """The lines of one agency. The caller brings the time and the rows, makes the calls and stores the marks."""

    def __init__(self, settings: ScheduleSettings) -> None:
        self._settings = settings
        self._lines: dict[str, _Line] = {}
        self._ready: deque[str] = deque()
        self._empty: deque[str] = deque()
        self._resting: list[tuple[float, str]] = []
        self._loaded = 0
        self._loaded_bytes = 0
        self._calls = 0
        self._unanswered_cases: set[str] = set()
        self._probes = 0
        self._quiet_until = 0.0

    @property
    def away(self) -> bool:
        """Whether the system as a whole gives no answer."""
        return self._probes > 0

    @property
    def room(self) -> int:
        """How many further events may be offered; 0 until half of the room is free."""
        settings = self._settings
        if len(self._lines) >= settings.lines_max or self._loaded_bytes * 2 > settings.bytes_max:
            return 0
        return settings.events_max - self._loaded if self._loaded * 2 <= settings.events_max else 0

    def offer(self, arrived: Sequence[Arrived], now: float) -> None:
        """Rows in the order of arrival, each offered once, all later than those before."""
        for event in arrived:
            line = self._lines.get(event.subject)
            if line is None:
                line = self._lines[event.subject] = _Line(event.subject, after=event.id - 1)
                if (until := self._rest_until(line, event, now)) is not None:
                    self._rest(line, until)
                else:
                    self._ready.append(line.case)
            if line.partial:
                continue
            self._load(line, event)

    def wanted(self, now: float, most: int = 50) -> list[tuple[str, int]]:
        """Cases whose rows must be read from the inbox, and after which row."""
        self._wake(now)
        return [(case, self._lines[case].after) for case in list(self._empty)[:most]]

    def refill(self, case: str, arrived: Sequence[Arrived], *, partial: bool, now: float) -> None:
        """The next rows of a wanted case, up to where `offer` has come; `partial` where the inbox has more."""
        line = self._lines[case]
        self._empty.remove(case)
        line.partial = partial
        for event in arrived:
            if line.last is not None and event.id == line.last.id:
                event = msgspec.structs.replace(event, tries=line.last.tries, refusals=line.last.refusals)
            self._load(line, event)
        if line.events:
            if (until := self._rest_until(line, line.events[0], now)) is not None and not line.unanswered:
                self._rest(line, until)
            else:
                line.state = "ready"
                self._ready.append(case)
        elif partial:
            self._empty.append(case)
        else:
            del self._lines[case]

    def next(self, now: float) -> Arrived | None:
        """An event to call now, which then must be settled; None where none may be called yet."""
        if now < self._quiet_until or (self.away and self._calls):
            return None
        self._wake(now)
        if not self._ready:
            return None
        line = self._lines[self._ready.popleft()]
        line.state = "called"
        self._calls += 1
        return line.events[0]

    def next_at(self) -> float | None:
        """When `next` or `wanted` may have something without anything new; None where nothing waits for a time."""
        if self._ready or self._empty:
            return self._quiet_until
        while self._resting and self._is_stale(*self._resting[0]):
            heapq.heappop(self._resting)
        return max(self._quiet_until, self._resting[0][0]) if self._resting else None

    def settle(self, event: Arrived, outcome: Outcome, now: float) -> Mark:
        """Take in what became of a call; returns what to store about it."""
        line = self._lines[event.subject]
        line.last = self._settle(line, event, outcome, now)
        return line.last

    def _settle(self, line: _Line, event: Arrived, outcome: Outcome, now: float) -> Mark:
        self._calls -= 1
        tries = event.tries + 1
        if outcome.kind == "away":
            return self._no_answer(line, event, outcome, tries, now)
        self._answers(now)
        line.unanswered = 0
        if outcome.kind == "delivered":
            line.events.popleft()
            self._loaded -= 1
            self._loaded_bytes -= len(event.data)
            line.after = event.id
            self._go_on(line)
            return Mark(event.id, "delivered", tries, event.refusals, now)
        refusals = event.refusals + 1
        if refusals >= self._settings.tries_max:
            self._unload(line)
            line.state = "parking"
            line.parking = Mark(event.id, "parked", tries, refusals, now, None, outcome.reason)
            return line.parking
        until = now + pause_seconds(refusals - 1, self._settings.retry_seconds_first, self._settings.retry_seconds_max)
        self._rest(line, until)
        return Mark(event.id, "waiting", tries, refusals, now, until, outcome.reason)

    def parking_stored(self, parked: Sequence[tuple[str, Mark]]) -> None:
        """These cases' parking is in the inbox: from now on reading leaves them out."""
        for case, mark in parked:
            line = self._lines.get(case)
            if line is not None and line.parking is mark:
                del self._lines[case]

    def resume(self, case: str) -> None:
        """A parked event of the case is to be tried again; the inbox says so already."""
        line = self._lines.get(case)
        if line is None or line.parking is not None:  # if it is still there, its parking was stored this very moment
            self._lines[case] = _Line(case, partial=True, state="empty")
            self._empty.append(case)

    def _no_answer(self, line: _Line, event: Arrived, outcome: Outcome, tries: int, now: float) -> Mark:
        settings = self._settings
        pause = pause_seconds(line.unanswered, settings.retry_seconds_first, settings.retry_seconds_max)
        line.unanswered += 1
        self._unanswered_cases.add(line.case)
        if outcome.retry_after_seconds is not None:
            self._quiet_until = max(self._quiet_until, now + outcome.retry_after_seconds)
        if self.away or len(self._unanswered_cases) >= CASES_AWAY_MIN:
            probe = pause_seconds(self._probes, settings.retry_seconds_first, settings.probe_seconds_max)
            self._quiet_until = max(self._quiet_until, now + probe)
            self._probes += 1
            pause = 0.0  # the whole system's pause counts, and this case goes behind the others
        self._rest(line, now + pause)
        return Mark(event.id, "waiting", tries, event.refusals, now, None, outcome.reason)

    def _answers(self, now: float) -> None:
        """The system gave an answer: whoever waited for it to be back need wait no longer."""
        self._unanswered_cases.clear()
        if not self._probes:
            return
        self._probes = 0
        self._quiet_until = min(self._quiet_until, now)
        for line in self._lines.values():
            if line.state == "resting" and line.unanswered:
                self._rest(line, now)

    def _go_on(self, line: _Line) -> None:
        if line.events:
            line.state = "ready"
            self._ready.append(line.case)
        elif line.partial:
            line.state = "empty"
            self._empty.append(line.case)
        else:
            del self._lines[line.case]

    def _rest_until(self, line: _Line, event: Arrived, now: float) -> float | None:
        """When an event may be tried, if not now. Stored by a clock that was ahead, the longest pause counts, once."""
        if event.next_try_at is None or event.next_try_at <= now or event.id == line.waited_for:
            return None
        line.waited_for = event.id
        return min(event.next_try_at, now + self._settings.retry_seconds_max)

    def _rest(self, line: _Line, until: float) -> None:
        self._unload(line)
        line.state = "resting"
        line.rests_until = until
        heapq.heappush(self._resting, (until, line.case))

    def _load(self, line: _Line, event: Arrived) -> None:
        line.events.append(event)
        self._loaded += 1
        self._loaded_bytes += len(event.data)

    def _unload(self, line: _Line) -> None:
        self._loaded -= len(line.events)
        self._loaded_bytes -= sum(len(event.data) for event in line.events)
        line.events.clear()
        line.partial = True

    def _wake(self, now: float) -> None:
        """Lines that have rested enough want their rows."""
        while self._resting and self._resting[0][0] <= now:
            until, case = heapq.heappop(self._resting)
            if not self._is_stale(until, case):
                line = self._lines[case]
                line.state = "empty"
                self._empty.append(case)

    def _is_stale(self, until: float, case: str) -> bool:
        line = self._lines.get(case)
        return line is None or line.state != "resting" or line.rests_until != until
