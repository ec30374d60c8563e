"""How many connections a process holds, and how long one may take to say what it wants.

Whoever opens connections and sends nothing, or a header a minute, holds a file descriptor each: a thousand of them
would keep everybody else out. So a request's head must arrive within seconds and within some kilobytes, and where too
many connections are open the one that has waited longest without a request is closed for the new one. A connection
whose request was answered waits again, whatever still comes of that request's body: else a body without an end, which
nobody reads, would hold it for ever.
"""

from __future__ import annotations

import asyncio
from typing import Any, ClassVar

from uvicorn.protocols.http.httptools_impl import HttpToolsProtocol

CONNECTIONS_MAX = 800
"""Open at once, in one process; below the 1024 descriptors that a process may usually have."""

HEAD_WAIT_SECONDS = 10.0
"""From the connection, the last answer, or the first byte of a further request, to the end of the request's head."""

HEAD_BYTES_MAX = 65_536
"""A request's line and headers. The parser has no bound of its own; what one read of the socket brings is on top."""

_HEAD_TOO_LARGE = (
    b"HTTP/1.1 431 Request Header Fields Too Large\r\ncontent-type: text/plain; charset=utf-8\r\n"
    b"content-length: 38\r\nconnection: close\r\n\r\nThe head of the request is too large.\n"
)


class BoundedProtocol(HttpToolsProtocol):
    """uvicorn's protocol, with bounds on what waits."""

    waiting: ClassVar[dict[BoundedProtocol, None]] = {}
    """Connections without a request at present, the longest waiting first."""

    _timer: asyncio.TimerHandle | None = None
    _in_head = False
    """Whether a request has begun whose head is not whole yet."""
    _head_bytes = 0

    def connection_made(self, transport: Any) -> None:
        """A connection is open."""
        super().connection_made(transport)
        if len(self.connections) > CONNECTIONS_MAX:
            oldest = next(iter(self.waiting), self)
            oldest._give_up()
        self._wait()

    def data_received(self, data: bytes) -> None:
        """Something arrived."""
        was_in_head = self._in_head
        super().data_received(data)
        if was_in_head and self._in_head:
            self._head_bytes += len(data)
            if self._head_bytes > HEAD_BYTES_MAX and not self.transport.is_closing():
                self._in_head = False
                self.transport.write(_HEAD_TOO_LARGE)
                self.transport.close()

    def on_message_begin(self) -> None:
        """A request begins."""
        super().on_message_begin()
        self._in_head, self._head_bytes = True, 0
        self._wait()

    def on_headers_complete(self) -> None:
        """A request's head is there."""
        self._in_head = False
        self._stop_waiting()
        super().on_headers_complete()

    def on_response_complete(self) -> None:
        """A request was answered. What still comes of its body is read by nobody."""
        super().on_response_complete()
        if self.cycle is not None and self.cycle.response_complete and not self.transport.is_closing():
            self._wait()

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
