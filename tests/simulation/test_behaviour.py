"""An agency's reactions are a pure, total function, and every talk that they lead to ends in a closed case."""

from __future__ import annotations

import json
from collections import Counter

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from deploy.simulation import behaviour
from deploy.simulation.behaviour import Habits, Heard, SimulatedAgency, Told, random_for, react
from deploy.simulation.counts import count
from deploy.simulation.roster import roster
from schemas.registry import registry
from tests.simulation.in_memory import InMemoryCity, denpasar

CITY, BOOK = denpasar()
AGENCIES = roster(CITY, BOOK)
CASE = "01900000-0000-7000-8000-000000000001"
POSTS_MAX = 5
"""Accepted, started, suspended, started, completed: the longest answer to one event."""

scalars = st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False) | st.text(max_size=8)
payloads = st.dictionaries(
    st.sampled_from(["agency", "service_code", "amount", "estimate", "reasons", "event_id", "x"]),
    scalars | st.just({"amount": "1000", "currency": "IDR"}),
    max_size=4,
)
types = st.sampled_from([event_type.name for event_type in registry] + ["subak.nonsense.happened.v9"])


@st.composite
def heard_events(draw: st.DrawFn) -> Heard:
    """Any event that could ever reach an agency's webhook, sensible or not."""
    data = draw(payloads)
    if not isinstance(data.get("amount"), dict):
        data.pop("amount", None)
    return Heard(
        id=draw(st.uuids()).hex,
        type=draw(types),
        source="urn:subak:denpasar:workflows",
        case=CASE,
        time="2026-11-24T08:00:00+08:00",
        data=data,
        recipient=draw(st.none() | st.sampled_from(sorted(AGENCIES))),
        jurisdiction=draw(st.none() | st.sampled_from(sorted(CITY.areas)) | st.text(max_size=5)),
    )


@settings(max_examples=200, deadline=None)
@given(st.sampled_from(sorted(AGENCIES)), st.lists(heard_events(), max_size=8), st.integers(0, 5))
def test_any_sequence_of_events_gives_a_bounded_number_of_valid_posts(
    agency_id: str, events: list[Heard], seed: int
) -> None:
    agency = AGENCIES[agency_id]
    file: list[Told] = []
    for nth, event in enumerate(events):
        posts = react(agency, event, random_for(seed, CASE, agency_id, event.type, nth), tuple(file))
        assert len(posts) <= POSTS_MAX
        assert [delay for delay, _ in posts] == sorted(delay for delay, _ in posts)
        file.append(Told(event.type, event.data))
        for _, post in posts:
            if post.data.get("amount", {}) is not None:
                registry.get(post.type).read_strictly(json.dumps(post.data).encode())
            file.append(Told(post.type, post.data))


@given(heard_events(), st.sampled_from(sorted(AGENCIES)), st.integers(0, 3))
@settings(max_examples=100, deadline=None)
def test_the_same_seed_decides_the_same(event: Heard, agency_id: str, nth: int) -> None:
    agency = AGENCIES[agency_id]
    first, second = (react(agency, event, random_for(7, CASE, agency_id, event.type, nth)) for _ in range(2))
    assert first == second


def test_an_agency_leaves_alone_what_is_addressed_to_another() -> None:
    agency = SimulatedAgency(id="public-works")
    for event_type in (behaviour.FORWARDED, behaviour.ISSUED, behaviour.APPROVAL_REQUESTED, behaviour.COMPLETED):
        event = Heard(
            id="e", type=event_type, source="s", case=CASE, time="t", data={}, recipient="transport", jurisdiction="a"
        )
        assert react(agency, event, random_for(1, CASE, agency.id, event_type, 0)) == []


@pytest.mark.parametrize(
    "habits",
    [
        Habits(),
        Habits(**dict.fromkeys(Habits.__dataclass_fields__, 1.0)),
        Habits(**dict.fromkeys(Habits.__dataclass_fields__, 0.0)),
        Habits(
            refuse=0.0, no_estimate=0.0, withdraw=0.0, decline=0.0, send_back=1.0, defect=1.0, reopen=1.0, suspend=1.0
        ),
    ],
    ids=["usual", "all_at_once", "never", "every_loop"],
)
def test_every_case_ends_closed_whatever_the_agencies_habits(habits: Habits) -> None:
    city = InMemoryCity(habits=habits)
    city.play(60, steps_max=60 * 60)
    counts = count(city.city, city.ledgers())
    city.close()
    assert counts.closed == counts.accepted == 60
    assert counts.clean
    if not (habits.decline or habits.refuse or habits.withdraw):
        assert counts.outcomes == {"rated": 60}  # each loop is taken once, not until the workflow gives up


def test_a_run_of_300_requests_shows_every_way_that_a_case_can_take() -> None:
    city = InMemoryCity()
    city.play(300)
    ledgers = city.ledgers()
    city.close()
    said = Counter(sent.type for ledger in ledgers.values() for sent in ledger.sent)
    for event_type in (
        behaviour.SENT_BACK,
        behaviour.GRANTED,
        behaviour.APPROVAL_REFUSED,
        behaviour.DECLINED,
        behaviour.SUSPENDED,
        behaviour.DEFECT_FOUND,
        behaviour.REOPENED,
        behaviour.WITHDRAWN,
        behaviour.COMMENTED,
    ):
        assert said[event_type], f"no {event_type} in 300 cases: {said}"
    outcomes = count(city.city, ledgers).outcomes
    assert set(outcomes) >= {"rated", "refused", "withdrawn"}


def test_the_same_seed_gives_the_same_run_and_another_seed_another() -> None:
    runs = []
    for seed in (1, 1, 2):
        city = InMemoryCity(seed=seed)
        city.play(40)
        runs.append(
            sorted(
                (agency, sent.case, sent.type, sent.data)
                for agency, ledger in city.ledgers().items()
                for sent in ledger.sent
            )
        )
        city.close()
    assert runs[0] == runs[1]
    assert runs[0] != runs[2]
