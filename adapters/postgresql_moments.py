"""Moments that PostgreSQL holds and Python has no value for: `infinity`, years before 1 and after 9999, 24:00.

They are read as text, as PostgreSQL writes them: so such a cell is a matter of its own field, as a text there would be,
and the other rows of its page are read.
"""

from __future__ import annotations

from typing import Any


class BeyondPython(str):
    """A moment as PostgreSQL writes it. Sent back, PostgreSQL understands it."""


def read_all_moments(connection: Any, _: Any = None) -> None:
    """Have a new connection of psycopg's read every moment."""
    from psycopg import DataError
    from psycopg.types import datetime as known

    def tolerant(base: type[Any]) -> type[Any]:
        class Tolerant(base):  # type: ignore[misc]
            def load(self, data: Any) -> Any:
                try:
                    return super().load(data)
                except DataError:
                    return BeyondPython(bytes(data).decode())

        return Tolerant

    for name, loader in (
        ("date", known.DateLoader),
        ("time", known.TimeLoader),
        ("timetz", known.TimetzLoader),
        ("timestamp", known.TimestampLoader),
        ("timestamptz", known.TimestamptzLoader),
        ("interval", known.IntervalLoader),
    ):
        connection.adapters.register_loader(name, tolerant(loader))
