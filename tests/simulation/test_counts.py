"""The counts find what was spoilt: each test takes a spotless run, spoils one thing, and expects it named."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator
from dataclasses import replace

import pytest

from bus.city import City
from deploy.simulation.behaviour import CLOSED, ISSUED
from deploy.simulation.counts import count, latencies, percentile
from deploy.simulation.ledger import Ledger, of_cases
from deploy.simulation.ordering import out_of_order
from deploy.simulation.records import Received
from deploy.simulation.requests import SUBMITTED
from tests.simulation.in_memory import InMemoryCity

Ledgers = dict[str, Ledger]


@pytest.fixture(scope="module")
def run() -> Iterator[tuple[City, Ledgers]]:
    """A spotless run of 40 requests."""
    city = InMemoryCity()
    city.play(40)
    yield city.city, city.ledgers()
    city.close()


def _renumbered(heard: list[Received]) -> tuple[Received, ...]:
    return tuple(replace(received, number=number) for number, received in enumerate(heard, 1))


def _hearing(ledgers: Ledgers, agency: str, heard: list[Received]) -> Ledgers:
    return {**ledgers, agency: Ledger(ledgers[agency].sent, _renumbered(heard))}


def _holder(ledgers: Ledgers, event_type: str) -> tuple[str, int]:
    """An agency that heard an event of this type, and where in its ledger."""
    for agency, ledger in ledgers.items():
        for index, received in enumerate(ledger.heard):
            if received.event.type == event_type:
                return agency, index
    raise AssertionError(event_type)


def test_a_spotless_run_counts_as_spotless(run: tuple[City, Ledgers]) -> None:
    city, ledgers = run
    counts = count(city, ledgers)
    assert counts.clean
    assert counts.submitted == counts.accepted == counts.cases == counts.closed == 40
    assert counts.rejected == counts.redeliveries == 0


def test_every_single_event_that_did_not_arrive_is_lost(run: tuple[City, Ledgers]) -> None:
    """Take away any one delivery of a case, whatever its type: it is missed."""
    city, ledgers = run
    heard_of = [received.event for ledger in ledgers.values() for received in ledger.heard]
    # What is said to one agency alone, and answers nothing that others know of, leaves no other trace.
    alone = {event.case for event in heard_of if event.type == "subak.case.escalated.v1"}
    ordered = Counter({(event.case, event.recipient) for event in heard_of if event.type == ISSUED})
    for case, several in Counter(case for case, _ in ordered).items():
        alone |= {case} if several > 1 else set()
    case = Counter(event.case for event in heard_of if event.case not in alone).most_common(1)[0][0]
    tried = 0
    for agency, ledger in ledgers.items():
        for index, received in enumerate(ledger.heard):
            if received.event.case == case:
                heard = [*ledger.heard[:index], *ledger.heard[index + 1 :]]
                counts = count(city, _hearing(ledgers, agency, heard), [case])
                assert counts.lost, f"nobody misses {received.event.type} at {agency}"
                assert not counts.clean
                tried += 1
    assert tried > 10


def test_a_case_whose_end_nobody_heard_is_open_and_named(run: tuple[City, Ledgers]) -> None:
    city, ledgers = run
    heard = list(ledgers[city.citizens_channel].heard)
    index = next(index for index, received in enumerate(heard) if received.event.type == CLOSED)
    case = heard.pop(index).event.case
    counts = count(city, _hearing(ledgers, city.citizens_channel, heard))
    assert counts.open_cases == [case]
    assert counts.closed == 39
    assert not counts.clean


def test_a_request_that_was_never_posted_leaves_its_case_open(run: tuple[City, Ledgers]) -> None:
    city, ledgers = run
    nobody = {agency: Ledger((), ()) for agency in ledgers}
    waiting = next(sent for sent in ledgers[city.citizens_channel].sent if sent.type == SUBMITTED)
    waiting = replace(waiting, state="waiting", attempts=0, posted_at=None)
    counts = count(city, {**nobody, city.citizens_channel: Ledger((waiting,), ())})
    assert (counts.submitted, counts.accepted, counts.closed) == (0, 0, 0)
    assert counts.open_cases == [waiting.case]
    assert not counts.clean


def test_two_events_for_one_consequence_are_a_duplicate(run: tuple[City, Ledgers]) -> None:
    city, ledgers = run
    agency, index = _holder(ledgers, ISSUED)
    heard = list(ledgers[agency].heard)
    twin = replace(heard[index], event=replace(heard[index].event, id="another-id"))
    heard.insert(index + 1, twin)
    counts = count(city, _hearing(ledgers, agency, heard))
    assert len(counts.duplicated) == 1
    assert "another-id" in counts.duplicated[0]


def test_an_event_that_its_agency_never_sent_is_a_duplicate(run: tuple[City, Ledgers]) -> None:
    city, ledgers = run
    agency, index = _holder(ledgers, "subak.request.submitted.v1")
    heard = list(ledgers[agency].heard)
    heard.insert(index + 1, replace(heard[index], event=replace(heard[index].event, id="made-twice-by-a-relay")))
    counts = count(city, _hearing(ledgers, agency, heard))
    assert any("made-twice-by-a-relay" in line and "never sent" in line for line in counts.duplicated)


def test_a_redelivery_is_counted_apart_and_is_no_duplicate(run: tuple[City, Ledgers]) -> None:
    city, ledgers = run
    agency, index = _holder(ledgers, ISSUED)
    heard = list(ledgers[agency].heard)
    heard[index] = replace(heard[index], redeliveries=2)
    counts = count(city, _hearing(ledgers, agency, heard))
    assert counts.redeliveries == 2
    assert counts.clean


def test_events_of_a_case_that_changed_places_are_out_of_order(run: tuple[City, Ledgers]) -> None:
    """Any two neighbours in one agency's hearing of one case, wherever somebody else can tell."""
    city, ledgers = run
    told = untold = 0
    for agency, ledger in ledgers.items():
        last: dict[str, int] = {}
        for index, received in enumerate(ledger.heard):
            before = last.get(received.event.case)
            last[received.event.case] = index
            if before is None:
                continue
            heard = list(ledger.heard)
            heard[before], heard[index] = heard[index], heard[before]
            found = list(out_of_order(city, of_cases(_hearing(ledgers, agency, heard), [received.event.case])))
            told += bool(found)
            untold += not found
    # Of works of several agencies, each hears of its own order alone: nobody can tell which came first.
    assert told > 0.9 * (told + untold), f"of {told + untold} swaps only {told} were noticed"


def test_what_reached_an_agency_that_should_not_know_is_misdelivered(run: tuple[City, Ledgers]) -> None:
    city, ledgers = run
    agency, index = _holder(ledgers, ISSUED)
    heard = ledgers[agency].heard[index]
    stranger = next(id for id in ledgers if id.startswith("kecamatan-"))
    counts = count(city, _hearing(ledgers, stranger, [*ledgers[stranger].heard, heard]))
    assert len(counts.misdelivered) == 1
    assert stranger in counts.misdelivered[0]


def test_latency_runs_from_the_post_to_the_hearing(run: tuple[City, Ledgers]) -> None:
    _, ledgers = run
    posted = {sent.event_id: 100.0 for ledger in ledgers.values() for sent in ledger.sent}
    assert posted
    made = {
        agency: Ledger(
            tuple(replace(sent, posted_at=100.0, attempts=1) for sent in ledger.sent),
            tuple(replace(received, received_at=100.25) for received in ledger.heard),
        )
        for agency, ledger in ledgers.items()
    }
    found = latencies(made)
    assert len(found) > 100
    assert percentile(found, 0.5) == percentile(found, 0.99) == pytest.approx(0.25)
    assert percentile([], 0.5) == 0.0
