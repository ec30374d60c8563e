"""How many connections a process holds, and how long one may take to say what it wants.

Whoever opens connections and sends nothing, or a header a minute, holds a file descriptor each: a thousand of them
would keep everybody else out. So a request's head must arrive within seconds, and where too many connections are open
the one that has waited longest without a request is closed for the new one.
"""

from __future__ import annotations

import asyncio
from typing import Any, ClassVar

from uvicorn.protocols.http.httptools_impl import HttpToolsProtocol

CONNECTIONS_MAX = 800
"""Open at once, in one process; below the 1024 descriptors that a process may usually have."""

HEAD_WAIT_SECONDS = 10.0
"""From the connection, or the first byte of a further request, to the end of the request's head."""


class BoundedProtocol(HttpToolsProtocol):
    """uvicorn's protocol, with bounds on what waits."""

    waiting: ClassVar[dict[BoundedProtocol, None]] = {}
    """Connections without a request at present, the longest waiting first."""

    _timer: asyncio.TimerHandle | None = None

    def connection_made(self, transport: Any) -> None:
        """A connection is open."""
        super().connection_made(transport)
        if len(self.connections) > CONNECTIONS_MAX:
            oldest = next(iter(self.waiting), self)
            oldest._give_up()
        self._wait()

    def on_message_begin(self) -> None:
        """A request begins."""
        super().on_message_begin()
        self._wait()

    def on_headers_complete(self) -> None:
        """A request's head is there."""
        self._stop_waiting()
        super().on_headers_complete()

    def connection_lost(self, exc: Exception | None) -> None:
        """The connection is gone."""
        self._stop_waiting()
        super().connection_lost(exc)

    def _wait(self) -> None:
        self._stop_waiting()
        self.waiting[self] = None
        self._timer = self.loop.call_later(HEAD_WAIT_SECONDS, self._give_up)

    def _stop_waiting(self) -> None:
        self.waiting.pop(self, None)
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None

    def _give_up(self) -> None:
        self._stop_waiting()
        if not self.transport.is_closing():
            self.transport.abort()
