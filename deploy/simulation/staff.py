"""The staff of a simulated agency that has a system of its own: writes into it, and reads what the adapter put there.

A post counts as accepted once its row stands where the adapter finds it: that is all that such a system learns, and all
that it needs to. While the system is away both try again; nothing is given up.
"""

from __future__ import annotations

import asyncio
import time
from pathlib import Path
from typing import Protocol

from sqlalchemy.exc import DBAPIError

from bus.backoff import Backoff
from bus.city import City
from bus.logs import get_logger
from deploy.simulation.behaviour import Heard
from deploy.simulation.desk import Desk
from deploy.simulation.file_desk import FileDesk
from deploy.simulation.own_system import OwnSystem
from deploy.simulation.records import AgencyRecords, Sent
from deploy.simulation.vocabulary import Vocabulary
from schemas.failures import Retryable

log = get_logger(__name__)

READ_EVERY_SECONDS = 0.1
AWAY = (Retryable, OSError, DBAPIError)


class Hear(Protocol):
    """What takes up an event for the agency."""

    def __call__(self, event: Heard, now: float, *, read_to: int | None = None) -> None: ...


class Staff:
    """The staff of one agency."""

    def __init__(self, own: OwnSystem, vocabulary: Vocabulary, records: AgencyRecords, city: City) -> None:
        self.vocabulary = vocabulary
        self._agency = records.agency_id
        self._records = records
        self._desk = _desk(own, vocabulary, city)

    def means(self, post: Sent) -> bool:
        """Whether this post was decided as a step in its own system. One from a run by HTTP alone goes on by HTTP."""
        step = self._records.step_of(post)
        return self.vocabulary.event_id(post.type, post.case, step) == post.event_id

    async def write(self, post: Sent) -> None:
        """Write one post into the agency's system; return once it stands there, or was dropped meanwhile."""
        backoff = Backoff(0.1, 2.0)
        row = self.vocabulary.row(post, self._records.step_of(post))
        while self._records.began(post.number):
            try:
                await self._desk.put(row)
            except AWAY as error:
                log.warning("row_unwritten", agency=self._agency, type=post.type, problem=str(error))
                await asyncio.sleep(backoff.next_seconds())
                continue
            self._records.answered(post.number, accepted=True)
            return

    async def read(self, hear: Hear) -> None:
        """Read letters, for ever."""
        backoff = Backoff(0.1, 2.0)
        while True:
            try:
                letters = await self._desk.letters(self._records.read_to())
                for letter in letters:
                    hear(self.vocabulary.heard(letter.record), time.time(), read_to=letter.number)
                await self._desk.filed()
                backoff.reset()
            except AWAY as error:
                log.warning("letters_unread", agency=self._agency, problem=str(error))
                await asyncio.sleep(backoff.next_seconds())
                continue
            if not letters:
                await asyncio.sleep(READ_EVERY_SECONDS)

    async def close(self) -> None:
        """Let the system go."""
        await self._desk.close()


def _desk(own: OwnSystem, vocabulary: Vocabulary, city: City) -> Desk:
    if own.url is not None:
        from deploy.simulation.sql_desk import SqlDesk  # takes the time of all of SQL with it

        return SqlDesk(own.url, vocabulary.words, vocabulary.register, city.zone)
    assert own.outgoing is not None, "a system has a database or a folder"
    return FileDesk(
        vocabulary.words,
        outgoing=Path(own.outgoing),
        incoming=Path(own.incoming) if own.incoming is not None else None,
        spreadsheet=own.spreadsheet,
        delimiters=own.delimiters,
    )
