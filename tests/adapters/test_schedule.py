"""A case's events are called in order, each until it is settled; nobody waits for another's case; memory is bounded."""

from __future__ import annotations

import random
from dataclasses import dataclass, field

import pytest
from hypothesis import given
from hypothesis import strategies as st

from adapters.outcome import DELIVERED, Outcome
from adapters.schedule import Schedule, ScheduleSettings
from bus.inbox import Arrived, Mark

REFUSED = Outcome("refused", "no")
AWAY = Outcome("away", "nobody there")


def event(id: int, case: str) -> Arrived:
    return Arrived(id, case, f"e-{id}", "{}", b"{}")


def schedule(**settings: int | float) -> Schedule:
    return Schedule(ScheduleSettings(**settings))  # type: ignore[arg-type]


def call(lines: Schedule, now: float = 0.0) -> Arrived:
    found = lines.next(now)
    assert found is not None
    return found


def test_the_next_event_of_a_case_is_called_only_after_the_former_is_settled() -> None:
    lines = schedule()
    lines.offer([event(1, "a"), event(2, "a"), event(3, "b")], 0.0)
    first, other = call(lines), call(lines)
    assert (first.id, other.id) == (1, 3)
    assert lines.next(0.0) is None
    lines.settle(first, DELIVERED, 0.0)
    assert call(lines).id == 2


def test_a_refusal_parks_after_its_tries_and_stops_no_other_case() -> None:
    lines = schedule(tries_max=3, retry_seconds_first=1.0)
    lines.offer([event(1, "bad"), event(2, "good"), event(3, "bad"), event(4, "good")], 0.0)
    now, tried, states = 0.0, [], []
    for _ in range(3):
        while (found := lines.next(now)) is not None:
            tried.append(found.id)
            mark = lines.settle(found, REFUSED if found.subject == "bad" else DELIVERED, now)
            if found.subject == "bad":
                states.append(mark.state)
        now += 10.0
        for case, after in lines.wanted(now):
            assert (case, after) == ("bad", 0)
            stale = event(1, "bad")  # as the inbox has it before the mark is stored
            lines.refill("bad", [stale, event(3, "bad")], partial=False, now=now)
    assert tried == [1, 2, 4, 1, 1]
    assert states == ["waiting", "waiting", "parked"]
    lines.offer([event(5, "bad")], now)
    assert lines.next(now) is None
    lines.parking_stored([("bad", mark)])
    assert lines.next(now) is None


def test_one_case_without_an_answer_is_its_own_fault_and_rests_alone() -> None:
    lines = schedule(retry_seconds_first=10.0)
    lines.offer([event(1, "poison"), *(event(n, f"c{n}") for n in range(2, 40))], 0.0)
    while (found := lines.next(0.0)) is not None:
        lines.settle(found, AWAY if found.subject == "poison" else DELIVERED, 0.0)
    assert not lines.away
    assert lines.next_at() == pytest.approx(7.5, abs=2.6)


def test_a_system_that_is_away_is_asked_one_call_at_a_time_and_nothing_is_parked() -> None:
    lines = schedule(retry_seconds_first=1.0, retry_seconds_max=60.0, probe_seconds_max=8.0, tries_max=1)
    lines.offer([event(n, f"c{n}") for n in range(100)], 0.0)
    together = [call(lines) for _ in range(5)]
    marks = [lines.settle(found, AWAY, 0.0) for found in together]
    assert lines.away
    assert lines.next(0.0) is None
    now, asked = 0.0, 0
    while now < 600.0:
        now = max(now, lines.next_at() or 0.0)
        for case, after in lines.wanted(now):
            lines.refill(case, [event(after + 1, case)], partial=False, now=now)
        found = lines.next(now)
        if found is None:
            now += 0.01
            continue
        asked += 1
        assert lines.next(now) is None, "one at a time"
        marks.append(lines.settle(found, AWAY, now))
    assert {mark.state for mark in marks} == {"waiting"}
    assert 600 / 8 <= asked <= 600 / 4 + 20, "a pause of 4 to 8 seconds, at last"


def test_a_system_that_is_away_for_a_day_parks_nothing_and_gets_all_in_order_in_the_end() -> None:
    """By the settings that an adapter has where nothing is stated."""
    lines = schedule()
    waiting = {f"c{case}": [event(case * 10 + number, f"c{case}") for number in range(1, 4)] for case in range(5)}
    lines.offer([one for events in waiting.values() for one in events], 0.0)
    now, asked, taken = 0.0, 0, []
    marks: list[Mark] = []
    while any(waiting.values()):
        assert now < 2 * 86_400
        for case, after in lines.wanted(now):
            more = [one for one in waiting[case] if one.id > after]
            lines.refill(case, more, partial=False, now=now)
        found = lines.next(now)
        if found is None:
            now = max(now + 0.5, lines.next_at() or 0.0)
            continue
        asked += 1
        back = now >= 86_400
        marks.append(lines.settle(found, DELIVERED if back else AWAY, now))
        if back:
            taken.append(found.id)
            waiting[found.subject] = [one for one in waiting[found.subject] if one.id != found.id]
    assert {mark.state for mark in marks} == {"waiting", "delivered"}
    assert sorted(taken) == [case * 10 + number for case in range(5) for number in range(1, 4)]
    assert all(
        [id for id in taken if id // 10 == case] == sorted(id for id in taken if id // 10 == case) for case in range(5)
    )
    assert now < 86_400 + 1200, "within minutes"
    assert asked < 20_000, "a system that is away is not worn out by asking"


def test_when_the_system_is_back_all_go_on_at_once() -> None:
    lines = schedule(retry_seconds_first=100.0, retry_seconds_max=1000.0, probe_seconds_max=10.0)
    lines.offer([event(n, f"c{n}") for n in range(20)], 0.0)
    for found in [call(lines) for _ in range(16)]:
        lines.settle(found, AWAY, 0.0)
    now = lines.next_at() or 0.0
    lines.settle(call(lines, now), DELIVERED, now)
    assert not lines.away
    for case, after in lines.wanted(now):
        lines.refill(case, [event(after + 1, case)], partial=False, now=now)
    assert sum(lines.next(now) is not None for _ in range(30)) == 19


def test_retry_after_quiets_the_whole_agency() -> None:
    lines = schedule()
    lines.offer([event(1, "a"), event(2, "b")], 0.0)
    lines.settle(call(lines), Outcome("away", "429", retry_after_seconds=30.0), 0.0)
    assert lines.next(29.9) is None
    assert lines.next(30.0) is not None


def test_a_refusal_that_rested_when_the_adapter_stopped_rests_on() -> None:
    lines = schedule()
    lines.offer([Arrived(1, "a", "e-1", "{}", b"{}", 1, 1, 50.0), event(2, "a")], 10.0)
    assert lines.next(10.0) is None
    assert lines.next_at() == 50.0
    assert lines.wanted(50.0) == [("a", 0)]


def test_memory_is_bounded_in_events_bytes_and_lines() -> None:
    lines = schedule(events_max=10, bytes_max=1000, lines_max=20)
    lines.offer([event(n, f"c{n}") for n in range(6)], 0.0)
    assert lines.room == 0
    lines = schedule(events_max=10, bytes_max=1000)
    lines.offer([Arrived(1, "a", "e-1", "{}", b"x" * 600)], 0.0)
    assert lines.room == 0
    lines.settle(call(lines), DELIVERED, 0.0)
    assert lines.room == 10


def test_cases_that_rest_leave_the_room_to_others() -> None:
    lines = schedule(events_max=10, retry_seconds_first=100.0)
    for start in range(0, 100, 5):
        assert lines.room, "resting lines hold no events"
        lines.offer([event(start + n, f"c{start}") for n in range(5)], 0.0)
        lines.settle(call(lines), REFUSED, 0.0)


@dataclass
class SmallInbox:
    """The inbox's behaviour, as far as a schedule sees it, in memory."""

    rows: list[tuple[int, str]]
    done: set[int] = field(default_factory=set)
    parked: dict[str, int] = field(default_factory=dict)
    refusals: dict[int, int] = field(default_factory=dict)

    def waiting(self, after: int, up_to: int, most: int, case: str | None = None) -> list[Arrived]:
        return [
            Arrived(id, subject, f"e-{id}", "{}", b"{}", 0, self.refusals.get(id, 0))
            for id, subject in self.rows
            if after < id <= up_to and id not in self.done and subject not in self.parked and case in (None, subject)
        ][:most]


@given(
    cases=st.lists(st.integers(0, 5), min_size=1, max_size=60),
    outcomes=st.lists(st.sampled_from(["delivered"] * 4 + ["refused", "away"]), max_size=200),
    seed=st.integers(0, 2**32),
)
def test_whatever_happens_each_case_is_delivered_in_order_and_whole(
    cases: list[int], outcomes: list[str], seed: int
) -> None:
    """Rows arrive, calls end in any order with any outcome, parked cases are replayed; then everything is delivered."""
    order = random.Random(seed)
    inbox = SmallInbox([(n + 1, f"c{case}") for n, case in enumerate(cases)])
    lines = schedule(tries_max=2, events_max=6, retry_seconds_first=1.0, retry_seconds_max=4.0)
    delivered: list[int] = []
    calls: list[Arrived] = []
    stored: list[tuple[str, Mark]] = []
    late: list[int] = []
    """Delivered, and not marked so yet."""
    fates = list(outcomes)
    now, read_up_to, arrived = 0.0, 0, 0
    for _ in range(5000):
        if len(delivered) == len(inbox.rows):
            break
        arrived = min(len(inbox.rows), arrived + order.randint(0, 3))
        if order.random() < 0.5:  # what is stored may be replayed before it is told
            lines.parking_stored(stored)
            stored.clear()
        if order.random() < 0.4:
            inbox.done.update(late)
            late.clear()
        if inbox.parked and order.random() < 0.2:
            case = order.choice(sorted(inbox.parked))
            inbox.refusals[inbox.parked.pop(case)] = 0
            lines.resume(case)
        if room := lines.room:
            found = inbox.waiting(read_up_to, arrived, room)
            if found:
                read_up_to = found[-1].id
                lines.offer(found, now)
        for case, after in lines.wanted(now, most=2):
            rows = inbox.waiting(after, read_up_to, 2, case)
            lines.refill(case, rows, partial=bool(rows), now=now)
        while len(calls) < 3 and (event := lines.next(now)) is not None:
            assert event.subject not in {other.subject for other in calls}
            calls.append(event)
        if calls and order.random() < 0.7:
            event = calls.pop(order.randrange(len(calls)))
            kind = fates.pop() if fates else "delivered"
            mark = lines.settle(event, Outcome(kind), now)  # type: ignore[arg-type]
            if mark.state == "delivered":
                delivered.append(event.id)
                late.append(event.id)
            elif mark.state == "parked":
                inbox.parked[event.subject] = event.id
                stored.append((event.subject, mark))
            else:
                inbox.refusals[event.id] = mark.refusals
        now += order.random()
    assert sorted(delivered) == [id for id, _ in inbox.rows], "each once, none lost"
    by_case: dict[str, list[int]] = {}
    subjects = dict(inbox.rows)
    for id in delivered:
        by_case.setdefault(subjects[id], []).append(id)
    assert all(ids == sorted(ids) for ids in by_case.values()), "each case in order"
