"""Who asks too fast is told when to ask again and harms nobody else; every answer forbids what no API needs."""

from __future__ import annotations

import httpx
from starlette.responses import JSONResponse

from bus.http_door import ADDRESSES_MAX, Buckets, Door

API = JSONResponse({"cases": []})


class Clock:
    now = 0.0

    def __call__(self) -> float:
        return self.now


def client(door: Door, address: str = "10.0.0.1") -> httpx.AsyncClient:
    return httpx.AsyncClient(transport=httpx.ASGITransport(door, client=(address, 1)), base_url="http://casebook")


async def test_who_asks_too_fast_waits_and_nobody_else_does() -> None:
    clock = Clock()
    door = Door(API, requests_per_second=2, clock=clock)
    async with client(door) as hasty, client(door, "10.0.0.2") as other:
        assert [(await hasty.get("/api/cases")).status_code for _ in range(5)] == [200] * 4 + [429]
        refused = await hasty.get("/api/cases")
        assert refused.headers["retry-after"] == "1"
        assert refused.json()["detail"] == "Ask again in 1 s."
        assert (await other.get("/api/cases")).status_code == 200
        assert (await hasty.get("/health/live")).status_code == 200, "a probe fails because somebody asks too much"
        clock.now = 0.5
        assert [(await hasty.get("/api/cases")).status_code for _ in range(2)] == [200, 429]


async def test_every_answer_has_its_headers_a_refusal_too() -> None:
    async with client(Door(API, requests_per_second=0.1, clock=Clock())) as some:
        answers = [await some.get("/api/cases") for _ in range(2)]
        assert [answer.status_code for answer in answers] == [200, 429]
        for answer in answers:
            assert answer.headers["x-content-type-options"] == "nosniff"
            assert answer.headers["cache-control"] == "no-store"
            assert "default-src 'none'" in answer.headers["content-security-policy"]
        assert "content-security-policy" not in (await some.get("/docs")).headers


def test_strangers_cannot_fill_the_memory() -> None:
    buckets = Buckets(1)
    for number in range(ADDRESSES_MAX + 500):
        buckets.wait(str(number), 0)
    assert len(buckets._left) == ADDRESSES_MAX
