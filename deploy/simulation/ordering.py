"""Whether the agencies heard a case's events in one order: found by merging everything that they know of it.

Each agency saw a part of the case: what it heard, in that order, and what it sent, in that order. Beside these lines
stand the causes: an effect comes after its cause, and whatever the bus concluded from an event stood in the log before
any agency answered one of these conclusions. If there is one order of the case's events that fits all
of it, everybody heard them in order. Where there is none, somebody did not. No clock is asked.
"""

from __future__ import annotations

import heapq
from collections import Counter, defaultdict
from collections.abc import Iterable, Iterator, Mapping
from itertools import pairwise

from bus.city import City
from deploy.simulation.ledger import Ledger

Reference = tuple[str, str]
"""An event, to whoever compares: (source, id)."""

CONCLUDED = ""
"""In place of a source: not an event but a moment, when the bus had written all that it concluded from the event."""


def out_of_order(city: City, ledgers: Mapping[str, Ledger]) -> Iterator[str]:
    """A sentence for each event that no single order of its case explains."""
    for case, file in _files(city, ledgers).items():
        for source, event_id in misplaced(file.lines, file.pairs(), file.seen_at):
            yield f"event {event_id} of {source} in case {case} was heard out of order"


class _File:
    """What all agencies together know of one case."""

    def __init__(self) -> None:
        self.lines: list[list[Reference]] = []
        self.seen_at: dict[Reference, float] = {}
        self._by_id: dict[str, Reference] = {}
        self._causes: dict[str, str] = {}
        self._said: set[str] = set()

    def line(self, entries: Iterable[tuple[Reference, str | None, float]], *, said: bool = False) -> None:
        """Take in one agency's hearing, or its sending: (event, the id of its cause, when), in order."""
        line: list[Reference] = []
        for reference, cause, moment in entries:
            line.append(reference)
            self.seen_at[reference] = min(self.seen_at.get(reference, moment), moment)
            self._by_id[reference[1]] = reference
            if cause is not None:
                self._causes[reference[1]] = cause
            if said:
                self._said.add(reference[1])
        self.lines.append(line)

    def pairs(self) -> Iterator[tuple[Reference, Reference]]:
        """What must stand before what, from the causes."""
        for effect, cause in self._causes.items():
            if cause not in self._by_id:
                continue
            yield self._by_id[cause], self._by_id[effect]
            concluded_from = self._causes.get(cause)
            if effect not in self._said:
                yield self._by_id[effect], (CONCLUDED, cause)
            elif cause not in self._said and concluded_from is not None:
                # An agency answers what the bus concluded: by then all that was concluded with it stood in the log.
                yield (CONCLUDED, concluded_from), self._by_id[effect]


def _files(city: City, ledgers: Mapping[str, Ledger]) -> dict[str, _File]:
    files: defaultdict[str, _File] = defaultdict(_File)
    for agency, ledger in ledgers.items():
        source = city.source_of(agency)
        said: defaultdict[str, list[tuple[Reference, str | None, float]]] = defaultdict(list)
        for sent in sorted(ledger.sent, key=lambda sent: (sent.posted_at or sent.due_at, sent.number)):
            if sent.state == "accepted":
                said[sent.case].append(((source, sent.event_id), sent.cause, sent.posted_at or sent.due_at))
        heard: defaultdict[str, list[tuple[Reference, str | None, float]]] = defaultdict(list)
        for received in ledger.heard:
            event = received.event
            heard[event.case].append(((event.source, event.id), event.causation, received.received_at))
        for case, entries in said.items():
            files[case].line(entries, said=True)
        for case, entries in heard.items():
            files[case].line(entries)
    return files


def misplaced(
    lines: Iterable[list[Reference]],
    pairs: Iterable[tuple[Reference, Reference]],
    seen_at: Mapping[Reference, float],
) -> Iterator[Reference]:
    """The events that had to be taken too early, when all lines are merged into one order.

    Lines are orders that somebody saw, pairs are (earlier, later). Where they contradict each other no order fits all;
    then the event that waits for least is taken out of turn and named. One swap names one event at least, often more.
    """
    after: defaultdict[Reference, set[Reference]] = defaultdict(set)
    waits: Counter[Reference] = Counter()
    edges = {pair for line in lines for pair in pairwise(line)} | set(pairs)
    left = {event for line in lines for event in line}
    for earlier, later in edges:
        after[earlier].add(later)
        waits[later] += 1
        left.update((earlier, later))
    free = [(seen_at.get(event, 0.0), event) for event in left if not waits[event]]
    heapq.heapify(free)
    while left:
        if free:
            event = heapq.heappop(free)[1]
            if event not in left:
                continue
        else:
            event = min(left, key=lambda event: (event[0] == CONCLUDED, waits[event], seen_at.get(event, 0.0), event))
            yield event
        left.remove(event)
        for later in after[event]:
            waits[later] -= 1
            if not waits[later] and later in left:
                heapq.heappush(free, (seen_at.get(later, 0.0), later))
