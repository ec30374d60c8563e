"""Whatever is on its way, and whenever the stage is read back: of each pair of neighbours each side is told once.

Each test is a run of acts of agencies with moves between them (`tests/support/in_flight.py`); a restart checks also
that `city-places`, read up to where the stage stood, tells of the same notes and matters.
"""

from __future__ import annotations

from collections import Counter
from datetime import timedelta

from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from bus.city import load_city
from bus.city.load import city_path
from schemas.identifiers import derived_id
from schemas.registry import EventData
from schemas.types.merging import DuplicateFound, RequestSeparated
from schemas.types.requests import RequestAcknowledged, RequestMerged, RequestSubmitted, RequestWithdrawn
from schemas.types.workorders import (
    WorkOrderAccepted,
    WorkOrderClashFound,
    WorkOrderCompleted,
    WorkOrderDeclined,
    WorkOrderDefectFound,
    WorkOrderStarted,
)
from schemas.values import Point
from tests.support.in_flight import CHOICES, InFlight

CITY = load_city(city_path("denpasar"))
AREA = "51.71.01.1005"
WARD = CITY.inspector_of(AREA)
SERVICES = ("road-damage", "clean-water")
OWNER = {service: CITY.candidates(service, AREA)[0] for service in SERVICES}
SAID = (
    RequestAcknowledged(), WorkOrderAccepted(), WorkOrderStarted(), WorkOrderCompleted(),
    WorkOrderDeclined(reason="No."),
)  # fmt: skip
BESIDE = 3
"""Cases at one spot, of both services in turn."""


def told_once(city: InFlight) -> None:
    """No finding was told twice: it has one id, whichever record led to it."""
    kinds = (DuplicateFound.registered.name, WorkOrderClashFound.registered.name)
    findings = Counter(event.id for event in city.events() if event.type in kinds)
    assert [id for id, count in findings.items() if count > 1] == []


def run_of(city: InFlight, run: list[tuple[int, int, list[int]]]) -> list[str]:
    """Three reports at one spot, and what is said about them while messages are on their way."""
    ids = [derived_id("beside", number) for number in range(BESIDE)]
    service = {id: SERVICES[number % len(SERVICES)] for number, id in enumerate(ids)}
    spot = Point(type="Point", coordinates=(115.2126, -8.6705))
    for id in ids:
        city.say(CITY.citizens_channel, RequestSubmitted(service_code=service[id], area=AREA, location=spot), id)
    for which, what, moves in run:
        id = ids[which]
        if what < len(SAID):
            city.say(OWNER[service[id]], SAID[what], id)
        elif what == len(SAID):
            city.say(WARD, WorkOrderDefectFound(description="Again."), id)
        else:
            city.say(CITY.citizens_channel, RequestWithdrawn(), id)
        for move in moves:
            city.go_on(move)
    return ids


ACTS = st.tuples(
    st.integers(0, BESIDE - 1),
    st.one_of(*[st.integers(0, 3)] * 3, st.integers(0, len(SAID) + 1)),
    st.lists(st.one_of(st.integers(0, CHOICES - 1), st.integers(CHOICES - 2, CHOICES - 1)), max_size=6),
)


@settings(deadline=None, max_examples=150, suppress_health_check=[HealthCheck.too_slow, HealthCheck.data_too_large])
@given(st.lists(ACTS, min_size=6, max_size=20))
def test_whatever_is_on_its_way_no_finding_is_told_twice(run: list[tuple[int, int, list[int]]]) -> None:
    city = InFlight(CITY)
    run_of(city, run)
    city.settle()
    told_once(city)
    city.wait(timedelta(days=3))
    city.settle()
    told_once(city)


def test_an_order_that_was_done_before_the_stage_was_read_back_is_told_of_once() -> None:
    """The later record of a matter, not taken yet, must not hide the one that was compared."""
    city = InFlight(CITY, count=1)
    ids = run_of(city, [])
    city.settle()
    for id, service in zip(ids, SERVICES, strict=False):
        for data in SAID[:3]:
            city.say(OWNER[service], data, id)
            city.settle()
    told = [event for event in city.events() if event.type == WorkOrderClashFound.registered.name]
    assert {event.recipient for event in told} == set(OWNER.values())
    city.say(OWNER[SERVICES[0]], SAID[3], ids[0])
    while moves := [move for move in city.moves() if move[0] in ("take", "note")]:
        city.move(moves[0])
    assert [move for move in city.moves() if move[0] == "compare"], "nothing waits to be compared"
    city.restart(0)
    city.settle()
    assert [event.id for event in city.events() if event.type == WorkOrderClashFound.registered.name] == [
        event.id for event in told
    ]


def test_an_order_that_was_cancelled_and_given_again_is_told_of_anew() -> None:
    city = InFlight(CITY, count=1)
    roads, water, other = run_of(city, [])
    city.settle()

    def says(agency: str, data: EventData, id: str) -> None:
        city.now += timedelta(minutes=1)
        city.say(agency, data, id)
        city.settle()

    def told() -> list[str]:
        return [event.id for event in city.events() if event.type == WorkOrderClashFound.registered.name]

    for id, service in ((roads, SERVICES[0]), (water, SERVICES[1])):
        says(OWNER[service], RequestAcknowledged(), id)
    assert len(told()) == 2
    says(CITY.citizens_channel, RequestSeparated(reason="It is another one."), other)
    says(CITY.citizens_channel, RequestMerged(into=other), roads)
    assert city.case(roads).into == other
    says(CITY.citizens_channel, RequestSeparated(reason="It is another one."), roads)
    says(OWNER[SERVICES[0]], RequestAcknowledged(), roads)
    assert len(told()) == 4
    told_once(city)
