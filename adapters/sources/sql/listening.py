"""Hears PostgreSQL's NOTIFY, so that a change is read the moment it is committed. Only a wake: nothing rests on it."""

from __future__ import annotations

import asyncio
import threading
from collections.abc import Callable

from sqlalchemy import URL

from bus.backoff import Backoff

LOOK_SECONDS = 1.0
"""How long the thread takes at most to see that nobody listens any more."""


class Listener:
    """One connection that listens, in a thread of its own."""

    def __init__(self, url: URL, channel: str, wake: Callable[[], None]) -> None:
        self._url = url
        self._channel = channel
        self._wake = wake
        self._closed = threading.Event()

    def start(self) -> None:
        """Listen from now on. `wake` is called in the running loop, also whenever the connection is new."""
        loop = asyncio.get_running_loop()
        threading.Thread(target=self._work, args=(loop,), name="sql-listener", daemon=True).start()

    def close(self) -> None:
        """Listen no more; waits for nothing."""
        self._closed.set()

    def _work(self, loop: asyncio.AbstractEventLoop) -> None:
        import psycopg
        from psycopg import sql

        backoff = Backoff(0.5, 10.0)
        address = self._url.set(drivername="postgresql").render_as_string(hide_password=False)
        while not self._closed.is_set():
            try:
                with psycopg.connect(address, autocommit=True, connect_timeout=10) as connection:
                    connection.execute(sql.SQL("LISTEN {}").format(sql.Identifier(self._channel)))
                    backoff.reset()
                    loop.call_soon_threadsafe(self._wake)  # for what came before
                    while not self._closed.is_set():
                        for _ in connection.notifies(timeout=LOOK_SECONDS):
                            loop.call_soon_threadsafe(self._wake)
            except psycopg.Error:
                self._closed.wait(backoff.next_seconds())  # until then it is polled
            except RuntimeError:
                return  # the loop is closed
