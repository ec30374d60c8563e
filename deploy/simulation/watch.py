"""How far the cases are, looked up in the agencies' databases while they work. Reading disturbs no writer (WAL)."""

from __future__ import annotations

import time
from collections import deque
from collections.abc import Collection, Mapping
from dataclasses import dataclass

from deploy.simulation.behaviour import (
    ACKNOWLEDGED,
    APPROVAL_REFUSED,
    CLOSED,
    COMPLETED,
    GRANTED,
    INSPECTED,
    ISSUED,
    RATED,
)
from deploy.simulation.records import AgencyRecords
from deploy.simulation.requests import SUBMITTED

STAGES: Mapping[str, frozenset[str]] = {
    "submitted": frozenset({SUBMITTED}),
    "taken on": frozenset({ACKNOWLEDGED}),
    "money decided": frozenset({GRANTED, APPROVAL_REFUSED}),
    "ordered": frozenset({ISSUED}),
    "done": frozenset({COMPLETED}),
    "inspected": frozenset({INSPECTED}),
    "rated": frozenset({RATED}),
    "closed": frozenset({CLOSED}),
}
"""The stages of a case's life, in order, each with the events that bring a case there."""

RATE_WINDOW_SECONDS = 5.0


@dataclass(slots=True)
class Standing:
    """How far all cases are."""

    cases: Mapping[str, set[str]]
    """Stage → the cases that have reached it."""
    refused: int = 0
    """Events that an adapter refused."""
    posted: int = 0
    heard: int = 0
    changed: bool = False
    """Whether anything was posted or heard since the look before."""

    def reached(self, stage: str) -> int:
        """How many cases have reached a stage."""
        return len(self.cases[stage])


class Watch:
    """Reads what is new since it last looked."""

    def __init__(self, records: Collection[AgencyRecords], cases: Collection[str]) -> None:
        self._records = records
        self._cases = frozenset(cases)
        self._answered = {each.agency_id: 0.0 for each in records}
        self._heard = {each.agency_id: 0 for each in records}
        self._stages = {type: stage for stage, types in STAGES.items() for type in types}
        self._past: deque[tuple[float, int]] = deque()
        self.standing = Standing({stage: set() for stage in STAGES})

    def look(self) -> Standing:
        """The standing now."""
        standing = self.standing
        before = (standing.posted, standing.heard, standing.refused)
        for records in self._records:
            for answered_at, type, case, state in records.answered_after(self._answered[records.agency_id]):
                self._answered[records.agency_id] = answered_at
                if case in self._cases:
                    standing.posted += 1
                    if state == "accepted":
                        self._reach(type, case)
                    else:
                        standing.refused += 1
            for number, type, case in records.kinds_after(self._heard[records.agency_id]):
                self._heard[records.agency_id] = number
                if case in self._cases:
                    standing.heard += 1
                    self._reach(type, case)
        standing.changed = before != (standing.posted, standing.heard, standing.refused)
        now = time.monotonic()
        self._past.append((now, standing.posted + standing.heard))
        while now - self._past[0][0] > RATE_WINDOW_SECONDS:
            self._past.popleft()
        return standing

    @property
    def events_per_second(self) -> float:
        """Events posted and heard in a second, over the last few."""
        if len(self._past) < 2 or self._past[-1][0] == self._past[0][0]:
            return 0.0
        return (self._past[-1][1] - self._past[0][1]) / (self._past[-1][0] - self._past[0][0])

    @property
    def finished(self) -> bool:
        """Whether nothing is left to do: every post is answered, the case of every request that was taken is closed."""
        if any(records.waiting_count() for records in self._records):
            return False
        refused: set[str] = set().union(*(records.refused_cases(SUBMITTED) for records in self._records))
        return self._cases - refused <= self.standing.cases["closed"]  # also of those not yet seen as submitted

    def _reach(self, type: str, case: str) -> None:
        stage = self._stages.get(type)
        if stage is not None:
            self.standing.cases[stage].add(case)
