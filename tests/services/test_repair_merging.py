"""Requests that tell of one matter: the newer goes on in the older, all reporters hear, and nobody is lost by it."""

from __future__ import annotations

from datetime import timedelta

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from bus.city import load_city
from bus.city.load import city_path
from schemas.registry import EventData
from schemas.types.merging import (
    DuplicateFound,
    RequestFollowed,
    RequestJoined,
    RequestMergeRefused,
    RequestSeparated,
)
from schemas.types.requests import (
    RequestAcknowledged,
    RequestClosed,
    RequestCommented,
    RequestForwarded,
    RequestMerged,
    RequestRated,
    RequestReopened,
    RequestWithdrawn,
)
from schemas.types.workorders import (
    WorkOrderAccepted,
    WorkOrderCancelled,
    WorkOrderCompleted,
    WorkOrderInspected,
    WorkOrderStarted,
)
from tests.support.neighbours import AREA, Neighbours

CITY = load_city(city_path("denpasar"))
CITIZENS = CITY.citizens_channel
SERVICE = "road-damage"
FIRST = CITY.candidates(SERVICE, AREA)[0]
WARD = CITY.inspector_of(AREA)
HERE = (115.2126, -8.6705)
NEAR = (115.2127, -8.6705)
"""11 m further east."""
FAR = (115.2136, -8.6705)
"""110 m further east."""


def heard_of(city: Neighbours, case: str) -> list[str]:
    """What the citizens' channel was told about a case, in order."""
    found = []
    for event in city.events():
        parties = tuple(event.parties.split(",")) if event.parties else ()
        if event.subject == case and CITIZENS in CITY.recipients(
            event.type, event.jurisdiction, event.recipient, parties, CITY.agency_of(event.source)
        ):
            found.append(event.type.removeprefix("subak.request.").removesuffix(".v1"))
    return found


def work(city: Neighbours, case: str, *, until: type[EventData] = WorkOrderInspected) -> None:
    """The agency does the work, and the ward looks at it."""
    for agency, data in (
        (FIRST, RequestAcknowledged()),
        (FIRST, WorkOrderAccepted()),
        (FIRST, WorkOrderStarted()),
        (FIRST, WorkOrderCompleted()),
        (WARD, WorkOrderInspected()),
    ):
        city.say(agency, data, subject=case)
        if isinstance(data, until):
            return


@pytest.fixture
def city() -> Neighbours:
    """Two citizens have reported one pothole, eleven metres apart."""
    found = Neighbours(CITY)
    found.one = found.report(SERVICE, at=HERE)  # type: ignore[attr-defined]
    found.wait(timedelta(hours=1))
    found.two = found.report(SERVICE, at=NEAR)  # type: ignore[attr-defined]
    return found


def pair(city: Neighbours) -> tuple[str, str]:
    return city.one, city.two  # type: ignore[attr-defined]


def test_a_second_report_of_the_same_matter_goes_on_in_the_first(city: Neighbours) -> None:
    one, two = pair(city)
    assert (city.state(one), city.state(two), city.case(two).into) == ("forwarded", "following", one)
    found = city.said(DuplicateFound)
    assert found.from_case == one
    assert found.metres == pytest.approx(11.0, abs=0.1)
    assert city.said(RequestJoined).into == one
    followed, told = city.sent(RequestFollowed)[0]
    assert (followed.subject, told.by_case, told.followers) == (one, two, 1)
    joined = city.sent(RequestJoined)[0][0]
    parties = tuple((joined.parties or "").split(","))
    assert {FIRST, CITIZENS} <= set(CITY.recipients(joined.type, joined.jurisdiction, None, parties, None))
    assert city.refusals() == []


def test_all_reporters_hear_of_everything_that_follows(city: Neighbours) -> None:
    one, two = pair(city)
    work(city, one)
    assert heard_of(city, one) == ["assigned", "resolved"]
    assert heard_of(city, two) == ["joined", "assigned", "resolved"]
    city.say(CITIZENS, RequestReopened(reason="Masih ada."), subject=one)
    for agency, data in (
        (FIRST, WorkOrderAccepted()), (FIRST, WorkOrderCompleted()), (WARD, WorkOrderInspected()),
        (CITIZENS, RequestRated(score=5)),
    ):  # fmt: skip
        city.say(agency, data, subject=one)
    assert heard_of(city, two) == ["joined", "assigned", "resolved", "resolved", "closed"]
    assert (city.state(one), city.state(two)) == ("closed", "closed")
    outcomes = {event.subject: data.outcome for event, data in city.sent(RequestClosed)}
    assert outcomes == {one: "rated", two: "merged"}


@pytest.mark.parametrize(
    ("service", "at"),
    [(SERVICE, FAR), ("drain", NEAR), (SERVICE, None), ("noise", HERE)],
    ids=["too far", "another service", "no place", "a service that is never merged"],
)
def test_what_is_another_matter_is_not_merged(service: str, at: tuple[float, float] | None) -> None:
    city = Neighbours(CITY)
    city.report("noise" if service == "noise" else SERVICE, at=HERE)
    other = city.report(service, at=at)
    assert city.state(other) == "forwarded"
    assert city.sent(DuplicateFound) == []


def test_a_report_after_the_period_is_another_matter(city: Neighbours) -> None:
    assert CITY.nearby is not None
    city.wait(timedelta(days=CITY.nearby.same_matter_days))
    assert city.state(city.report(SERVICE, at=HERE)) == "forwarded"


def test_a_report_of_what_was_settled_is_a_new_matter(city: Neighbours) -> None:
    one, _ = pair(city)
    work(city, one)
    city.say(CITIZENS, RequestRated(score=4), subject=one)
    assert city.state(city.report(SERVICE, at=HERE)) == "forwarded"


def test_work_that_has_begun_is_not_stopped_for_an_older_report() -> None:
    city = Neighbours(CITY)
    one = city.report(SERVICE, at=HERE)
    two = city.report(SERVICE, at=FAR)
    work(city, two, until=WorkOrderStarted)
    late = DuplicateFound(from_case=one, metres=3)
    city.say("places", late, subject=two)
    assert city.state(two) == "in_progress"


# -- undone


def test_a_person_undoes_a_merge_and_it_stays_undone(city: Neighbours) -> None:
    one, two = pair(city)
    city.say(CITIZENS, RequestSeparated(reason="Lubang lain."), subject=two)
    assert (city.state(two), city.case(one).followers) == ("forwarded", ())
    assert city.said(RequestForwarded).reason == "It is another matter: Lubang lain."
    city.say("places", DuplicateFound(from_case=one, metres=11), subject=two)
    assert city.state(two) == "forwarded"
    work(city, one)
    assert "resolved" not in heard_of(city, two), "it still hears of the other"


def test_a_request_that_was_not_merged_cannot_be_parted(city: Neighbours) -> None:
    one, _ = pair(city)
    city.say(CITIZENS, RequestSeparated(reason="?"), subject=one)
    assert [reason.code for reason in city.refusals()[0].reasons] == ["not_merged"]


def test_a_citizen_who_says_that_it_is_not_settled_is_asked_for_anew(city: Neighbours) -> None:
    one, two = pair(city)
    work(city, one)
    city.say(CITIZENS, RequestReopened(reason="Di sini masih."), subject=two)
    assert (city.state(one), city.state(two)) == ("resolved", "forwarded")


# -- by a person


def test_a_person_merges_two_that_lie_apart() -> None:
    city = Neighbours(CITY)
    one, two = city.report(SERVICE, at=HERE), city.report(SERVICE, at=FAR)
    work(city, two, until=WorkOrderStarted)
    city.say(FIRST, RequestMerged(into=one), subject=two)
    assert (city.state(two), city.case(one).followers) == ("following", (two,))
    assert city.said(WorkOrderCancelled).agency == FIRST


def test_a_merge_into_what_cannot_take_it_is_refused_and_changes_nothing(city: Neighbours) -> None:
    one, two = pair(city)
    nowhere = "0198c1a6-7d3a-7000-8000-000000000001"
    other = city.report(SERVICE, at=FAR)
    for into in (two, nowhere):  # one that follows itself, one that nobody knows
        city.say(CITIZENS, RequestMerged(into=into), subject=other)
        event, told = city.sent(RequestMergeRefused)[-1]
        assert (event.recipient, told.into) == (CITIZENS, into)
        assert (city.state(other), city.case(other).merging) == ("forwarded", "")
    for case, into, code in ((one, one, "same_case"), (one, two, "follows_this")):
        city.say(CITIZENS, RequestMerged(into=into), subject=case)
        assert city.refusals()[-1].reasons[0].code == code
    city.say("health", RequestMerged(into=one), subject=other)
    assert city.refusals()[-1].reasons[0].code == "not_your_case"


# -- when the other ends without the matter being settled


def test_when_the_first_citizen_withdraws_the_others_go_on_without_them() -> None:
    city = Neighbours(CITY)
    cases = []
    for _ in range(4):
        cases.append(city.report(SERVICE, at=HERE))
        city.wait(timedelta(minutes=1))
    assert [city.state(case) for case in cases] == ["forwarded", "following", "following", "following"]
    city.say(CITIZENS, RequestWithdrawn(), subject=cases[0])
    assert [city.state(case) for case in cases] == ["closed", "forwarded", "following", "following"]
    assert set(city.case(cases[1]).followers) == set(cases[2:])
    work(city, cases[1])
    assert heard_of(city, cases[3])[-1] == "resolved"


def test_who_followed_a_follower_goes_on_in_the_first_when_that_one_ends(city: Neighbours) -> None:
    one, two = pair(city)
    other = city.report(SERVICE, at=FAR)
    city.wait(timedelta(minutes=1))
    third = city.report(SERVICE, at=(FAR[0] + 0.00005, FAR[1]))
    assert city.case(third).into == other
    city.say(CITIZENS, RequestMerged(into=one), subject=other)
    assert city.case(other).into == one
    city.say(CITIZENS, RequestRated(score=3), subject=other)
    assert city.case(third).into == one
    assert set(city.case(one).followers) == {two, third}


def test_whoever_follows_one_that_is_gone_finds_out_by_itself(city: Neighbours) -> None:
    one, two = pair(city)
    city.say(CITIZENS, RequestCommented(text="?"), subject=two)
    del city.logic.memory.cases[one]  # as after a loss
    city.wait(CITY.services[SERVICE].resolve_within)
    assert city.state(two) == "forwarded"


# -- whatever happens

REPORT, SAY = "report", "say"
ACTS = st.lists(
    st.one_of(
        st.tuples(st.just(REPORT), st.integers(0, 3), st.integers(0, 3)),
        st.tuples(st.integers(0, 5), st.integers(0, 9), st.integers(0, 5)),
    ),
    min_size=4,
    max_size=25,
)


@settings(max_examples=150, deadline=None)
@given(ACTS)
def test_no_interleaving_makes_two_follow_each_other_or_loses_a_case(acts: list[tuple[str | int, int, int]]) -> None:
    city = Neighbours(CITY)
    cases: list[str] = []
    for what, n, other in acts:
        if what == REPORT or not cases:
            cases.append(city.report(SERVICE, at=(HERE[0] + n * 0.0001, HERE[1] + other * 0.0001)))
            continue
        case = cases[int(what) % len(cases)]
        agency, data = [
            (FIRST, RequestAcknowledged()), (FIRST, WorkOrderAccepted()), (FIRST, WorkOrderStarted()),
            (FIRST, WorkOrderCompleted()), (WARD, WorkOrderInspected()), (CITIZENS, RequestRated(score=3)),
            (CITIZENS, RequestWithdrawn()), (CITIZENS, RequestReopened(reason="again")),
            (CITIZENS, RequestSeparated(reason="another")), (CITIZENS, RequestMerged(into=cases[other % len(cases)])),
        ][n]  # fmt: skip
        city.say(agency, data, subject=case)
        held(city, cases)
    assert city.logic.memory.parked == {}, "a decision failed"
    city.wait(timedelta(days=400))
    held(city, cases)


def held(city: Neighbours, cases: list[str]) -> None:
    """What holds at rest: who follows is among the other's, the other is open, and the way ends with one at work."""
    for id in cases:
        case = city.case(id)
        if case.state == "closed":
            assert sum(event.subject == id for event, _ in city.sent(RequestClosed)) == 1
            continue
        assert not case.merging, "it waits for an answer that does not come"
        assert any(due > 0 for due in case.timers.values()), (case.state, case.timers)
        seen = [id]
        while case.state == "following":
            above = city.case(case.into)
            assert above.state != "closed", "it follows one that has ended"
            assert case.id in above.followers, "it follows one that does not know"
            assert above.id not in seen, "they follow each other"
            seen.append(above.id)
            case = above


@settings(max_examples=50, deadline=None)
@given(st.lists(st.tuples(st.integers(0, 3), st.integers(0, 3)), min_size=2, max_size=8), st.data())
def test_a_pair_is_told_once_and_a_stage_that_reads_its_topic_back_says_nothing_twice(
    spots: list[tuple[int, int]], data: st.DataObject
) -> None:
    city = Neighbours(CITY)
    for east, north in spots:
        city.report(SERVICE, at=(HERE[0] + east * 0.0001, HERE[1] + north * 0.0001))
    told = [(event.subject, said.from_case) for event, said in city.sent(DuplicateFound)]
    assert len(told) == len(set(told)) == len({frozenset(each) for each in told})
    again = type(city.places)(0, city=CITY, partitions=1)
    again.restore(city.topic)
    again.restore(())
    at = data.draw(st.integers(0, len(city.topic)))
    said: list[str] = []
    for record in city.topic[at:]:
        decided = again.decide([record], city.now)
        again.apply(decided)
        said += [dict(output.headers)["ce_id"].decode() for output in decided.outputs if output.topic != "city-places"]
    assert len(said) == len(set(said)), "a pair was told twice"
    assert {*said} <= {event.id for event in city.events()}
