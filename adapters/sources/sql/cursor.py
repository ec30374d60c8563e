"""The way `cursor`: rows are found by a column that grows, and nothing is made in the agency's database.

Every pass reads all rows at or above the position, and tells those whose content was not seen there before: so rows
with the same value, a second change under the same value, and rows that were committed up to `settle_seconds` after one
with a higher value are told, at once and once. The position moves to the highest value of a pass when that is
`settle_seconds` old.

What it can miss, and triggers cannot: a row that is deleted; a change that another follows before the next pass; a
change that does not raise the column, or leaves it empty; a row that is committed more than `settle_seconds` after one
with a higher value. What it repeats: nothing, unless a row's column is raised though nothing else changed, which is a
change like any other (the mapping's key says whether it is news).
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable
from functools import partial

from starlette.types import ASGIApp

from adapters.agency_database import AgencyDatabase
from adapters.sources.sql.config import SqlSourceConfig, TableConfig
from adapters.sources.sql.memory import Memory
from adapters.sources.sql.pages import (
    BEGINNING,
    Row,
    as_change,
    cursor_of,
    highest,
    is_place,
    read_keyless,
    read_page,
    read_position,
    write_position,
)
from adapters.sources.sql.taking import Taking
from adapters.sources.sql.trying import Trying
from schemas.failures import Retryable


class CursorSource:
    """The tables of one source."""

    def __init__(
        self,
        name: str,
        config: SqlSourceConfig,
        database: AgencyDatabase,
        taking: Taking,
        memory: Memory,
        *,
        clock: Callable[[], float] = time.time,
    ) -> None:
        self._trying = Trying(name)
        self._config = config
        self._database = database
        self._taking = taking
        self._memory = memory
        self._clock = clock
        self._settling: dict[str, tuple[str, float]] = {}
        """By table: the highest value of a pass, and when that pass ended."""

    @property
    def problem(self) -> str | None:
        """Why nothing is read just now; None when all is well."""
        return self._trying.problem

    def mount(self) -> tuple[str, ASGIApp] | None:
        """It is not called: it looks."""
        return None

    async def check(self) -> list[str]:
        """Whether the tables and columns can be read."""
        problems = []
        for table in self._config.table:
            try:
                await self._database.run(partial(read_page, config=table, since=None, after=None, rows_max=1))
            except Retryable as error:
                problems.append(str(error))
        return problems

    async def run(self) -> None:
        """Read for ever; wait out what is away."""
        try:
            while True:
                if await self._trying.once(self.read_once) is not None:
                    await asyncio.sleep(self._config.poll_seconds)
        finally:
            self._database.close()

    async def read_once(self) -> int:
        """One pass over all tables; returns how many rows were told or refused. A table that is away stops no other.

        Raises:
            Retryable: call again.
        """
        told, away = 0, []
        for table in self._config.table:
            try:
                told += await self._pass(table)
            except Retryable as error:
                away.append(error)
        if away:
            raise away[0]
        return told

    async def _pass(self, table: TableConfig) -> int:
        began = self._clock()
        position = await self._memory.position(table.name)
        if position is None:
            position = await self._begin(table)
        since = read_position(position)
        told = await self._tell(
            table, await self._database.run(partial(read_keyless, config=table, since=since, rows_max=self._rows_max))
        )
        last: Row | None = None
        top: object = None
        while rows := await self._page(table, since, last):
            told += await self._tell(table, rows)
            last = rows[-1]
            top = next((place for row in reversed(rows) if is_place(place := cursor_of(table, row))), top)
            if len(rows) < self._rows_max:
                break
        if top is not None:
            await self._settle(table, position, write_position(top), began)
        return told

    async def _begin(self, table: TableConfig) -> str:
        """The first position. Where old rows are no news, those at the highest value are noted as seen."""
        position = BEGINNING
        if self._config.begin == "now":
            top = await self._database.run(partial(highest, config=table))
            position = write_position(top) if top is not None else BEGINNING
            last: Row | None = None
            while rows := await self._page(table, top, last):
                await self._note(table, rows)
                last = rows[-1]
        await self._memory.settle(table.name, position, before=0)
        return position

    async def _page(self, table: TableConfig, since: object, after: Row | None) -> list[Row]:
        asked = partial(read_page, config=table, since=since, after=after, rows_max=self._rows_max)
        return await self._database.run(asked)

    async def _tell(self, table: TableConfig, rows: list[Row]) -> int:
        changes = [as_change(table, row) for row in rows]
        unknown = await self._memory.unknown(table.name, [change.uid for change in changes])
        new = [change for change in changes if change.uid in unknown]
        if new:
            await self._taking.take(new)
            await self._note(table, [row for row, change in zip(rows, changes, strict=True) if change.uid in unknown])
        return len(new)

    async def _note(self, table: TableConfig, rows: list[Row]) -> None:
        seen = [(as_change(table, row).uid, write_position(cursor_of(table, row))) for row in rows]
        await self._memory.seen(table.name, seen, self._clock())

    async def _settle(self, table: TableConfig, position: str, top: str, began: float) -> None:
        settling = self._settling.get(table.name)
        if settling is not None:
            value, at = settling
            if began - at < self._config.settle_seconds:
                return
            if value != position:
                await self._memory.settle(table.name, value, before=at)
        self._settling[table.name] = (top, self._clock())

    @property
    def _rows_max(self) -> int:
        return self._config.batch_rows_max
