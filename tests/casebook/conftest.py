"""What the casebook's tests share: an empty database of each kind, an empty log, the cases of a small city."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest
from sqlalchemy import Engine

from bus.topics import REJECTED
from deploy.local.kafka import LocalKafka
from services.casebook.database import reader_engine, writer_engine
from tests.support.bus import SmallBus
from tests.support.counting import settings_for
from tests.support.logbook import Logbook


@pytest.fixture(params=["sqlite", "postgresql"])
def url(request: pytest.FixtureRequest, tmp_path: Path) -> str:
    """An empty database of each kind."""
    if request.param == "sqlite":
        return f"sqlite:///{tmp_path / 'casebook.sqlite3'}"
    found: str = request.getfixturevalue("postgresql").new_database()
    return found


@pytest.fixture
def writing(url: str) -> Iterator[Engine]:
    """The writer's engine on it."""
    engine = writer_engine(url)
    yield engine
    engine.dispose()


@pytest.fixture
def reading(url: str) -> Iterator[Engine]:
    """The readers' engine on it."""
    engine = reader_engine(url)
    yield engine
    engine.dispose()


@pytest.fixture
async def bus(kafka: LocalKafka) -> SmallBus:
    """An empty log."""
    found = SmallBus(settings_for(kafka.bootstrap_servers))
    await found.prepare()
    return found


@pytest.fixture
def logbook(bus: SmallBus) -> Logbook:
    """Cases of the small city at every step, none of which was refused anything."""
    found = Logbook(bus.city)
    service = sorted(bus.city.services)[0]
    for number in range(40):
        found.repair(number, service=service, area=bus.city.area, steps=number % 8 + 1)
    assert not [record for record in found.records if record.topic == REJECTED]
    return found
