"""What a stage decides, apart from how it consumes and commits: the seam between pure decisions and Kafka.

A `Logic` is one partition's share of a stage. It sees records in order, answers with a `Decided` (what to write, how
its memory will change), and changes nothing until the stage says that the transaction stands. So a batch that aborts
leaves memory as it was.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from datetime import datetime
from typing import Protocol

from bus.records import Output, Record


@dataclass(slots=True)
class Decided:
    """The outcome of one batch, not yet true."""

    outputs: list[Output] = field(default_factory=list)
    """What to write, in this order within each partition."""
    changes: object = None
    """How memory changes when it becomes true. Only the logic that made it looks inside."""
    counted: dict[str, int] = field(default_factory=dict)
    """What to count when it becomes true: outcome → number of records."""


class Logic(Protocol):
    """One partition number's decisions and memory. No method does I/O or looks at a clock."""

    @property
    def restores_from(self) -> str | None:
        """The topic whose partition of the same number rebuilds this memory, or None where nothing is remembered."""

    @property
    def restores_since_seconds(self) -> float | None:
        """How far back to read it: None for all."""

    def restore(self, records: Sequence[Record], position: int | None = None) -> None:
        """Take in a part of `restores_from`, oldest first; called once more with nothing when all of it was read.

        Args:
            records: all that stands there, also what other partitions have written that was not taken yet.
            position: where the stage goes on in that topic, if it reads it too: what stands there or later will come
                to `decide`. None where it does not read it.
        """

    def decide(self, records: Sequence[Record], now: datetime) -> Decided:
        """What follows from these records. Never raises for a bad record: that one is set aside in the outcome."""

    def apply(self, decided: Decided) -> None:
        """Make an outcome of `decide` or `decide_due` true in memory: its transaction has been committed."""

    def sizes(self) -> dict[str, int]:
        """How much it remembers, by kind (`cases`, `parked` ...): for the metrics."""

    def next_due(self) -> datetime | None:
        """When something in memory wants to be looked at without a record (a timer), or None."""

    def decide_due(self, now: datetime) -> Decided:
        """What follows from the time alone: timers that are due."""
