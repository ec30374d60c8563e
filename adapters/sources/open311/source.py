"""The Open311 source: apps POST requests and updates, which become the agency's events, and ask what became of them.

A post is answered once its event is on disk. The same post again is the same request: by its `Idempotency-Key`, or,
where an app sends none, by the same content from the same app within `repeat_seconds`. The event's id is derived from
either, so two posts that cross each other are one request too.
"""

from __future__ import annotations

import asyncio
import json
import time
from collections.abc import AsyncIterator, Callable, Sequence
from typing import TYPE_CHECKING, Any

from sqlalchemy import Connection
from starlette.datastructures import UploadFile
from starlette.types import ASGIApp

from adapters.attachments.config import AttachmentsConfig
from adapters.completion import keyed_id, read_idempotency_key
from adapters.intake import Intake
from adapters.kinds import Place, SourceKind
from adapters.sources.open311.answers import Failed, failed_for
from adapters.sources.open311.app import open311_app
from adapters.sources.open311.catalogue import service_of
from adapters.sources.open311.config import App, Open311Config, apps_by_key
from adapters.sources.open311.form import Form
from adapters.sources.open311.projection import Projection, update_id
from adapters.sources.open311.submission import NAMES, request_data
from adapters.sources.open311.update import update_event
from bus.outbox.rows import known_event
from schemas.envelope import Event
from schemas.failures import Misconfigured, Refused
from schemas.identifiers import derived_id

if TYPE_CHECKING:
    from adapters.attachments.store import AttachmentStore

NOT_CONTENT = frozenset({"api_key", "jurisdiction_id"})
"""Fields that make no other request of a post."""


PART_BYTES = 65_536


class Open311Source:
    """One agency's Open311 server."""

    def __init__(
        self, config: Open311Config, place: Place, intake: Intake, *, clock: Callable[[], float] = time.time
    ) -> None:
        self.config = config
        self.city = place.city
        self.agency = place.agency
        self.jurisdiction_id = config.jurisdiction_id or place.city.id
        self.apps = apps_by_key(config, place.folder, place.environment)
        self.projection = Projection(place.agency, place.city, place.database, clock=clock)
        self.clock = clock
        self.attachments = place.attachments
        self._store: AttachmentStore | None = None
        self._database = place.database
        self._intake = intake
        self._uri = place.city.source_of(place.agency)
        self._cause = f"{self._uri}/{place.name}"
        self._path = config.path or f"/open311/{place.agency}/v2"

    async def open(self) -> None:
        """Make its tables."""
        await self.projection.open()

    def hear(self, connection: Connection, events: Sequence[Event]) -> None:
        """Keep what became of the agency's cases."""
        self.projection.hear(connection, events)

    async def run(self) -> None:
        """Nothing: it is called."""
        await asyncio.Event().wait()

    def mount(self) -> tuple[str, ASGIApp]:
        """Where it answers."""
        return self._path, open311_app(self)

    async def check(self) -> list[str]:
        """Nothing outside is needed; without an app nobody can post."""
        return [] if self.apps else ["no [[agency.source.app]] has an api_key: apps can read, and post nothing."]

    async def submit(self, app: App, form: Form, idempotency_key: str | None) -> tuple[str, str]:
        """Take a request; gives its service_request_id and its service_code.

        Raises:
            Failed: 400 or 404, with everything that is wrong.
            OutboxFull, DatabaseUnavailable: send it again.
        """
        code = form.one("service_code")
        if code is None:
            raise Failed(400, "service_code: it is missing. GET services lists them.")
        data = request_data(self.city, service_of(self.city, code), form)
        if form.files:
            data["attachments"] = await self._kept(form)
        if idempotency_key is not None:
            id = keyed_id(self._cause, app.name, _checked(idempotency_key))
        else:
            id = await self._repeated(app, form, [one["sha256"] for one in data.get("attachments", ())])
        event = {"type": "subak.request.submitted.v1", "id": id, "data": data}
        return (await self._take(event)).subject, code

    async def submit_update(self, app: App, form: Form) -> str:
        """Take an update of a request; gives the id by which apps see it.

        Raises:
            Failed: 400 or 404, with everything that is wrong.
            OutboxFull, DatabaseUnavailable: send it again.
        """
        request, theirs = form.one("service_request_id"), form.one("update_id")
        missing = [name for name, said in (("service_request_id", request), ("update_id", theirs)) if said is None]
        if request is None or theirs is None:
            raise Failed(400, *(f"{name}: it is missing. Add it." for name in missing))
        id = derived_id(f"{self._cause}/{app.name}/{request}/{theirs}", "update")
        if not await self._is_stored(id):
            row = await self.projection.request(request)
            if row is None:
                raise Failed(404, f"service_request_id {request[:60]!r} was not found.")
            await self._take({"id": id, **update_event(form, row, self.clock())})
        return update_id(self._uri, id)

    async def _take(self, event: dict[str, Any]) -> Any:
        (outcome,) = await self._intake.take_each(self.agency, [event])
        if isinstance(outcome, Refused):
            raise failed_for(outcome.reasons, NAMES)
        return outcome

    async def _kept(self, form: Form) -> list[dict[str, Any]]:
        """The pictures of a post, in the adapter's store, as an event names them."""
        if self._store is None:
            self._store = _store(self.attachments)
        kept = []
        for file in form.files:
            try:
                found = await self._store.put(_parts(file), declared=file.content_type or "", name=file.filename or "")
            except Refused as refused:
                raise failed_for(refused.reasons, {}) from refused
            kept.append(found.model_dump(mode="json", exclude_none=True))
        return kept

    async def _repeated(self, app: App, form: Form, hashes: list[str]) -> str:
        """The id for this content from now on, or that of the same post a moment ago."""
        fields = sorted(item for item in form.items if item[0] not in NOT_CONTENT)
        content = json.dumps([*fields, *hashes])
        turn = int(self.clock() // self.config.repeat_seconds)
        ids = [derived_id(f"{self._cause}/{app.name}/{content}", f"request {turn - back}") for back in (1, 0)]
        return ids[0] if await self._is_stored(ids[0]) else ids[1]

    async def _is_stored(self, id: str) -> bool:
        found = await self._database.run(lambda connection: known_event(connection, self._uri, id))
        return found is not None


def _store(config: AttachmentsConfig | None) -> AttachmentStore:
    """The store; its library is imported only for an adapter that keeps attachments."""
    from adapters.attachments.store import AttachmentStore

    if config is None:
        raise Misconfigured("this adapter keeps no attachments: state [adapter.attachments].")
    return AttachmentStore(config)


async def _parts(file: UploadFile) -> AsyncIterator[bytes]:
    while part := await file.read(PART_BYTES):
        yield part


def _checked(idempotency_key: str) -> str:
    try:
        return read_idempotency_key(idempotency_key)
    except Refused as refused:
        raise failed_for(refused.reasons, {}) from refused


KIND = SourceKind(Open311Config, Open311Source)
