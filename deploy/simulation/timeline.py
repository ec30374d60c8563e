"""One case as a story: who said what, when, because of what, put together from the agencies' databases."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from bus.city import City
from deploy.simulation.behaviour import (
    APPROVAL_REQUESTED,
    DECLINED,
    DEFECT_FOUND,
    GRANTED,
    REOPENED,
    SENT_BACK,
    Heard,
)
from deploy.simulation.counts import as_heard
from deploy.simulation.ledger import Ledger, of_cases
from schemas.money import money_text

ESCALATED = "subak.case.escalated.v1"


@dataclass(frozen=True, slots=True)
class Entry:
    """One line of a timeline."""

    moment: float
    """Seconds since 1970."""
    who: str
    """The agency's id, or the process of the bus."""
    to: tuple[str, ...]
    """The agencies that heard of it."""
    type: str
    event_id: str
    cause: str | None
    what: str
    """The essence of its data, in a few words."""


def timeline(city: City, ledgers: Mapping[str, Ledger], case: str) -> list[Entry]:
    """Everything that the agencies know of a case, oldest first."""
    events: dict[tuple[str, str], tuple[float, Heard]] = {}
    heard_by: dict[tuple[str, str], list[str]] = {}
    part = of_cases(ledgers, [case])
    for agency, ledger in part.items():
        for sent in ledger.sent:
            if sent.state in ("accepted", "refused") and sent.posted_at is not None:
                event = as_heard(sent, city.source_of(agency))
                events[event.source, event.id] = (sent.posted_at, event)
    for agency, ledger in part.items():
        for received in ledger.heard:
            reference = (received.event.source, received.event.id)
            heard_by.setdefault(reference, []).append(agency)
            moment = min(received.received_at, _moment(received.event.time, received.received_at))
            events.setdefault(reference, (moment, received.event))
    order = {reference: position for position, reference in enumerate(events)}
    return [
        Entry(
            moment=moment,
            who=event.source.rpartition(":")[2],
            to=tuple(sorted(heard_by.get(reference, ()))),
            type=event.type,
            event_id=event.id,
            cause=event.causation,
            what=essence(event.data),
        )
        for reference, (moment, event) in sorted(events.items(), key=lambda item: (item[1][0], order[item[0]]))
    ]


def telling_cases(ledgers: Mapping[str, Ledger], cases: Iterable[str]) -> list[str]:
    """Two cases worth telling: one that needed an approval and got it, and one in which something went another way."""
    types: dict[str, set[str]] = {case: set() for case in cases}
    for ledger in ledgers.values():
        for case, type in (
            *((sent.case, sent.type) for sent in ledger.sent if sent.state == "accepted"),
            *((received.event.case, received.event.type) for received in ledger.heard),
        ):
            if case in types:
                types[case].add(type)
    wishes: tuple[tuple[frozenset[str], ...], ...] = (
        (frozenset({APPROVAL_REQUESTED, SENT_BACK, GRANTED}), frozenset({APPROVAL_REQUESTED, GRANTED})),
        tuple(frozenset({type}) for type in (ESCALATED, DECLINED, DEFECT_FOUND, REOPENED)),
    )
    found: list[str] = []
    for wish in (*wishes, (frozenset[str](),)):
        for wanted in wish:
            match = next((case for case, had in types.items() if wanted <= had and case not in found), None)
            if match is not None and len(found) < len(wishes):
                found.append(match)
                break
    return found


def essence(data: Mapping[str, Any]) -> str:
    """The part of an event's data that a person wants to read, in a few words."""
    parts: list[str] = []
    if (service := data.get("service_code")) is not None:
        parts.append(str(service))
    for name in ("estimate", "amount", "cost"):
        if isinstance(money := data.get(name), Mapping):
            parts.append(f"{name} {money_text(money)}")
    if isinstance(threshold := data.get("threshold"), Mapping):
        parts.append(f"over {money_text(threshold)}")
    for name in ("outcome", "to_agency", "score"):
        if (value := data.get(name)) is not None:
            parts.append({"to_agency": "to ", "score": "rating "}.get(name, "") + str(value))
    for name in ("description", "purpose", "reason", "text", "comment", "status_notes"):
        if isinstance(text := data.get(name), str):
            parts.append(f"“{text}”")
            break
    return " · ".join(parts)


def _moment(text: str, otherwise: float) -> float:
    try:
        return datetime.fromisoformat(text).timestamp()
    except ValueError:
        return otherwise
