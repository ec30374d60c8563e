"""An agency with a database of its own, of each kind: its complaints, and a source that reads them."""

from __future__ import annotations

import asyncio
import time
from collections.abc import AsyncIterator, Callable, Iterator, Sequence
from contextlib import asynccontextmanager, contextmanager
from pathlib import Path
from typing import Any

import msgspec
from sqlalchemy import Connection, create_engine, select, text
from sqlalchemy.pool import NullPool

from adapters.agency_database import agency_url
from adapters.intake import Intake
from adapters.kinds import Place, Source, source_kind
from adapters.sources.sql.config import SqlSourceConfig
from adapters.sources.sql.ddl import ddl
from bus.agency_tables import outbox, source_refused
from tests.support.adapter import SmallAdapter

KINDS = ("sqlite", "postgresql", "mariadb")
AGENCY = "communications"

MAPPING = """
key = "nomor"

[formats]
time = "iso"
at = "08:00"

[[event]]
type = "subak.request.submitted.v1"
when = 'change.operation == "insert" || change.operation == "read"'

  [event.data]
  service_code = "layanan"
  area = "desa"
  description = "keluhan"

[[event]]
type = "subak.request.commented.v1"
when = 'change.operation == "update" && change.old.catatan != catatan'
id = "change.id"
case.reference = "nomor"
jurisdiction = "desa"

  [event.data]
  text = "catatan"

[[event]]
skip = true
when = 'change.operation == "update"'
"""

COLUMNS = ("nomor", "layanan", "desa", "keluhan", "catatan", "diubah")
TABLE: dict[str, Any] = {"name": "aduan", "columns": COLUMNS, "key": ("nomor",), "cursor": "diubah"}


def source_config(**keys: Any) -> SqlSourceConfig:
    """A section of adapter.toml, for a quick source."""
    table = TABLE | keys.pop("table", {})
    whole = {"url": "sqlite:///unused", "mapping": "mapping.toml", "poll_seconds": 0.05, "table": (table,)} | keys
    return SqlSourceConfig.model_validate(whole)


class AgencySql:
    """The agency's own side."""

    def __init__(self, url: str, folder: Path) -> None:
        self.url = url
        self.folder = folder
        self._engine = create_engine(agency_url(url, folder), poolclass=NullPool)
        self.kind = self._engine.dialect.name

    def do(self, *statements: str, **values: Any) -> None:
        """Statements of its own system, in one transaction."""
        with self._engine.begin() as connection:
            for statement in statements:
                connection.execute(text(statement), values)

    def rows(self, statement: str) -> list[tuple[Any, ...]]:
        """What a question of its own system finds."""
        with self._engine.connect() as connection:
            return [tuple(row) for row in connection.execute(text(statement))]

    @contextmanager
    def transaction(self) -> Iterator[Connection]:
        """A transaction that stays open as long as the block."""
        with self._engine.begin() as connection:
            yield connection

    def make_complaints(self) -> None:
        """Its table of complaints."""
        key = "INTEGER PRIMARY KEY" if self.kind == "sqlite" else "INTEGER"
        self.do(
            f"CREATE TABLE aduan (nomor {key}, layanan VARCHAR(40), desa VARCHAR(40), keluhan VARCHAR(2000), "
            "catatan VARCHAR(2000), diubah INTEGER, rahasia VARCHAR(40))"
        )

    def run_ddl(self, config: SqlSourceConfig | None = None) -> None:
        """What `subak adapter sql-ddl` prints."""
        config = config or source_config()
        kind = "mysql" if self.kind in ("mysql", "mariadb") else self.kind
        for statement in ddl(kind, config.changes, config.table):
            with self._engine.begin() as connection:
                connection.exec_driver_sql(statement)

    def complain(self, *numbers: int, diubah: int = 1, layanan: str = "drain") -> None:
        """New complaints, in one transaction."""
        with self._engine.begin() as connection:
            connection.execute(
                text("INSERT INTO aduan VALUES (:n, :layanan, '51.71.01.1005', 'Saluran', NULL, :diubah, 'x')"),
                [{"n": number, "diubah": diubah, "layanan": layanan} for number in numbers],
            )

    def note(self, number: int, note: str, diubah: int = 2) -> None:
        """A note on a complaint."""
        self.do(
            "UPDATE aduan SET catatan = :note, diubah = :diubah WHERE nomor = :n", note=note, n=number, diubah=diubah
        )

    def waiting(self) -> int:
        """Changes that no adapter has taken."""
        return int(self.rows("SELECT count(*) FROM subak_changes")[0][0])

    def source(self, adapter: SmallAdapter, name: str = "aduan", **keys: Any) -> Source:
        """A source of this database."""
        (self.folder / "mapping.toml").write_text(keys.pop("mapping_text", MAPPING), encoding="utf-8")
        place = Place(
            agency=AGENCY,
            name=name,
            folder=self.folder,
            environment={},
            city=adapter.city,
            database=adapter.database,
        )
        intake = Intake(adapter.city, adapter.outbox, adapter.cases)
        return source_kind("sql").build(source_config(url=self.url, **keys), place, intake)

    @asynccontextmanager
    async def read(self, adapter: SmallAdapter, **keys: Any) -> AsyncIterator[asyncio.Task[None]]:
        """While the block runs, a source reads."""
        task = asyncio.create_task(self.source(adapter, **keys).run())
        try:
            yield task
            assert not task.done(), task.exception()
        finally:
            task.cancel()
            await asyncio.gather(task, return_exceptions=True)


async def stored(adapter: SmallAdapter) -> list[Any]:
    """The rows of the outbox, in order."""
    return await adapter.database.run(lambda connection: list(connection.execute(select(outbox).order_by(outbox.c.id))))


async def data_of(adapter: SmallAdapter) -> list[dict[str, Any]]:
    """What the events in the outbox say."""
    return [msgspec.json.decode(row.data) for row in await stored(adapter)]


async def refused(adapter: SmallAdapter) -> list[Any]:
    """The rows that were refused, in order."""
    return await adapter.database.run(
        lambda connection: list(connection.execute(select(source_refused).order_by(source_refused.c.id)))
    )


async def until_stored(adapter: SmallAdapter, count: int, seconds: float = 20.0) -> Sequence[Any]:
    """Wait until so many events are in the outbox."""
    end = time.monotonic() + seconds
    while len(found := await stored(adapter)) < count:
        assert time.monotonic() < end, [row.data for row in found]
        await asyncio.sleep(0.02)
    return found


async def until(holds: Callable[[], Any], seconds: float = 20.0) -> None:
    """Wait until something holds."""
    end = time.monotonic() + seconds
    while True:
        found = holds()
        if asyncio.iscoroutine(found):
            found = await found
        if found:
            return
        assert time.monotonic() < end, "it did not come to pass"
        await asyncio.sleep(0.02)
