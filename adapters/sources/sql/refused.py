"""Rows of an SQL source that were refused and are kept: which there are, and another try after the cause was mended.

A retry reads the row as it stands in the agency's table now, found by its key, or takes it as it was kept. Its events
have the ids that they would have had, so a row that was told meanwhile is known and told once. A row that is taken is
no longer kept; one that is refused again is kept with the new reasons. A crash between the two tries it again.
"""

from __future__ import annotations

import json
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from functools import partial
from typing import Any

from sqlalchemy import Connection, bindparam, delete, select, update

from adapters.agency_database import AgencyDatabase
from adapters.mapping import Mapping
from adapters.sources.sql.changes import Change
from adapters.sources.sql.config import TableConfig
from adapters.sources.sql.pages import as_change, read_by_key
from adapters.sources.sql.taking import Taking
from bus.agency_tables import source_refused
from bus.database import Database
from schemas.failures import Reason, Refused

BATCH_ROWS = 500


@dataclass(frozen=True, slots=True)
class Kept:
    """One refused row."""

    number: int
    change: Change
    reasons: list[dict[str, str]]
    refused_at: float


class RefusedRows:
    """The refused rows of one source of one agency."""

    def __init__(
        self,
        database: Database,
        agency: str,
        source: str,
        *,
        tables: Sequence[TableConfig],
        mapping: Mapping | None,
        agency_database: AgencyDatabase,
        taking: Taking,
        clock: Callable[[], float] = time.time,
    ) -> None:
        self._database = database
        self._mine = (source_refused.c.agency == agency, source_refused.c.source == source)
        self._tables = {table.name: table for table in tables}
        self._mapping = mapping
        self._agency_database = agency_database
        self._taking = taking
        self._clock = clock

    async def list(self, *, after: int = 0, rows_max: int = BATCH_ROWS, only: Sequence[int] = ()) -> list[Kept]:
        """Those after the row `after`, the oldest first; with `only`, those of these numbers.

        Raises:
            DatabaseUnavailable: call again.
        """
        asked = select(source_refused).where(*self._mine, source_refused.c.id > after).order_by(source_refused.c.id)
        if only:
            asked = asked.where(source_refused.c.id.in_(only))
        rows = await self._database.run(lambda connection: list(connection.execute(asked.limit(rows_max))))
        return [Kept(row.id, _change(row), json.loads(row.reasons), row.refused_at) for row in rows]

    async def retry(self, kept: Sequence[Kept], *, as_kept: bool = False) -> dict[int, Refused | None]:
        """Try these again, at most `BATCH_ROWS`; returns why not, by number; None for a row that was taken.

        Raises:
            Retryable: the agency's database or the adapter's is away; call again.
        """
        outcomes: dict[int, Refused | None] = dict.fromkeys(one.number for one in kept)
        number_of, changes = {}, []
        for one in kept:
            change = one.change if as_kept else await self._as_it_is_now(one.change)
            if isinstance(change, Refused):
                outcomes[one.number] = change
            else:
                number_of[change.uid] = one.number
                changes.append(change)
        for change, refused in await self._taking.store(changes, await self._taking.shape(changes)):
            outcomes[number_of[change.uid]] = refused
        await self._settle(outcomes)
        return outcomes

    async def close(self) -> None:
        """Let the agency's database go."""
        self._agency_database.close()

    async def drop(self, numbers: Sequence[int]) -> int:
        """Keep these no longer; returns how many there were."""
        gone = delete(source_refused).where(*self._mine, source_refused.c.id.in_(numbers))
        return await self._database.run(lambda connection: connection.execute(gone).rowcount)

    async def _as_it_is_now(self, change: Change) -> Change | Refused:
        table = self._tables.get(change.table)
        if table is None:
            fix = "Name it in adapter.toml again, or take the row as it was kept."
            return Refused([Reason("no_table", "table", f"the source reads no table {change.table} any more", fix)])
        key = _key_of(table, self._mapping)
        try:
            record = change.record()
        except Refused as refused:
            return refused
        values = {name: record.get(name) for name in key}
        if not values or None in values.values():
            return change  # nothing tells it from others: as it was kept
        rows = await self._agency_database.run(partial(read_by_key, config=table, key=values))
        if len(rows) != 1:
            shown = ", ".join(f"{name} {value}" for name, value in values.items())[:200]
            problem = f"{table.name} has {len(rows) or 'no'} row{'s' if rows else ''} with {shown} now"
            fix = "Take it as it was kept, or drop it."
            return Refused([Reason("no_row", ", ".join(key), problem, fix)])
        return replace(change, row=as_change(table, rows[0]).row)

    async def _settle(self, outcomes: dict[int, Refused | None]) -> None:
        taken = [number for number, refused in outcomes.items() if refused is None]
        again = [
            {"row": number, "said": json.dumps([one.as_dict() for one in refused.reasons], ensure_ascii=False)}
            for number, refused in outcomes.items()
            if refused is not None
        ]
        now = self._clock()

        def unit(connection: Connection) -> None:
            if taken:
                connection.execute(delete(source_refused).where(*self._mine, source_refused.c.id.in_(taken)))
            if again:
                where = source_refused.c.id == bindparam("row")
                connection.execute(
                    update(source_refused).where(where).values(reasons=bindparam("said"), refused_at=now), again
                )

        await self._database.run(unit)


def _change(row: Any) -> Change:
    kept = json.loads(row.record)
    return Change(0, row.uid, kept["table"], kept["operation"], kept["row"], kept["old"], kept["changed_at"])


def _key_of(table: TableConfig, mapping: Mapping | None) -> tuple[str, ...]:
    """The columns that tell a row from others: as stated, or else as the mapping knows a record or its case."""
    if table.key:
        return table.key
    for rule in mapping.events if mapping is not None else ():
        for columns in (rule.case.reference if rule.case is not None else (), rule.id):
            if columns and set(columns) <= set(table.columns):
                return tuple(columns)
    return ()
