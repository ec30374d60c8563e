"""The same log gives the same rows, however it is read; what a case refused counts for nothing."""

from __future__ import annotations

import json
import random
from collections.abc import Callable
from datetime import timedelta
from typing import Any

import msgspec
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from sqlalchemy import Engine

from bus.city import City, load_city
from bus.city.load import city_path
from bus.records import Record
from bus.topics import EVENTS, REJECTED
from schemas.envelope import Event
from schemas.failures import Reason
from schemas.registry import EventData
from schemas.types.acts import ReplayRequested
from schemas.types.approvals import ApprovalGranted, ApprovalRefused, ApprovalSentBack
from schemas.types.permits import PermitApplied
from schemas.types.requests import (
    RequestAcknowledged,
    RequestCommented,
    RequestForwarded,
    RequestMerged,
    RequestRated,
    RequestReopened,
    RequestSubmitted,
    RequestWithdrawn,
)
from schemas.types.workorders import (
    WorkOrderAccepted,
    WorkOrderCompleted,
    WorkOrderDeclined,
    WorkOrderDefectFound,
    WorkOrderInspected,
    WorkOrderStarted,
    WorkOrderSuspended,
)
from schemas.values import Money
from services.casebook import telling
from services.casebook.database import writer_engine
from services.casebook.entry import entry_of
from services.casebook.projection import apply
from services.workflows.repair import joint as repair_module
from tests.casebook.tables import contents, fill, one_topic_first, rows
from tests.support.logbook import PERSONAL, Logbook

CITY: City = load_city(city_path("denpasar"))
SERVICE, AREA = "road-damage", "51.71.01.1005"
CITIZENS = CITY.citizens_channel
HOLDER, SECOND = CITY.candidates(SERVICE, AREA)[:2]
WARD = CITY.inspector_of(AREA)
REQUEST = RequestSubmitted(service_code=SERVICE, area=AREA)
CHEAP, DEAR = Money(amount="1000", currency="IDR"), Money(amount="900000000000", currency="IDR")


@pytest.fixture
def logbook() -> Logbook:
    return Logbook(CITY)


def case(engine: Engine, logbook: Logbook, name: str | int = 1) -> dict[str, Any]:
    found = [row for row in rows(engine, "cases") if row["id"] == logbook.case_id(name)]
    assert found, "the case has no row"
    return found[0]


def line(engine: Engine, logbook: Logbook, name: str | int = 1) -> list[dict[str, Any]]:
    return [row for row in rows(engine, "timeline") if row["case_id"] == logbook.case_id(name)]


STEPS: list[tuple[str, EventData, str, str | None]] = [
    (CITIZENS, REQUEST, "forwarded", HOLDER),
    (HOLDER, RequestAcknowledged(estimate=DEAR), "awaiting_approval", CITY.approver),
    (CITY.approver, ApprovalGranted(amount=DEAR), "ordered", HOLDER),
    (HOLDER, WorkOrderDeclined(reason="No crew"), "ordered", SECOND),
    (SECOND, WorkOrderAccepted(), "accepted", SECOND),
    (SECOND, WorkOrderStarted(), "in_progress", SECOND),
    (SECOND, WorkOrderSuspended(reason="Rain", responsible=HOLDER), "suspended", HOLDER),
    (SECOND, WorkOrderStarted(), "in_progress", SECOND),
    (SECOND, WorkOrderCompleted(cost=CHEAP), "completed", WARD),
    (WARD, WorkOrderDefectFound(description="Still a hole"), "ordered", SECOND),
    (SECOND, WorkOrderAccepted(), "accepted", SECOND),
    (SECOND, WorkOrderCompleted(cost=CHEAP), "completed", WARD),
    (WARD, WorkOrderInspected(), "resolved", CITIZENS),
    (CITIZENS, RequestReopened(reason="It is back"), "ordered", SECOND),
    (SECOND, WorkOrderAccepted(), "accepted", SECOND),
    (SECOND, WorkOrderCompleted(), "completed", WARD),
    (WARD, WorkOrderInspected(), "resolved", CITIZENS),
    (CITIZENS, RequestRated(score=4), "closed", None),
]


@pytest.mark.parametrize("count", range(1, len(STEPS) + 1))
def test_a_case_is_in_the_state_that_the_log_tells(tmp_path: Any, logbook: Logbook, count: int) -> None:
    for agency, data, _, _ in STEPS[:count]:
        logbook.say(agency, data, case=1)
    engine = writer_engine(f"sqlite:///{tmp_path}/c.sqlite3")
    fill(engine, logbook)
    found = case(engine, logbook)
    assert (found["state"], found["holder"]) == STEPS[count - 1][2:]
    engine.dispose()


def test_a_case_tells_what_it_cost_who_had_it_and_by_when(writing: Engine, logbook: Logbook) -> None:
    for agency, data, _, _ in STEPS:
        logbook.say(agency, data, case=1)
    fill(writing, logbook)
    found = case(writing, logbook)
    assert found["outcome"] == "rated"
    assert (found["estimate_amount"], found["estimate_currency"]) == (DEAR.amount, "IDR")
    assert (found["cost_amount"], found["cost_currency"]) == ("1000", "IDR")
    assert found["parties"].split(",") == sorted({CITIZENS, HOLDER, SECOND, WARD, CITY.approver})
    assert (found["workflow"], found["agency"], found["opened_by"]) == ("repair@2", SECOND, CITIZENS)
    assert found["opened_at"] == "2026-11-24T08:00:01.000000Z"
    assert found["due_at"] == "2026-12-04T08:30:00.000000Z", "the close of the 8th working day"
    assert found["closed_at"] is not None
    assert found["held_since"] is None
    entries = line(writing, logbook)
    assert [entry["seq"] for entry in entries] == list(range(1, found["events"] + 1))
    assert [entry["causationid"] for entry in entries[1:3]] == [entries[0]["event_id"], None]


def random_log(seed: int, events: int = 60, cases: int = 4) -> Logbook:
    """Agencies say what comes to their minds, most of it out of place: the workflow refuses what it must."""
    choice = random.Random(seed)
    logbook = Logbook(CITY)
    sayings: list[tuple[list[str], EventData]] = [
        ([CITIZENS], REQUEST),
        ([CITIZENS], REQUEST),
        ([HOLDER, SECOND], RequestAcknowledged(estimate=CHEAP)),
        ([HOLDER], RequestAcknowledged(estimate=DEAR)),
        ([HOLDER], RequestForwarded(agency=SECOND, service_code=SERVICE, area=AREA, reason="theirs")),
        ([CITY.approver, HOLDER], ApprovalGranted(amount=DEAR, decided_by=PERSONAL["name"])),
        ([CITY.approver], ApprovalSentBack(reason="too dear")),
        ([CITY.approver], ApprovalRefused(reason="no money")),
        ([HOLDER, SECOND], WorkOrderAccepted()),
        ([HOLDER, SECOND], WorkOrderAccepted()),
        ([HOLDER, SECOND], WorkOrderDeclined(reason="no crew")),
        ([HOLDER, SECOND], WorkOrderStarted()),
        ([HOLDER, SECOND], WorkOrderSuspended(reason="rain")),
        ([HOLDER, SECOND], WorkOrderCompleted(cost=CHEAP)),
        ([HOLDER, SECOND], WorkOrderCompleted()),
        ([WARD], WorkOrderInspected(inspector=PERSONAL["name"])),
        ([WARD], WorkOrderDefectFound(description="a hole")),
        ([CITIZENS], RequestRated(score=3)),
        ([CITIZENS], RequestReopened(reason="still there")),
        ([CITIZENS, HOLDER], RequestCommented(text="hello", author=PERSONAL["name"])),
        ([CITIZENS], RequestWithdrawn()),
        ([CITIZENS], RequestMerged(into=logbook.case_id("other"))),
        (["operations"], ReplayRequested()),
    ]
    for _ in range(events):
        agencies, data = choice.choice(sayings)
        logbook.say(choice.choice(agencies), data, case=choice.randrange(cases))
        if choice.random() < 0.3:
            logbook.catch_up()
            logbook.busy = choice.random() < 0.7
        if choice.random() < 0.1:
            logbook.catch_up()
            logbook.wait(timedelta(days=choice.randrange(1, 12)))
    logbook.catch_up()
    return logbook


def interleaved(records: list[Record], seed: int) -> list[Record]:
    """Each partition in its order, the partitions in any."""
    choice = random.Random(seed)
    queues: dict[tuple[str, int], list[Record]] = {}
    for record in records:
        queues.setdefault((record.topic, record.partition), []).append(record)
    found = []
    while queues:
        place = choice.choice(sorted(queues))
        found.append(queues[place].pop(0))
        if not queues[place]:
            del queues[place]
    return found


READINGS: dict[str, Callable[[list[Record], int], list[Record]]] = {
    "as it was written": lambda records, seed: records,
    "the refusals first": lambda records, seed: one_topic_first(records, REJECTED),
    "the refusals last": lambda records, seed: one_topic_first(records, EVENTS),
    "partitions in any order": interleaved,
}


@settings(max_examples=40, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(seed=st.integers(0, 10**6), portion=st.integers(1, 80), reading=st.sampled_from(sorted(READINGS)))
def test_the_same_log_gives_the_same_rows_however_it_is_read(
    tmp_path_factory: pytest.TempPathFactory, seed: int, portion: int, reading: str
) -> None:
    logbook = random_log(seed)
    engine = writer_engine(f"sqlite:///{tmp_path_factory.mktemp('same')}/c.sqlite3")
    fill(engine, logbook, portion=10_000)
    at_once = contents(engine)
    fill(engine, logbook, portion=portion, records=READINGS[reading](logbook.records, seed))
    again = contents(engine)
    engine.dispose()
    assert again == at_once


def test_a_rebuild_gives_the_same_rows(writing: Engine) -> None:
    logbook = random_log(1, events=200)
    fill(writing, logbook, portion=13)
    before = contents(writing)
    fill(writing, logbook, portion=1000)
    assert contents(writing) == before
    assert before["cases"]
    assert before["rejected"]
    assert any(row["refusal_id"] for row in rows(writing, "timeline"))


@settings(max_examples=40, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(seed=st.integers(0, 10**6))
def test_the_casebook_ends_where_the_workflow_ends(tmp_path_factory: pytest.TempPathFactory, seed: int) -> None:
    """The casebook repeats no rule of the workflow, and still agrees with it, since refusals count."""
    logbook = random_log(seed)
    engine = writer_engine(f"sqlite:///{tmp_path_factory.mktemp('ends')}/c.sqlite3")
    fill(engine, logbook)
    states = {row["id"]: row["state"] for row in rows(engine, "cases")}
    engine.dispose()
    same = {"awaiting_inspection": {"completed"}, "awaiting_approval": {"awaiting_approval", "approval_expired"}}
    for name in range(4):
        expected = logbook.state(name)
        found = states.get(logbook.case_id(name))
        assert (found is None) == (expected is None), (name, found, expected)
        if expected is not None:
            assert found in same.get(expected, {expected, "cancelled"}), (name, found, expected)


@pytest.mark.parametrize("first", [EVENTS, REJECTED])
@pytest.mark.parametrize("portion", [1, 1000])
def test_what_a_case_refused_counts_for_nothing(writing: Engine, logbook: Logbook, first: str, portion: int) -> None:
    logbook.repair(1, service=SERVICE, area=AREA, steps=2)
    logbook.say(SECOND, WorkOrderCompleted(cost=DEAR), case=1)  # it is not their order
    fill(writing, logbook, portion=portion, records=one_topic_first(logbook.records, first))
    found = case(writing, logbook)
    assert (found["state"], found["cost_amount"]) == ("ordered", None)
    assert SECOND not in found["parties"].split(",")
    [refused] = [entry for entry in line(writing, logbook) if entry["refusal_id"]]
    assert refused["type"] == "subak.workorder.completed.v1"
    [rejection] = rows(writing, "rejected")
    assert (rejection["id"], rejection["rejected_by"]) == (refused["refusal_id"], "workflows")


@pytest.mark.parametrize("portion", [1, 1000])
def test_what_the_router_could_not_route_counts_all_the_same(writing: Engine, logbook: Logbook, portion: int) -> None:
    logbook.repair(1, service=SERVICE, area=AREA, steps=3)
    reason = Reason("not_routed", "event", "the router could not read it", "See the router's log.")
    accepted = next(record for record in logbook.records if record_type(record) == "subak.workorder.accepted.v1")
    logbook.refuse(accepted, [reason], None, by="router")
    fill(writing, logbook, portion=portion)
    assert case(writing, logbook)["state"] == "accepted"
    assert [row["rejected_by"] for row in rows(writing, "rejected")] == ["router"]


@pytest.mark.parametrize("first", [EVENTS, REJECTED])
def test_an_event_of_an_unknown_case_opens_none(writing: Engine, logbook: Logbook, first: str) -> None:
    logbook.say(HOLDER, WorkOrderStarted(), case=1)
    fill(writing, logbook, portion=1, records=one_topic_first(logbook.records, first))
    assert rows(writing, "cases") == []
    logbook.say(CITIZENS, REQUEST, case=1)
    fill(writing, logbook, portion=1, records=one_topic_first(logbook.records, first))
    assert [entry["seq"] for entry in line(writing, logbook)] == [1, 2, 3], "the stray event keeps its place"
    assert case(writing, logbook)["events"] == 3


def test_a_type_that_is_not_known_is_a_line_of_the_timeline_and_no_more(writing: Engine, logbook: Logbook) -> None:
    logbook.say(CITIZENS, REQUEST, case=1)
    new = Event(
        id="new-1", type="subak.request.blessed.v1", source=CITY.source_of(HOLDER), subject=logbook.case_id(1),
        time="2026-11-24T17:00:00+08:00", data=b'{"by":"Ni Wayan Rahasia"}',
    )  # fmt: skip
    logbook.append(Record(EVENTS, logbook.records[0].partition, 0, 0, new.key, new.data, new.headers()))
    fill(writing, logbook)
    assert case(writing, logbook)["state"] == "forwarded"
    last = line(writing, logbook)[-1]
    assert (last["type"], last["data"]) == ("subak.request.blessed.v1", None)
    assert "no such type" in last["withheld"]


def test_a_case_of_a_kind_that_the_casebook_was_told_nothing_of_is_shown_with_its_timeline(
    writing: Engine, logbook: Logbook, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.delitem(telling._openers, PermitApplied.registered.name)
    monkeypatch.setattr(telling, "_tellers", {})
    logbook.say(CITIZENS, PermitApplied(service_code="building-permit", area=AREA, title="A wall"), case=1)
    fill(writing, logbook)
    found = case(writing, logbook)
    assert (found["kind"], found["title"], found["state"]) == ("permit", "A wall", "submitted")
    assert found["holder"] == CITIZENS
    assert line(writing, logbook)[0]["type"] == PermitApplied.registered.name


@pytest.mark.parametrize(
    "headers",
    [[], [("ce_id", b"\xff")], [("ce_id", b"1"), ("ce_type", None)], [("ce_subject", b"\xff\x00"), ("ce_id", b"1")]],
)
def test_a_record_that_is_no_event_is_passed_over(
    writing: Engine, logbook: Logbook, headers: list[tuple[str, bytes | None]]
) -> None:
    logbook.say(CITIZENS, REQUEST, case=1)
    before = len(logbook.records)
    for topic in (EVENTS, REJECTED):
        logbook.append(Record(topic, 0, 0, 0, None, None, headers))
        logbook.append(Record(topic, 0, 0, 0, b"k", b"[" * 200_000, headers))
    logbook.say(HOLDER, RequestAcknowledged(), case=1)
    fill(writing, logbook)
    assert len(rows(writing, "timeline")) == len(logbook.records) - 4
    assert before < len(logbook.records)


def test_data_of_another_form_than_the_schema_says_harms_nothing(writing: Engine, logbook: Logbook) -> None:
    logbook.say(CITIZENS, REQUEST, case=1)
    number = logbook.records[0].partition
    strange: list[Any] = [None, 1, [], {"agency": 5, "amount": "x", "step": "y", "due": 1, "cost": {"amount": 1}}]
    for type_ in sorted({record_type(record) for record in random_log(3).records}):
        for data in strange:
            event = Event(
                id="s", type=type_, source="urn:subak:denpasar:finance", subject=logbook.case_id(1), time="yesterday",
                data=msgspec.json.encode(data),
            )  # fmt: skip
            logbook.append(Record(EVENTS, number, 0, 0, event.key, event.data, event.headers()))
    fill(writing, logbook)
    assert len(line(writing, logbook)) == len(logbook.records)


def record_type(record: Record) -> str:
    return next(value for name, value in record.headers if name == "ce_type" and value is not None).decode()


def test_a_parked_case_is_marked_until_its_replay(
    writing: Engine, logbook: Logbook, monkeypatch: pytest.MonkeyPatch
) -> None:
    def defect(*_: Any, **__: Any) -> Any:
        raise ZeroDivisionError("a defect in the workflow")

    logbook.say(CITIZENS, REQUEST, case=1)
    monkeypatch.setattr(repair_module, "order", defect)
    failed = logbook.say(HOLDER, RequestAcknowledged(), case=1)
    logbook.say(HOLDER, WorkOrderAccepted(), case=1)
    fill(writing, logbook)
    found = case(writing, logbook)
    assert found["parked_event_id"] == failed.id
    assert found["parked_event_type"] == "subak.request.acknowledged.v1"
    assert "a defect in the workflow" in found["parked_error"]
    logbook.say("operations", ReplayRequested(), case=1)
    fill(writing, logbook)
    assert case(writing, logbook)["parked_at"] is not None, "it failed again, so it waits again"
    monkeypatch.undo()
    logbook.busy = True
    logbook.say("operations", ReplayRequested(), case=1)
    fill(writing, logbook)
    assert case(writing, logbook)["parked_at"] is not None, "asked for, and the stage that would see to it is away"
    logbook.catch_up()
    fill(writing, logbook)
    found = case(writing, logbook)
    assert (found["parked_at"], found["parked_error"], found["parked_seq"]) == (None, None, None)
    last = line(writing, logbook)[-1]
    assert (last["type"], json.loads(last["data"])["events"]) == ("subak.case.replayed.v1", 2), "its word is the last"
    for portion in (1, 3):
        fill(writing, logbook, portion=portion)
        assert case(writing, logbook) == found
    assert found["state"] == logbook.state(1) == "accepted"


def test_an_event_that_waited_in_a_parked_case_and_was_then_refused_counts_for_nothing(
    writing: Engine, logbook: Logbook, monkeypatch: pytest.MonkeyPatch
) -> None:
    logbook.say(CITIZENS, REQUEST, case=1)
    monkeypatch.setattr(repair_module, "order", lambda *_, **__: 1 / 0)
    logbook.say(HOLDER, RequestAcknowledged(), case=1)
    logbook.say(SECOND, WorkOrderCompleted(), case=1)
    logbook.say(SECOND, WorkOrderStarted(), case=1)
    monkeypatch.undo()
    logbook.say("operations", ReplayRequested(), case=1)
    fill(writing, logbook)
    assert case(writing, logbook)["state"] == "ordered"
    assert [entry["type"].split(".")[2] for entry in line(writing, logbook) if entry["refusal_id"]] == [
        "completed",
        "started",
    ]
    assert len(rows(writing, "rejected")) == 2


def test_an_agency_that_does_not_wait_for_the_order_is_understood(writing: Engine, logbook: Logbook) -> None:
    """Its next events stand in the log before the consequences of the first, and count behind them."""
    logbook.say(CITIZENS, REQUEST, case=1)
    logbook.busy = True
    for data in (RequestAcknowledged(), WorkOrderAccepted(), WorkOrderStarted()):
        logbook.say(HOLDER, data, case=1)
    logbook.catch_up()
    for portion in (1, 1000):
        fill(writing, logbook, portion=portion)
        assert case(writing, logbook)["state"] == logbook.state(1) == "in_progress"
    types = [entry["type"].split(".")[2] for entry in line(writing, logbook)]
    assert types[2:] == ["acknowledged", "accepted", "started", "assigned", "issued"], "the timeline is the log's order"


def test_applied_twice_is_applied_once() -> None:
    logbook = random_log(5, cases=1)
    found = None
    for seq, record in enumerate((record for record in logbook.records if record.topic == EVENTS), 1):
        read = entry_of(record, seq)
        assert read is not None
        found = apply(found, *read)
        once = msgspec.json.encode(found)
        found = apply(found, *read)
        assert msgspec.json.encode(found) == once
