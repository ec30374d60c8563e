"""Closed cases are remembered for ever, in little memory; stopped timers are not."""

from __future__ import annotations

import tracemalloc
from uuid import UUID

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from schemas.identifiers import is_uuid
from services.workflows.catalogue import WORKFLOWS
from services.workflows.closed import ClosedCases
from services.workflows.definition import CLOSED, CaseState
from services.workflows.memory import TIMERS_MIN, Memory, View


def uuid(number: int) -> str:
    """One of a kind that is in use."""
    return str(UUID(int=number, version=4))


IDS = st.one_of(
    st.uuids(version=4).map(str),
    st.integers(0, 40).map(lambda number: uuid(number << 16 | 7)),  # many in one row
    st.sampled_from(["", "a case", "A" * 32, str(UUID(int=1)).upper(), "é" * 8]),
)


@given(st.lists(st.tuples(IDS, st.sampled_from(["repair@1", "repair@2", "permit@1"])), max_size=80), IDS)
def test_it_says_what_a_dictionary_says(closed: list[tuple[str, str]], other: str) -> None:
    cases, oracle = ClosedCases(), dict[str, str]()
    for id, workflow in closed:
        cases.add(id, workflow)
        oracle.setdefault(id, workflow)
    assert len(cases) == len(oracle)
    for id in (*oracle, other):
        assert cases.get(id) == oracle.get(id)


def test_two_neighbours_that_together_look_like_an_id_are_not_one() -> None:
    cases = ClosedCases()
    one, two = "84848484-8484-4484-8484-848484840007", "84000784-8484-4484-8484-848484840007"
    cases.add(one, "repair@1")
    cases.add(two, "repair@1")
    between = bytes.fromhex(one.replace("-", "")) + b"\0\0" + bytes.fromhex(two.replace("-", ""))
    looks_like_one = str(UUID(bytes=between[5:21]))
    assert is_uuid(looks_like_one)
    assert looks_like_one.endswith("0007"), "it is looked for in the same row"
    assert cases.get(looks_like_one) is None
    assert (cases.get(one), cases.get(two)) == ("repair@1", "repair@1")


def test_more_versions_than_a_byte_holds_stay_apart() -> None:
    cases = ClosedCases()
    for number in range(300):
        cases.add(uuid(number), f"repair@{number}")
    assert cases.get(uuid(299)) == "repair@299"


def test_a_closed_case_costs_less_than_fifty_bytes() -> None:
    count, cases = 100_000, ClosedCases()
    tracemalloc.start()
    try:
        for number in range(count):
            cases.add(uuid(number * 2654435761 << 40 | number * 40503 % 65536), "repair@1")
        held, _ = tracemalloc.get_traced_memory()
    finally:
        tracemalloc.stop()
    assert len(cases) == count
    assert held / count < 50


@pytest.mark.parametrize("stop", ["closed", "stopped", "moved"])
def test_what_was_stopped_is_not_kept_until_its_time(stop: str) -> None:
    memory = Memory(WORKFLOWS)
    running = CaseState(id="running", workflow="repair@1", state="assigned", timers={"late": 5_000_000})
    _take(memory, running)
    for number in range(5 * TIMERS_MIN):
        case = CaseState(id=f"c{number}", workflow="repair@1", state="assigned", timers={"late": 10_000_000 + number})
        _take(memory, case)
        if stop == "closed":
            _take(memory, CaseState(id=case.id, workflow="repair@1", state=CLOSED))
        elif stop == "stopped":
            _take(memory, msgspec.structs.replace(case, timers={}))
        else:
            _take(memory, msgspec.structs.replace(case, id="one", timers={"late": 20_000_000 + number}))
            _take(memory, CaseState(id=case.id, workflow="repair@1", state=CLOSED))
    assert len(memory._timers) <= TIMERS_MIN + 1
    assert memory.next_due_ms() == 5_000_000
    _take(memory, CaseState(id="running", workflow="repair@1", state=CLOSED))
    assert memory.next_due_ms() == (20_000_000 + 5 * TIMERS_MIN - 1 if stop == "moved" else None)


def test_all_that_run_are_kept_however_many() -> None:
    memory, count = Memory(WORKFLOWS), 3 * TIMERS_MIN
    for number in range(count):
        _take(memory, CaseState(id=f"c{number}", workflow="repair@1", state="assigned", timers={"late": 1 + number}))
    found = memory.due(count, count)
    assert [due for _, _, due in found] == list(range(1, count + 1))


def _take(memory: Memory, case: CaseState) -> None:
    view = View(memory)
    view.put(case)
    memory.take(view)
