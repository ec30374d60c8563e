"""Draws records from the agency's function, whatever kind of function it is, without holding one back.

A function that blocks does so in a thread of its own, which ends at its next record once nobody draws any more, and
holds up no exit of the process. No more records wait than one batch.
"""

from __future__ import annotations

import asyncio
import inspect
import threading
from collections.abc import AsyncIterator, Callable, Iterable
from typing import Any

from adapters.handlers import HandlerExited


class _End(Exception):
    """The function has come to its end."""


def _of(error: BaseException) -> BaseException:
    """What is raised where the records are drawn: an exit of the function ends its call and not the process."""
    return error if isinstance(error, Exception) else HandlerExited(f"{type(error).__name__}: {error}")


class Feed:
    """One call of the function."""

    def __init__(self, function: Callable[..., Any], cursor: Any, *, records_max: int) -> None:
        self._function = function
        self._cursor = cursor
        self._records_max = records_max
        self._queue: asyncio.Queue[Any] = asyncio.Queue(records_max)
        self._ended: BaseException | None = None
        self._closed = threading.Event()
        self._task: asyncio.Task[None] | None = None

    def start(self) -> None:
        """Call the function."""
        if inspect.isasyncgenfunction(self._function) or inspect.iscoroutinefunction(self._function):
            self._task = asyncio.create_task(self._draw())
            return
        loop = asyncio.get_running_loop()
        threading.Thread(target=self._draw_in_thread, args=(loop,), name="python-source", daemon=True).start()

    async def batch(self) -> list[Any]:
        """What the function has given since the last call: at least one record, at most a batch; none at its end.

        Raises:
            whatever the function raised, once all that it gave before has been drawn.
        """
        if self._ended is None:
            items = [await self._queue.get()]
            while len(items) < self._records_max and not self._queue.empty():
                items.append(self._queue.get_nowait())
            if isinstance(items[-1], BaseException):
                self._ended = items.pop()
            if items:
                return items
        if not isinstance(self._ended, _End) and self._ended is not None:
            raise self._ended
        return []

    async def close(self) -> None:
        """Draw no more. A generator is closed where it stands."""
        self._closed.set()
        if self._task is not None:
            self._task.cancel()
            await asyncio.gather(self._task, return_exceptions=True)

    async def _draw(self) -> None:
        try:
            made = self._function(self._cursor)
            if isinstance(made, AsyncIterator):
                try:
                    async for item in made:
                        await self._queue.put(item)
                finally:
                    await made.aclose()  # type: ignore[attr-defined]  # an async generator
            else:
                for item in await made or ():
                    await self._queue.put(item)
            ended: BaseException = _End()
        except (Exception, SystemExit) as error:
            ended = _of(error)
        await self._queue.put(ended)

    def _draw_in_thread(self, loop: asyncio.AbstractEventLoop) -> None:
        try:
            made: Iterable[Any] = self._function(self._cursor) or ()
            for item in made:
                if not self._put(loop, item):
                    if (close := getattr(made, "close", None)) is not None:
                        close()
                    return
            ended: BaseException = _End()
        except BaseException as error:
            ended = _of(error)
        self._put(loop, ended)

    def _put(self, loop: asyncio.AbstractEventLoop, item: Any) -> bool:
        """Whether somebody draws still."""
        if self._closed.is_set() or loop.is_closed():
            return False
        put = self._queue.put(item)
        try:
            waiting = asyncio.run_coroutine_threadsafe(put, loop)
        except RuntimeError:  # the loop was closed just now
            put.close()
            return False
        while not self._closed.is_set():
            try:
                waiting.result(timeout=0.5)
                return True
            except TimeoutError:
                continue
        waiting.cancel()
        return False
