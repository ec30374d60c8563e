"""The secured local Kafka, one for the session."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from deploy.local.kafka import LocalKafka
from tests.support.kafka import broker_in


@pytest.fixture(scope="session")
def secured(tmp_path_factory: pytest.TempPathFactory) -> Iterator[LocalKafka]:
    """A real Kafka with TLS, users and an authorizer. Its administrator may do everything, and nobody else anything."""
    yield from broker_in(tmp_path_factory.mktemp("secured"), secure=True)
