"""Keeps rows of the agency's tables as the mapping says, each event applied exactly once and a case's in order.

Where the agency's tables lie in the adapter's own database, rows and the mark in the inbox commit together. Elsewhere
rows and a note of the event (`subak_taken`, made by what `subak adapter sql-ddl` prints) commit together, in the
agency's database: an event that comes again, after a crash before its mark, finds the note and changes nothing, so an
older event never overwrites a newer one. What the database will not take for its values is refused with the reason;
a database that is away, or lacks a table or a column, is waited for, and nothing is parked.
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import Sequence
from functools import partial
from pathlib import Path

import msgspec
from pydantic import Field
from sqlalchemy import URL, Connection, select
from sqlalchemy.exc import DBAPIError, SQLAlchemyError

from adapters.agency_database import AgencyDatabase, agency_url
from adapters.kinds import Place, TargetKind
from adapters.mapping import AgencyRow, Mapping
from adapters.outcome import DELIVERED, REASON_CHARACTERS_MAX, Outcome
from adapters.secrets import read_secret
from adapters.targets.sql.rows import TAKEN, AlreadyTaken, Tables, forget, missing, take
from bus.agency_tables import inbox
from bus.inbox import Arrived, Mark
from bus.inbox.rows import store_marks
from bus.logs import get_logger
from schemas.envelope import Event
from schemas.failures import Misconfigured, Refused, Retryable
from schemas.strict import Strict
from schemas.values import Text500

log = get_logger("sql_target")

TIDY_SECONDS = 3600.0


class SqlTargetConfig(Strict):
    """`[agency.target]` of kind `sql`."""

    url: str | None = Field(default=None, repr=False)
    """As of a source of kind `sql`. The adapter's own database is known again."""
    url_env: str | None = None
    """The environment variable that holds the URL."""
    url_file: str | None = None
    """The file that holds the URL."""
    mapping: Text500
    """The mapping whose `[[row]]`s say which rows an event becomes, relative to adapter.toml."""
    remember_days: int = Field(default=400, ge=1)
    """How long an event is known again, where the database is not the adapter's own."""


class SqlTarget:
    """The tables of one agency."""

    def __init__(self, config: SqlTargetConfig, place: Place, mapping: Mapping, url: URL) -> None:
        self._config = config
        self._agency = place.agency
        self._mapping = mapping
        self._own = place.database if same_database(url, place.database.url) else None
        self._database = AgencyDatabase(url)
        self._zone = place.city.zone
        self._tables = Tables(self._zone)

    async def call(self, event: Arrived) -> Outcome:
        """Write the rows of an event; never raises for what the database does."""
        attributes = msgspec.json.decode(event.attributes)
        try:
            rows = self._mapping.to_agency(Event(data=event.data, **attributes))
            if not rows:
                return DELIVERED
            if self._own is not None:
                await self._own.run(partial(self._write_and_mark, rows=rows, event=event))
            else:
                source = attributes["source"]
                unit = partial(self._write_and_note, rows=rows, event=event, source=source)
                await self._database.run(unit, writes=True)
        except AlreadyTaken:
            return DELIVERED
        except Refused as refused:
            return Outcome("refused", _short(f"the event does not fit the agency's tables: {refused}"))
        except Retryable as error:
            self._tables.forget()
            return Outcome("away", _short(str(error)))
        except DBAPIError as error:
            if found := self._database.sorted_error(error):
                self._tables.forget()
                return Outcome("away", _short(str(found)))
            return Outcome("refused", _short(f"the agency's database refused the row: {_first_line(error)}"))
        except (SQLAlchemyError, OverflowError, ValueError) as error:
            return Outcome("refused", _short(f"the agency's database cannot hold the row: {type(error).__name__}"))
        return DELIVERED

    async def check(self) -> list[str]:
        """Whether every table and column of the mapping is there."""
        needed = [(row.table, cell.column) for row in self._mapping.rows for cell in (*row.key, *row.values)]
        if self._own is None:
            needed.append((TAKEN, "event_key"))
        try:
            return await self._database.run(partial(missing, tables=Tables(self._zone), needed=needed))
        except Retryable as error:
            return [str(error)]

    async def run(self) -> None:
        """Let go of notes that are old, for ever."""
        while self._own is None:
            try:
                before = time.time() - self._config.remember_days * 86_400
                await self._database.run(partial(forget, before=before), writes=True)
            except (Retryable, DBAPIError) as error:
                log.warning("sql_target_waited", agency=self._agency, error=str(error))
            await asyncio.sleep(TIDY_SECONDS)
        await asyncio.Event().wait()

    async def close(self) -> None:
        """Let the connection go."""
        self._database.close()

    def _write_and_mark(self, connection: Connection, rows: Sequence[AgencyRow], event: Arrived) -> None:
        """In the adapter's database: rows and mark. May run twice, like every unit."""
        if connection.scalar(select(inbox.c.state).where(inbox.c.id == event.id)) == "delivered":
            return
        self._tables.write(connection, rows)
        store_marks(connection, [Mark(event.id, "delivered", event.tries + 1, event.refusals, time.time())])

    def _write_and_note(self, connection: Connection, rows: Sequence[AgencyRow], event: Arrived, source: str) -> None:
        take(connection, self._agency, source, event.event_id)
        self._tables.write(connection, rows)


def same_database(url: URL, adapter: str) -> bool:
    """Whether the agency's tables lie where the adapter's do."""
    try:
        own = agency_url(adapter, folder=_HERE)
    except Misconfigured:
        return False
    return [getattr(url, part) for part in _PARTS] == [getattr(own, part) for part in _PARTS]


_HERE = Path()
_PARTS = ("drivername", "username", "host", "port", "database")


def _first_line(error: DBAPIError) -> str:
    """What the database says, without the row that PostgreSQL shows below it."""
    primary = getattr(getattr(error.orig, "diag", None), "message_primary", None)
    return str(primary or error.orig).strip().split("\n")[0]


def _short(text: str) -> str:
    return text[:REASON_CHARACTERS_MAX]


def _build(config: SqlTargetConfig, place: Place) -> SqlTarget:
    mapping = Mapping.load(place.folder / config.mapping, place.city)
    if not mapping.rows:
        raise Misconfigured(f"{config.mapping} has no [[row]]: add one for each kind of event that the agency is told.")
    url = agency_url(read_secret(config, "url", place.folder, place.environment), place.folder)
    return SqlTarget(config, place, mapping, url)


KIND: TargetKind[SqlTargetConfig] = TargetKind(SqlTargetConfig, _build)
