"""A simulated agency's desk: where its staff writes what it did, and reads what it is told, in its own system.

`put` returns once a row stands where the adapter finds it, and may be called again with the same row: then nothing
changes. `letters` gives what has come since it was asked last, in order. Both raise `Retryable` or `OSError` while the
system is away; whoever calls them tries again.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Protocol

from adapters.mapping import AgencyRow


@dataclass(frozen=True, slots=True)
class Letter:
    """One row of the agency's register."""

    number: int | None
    """Its place in a table; None where it stood in a file."""
    record: Mapping[str, Any]


class Desk(Protocol):
    """One agency's own system, seen from its staff."""

    async def put(self, row: AgencyRow) -> None:
        """Write one step."""

    async def letters(self, read_to: int) -> Sequence[Letter]:
        """What has come after this number of the register, the oldest first."""

    async def filed(self) -> None:
        """The letters that were given last are safe in the agency's records."""

    async def close(self) -> None:
        """Let everything go."""
