"""How an agency's system hands attachments over and gets them back.

POST /agencies/<id>/attachments?name=   201, the content as the body: what an event may then carry in `attachments`
GET  /agencies/<id>/attachments/<sha>   the content, held against its SHA-256 (and `size_bytes`, where it is given)
"""

from __future__ import annotations

import asyncio
from urllib.parse import parse_qs

from adapters.attachments.content import sniffed
from adapters.attachments.store import AttachmentStore, Damaged, NoSuchAttachment
from adapters.http_app import Answer, Answered, Asked, Route, answer, body_parts, read_away, refusal
from schemas.failures import Reason, Refused

READS_AT_ONCE = 4
"""Contents in memory at once, on their way back."""

RETRY_AFTER_SECONDS = 5

READ_AWAY_SECONDS = 10.0
"""How long the rest of a refused body is read away, so that its sender sees the answer."""


class AttachmentRoutes:
    """The answers to one adapter's agencies."""

    def __init__(self, store: AttachmentStore) -> None:
        self._store = store
        self._uploads = 0
        self._reads = asyncio.Semaphore(READS_AT_ONCE)

    def routes(self) -> list[Route]:
        """What there is under `/agencies/<id>/`."""
        return [
            Route("POST", "attachments", "", False, self.post, streams=True),
            Route("GET", "attachments", "", True, self.get),
        ]

    async def post(self, asked: Asked) -> Answer:
        """Take one file."""
        done = None
        try:
            done = await self._post(asked)
        finally:
            if done is None or done.status != 201:
                config = self._store.config
                wait_seconds = min(READ_AWAY_SECONDS, config.wait_seconds)
                await read_away(asked, bytes_max=config.bytes_max, wait_seconds=wait_seconds)
        return done

    async def _post(self, asked: Asked) -> Answer:
        config = self._store.config
        close = (b"connection", b"close")
        if self._uploads >= config.uploads_max:
            reason = Reason("busy", "request", f"{self._uploads} files are on their way already", "Send it again soon.")
            return refusal(503, reason, headers=[(b"retry-after", b"%d" % RETRY_AFTER_SECONDS), close])
        name = parse_qs(asked.query.decode("latin-1")).get("name", [""])[-1]
        self._uploads += 1
        try:
            parts = body_parts(asked, bytes_max=config.bytes_max, wait_seconds=config.wait_seconds)
            found = await self._store.put(parts, declared=asked.header(b"content-type") or "", name=name)
        except Refused as refused:
            return refusal(415, *refused.reasons, headers=[close])
        except Answered as answered:
            return answered.answer
        finally:
            self._uploads -= 1
        said = found.model_dump(mode="json", exclude_none=True)
        return answer(201, {"dataref": found.url, "attachment": said}, (b"location", found.url.encode()))

    async def get(self, asked: Asked) -> Answer:
        """Give one file back."""
        size = asked.number("size_bytes", 0, 2**62) or None
        async with self._reads:
            try:
                content = await self._store.get(asked.id, size)
            except NoSuchAttachment as error:
                fix = "Take the SHA-256 from the event."
                return refusal(404, Reason("not_found", "sha256", str(error), fix))
            except Damaged as error:
                fix = "Have whoever sent it send it again, and look at the store."
                return refusal(502, Reason("damaged", "sha256", str(error), fix))
        headers = [
            (b"content-disposition", b"attachment"),
            (b"x-content-type-options", b"nosniff"),
            (b"content-security-policy", b"sandbox; default-src 'none'"),
            (b"cache-control", b"private, immutable"),
        ]
        media_type = sniffed(content[:32]) or "application/octet-stream"
        return Answer(200, content, headers, content_type=media_type.encode())
