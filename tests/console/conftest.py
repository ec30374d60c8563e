"""A console and its casebook as they serve, filled from a log without Kafka; a browser that looks at them."""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass
from pathlib import Path

import httpx
import pytest

from bus.behind import Behind
from bus.city import load_city
from bus.city.load import city_path
from bus.kafka import KafkaSettings
from bus.process import serving
from bus.topics import EVENTS
from schemas.failures import Reason
from schemas.types.acts import ReplayRequested
from schemas.types.requests import RequestAcknowledged, RequestSubmitted
from schemas.types.workorders import WorkOrderAccepted, WorkOrderCompleted
from schemas.values import Reporter
from services.casebook.api import casebook_api
from services.casebook.database import reader_engine, writer_engine
from services.casebook.questions import Questions
from services.console.app import console_app
from services.console.parts import Parts
from services.console.security import LOOPBACK
from services.console.waiting import Waiting
from services.workflows.repair import joint as repair_module
from tests.casebook.tables import fill
from tests.support.logbook import PERSONAL, Logbook

CITY = load_city(city_path("denpasar"))
SERVICE, AREA = "road-damage", "51.71.01.1005"
HOLDER, SECOND = CITY.candidates(SERVICE, AREA)[:2]
HOSTILE = "<script>document.title='taken'</script><img src=x onerror=alert(1)>"


@dataclass
class Shown:
    """A console at work."""

    url: str
    parts: Parts
    logbook: Logbook
    casebook_url: str

    def client(self, **headers: str) -> httpx.AsyncClient:
        """One browser's conversation, without a browser."""
        return httpx.AsyncClient(base_url=self.url, headers={"accept-language": "en", **headers}, timeout=30)


@pytest.fixture(scope="session")
def logbook() -> Logbook:
    """Eight cases at every step, two parked, one replayed, three refused events, and hostile text wherever it fits."""
    with pytest.MonkeyPatch.context() as patch:
        return _log(patch)


@pytest.fixture(scope="session")
async def shown(logbook: Logbook, tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[Shown]:
    """Both, served."""
    async with showing(logbook, tmp_path_factory.mktemp("console")) as found:
        yield found


@asynccontextmanager
async def showing(logbook: Logbook, folder: Path) -> AsyncIterator[Shown]:
    """A casebook filled from that log, and a console before it. The log's end is what the console sees as now."""
    url = f"sqlite:///{folder / 'casebook.sqlite3'}"
    writing, reading = writer_engine(url), reader_engine(url)
    fill(writing, logbook, portion=500)
    casebook = casebook_api(Questions(reading), logbook.city, why_not_ready=lambda: None)
    kafka = KafkaSettings(bootstrap_servers="127.0.0.1:1", partitions=logbook.partitions)
    try:
        async with serving(casebook, host="127.0.0.1", port=0) as casebook_port:
            casebook_url = f"http://127.0.0.1:{casebook_port}"
            parts = Parts.of(logbook.city, kafka, casebook_url)
            parts.waiting = Waiting(_measured)
            parts.live.take(record for record in logbook.records if record.topic == EVENTS)
            parts.live.away = None
            parts.live.clock = logbook.now.timestamp
            async with serving(console_app(parts, LOOPBACK), host="127.0.0.1", port=0) as port:
                yield Shown(f"http://127.0.0.1:{port}", parts, logbook, casebook_url)
                parts.stopping.set()
            await parts.close()
    finally:
        writing.dispose()
        reading.dispose()


async def _measured() -> list[Behind]:
    return [Behind("gateway", "agency-x-out", 0, 5, 5, 0, 0.0), Behind("workflows", EVENTS, 0, 5, 17, 12, 75.5)]


def _log(patch: pytest.MonkeyPatch) -> Logbook:
    logbook = Logbook(CITY)
    for number in range(8):
        logbook.repair(number, service=SERVICE, area=AREA, steps=number + 1)
    with patch.context() as broken:
        broken.setattr(repair_module, "order", lambda *_, **__: 1 / 0)
        for name in ("parked", "parked too", "replayed"):
            submitted = RequestSubmitted(service_code=SERVICE, area=AREA, description=HOSTILE)
            logbook.say(CITY.citizens_channel, submitted, case=name)
            logbook.say(HOLDER, RequestAcknowledged(), case=name)
            logbook.say(HOLDER, WorkOrderAccepted(), case=name)
            logbook.say(HOLDER, WorkOrderCompleted(), case=name)
    logbook.say("operations", ReplayRequested(reason=HOSTILE, by="ops-7"), case="replayed")
    logbook.say(SECOND, WorkOrderAccepted(), case=3)
    request = RequestSubmitted(service_code=SERVICE, area=AREA, reporter=Reporter(**PERSONAL))
    event = logbook.say(CITY.citizens_channel, request, case="again")
    reasons = [
        Reason("unknown_service", "data.service_code", f"the catalogue has no service {HOSTILE}", "Use one of it."),
        Reason("outside_city", "data.location.coordinates", "it lies outside the city", "Check the coordinates."),
    ]
    for _ in range(2):
        logbook.refuse_at_the_door(CITY.citizens_channel, event, reasons, more=[("x-note", HOSTILE.encode())])
    return logbook
