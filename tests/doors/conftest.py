"""A city with its doors locked: provider, casebook and console as they serve, and browsers without a browser."""

from __future__ import annotations

import asyncio
import re
from collections.abc import AsyncIterator, Iterable
from contextlib import asynccontextmanager
from dataclasses import dataclass
from pathlib import Path
from urllib.parse import urljoin

import httpx
import pytest

from bus.identity import Identity, Issuer, identity_of
from bus.kafka import KafkaSettings
from bus.process import serving
from bus.records import Record
from bus.settings import Settings
from bus.topics import EVENTS
from schemas.types.requests import RequestSubmitted
from schemas.values import Reporter
from services.casebook.api import casebook_api
from services.casebook.database import reader_engine, writer_engine
from services.casebook.entrance import Entrance
from services.casebook.questions import Questions
from services.console.app import console_app
from services.console.parts import Parts
from services.console.security import LOOPBACK
from services.console.waiting import Waiting
from tests.casebook.tables import fill
from tests.console.conftest import AREA, CITY, SERVICE, _log, _measured
from tests.doors.provider import SECRET, Provider, _free_port
from tests.support.logbook import PERSONAL, Logbook


@dataclass
class Locked:
    """All of it at work."""

    provider: Provider
    identity: Identity
    logbook: Logbook
    parts: Parts
    issuer: Issuer
    """The casebook's."""
    url: str
    casebook_url: str

    def browser(self, **headers: str) -> httpx.AsyncClient:
        """One browser, with cookies of its own for all hosts. It follows nobody by itself."""
        return httpx.AsyncClient(base_url=self.url, headers={"accept-language": "en", **headers}, timeout=30)

    def asking(self, token: str | None = None, **headers: str) -> httpx.AsyncClient:
        """Somebody who asks the casebook."""
        known = {"authorization": f"Bearer {token}"} if token is not None else {}
        return httpx.AsyncClient(base_url=self.casebook_url, headers={**known, **headers}, timeout=30)


@pytest.fixture(scope="session")
def logbook() -> Logbook:
    """The console's own, and a case that tells who reports."""
    with pytest.MonkeyPatch.context() as patch:
        found = _log(patch)
    found.say(CITY.citizens_channel, submitted(), case="personal")
    return found


def submitted() -> RequestSubmitted:
    """A request that tells who reports."""
    return RequestSubmitted(service_code=SERVICE, area=AREA, reporter=Reporter(**PERSONAL))


@pytest.fixture(scope="session")
async def locked(logbook: Logbook, tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[Locked]:
    """One for all tests that leave the provider as it is."""
    async with locking(logbook, tmp_path_factory.mktemp("doors")) as found:
        yield found


def settings_for(provider: Provider, folder: Path, **more: object) -> Settings:
    """As a console would have them."""
    secret = folder / "secret"
    secret.write_text(SECRET + "\n", "utf-8")
    known = {"oidc_issuer": provider.issuer, "oidc_client_id": "console", "oidc_client_secret_file": secret}
    return Settings(**{**known, "oidc_machine_scope": "api", **more})  # type: ignore[arg-type]


@asynccontextmanager
async def locking(logbook: Logbook, folder: Path, provider: Provider | None = None) -> AsyncIterator[Locked]:
    """Provider, casebook and console."""
    port = _free_port()
    provider = provider or Provider()
    provider.redirect_uris = [f"http://127.0.0.1:{port}"]
    provider.start()
    url = f"sqlite:///{folder / 'casebook.sqlite3'}"
    writing, reading = writer_engine(url), reader_engine(url)
    fill(writing, logbook, portion=500)
    settings = settings_for(provider, folder)
    identity = identity_of(settings, CITY)
    assert identity is not None
    issuer = Issuer(identity)
    log = {(each.partition, each.offset): each for each in logbook.records if each.topic == EVENTS}

    async def read_log(places: Iterable[tuple[int, int]]) -> dict[tuple[int, int], Record]:
        return {place: log[place] for place in places if place in log}

    api = casebook_api(
        Questions(reading), CITY, why_not_ready=lambda: None, warning=lambda: issuer.away, read_log=read_log
    )
    kafka = KafkaSettings(bootstrap_servers="127.0.0.1:1", partitions=logbook.partitions)
    try:
        async with serving(Entrance(api, issuer), host="127.0.0.1", port=0) as casebook_port:
            casebook_url = f"http://127.0.0.1:{casebook_port}"
            parts = Parts.of(CITY, kafka, casebook_url, identity)
            assert parts.sessions is not None
            parts.waiting = Waiting(_measured)
            parts.live.take(record for record in logbook.records if record.topic == EVENTS)
            parts.live.away = None
            parts.live.clock = logbook.now.timestamp
            keeping = [asyncio.create_task(one.keep()) for one in (issuer, parts.sessions.issuer)]
            while issuer.away or parts.sessions.issuer.away:
                await asyncio.sleep(0.05)
            async with serving(console_app(parts, LOOPBACK), host="127.0.0.1", port=port):
                console = f"http://127.0.0.1:{port}"
                yield Locked(provider, identity, logbook, parts, issuer, console, casebook_url)
                parts.stopping.set()
            for task in keeping:
                task.cancel()
            await asyncio.gather(*keeping, return_exceptions=True)
            await parts.close()
            await issuer.close()
    finally:
        provider.stop()
        writing.dispose()
        reading.dispose()


async def follow(browser: httpx.AsyncClient, answer: httpx.Response) -> httpx.Response:
    """Where redirects lead, each asked for as a browser does."""
    for _ in range(10):
        if not answer.has_redirect_location:
            return answer
        answer = await browser.get(urljoin(str(answer.url), answer.headers["location"]))
    raise AssertionError(f"it leads nowhere: {answer.url}")


async def sign_in(browser: httpx.AsyncClient, name: str, page: str = "/") -> httpx.Response:
    """Ask for a page, sign in at the provider as it asks, and come back."""
    asked = await follow(browser, await browser.get(page))
    assert asked.status_code == 200, asked.text
    assert "The city's sign-in" in asked.text
    form = re.findall(r'action="(/interaction/[^"]+)"', asked.text)[0]
    return await follow(browser, await browser.post(urljoin(str(asked.url), form), data={"login": name}))
