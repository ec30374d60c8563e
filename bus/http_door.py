"""The door before a read-only API: how fast each address may ask, and the headers of every answer.

Who asks is not its question: that is the entrance's, behind it, where an issuer is set. Health and
metrics stay open at any rate: a probe must not fail because somebody else asks too much.
"""

from __future__ import annotations

import json
import math
import time
from collections import OrderedDict
from collections.abc import Callable

from starlette.datastructures import MutableHeaders
from starlette.responses import Response
from starlette.types import ASGIApp, Message, Receive, Scope, Send

HEADERS = {
    "x-content-type-options": "nosniff",
    "referrer-policy": "no-referrer",
    "cross-origin-resource-policy": "same-origin",
    "content-security-policy": "default-src 'none'; frame-ancestors 'none'",
    "cache-control": "no-store",
}
"""On every answer that sets none of its own."""

OPEN = ("/health/", "/metrics")

PAGES = ("/docs", "/redoc")
"""The API's own documentation loads scripts, so it has no content security policy of ours."""

ADDRESSES_MAX = 10_000
"""Addresses in memory; whoever asked longest ago is forgotten."""


class Buckets:
    """How fast each may ask: so many a second, with twice as many in hand after a rest."""

    def __init__(self, per_second: float) -> None:
        self._rate = per_second
        self._most = max(1.0, per_second * 2)
        self._left: OrderedDict[str, tuple[float, float]] = OrderedDict()

    def wait(self, who: str, now: float) -> float:
        """0 where `who` may ask now; else the seconds until they may. `now`: a clock that never goes back."""
        left, at = self._left.pop(who, (self._most, now))
        left = min(self._most, left + (now - at) * self._rate)
        allowed = left >= 1
        self._left[who] = (left - 1 if allowed else left, now)
        while len(self._left) > ADDRESSES_MAX:
            self._left.popitem(last=False)
        return 0.0 if allowed else (1 - left) / self._rate


class Door:
    """An ASGI application before another."""

    def __init__(
        self, app: ASGIApp, *, requests_per_second: float, clock: Callable[[], float] = time.monotonic
    ) -> None:
        self._app = app
        self._clock = clock
        self._buckets = Buckets(requests_per_second)

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return
        path = str(scope["path"])

        async def with_headers(message: Message) -> None:
            if message["type"] == "http.response.start":
                headers = MutableHeaders(scope=message)
                for name, value in HEADERS.items():
                    if name != "content-security-policy" or not path.startswith(PAGES):
                        headers.setdefault(name, value)
            await send(message)

        wait = 0.0 if path.startswith(OPEN) else self._buckets.wait(_address(scope), self._clock())
        await (_too_many(wait) if wait else self._app)(scope, receive, with_headers)


def _address(scope: Scope) -> str:
    client = scope.get("client")
    return str(client[0]) if client else "unknown"


def _too_many(wait: float) -> Response:
    seconds = str(math.ceil(wait))
    body = {"title": "Too many requests", "status": 429, "detail": f"Ask again in {seconds} s.", "errors": []}
    return Response(json.dumps(body), 429, {"retry-after": seconds}, media_type="application/problem+json")
