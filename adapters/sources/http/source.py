"""Takes an agency's own records over HTTP: mapped, held against the shared schema, and on disk before the answer.

All records of one body are stored or none, and whatever is wrong is told with the record's place and the agency's own
column. Ids come from the mapping's key, so the same record again is known. An `Idempotency-Key` stands for the body
that it came with: with another body it is refused. That is noted after the events are stored, so a crash between the
two forgets the note and never an event.
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable
from hashlib import sha256
from typing import Any

import msgspec
from sqlalchemy import Connection, delete, select
from starlette.types import ASGIApp

from adapters.intake import CHECKED_TOGETHER, Intake
from adapters.kinds import Place, SourceKind
from adapters.mapping import Mapping
from adapters.sources.http.app import RecordsApp
from adapters.sources.http.config import HttpSourceConfig
from adapters.sources.http.proof import proof_of
from adapters.sources.http.records import Posted, check_number, in_columns, read_posted, shape
from adapters.status import EventStatus, casebook_reader, moment
from bus import metrics
from bus.agency_tables import source_seen
from bus.outbox import Receipt
from bus.statements import set_rows
from schemas.failures import Reason, Refused

KEYS = "idempotency keys"
"""Stands in `source_seen.table`, where no table of an agency's can be named so."""

FORGET_SECONDS = 3600.0


class HttpRecordsSource:
    """One path of one agency."""

    def __init__(
        self, config: HttpSourceConfig, place: Place, intake: Intake, *, clock: Callable[[], float] = time.time
    ) -> None:
        self.agency = place.agency
        self.proof = proof_of(config, place.folder, place.environment, clock)
        self._config = config
        self._name = place.name
        self._path = config.path or f"/sources/{place.agency}/{place.name}"
        self._source = f"{place.city.source_of(place.agency)}/{place.name}"
        self._mapping = Mapping.load(place.folder / config.mapping, place.city)
        self._intake = intake
        self._database = place.database
        self._casebook = casebook_reader(place.casebook, place.city)
        self._status = EventStatus(place.database, place.city.source_of, self._casebook)
        self._clock = clock
        self._forgot_at = 0.0

    def mount(self) -> tuple[str, ASGIApp]:
        """Where it answers."""
        return self._path, RecordsApp(self)

    async def check(self) -> list[str]:
        """Nothing outside is needed."""
        return []

    async def run(self) -> None:
        """Nothing: it is called."""
        try:
            await asyncio.Event().wait()
        finally:
            if self._casebook is not None:
                await self._casebook.close()

    async def status_of(self, event_id: str) -> dict[str, Any] | None:
        """What became of an event of the agency."""
        return await self._status.of(self.agency, event_id)

    async def take(self, body: bytes, idempotency_key: str | None) -> tuple[list[list[dict[str, Any]]], bool]:
        """Store what the records in `body` say; gives each record's events, and whether a list was sent.

        Raises:
            Refused: with every reason; nothing was stored.
            OutboxFull, DatabaseUnavailable: send the same again.
        """
        digest = sha256(body).hexdigest()
        if idempotency_key is not None:
            await self._check_key(idempotency_key, digest)
        posted: Posted | None = None
        try:
            posted = read_posted(body, self._config, idempotency_key)
            for start in range(0, len(posted.records), CHECKED_TOGETHER):
                places = range(start, min(start + CHECKED_TOGETHER, len(posted.records)))
                shape(posted, places, self._mapping, self._source)
                await asyncio.sleep(0)
            check_number(posted)
            receipts = await self._stored(posted)
        except Refused:
            metrics.source_rows.labels(self.agency, "refused").inc(len(posted.records) if posted is not None else 1)
            raise
        metrics.source_rows.labels(self.agency, "taken").inc(len(posted.records))
        if idempotency_key is not None:
            await self._note_key(idempotency_key, digest)
        outcomes: list[list[dict[str, Any]]] = [[] for _ in posted.records]
        for (place, said), receipt in zip(posted.said, receipts, strict=True):
            told = {"id": receipt.id, "type": said["type"], "subject": receipt.subject}
            outcomes[place].append({**told, "recorded_at": moment(receipt.recorded_at), "known": receipt.known})
        return outcomes, posted.several

    async def _stored(self, posted: Posted) -> list[Receipt]:
        if not posted.said:
            return []
        try:
            return await self._intake.take(self.agency, msgspec.json.encode([said for _, said in posted.said]))
        except Refused as refused:
            raise in_columns(posted, refused, self._mapping) from refused

    async def _check_key(self, key: str, digest: str) -> None:
        uid = sha256(key.encode()).hexdigest()
        asked = select(source_seen.c.position).filter_by(agency=self.agency, source=self._name, table=KEYS, uid=uid)

        def unit(connection: Connection) -> str | None:
            found: str | None = connection.scalar(asked)
            return found

        found = await self._database.run(unit)
        if found is not None and found != digest:
            problem = "this key came before with another body"
            fix = "Send each body with a key of its own, and the same body again with the same."
            raise Refused([Reason("key_reused", "Idempotency-Key", problem, fix)])

    async def _note_key(self, key: str, digest: str) -> None:
        now = self._clock()
        row = {
            "agency": self.agency,
            "source": self._name,
            "table": KEYS,
            "uid": sha256(key.encode()).hexdigest(),
            "position": digest,
            "seen_at": now,
        }
        mine = (source_seen.c.agency == self.agency, source_seen.c.source == self._name, source_seen.c.table == KEYS)
        forgets = abs(now - self._forgot_at) > FORGET_SECONDS
        before = now - self._config.remember_days * 86_400

        def unit(connection: Connection) -> None:
            set_rows(connection, source_seen, [row])
            if forgets:
                connection.execute(delete(source_seen).where(*mine, source_seen.c.seen_at < before))

        await self._database.run(unit)
        self._forgot_at = now if forgets else self._forgot_at


KIND = SourceKind(HttpSourceConfig, HttpRecordsSource)
