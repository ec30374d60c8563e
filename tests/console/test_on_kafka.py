"""On the real Kafka: the console follows the log, measures what waits, and lets parked cases run again, once."""

from __future__ import annotations

import asyncio
import html
import re
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import httpx
import pytest
import structlog

from bus.logs import configure_logs
from bus.process import serving
from deploy.local.kafka import LocalKafka
from schemas.types.requests import RequestAcknowledged, RequestSubmitted
from services.casebook.api import casebook_api
from services.casebook.database import reader_engine, writer_engine
from services.casebook.following import Following, FollowingSettings
from services.casebook.questions import Questions
from services.casebook.writer import Writer
from services.console.app import console_app
from services.console.parts import Parts
from services.console.security import LOOPBACK
from services.workflows.repair import joint as repair_module
from tests.support.bus import SmallBus
from tests.support.counting import settings_for
from tests.support.logbook import Logbook

pytestmark = [pytest.mark.kafka, pytest.mark.slow]


@pytest.fixture(autouse=True)
def quiet() -> Iterator[None]:
    """What the bus logs in this process is not looked at."""
    configure_logs("error")
    yield
    structlog.reset_defaults()


@pytest.fixture
async def bus(kafka: LocalKafka) -> SmallBus:
    """An empty log of a small city."""
    bus = SmallBus(settings_for(kafka.bootstrap_servers))
    await bus.prepare()
    return bus


@asynccontextmanager
async def working(bus: SmallBus, folder: Path) -> AsyncIterator[tuple[httpx.AsyncClient, Parts]]:
    """A casebook and a console at work, and somebody who uses it."""
    url = f"sqlite:///{folder / 'casebook.sqlite3'}"
    writing, reading = writer_engine(url), reader_engine(url)
    quick = FollowingSettings(read_wait_seconds=0.05, report_seconds=0.2)
    following = Following(Writer(writing), city=bus.city.id, kafka=bus.settings, settings=quick)
    casebook = casebook_api(Questions(reading), bus.city, why_not_ready=following.why_not_ready)
    work = [asyncio.create_task(following.run())]
    async with serving(casebook, host="127.0.0.1", port=0) as casebook_port:
        parts = Parts.of(bus.city, bus.settings, f"http://127.0.0.1:{casebook_port}")
        live = asyncio.create_task(parts.live.run())
        async with serving(console_app(parts, LOOPBACK), host="127.0.0.1", port=0) as port:
            base, english = f"http://127.0.0.1:{port}", {"accept-language": "en"}
            async with httpx.AsyncClient(base_url=base, headers=english, timeout=60, follow_redirects=True) as client:
                yield client, parts
            parts.stopping.set()
        live.cancel()
        await asyncio.gather(live, return_exceptions=True)
        await parts.close()
        following.stop()
        await asyncio.gather(*work)
    writing.dispose()
    reading.dispose()


async def until(check: Callable[[], Awaitable[Any]], seconds: float = 90) -> None:
    deadline = asyncio.get_running_loop().time() + seconds
    while not await check():
        assert asyncio.get_running_loop().time() < deadline, "it did not happen in time"
        await asyncio.sleep(0.2)


def form_of(page: str) -> dict[str, Any]:
    """What the confirmation's form would send."""
    token = re.findall(r'name="token" value="([0-9a-f]+)"', page)[0]
    return {"token": token, "by": "ops-1", "id": re.findall(r'name="id" value="([^"]+)"', page)}


async def test_parked_cases_are_replayed_as_a_group_once_and_what_became_of_each_is_told(
    bus: SmallBus, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    logbook, channel, service = Logbook(bus.city), bus.city.citizens_channel, sorted(bus.city.services)[0]
    holder = bus.city.candidates(service, bus.city.area)[0]
    ids = [logbook.case_id(name) for name in ("one", "two")]

    def say(agency: str, data: Any) -> list[Any]:
        return [logbook.say(agency, data, case=name) for name in ("one", "two")]

    submitted = say(channel, RequestSubmitted(service_code=service, area=bus.city.area))
    acknowledged = say(holder, RequestAcknowledged())
    async with working(bus, tmp_path) as (client, parts), bus.running("gateway", "workflows"):

        async def summary(name: str) -> int:
            return int((await parts.casebook.ask("/api/summary"))[name])

        with monkeypatch.context() as broken:
            broken.setattr(repair_module, "order", lambda *_, **__: 1 / 0)
            await bus.publish(channel, *submitted)
            await until(lambda: _is(summary("cases"), 2))
            await bus.publish(holder, *acknowledged)
            await until(lambda: _is(summary("parked"), 2))
            [link] = re.findall(r'"(/parked/replay\?event_type=[^"]+)"', (await client.get("/parked")).text)
            form = form_of((await client.get(html.unescape(link))).text)
            assert sorted(form["id"]) == sorted(ids)
            again = await client.post("/parked/replay", data=form | {"reason": "too early"})
            await until(lambda: _settled(client, str(again.url)))
            assert (await client.get(str(again.url))).text.count("failed again") == 2
        await until(lambda: _is(summary("parked"), 2))
        first, second = await asyncio.gather(
            *(client.post("/parked/replay", data=form | {"reason": "mended"}) for _ in range(2))
        )
        told = ""
        for answer in (first, second):
            if answer.status_code == 200:
                await until(lambda answer=answer: _settled(client, str(answer.url)))  # type: ignore[misc]
                told += (await client.get(str(answer.url))).text
        assert told.count("runs again") == 2, "each case, by whichever of the two confirmations came first"
        await until(lambda: _is(summary("parked"), 0))
        acts = (await client.get("/acts")).text
        assert acts.count("runs again") == 2, "the replay that failed again, or the second one, says that the case runs"
        for id in ids:
            timeline = (await client.get(f"/cases/{id}")).text
            assert "mended" in timeline
            entries = (await parts.casebook.ask(f"/api/cases/{id}/timeline"))["entries"]
            assert len([each for each in entries if each["type"] == "subak.workorder.issued.v1"]) == 1, "once only"
            [word] = [each for each in entries if each["type"] == "subak.case.replayed.v1"]
            assert (word["data"]["by"], word["data"]["reason"], word["data"]["events"]) == ("ops-1", "mended", 1)
            assert "Runs again, events run: 1: mended" in timeline
            [row] = re.findall(rf'<tr>(?:(?!</tr>)[\s\S])*href="/cases/{id}#e{word["seq"]}"[\s\S]*?</tr>', acts)
            assert "ops-1" in row
            assert "runs again" in row
            assert "mended" in row
        late = await client.post("/parked/replay", data=form | {"reason": "late"})
        assert late.status_code == 404
        assert "none of these waits any more" in late.text


async def test_the_page_of_now_tells_what_passes_and_what_waits(bus: SmallBus, tmp_path: Path) -> None:
    logbook, channel, service = Logbook(bus.city), bus.city.citizens_channel, sorted(bus.city.services)[0]
    request = RequestSubmitted(service_code=service, area=bus.city.area)
    async with working(bus, tmp_path) as (client, _):
        async with client.stream("GET", "/now/events") as stream:
            lines = stream.aiter_lines()
            assert await anext(lines) == ": here"
            async with bus.running("gateway", "workflows"):
                await bus.publish(channel, logbook.say(channel, request, case="new"))
                async with asyncio.timeout(60):
                    while "request.submitted" not in await anext(lines):
                        pass
                await until(lambda: _contains(client, "/now/flow", bus.city.text(bus.city.agencies[channel].name)))
        await until(lambda: _contains(client, "/now/waiting", "Critical time"))
        waiting = (await client.get("/now/waiting")).text
        assert re.search(r"router</th><td class=\"number\">[1-9]", waiting), "nobody routes: it waits"


async def _is(found: Awaitable[int], wanted: int) -> bool:
    return await found == wanted


async def _contains(client: httpx.AsyncClient, address: str, text: str) -> bool:
    return html.escape(text) in (await client.get(address)).text


async def _settled(client: httpx.AsyncClient, address: str) -> bool:
    return "on its way" not in (await client.get(address)).text
