"""An Open311 source on a real HTTP server, beside the adapter's other parts; Kafka left out."""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import httpx
import msgspec
from sqlalchemy import select
from starlette.applications import Starlette
from starlette.routing import Mount

from adapters.attachments.config import AttachmentsConfig
from adapters.http_app import HttpApp
from adapters.intake import Intake
from adapters.kinds import Place
from adapters.sources.open311.config import Open311Config
from adapters.sources.open311.source import Open311Source
from bus.agency_tables import outbox
from bus.process import serving
from schemas.envelope import Event
from tests.support.adapter import SmallAdapter, token_of
from tests.support.events import source as source_of

AGENCY = "communications"
KEY = "key-of-the-citizens-app"
OTHER_KEY = "key-of-the-water-utility"
AREA = "51.71.01.1005"
PLACE = {"lat": "-8.6733", "long": "115.2373"}
"""In Renon: latitude is south, longitude east."""


def post(**fields: Any) -> dict[str, Any]:
    """A good post of a request, changed; None leaves a field out."""
    good = {"api_key": KEY, "service_code": "drain", "description": "Saluran air tersumbat.", **PLACE}
    return {name: value for name, value in {**good, **fields}.items() if value is not None}


class Open311:
    """One source, served."""

    def __init__(self, adapter: SmallAdapter, source: Open311Source) -> None:
        self.adapter = adapter
        self.source = source
        self.client: httpx.AsyncClient
        self.url = ""

    @classmethod
    @asynccontextmanager
    async def opened(
        cls, folder: Path, *, attachments: AttachmentsConfig | None = None, **keys: Any
    ) -> AsyncIterator[Open311]:
        """In a folder, which may hold one from before."""
        async with SmallAdapter.opened(folder) as adapter:
            intake = Intake(adapter.city, adapter.outbox, adapter.cases)
            mounts = []
            sources = {}
            for agency, key in ((AGENCY, KEY), ("water-utility", OTHER_KEY)):
                app = {"name": "citizens-app", "key": key}
                config = Open311Config.model_validate({"app": (app,), **(keys if agency == AGENCY else {})})
                place = Place(
                    agency=agency,
                    name="open311",
                    folder=folder,
                    environment={},
                    city=adapter.city,
                    database=adapter.database,
                    attachments=attachments,
                )
                source = Open311Source(config, place, intake)
                await source.open()
                adapter.outbox.listeners.add(agency, source.hear)
                adapter.inbox.listeners.add(agency, source.hear)
                mounts.append(Mount(*source.mount()))
                sources[agency] = source
            found = cls(adapter, sources[AGENCY])
            app_ = HttpApp({AGENCY: token_of(AGENCY)}, [], Starlette(routes=mounts))
            async with serving(app_, host="127.0.0.1", port=0) as port:
                found.url = f"http://127.0.0.1:{port}/open311/{AGENCY}/v2"
                async with httpx.AsyncClient(base_url=found.url + "/", timeout=60) as client:
                    found.client = client
                    yield found

    async def submit(self, **fields: Any) -> str:
        """POST a request; gives its id."""
        answer = await self.client.post("requests.json", data=post(**fields))
        assert answer.status_code == 200, answer.text
        id: str = answer.json()[0]["service_request_id"]
        return id

    async def get(self, id: str) -> dict[str, Any]:
        """GET one request."""
        answer = await self.client.get(f"requests/{id}.json")
        assert answer.status_code == 200, answer.text
        (found,) = answer.json()
        return dict(found)

    async def stored(self) -> list[Event]:
        """What the outbox holds."""
        query = select(outbox.c.attributes, outbox.c.data).order_by(outbox.c.id)
        rows = await self.adapter.database.run(lambda connection: list(connection.execute(query)))
        return [Event(data=data, **msgspec.json.decode(attributes)) for attributes, data in rows]

    async def hear(self, case: str, type: str, *, id: str | None = None, by: str = "workflows", **data: Any) -> Event:
        """The bus brings an event of the case."""
        event = Event(
            id=id or f"{type}-{len(data)}-{case}",
            type=type,
            source=source_of(by),
            subject=case,
            time="2026-11-25T09:00:00+08:00",
            data=msgspec.json.encode(data),
        )
        await self.adapter.arrive(AGENCY, [event])
        return event
