"""What the demo shows and tells comes from the agencies' databases, and where an open case stands."""

from __future__ import annotations

import io
import json
from collections.abc import Iterator
from dataclasses import replace

import pytest
from rich.console import Console

from deploy.simulation.behaviour import APPROVAL_REQUESTED, GRANTED
from deploy.simulation.counts import count
from deploy.simulation.timeline import essence, telling_cases, timeline
from deploy.simulation.watch import STAGES, Watch
from services.cli.demo_progress import Display
from services.cli.demo_report import Outcome, last_line, print_report, troubles
from tests.simulation.in_memory import InMemoryCity


@pytest.fixture(scope="module")
def run() -> Iterator[InMemoryCity]:
    """A spotless run of 60 requests."""
    city = InMemoryCity()
    city.play(60)
    yield city
    city.close()


def outcome_of(run: InMemoryCity, **stuck: str) -> Outcome:
    """The run's outcome."""
    ledgers = run.ledgers()
    return Outcome(run.city, ledgers, count(run.city, ledgers), "4.3.1", stuck)


def test_a_timeline_tells_every_event_of_the_case_after_its_cause(run: InMemoryCity) -> None:
    ledgers = run.ledgers()
    for case in run.cases:
        entries = timeline(run.city, ledgers, case)
        seen: set[str] = set()
        for entry in entries:
            if entry.cause is not None:
                assert entry.cause in seen, f"{entry.type} stands before its cause"
            seen.add(entry.event_id)
        assert entries[0].type == "subak.request.submitted.v1"
        assert entries[-1].type in (
            "subak.request.closed.v1",
            "subak.workorder.cancelled.v1",
            "subak.event.rejected.v1",
        )


def test_the_two_cases_that_are_told_are_one_with_an_approval_and_one_that_went_another_way(run: InMemoryCity) -> None:
    ledgers = run.ledgers()
    first, second = telling_cases(ledgers, run.cases)
    assert first != second
    assert {APPROVAL_REQUESTED, GRANTED} <= {entry.type for entry in timeline(run.city, ledgers, first)}
    other_ways = ("escalated", "declined", "defectfound", "reopened")
    assert any(way in entry.type for entry in timeline(run.city, ledgers, second) for way in other_ways)


def test_money_and_words_are_told_in_brief() -> None:
    data = {"amount": {"amount": "1250000", "currency": "IDR"}, "reason": "No money.", "agency": "x"}
    assert essence(data) == "amount IDR 1,250,000 · “No money.”"
    assert essence({}) == ""


def test_the_watch_sees_every_stage_and_when_all_is_done(run: InMemoryCity) -> None:
    watch = Watch(list(run.records.values()), run.cases)
    at_first = watch.finished
    assert not at_first, "posts that were all answered before it looked are no end of their cases"
    standing = watch.look()
    assert standing.reached("submitted") == standing.reached("closed") == 60
    assert all(standing.reached(stage) for stage in STAGES)
    assert watch.finished
    heard = sum(len(ledger.heard) for ledger in run.ledgers().values())
    assert standing.heard == heard
    assert watch.look().heard == heard  # nothing is counted twice


def test_progress_off_a_terminal_is_a_plain_line(run: InMemoryCity) -> None:
    out = io.StringIO()
    watch = Watch(list(run.records.values()), run.cases)
    display = Display(Console(file=out, width=120), watch, 60)
    with display.shown():
        watch.look()
        display.update()
    assert "submitted 60, closed 60 of 60" in out.getvalue()


def test_the_report_of_a_good_run_names_what_people_ask_for(run: InMemoryCity) -> None:
    out = io.StringIO()
    print_report(Console(file=out, width=160), outcome_of(run))
    text = out.getvalue()
    for part in (
        "lost 0",
        "duplicated 0",
        "out of order 0",
        "closed 60 of 60",
        "p50",
        "Kelurahan (16)",
        "closed, rated",
    ):
        assert part in text
    assert "What was refused" not in text
    assert troubles(outcome_of(run)) == []


def test_what_was_refused_is_told_with_its_reason_and_counted(run: InMemoryCity) -> None:
    ledgers = run.ledgers()
    finance = ledgers[run.city.approver]
    late = [replace(sent, state="refused", problem="the case [1] is closed") for sent in finance.sent]
    ledgers[run.city.approver] = replace(finance, sent=tuple(late))
    out = io.StringIO()
    print_report(Console(file=out, width=160), Outcome(run.city, ledgers, count(run.city, ledgers), "4.3.1", {}))
    assert "the case [1] is closed" in out.getvalue()
    assert f"{len(late)} refused with a reason" in out.getvalue()


def test_a_stuck_case_is_named_with_where_it_stands(run: InMemoryCity) -> None:
    lines = troubles(outcome_of(run, **{"some-case": "after workorder.issued, with transport"}))
    assert lines == ["not closed: case some-case: after workorder.issued, with transport"]


def test_the_json_object_has_exactly_what_is_promised(run: InMemoryCity) -> None:
    found = json.loads(last_line(outcome_of(run)))
    assert list(found) == [
        "submitted",
        "accepted",
        "rejected",
        "cases",
        "closed",
        "lost",
        "duplicated",
        "out_of_order",
        "lifecycles_per_second",
        "latency_ms",
        "kafka_version",
    ]
    assert list(found["latency_ms"]) == ["p50", "p99"]
    assert 0 < found["latency_ms"]["p50"] <= found["latency_ms"]["p99"]
    assert found["submitted"] == found["closed"] == 60
