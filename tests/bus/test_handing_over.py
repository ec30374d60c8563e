"""What FastStream would pass over in silence is the stage's failure: no record is lost between reading and a lane."""

from __future__ import annotations

from typing import Any, cast

import pytest
from aiokafka import ConsumerRecord

from bus.kafka import KafkaSettings, Record
from bus.kafka.lane import Lane
from bus.kafka.stage import Stage


class Failing:
    """A lane that fails at its first records."""

    def __init__(self, *failures: Exception) -> None:
        self._failures = list(failures)
        self.taken: list[int] = []

    def put(self, records: list[Record]) -> None:
        if self._failures:
            raise self._failures.pop()
        self.taken += [record.offset for record in records]


def batch(offset: int) -> tuple[Any, ...]:
    """A record of two partition numbers each."""
    return tuple(
        ConsumerRecord("city-events", number, offset, 1_700_000_000_000, 0, b"k", b"{}", None, 1, 2, ())
        for number in (0, 1)
    )


def no_logic(number: int) -> Any:
    raise AssertionError(number)


async def test_a_batch_that_could_not_be_handed_over_stops_the_stage_and_is_not_passed_over() -> None:
    stage = Stage(name="stage", logic=no_logic, kafka=KafkaSettings(bootstrap_servers="127.0.0.1:1"), topics=("t",))
    first, second = Failing(ValueError("no such partition")), Failing()
    stage.lanes = {0: cast("Lane", first), 1: cast("Lane", second)}
    with pytest.raises(ValueError, match="no such partition"):
        await stage._receive(batch(0))
    await stage._receive(batch(1))
    with pytest.raises(ValueError, match="no such partition"):
        stage.failed.result()
    assert first.taken == second.taken == [], "a lane that is given the next batch counts this one as read"
