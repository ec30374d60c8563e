"""Several partitions of the stages workflows and places, with every message between them held back. No Kafka.

What one partition says to another lies in a channel between the two until it is delivered, in any order that Kafka
allows: a channel keeps its order, and no two know of each other. Meanwhile agencies speak, timers fire, and a partition
may be read back from its changelog. `go_on` chooses the next move by a number, so that hypothesis chooses, and shrinks.

    city = InFlight(load_city(city_path("denpasar")))
    city.say(...)
    for choice in choices:
        city.go_on(choice)
    city.settle()
"""

from __future__ import annotations

from collections import deque
from collections.abc import Iterator
from datetime import datetime
from typing import Any

from bus.city import City
from bus.records import Output, Record, partition_for
from bus.topics import CASES, EVENTS, PLACES
from schemas.envelope import Event
from services.places.logic import Places
from services.workflows.catalogue import WORKFLOWS
from services.workflows.logic import Workflows
from tests.support.partitions import Partitions

CHOICES = 256
"""`go_on` takes a number below this."""

BATCH_MAX = 3
"""Records that a partition takes at once."""

_RESTARTS, _FIRES = 2, 22
"""Of all choices: so many read a partition back, so many let the next timer fire; the others move what waits."""

Channel = tuple[str, int, int]
"""Who writes (a stage), from which partition, into which."""
Move = tuple[str, Any]


class InFlight(Partitions):
    """A whole bus between the gateway and the router, one move after the other."""

    def __init__(self, city: City, count: int = 4) -> None:
        super().__init__(city, count)
        self.places = [Places(number, city=city, partitions=count) for number in range(count)]
        self.cells: list[list[Record]] = [[] for _ in range(count)]
        """`city-places` so far."""
        self.channels: dict[Channel, deque[Output]] = {}
        self._noted = [0] * count
        self._compared = [0] * count

    # -- moves

    def moves(self) -> list[Move]:
        """All that may happen next, beside time."""
        numbers = range(len(self.logs))
        return [
            *(("deliver", channel) for channel, held in sorted(self.channels.items()) if held),
            *(("take", number) for number in self.waiting()),
            *(("note", number) for number in numbers if self._noted[number] < len(self.logs[number])),
            *(("compare", number) for number in numbers if self._compared[number] < len(self.cells[number])),
        ]

    def go_on(self, choice: int) -> None:
        """Make the move that the number chooses; nothing where there is none."""
        if choice >= CHOICES - _RESTARTS:
            self.restart(choice % len(self.logs))
        elif choice >= CHOICES - _RESTARTS - _FIRES:
            self.fire()
        elif moves := self.moves():
            self.move(moves[choice % len(moves)], 1 + choice // len(moves) % BATCH_MAX)

    def move(self, move: Move, records_max: int = 1) -> None:
        """Make one move; a partition takes up to `records_max` records in one batch."""
        what, where = move
        if what == "deliver":
            self._write(self.channels[where].popleft(), where[2])
        elif what == "take":
            records = self.logs[where][self.positions[where] :][:records_max]
            self.positions[where] += len(records)
            self._commit(where, self.logics[where].decide(records, self.now))
        elif what == "note":
            self._noted[where] += 1
            self._look(where, self.logs[where][self._noted[where] - 1])
        else:
            self._compared[where] += 1
            self._look(where, self.cells[where][self._compared[where] - 1])

    def settle(self) -> None:
        """Everything is delivered and taken."""
        while moves := self.moves():
            self.move(moves[0])

    def fire(self) -> None:
        """Time passes until the next timer is due, and it fires: what is in flight stays there."""
        due: list[tuple[datetime, int]] = [
            (at, number) for number, logic in enumerate(self.logics) if (at := logic.next_due()) is not None
        ]
        if due:
            at, number = min(due)
            self.now = max(self.now, at)
            self._commit(number, self.logics[number].decide_due(self.now))

    def restart(self, number: int) -> None:
        """Another process takes the partition of both stages over, and reads it back."""
        places = Places(number, city=self.city, partitions=len(self.logs))
        places.restore(self.cells[number], self._compared[number])
        assert places.memory.notes == self.places[number].memory.notes, "city-places tells of other cases"
        assert places.memory.matters.all() == self.places[number].memory.matters.all(), (
            "city-places tells of other matters"
        )
        self.places[number] = places
        logic = Workflows(number, city=self.city, workflows=WORKFLOWS)
        changelog = [output for output in self.outputs if output.topic == CASES and output.partition == number]
        logic.restore(
            [
                Record(CASES, number, place, 0, output.key, output.value, output.headers)
                for place, output in enumerate(changelog)
            ]
        )
        logic.restore(())
        assert logic.memory.cases == self.logics[number].memory.cases, "the changelog tells of other cases"
        self.logics[number] = logic

    def in_flight(self) -> Iterator[Event]:
        """What was said and not taken yet."""
        yield from super().in_flight()
        for held in self.channels.values():
            for output in held:
                if output.topic == EVENTS:
                    yield Event.from_record(output.headers, output.value)

    # -- how

    def _commit(self, number: int, decided: Any) -> None:
        self.logics[number].apply(decided)
        self._send("workflows", number, decided.outputs)

    def _look(self, number: int, record: Record) -> None:
        stage = self.places[number]
        decided = stage.decide([record], self.now)
        stage.apply(decided)
        assert decided.counted.get("failed", 0) == 0, "a record could not be noted"
        self._send("places", number, decided.outputs)

    def _send(self, stage: str, number: int, outputs: list[Output]) -> None:
        self.outputs += outputs
        for output in outputs:
            if output.topic not in (EVENTS, PLACES):
                continue
            to = output.partition if output.partition is not None else partition_for(output.key, len(self.logs))
            if to == number:  # a transaction's records, in its own partition: nobody reads it back without them
                self._write(output, to)
            else:
                self.channels.setdefault((stage, number, to), deque()).append(output)

    def _write(self, output: Output, number: int) -> None:
        if output.topic == EVENTS:
            self._append(Event.from_record(output.headers, output.value), number)
        else:
            cells = self.cells[number]
            cells.append(Record(PLACES, number, len(cells), 0, output.key, output.value, output.headers))
