"""While messages are on their way anything else may happen: no two follow each other, nobody who follows is lost, each
who asks is answered, and no case stands still without somebody or a deadline.

Each test is a run of acts of agencies with moves between them: what is in flight arrives in any order that Kafka
allows, timers fire before it does, partitions are read back (`tests/support/in_flight.py`).
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator
from datetime import datetime, timedelta
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from bus.city import load_city
from bus.city.load import city_path
from bus.records import partition_for
from schemas.envelope import Event
from schemas.identifiers import derived_id
from schemas.registry import EventData, registry
from schemas.types.cases import MessageRefused
from schemas.types.merging import (
    RequestAbsorbed,
    RequestMergeRequested,
    RequestSeparated,
)
from schemas.types.permits import (
    EvidenceGiven,
    EvidenceRequested,
    EvidenceSupplied,
    EvidenceWanted,
    OpinionGiven,
    PermitAccepted,
    PermitApplied,
    PermitClosed,
    PermitDecided,
    PermitIssued,
    PermitReinstated,
    PermitRevoked,
    PermitSuspended,
    PermitWithdrawn,
)
from schemas.types.proposals import (
    ProposalAbsorbed,
    ProposalClosed,
    ProposalDropped,
    ProposalEndorsed,
    ProposalForwarded,
    ProposalMerged,
    ProposalMergeRequested,
    ProposalRanked,
    ProposalRejected,
    ProposalSubmitted,
)
from schemas.types.requests import (
    RequestAcknowledged,
    RequestAssigned,
    RequestClosed,
    RequestMerged,
    RequestRated,
    RequestReopened,
    RequestSubmitted,
    RequestWithdrawn,
)
from schemas.types.workorders import (
    WorkOrderAccepted,
    WorkOrderCompleted,
    WorkOrderInspected,
    WorkOrderStarted,
)
from schemas.values import Point
from services.workflows.definition import CLOSED, moment_of
from services.workflows.proposal import MERGING
from services.workflows.repair.case import FOLLOWING
from tests.support.in_flight import CHOICES, InFlight
from tests.support.musrenbang import DISTRICT, PLANNING

CITY = load_city(city_path("denpasar"))
CITIZENS, AREA, SERVICE = CITY.citizens_channel, "51.71.01.1005", "road-damage"
FIRST = CITY.candidates(SERVICE, AREA)[0]
WARD = CITY.inspector_of(AREA)
HERE = (115.2126, -8.6705)

TIMER_OF = {
    "checking": "answer", "awaiting_evidence": "supply", "consulting": "consult", "deciding": "answer",
    "granted": "answer", "issued": "expire", "suspended": "expire",
}  # fmt: skip
"""What ends each state of a permit, if nobody does."""

MOVES = st.lists(st.integers(0, CHOICES - 1), max_size=5)
"""What happens between two acts."""

slow = settings(deadline=None, suppress_health_check=[HealthCheck.too_slow, HealthCheck.data_too_large])


def data_of(event: Event) -> Any:
    return registry.get(event.type).read(event.data)


def said(city: InFlight, kind: type[EventData]) -> Iterator[tuple[Event, Any]]:
    """All events of a type that the stages wrote, with their data."""
    for event in city.events():
        if event.type == kind.registered.name:
            yield event, data_of(event)


def holds(city: InFlight, ids: list[str]) -> None:
    """What is true at every moment."""
    assert [logic.memory.parked for logic in city.logics if logic.memory.parked] == [], "a decision failed"
    for case in map(city.case, ids):
        if case is not None and case.state != CLOSED:
            assert case.timers, f"nothing ends the state {case.state}"


def ended_once(city: InFlight, ids: list[str], closing: type[EventData]) -> None:
    """A case that has ended has said so, once, and no other has."""
    ends = Counter(event.subject for event, _ in said(city, closing))
    assert ends == Counter(id for id in ids if (case := city.case(id)) is not None and case.state == CLOSED)


def answered(city: InFlight, asks: type[EventData], yes: type[EventData]) -> None:
    """At rest: each that asked another was told yes or no by it, once for each time."""
    asked = Counter((data.from_case, event.subject) for event, data in said(city, asks))
    taken = Counter((event.subject, data.from_case) for event, data in said(city, yes))
    refused = Counter(
        (event.subject, data.from_case)
        for event, data in said(city, MessageRefused)
        if data.message_type == asks.registered.name
    )
    assert taken + refused == asked, "somebody asked and heard nothing, or heard twice"


# -- requests that tell of one matter

REPORT, MERGE = "report", 9
SAID = (
    (FIRST, RequestAcknowledged()), (FIRST, WorkOrderAccepted()), (FIRST, WorkOrderStarted()),
    (FIRST, WorkOrderCompleted()), (WARD, WorkOrderInspected()), (CITIZENS, RequestRated(score=3)),
    (CITIZENS, RequestWithdrawn()), (CITIZENS, RequestReopened(reason="again")),
    (CITIZENS, RequestSeparated(reason="another")),
)  # fmt: skip
acts = st.one_of(
    st.tuples(st.just(REPORT), st.integers(0, 2), st.integers(0, 2)),
    st.tuples(st.integers(0, 3), st.integers(0, len(SAID) - 1), st.just(0)),
    st.tuples(st.integers(0, 3), st.sampled_from((5, 6, 7, 8)), st.just(0)),
    *[st.tuples(st.integers(0, 3), st.just(MERGE), st.integers(0, 3))] * 2,
)


class Street(InFlight):
    """Reports of one street, and all that is said about them."""

    def __init__(self) -> None:
        super().__init__(CITY)
        self.ids: list[str] = []

    def act(self, what: int | str, n: int, other: int) -> None:
        """A citizen reports, or somebody says something about a case; refusals are part of it."""
        if what == REPORT or not self.ids:
            id = derived_id("street", len(self.ids))
            self.ids.append(id)
            spot = Point(type="Point", coordinates=(HERE[0] + n * 0.0001, HERE[1] + other * 0.0001))
            report = RequestSubmitted(service_code=SERVICE, area=AREA, description=f"No. {id[-3:]}", location=spot)
            self.say(CITIZENS, report, id)
            return
        into = RequestMerged(into=self.ids[other % len(self.ids)])
        agency, data = (CITIZENS, into) if n == MERGE else SAID[n]
        self.say(agency, data, self.ids[int(what) % len(self.ids)])

    def holds(self) -> None:
        """At every moment."""
        holds(self, self.ids)
        for id in self.ids:
            seen, case = [id], self.case(id)
            while case is not None and case.state == FOLLOWING:
                case = self.case(case.into)
                assert case.id not in seen, "they follow each other"
                seen.append(case.id)

    def rests(self) -> None:
        """When all has arrived."""
        self.settle()
        self.holds()
        ended_once(self, self.ids, RequestClosed)
        answered(self, RequestMergeRequested, RequestAbsorbed)
        for case in map(self.case, self.ids):
            if case.state == CLOSED:
                continue
            assert not case.merging, "it waits for an answer that does not come"
            assert any(due > 0 for due in case.timers.values()), (case.state, case.timers)
            if case.state == FOLLOWING:
                other = self.case(case.into)
                assert other.state != CLOSED, "it follows one that has ended"
                assert case.id in other.followers, "it follows one that does not know"
            for follower in map(self.case, case.followers):
                assert (follower.state, getattr(follower, "into", "")) == (FOLLOWING, case.id), "it tells one that left"


@settings(slow, max_examples=300)
@given(st.lists(st.tuples(acts, MOVES), min_size=4, max_size=20))
def test_whatever_is_on_its_way_no_two_follow_each_other_and_nobody_is_lost(
    run: list[tuple[tuple[Any, int, int], list[int]]],
) -> None:
    city = Street()
    for place in range(3):
        city.act(REPORT, place, 0)
    for act, moves in run:
        city.act(*act)
        for move in moves:
            city.go_on(move)
            city.holds()
    city.rests()
    city.wait(timedelta(days=60))
    city.rests()


# -- proposals that are merged

DELIBERATING = (
    (WARD, ProposalEndorsed()), (WARD, ProposalRanked(rank=1)), (WARD, ProposalForwarded(agency=DISTRICT)),
    (DISTRICT, ProposalRanked(rank=1)), (PLANNING, ProposalRejected(reason="Tidak.")),
    (WARD, ProposalDropped(reason="Ditarik.")),
)  # fmt: skip


@settings(slow, max_examples=200)
@given(
    st.lists(
        st.tuples(st.integers(0, 3), st.integers(0, len(DELIBERATING) + 5), st.integers(0, 3), MOVES),
        min_size=4,
        max_size=25,
    )
)
def test_whatever_is_on_its_way_a_proposal_goes_on_in_the_one_that_took_it_up_and_in_no_other(
    run: list[tuple[int, int, int, list[int]]],
) -> None:
    city = InFlight(CITY)
    ids = [derived_id("round", number) for number in range(4)]
    for id in ids:
        city.say(WARD, ProposalSubmitted(title=f"Saluran {id[-3:]}", service_code="drain", area=AREA), id)
    for which, what, other, moves in run:
        merged = (PLANNING, ProposalMerged(into=ids[other], reason="Sama."))
        agency, data = DELIBERATING[what] if what < len(DELIBERATING) else merged
        city.say(agency, data, ids[which])
        for move in moves:
            city.go_on(move)
            holds(city, ids)
    city.settle()
    holds(city, ids)
    ended_once(city, ids, ProposalClosed)
    answered(city, ProposalMergeRequested, ProposalAbsorbed)
    ends = {event.subject: data for event, data in said(city, ProposalClosed)}
    for case in map(city.case, ids):
        if case.state == CLOSED:
            continue
        assert case.state != MERGING, "it waits for an answer that does not come"
        assert case.timers["answer"] > 0
        for other in case.absorbed:
            assert ends[other].outcome == "merged", "it counts one that goes on by itself"
            assert case.id in ends[other].reason
    into = {id: next(i for i in ids if i in end.reason) for id, end in ends.items() if end.outcome == "merged"}
    for id in into:
        seen = [id]
        while (id := into.get(id, "")) and id not in seen:
            seen.append(id)
        assert id not in seen, "they ended in each other"


# -- permits, whose timers and answers cross

PERMIT = CITY.permits["event-permit"]
GOOD = OpinionGiven(opinion="favourable", reason="Baik.")
EXAMINING = (
    (PERMIT.office, PermitAccepted()), (PERMIT.office, PermitDecided(decision="granted", reason="Baik.")),
    (PERMIT.office, PermitDecided(decision="refused", reason="Tidak.")),
    (PERMIT.office, EvidenceRequested(evidence=(EvidenceWanted(code="D-1", name="Denah"),), reason="Belum ada.")),
    (CITIZENS, EvidenceSupplied(evidence=(EvidenceGiven(code="D-1", document_url="https://files.example.org/d.pdf"),))),
    (PERMIT.office, PermitSuspended(reason="Diperiksa.")), (PERMIT.office, PermitReinstated(reason="Baik.")),
    (PERMIT.office, PermitRevoked(reason="Dicabut.")), (CITIZENS, PermitWithdrawn()),
    *((agency, GOOD) for agency in (*PERMIT.consulted, "city-secretariat")),
)  # fmt: skip
ISSUED = (PERMIT.office, PermitIssued(permit_id="IK-1", valid_until=datetime.fromisoformat("2027-01-15T00:00:00Z")))
STRAIGHT = (EXAMINING[0], *((agency, GOOD) for agency in PERMIT.consulted), EXAMINING[1], ISSUED)
"""From the application to the permit."""


@settings(slow, max_examples=100)
@given(
    st.sampled_from((0, 1, len(STRAIGHT) - 1, len(STRAIGHT))),
    st.lists(st.tuples(st.integers(0, 1), st.integers(0, len(EXAMINING)), MOVES), min_size=4, max_size=25),
)
def test_whatever_is_on_its_way_a_permit_ends_once_and_somebody_or_a_deadline_moves_it(
    steps: int,
    run: list[tuple[int, int, list[int]]],
) -> None:
    city = InFlight(CITY)
    ids = [derived_id("permits", number) for number in range(2)]
    for id in ids:
        city.say(CITIZENS, PermitApplied(service_code="event-permit", area=AREA, title="Pawai"), id)
    for agency, data in STRAIGHT[:steps]:
        city.say(agency, data, ids[0])
    city.settle()
    for which, what, moves in run:
        city.say(*(*EXAMINING, ISSUED)[what], ids[which])
        for move in moves:
            city.go_on(move)
            holds(city, ids)
    city.settle()
    holds(city, ids)
    ended_once(city, ids, PermitClosed)
    for case in map(city.case, ids):
        if case.state != CLOSED:
            assert any(due > 0 for due in case.timers.values()), (case.state, case.timers)
            assert bool(case.waiting_for) == (case.state == "consulting")
            assert set(case.timers) == {TIMER_OF[case.state]}, "a timer of another state still runs"


# -- one by one


def apart(count: int) -> list[str]:
    """Ids of cases that lie in a partition each."""
    found: dict[int, str] = {}
    for number in range(1000):
        id = derived_id("apart", number)
        found.setdefault(partition_for(id.encode(), 4), id)
    return list(found.values())[:count]


class Neighbours(Street):
    """Cases in a partition each; `arrives` lets one of them hear what another has told it."""

    def __init__(self, count: int) -> None:
        super().__init__()
        self.ids = apart(count)

    def reported(self, *, first_alone: bool = False) -> list[str]:
        """All of them are reported at one spot; nobody has heard of anybody, or all follow the first."""
        for id in self.ids:
            spot = Point(type="Point", coordinates=HERE)
            self.say(CITIZENS, RequestSubmitted(service_code=SERVICE, area=AREA, location=spot), id)
            self.takes(id)
            self.now += timedelta(minutes=1)
        if not first_alone:
            self.settle()
        return self.ids

    def says(self, data: EventData, id: str) -> None:
        """A citizen, or the agency, says so, and the case takes it."""
        self.say(CITIZENS, data, id)
        self.takes(id)

    def number_of(self, id: str) -> int:
        """The case's partition."""
        return partition_for(id.encode(), len(self.logs))

    def takes(self, id: str) -> None:
        """The case takes what stands in its log."""
        number = self.number_of(id)
        while number in self.waiting():
            self.move(("take", number))

    def arrives(self, frm: str, to: str) -> None:
        """What one has told the other arrives, and is taken."""
        channel = ("workflows", self.number_of(frm), self.number_of(to))
        while self.channels.get(channel):
            self.move(("deliver", channel))
        self.takes(to)


def test_two_that_ask_each_other_at_once_both_go_on_by_themselves() -> None:
    city = Neighbours(2)
    one, two = city.reported(first_alone=True)
    city.says(RequestMerged(into=two), one)
    city.says(RequestMerged(into=one), two)
    city.arrives(one, two)
    city.arrives(two, one)
    city.arrives(one, two)
    city.arrives(two, one)
    assert [(city.case(id).state, city.case(id).merging) for id in (one, two)] == [("forwarded", "")] * 2


def test_who_was_asked_before_and_goes_on_in_this_one_now_does_not_leave_by_refusing() -> None:
    city = Neighbours(2)
    one, two = city.reported(first_alone=True)
    city.says(RequestMerged(into=two), one)
    city.says(RequestSeparated(reason="another"), one)
    city.says(RequestMerged(into=one), two)
    city.arrives(two, one)
    city.arrives(one, two)
    city.arrives(two, one)
    assert city.case(two).into == one
    assert city.case(one).followers == (two,)


def test_who_was_parted_before_it_was_taken_up_leaves_the_one_that_took_it_up() -> None:
    city = Neighbours(2)
    one, two = city.reported(first_alone=True)
    city.says(RequestMerged(into=two), one)
    city.arrives(one, two)
    assert city.case(two).followers == (one,)
    city.says(RequestSeparated(reason="another"), one)
    city.arrives(two, one)
    city.arrives(one, two)
    assert (city.case(one).state, city.case(one).merging) == ("forwarded", "")
    assert city.case(two).followers == ()


@pytest.mark.parametrize(
    "word", [RequestRated(score=4), RequestWithdrawn(), RequestReopened(reason="again"), RequestSeparated(reason="no")]
)
def test_whoever_goes_its_own_way_says_so_at_once_and_not_only_when_it_is_told_the_next_thing(word: EventData) -> None:
    city = Neighbours(2)
    one, two = city.reported()
    assert city.case(one).followers == (two,)
    city.says(word, two)
    city.arrives(two, one)
    assert city.case(two).state != FOLLOWING
    assert city.case(one).followers == ()


def test_whoever_goes_on_in_one_that_goes_on_in_another_hears_what_becomes_of_that() -> None:
    city = Neighbours(3)
    one, two, three = city.reported(first_alone=True)
    city.says(RequestMerged(into=two), three)
    city.arrives(three, two)
    city.arrives(two, three)
    city.says(RequestMerged(into=one), two)
    city.arrives(two, one)
    city.arrives(one, two)
    assert [(city.case(id).state, city.case(id).into) for id in (three, two)] == [(FOLLOWING, two), (FOLLOWING, one)]
    city.say(FIRST, RequestAcknowledged(), one)
    city.takes(one)
    city.arrives(one, two)
    city.arrives(two, three)
    assert three in [event.subject for event, _ in said(city, RequestAssigned)]


def test_who_is_done_takes_nobody_up() -> None:
    city = Neighbours(2)
    one, two = city.reported(first_alone=True)
    for agency, data in SAID[:5]:
        city.say(agency, data, one)
        city.takes(one)
    assert city.case(one).state == "resolved"
    city.says(RequestMerged(into=one), two)
    city.arrives(two, one)
    city.arrives(one, two)
    assert city.case(one).followers == ()
    assert (city.case(two).state, city.case(two).merging) == ("forwarded", "")


def test_the_first_of_those_left_behind_takes_the_others_up_before_it_has_heard_of_the_end() -> None:
    city = Neighbours(3)
    one, two, three = city.reported()
    assert city.case(one).followers == (two, three)
    city.says(RequestWithdrawn(), one)
    city.arrives(one, three)
    city.arrives(three, two)
    city.arrives(two, three)
    assert (city.case(three).state, city.case(three).into) == (FOLLOWING, two)
    city.rests()
    assert (city.case(two).state, city.case(two).followers) == ("forwarded", (three,))


@pytest.mark.parametrize("what", ["it is done", "it goes on in another", "it asks another"])
def test_whoever_asks_again_whether_the_other_still_has_it_is_kept(what: str) -> None:
    city = Neighbours(3)
    one, two, three = city.reported(first_alone=True)
    city.says(RequestMerged(into=one), two)
    city.arrives(two, one)
    city.arrives(one, two)
    if what == "it is done":
        for agency, data in SAID[:5]:
            city.say(agency, data, one)
            city.takes(one)
        assert city.case(one).state == "resolved"
    else:
        city.says(RequestMerged(into=three), one)
        if what == "it goes on in another":
            city.arrives(one, three)
            city.arrives(three, one)
            assert city.case(one).state == FOLLOWING
    city.now = max(city.now, moment_of(city.case(two).timers["follow"]))
    number = city.number_of(two)
    city._commit(number, city.logics[number].decide_due(city.now))
    city.takes(two)
    city.arrives(two, one)
    city.arrives(one, two)
    assert (city.case(two).state, city.case(two).into) == (FOLLOWING, one)


def test_a_proposal_does_not_end_in_one_that_answers_after_another_was_named() -> None:
    city = Neighbours(3)
    one, two, three = city.ids
    for id in city.ids:
        city.say(WARD, ProposalSubmitted(title="Saluran", service_code="drain", area=AREA), id)
    city.settle()
    city.say(PLANNING, ProposalMerged(into=two, reason="Sama."), one)
    city.takes(one)
    city.arrives(one, two)
    city.now = moment_of(city.case(one).timers["answer"])
    number = city.number_of(one)
    city._commit(number, city.logics[number].decide_due(city.now))
    city.takes(one)
    assert city.case(one).state == "submitted"
    city.say(PLANNING, ProposalMerged(into=three, reason="Sama."), one)
    city.takes(one)
    city.arrives(two, one)
    assert (city.case(one).state, city.case(one).merging) == (MERGING, three)
    city.settle()
    assert (city.case(two).absorbed, city.case(three).absorbed) == ((), (one,))
    assert three in next(data.reason for _, data in said(city, ProposalClosed))


def proposed(city: Neighbours) -> list[str]:
    """A proposal in each partition."""
    for id in city.ids:
        city.say(WARD, ProposalSubmitted(title="Saluran", service_code="drain", area=AREA), id)
    city.settle()
    return city.ids


def merges(city: Neighbours, one: str, into: str) -> None:
    """The office says that one proposal goes on in another."""
    city.say(PLANNING, ProposalMerged(into=into, reason="Sama."), one)
    city.takes(one)


def gives_up(city: Neighbours, one: str) -> None:
    """The other has not answered in time."""
    city.now = moment_of(city.case(one).timers["answer"])
    number = city.number_of(one)
    city._commit(number, city.logics[number].decide_due(city.now))
    city.takes(one)


def test_a_proposal_that_asks_twice_is_taken_up_once() -> None:
    city = Neighbours(2)
    one, two = proposed(city)
    merges(city, one, two)
    city.arrives(one, two)
    gives_up(city, one)
    assert city.case(one).state == "submitted"
    merges(city, one, two)
    city.arrives(one, two)
    assert city.case(two).absorbed == (one,)


def test_a_proposal_that_is_itself_to_go_on_in_another_forgets_who_did_not_come() -> None:
    city = Neighbours(3)
    one, two, three = proposed(city)
    merges(city, one, two)
    city.arrives(one, two)
    gives_up(city, one)
    merges(city, one, three)
    merges(city, two, three)
    assert city.case(two).absorbed == (one,)
    city.arrives(two, one)
    city.arrives(one, two)
    assert (city.case(two).state, city.case(two).absorbed) == (MERGING, ())
