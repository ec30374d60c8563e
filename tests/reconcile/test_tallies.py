"""Equal tallies stand for the same events, and a day is the same wherever it is read."""

from __future__ import annotations

from datetime import UTC, datetime
from zoneinfo import ZoneInfo

import pytest
from hypothesis import given
from hypothesis import strategies as st

from bus.reconciliation import UNDATED, Days, Tally, differences, fingerprint

MARKS = st.lists(st.integers(0, 2**64 - 1), max_size=30)


def tally(marks: list[int]) -> Tally:
    found = Tally()
    for mark in marks:
        found.add(mark)
    return found


@given(MARKS)
def test_the_order_of_events_does_not_matter_and_a_tally_travels_as_json(marks: list[int]) -> None:
    shuffled = sorted(marks, key=lambda mark: mark * 0x9E3779B97F4A7C15 % 2**64)
    found = tally(marks)
    assert found == tally(shuffled) == Tally.read(found.count, found.digest)


@given(st.lists(st.integers(1, 10**9), min_size=1, max_size=30))
def test_one_event_less_or_twice_is_seen(numbers: list[int]) -> None:
    marks = [fingerprint("urn:x", str(number)) for number in numbers]
    assert tally(marks) != tally(marks[:-1])
    assert tally(marks) != tally([*marks[:-1], marks[-1], marks[-1]])


def test_source_and_id_are_not_run_together() -> None:
    assert fingerprint("a", "bc") != fingerprint("ab", "c")


@pytest.mark.parametrize(
    ("moment", "day"),
    [
        ("2026-11-24T15:59:59.999Z", "2026-11-24"),
        ("2026-11-24T16:00:00Z", "2026-11-25"),
        ("2026-11-25T00:00:00.5+08:00", "2026-11-25"),
        ("2026-11-24T23:45:00+08:00", "2026-11-24"),
        ("2026-11-24T21:29:00+05:30", "2026-11-24"),
        ("2026-11-24T21:31:00+05:30", "2026-11-25"),
        ("2026-12-02T00:00:00Z", None),
        ("2026-11-24T15:00:00", UNDATED),
        ("yesterday", UNDATED),
        ("", UNDATED),
        (None, UNDATED),
    ],
)
def test_a_day_is_the_citys_own_and_what_is_too_young_has_none_yet(moment: str | None, day: str | None) -> None:
    days = Days(ZoneInfo("Asia/Makassar"), datetime(2026, 12, 1, tzinfo=UTC))
    assert [days.of(moment) for _ in range(2)] == [day, day]


def test_within_the_hour_of_the_end_each_moment_is_looked_at() -> None:
    days = Days(ZoneInfo("UTC"), datetime(2026, 12, 1, 10, 30, tzinfo=UTC))
    assert days.of("2026-12-01T10:10:00Z") == "2026-12-01"
    assert days.of("2026-12-01T10:31:00Z") is None


def test_what_is_missing_and_what_is_too_much_are_named() -> None:
    must = [("a", 1), ("b", 2), ("c", 3)]
    assert differences(must, [("a", 1), ("a", 1), ("c", 3), ("d", 4)]) == (["b"], ["a", "d"])
