"""What an app POSTs: form-encoded or multipart, bounded in size, in time and in how many arrive at once.

The parsers are Starlette's (python-multipart). No XML and no JSON is read here at all, so there is nothing in either
that could be hostile. Files are refused with a sentence: GeoReport v2 names a picture by its address, `media_url`.
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncGenerator, Iterator

from starlette.datastructures import FormData
from starlette.formparsers import FormParser, MultiPartException, MultiPartParser
from starlette.requests import ClientDisconnect, Request

from adapters.sources.open311.answers import Failed
from adapters.sources.open311.config import Open311Config

FIELDS_MAX = 200
FORM, MULTIPART = "application/x-www-form-urlencoded", "multipart/form-data"


class Form:
    """The fields of one post. An empty field is one that was not sent, as the specification says."""

    def __init__(self, items: Iterator[tuple[str, str]] | list[tuple[str, str]]) -> None:
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

    def __init__(self, config: Open311Config) -> None:
        self._config = config
        self._places = config.bodies_max

    async def read(self, request: Request) -> Form:
        """The fields of a post.

        Raises:
            Failed: 400 (not such a form), 408 (too slow), 413 (too large), 503 (too many arrive at once).
        """
        kind = request.headers.get("content-type", "").partition(";")[0].strip().lower()
        if kind not in (FORM, MULTIPART):
            raise Failed(400, f"Content-Type {kind[:100]!r} is not taken here. Send {FORM}, or {MULTIPART}.")
        if self._places <= 0:
            headers = {"Retry-After": "5", "Connection": "close"}
            raise Failed(503, f"{self._config.bodies_max} posts are arriving at once. Send it again.", headers=headers)
        self._places -= 1
        try:
            body = await self._body(request)
        finally:
            self._places += 1
        return await _parsed(request, kind, body)

    async def _body(self, request: Request) -> bytes:
        most = self._config.body_bytes_max
        too_large = Failed(413, f"the post has more than {most} bytes. Shorten it; name pictures by media_url.")
        stated = request.headers.get("content-length", "0")
        if not (stated.isascii() and stated.isdigit()) or int(stated[:19]) > most:
            raise too_large
        body = bytearray()
        try:
            async with asyncio.timeout(self._config.body_wait_seconds):
                async for part in request.stream():
                    body += part
                    if len(body) > most:
                        raise too_large
        except TimeoutError:
            problem = f"the post took more than {self._config.body_wait_seconds:g} s to arrive. Send it again."
            raise Failed(408, problem, headers={"Connection": "close"}) from None
        except ClientDisconnect:
            raise Failed(400, "the post did not arrive whole. Send it again.") from None
        return bytes(body)


async def _parsed(request: Request, kind: str, body: bytes) -> Form:
    async def stream() -> AsyncGenerator[bytes, None]:
        yield body
        yield b""

    most = len(body) + 1
    try:
        if kind == FORM:
            found = await FormParser(request.headers, stream(), max_fields=FIELDS_MAX, max_part_size=most).parse()
        else:
            parser = MultiPartParser(request.headers, stream(), max_files=10, max_fields=FIELDS_MAX, max_part_size=most)
            found = await parser.parse()
    except MultiPartException as error:
        raise Failed(400, f"the post is not a form: {error.message[:200]}") from error
    except (ValueError, KeyError, AttributeError) as error:  # a boundary or a header that the parser cannot read
        raise Failed(400, f"the post is not a form: {str(error)[:200]}. Send {FORM}, or {MULTIPART}.") from error
    return Form(await _fields(found))


async def _fields(found: FormData) -> list[tuple[str, str]]:
    fields = []
    for name, value in found.multi_items():
        if not isinstance(value, str):
            await found.close()
            problem = f"{name[:100]}: files are not taken. Put the picture where it can be fetched and send media_url."
            raise Failed(400, problem)
        if "\x00" in name or "\x00" in value:
            raise Failed(400, f"{name[:100]!r}: the text holds a NUL character. Remove it.")
        fields.append((name, value))
    return fields
