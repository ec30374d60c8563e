"""The same rules over the log give the same course, whatever was on its way when, and however late a stage was."""

from __future__ import annotations

from datetime import timedelta
from typing import Any

from hypothesis import given, settings
from hypothesis import strategies as st

from schemas.types.requests import RequestAcknowledged, RequestRated
from services.workflows.catalogue import WORKFLOWS
from services.workflows.simulation import Report, Simulation, in_order
from tests.support.in_flight import InFlight
from tests.workflows.test_in_flight import CITIZENS, CITY, FIRST, MOVES, REPORT, Street, acts, slow

TICK = timedelta(milliseconds=1)


def simulated(city: InFlight) -> Report:
    """The log of a bus, played again by the rules that made it."""
    simulation = Simulation(CITY, WORKFLOWS, only=WORKFLOWS["repair@2"])
    simulation.take(in_order(record for log in city.logs for record in log))
    return simulation.report()


def fired(city: InFlight) -> None:
    """Whatever is due by now has fired: a stage that is there does so at once."""
    while any(at <= city.now for logic in city.logics if (at := logic.next_due()) is not None):
        city.fire()


def settled(city: InFlight) -> None:
    """All arrives, one move after the other."""
    while moves := city.moves():
        city.now += TICK
        city.move(moves[0])
        fired(city)


@settings(slow, max_examples=60)
@given(st.lists(st.tuples(acts, MOVES), min_size=4, max_size=20))
def test_the_same_rules_over_whatever_was_on_its_way_change_nothing(said: list[tuple[Any, list[int]]]) -> None:
    street = Street()
    for act, moves in said:
        street.now += TICK
        street.act(*act)
        for move in moves:
            street.now += TICK
            street.go_on(move)
            fired(street)
    settled(street)
    assert simulated(street).differences == ()


def test_who_rates_before_it_has_heard_that_the_other_is_rated_is_not_told_as_a_difference() -> None:
    street = Street()
    for _ in range(2):
        street.act(REPORT, 0, 0)
        settled(street)
    first, follower = street.ids
    assert street.case(follower).state == "following"
    for place in (0, 1, 3, 4):  # acknowledged, accepted, completed, inspected
        street.now += TICK
        street.act(street.ids.index(first), place, 0)
        settled(street)
    for id in (first, follower):
        street.now += TICK
        street.say(CITIZENS, RequestRated(score=4), id)
    settled(street)
    assert simulated(street).differences == ()


def test_a_deadline_that_came_a_day_late_is_played_when_it_came() -> None:
    street = Street()
    street.act(REPORT, 0, 0)
    settled(street)
    due = min(at for logic in street.logics if (at := logic.next_due()) is not None)
    street.now = due + timedelta(days=1)
    street.say(FIRST, RequestAcknowledged(), street.ids[0])  # while the stage was away
    street.fire()
    settled(street)
    assert street.case(street.ids[0]).state == "ordered"
    report = simulated(street)
    assert (report.breaches_then, report.breaches_now, report.differences) == (0, 0, ())
