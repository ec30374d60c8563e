"""Closes a client of Kafka's within a bound, whatever it raises, so that nothing of it reaches the caller.

aiokafka's consumer, closed while it pauses after a refused fetch, awaits the fetch that it has just cancelled and so
raises that cancellation. In the caller it looks like its own: a lane or an inbox reader that only meant to begin again
ended in silence, and an adapter left with exit code 0. So each closing is a task of its own here, and looked at from
outside.

A connection over TLS waits, when it is closed, until the broker has said goodbye too. On uvloop it reads on meanwhile,
and the goodbye is missed now and then: then the connection is closed after 30 seconds (its issue 471). One in five
readers took their five seconds for it, and each lane of a secured city has two of them before it works. So a connection
that is not closed soon after it was asked to is dropped: what is asked over it has failed already.
"""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from typing import Any

from aiokafka import AIOKafkaConsumer
from aiokafka.conn import AIOKafkaConnection

CLOSE_SECONDS_MAX = 5.0
BEHIND_OUR_BACK_SECONDS = 0.05
"""How long aiokafka takes to close a connection after it said that it has."""
LAST_SECONDS_MAX = 1.0
"""What a closing that was cancelled may still take."""
GOODBYE_SECONDS_MAX = 0.2
"""How long a connection waits for the broker's goodbye."""


def _close_soon(self: Any, reason: Any = None, exc: Any = None) -> asyncio.Future[Any]:
    """`AIOKafkaConnection.close`, with an end to the waiting: `tests/identity/test_closing.py`."""
    writer = self._writer
    gone: asyncio.Future[Any] = _close(self, reason, exc)
    if writer is not None and not gone.done():
        late = gone.get_loop().call_later(GOODBYE_SECONDS_MAX, writer.transport.abort)
        gone.add_done_callback(lambda _: late.cancel())
    return gone


_close = AIOKafkaConnection.close
AIOKafkaConnection.close = _close_soon


async def closed(close: Callable[[], Awaitable[object]], *, seconds: float) -> bool:
    """Whether it closed by itself within this time. Otherwise it is given up, and may have left connections open."""
    task = asyncio.create_task(_awaited(close))
    try:
        done, _ = await asyncio.wait({task}, timeout=seconds)
    finally:
        if not task.done():
            task.cancel()
    if not done:
        await asyncio.wait({task}, timeout=LAST_SECONDS_MAX)
        return False
    return not task.cancelled() and task.exception() is None


async def closed_for_good(close: Callable[[], Awaitable[object]], *, tls: bool) -> None:
    """Close a client of a tool, whose loop may end right after: TLS connections close behind our back."""
    await closed(close, seconds=CLOSE_SECONDS_MAX)
    if tls:
        await asyncio.sleep(BEHIND_OUR_BACK_SECONDS)


async def discard(consumer: AIOKafkaConsumer) -> None:
    """Close a consumer, also one whose broker is away: then it fails half-way, and its connections are closed here."""
    if not await closed(consumer.stop, seconds=CLOSE_SECONDS_MAX):
        await closed(consumer._client.close, seconds=CLOSE_SECONDS_MAX)


async def _awaited(close: Callable[[], Awaitable[object]]) -> None:
    await close()
