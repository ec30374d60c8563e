"""A stage that counts: the smallest logic whose mistakes show. Each key gives 1, 2, 3 ... with no gap and no twin.

Run as a program it is one member of the group, to be stopped, killed and thawed by a test:
`python -m tests.support.counting BOOTSTRAP NAME [--slow] [--one-producer-for-all]`.
"""

from __future__ import annotations

import asyncio
import os
import sys
import time
from collections.abc import Sequence
from datetime import datetime

from bus.kafka import KafkaSettings, LaneSettings, Output, Record, TopicReader, partitions_of
from bus.kafka import lane as lane_module
from bus.kafka.stage import Stage, StageSettings
from bus.kafka.transactions import TransactionalProducer
from bus.logic import Decided
from bus.logs import configure_logs
from bus.process import run_process, until_stopped


def topics_of(name: str) -> tuple[str, str, str]:
    """The topics of the counting stage `name`: in, out, changelog."""
    return f"{name}-in", f"{name}-out", f"{name}-log"


class Counting:
    """`bus.logic.Logic`: how often was this key seen? The answer goes out, and into the changelog."""

    restores_since_seconds: float | None = None

    def __init__(self, number: int, name: str) -> None:
        _, self._out, log = topics_of(name)
        self.restores_from: str | None = log
        self._number = number
        self.counts: dict[bytes, int] = {}

    def restore(self, records: Sequence[Record], position: int | None = None) -> None:
        for record in records:
            assert record.key is not None
            assert record.value is not None
            self.counts[record.key] = int(record.value)

    def decide(self, records: Sequence[Record], now: datetime) -> Decided:
        if "--slow" in sys.argv:
            time.sleep(0.3)  # so that whoever is frozen at any moment is frozen within a batch
        changed: dict[bytes, int] = {}
        outputs = []
        for record in records:
            key = record.key or b"no-key"
            changed[key] = changed.get(key, self.counts.get(key, 0)) + 1
            outputs.append(Output(self._out, key, b"%d" % changed[key], [], self._number))
        log = [Output(str(self.restores_from), key, b"%d" % n, [], self._number) for key, n in changed.items()]
        return Decided(outputs + log, changed, {"counted": len(records)})

    def apply(self, decided: Decided) -> None:
        assert isinstance(decided.changes, dict)
        self.counts.update(decided.changes)

    def sizes(self) -> dict[str, int]:
        return {"keys": len(self.counts)}

    def next_due(self) -> datetime | None:
        return None

    def decide_due(self, now: datetime) -> Decided:
        return Decided(changes={})


def counting_stage(kafka: KafkaSettings, name: str, *, stage: StageSettings | None = None) -> Stage:
    """One member of the group `name`."""
    return Stage(
        name=name,
        logic=lambda number: Counting(number, name),
        kafka=kafka,
        topics=(topics_of(name)[0],),
        settings=stage or StageSettings(lane=LaneSettings(batch_records_max=50, fenced_wait_seconds=3)),
    )


async def counted(kafka: KafkaSettings, name: str) -> dict[bytes, list[int]]:
    """What stands in the out topic, by key, as a reader of committed records sees it."""
    out = topics_of(name)[1]
    reader = TopicReader(kafka, name=f"{name}-check")
    await reader.start(partitions_of([out], kafka.partitions))
    found: dict[bytes, list[int]] = {}
    async for records in reader.to_end():
        for record in records:
            found.setdefault(record.key or b"", []).append(int(record.value or b"0"))
    await reader.stop()
    return found


def settings_for(bootstrap_servers: str) -> KafkaSettings:
    """Short timeouts, so that faults heal within a test."""
    return KafkaSettings(
        bootstrap_servers=bootstrap_servers, session_timeout_seconds=6.0, transaction_timeout_seconds=6.0
    )


async def _member(bootstrap_servers: str, name: str, stopping: asyncio.Event) -> None:
    stage = counting_stage(settings_for(bootstrap_servers), name)
    await stage.start()
    print("started", flush=True)
    await until_stopped(stopping, stage.failed)
    await stage.stop()


def _share_one_producer_id() -> None:
    """Break the promise on purpose: an id for each process instead of each partition number fences nobody."""

    class OneForAll(TransactionalProducer):
        def __init__(self, settings: KafkaSettings, *, transactional_id: str) -> None:
            super().__init__(settings, transactional_id=f"{transactional_id}-of-{os.getpid()}")

    vars(lane_module)["TransactionalProducer"] = OneForAll


if __name__ == "__main__":
    if "--one-producer-for-all" in sys.argv:
        _share_one_producer_id()
    configure_logs("warning")
    sys.exit(run_process(lambda stopping: _member(sys.argv[1], sys.argv[2], stopping)))
