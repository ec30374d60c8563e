"""A casebook with its API on loopback, filled from a log without Kafka."""

from __future__ import annotations

import threading
import time
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest
import structlog
import uvicorn

from bus.city import load_city
from bus.city.load import city_path
from bus.logs import configure_logs
from deploy.local.kafka import LocalKafka
from deploy.local.ports import free_ports
from schemas.failures import Reason
from schemas.types.acts import ReplayRequested
from schemas.types.requests import RequestAcknowledged, RequestSubmitted
from schemas.types.workorders import WorkOrderAccepted, WorkOrderCompleted
from schemas.values import Reporter
from services.casebook.api import casebook_api
from services.casebook.database import reader_engine, writer_engine
from services.casebook.questions import Questions
from services.workflows.repair import joint as repair_module
from tests.casebook.tables import fill
from tests.support.bus import SmallBus
from tests.support.counting import settings_for
from tests.support.logbook import PERSONAL, Logbook

CITY = load_city(city_path("denpasar"))
SERVICE, AREA = "road-damage", "51.71.01.1005"
HOLDER, SECOND = CITY.candidates(SERVICE, AREA)[:2]


@dataclass
class Filled:
    """A casebook's API and the log that it was filled from."""

    url: str
    logbook: Logbook


@pytest.fixture(scope="session")
def filled(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Filled]:
    """Eight cases at every step, one parked with two events waiting, one refused event of each kind."""
    with pytest.MonkeyPatch.context() as patch:
        logbook = _log(patch)
    url = f"sqlite:///{tmp_path_factory.mktemp('casebook') / 'casebook.sqlite3'}"
    engine = writer_engine(url)
    fill(engine, logbook)
    reading = reader_engine(url)
    app = casebook_api(Questions(reading), CITY, why_not_ready=lambda: None)
    port = free_ports(1)[0]
    with serving(app, port):
        yield Filled(f"http://127.0.0.1:{port}", logbook)
    reading.dispose()
    engine.dispose()


@pytest.fixture
def casebook(filled: Filled, monkeypatch: pytest.MonkeyPatch) -> Filled:
    """The same, where the commands find it."""
    monkeypatch.setenv("SUBAK_CASEBOOK_URL", filled.url)
    monkeypatch.setenv("SUBAK_CITY", "denpasar")
    return filled


def _log(monkeypatch: pytest.MonkeyPatch) -> Logbook:
    logbook = Logbook(CITY)
    for number in range(8):
        logbook.repair(number, service=SERVICE, area=AREA, steps=number + 1)
    with monkeypatch.context() as broken:
        broken.setattr(repair_module, "order", lambda *_, **__: 1 / 0)
        for name in ("parked", "replayed"):
            logbook.say(CITY.citizens_channel, RequestSubmitted(service_code=SERVICE, area=AREA), case=name)
            logbook.say(HOLDER, RequestAcknowledged(), case=name)
            logbook.say(HOLDER, WorkOrderAccepted(), case=name)
            logbook.say(HOLDER, WorkOrderCompleted(), case=name)
    logbook.say("operations", ReplayRequested(reason="mended"), case="replayed")
    logbook.say(SECOND, WorkOrderAccepted(), case=3)
    request = RequestSubmitted(service_code=SERVICE, area=AREA, reporter=Reporter(**PERSONAL))
    event = logbook.say(CITY.citizens_channel, request, case="again")
    reasons = [
        Reason("unknown_service", "data.service_code", "the city's catalogue has no service x", "Use one of it."),
        Reason("outside_city", "data.location.coordinates", "it lies outside the city", "Check the coordinates."),
    ]
    logbook.refuse_at_the_door(CITY.citizens_channel, event, reasons)
    return logbook


class serving:
    """Serve an application in a thread while the block runs."""

    def __init__(self, app: Any, port: int) -> None:
        self._server = uvicorn.Server(uvicorn.Config(app, port=port, log_config=None, lifespan="off", ws="none"))
        self._thread = threading.Thread(target=self._server.run, daemon=True)

    def __enter__(self) -> None:
        self._thread.start()
        deadline = time.monotonic() + 20
        while not self._server.started:
            assert time.monotonic() < deadline, "the API did not start"
            time.sleep(0.01)

    def __exit__(self, *_: object) -> None:
        self._server.should_exit = True
        self._thread.join(20)


@pytest.fixture
def quiet() -> Iterator[None]:
    """What the bus logs in this process must not stand between a command's words."""
    configure_logs("error")
    yield
    structlog.reset_defaults()


@pytest.fixture
async def bus(kafka: LocalKafka, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> SmallBus:
    """An empty log of a small city, where the commands find it."""
    bus = SmallBus(settings_for(kafka.bootstrap_servers))
    await bus.prepare()
    monkeypatch.setenv("SUBAK_HOME", str(tmp_path))
    monkeypatch.setenv("SUBAK_KAFKA_BOOTSTRAP_SERVERS", kafka.bootstrap_servers)
    monkeypatch.setenv("SUBAK_KAFKA_PARTITIONS", str(bus.settings.partitions))
    monkeypatch.setenv("SUBAK_CITY", "san-francisco")
    return bus
