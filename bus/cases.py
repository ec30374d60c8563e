"""What an adapter knows of each case: where it lies, and what set it off. Learned from the events that pass through.

So an agency's system need not repeat them: the adapter adds `jurisdiction` and `correlationid` to what it sends. Kept
for ever in a small table, and for the latest cases in memory: most events concern a case that was just heard of.
"""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Iterable
from sys import intern
from typing import NamedTuple

from sqlalchemy import Connection, bindparam, select

from bus.agency_tables import cases
from bus.database import Database
from bus.statements import set_rows
from schemas.envelope import Event
from schemas.registry import registry


class KnownCase(NamedTuple):
    """One case, as far as it is known."""

    jurisdiction: str | None = None
    correlationid: str | None = None

    def with_more(self, other: KnownCase) -> KnownCase:
        """The two together; what was known first stays."""
        return KnownCase(self.jurisdiction or other.jurisdiction, self.correlationid or other.correlationid)


Learned = dict[tuple[str, str], KnownCase]
"""(agency, case) → what its events say."""

NOTHING = KnownCase()


class KnownCases:
    """The cases of all agencies of one adapter."""

    def __init__(self, database: Database, *, in_memory_max: int = 20_000) -> None:
        self._database = database
        self._in_memory_max = in_memory_max
        self._memory: OrderedDict[tuple[str, str], KnownCase] = OrderedDict()

    async def of(self, agency: str, subject: str) -> KnownCase:
        """What is known of a case; `NOTHING` where it was never heard of.

        Raises:
            DatabaseUnavailable: ask again.
        """
        found = self._memory.get((agency, subject))
        if found is None:
            found = await self._database.run(lambda connection: _read(connection, agency, subject))
            if found != NOTHING:
                self.remember({(agency, subject): found})
        return found

    def news(self, events: Iterable[tuple[str, Event]]) -> Learned:
        """What these (agency, event) tell that is not in memory: to be stored with them, then remembered."""
        learned: Learned = {}
        for agency, event in events:
            key = (agency, event.subject)
            before = learned.get(key) or self._memory.get(key, NOTHING)
            now = before.with_more(_told(event))
            if now != before:
                learned[key] = now
        return learned

    def remember(self, learned: Learned) -> None:
        """Keep in memory what has been stored."""
        for key, known in learned.items():
            self._memory[key] = known
            self._memory.move_to_end(key)
        while len(self._memory) > self._in_memory_max:
            self._memory.popitem(last=False)


def store_cases(connection: Connection, learned: Learned) -> None:
    """Store what was learned, in the transaction that stores the events. What was known first stays."""
    rows = [
        {"agency": agency, "subject": subject, **known._asdict()}
        for (agency, subject), known in sorted(learned.items())  # one order: two writers cannot wait for each other
    ]
    set_rows(connection, cases, rows, first_wins=True)


def _read(connection: Connection, agency: str, subject: str) -> KnownCase:
    row = connection.execute(_ONE, {"agency": agency, "subject": subject}).one_or_none()
    return KnownCase(*row) if row is not None else NOTHING


_ONE = select(cases.c.jurisdiction, cases.c.correlationid).where(
    cases.c.agency == bindparam("agency"), cases.c.subject == bindparam("subject")
)


def _told(event: Event) -> KnownCase:
    opens = event.type in registry and registry.get(event.type).opens_case
    area = intern(event.jurisdiction) if event.jurisdiction is not None else None  # one of a city's few hundred
    return KnownCase(area, event.correlationid or (event.id if opens else None))
