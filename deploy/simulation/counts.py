"""What the bus did with what the agencies sent, counted from the agencies' own databases alone.

**Lost**: an event that an adapter accepted, or that any agency heard, and that an agency which the city's directory
names as its recipient never heard; or the answer that an accepted event calls for, heard by nobody. **Duplicated**: two
events where there should be one: an event under an agency's name that this agency never sent, or two events of the bus
with the same cause, type and recipient. (A *redelivery*, the same event brought again, is counted apart: it changes
nothing.) **Out of order**: an event that cannot be where an agency heard it (`ordering.py`). **Misdelivered**: an event
at an agency that the directory does not name.

A case is **closed** when the citizens' channel heard so. A case that is not closed is not in `lost`: it is named.
"""

from __future__ import annotations

import json
from collections import Counter, defaultdict
from collections.abc import Collection, Iterable, Mapping
from dataclasses import dataclass, field

from bus.city import City
from bus.hearing import heard_by
from deploy.simulation.behaviour import (
    ACKNOWLEDGED,
    APPROVAL_REFUSED,
    APPROVAL_REQUESTED,
    ASSIGNED,
    CLOSED,
    COMPLETED,
    DECLINED,
    DEFECT_FOUND,
    FORWARDED,
    GRANTED,
    INSPECTED,
    INSPECTION_REQUESTED,
    ISSUED,
    RATED,
    REOPENED,
    RESOLVED,
    SENT_BACK,
    WITHDRAWN,
    Heard,
)
from deploy.simulation.ledger import Ledger, of_cases
from deploy.simulation.ordering import Reference, out_of_order
from deploy.simulation.records import REJECTED, Sent
from deploy.simulation.requests import SUBMITTED
from schemas.envelope import Event

CALLS_FOR: dict[str, tuple[frozenset[str], ...]] = {
    SUBMITTED: (frozenset({FORWARDED}),),
    ACKNOWLEDGED: (frozenset({ASSIGNED}), frozenset({ISSUED, APPROVAL_REQUESTED})),
    GRANTED: (frozenset({ISSUED}),),
    APPROVAL_REFUSED: (frozenset({CLOSED}),),
    SENT_BACK: (frozenset({FORWARDED}),),
    DECLINED: (frozenset({ISSUED, CLOSED}),),
    COMPLETED: (frozenset({INSPECTION_REQUESTED, RESOLVED}),),
    INSPECTED: (frozenset({RESOLVED}),),
    DEFECT_FOUND: (frozenset({ISSUED, CLOSED}),),
    REOPENED: (frozenset({ISSUED, FORWARDED, CLOSED}),),
    RATED: (frozenset({CLOSED}),),
    WITHDRAWN: (frozenset({CLOSED}),),
}
"""What a repair's events call for, as the agencies agreed: one of each group must be heard by somebody. Written down
here, not asked of the workflow: what one agency alone should hear leaves no other trace when it is lost."""


@dataclass(slots=True)
class Counts:
    """The outcome, with the evidence in words."""

    submitted: int = 0
    accepted: int = 0
    rejected: int = 0
    """Requests that adapter or bus refused."""
    cases: int = 0
    closed: int = 0
    outcomes: Counter[str] = field(default_factory=Counter)
    events_sent: int = 0
    events_refused: int = 0
    """Events of any type that adapter or bus refused: what came too late for its case, for the most part."""
    events_heard: int = 0
    redeliveries: int = 0
    lost: list[str] = field(default_factory=list)
    duplicated: list[str] = field(default_factory=list)
    out_of_order: list[str] = field(default_factory=list)
    misdelivered: list[str] = field(default_factory=list)
    open_cases: list[str] = field(default_factory=list)

    @property
    def clean(self) -> bool:
        """Nothing lost, twice, out of order or at the wrong place, and every accepted request's case closed."""
        return not (self.lost or self.duplicated or self.out_of_order or self.misdelivered or self.open_cases)


def count(city: City, ledgers: Mapping[str, Ledger], cases: Iterable[str] | None = None) -> Counts:
    """Compare what was sent with what was heard, for these cases or for all that the citizens' channel opened."""
    channel = ledgers[city.citizens_channel]
    opened = {sent.case: sent for sent in channel.sent if sent.type == SUBMITTED}
    chosen = set(opened if cases is None else cases)
    ledgers = of_cases(ledgers, chosen)
    counts = Counts()
    _count_requests(city, ledgers, [opened[case] for case in chosen if case in opened], counts)
    for ledger in ledgers.values():
        counts.events_sent += sum(sent.state in ("accepted", "refused") for sent in ledger.sent)
        counts.events_refused += sum(sent.state == "refused" for sent in ledger.sent)
        counts.events_heard += len(ledger.heard)
        counts.redeliveries += sum(received.redeliveries for received in ledger.heard)
    counts.lost, counts.misdelivered = deliveries(city, ledgers)
    counts.lost += without_consequence(city, ledgers)
    counts.duplicated = list(duplicated(city, ledgers))
    counts.out_of_order = list(out_of_order(city, ledgers))
    return counts


def _count_requests(city: City, ledgers: Mapping[str, Ledger], requests: Iterable[Sent], counts: Counts) -> None:
    ends = {
        received.event.case: str(received.event.data.get("outcome", "?"))
        for received in ledgers[city.citizens_channel].heard
        if received.event.type == CLOSED
    }
    heard_cases = {received.event.case for ledger in ledgers.values() for received in ledger.heard}
    for request in requests:
        counts.submitted += request.attempts > 0
        counts.accepted += request.state == "accepted"
        counts.rejected += request.state == "refused"
        if request.state != "refused":  # one that was never posted is open too: nothing may hide in a quiet run
            counts.cases += request.case in heard_cases
            if request.case in ends:
                counts.closed += 1
                counts.outcomes[ends[request.case]] += 1
            else:
                counts.open_cases.append(request.case)


def deliveries(city: City, ledgers: Mapping[str, Ledger]) -> tuple[list[str], list[str]]:
    """A sentence for each event and agency that should have met and did not, and for each that should not have met."""
    heard_by: defaultdict[Reference, set[str]] = defaultdict(set)
    events: dict[Reference, Heard] = {}
    for agency, ledger in ledgers.items():
        for received in ledger.heard:
            reference = (received.event.source, received.event.id)
            heard_by[reference].add(agency)
            events.setdefault(reference, received.event)
        for sent in ledger.sent:
            if sent.state == "accepted":
                event = as_heard(sent, city.source_of(agency))
                events.setdefault((event.source, event.id), event)
    lost: list[str] = []
    misdelivered: list[str] = []
    for reference, event in events.items():
        must, may = _addressees(city, event)
        what = f"{event.type} {event.id} of case {event.case}, sent by {event.source}"
        lost += (f"{agency} never heard {what}" for agency in sorted(must & set(ledgers) - heard_by[reference]))
        misdelivered += (f"{agency} should not have heard {what}" for agency in sorted(heard_by[reference] - may))
    return lost, misdelivered


def without_consequence(city: City, ledgers: Mapping[str, Ledger]) -> Iterable[str]:
    """A sentence for each accepted event that calls for an answer of the bus which no agency ever heard."""
    joint = _joint_works(city, ledgers)
    heard: defaultdict[str, set[str]] = defaultdict(set)
    for ledger in ledgers.values():
        for received in ledger.heard:
            if received.event.causation is not None:
                heard[received.event.causation].add(received.event.type)
    for agency, ledger in ledgers.items():
        for sent in ledger.sent:
            if sent.state != "accepted" or (sent.type == COMPLETED and sent.case in joint):
                continue  # of joint work, only the end of the last part calls for anything
            for wanted in CALLS_FOR.get(sent.type, ()):
                if heard[sent.event_id].isdisjoint(wanted):
                    answer = " or ".join(sorted(wanted))
                    what = f"{sent.type} {sent.event_id} of case {sent.case}"
                    yield f"nobody heard {answer}, which {what}, sent by {agency}, calls for"


def _joint_works(city: City, ledgers: Mapping[str, Ledger]) -> set[str]:
    """The cases whose works the catalogue gives to several agencies."""
    requests = (sent for sent in ledgers[city.citizens_channel].sent if sent.type == SUBMITTED)
    codes = {request.case: json.loads(request.data).get("service_code", "") for request in requests}
    return {case for case, code in codes.items() if code in city.services and city.services[code].works}


def _addressees(city: City, event: Heard) -> tuple[set[str], set[str]]:
    """Who must hear of an event, and who may."""
    if event.type == REJECTED:
        refused_to = {str(event.data.get("agency"))}  # goes straight back to whoever sent what was refused
        return refused_to, refused_to
    parties = tuple(filter(None, (event.parties or "").split(",")))
    address = (event.type, event.jurisdiction, event.recipient, parties, city.agency_of(event.source))
    told = Event(
        id=event.id,
        type=event.type,
        source=event.source,
        subject=event.case,
        time=event.time,
        data=json.dumps(event.data).encode(),
        recipient=event.recipient,
        jurisdiction=event.jurisdiction,
        parties=event.parties,
    )
    must = set(heard_by(city, told).agencies)
    return must, must.union(city.recipients(*address))  # a service or field that is untold counts as any


def duplicated(city: City, ledgers: Mapping[str, Ledger]) -> Iterable[str]:
    """A sentence for each event too many."""
    sent_ids = {agency: {sent.event_id for sent in ledger.sent} for agency, ledger in ledgers.items()}
    for agency, ledger in ledgers.items():
        seen: dict[tuple[str | None, str, str | None], str] = {}
        for received in ledger.heard:
            event = received.event
            sender = city.agency_of(event.source)
            if sender in sent_ids:
                if event.id not in sent_ids[sender]:
                    yield f"{agency} heard {event.type} {event.id} of case {event.case}, which {sender} never sent"
            elif event.causation is not None:
                consequence = (event.causation, event.type, event.recipient)
                first = seen.setdefault(consequence, event.id)
                if first != event.id:
                    yield f"{agency} heard {event.type} of case {event.case} twice, as {first} and {event.id}"


def latencies(ledgers: Mapping[str, Ledger], leaving_out: Collection[str] = ()) -> list[float]:
    """Seconds from source to target, one for each event and agency that heard of it, sorted.

    Of the agencies that are left out neither what they send nor what they hear counts.

    From the moment when the sending system begins its POST to the moment when the hearing system takes up that very
    event, or the bus's direct consequence of it, whichever reached this agency first. Both are the agencies' own clock.
    """
    posted: dict[str, tuple[str, float]] = {}
    ledgers = {agency: ledger for agency, ledger in ledgers.items() if agency not in leaving_out}
    for agency, ledger in ledgers.items():
        for sent in ledger.sent:
            if sent.posted_at is not None and sent.attempts == 1:
                posted[sent.event_id] = (agency, sent.posted_at)
    found: dict[tuple[str, str], float] = {}
    for agency, ledger in ledgers.items():
        for received in ledger.heard:
            for id in (received.event.id, received.event.causation):
                if id is not None and id in posted:
                    seconds = received.received_at - posted[id][1]
                    found[id, agency] = min(found.get((id, agency), seconds), seconds)
    return sorted(found.values())


def percentile(sorted_values: list[float], share: float) -> float:
    """The value below which `share` (0 to 1) of them lie; 0 where there are none."""
    if not sorted_values:
        return 0.0
    return sorted_values[min(len(sorted_values) - 1, int(share * len(sorted_values)))]


def as_heard(sent: Sent, source: str) -> Heard:
    """An event as its sender knows it, in the form in which others hear it."""
    return Heard(
        id=sent.event_id,
        type=sent.type,
        source=source,
        case=sent.case,
        time="",
        data=json.loads(sent.data),
        jurisdiction=sent.jurisdiction,
        causation=sent.cause,
    )
