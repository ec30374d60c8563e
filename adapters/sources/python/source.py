"""A function of the agency's own gives records; each becomes shared events, once, and the cursor moves past it.

The cursor is stored after the events are: a crash between the two reads records again, whose ids are derived and known.
What the function raises says what to do (`schemas.failures`): `Misconfigured` stops the process, everything else is
waited out and the function called again from the cursor, since one agency's mistake may not stop another's events.
"""

from __future__ import annotations

import asyncio
import inspect
import json
from collections.abc import Callable
from datetime import UTC, datetime
from typing import Any

import msgspec
from sqlalchemy import Column, Connection, Double, MetaData, String, Table, Text, select
from starlette.types import ASGIApp

from adapters.handlers import load_handler
from adapters.intake import Intake
from adapters.kinds import Place, SourceKind
from adapters.mapping import Mapping
from adapters.sources.python.config import PythonSourceConfig
from adapters.sources.python.feed import Feed
from bus.backoff import Backoff
from bus.logs import get_logger
from bus.statements import set_rows
from schemas.failures import Misconfigured, Reason, Refused, Retryable
from schemas.identifiers import derived_id

log = get_logger("python_source")

CURSOR_CHARACTERS_MAX = 10_000

TABLES = MetaData()

cursors = Table(
    "subak_source_cursors",
    TABLES,
    Column("agency", String(64), primary_key=True),
    Column("source", String(100), primary_key=True),
    Column("cursor", Text, nullable=False),  # JSON
    Column("stored_at", Double, nullable=False),
)


class PythonSource:
    """One function of one agency."""

    def __init__(self, config: PythonSourceConfig, place: Place, intake: Intake) -> None:
        self._config = config
        self._place = place
        self._intake = intake
        self._source = f"{place.city.source_of(place.agency)}/{place.name}"
        self._handler = load_handler(config.handler, place.folder)
        self._told = load_handler(config.refused, place.folder) if config.refused is not None else None
        self._mapping = Mapping.load(place.folder / config.mapping, place.city) if config.mapping is not None else None
        _check_takes(self._handler, config.handler, 1, "the cursor")
        if self._told is not None and config.refused is not None:
            _check_takes(self._told, config.refused, 2, "the record and the reasons")

    def mount(self) -> tuple[str, ASGIApp] | None:
        """It is not called over HTTP."""
        return None

    async def check(self) -> list[str]:
        """What can be known without calling the function is known by now: it is there, and takes what it is given."""
        return []

    async def run(self) -> None:
        """Call the function again and again, each time from where the last one came to."""
        backoff = Backoff(0.5, 60.0)
        while True:
            try:
                await self._place.database.run(TABLES.create_all, alone=True)
                await self._read(backoff)
                await asyncio.sleep(self._config.poll_seconds)
            except Misconfigured:
                raise
            except Retryable as error:
                log.warning("python_source_waited", agency=self._place.agency, error=str(error))
                await asyncio.sleep(backoff.next_seconds())
            except Exception:
                log.exception("python_source_failed", agency=self._place.agency, handler=self._config.handler)
                await asyncio.sleep(backoff.next_seconds())

    async def _read(self, backoff: Backoff) -> None:
        """One call of the function, until it ends."""
        stored = await self._place.database.run(self._stored_cursor)
        cursor = json.loads(stored) if stored is not None else None
        feed = Feed(self._handler, cursor, records_max=self._config.batch_records_max)
        feed.start()
        try:
            while batch := await feed.batch():
                await self._take(batch)
                backoff.reset()
        finally:
            await feed.close()

    async def _take(self, batch: list[Any]) -> None:
        said: list[tuple[Any, dict[str, Any]]] = []
        cursor: str | None = None
        refused: list[tuple[Any, Refused]] = []
        moment = datetime.now(UTC).isoformat(timespec="milliseconds")
        for item in batch:
            record = item
            if isinstance(item, tuple) and len(item) == 2:
                record, cursor = item[0], _encode_cursor(item[1])
            try:
                said += [(record, {"time": moment, **event}) for event in self._events(record)]
            except Refused as error:
                refused.append((record, error))
            except Exception as error:  # a defect: it may hold up its own record alone
                log.exception("mapping_failed", agency=self._place.agency, source=self._place.name)
                problem = f"the mapping failed: {type(error).__name__}"
                refused.append((record, Refused([Reason("failed", "record", problem, "Report it, with this record.")])))
        outcomes = await self._intake.take_each(self._place.agency, [event for _, event in said])
        for (record, event), outcome in zip(said, outcomes, strict=True):
            if isinstance(outcome, Refused):
                in_columns = self._mapping.in_columns(event["type"], outcome) if self._mapping else outcome
                refused.append((record, in_columns))
        for record, reasons in refused:
            await self._tell(record, reasons)
        if cursor is not None:
            row = {"agency": self._place.agency, "source": self._place.name, "cursor": cursor}
            row["stored_at"] = datetime.now(UTC).timestamp()  # type: ignore[assignment]
            await self._place.database.run(lambda connection: set_rows(connection, cursors, [row]))

    def _events(self, record: Any) -> list[dict[str, Any]]:
        if not isinstance(record, dict):
            problem = f"the handler gave a {type(record).__name__}, no record"
            fix = "Yield a dict, or a pair of a dict and a cursor."
            raise Refused([Reason("not_a_record", "record", problem, fix)])
        if self._mapping is not None:
            return self._mapping.to_shared(record, source=self._source)
        try:
            content = msgspec.json.encode(record, order="deterministic")
        except (TypeError, UnicodeEncodeError, RecursionError) as error:
            fix = "Give texts, numbers, lists and objects."
            raise Refused([Reason("not_json", "record", f"JSON cannot carry it ({error})"[:300], fix)]) from error
        if record.get("id") is not None:
            return [record]
        return [{**record, "id": derived_id(self._source, content.decode())}]

    async def _tell(self, record: Any, refused: Refused) -> None:
        reasons = [reason.as_dict() for reason in refused.reasons]
        log.warning("record_refused", agency=self._place.agency, source=self._place.name, reasons=reasons)
        if self._told is None:
            return
        try:
            if inspect.iscoroutinefunction(self._told):
                await self._told(record, reasons)
            else:
                await asyncio.to_thread(self._told, record, reasons)
        except Exception:
            log.exception("refused_handler_failed", agency=self._place.agency, handler=self._config.refused)

    def _stored_cursor(self, connection: Connection) -> str | None:
        asked = select(cursors.c.cursor).where(
            cursors.c.agency == self._place.agency, cursors.c.source == self._place.name
        )
        found: str | None = connection.scalar(asked)
        return found


def _encode_cursor(cursor: Any) -> str:
    try:
        text = json.dumps(cursor, allow_nan=False)
    except (TypeError, ValueError) as error:
        raise Misconfigured(
            f"the handler gave a cursor that JSON cannot carry ({error}): give a text or a number."
        ) from error
    if len(text) > CURSOR_CHARACTERS_MAX:
        raise Misconfigured(f"the handler gave a cursor of {len(text)} characters, more than {CURSOR_CHARACTERS_MAX}.")
    return text


def _check_takes(function: Callable[..., Any], name: str, count: int, what: str) -> None:
    try:
        inspect.signature(function).bind(*range(count))
    except TypeError as error:
        raise Misconfigured(f"handler {name}: it is called with {what} ({error}). Change its parameters.") from error
    except ValueError:
        return  # a builtin, which tells nobody what it takes


KIND = SourceKind(PythonSourceConfig, PythonSource)
"""A function of the agency's own."""
