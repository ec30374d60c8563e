"""Nobody holds a connection, or the memory behind it, without a request: no head without an end, no body that drips."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

import pytest
from starlette.types import Receive, Scope, Send

from bus import connections
from bus.process import serving


async def refusing(scope: Scope, receive: Receive, send: Send) -> None:
    """Answers at once and reads no body, as an adapter does to who shows no token."""
    await send({"type": "http.response.start", "status": 401, "headers": [(b"content-length", b"0")]})
    await send({"type": "http.response.body", "body": b""})


@asynccontextmanager
async def connected() -> AsyncIterator[tuple[asyncio.StreamReader, asyncio.StreamWriter]]:
    async with serving(refusing, host="127.0.0.1", port=0) as port:
        reader, writer = await asyncio.open_connection("127.0.0.1", port)
        try:
            yield reader, writer
        finally:
            writer.transport.abort()


async def dripped(writer: asyncio.StreamWriter) -> None:
    while True:
        writer.write(b"x")
        await writer.drain()
        await asyncio.sleep(0.05)


async def test_a_body_that_never_ends_holds_no_connection_once_it_was_answered(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(connections, "HEAD_WAIT_SECONDS", 0.5)
    async with connected() as (reader, writer):
        writer.write(b"POST / HTTP/1.1\r\nHost: x\r\nContent-Length: 1000000\r\n\r\n")
        assert b"401" in await reader.readuntil(b"\r\n\r\n")
        dripping = asyncio.create_task(dripped(writer))
        async with asyncio.timeout(10):
            with pytest.raises(ConnectionError):  # closed with unread bytes in it
                await dripping
    assert not connections.BoundedProtocol.waiting


async def test_a_connection_that_rests_after_its_late_body_is_closed(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(connections, "HEAD_WAIT_SECONDS", 0.5)
    async with connected() as (reader, writer):
        writer.write(b"POST / HTTP/1.1\r\nHost: x\r\nContent-Length: 4\r\n\r\n")
        assert b"401" in await reader.readuntil(b"\r\n\r\n")
        writer.write(b"late")  # the server takes that for life, and forgets its own clock
        async with asyncio.timeout(10):
            assert await reader.read() == b""


async def test_a_head_without_an_end_is_refused_before_it_fills_the_memory() -> None:
    async with connected() as (reader, writer):
        writer.write(b"GET / HTTP/1.1\r\nHost: x\r\nX-Long: ")
        answer = asyncio.create_task(reader.readuntil(b"\r\n\r\n"))
        sent = 0
        while not answer.done() and sent < 8_000_000:
            writer.write(b"a" * 16_384)
            sent += 16_384
            await asyncio.sleep(0)
            try:
                await writer.drain()
            except ConnectionError:
                break
        assert sent < 8_000_000
        async with asyncio.timeout(10):
            assert b"431" in await answer


async def test_one_connection_still_asks_many_times() -> None:
    async with connected() as (reader, writer):
        for _ in range(5):
            writer.write(b"GET / HTTP/1.1\r\nHost: x\r\nX-Long: " + b"a" * 30_000 + b"\r\n\r\n")
            assert b"401" in await reader.readuntil(b"\r\n\r\n")
        assert len(connections.BoundedProtocol.waiting) == 1
    await asyncio.sleep(0.05)
    assert not connections.BoundedProtocol.waiting
