"""The way `triggers`: changes that the agency's own transactions wrote down become events, each once, none missed.

    agency's change + row of changes  (one transaction of the agency's)
      → read → mapping → outbox (committed) → the row of changes is taken away

Where many changes wait, the next batch is read and mapped while the outbox writes the one before, and rows are taken
away while the next is stored; batches are stored in their order. A crash at any arrow begins again at the first: the
events have the same ids, and the outbox knows them. It knows ids for `outbox_keep_seconds` after they left; a row that
could not be taken away for longer would be told twice.
"""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from dataclasses import dataclass
from functools import partial
from typing import Any

from sqlalchemy import select
from starlette.types import ASGIApp

from adapters.agency_database import AgencyDatabase
from adapters.sources.sql.changes import Change, changes_table, read_changes, read_more, remove_changes
from adapters.sources.sql.config import SqlSourceConfig
from adapters.sources.sql.ddl import channel
from adapters.sources.sql.listening import Listener
from adapters.sources.sql.taking import Shaped, Taking
from adapters.sources.sql.trying import Trying
from schemas.failures import Retryable


@dataclass(frozen=True, slots=True)
class _Batch:
    changes: list[Change]
    shaped: list[Shaped]


_NONE = Change(0, "none", "", "", "", None, "")


class TriggerSource:
    """One table of changes."""

    def __init__(self, name: str, config: SqlSourceConfig, database: AgencyDatabase, taking: Taking) -> None:
        self._trying = Trying(name)
        self._config = config
        self._database = database
        self._taking = taking
        self._table = changes_table(database.kind, config.changes)
        self._woken = asyncio.Event()
        self._ahead: asyncio.Task[_Batch] | None = None
        """The next batch, where there is one."""
        self._removing: asyncio.Task[None] | None = None
        """The batch before, on its way out of the table of changes."""
        self._held: frozenset[int] = frozenset()
        """The numbers of its rows."""

    @property
    def problem(self) -> str | None:
        """Why nothing is read just now; None when all is well."""
        return self._trying.problem

    def mount(self) -> tuple[str, ASGIApp] | None:
        """It is not called: it looks."""
        return None

    async def check(self) -> list[str]:
        """Whether the table of changes can be read and its rows taken away."""
        try:
            await self._database.run(lambda connection: connection.execute(select(self._table).limit(1)).all())
            # A delete that finds nothing shows the right to delete.
            await self._database.run(partial(remove_changes, table=self._table, changes=[_NONE]), writes=True)
        except Retryable as error:
            return [str(error)]
        return []

    async def run(self) -> None:
        """Read for ever; wait out what is away."""
        listener: Listener | None = None
        if self._database.kind == "postgresql":
            listener = Listener(self._database.url, channel(self._config.changes), self._woken.set)
            listener.start()
        try:
            while True:
                self._woken.clear()
                if await self._trying.once(self.read_once) == 0:
                    await self._rest()
        finally:
            self._let_go()
            if listener is not None:
                listener.close()
            self._database.close()

    async def read_once(self) -> int:
        """Take one batch; returns how many rows there were.

        Raises:
            Retryable: call again. Rows are where they were, or their events are known.
        """
        try:
            batch = await (self._ahead if self._ahead is not None else self._read(frozenset()))
            self._ahead = None
            numbers = frozenset(change.number for change in batch.changes)
            if len(batch.changes) >= self._config.batch_rows_max:
                self._ahead = asyncio.create_task(self._read(self._held | numbers))
            if batch.changes:
                await self._taking.take(batch.changes, batch.shaped)
            await self._removed()
            self._held = numbers
            self._removing = asyncio.create_task(self._remove(batch.changes)) if batch.changes else None
            if self._ahead is None:
                await self._removed()
            return len(batch.changes)
        except BaseException:
            self._let_go()
            raise

    async def _read(self, held: frozenset[int]) -> _Batch:
        rows_max = self._config.batch_rows_max
        read = partial(read_more, held=held) if held else read_changes
        changes = await self._database.run(partial(read, table=self._table, rows_max=rows_max))
        return _Batch(changes, await self._taking.shape(changes) if changes else [])

    async def _remove(self, changes: Sequence[Change]) -> None:
        await self._database.run(partial(remove_changes, table=self._table, changes=changes), writes=True)

    async def _removed(self) -> None:
        """Wait until the batch before is gone from the table of changes."""
        removing, self._removing = self._removing, None
        if removing is not None:
            await removing
        self._held = frozenset()

    def _let_go(self) -> None:
        """Begin with the oldest row again: what was read and not stored, or stored and not taken away, stands there."""
        for task in (self._ahead, self._removing):
            if task is not None:
                task.cancel()
                task.add_done_callback(_heard)
        self._ahead, self._removing, self._held = None, None, frozenset()

    async def _rest(self) -> None:
        try:
            async with asyncio.timeout(self._config.poll_seconds):
                await self._woken.wait()
        except TimeoutError:
            return


def _heard(task: asyncio.Task[Any]) -> None:
    """What it raised is known: the batch that it worked for is read again."""
    if not task.cancelled():
        task.exception()
