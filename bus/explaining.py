"""Why an agency hears of an event, or why not: the router's rule, told step by step. Pure.

It asks the same look-ups as `bus/hearing.py`, and a test holds both together: who hears here hears there.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any

from bus.city import City
from bus.city.conditions import Condition
from bus.city.model import Subscription
from bus.expressions import Expression, ExpressionFailed
from bus.hearing import Seen, service_of
from schemas.envelope import Event
from schemas.personal import personal_fields
from schemas.registry import registry


@dataclass(frozen=True, slots=True)
class Ground:
    """One thing that speaks for or against: a subscription, or what the agency is to the event."""

    takes: bool
    says: str
    origin: str | None = None
    """Where the subscription is written; None for what is no subscription's."""
    failed: bool = False
    """Whether its condition could not say."""

    def as_dict(self) -> dict[str, Any]:
        """For machines."""
        return {"takes": self.takes, "subscription": self.origin, "says": self.says, "failed": self.failed}


UNCONCERNED = Ground(False, "none of its subscriptions is about this type")


@dataclass(frozen=True, slots=True)
class Verdict:
    """Whether one agency hears of an event."""

    agency: str
    hears: bool
    grounds: tuple[Ground, ...]
    """Those that speak for it, where it hears; else all that speak against it."""
    reads: tuple[str, ...] = ()
    """The personal fields that it is given with it, of those that the type has."""
    withheld: tuple[str, ...] = ()
    """The personal fields that are left out."""

    @property
    def is_near(self) -> bool:
        """Whether there is more to say than that it subscribes to nothing of this type."""
        return any(ground != UNCONCERNED for ground in self.grounds)

    def as_dict(self) -> dict[str, Any]:
        """For machines."""
        return {
            "agency": self.agency,
            "hears": self.hears,
            "grounds": [ground.as_dict() for ground in self.grounds],
            "reads": list(self.reads),
            "withheld": list(self.withheld),
        }


@dataclass(slots=True)
class _Case:
    """What is asked of every agency."""

    city: City
    event: Event
    area: str
    service: str | None
    parties: tuple[str, ...]
    sender: str | None
    seen: Seen = field(init=False)

    def __post_init__(self) -> None:
        self.seen = Seen(self.city, self.event)


def explain(city: City, event: Event) -> list[Verdict]:
    """Each agency of the city, in the order of its files."""
    case = _Case(
        city,
        event,
        city.lookups.known(event.jurisdiction),
        service_of(event.data),
        tuple(event.parties.split(",")) if event.parties else (),
        city.agency_of(event.source),
    )
    personal = personal_fields(event.type) if event.type in registry else []
    return [_verdict(case, agency, personal) for agency in city.agencies]


def _verdict(case: _Case, agency: str, personal: list[str]) -> Verdict:
    grounds = _grounds(case, agency)
    taking = tuple(ground for ground in grounds if ground.takes)
    if not taking:
        return Verdict(agency, False, tuple(grounds))
    reads = case.city.reads(agency, case.event.type)
    given = tuple(path for path in personal if reads is None or path in reads)
    return Verdict(agency, True, taking, given, tuple(path for path in personal if path not in given))


def _grounds(case: _Case, agency: str) -> list[Ground]:
    event = case.event
    if event.history is not None:
        return [Ground(False, f"it is history ({event.history}): nobody is told")]
    grounds = [Ground(True, "it is addressed to this agency")] if event.recipient == agency else []
    if agency == case.sender:
        return grounds or [Ground(False, "the agency said so itself")]
    subscriptions = [one for one in case.city.agencies[agency].subscribes if one.takes(event.type)]
    grounds += [_ground(case, agency, subscription) for subscription in subscriptions]
    return grounds or [UNCONCERNED]


def _ground(case: _Case, agency: str, subscription: Subscription) -> Ground:
    origin = subscription.origin
    against = case.city.lookups.why_not(subscription, agency, case.event.type, case.area, case.service)
    if against is not None:
        return Ground(False, against, origin)
    if subscription.relation == "party" and agency not in case.parties:
        none = "" if case.parties else ": the event names none"
        return Ground(False, f"it is no party of the case{none}", origin)
    if subscription.when is None:
        return Ground(True, _how(case, subscription), origin)
    condition = Condition(agency, subscription, Expression(subscription.when))
    try:
        holds = condition.holds(case.seen.by(condition))
    except ExpressionFailed as error:
        return Ground(False, f"its condition cannot say: {error}", origin, failed=True)
    if holds:
        return Ground(True, f"{_how(case, subscription)}, and {subscription.when} holds", origin)
    return Ground(False, f"its condition does not hold: {subscription.when}", origin)


def _how(case: _Case, subscription: Subscription) -> str:
    return {
        "all": "it hears of all of these types",
        "area": f"its areas hold {case.area}",
        "party": "it is a party of the case",
        "inspector": f"it inspects in {case.area}",
    }[subscription.relation]
