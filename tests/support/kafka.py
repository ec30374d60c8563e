"""The tests' Kafka: the real broker that `subak up` starts, one a session, in a folder that goes afterwards."""

from __future__ import annotations

import shutil
from collections.abc import Iterator
from pathlib import Path

from deploy.local.kafka import LocalKafka


def broker_in(home: Path, *, secure: bool = False) -> Iterator[LocalKafka]:
    """Start a broker, hand it over, stop it, drop its data. Where it cannot start, the tests fail and say why."""
    broker = LocalKafka(home, secure=secure)
    broker.start()
    try:
        yield broker
    finally:
        broker.stop()
        shutil.rmtree(home / "data", ignore_errors=True)
