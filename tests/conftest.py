"""What every test may ask for."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import pytest
from xdist.scheduler import LoadFileScheduling  # type: ignore[import-untyped]

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
    """Leave out what takes long, unless it is asked for; then what is slow comes first, and one town's together."""
    if not config.getoption("--soak"):
        long = [item for item in items if item.get_closest_marker("soak")]
        items[:] = [item for item in items if not item.get_closest_marker("soak")]
        config.hook.pytest_deselected(items=long)
    slow = {part_of(item.nodeid) for item in items if item.get_closest_marker("slow")}
    kafka = {part_of(item.nodeid) for item in items if item.get_closest_marker("kafka")}
    items.sort(key=lambda item: ((part := part_of(item.nodeid)) != TOWN, part not in slow, part not in kafka))


TOWN = "tests/faults"
"""All files that ask for the standing town run in one process: a city is a dozen processes, and two of them are too
much for two processors."""
OWN_CITY = ("test_three_brokers",)
"""Files in that folder that have a city of their own."""


def part_of(nodeid: str) -> str:
    """What runs in one process, one test after the other: a file, or all files of the town."""
    file = nodeid.split("::", 1)[0]
    own = any(f"/{name}.py" in file for name in OWN_CITY)
    return TOWN if file.startswith(f"{TOWN}/") and not own else file


class ByPart(LoadFileScheduling):  # type: ignore[misc]
    """Deals parts out to processes, in the order in which they were collected."""

    def _split_scope(self, nodeid: str) -> str:
        return part_of(nodeid)


def pytest_xdist_make_scheduler(config: pytest.Config, log: Any) -> ByPart:
    """Called by xdist."""
    return ByPart(config, log)


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
