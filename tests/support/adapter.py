"""One adapter's parts for a test: database, outbox, inbox, HTTP side; with Kafka left out."""

from __future__ import annotations

from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from functools import cache
from pathlib import Path

import httpx
import msgspec
from starlette.applications import Starlette

from adapters.delivery import Delivery, Target
from adapters.http_app import HttpApp
from adapters.http_source import HttpSource
from adapters.intake import Intake
from adapters.schedule import ScheduleSettings
from bus.agency_tables import NAME, TABLES, VERSION
from bus.cases import KnownCases
from bus.city import City, city_path, load_city
from bus.database import Database
from bus.inbox import Inbox
from bus.outbox import Outbox
from bus.process import serving
from bus.records import Record
from bus.topics import in_topic
from schemas.envelope import Event
from tests.support.databases import sqlite_url

AGENCIES = ("communications", "public-works", "water-utility")


@cache
def denpasar() -> City:
    """The city, loaded once."""
    return load_city(city_path("denpasar"))


class SmallAdapter:
    """Outbox and inbox of three agencies of Denpasar."""

    def __init__(self, database: Database) -> None:
        self.city = denpasar()
        self.database = database
        self.cases = KnownCases(database)
        self.outbox = Outbox(database, self.cases)
        self.inbox = Inbox(
            database,
            self.cases,
            agency_of={in_topic(agency): agency for agency in AGENCIES},
            source_of=self.city.source_of,
        )
        self.deliveries: dict[str, Delivery] = {}
        self._offset = 0

    @classmethod
    @asynccontextmanager
    async def opened(cls, folder: Path) -> AsyncIterator[SmallAdapter]:
        """In a folder, which may hold one from before."""
        database = Database(sqlite_url(folder), tables=TABLES, name=NAME, version=VERSION)
        await database.start()
        adapter = cls(database)
        await adapter.outbox.start(AGENCIES)
        try:
            yield adapter
        finally:
            await database.stop()

    def delivery(self, agency: str, target: Target, settings: ScheduleSettings, concurrency_max: int = 4) -> Delivery:
        """What delivers this agency's inbox."""
        found = Delivery(agency, self.inbox, target, settings=settings, concurrency_max=concurrency_max)
        self.deliveries[agency] = found
        return found

    @asynccontextmanager
    async def served(self) -> AsyncIterator[httpx.AsyncClient]:
        """Its HTTP side, and a client with communications' token."""
        intake = Intake(self.city, self.outbox, self.cases)
        source = HttpSource(intake, self.inbox, self.deliveries, source_of=self.city.source_of)
        app = HttpApp({agency: token_of(agency) for agency in AGENCIES}, source.routes(), Starlette())
        async with (
            serving(app, host="127.0.0.1", port=0) as port,
            httpx.AsyncClient(
                base_url=f"http://127.0.0.1:{port}", headers=bearer("communications"), timeout=60
            ) as client,
        ):
            yield client

    async def arrive(self, agency: str, events: Sequence[Event]) -> None:
        """The bus brings events into the agency's in topic."""
        records = []
        for event in events:
            records.append(Record(in_topic(agency), 0, self._offset, 0, event.key, event.data, event.headers()))
            self._offset += 1
        await self.inbox.take(records)


def token_of(agency: str) -> str:
    """The token of an agency's system."""
    return f"{agency}-has-a-long-token"


def bearer(agency: str) -> dict[str, str]:
    """The header that shows it."""
    return {"Authorization": f"Bearer {token_of(agency)}"}


def with_id(event: Event, id: str) -> Event:
    """The same event under another id."""
    return msgspec.structs.replace(event, id=id)
