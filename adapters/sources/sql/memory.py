"""What an SQL source keeps in the adapter's own database: rows that were refused, and how far a cursor has come.

A refused row is kept with its reasons (`subak_source_refused`) before it is taken away from the agency's database, so
it is in one of them at every moment. It blocks nothing. The oldest go where more than a bound are kept.
"""

from __future__ import annotations

import json
import time
from collections.abc import Callable, Sequence

from sqlalchemy import Connection, delete, func, select

from adapters.sources.sql.changes import Change
from adapters.sources.sql.pages import NOWHERE
from bus import metrics
from bus.agency_tables import source_positions, source_refused, source_seen
from bus.database import Database
from bus.logs import get_logger
from bus.statements import insert_new, set_rows
from schemas.failures import Refused

log = get_logger("sql_source")

IDS_ASKED_MAX = 400


class Memory:
    """What one source of one agency keeps."""

    def __init__(
        self, database: Database, agency: str, source: str, *, refused_max: int, clock: Callable[[], float] = time.time
    ) -> None:
        self._database = database
        self._agency = agency
        self._source = source
        self._refused_max = refused_max
        self._clock = clock

    async def keep_refused(self, refused: Sequence[tuple[Change, Refused]]) -> None:
        """Keep rows with their reasons. Again, after a crash, is harmless.

        Raises:
            DatabaseUnavailable: call again.
        """
        rows = [
            {
                "agency": self._agency,
                "source": self._source,
                "uid": change.uid,
                "record": json.dumps(
                    {
                        "table": change.table,
                        "operation": change.operation,
                        "changed_at": change.changed_at,
                        "row": change.row,
                        "old": change.old,
                    },
                    ensure_ascii=False,
                ),
                "reasons": json.dumps([reason.as_dict() for reason in error.reasons], ensure_ascii=False),
                "refused_at": self._clock(),
            }
            for change, error in refused
        ]

        def unit(connection: Connection) -> int:
            insert_new(connection, source_refused, rows)
            mine = (source_refused.c.agency == self._agency, source_refused.c.source == self._source)
            count: int = connection.scalar(select(func.count()).select_from(source_refused).where(*mine)) or 0
            if (too_many := count - self._refused_max) > 0:
                oldest = select(source_refused.c.id).where(*mine).order_by(source_refused.c.id).limit(too_many)
                connection.execute(delete(source_refused).where(source_refused.c.id.in_(oldest)))
            return max(0, too_many)

        dropped = await self._database.run(unit)
        if dropped:
            log.error("refused_rows_dropped", agency=self._agency, source=self._source, rows=dropped)
        metrics.source_rows.labels(self._agency, "refused").inc(len(rows))
        for change, error in refused[:20]:
            log.warning(
                "row_refused",
                agency=self._agency,
                source=self._source,
                table=change.table,
                change=change.uid,
                reasons=[f"{reason.code} {reason.field}" for reason in error.reasons],
            )

    async def position(self, table: str) -> str | None:
        """How far the cursor of a table has come, as it was stored.

        Raises:
            DatabaseUnavailable: call again.
        """
        asked = select(source_positions.c.position).filter_by(agency=self._agency, source=self._source, table=table)

        def unit(connection: Connection) -> str | None:
            found: str | None = connection.scalar(asked)
            return found

        return await self._database.run(unit)

    async def unknown(self, table: str, uids: Sequence[str]) -> set[str]:
        """Those of these rows that were not seen yet."""

        def unit(connection: Connection) -> set[str]:
            known: set[str] = set()
            for start in range(0, len(uids), IDS_ASKED_MAX):
                asked = select(source_seen.c.uid).where(
                    source_seen.c.agency == self._agency,
                    source_seen.c.source == self._source,
                    source_seen.c.table == table,
                    source_seen.c.uid.in_(uids[start : start + IDS_ASKED_MAX]),
                )
                known.update(connection.scalars(asked))
            return known

        return set(uids) - await self._database.run(unit)

    async def seen(self, table: str, rows: Sequence[tuple[str, str]], at: float) -> None:
        """Note rows (uid, cursor value) as seen."""
        key = {"agency": self._agency, "source": self._source, "table": table}
        found = [{**key, "uid": uid, "position": position, "seen_at": at} for uid, position in rows]
        if found:
            await self._database.run(lambda connection: insert_new(connection, source_seen, found))

    async def settle(self, table: str, position: str, before: float) -> None:
        """Move the position. What was seen up to `before` lies at or below it: the latter is forgotten.

        A row that lies nowhere stays known: every pass reads it again.
        """
        row = {"agency": self._agency, "source": self._source, "table": table, "position": position}

        def unit(connection: Connection) -> None:
            set_rows(connection, source_positions, [row])
            connection.execute(
                delete(source_seen).where(
                    source_seen.c.agency == self._agency,
                    source_seen.c.source == self._source,
                    source_seen.c.table == table,
                    source_seen.c.seen_at <= before,
                    source_seen.c.position.not_in((position, NOWHERE)),
                )
            )

        await self._database.run(unit)
