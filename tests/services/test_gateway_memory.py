"""What the gateway remembers: every id of the asked time, hardly any older one, and little memory for each."""

from __future__ import annotations

import tracemalloc
from uuid import UUID

import msgspec
from hypothesis import given
from hypothesis import strategies as st

from schemas.envelope import Event
from services.gateway.memory import SLICES, Memory, Seen

KEEP_SECONDS = 80
KEEP_MS = KEEP_SECONDS * 1000
SLICE_MS = KEEP_MS // SLICES

EVENT = Event(
    id=str(UUID(int=1)),
    type="subak.request.rated.v1",
    source="/denpasar/agencies/citizens",
    subject=str(UUID(int=2)),
    time="2026-01-01T00:00:00Z",
    recordedtime="2026-01-01T00:00:00Z",
    data=b'{"score":5}',
)


def test_an_id_is_known_by_its_source_and_judged_by_type_case_and_data() -> None:
    memory = Memory(KEEP_SECONDS)
    memory.remember([Seen.of(EVENT, 0)])
    for change, expected in (
        (("time", "2026-01-02T00:00:00Z"), "same"),
        (("data", b'{"score":4}'), "other"),
        (("subject", str(UUID(int=3))), "other"),
        (("source", "/denpasar/agencies/health"), "new"),
        (("id", "else"), "new"),
    ):
        again = msgspec.structs.replace(EVENT, **dict([change]))
        assert memory.look(Seen.of(again, 0), {}) == expected, change


def test_what_is_in_hand_counts_before_it_is_remembered() -> None:
    seen = Seen.of(EVENT, 0)
    memory = Memory(KEEP_SECONDS)
    assert memory.look(seen, {}) == "new"
    assert memory.look(seen, {seen.key: seen.digest}) == "same"
    assert memory.look(seen, {seen.key: b"else"}) == "other"
    assert len(memory) == 0


@given(st.lists(st.tuples(st.integers(-5_000, 30_000), st.integers(1, 5)), max_size=60))
def test_each_id_of_the_time_is_known_and_none_that_is_a_slice_older(steps: list[tuple[int, int]]) -> None:
    """The log's times are its writers' clocks: a step may go back."""
    memory, taken, now, number = Memory(KEEP_SECONDS), {}, 1_700_000_000_000, 0
    for step, count in steps:
        now += step
        batch = [Seen(b"%d" % (number + place), b"content", now) for place in range(count)]
        number += count
        memory.remember(batch)
        taken.update({seen.key: seen for seen in batch})
    newest = max((seen.at_ms for seen in taken.values()), default=0)
    for seen in taken.values():
        known = memory.look(seen, {})
        if seen.at_ms >= newest - KEEP_MS:
            assert known == "same"
    oldest_kept = newest - KEEP_MS - SLICE_MS - 5_000 * len(steps)  # a slice ends with the first record past its time
    assert all(memory.look(seen, {}) == "new" for seen in taken.values() if seen.at_ms < oldest_kept)


def test_a_steady_stream_is_forgotten_as_fast_as_it_comes() -> None:
    memory = Memory(KEEP_SECONDS)
    sizes = []
    for number in range(KEEP_SECONDS * 100):
        memory.remember([Seen(b"%d" % number, b"content", number * 100)])
        sizes.append(len(memory))
    full = KEEP_SECONDS * 10
    assert full <= max(sizes) <= full + full // SLICES + 2
    assert memory.look(Seen(b"0", b"content", 0), {}) == "new"


def test_an_id_costs_less_than_two_hundred_bytes() -> None:
    memory, count = Memory(86_400), 20_000
    tracemalloc.start()
    try:
        for number in range(count):
            event = msgspec.structs.replace(EVENT, id=str(UUID(int=number)), source=f"/denpasar/agencies/{number % 9}")
            memory.remember([Seen.of(event, number)])
        held, _ = tracemalloc.get_traced_memory()
    finally:
        tracemalloc.stop()
    assert len(memory) == count
    assert held / count < 200
