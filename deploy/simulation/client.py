"""A small HTTP client for one thing: POST a body to an adapter on this machine, over connections that are kept.

The simulated systems share the processors with the bus that they put to work, so each microsecond here is taken from
what is measured. It speaks HTTP/1.1 with `Content-Length`, which is what the
adapter answers with; anything else is an error, and the post is sent again.
"""

from __future__ import annotations

import asyncio
import time
from collections import defaultdict
from collections.abc import Mapping
from dataclasses import dataclass
from urllib.parse import urlsplit

IDLE_SECONDS_MAX = 3.0
"""A connection that was idle for longer is not used again: the adapter closes it after five."""

HEAD_BYTES_MAX = 16_384


class NoAnswer(Exception):
    """The adapter did not answer, or not in a way that this client reads. Whether it took the body is unknown."""


@dataclass(slots=True)
class _Connection:
    reader: asyncio.StreamReader
    writer: asyncio.StreamWriter
    used_at: float


class Client:
    """Keeps connections, by host and port."""

    def __init__(self, *, answer_within_seconds: float = 30.0) -> None:
        self._within = answer_within_seconds
        self._idle: defaultdict[tuple[str, int], list[_Connection]] = defaultdict(list)

    async def post(self, url: str, body: bytes, headers: Mapping[str, str]) -> tuple[int, bytes]:
        """Send it; returns status and body of the answer.

        Raises:
            NoAnswer: there was none.
        """
        parts = urlsplit(url)
        address = (parts.hostname or "", parts.port or 80)
        lines = "".join(f"{name}: {value}\r\n" for name, value in headers.items())
        head = f"POST {parts.path} HTTP/1.1\r\nHost: {parts.netloc}\r\n{lines}Content-Length: {len(body)}\r\n\r\n"
        connection: _Connection | None = None
        try:
            async with asyncio.timeout(self._within):
                connection = self._taken(address) or await self._opened(address)
                connection.writer.write(head.encode() + body)
                status, keep, answer = await _read(connection.reader)
        except (OSError, TimeoutError, EOFError, ValueError, asyncio.LimitOverrunError) as error:
            if connection is not None:
                connection.writer.close()
            raise NoAnswer(repr(error)) from error
        except BaseException:
            if connection is not None:
                connection.writer.close()
            raise
        if keep:
            connection.used_at = time.monotonic()
            self._idle[address].append(connection)
        else:
            connection.writer.close()
        return status, answer

    async def close(self) -> None:
        """Let go of all connections."""
        for connections in self._idle.values():
            for connection in connections:
                connection.writer.close()
        self._idle.clear()

    def _taken(self, address: tuple[str, int]) -> _Connection | None:
        idle = self._idle[address]
        while idle:
            connection = idle.pop()
            if time.monotonic() - connection.used_at < IDLE_SECONDS_MAX and not connection.reader.at_eof():
                return connection
            connection.writer.close()
        return None

    async def _opened(self, address: tuple[str, int]) -> _Connection:
        reader, writer = await asyncio.open_connection(*address, limit=HEAD_BYTES_MAX)
        return _Connection(reader, writer, time.monotonic())


async def _read(reader: asyncio.StreamReader) -> tuple[int, bool, bytes]:
    """Status, whether the connection stays, and body."""
    head = (await reader.readuntil(b"\r\n\r\n")).lower()
    version, status, *_ = head.split(b" ", 2)
    _, found, rest = head.partition(b"\r\ncontent-length:")
    if not version.startswith(b"http/1.1") or not (found or status == b"204"):
        raise ValueError(f"not an answer with a length: {head[:200]!r}")
    length = int(rest.split(b"\r\n", 1)[0]) if found else 0
    body = await reader.readexactly(length) if length else b""
    return int(status), b"\r\nconnection: close" not in head, body
