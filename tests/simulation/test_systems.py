"""A simulated system answers only after it stored, refuses what is not signed, and goes on where a kill left it."""

from __future__ import annotations

import asyncio
import hmac
import json
import signal
import socket
import sqlite3
import sys
import time
from base64 import b64encode
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager
from hashlib import sha256
from pathlib import Path
from typing import Any, ClassVar

import aiohttp
import pytest
from aiohttp import web

from deploy.simulation.arrangement import AdapterAccess, Arrangement
from deploy.simulation.behaviour import ACKNOWLEDGED, CLOSED, FORWARDED, ISSUED, Heard, Post
from deploy.simulation.records import REJECTED, AgencyRecords
from deploy.simulation.requests import made_up, plan
from deploy.simulation.signature import problem_with, secret_key
from schemas.door import read_structured
from tests.simulation.in_memory import denpasar

CASE = "01900000-0000-7000-8000-000000000001"
KEY = b"0123456789abcdef0123456789abcdef"
SECRET = "whsec_" + b64encode(KEY).decode()


def heard(event_type: str, *, id: str = "e-1", **more: Any) -> Heard:
    """An event of the case, as the webhook of public works brings it."""
    source = "urn:subak:denpasar:workflows"
    more.setdefault("data", {})
    return Heard(id=id, type=event_type, source=source, case=CASE, time="2026-11-24T08:00:00+08:00", **more)


def signed(body: bytes, *, key: bytes = KEY, id: str = "e-1", at: float | None = None) -> dict[str, str]:
    """The headers of Standard Webhooks, made as its specification says."""
    timestamp = str(int(at if at is not None else time.time()))
    digest = hmac.digest(key, f"{id}.{timestamp}.".encode() + body, sha256)
    return {
        "webhook-id": id,
        "webhook-timestamp": timestamp,
        "webhook-signature": "v1," + b64encode(digest).decode(),
    }


def envelope(event_type: str, *, id: str = "e-1", **more: Any) -> bytes:
    """The body of a webhook call."""
    document = {
        "specversion": "1.0",
        "id": id,
        "type": event_type,
        "source": "urn:subak:denpasar:workflows",
        "subject": CASE,
        "time": "2026-11-24T08:00:00+08:00",
        "data": {},
        **more,
    }
    return json.dumps(document).encode()


# -- signatures


def test_the_signature_of_the_specifications_own_example_is_accepted() -> None:
    """From the Standard Webhooks specification's reference implementations."""
    key = secret_key("whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw")
    headers = {
        "webhook-id": "msg_p5jXN8AQM9LWM0D4loKWxJek",
        "webhook-timestamp": "1614265330",
        "webhook-signature": "v1,g0hM9SsE+OTPJTGt/tmIKtSyZlE3uFJELVlNIOLJ1OE=",
    }
    assert problem_with(headers, b'{"test": 2432232314}', key=key, now=1614265330.0) is None


@pytest.mark.parametrize(
    ("change", "sentence"),
    [
        ({"body": b"{}"}, "not made with this agency's secret"),
        ({"key": b"another secret, of another agency"}, "not made with this agency's secret"),
        ({"now_after_seconds": 301}, "not within 300 s"),
        ({"now_after_seconds": -301}, "not within 300 s"),
        ({"without": "webhook-signature"}, "needs the headers"),
        ({"without": "webhook-timestamp"}, "needs the headers"),
    ],
)
def test_a_call_that_is_not_the_adapters_is_refused(change: dict[str, Any], sentence: str) -> None:
    now = 1_800_000_000.0
    headers = signed(b'{"a":1}', at=now)
    headers.pop(change.get("without", ""), None)
    body = change.get("body", b'{"a":1}')
    problem = problem_with(headers, body, key=change.get("key", KEY), now=now + change.get("now_after_seconds", 0))
    assert problem is not None
    assert sentence in problem


# -- the database


def test_an_event_that_comes_again_is_counted_and_leads_to_nothing(tmp_path: Path) -> None:
    records = AgencyRecords(tmp_path / "a.sqlite3", "public-works")
    posts = [(1.0, Post(ACKNOWLEDGED, {}))]
    assert len(records.take(heard(FORWARDED), posts, 10.0) or []) == 1
    assert records.take(heard(FORWARDED), posts, 11.0) is None
    (received,) = records.heard_since()
    assert (received.redeliveries, received.received_at) == (1, 10.0)
    assert len(records.sent_since()) == 1
    records.close()


def test_the_end_of_a_case_drops_what_was_not_begun(tmp_path: Path) -> None:
    records = AgencyRecords(tmp_path / "a.sqlite3", "public-works")
    begun, later = records.take(heard(ISSUED), [(1.0, Post("t.a", {})), (2.0, Post("t.b", {}))], 10.0) or []
    records.began(begun.number)
    records.take(heard(CLOSED, id="e-2"), [], 11.0)
    assert records.is_waiting(begun.number)  # it may have arrived: only an answer tells
    assert not records.is_waiting(later.number)
    records.close()


def test_a_refusal_that_comes_back_through_the_bus_marks_the_post(tmp_path: Path) -> None:
    records = AgencyRecords(tmp_path / "a.sqlite3", "public-works")
    (post,) = records.take(heard(FORWARDED), [(1.0, Post(ACKNOWLEDGED, {}))], 10.0) or []
    records.began(post.number)
    reasons = [{"field": "type", "problem": "the case is closed"}]
    records.take(heard(REJECTED, id="e-2", data={"event_id": post.event_id, "reasons": reasons}), [], 11.0)
    records.answered(post.number, accepted=True)  # the adapter's answer came later than the refusal
    (sent,) = records.sent_since()
    assert sent.state == "refused"
    assert "the case is closed" in str(sent.problem)
    records.close()


# -- the process


class FakeAdapter:
    """An adapter that keeps what it is sent, and answers as it is told."""

    def __init__(self) -> None:
        self.posts: list[tuple[str, dict[str, str], bytes]] = []
        self.statuses: list[int] = []
        self.answer_after_seconds = 0.0

    async def receive(self, request: web.Request) -> web.Response:
        """One POST."""
        self.posts.append((request.match_info["agency"], dict(request.headers), await request.read()))
        await asyncio.sleep(self.answer_after_seconds)
        return web.json_response({}, status=self.statuses.pop(0) if self.statuses else 202)


def free_port() -> int:
    """A port that was free a moment ago."""
    with socket.socket() as sock:
        sock.bind(("127.0.0.1", 0))
        return int(sock.getsockname()[1])


@asynccontextmanager
async def adapter_running() -> AsyncIterator[tuple[FakeAdapter, str]]:
    """A fake adapter and its address."""
    fake = FakeAdapter()
    app = web.Application()
    app.router.add_post("/agencies/{agency}/events", fake.receive)
    runner = web.AppRunner(app)
    await runner.setup()
    port = free_port()
    await web.TCPSite(runner, "127.0.0.1", port).start()
    try:
        yield fake, f"http://127.0.0.1:{port}"
    finally:
        await runner.cleanup()


class Simulator:
    """`python -m deploy.simulation`, started, killed and started again."""

    started: ClassVar[list[asyncio.subprocess.Process]] = []

    def __init__(self, folder: Path, adapter_url: str, *, connections_max: int = 32) -> None:
        agencies = {
            id: AdapterAccess(url=f"{adapter_url}/agencies/{id}/events", token=f"token-of-{id}", secret=SECRET)
            for id in ("communications", "public-works")
        }
        self.arrangement = Arrangement(
            city="denpasar",
            folder=str(folder / "agencies"),
            speed=20.0,
            port=free_port(),
            connections_max=connections_max,
            agencies=agencies,
        )
        self.path = folder / "simulation.json"
        self.arrangement.write(self.path)
        self.process: asyncio.subprocess.Process | None = None

    async def start(self) -> None:
        """Start it, and wait until it listens."""
        self.process = await asyncio.create_subprocess_exec(
            sys.executable, "-m", "deploy.simulation", str(self.path), stderr=asyncio.subprocess.DEVNULL
        )
        self.started.append(self.process)
        url = f"http://127.0.0.1:{self.arrangement.port}/health/ready"
        async with aiohttp.ClientSession() as session:
            for _ in range(600):
                try:
                    async with session.get(url) as answer:
                        assert answer.status == 200
                        return
                except aiohttp.ClientConnectionError:
                    await asyncio.sleep(0.05)
        raise AssertionError("the simulator did not start")

    async def end(self, number: signal.Signals = signal.SIGTERM) -> int:
        """End it with a signal; its exit code."""
        assert self.process is not None
        self.process.send_signal(number)
        return await self.process.wait()

    async def call(self, body: bytes, headers: dict[str, str], agency: str = "public-works") -> int:
        """Call the webhook; the status."""
        url = self.arrangement.webhook_url(agency)
        async with aiohttp.ClientSession() as session, session.post(url, data=body, headers=headers) as answer:
            return answer.status


@pytest.fixture(autouse=True)
def no_simulator_outlives_its_test() -> Iterator[None]:
    """A test that fails leaves no process behind."""
    yield
    while Simulator.started:
        process = Simulator.started.pop()
        if process.returncode is None:
            process.kill()


async def until(condition: Any, *, seconds: float = 15) -> None:
    """Wait until it holds."""
    async with asyncio.timeout(seconds):
        while not condition():
            await asyncio.sleep(0.02)


async def test_a_system_takes_signed_events_once_and_refuses_all_others(tmp_path: Path) -> None:
    async with adapter_running() as (fake, url):
        simulator = Simulator(tmp_path, url)
        await simulator.start()
        try:
            body = envelope(FORWARDED, recipient="public-works", jurisdiction="51.71.01.1005")
            assert await simulator.call(body, signed(body, key=b"x" * 32)) == 401
            assert await simulator.call(b"[]", signed(b"[]")) == 400
            assert await simulator.call(body, signed(body), agency="nobody") == 404
            assert await simulator.call(body, signed(body)) == 204
            records = simulator.arrangement.records("public-works", read_only=True)
            assert len(records.heard_since()) == 1
            assert await simulator.call(body, signed(body)) == 204
            assert [received.redeliveries for received in records.heard_since()] == [1]
            await until(lambda: fake.posts)
            await asyncio.sleep(0.3)
        finally:
            assert await simulator.end() == 0
        (agency, headers, posted), *more = fake.posts
        assert more == []
        (event,) = read_structured(posted)  # the shared schema's own reading
        assert (agency, event.type, event.source) == ("public-works", ACKNOWLEDGED, "urn:subak:denpasar:public-works")
        assert (event.subject, event.causationid, event.jurisdiction) == (CASE, "e-1", "51.71.01.1005")
        assert headers["Authorization"] == "Bearer token-of-public-works"
        assert headers["Idempotency-Key"] == event.id
        assert [sent.state for sent in records.sent_since()] == ["accepted"]
        records.close()


async def test_a_post_is_retried_until_it_is_answered_and_a_refusal_is_an_answer(tmp_path: Path) -> None:
    async with adapter_running() as (fake, url):
        simulator = Simulator(tmp_path, url)
        fake.statuses = [503, 500, 422]
        await simulator.start()
        body = envelope(FORWARDED, recipient="public-works")
        assert await simulator.call(body, signed(body)) == 204
        await until(lambda: len(fake.posts) == 3)
        await asyncio.sleep(0.3)
        await simulator.end()
        assert len(fake.posts) == 3
        assert len({headers["Idempotency-Key"] for _, headers, _ in fake.posts}) == 1
        assert len({body for _, _, body in fake.posts}) == 1
        records = simulator.arrangement.records("public-works")
        (sent,) = records.sent_since()
        assert (sent.state, sent.attempts) == ("refused", 3)
        assert str(sent.problem).startswith("422")
        records.close()


async def test_what_follows_waits_for_what_goes_before_it(tmp_path: Path) -> None:
    """The adapter is away for the first post of a case's work: started and completed do not overtake it."""
    async with adapter_running() as (fake, url):
        simulator = Simulator(tmp_path, url)
        fake.statuses = [503, 503, 503]
        await simulator.start()
        body = envelope(ISSUED, recipient="public-works", data={"attempt": 2})
        assert await simulator.call(body, signed(body)) == 204
        records = simulator.arrangement.records("public-works", read_only=True)
        await until(lambda: "waiting" not in records.states())
        await simulator.end()
        types = [json.loads(body)["type"] for _, _, body in fake.posts]
        planned = [sent.type for sent in records.sent_since()]
        assert types == [planned[0]] * 3 + planned
        assert len(planned) >= 3
        records.close()


async def test_a_killed_system_goes_on_with_what_it_had_not_sent(tmp_path: Path) -> None:
    """kill -9 in the middle of 80 posts, again and again: each arrives, under one id, repeated only if under way."""
    city, book = denpasar()
    async with adapter_running() as (fake, url):
        simulator = Simulator(tmp_path, url, connections_max=4)
        fake.answer_after_seconds = 0.02
        records = simulator.arrangement.records("communications")
        requests = list(made_up(city, book, count=80, seed=3))
        records.plan(plan(requests, book=book, city=city, seed=3, first=1, starts_at=time.time(), per_second=1000))
        planned = [sent.event_id for sent in records.sent_since()]
        for posts in (10, 25, 40):
            await simulator.start()
            await until(lambda posts=posts: len(fake.posts) >= posts)
            await simulator.end(signal.SIGKILL)
            assert records.states().get("waiting", 0) > 0, "killed too late to prove anything"
        await simulator.start()
        await until(lambda: records.states() == {"accepted": 80})
        await simulator.end()
        arrived = [headers["Idempotency-Key"] for _, headers, _ in fake.posts]
        assert set(arrived) == set(planned)
        assert len(arrived) <= 80 + 3 * 4
        records.close()


async def test_no_answer_is_given_before_the_event_is_stored(tmp_path: Path) -> None:
    """Another holds the database's write lock: the webhook waits, and is answered once the row stands."""
    async with adapter_running() as (_, url):
        simulator = Simulator(tmp_path, url)
        await simulator.start()
        path = tmp_path / "agencies" / "public-works.sqlite3"
        blocker = sqlite3.connect(path, isolation_level=None)
        blocker.execute("BEGIN IMMEDIATE")
        body = envelope(FORWARDED, recipient="public-works")
        call = asyncio.create_task(simulator.call(body, signed(body)))
        await asyncio.sleep(0.5)
        assert not call.done()
        blocker.execute("COMMIT")
        assert await call == 204
        blocker.close()
        await simulator.end()
