"""Who listens to an agency's events as they are stored: called in the very transaction, so what they keep is as true.

A listener keeps tables of its own in the adapter's database (the Open311 source keeps what became of each request).
What the agency says and what it hears pass by in the order of their storing. The same event may pass again (a post that
is repeated, a unit of work that runs twice), so a listener knows again what it has heard. It must not fail: what it
raises fails the storing.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence

from sqlalchemy import Connection

from schemas.envelope import Event

Listener = Callable[[Connection, Sequence[Event]], None]


class Listeners:
    """Listeners by agency."""

    def __init__(self) -> None:
        self._by_agency: dict[str, list[Listener]] = {}

    def add(self, agency: str, listener: Listener) -> None:
        """Tell `listener` of every event of this agency."""
        self._by_agency.setdefault(agency, []).append(listener)

    def tell(self, connection: Connection, events: Iterable[tuple[str, Event]]) -> None:
        """Let them hear these (agency, event), within the caller's transaction."""
        if not self._by_agency:
            return
        heard: dict[str, list[Event]] = {}
        for agency, event in events:
            if agency in self._by_agency:
                heard.setdefault(agency, []).append(event)
        for agency, its in heard.items():
            for listener in self._by_agency[agency]:
                listener(connection, its)
