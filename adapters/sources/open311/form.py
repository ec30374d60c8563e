"""What an app POSTs: form-encoded or multipart, bounded in size, in time and in how many arrive at once.

The parsers are Starlette's (python-multipart). No XML and no JSON is read here at all, so there is nothing in either
that could be hostile. Pictures within a post are taken where the adapter keeps attachments, and gather on its disk, not
in memory; else they are refused with a sentence: GeoReport v2 names a picture by its address, `media_url`.
"""

from __future__ import annotations

import asyncio
import errno
from collections.abc import AsyncGenerator, Iterator, Sequence

from starlette.datastructures import FormData, UploadFile
from starlette.formparsers import FormParser, MultiPartException, MultiPartParser
from starlette.requests import ClientDisconnect, Request

from adapters.attachments.config import AttachmentsConfig
from adapters.sources.open311.answers import Failed
from adapters.sources.open311.config import Open311Config
from bus.database import DiskFull

FIELDS_MAX = 200
FILES_MAX = 3
FORM, MULTIPART = "application/x-www-form-urlencoded", "multipart/form-data"


class Form:
    """The fields of one post. An empty field is one that was not sent, as the specification says."""

    def __init__(self, items: Sequence[tuple[str, str]], files: Sequence[UploadFile] = ()) -> None:
        self.files = files
        """Pictures; `close` lets them go."""
        self.items = [(name, value.strip()) for name, value in items]
        self.items = [(name, value) for name, value in self.items if value]

    def one(self, name: str) -> str | None:
        """The value of a field; None where it was not sent.

        Raises:
            Failed: 400, it stands twice with different values.
        """
        values = list(dict.fromkeys(self.all(name)))
        if len(values) > 1:
            raise Failed(400, f"{name}: the field stands {len(values)} times with different values. Send it once.")
        return values[0] if values else None

    async def close(self) -> None:
        """Let the files go."""
        for file in self.files:
            await file.close()

    def all(self, name: str) -> list[str]:
        """Every value of a field, `name` and `name[]` alike."""
        return [value for found, value in self.items if found in (name, f"{name}[]")]

    def attributes(self) -> Iterator[tuple[str, list[str]]]:
        """The fields `attribute[code]`, and `attribute[code][]` for several values of one."""
        found: dict[str, list[str]] = {}
        for name, value in self.items:
            if name.startswith("attribute[") and name.endswith("]"):
                found.setdefault(name.removesuffix("[]")[len("attribute[") : -1], []).append(value)
        yield from found.items()


class FormReader:
    """Reads posts of one source."""

    def __init__(self, config: Open311Config, attachments: AttachmentsConfig | None = None) -> None:
        """
        Args:
            attachments: what files may be; None: none are taken.
        """
        self._config = config
        self._attachments = attachments
        self._places = config.bodies_max
        self._large_places = attachments.uploads_max if attachments else 0

    async def read(self, request: Request, *, files: bool = False) -> Form:
        """The fields of a post, and its files where `files` are welcome.

        Raises:
            Failed: 400 (not such a form), 408 (too slow), 413 (too large), 503 (too many arrive at once).
        """
        kind = request.headers.get("content-type", "").partition(";")[0].strip().lower()
        if kind not in (FORM, MULTIPART):
            raise Failed(400, f"Content-Type {kind[:100]!r} is not taken here. Send {FORM}, or {MULTIPART}.")
        stated = request.headers.get("content-length", "")
        if stated and not (stated.isascii() and stated.isdigit()):
            raise Failed(400, "Content-Length is not a number. Send the post's length.")
        # A post that does not say its length may be as long as any.
        large = kind == MULTIPART and (not stated or int(stated[:19]) > self._config.body_bytes_max)
        if large and files and self._attachments is not None:
            return await self._read_large(request, int(stated[:19] or 0), self._attachments)
        if self._places <= 0:
            raise self._busy(self._config.bodies_max)
        self._places -= 1
        try:
            found = await self._parsed(
                request, kind, int(stated[:19] or 0), self._config.body_bytes_max, self._config.body_wait_seconds
            )
        finally:
            self._places += 1
        return await self._form(found, files)

    async def _read_large(self, request: Request, stated: int, attachments: AttachmentsConfig) -> Form:
        if self._large_places <= 0:
            raise self._busy(attachments.uploads_max)
        self._large_places -= 1
        try:
            most = self._config.body_bytes_max + FILES_MAX * attachments.bytes_max
            return await self._form(
                await self._parsed(request, MULTIPART, stated, most, attachments.wait_seconds), files=True
            )
        finally:
            self._large_places += 1

    def _busy(self, places: int) -> Failed:
        headers = {"Retry-After": "5", "Connection": "close"}
        return Failed(503, f"{places} posts are arriving at once. Send it again.", headers=headers)

    async def _parsed(self, request: Request, kind: str, stated: int, most: int, wait_seconds: float) -> FormData:
        too_large = Failed(413, f"the post has more than {most} bytes. Shorten it; name pictures by media_url.")
        if stated > most:
            raise too_large
        size = 0

        async def bounded() -> AsyncGenerator[bytes, None]:
            nonlocal size
            async for part in request.stream():
                size += len(part)
                if size > most:
                    raise MultiPartException("it is too large")
                yield part

        part_most = min(most, self._config.body_bytes_max)
        parser: FormParser | MultiPartParser
        if kind == FORM:
            parser = FormParser(request.headers, bounded(), max_fields=FIELDS_MAX, max_part_size=part_most)
        else:
            parser = MultiPartParser(
                request.headers, bounded(), max_files=FILES_MAX, max_fields=FIELDS_MAX, max_part_size=part_most
            )
        try:
            async with asyncio.timeout(wait_seconds):
                return await parser.parse()
        except TimeoutError:
            problem = f"the post took more than {wait_seconds:g} s to arrive. Send it again."
            raise Failed(408, problem, headers={"Connection": "close"}) from None
        except ClientDisconnect:
            raise Failed(400, "the post did not arrive whole. Send it again.") from None
        except OSError as error:
            if error.errno == errno.ENOSPC:  # a picture gathers on the disk while it arrives
                raise DiskFull("the disk is full, nothing was stored") from error
            raise
        except MultiPartException as error:
            if size > most:
                raise too_large from None
            raise Failed(400, f"the post is not a form: {error.message[:200]}") from error
        except (ValueError, KeyError, AttributeError) as error:  # a boundary or a header that the parser cannot read
            raise Failed(400, f"the post is not a form: {str(error)[:200]}. Send {FORM}, or {MULTIPART}.") from error

    async def _form(self, found: FormData, files: bool) -> Form:
        fields, pictures = [], []
        try:
            for name, value in found.multi_items():
                if isinstance(value, str):
                    if "\x00" in name or "\x00" in value:
                        raise Failed(400, f"{name[:100]!r}: the text holds a NUL character. Remove it.")
                    fields.append((name, value))
                elif not files or self._attachments is None:
                    fix = "Put the picture where it can be fetched and send media_url."
                    raise Failed(400, f"{name[:100]}: files are not taken. {fix}")
                elif (value.size or 0) > self._attachments.bytes_max:
                    raise Failed(413, f"{name[:100]}: the file has more than {self._attachments.bytes_max} bytes.")
                elif value.size:  # a field for a file in which none was chosen is empty
                    pictures.append(value)
        except Failed:
            await found.close()
            raise
        return Form(fields, pictures)
