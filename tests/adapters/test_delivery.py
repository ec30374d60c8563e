"""Each event reaches the agency's system at least once, a case's in order, and no case waits for another's."""

from __future__ import annotations

import asyncio
from collections import Counter
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from pathlib import Path

import pytest
from sqlalchemy import func, select

from adapters.delivery import Delivery
from adapters.outcome import DELIVERED, Outcome
from adapters.schedule import ScheduleSettings
from bus.agency_tables import inbox
from bus.database import DatabaseUnavailable
from bus.inbox import Arrived
from schemas.failures import Misconfigured
from tests.support.adapter import SmallAdapter, bearer
from tests.support.events import comment

AGENCY = "communications"
REFUSED = Outcome("refused", "the system answered 400: no")
AWAY = Outcome("away", "nobody there")
QUICK = ScheduleSettings(tries_max=3, retry_seconds_first=0.01, retry_seconds_max=0.05, probe_seconds_max=0.05)


class System:
    """An agency's system that does as it is told."""

    def __init__(self) -> None:
        self.heard: list[str] = []
        """Ids of the events that it took, in order, repetitions included."""
        self.calls: Counter[str] = Counter()
        self.at_once = 0
        self.at_once_max = 0
        self.answers: Callable[[Arrived], Outcome] = lambda event: DELIVERED
        self.seconds = 0.0

    async def call(self, event: Arrived) -> Outcome:
        self.calls[event.event_id] += 1
        self.at_once += 1
        self.at_once_max = max(self.at_once_max, self.at_once)
        try:
            await asyncio.sleep(self.seconds)
        finally:
            self.at_once -= 1
        outcome = self.answers(event)
        if outcome.kind == "delivered":
            self.heard.append(event.event_id)
        return outcome


@pytest.fixture
async def adapter(tmp_path: Path) -> AsyncIterator[SmallAdapter]:
    async with SmallAdapter.opened(tmp_path) as adapter:
        yield adapter


@asynccontextmanager
async def delivering(
    adapter: SmallAdapter, system: System, settings: ScheduleSettings = QUICK, concurrency_max: int = 4
) -> AsyncIterator[Delivery]:
    delivery = adapter.delivery(AGENCY, system, settings, concurrency_max)
    running = asyncio.create_task(delivery.run())
    try:
        yield delivery
        assert not running.done(), running
    finally:
        running.cancel()
        await asyncio.gather(running, return_exceptions=True)


async def until(holds: Callable[[], bool], seconds: float = 20) -> None:
    async with asyncio.timeout(seconds):
        while not holds():
            await asyncio.sleep(0.005)


async def states(adapter: SmallAdapter) -> dict[str, int]:
    query = select(inbox.c.state, func.count()).group_by(inbox.c.state)
    rows = await adapter.database.run(lambda connection: list(connection.execute(query)))
    return {row[0]: row[1] for row in rows}


async def arrive(adapter: SmallAdapter, *ids: str) -> None:
    """Events whose case is the part of the id before the hyphen."""
    await adapter.arrive(AGENCY, [comment(id=id, case=id.split("-")[0]) for id in ids])


def by_case(heard: list[str]) -> dict[str, list[str]]:
    cases: dict[str, list[str]] = {}
    for id in heard:
        cases.setdefault(id.split("-")[0], []).append(id)
    return cases


async def test_all_is_delivered_each_case_in_order_and_marked(adapter: SmallAdapter) -> None:
    system = System()
    ids = [f"c{case}-{number:02}" for number in range(10) for case in range(10)]
    await arrive(adapter, *ids[:50])
    async with delivering(adapter, system):
        await arrive(adapter, *ids[50:])
        await until(lambda: adapter.inbox.waiting[AGENCY] == 0)
    assert sorted(system.heard) == sorted(ids)
    assert all(order == sorted(order) for order in by_case(system.heard).values())
    assert await states(adapter) == {"delivered": 100}


async def test_calls_under_way_are_bounded_and_one_case_has_one(adapter: SmallAdapter) -> None:
    system = System()
    system.seconds = 0.02
    await arrive(adapter, *(f"same-{n}" for n in range(5)), *(f"c{n}-0" for n in range(20)))
    async with delivering(adapter, system, concurrency_max=3):
        await until(lambda: adapter.inbox.waiting[AGENCY] == 0)
    assert system.at_once_max == 3
    assert by_case(system.heard)["same"] == [f"same-{n}" for n in range(5)]


async def test_a_refusal_is_tried_then_parked_and_stops_only_its_own_case(adapter: SmallAdapter) -> None:
    system = System()
    system.answers = lambda event: REFUSED if event.event_id == "bad-1" else DELIVERED
    await arrive(adapter, "bad-0", "bad-1", "bad-2", *(f"good-{n}" for n in range(20)))
    async with delivering(adapter, system):
        await until(lambda: system.calls["bad-1"] == 3 and adapter.inbox.waiting[AGENCY] == 1)
        await arrive(adapter, "bad-3", "good-99")
        await until(lambda: "good-99" in system.heard and adapter.inbox.waiting[AGENCY] == 2)
        assert system.calls["bad-1"] == 3
        assert by_case(system.heard)["bad"] == ["bad-0"]
        assert await states(adapter) == {"delivered": 22, "parked": 1, "waiting": 2}


async def test_a_replay_delivers_the_parked_event_and_then_what_waited_behind_it(adapter: SmallAdapter) -> None:
    system = System()
    system.answers = lambda event: REFUSED if event.event_id == "bad-1" else DELIVERED
    await arrive(adapter, "bad-1", "bad-2", "bad-3")
    async with delivering(adapter, system), adapter.served() as client:
        await until(lambda: adapter.inbox.waiting[AGENCY] == 2 and system.calls["bad-1"] == 3)
        parked = (await client.get(f"/agencies/{AGENCY}/parked")).json()["parked"]
        assert [(row["id"], row["reason"], row["waiting_behind"]) for row in parked] == [
            ("bad-1", "the system answered 400: no", 2)
        ]
        again = await client.post(f"/agencies/{AGENCY}/parked/bad-1/replay")
        assert again.status_code == 202
        await until(lambda: system.calls["bad-1"] == 6)
        await until(lambda: adapter.inbox.waiting[AGENCY] == 2)
        system.answers = lambda event: DELIVERED
        await arrive(adapter, "bad-4")
        await asyncio.sleep(0.2)
        again = await client.post(f"/agencies/{AGENCY}/parked/bad-1/replay")
        assert (again.status_code, again.json()) == (202, {"id": "bad-1", "replayed": 1})
        await until(lambda: adapter.inbox.waiting[AGENCY] == 0)
        assert (await client.post(f"/agencies/{AGENCY}/parked/bad-1/replay")).status_code == 404
        other = await client.post("/agencies/public-works/parked/bad-1/replay", headers=bearer("public-works"))
        assert other.status_code == 409
    assert system.heard == ["bad-1", "bad-2", "bad-3", "bad-4"]


async def test_a_system_that_was_away_gets_everything_in_order_and_nothing_was_parked(adapter: SmallAdapter) -> None:
    system = System()
    system.answers = lambda event: AWAY
    ids = [f"c{case}-{number}" for number in range(5) for case in range(40)]
    await arrive(adapter, *ids)
    async with delivering(adapter, system) as delivery:
        await until(lambda: delivery.away)
        await asyncio.sleep(0.5)
        assert await states(adapter) == {"waiting": 200}
        assert system.calls.total() < 40, "it is asked now and then, and not stormed"
        system.answers = lambda event: DELIVERED
        await until(lambda: adapter.inbox.waiting[AGENCY] == 0)
        assert not delivery.away
    assert sorted(system.heard) == sorted(ids)
    assert all(order == sorted(order) for order in by_case(system.heard).values())


async def test_one_poisonous_case_that_makes_the_system_fail_stops_no_other(adapter: SmallAdapter) -> None:
    system = System()
    system.answers = lambda event: AWAY if event.event_id.startswith("poison") else DELIVERED
    await arrive(adapter, "poison-0", "poison-1", *(f"c{n}-0" for n in range(100)))
    async with delivering(adapter, system) as delivery:
        await until(lambda: len(system.heard) == 100)
        assert not delivery.away
        await until(lambda: system.calls["poison-0"] > 3)
        assert await states(adapter) == {"delivered": 100, "waiting": 2}


async def test_after_a_crash_between_the_call_and_the_mark_it_is_called_again(
    adapter: SmallAdapter, monkeypatch: pytest.MonkeyPatch
) -> None:
    system = System()
    await arrive(adapter, "a-0", "a-1")

    stored = 0

    async def never_stored(*_: object) -> None:
        nonlocal stored
        stored += 1
        if stored > 1:
            raise OSError("the process is gone")
        await asyncio.Event().wait()

    monkeypatch.setattr(adapter.inbox, "mark", never_stored)
    delivery = adapter.delivery(AGENCY, system, QUICK)
    running = asyncio.create_task(delivery.run())
    await until(lambda: len(system.heard) == 2)
    running.cancel()
    await asyncio.gather(running, return_exceptions=True)
    monkeypatch.undo()
    async with delivering(adapter, system):
        await until(lambda: adapter.inbox.waiting[AGENCY] == 0)
    assert system.heard == ["a-0", "a-1", "a-0", "a-1"], "at least once, and in order each time"


async def test_a_restart_goes_on_where_it_stood(adapter: SmallAdapter) -> None:
    system = System()
    system.answers = lambda event: REFUSED if event.event_id == "slow-0" else DELIVERED
    patient = ScheduleSettings(tries_max=3, retry_seconds_first=30.0)
    await arrive(adapter, "slow-0", "slow-1", "c-0")
    async with delivering(adapter, system, patient):
        await until(lambda: adapter.inbox.waiting[AGENCY] == 2)
        await asyncio.sleep(0.1)
    assert system.calls["slow-0"] == 1
    system.answers = lambda event: DELIVERED
    await arrive(adapter, "c-1", "slow-2")
    async with delivering(adapter, system, patient):
        await until(lambda: "c-1" in system.heard)
        await asyncio.sleep(0.1)
    assert system.heard == ["c-0", "c-1"], "what was refused rests on, and its case with it"


async def test_while_the_database_is_away_marks_wait_and_nothing_is_lost(
    adapter: SmallAdapter, monkeypatch: pytest.MonkeyPatch
) -> None:
    system = System()
    mark = adapter.inbox.mark
    failures = 0

    async def fails_first(*args: object) -> None:
        nonlocal failures
        failures += 1
        if failures <= 3:
            raise DatabaseUnavailable("locked")
        await mark(*args)  # type: ignore[arg-type]

    monkeypatch.setattr(adapter.inbox, "mark", fails_first)
    await arrive(adapter, *(f"c{n}-0" for n in range(20)))
    async with delivering(adapter, system):
        await until(lambda: adapter.inbox.waiting[AGENCY] == 0)
    assert sorted(Counter(system.heard).values()) == [1] * 20


async def test_more_than_fits_in_memory_is_delivered_all_the_same(adapter: SmallAdapter) -> None:
    system = System()
    small = ScheduleSettings(events_max=10, retry_seconds_first=0.01, retry_seconds_max=0.02, tries_max=2)
    refusing = True
    system.answers = lambda event: REFUSED if refusing and event.event_id.startswith("bad") else DELIVERED
    ids = [f"{'bad' if case < 5 else 'c'}{case}-{number:02}" for number in range(10) for case in range(20)]
    await arrive(adapter, *ids)
    async with delivering(adapter, system, small) as delivery:
        await until(lambda: len(system.heard) == 150)
        await until(lambda: adapter.inbox.waiting[AGENCY] == 45)
        refusing = False
        for case in range(5):
            assert await delivery.replay(f"bad{case}-00") == (1, False)
        await until(lambda: adapter.inbox.waiting[AGENCY] == 0)
    assert Counter(system.heard) == Counter(ids)
    assert all(order == sorted(order) for order in by_case(system.heard).values())


async def test_a_defect_of_the_target_is_tried_again_and_harms_no_other(adapter: SmallAdapter) -> None:
    system = System()

    def raises(event: Arrived) -> Outcome:
        if event.event_id == "odd-0" and system.calls["odd-0"] < 3:
            raise ValueError("a defect")
        return DELIVERED

    system.answers = raises
    await arrive(adapter, "odd-0", "c-0")
    async with delivering(adapter, system):
        await until(lambda: adapter.inbox.waiting[AGENCY] == 0)
    assert sorted(system.heard) == ["c-0", "odd-0"]


async def test_marks_that_can_never_be_stored_end_the_delivery_instead_of_stopping_it_in_silence(
    adapter: SmallAdapter, monkeypatch: pytest.MonkeyPatch
) -> None:
    async def refused(agency: str, marks: object) -> None:
        raise Misconfigured("the database is readonly")

    await arrive(adapter, "a-1")
    monkeypatch.setattr(adapter.inbox, "mark", refused)
    running = asyncio.create_task(adapter.delivery(AGENCY, System(), QUICK, 4).run())
    done, _ = await asyncio.wait({running}, timeout=10)
    assert done
    with pytest.raises(Misconfigured, match="readonly"):
        await running
