"""A files source on a folder of a test, with a small mapping, and what it stored."""

from __future__ import annotations

import asyncio
import csv
from collections.abc import AsyncIterator, Callable
from collections.abc import Mapping as Columned
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

from sqlalchemy import select

from adapters.intake import Intake
from adapters.kinds import Place
from adapters.sources.files.config import FilesConfig
from adapters.sources.files.source import KIND, FilesSource, Shares
from bus.agency_tables import outbox
from schemas.failures import Refused
from tests.support.adapter import SmallAdapter

AGENCY = "communications"
HEADER = "nomor,layanan,wilayah,keterangan"


MAPPING = """
key = "nomor"

[formats]
time = "%d/%m/%Y"
at = "08:00"
decimal = ","
thousands = "."

[[event]]
type = "subak.request.submitted.v1"

  [event.data]
  service_code = "layanan"
  area = "wilayah"
  description = "keterangan"
"""


class Rows:
    """A mapping that keeps the records that it is given, and makes nothing of them."""

    def __init__(self) -> None:
        self.seen: list[dict[str, Any]] = []

    def to_shared(self, record: Columned[str, Any], *, source: str) -> list[dict[str, Any]]:
        """No event."""
        self.seen.append(dict(record))
        return []

    def in_columns(self, type: str, refused: Refused) -> Refused:
        """As they are."""
        return refused


def row(number: int, description: str = "Saluran air tersumbat") -> str:
    """A good row of a CSV file."""
    return f"R-{number:05},drain,51.71.01.1005,{description}"


class Folder:
    """A folder that a source watches."""

    def __init__(self, path: Path, adapter: SmallAdapter) -> None:
        self.path = path / "incoming"
        self.path.mkdir(exist_ok=True)
        self.adapter = adapter
        self._parent = path

    def source(self, mapping: Shares | None = None, **keys: Any) -> FilesSource:
        """A source of this folder, which is quick."""
        keys = {"folder": "incoming", "mapping": "mapping.toml", "settle_seconds": 0.05, "poll_seconds": 0.02} | keys
        place = Place(
            agency=AGENCY,
            name="exports",
            folder=self._parent,
            environment={},
            city=self.adapter.city,
            database=self.adapter.database,
        )
        intake = Intake(self.adapter.city, self.adapter.outbox, self.adapter.cases)
        config = FilesConfig.model_validate(keys)
        if mapping is not None:
            return FilesSource(config, place, intake, mapping)
        (self._parent / "mapping.toml").write_text(MAPPING, encoding="utf-8")
        source = KIND.build(config, place, intake)
        assert isinstance(source, FilesSource)
        return source

    @asynccontextmanager
    async def watched(self, mapping: Shares | None = None, **keys: Any) -> AsyncIterator[None]:
        """While the block runs, a source watches."""
        task = asyncio.create_task(self.source(mapping, **keys).run())
        try:
            yield
            assert not task.done(), task.exception()
        finally:
            task.cancel()
            await asyncio.gather(task, return_exceptions=True)

    async def read(self, name: str, content: str | bytes, mapping: Shares | None = None, **keys: Any) -> None:
        """Have a file arrive, and read to its end."""
        data = content if isinstance(content, bytes) else content.encode()
        (self.path / name).write_bytes(data)
        async with self.watched(mapping, **keys):
            await self.until(lambda: not (self.path / name).exists() and not self.there("reading"))

    async def until(self, holds: Callable[[], bool], seconds: float = 60) -> None:
        """Wait until something holds."""
        async with asyncio.timeout(seconds):
            while not holds():
                await asyncio.sleep(0.01)

    def there(self, folder: str) -> list[str]:
        """The names in `done`, `failed` or `reading`."""
        path = self.path / folder
        return sorted(found.name for found in path.iterdir()) if path.is_dir() else []

    def text(self, name: str) -> str:
        """What stands in a file of the folder."""
        return (self.path / name).read_text(encoding="utf-8-sig")

    def errors(self, name: str = "done/requests.errors.csv", delimiter: str = ",") -> list[list[str]]:
        """The rows of an errors file, without its header."""
        with (self.path / name).open(encoding="utf-8-sig", newline="") as file:
            return list(csv.reader(file, delimiter=delimiter))[1:]

    async def stored(self) -> list[Any]:
        """The rows of the outbox, in order."""
        return await self.adapter.database.run(
            lambda connection: list(connection.execute(select(outbox).order_by(outbox.c.id)))
        )
