"""A call is one signed POST; its status decides what the answer means; no redirect carries the event elsewhere."""

from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from datetime import UTC, datetime, timedelta
from email.utils import format_datetime
from typing import Any

import pytest
from aiohttp import web

from adapters.config import Webhook
from adapters.outcome import Outcome, judge
from adapters.secrets import signing_key
from adapters.webhook import WebhookTarget, call_id, signed_headers
from bus.inbox import Arrived
from deploy.simulation.signature import problem_with

KEY = bytes(range(32))
ATTRIBUTES = '{"id":"e-1","type":"subak.request.commented.v1","subject":"s"}'
EVENT = Arrived(1, "s", "e-1", ATTRIBUTES, '{"text":"Tersumbat — masih"}'.encode())


Handler = Callable[[web.Request], Any]


@asynccontextmanager
async def system(handler: Handler) -> AsyncIterator[str]:
    """A web server that answers each POST so; gives its address."""
    app = web.Application()
    app.router.add_route("*", "/{path:.*}", handler)
    runner = web.AppRunner(app)
    await runner.setup()
    site = web.TCPSite(runner, "127.0.0.1", 0)
    await site.start()
    port = site._server.sockets[0].getsockname()[1]  # type: ignore[union-attr]
    try:
        yield f"http://127.0.0.1:{port}/events"
    finally:
        await runner.cleanup()


def answering(status: int, *, body: str = "", **headers: str) -> Handler:
    async def handler(request: web.Request) -> web.Response:
        await request.read()
        return web.Response(status=status, text=body, headers={k.replace("_", "-"): v for k, v in headers.items()})

    return handler


async def call(url: str, timeout_seconds: float = 5.0) -> Outcome:
    async with calling(url, timeout_seconds=timeout_seconds) as target:
        return await target.call(EVENT)


@asynccontextmanager
async def calling(url: str, **keys: Any) -> AsyncIterator[WebhookTarget]:
    """A target that may call this machine, unless `keys` say otherwise."""
    target = WebhookTarget(Webhook.model_validate({"url": url, "key": KEY, "allow_private": ("127.0.0.1",)} | keys))
    try:
        yield target
    finally:
        await target.close()


async def test_the_system_gets_the_event_whole_and_can_prove_who_sent_it() -> None:
    got: list[tuple[dict[str, str], bytes]] = []

    async def handler(request: web.Request) -> web.Response:
        got.append((dict(request.headers), await request.read()))
        return web.Response(status=204)

    async with system(handler) as url:
        assert await call(url) == Outcome("delivered")
    headers, body = got[0]
    assert headers["Content-Type"] == "application/cloudevents+json"
    assert headers["webhook-id"] == headers["Idempotency-Key"]
    assert abs(int(headers["webhook-timestamp"]) - datetime.now(UTC).timestamp()) < 60
    assert json.loads(body) == {
        "specversion": "1.0",
        "id": "e-1",
        "type": "subak.request.commented.v1",
        "subject": "s",
        "datacontenttype": "application/json",
        "data": {"text": "Tersumbat — masih"},
    }
    now = datetime.now(UTC).timestamp()
    assert problem_with(headers, body, key=KEY, now=now) is None, "as the simulated agencies check it, written apart"
    assert problem_with(headers, body + b" ", key=KEY, now=now) is not None
    assert problem_with(headers, body, key=KEY[1:], now=now) is not None


def test_a_call_bears_what_no_other_events_call_does_and_the_same_when_it_is_repeated() -> None:
    def called(source: str, id: str) -> str:
        return call_id(Arrived(1, "s", id, json.dumps({"id": id, "source": source}), b"{}"))

    uuid = "0193e2a0-1111-7abc-8def-0123456789ab"
    assert called("urn:subak:denpasar:health", uuid) == uuid
    short = [called(f"urn:subak:denpasar:{agency}", "17") for agency in ("health", "finance", "health")]
    assert short[0] == short[2] != short[1]
    assert called("urn:subak:denpasar:health", "18") not in short


def test_the_signature_is_that_of_the_standards_own_example() -> None:
    """Standard Webhooks 1.0 gives a secret, an id, a timestamp, a body and the signature."""
    key = signing_key("whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw")
    headers = signed_headers(key, "msg_p5jXN8AQM9LWM0D4loKWxJek", 1614265330, b'{"test": 2432232314}')
    assert headers["webhook-signature"] == "v1,g0hM9SsE+OTPJTGt/tmIKtSyZlE3uFJELVlNIOLJ1OE="


@pytest.mark.parametrize("status", [200, 201, 202, 204, 299])
async def test_any_2xx_means_taken(status: int) -> None:
    async with system(answering(status)) as url:
        assert (await call(url)).kind == "delivered"


@pytest.mark.parametrize("status", [400, 401, 403, 404, 409, 410, 413, 415, 422, 499])
async def test_a_4xx_is_a_refusal_with_what_the_system_said(status: int) -> None:
    async with system(answering(status, body="unknown\n ward")) as url:
        assert await call(url) == Outcome("refused", f"the system answered {status}: unknown ward")


@pytest.mark.parametrize("status", [408, 425, 429, 500, 502, 503, 504])
async def test_what_speaks_of_the_system_and_not_of_the_event_is_no_refusal(status: int) -> None:
    async with system(answering(status, Retry_After="7")) as url:
        assert await call(url) == Outcome("away", f"the system answered {status}", 7.0)


@pytest.mark.parametrize("status", [301, 302, 303, 307, 308])
async def test_a_redirect_is_not_followed_and_nothing_is_parked_for_it(status: int) -> None:
    called: list[str] = []

    async def handler(request: web.Request) -> web.Response:
        called.append(request.path)
        return web.Response(status=status, headers={"Location": "/elsewhere"})

    async with system(handler) as url:
        outcome = await call(url)
    assert called == ["/events"]
    assert outcome.kind == "away"
    assert "a redirect to /elsewhere, which is not followed. Set webhook.url to its end." in outcome.reason


async def test_a_system_that_is_slow_is_waited_for_and_then_away() -> None:
    async def handler(request: web.Request) -> web.Response:
        await asyncio.sleep(30)
        return web.Response()

    async with system(handler) as url:
        assert await call(url, 0.2) == Outcome("away", "the system gave no answer within 0.2 s")


async def test_a_system_that_is_not_there_is_away() -> None:
    async with system(answering(200)) as url:
        pass
    outcome = await call(url)
    assert (outcome.kind, outcome.retry_after_seconds) == ("away", None)
    assert outcome.reason.startswith("the system cannot be reached: ")


async def test_a_system_that_breaks_off_is_away() -> None:
    async def garbage(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await reader.read(100)
        writer.write(b"HTTP/1.1 banana\r\n\r\n")
        writer.close()

    server = await asyncio.start_server(garbage, "127.0.0.1", 0)
    url = f"http://127.0.0.1:{server.sockets[0].getsockname()[1]}/"
    assert (await call(url)).kind == "away"
    server.close()
    await server.wait_closed()


async def test_an_endless_answer_is_not_read_to_its_end() -> None:
    async def handler(request: web.Request) -> web.StreamResponse:
        answer = web.StreamResponse(status=400)
        await answer.prepare(request)
        while True:
            await answer.write(b"no " * 10_000)

    async with system(handler) as url:
        outcome = await call(url)
    assert outcome.kind == "refused"
    assert len(outcome.reason) <= 500


async def test_connections_are_used_again() -> None:
    ports: set[int] = set()

    async def handler(request: web.Request) -> web.Response:
        assert request.transport is not None
        ports.add(request.transport.get_extra_info("peername")[1])
        await request.read()
        return web.Response(text="taken")

    async with system(handler) as url, calling(url) as target:
        for _ in range(10):
            await target.call(EVENT)
    assert len(ports) == 1


def test_retry_after_is_seconds_or_a_date_and_bounded() -> None:
    def seconds(retry_after: str) -> float | None:
        return judge(503, retry_after=retry_after).retry_after_seconds

    assert seconds("120") == 120.0
    assert seconds("999999999999999") == 3600.0
    assert seconds("-5") is None
    assert seconds("soon") is None
    later = seconds(format_datetime(datetime.now(UTC) + timedelta(seconds=90), usegmt=True))
    assert later == pytest.approx(90, abs=2)
    assert seconds("Wed, 21 Oct 2015 07:28:00 GMT") == 0.0
    assert judge(400, retry_after="5").retry_after_seconds is None
