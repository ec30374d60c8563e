"""The store of attachments: a file is there whole, under its SHA-256, or not at all; what is read back is what was put.

The name of the object is the hash of its content, so the same photo twice is stored once, no sender's name becomes a
path, and whoever reads can prove that nothing was changed. A file gathers on the adapter's disk first, since its name
is known only at its end.
"""

from __future__ import annotations

import asyncio
import os
import re
import tempfile
from collections.abc import AsyncIterator
from hashlib import sha256
from pathlib import Path
from typing import Any

import obstore
from obstore.exceptions import BaseError, PermissionDeniedError, UnauthenticatedError
from obstore.store import LocalStore, S3Store

from adapters.attachments.config import AttachmentsConfig
from adapters.attachments.content import SNIFFED_BYTES, agrees, display_name, sniffed
from bus.database import DiskFull
from schemas.failures import Misconfigured, Reason, Refused, Retryable, Unprocessable
from schemas.values import Attachment

CHUNK_BYTES = 5 * 1024 * 1024
"""S3 takes parts of at least that size."""

PARTS_AT_ONCE = 2
_SHA256 = re.compile(r"[0-9a-f]{64}")


class StoreUnavailable(Retryable):
    """The store of attachments does not answer. Nothing was stored, or it may be stored again."""


class NoSuchAttachment(Unprocessable):
    """The store has nothing under this SHA-256."""


class Damaged(Unprocessable):
    """What the store holds under a SHA-256 is something else."""


class AttachmentStore:
    """Where one adapter keeps attachments."""

    def __init__(self, config: AttachmentsConfig) -> None:
        """
        Raises:
            Misconfigured: the folder cannot be made, or the store's address is none.
        """
        self.config = config
        self._folder: Path | None = None
        try:
            if config.in_s3:
                bucket, _, prefix = config.store.removeprefix("s3://").partition("/")
                keys: dict[str, Any] = {"region": config.region}
                if config.endpoint is not None:
                    keys["endpoint"] = config.endpoint
                if config.access_key_id is not None:
                    keys |= {
                        "access_key_id": config.access_key_id,
                        "secret_access_key": config.secret_access_key,
                    }
                self._store: LocalStore | S3Store = S3Store(
                    bucket,
                    prefix=prefix or None,
                    client_options={"allow_http": config.allow_http, "timeout": "60s", "connect_timeout": "10s"},
                    retry_config={"max_retries": 3},
                    **keys,
                )
            else:
                self._folder = Path(config.store)
                self._folder.mkdir(parents=True, exist_ok=True)
                self._store = LocalStore(prefix=self._folder)
        except (BaseError, OSError, ValueError) as error:
            raise Misconfigured(f"adapter.attachments.store: {_first_line(error)}") from error

    async def put(self, parts: AsyncIterator[bytes], *, declared: str, name: str) -> Attachment:
        """Store what arrives in `parts`; returns what an event says of it, once it is on disk.

        Args:
            parts: bounded by the caller.
            declared: the `Content-Type` that its sender states.
            name: what its sender calls it.

        Raises:
            Refused: empty, of a kind that is not taken, or of another than it is said to be.
            DiskFull, StoreUnavailable: nothing was stored; send again.
        """
        digest, size, head = sha256(), 0, b""
        try:
            with tempfile.NamedTemporaryFile(prefix="subak-attachment-", buffering=0) as gathered:
                media_type: str | None = None
                async for part in parts:
                    head = head + part[: SNIFFED_BYTES - len(head)]
                    if media_type is None and len(head) >= SNIFFED_BYTES:
                        media_type = self._media_type(head, declared)  # before the rest is taken
                    digest.update(part)
                    size += len(part)
                    await asyncio.to_thread(_write_all, gathered, part)
                media_type = media_type or self._media_type(head, declared)
                sha = digest.hexdigest()
                await self._put(sha, size, Path(gathered.name))
        except OSError as error:
            if error.errno == 28:
                raise DiskFull("the disk is full, nothing was stored. Free space on it.") from error
            raise StoreUnavailable(f"the attachment could not be stored: {error}") from error
        return Attachment(
            url=f"{self.config.public_url.rstrip('/')}/{sha}",
            media_type=media_type,
            size_bytes=size,
            sha256=sha,
            name=display_name(name),
        )

    async def _put(self, sha: str, size: int, path: Path) -> None:
        key = _key(sha)
        try:
            try:
                is_there = (await obstore.head_async(self._store, key))["size"] == size
            except FileNotFoundError:
                is_there = False
            if not is_there:
                await obstore.put_async(self._store, key, path, chunk_size=CHUNK_BYTES, max_concurrency=PARTS_AT_ONCE)
            # Also what is there: whoever put it may have ended before it was on disk.
            if self._folder is not None:
                await asyncio.to_thread(_flush, self._folder / key)
        except BaseError as error:
            raise _sorted(error) from error

    async def get(self, sha: str, size_bytes: int | None = None) -> bytes:
        """The content of an attachment, which is what was stored.

        Raises:
            NoSuchAttachment, Damaged: say so.
            StoreUnavailable: ask again.
        """
        if not _SHA256.fullmatch(sha):
            raise NoSuchAttachment("this is no SHA-256: it has 64 hexadecimal digits in lower case")
        digest, taken = sha256(), bytearray()
        try:
            found = await obstore.get_async(self._store, _key(sha))
            if found.meta["size"] > self.config.bytes_max or size_bytes not in (None, found.meta["size"]):
                raise Damaged(f"the store holds {found.meta['size']} bytes under {sha}, which is not what was stored")
            async for part in found.stream(min_chunk_size=CHUNK_BYTES):
                digest.update(part)
                taken += bytes(part)
        except FileNotFoundError as error:
            raise NoSuchAttachment("the store has no such attachment") from error
        except BaseError as error:
            raise _sorted(error) from error
        if digest.hexdigest() != sha:
            raise Damaged(f"what the store holds under {sha} is not what was stored")
        return bytes(taken)

    def _media_type(self, head: bytes, declared: str) -> str:
        found = sniffed(head)
        taken = ", ".join(self.config.media_types)
        if not head:
            raise Refused([Reason("empty", "body", "the body is empty", "Send the file's content as the body.")])
        if found not in self.config.media_types or found is None:
            problem = "the content is of no kind that is taken here"
            raise Refused([Reason("media_type", "body", problem, f"Send one of {taken}.")])
        if not agrees(declared, found):
            problem = f"it says {declared[:100]!r}, and the content is {found}"
            raise Refused([Reason("media_type", "Content-Type", problem, f"Say {found}, or leave the header out.")])
        return found


def _key(sha: str) -> str:
    return f"{sha[:2]}/{sha}"


def _write_all(file: Any, part: bytes) -> None:
    view = memoryview(part)
    while view:
        view = view[file.write(view) :]


def _flush(path: Path) -> None:
    """Have a new file of a folder on disk, and its name too."""
    for found, flags in ((path, os.O_RDONLY), (path.parent, os.O_RDONLY | os.O_DIRECTORY)):
        descriptor = os.open(found, flags)
        try:
            os.fsync(descriptor)
        finally:
            os.close(descriptor)


def _sorted(error: BaseError) -> Exception:
    said = _first_line(error)
    if "os error 28" in str(error):
        return DiskFull("the disk of the attachments is full, nothing was stored. Free space on it.")
    if isinstance(error, PermissionDeniedError | UnauthenticatedError):
        return StoreUnavailable(f"the store of attachments refuses the adapter: {said}. Check its credentials.")
    return StoreUnavailable(f"the store of attachments does not answer: {said}")


def _first_line(error: BaseException) -> str:
    """Without what the library adds for debugging, and without more of an answer than fits."""
    return str(error).partition("\n")[0][:300]
