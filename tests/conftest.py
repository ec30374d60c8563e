"""What every test may ask for."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from deploy.local.kafka import LocalKafka
from tests.support.kafka import broker_in
from tests.support.postgresql import PostgreSQL, postgresql_server


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
