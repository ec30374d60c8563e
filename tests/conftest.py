"""What every test may ask for."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from deploy.local.kafka import LocalKafka
from tests.support.kafka import broker_in
from tests.support.mariadb import MariaDB, mariadb_server
from tests.support.postgresql import PostgreSQL, postgresql_server


def pytest_addoption(parser: pytest.Parser) -> None:
    """How long, and with which dice."""
    group = parser.getgroup("subak")
    group.addoption("--soak", action="store_true", help="run the long fault runs too (make soak)")
    group.addoption("--minutes", type=float, default=0.0, help="how long the long fault runs go on; default: one round")
    group.addoption("--seed", type=int, default=1, help="decides the faults' moments, the requests, the agencies")


def pytest_collection_modifyitems(config: pytest.Config, items: list[pytest.Item]) -> None:
    """Leave out what takes long, unless it is asked for."""
    if config.getoption("--soak"):
        return
    long = [item for item in items if item.get_closest_marker("soak")]
    items[:] = [item for item in items if item not in long]
    config.hook.pytest_deselected(items=long)


@pytest.fixture(scope="session")
def kafka(tmp_path_factory: pytest.TempPathFactory) -> Iterator[LocalKafka]:
    """A real Kafka, one for the whole session, so use topic names or city ids of your own.

    `bootstrap_servers`, `pid`, and for faults `stop()`, `start()` (same data, same port), `kill()`, `pause()`,
    `resume()`: a test that breaks it leaves it running again.
    """
    yield from broker_in(tmp_path_factory.mktemp("kafka"))


@pytest.fixture(scope="session")
def postgresql() -> Iterator[PostgreSQL]:
    """A real PostgreSQL, one for the session: `new_database()` gives the URL of an empty one. Skips where missing."""
    yield from postgresql_server()


@pytest.fixture(scope="session")
def mariadb() -> Iterator[MariaDB]:
    """A real MariaDB, one for the session: `new_database()` gives the URL of an empty one. Skips where missing."""
    yield from mariadb_server()
