"""The simulated systems' HTTP client reads what an adapter answers, keeps connections, says when there is no answer."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager

import pytest

from deploy.simulation.client import Client, NoAnswer

GOOD = b"HTTP/1.1 202 Accepted\r\ncontent-type: application/json\r\ncontent-length: 2\r\n\r\n{}"


class Server:
    """Answers each POST with the next of `answers`; None: closes without a word."""

    def __init__(self, answers: list[bytes | None]) -> None:
        self.answers = answers
        self.connections = 0
        self.bodies: list[bytes] = []

    async def serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        """One connection."""
        self.connections += 1
        try:
            while True:
                head = await reader.readuntil(b"\r\n\r\n")
                length = int(head.lower().split(b"content-length: ")[1].split(b"\r\n")[0])
                self.bodies.append(await reader.readexactly(length))
                answer = self.answers.pop(0)
                if answer is None:
                    break
                writer.write(answer)
        except asyncio.IncompleteReadError:
            pass
        finally:
            writer.close()


@asynccontextmanager
async def answering(*answers: bytes | None) -> AsyncIterator[tuple[Server, Callable[[], str]]]:
    """A server that gives these answers, and its URL."""
    handler = Server(list(answers))
    server = await asyncio.start_server(handler.serve, "127.0.0.1", 0)
    port = server.sockets[0].getsockname()[1]
    try:
        yield handler, lambda: f"http://127.0.0.1:{port}/agencies/a/events"
    finally:
        server.close()
        await server.wait_closed()


async def test_posts_to_one_adapter_share_a_connection() -> None:
    client = Client()
    async with answering(GOOD, GOOD, GOOD.replace(b"202", b"422")) as (server, url):
        assert await client.post(url(), b"one", {}) == (202, b"{}")
        assert await client.post(url(), b"two", {}) == (202, b"{}")
        assert await client.post(url(), b"three", {}) == (422, b"{}")
        assert server.connections == 1
        assert server.bodies == [b"one", b"two", b"three"]
        await client.close()


async def test_a_connection_that_the_adapter_means_to_close_is_not_used_again() -> None:
    client = Client()
    closing = GOOD.replace(b"content-type", b"connection: close\r\ncontent-type")
    async with answering(closing, GOOD) as (server, url):
        await client.post(url(), b"one", {})
        await client.post(url(), b"two", {})
        assert server.connections == 2
        await client.close()


@pytest.mark.parametrize(
    "answer", [None, b"HTTP/1.1 202 Accepted\r\n\r\n", b"nonsense\r\n\r\n", GOOD.replace(b"length: 2", b"length: x")]
)
async def test_what_is_no_answer_is_told_as_none(answer: bytes | None) -> None:
    client = Client()
    async with answering(answer) as (_, url):
        with pytest.raises(NoAnswer):
            await client.post(url(), b"one", {})
        await client.close()


async def test_an_adapter_that_is_away_or_silent_is_no_answer() -> None:
    client = Client(answer_within_seconds=0.2)
    async with answering(GOOD) as (_, url):
        gone = url()
    with pytest.raises(NoAnswer):
        await client.post(gone, b"one", {})
    async with answering(b"") as (_, url):
        with pytest.raises(NoAnswer, match="Timeout"):
            await client.post(url(), b"one", {})
    await client.close()
