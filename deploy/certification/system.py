"""The agency's system, standing in: it hears webhook calls, notes each, and answers as nastily as a trial wants."""

from __future__ import annotations

import asyncio
import json
import time
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from aiohttp import web

from deploy.simulation.signature import problem_with


@dataclass(frozen=True, slots=True)
class Call:
    """One webhook call, and what it was answered."""

    id: str
    """The event's id."""
    key: str
    """The `Idempotency-Key`."""
    case: str
    status: int
    """What it was answered; 0: the connection was cut."""
    problem: str | None
    """What is wrong with its signature; None where nothing is."""
    at: float
    """Monotonic seconds."""


@dataclass(frozen=True, slots=True)
class Answer:
    """How to answer one call."""

    status: int = 204
    after_seconds: float = 0.0
    headers: tuple[tuple[str, str], ...] = ()
    cut: bool = False
    """Close the connection without an answer, after the event was taken."""


GOOD = Answer()

Behaviour = Callable[[dict[str, Any], int], Answer]
"""How to answer: the event, and how often it has been heard before."""


class HostileSystem:
    """An HTTP server on loopback."""

    def __init__(self, port: int, key: bytes) -> None:
        self.url = f"http://127.0.0.1:{port}/events"
        self.calls: list[Call] = []
        self.behaviour: Behaviour = lambda _event, _times: GOOD
        self._port = port
        self._key = key
        self._runner: web.AppRunner | None = None

    async def start(self) -> None:
        """Listen."""
        app = web.Application()
        app.router.add_post("/events", self._hear)
        self._runner = web.AppRunner(app, access_log=None, handle_signals=False, shutdown_timeout=0.1)
        await self._runner.setup()
        await web.TCPSite(self._runner, "127.0.0.1", self._port).start()

    async def stop(self) -> None:
        """Be away: nothing listens."""
        runner, self._runner = self._runner, None
        if runner is not None:
            await runner.cleanup()

    def taken(self) -> list[Call]:
        """The calls that were answered with success, in order."""
        return [call for call in self.calls if 200 <= call.status < 300]

    async def _hear(self, request: web.Request) -> web.StreamResponse:
        body = await request.read()
        try:
            event: dict[str, Any] = json.loads(body)
        except ValueError:
            event = {}
        times = sum(call.id == event.get("id") for call in self.calls)
        answer = self.behaviour(event, times)
        self.calls.append(
            Call(
                id=str(event.get("id")),
                key=request.headers.get("Idempotency-Key", ""),
                case=str(event.get("subject")),
                status=0 if answer.cut else answer.status,
                problem=problem_with(request.headers, body, key=self._key, now=time.time()),
                at=time.monotonic(),
            )
        )
        if answer.cut:
            if request.transport is not None:
                request.transport.abort()
            return web.Response()
        await asyncio.sleep(answer.after_seconds)
        return web.Response(status=answer.status, headers=dict(answer.headers), text="as the trial wants")
