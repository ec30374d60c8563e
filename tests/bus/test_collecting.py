"""Cycles are found by the clock: also where little is done, and where much is done no batch is held up by a look."""

from __future__ import annotations

import asyncio
import gc
import weakref
from collections.abc import Iterator

import pytest

from bus.collecting import OBJECTS_MAX, collect_by_the_clock, tune_collector


class Ring:
    """Holds itself, as a failed request's traceback does."""

    def __init__(self) -> None:
        self.me = self


@pytest.fixture(autouse=True)
def collector_as_it_was() -> Iterator[None]:
    thresholds = gc.get_threshold()
    yield
    gc.set_threshold(*thresholds)
    gc.unfreeze()


async def test_a_ring_is_freed_within_the_pause() -> None:
    tune_collector()
    ring = weakref.ref(Ring())
    assert ring() is not None
    collecting = asyncio.create_task(collect_by_the_clock(0.01))
    try:
        async with asyncio.timeout(10):
            while ring() is not None:
                await asyncio.sleep(0.01)
    finally:
        collecting.cancel()


async def test_a_batch_brings_no_look_by_itself() -> None:
    tune_collector()
    before = gc.get_stats()[0]["collections"]
    batch = [(number, [number]) for number in range(200_000)]
    assert len(batch) == 200_000
    assert gc.get_stats()[0]["collections"] == before


async def test_a_storm_of_rings_is_looked_at_before_its_time() -> None:
    tune_collector()
    before = gc.get_stats()[0]["collections"]
    for _ in range(OBJECTS_MAX + 1000):
        Ring()
    assert gc.get_stats()[0]["collections"] > before
