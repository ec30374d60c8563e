"""A sick handler harms its own case only, whatever its sickness: it raises, sends without end, or never returns."""

from __future__ import annotations

import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from typing import Any

import msgspec
import pytest

from bus.city import load_city
from bus.city.load import city_path
from bus.city.model import OPERATIONS
from schemas.envelope import Event
from schemas.example_files import examples_of
from schemas.identifiers import derived_id
from schemas.registry import EventType, registry
from schemas.types.acts import (
    CorrectionRequested,
    DiscardRequested,
    EventDiscarded,
    ReplayRequested,
    ResendRequested,
)
from schemas.types.cases import CaseParked, CaseWarned, Message, MessageRefused, TimerFired
from schemas.types.requests import RequestAcknowledged, RequestSubmitted
from services.workflows.catalogue import WORKFLOWS
from services.workflows.logic import Workflows
from services.workflows.repair import joint
from services.workflows.watch import EXIT_STUCK, Watch
from tests.services.test_repair import AREA, CITIZENS, CITY, FIRST, SERVICE
from tests.support.matter import Matter

SECONDS_MAX = 0.3


@pytest.fixture
def matter() -> Iterator[Matter]:
    """A request that has been submitted, under a watch that is short of patience."""
    found = Matter(CITY)
    watch = Watch(SECONDS_MAX)
    found.logic = Workflows(0, city=CITY, workflows=WORKFLOWS, watch=watch)
    found.say(CITIZENS, RequestSubmitted(service_code=SERVICE, area=AREA))
    watch.start()
    yield found
    watch.stop()


def raises(*_: Any, **__: Any) -> Any:
    raise RecursionError("round and round")


def never_returns(*_: Any, **__: Any) -> Any:
    while True:
        pass


def sleeps(*_: Any, **__: Any) -> Any:
    time.sleep(3600)


def sends_ten_thousand(case: Any, agency: str, step: Any, **_: Any) -> Any:
    for _number in range(10_000):
        step.emit(CaseWarned(target="resolve", agency=agency, due=step.after(CITY.services[SERVICE].rate_within)))
    return case


@pytest.mark.parametrize(
    ("handler", "why"),
    [
        (raises, "round and round"),
        (never_returns, "took more than 0.3 s"),
        (sleeps, "took more than 0.3 s"),
        (sends_ten_thousand, "sends more than 1000 events"),
    ],
)
def test_a_sick_handler_parks_its_case_says_why_and_stops_nobody_else(
    matter: Matter, monkeypatch: pytest.MonkeyPatch, handler: Callable[..., Any], why: str
) -> None:
    before = matter.case()
    with monkeypatch.context() as sick:
        sick.setattr(joint, "order", handler)
        matter.say(FIRST, RequestAcknowledged())
    assert why in matter.said(CaseParked).error
    assert matter.case() == before, "what it did so far counts"
    other = derived_id("another", "case")
    matter.say(CITIZENS, RequestSubmitted(service_code=SERVICE, area=AREA), subject=other)
    assert matter.state(other) == "forwarded"
    matter.say(OPERATIONS, ReplayRequested())
    assert (matter.state(), matter.logic.memory.parked) == ("ordered", {})


def test_a_decision_in_time_is_left_alone_however_long_the_watch_looks(matter: Matter) -> None:
    for number in range(3):
        id = derived_id("one of many", str(number))
        matter.say(CITIZENS, RequestSubmitted(service_code=SERVICE, area=AREA), subject=id)
        time.sleep(SECONDS_MAX / 2)
    assert matter.logic.memory.parked == {}


def test_a_handler_that_cannot_be_broken_off_ends_the_process_and_names_the_case() -> None:
    program = (
        "import signal\n"
        "from services.workflows.watch import Watch\n"
        "watch = Watch(0.1)\n"
        "watch.start()\n"
        "watch.began('the-case', 'the-type')\n"
        "signal.pthread_sigmask(signal.SIG_BLOCK, [signal.SIGALRM])\n"  # as in a library's code that looks at nothing
        "while True: pass\n"
    )
    ended = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, timeout=60, check=False)
    assert ended.returncode == EXIT_STUCK
    assert "decision_stuck" in ended.stdout + ended.stderr
    assert "the-case" in ended.stdout + ended.stderr


# -- events about cases that are not there


@pytest.mark.parametrize("kind", list(registry), ids=lambda kind: kind.name)
def test_every_event_about_a_case_that_is_not_there_opens_it_comes_back_or_means_nothing(kind: EventType) -> None:
    matter = Matter(load_city(city_path("denpasar")))
    data = kind.read(examples_of(kind)[0].encoded)
    by_the_bus = kind.publisher == "bus"
    sender = "workflows" if by_the_bus else FIRST
    event = Event.of(data, source=CITY.source_of(sender), subject=matter.id, time=matter.now.isoformat())
    if isinstance(data, Message):
        event = msgspec.structs.replace(event, recipient="workflows")
    decided = matter.take([event])
    assert matter.logic.memory.parked == {}, "it parks a case that does not exist"
    if kind.name in {workflow.opened_by for workflow in WORKFLOWS.values()}:
        assert matter.case() is not None or matter.refusals(), "it vanished"
    elif isinstance(data, MessageRefused | TimerFired):
        assert decided.counted == {"stale": 1}
    elif isinstance(data, Message):
        assert decided.counted == {"message_refused": 1}
    elif by_the_bus:
        assert decided.counted == {"own": 1}, "the bus does not answer itself"
    elif isinstance(data, ResendRequested | EventDiscarded):
        assert decided.counted == {"noted": 1}, "what concerns rejected events concerns no case"
    else:
        of_parked = isinstance(data, ReplayRequested | DiscardRequested | CorrectionRequested)
        code = "not_parked" if of_parked else "unknown_case"
        assert [reason.code for reason in matter.refusals()[0].reasons] == [code]
