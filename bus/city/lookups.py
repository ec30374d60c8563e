"""The city's answers, made ready: what is asked of every event costs a dictionary's look-up.

Built once from a checked `City`, never changed after. What depends on the arguments of one event is remembered in
bounded caches (`CACHE_ENTRIES_MAX`): a city has tens of agencies, areas and types, so their combinations in use fit.
Text from outside that no city knows (an area, a type) is answered without being remembered, so nobody can fill them.
"""

from __future__ import annotations

from collections.abc import Mapping
from functools import lru_cache
from math import cos, hypot, radians
from typing import TYPE_CHECKING, NamedTuple

from bus.city.conditions import Condition
from bus.city.model import OPERATIONS, OPERATIONS_TYPES, Agency, Area, Proposals, Subscription
from bus.expressions import Expression
from schemas.failures import Reason
from schemas.personal import personal_fields
from schemas.registry import registry

if TYPE_CHECKING:
    from bus.city.directory import City

CACHE_ENTRIES_MAX = 65_536
"""Remembered answers for each kind of question, at some 300 bytes each."""

UNKNOWN_SERVICE = "\x00"
"""Stands for any service that the city does not have."""

INSPECTED = "subak.workorder.inspected.v1"
RANKED = "subak.proposal.ranked.v1"


class Takers(NamedTuple):
    """Whose subscriptions take an event of one type, area and service."""

    by_place: frozenset[str]
    by_party: frozenset[str]
    """Those of them that hear where they are a party."""
    conditions: tuple[Condition, ...]
    """Those that hear where a condition holds."""


class Hearers(NamedTuple):
    """Who must hear of one event, as far as its attributes and its service say."""

    sure: tuple[str, ...]
    conditions: tuple[Condition, ...]
    """Of agencies that are not among the sure ones."""


class Lookups:
    """Indexes and caches over one city. `City` is the face of it; see there for what each answer means."""

    def __init__(self, city: City) -> None:
        self._city = city
        self.chains = area_chains(city.areas)
        self.ids_by_source = {f"urn:subak:{city.id}:{id}": id for id in city.agencies}
        self.holders = {
            code: tuple(id for id, agency in city.agencies.items() if not set(agency.areas).isdisjoint(chain))
            for code, chain in self.chains.items()
        }
        ranks = {level.id: rank for rank, level in enumerate(city.levels)}
        self.inspectors = {
            code: inspector_in(chain, city.agencies, ranks, city.default_agency) for code, chain in self.chains.items()
        }
        self.offices = {
            code: offices
            for code, chain in self.chains.items()
            if (offices := offices_in(chain, city.areas, city.agencies, city.area, city.proposals))
        }
        inner = {area.parent for area in city.areas.values()}
        self._places = tuple(
            (*area.centroid, code)
            for code, area in city.areas.items()
            if area.centroid is not None and code not in inner and city.area in self.chains[code]
        )
        self._shrink = cos(radians((city.bounds.south + city.bounds.north) / 2))
        """How much shorter a degree of longitude is here than one of latitude."""
        self.hearers = lru_cache(CACHE_ENTRIES_MAX)(self._hearers)
        self._takers = lru_cache(CACHE_ENTRIES_MAX)(self._find_takers)
        self._expressions = {
            text: Expression(text)
            for agency in city.agencies.values()
            for subscription in agency.subscribes
            if (text := subscription.when) is not None
        }
        """The conditions, each compiled once."""
        self.quiet_types = frozenset(known.name for known in registry) - {
            known.name
            for known in registry
            for agency in city.agencies.values()
            for subscription in agency.subscribes
            if subscription.takes(known.name) and (subscription.services is not None or subscription.when is not None)
        }
        """The types of which nobody hears by what their data says."""
        self.reads = lru_cache(CACHE_ENTRIES_MAX)(self._find_reads)
        self._may_publish = lru_cache(CACHE_ENTRIES_MAX)(self._find_may_publish)
        self._candidates = lru_cache(CACHE_ENTRIES_MAX)(self._find_candidates)

    def candidates(self, service_code: str, area: str | None) -> tuple[str, ...]:
        """See `City.candidates`."""
        city = self._city
        code = service_code if service_code in city.services else city.general_service
        return self._candidates(code, self._in_city(area))

    def may_publish(self, agency_id: str, event_type: str, area: str | None) -> Reason | None:
        """See `City.may_publish`."""
        known = event_type in registry and agency_id in self._city.agencies
        if known and (area is None or area in self.chains):
            return self._may_publish(agency_id, event_type, area)
        return self._find_may_publish(agency_id, event_type, area)

    def area_at(self, longitude: float, latitude: float) -> str:
        """See `City.area_at`."""

        def distance(place: tuple[float, float, str]) -> float:
            return hypot((place[0] - longitude) * self._shrink, place[1] - latitude)

        return min(self._places, key=distance)[2] if self._places else self._city.area

    def _in_city(self, area: str | None) -> str:
        """The area, or the city's own where it is unknown or not in the city."""
        chain = self.chains.get(area) if area is not None else None
        return area if area is not None and chain is not None and self._city.area in chain else self._city.area

    def _find_candidates(self, service_code: str, area: str) -> tuple[str, ...]:
        responsible = self._city.services[service_code].responsible
        for code in self.chains[area]:
            for responsibility in responsible:
                if code in responsibility.areas:
                    return responsibility.agencies
        return (self._city.default_agency,)

    def _find_may_publish(self, agency_id: str, event_type: str, area: str | None) -> Reason | None:
        agency = self._city.agencies.get(agency_id)
        if agency is None:
            problem = f"{agency_id[:100]!r} is no agency of {self._city.id}"
            return Reason("unknown_agency", "source", problem, "Publish through an agency's own topic.")
        if event_type in registry and registry.get(event_type).publisher == "bus":
            return Reason(
                "type_not_allowed",
                "type",
                f"{event_type} is the bus's own",
                "No agency publishes it: remove it.",
            )
        if not agency.publishes_type(event_type) or (event_type in OPERATIONS_TYPES and agency_id != OPERATIONS):
            return Reason(
                "type_not_allowed",
                "type",
                f"{agency_id} may not publish {event_type[:200]}",
                f"It publishes {', '.join(agency.publishes) or 'nothing'}; the city's agencies.toml says so.",
            )
        return self._wrong_area(agency, area)

    def _wrong_area(self, agency: Agency, area: str | None) -> Reason | None:
        if area is None:
            return None
        chain = self.chains.get(area)
        if chain is None:
            problem = f"{self._city.id} has no area {area[:100]!r}"
            return Reason("unknown_area", "jurisdiction", problem, "Send a code of the city's areas.csv.")
        if set(agency.areas).isdisjoint(chain):
            problem = f"{area} is not in the areas of {agency.id}"
            fix = f"It speaks for {', '.join(agency.areas)} only."
            return Reason("area_not_allowed", "jurisdiction", problem, fix)
        return None

    def _hearers(
        self,
        event_type: str,
        area: str | None,
        recipient: str | None,
        parties: str | None,
        sender: str | None,
        service_code: str | None,
    ) -> Hearers:
        """Who hears for sure, and who hears where a condition holds. `parties` are as in the event, with commas."""
        takers = self.takers(event_type, area, service_code)
        sure = set(takers.by_place)
        among = parties.split(",") if parties else ()
        if among:
            sure.update(takers.by_party.intersection(among))
        sure.discard(sender or "")
        if recipient is not None and recipient in self._city.agencies:
            sure.add(recipient)
        conditions = tuple(
            condition
            for condition in takers.conditions
            if condition.agency not in sure
            and condition.agency != sender
            and (condition.subscription.relation != "party" or condition.agency in among)
        )
        return Hearers(tuple(sorted(sure)), conditions)

    def takers(self, event_type: str, area: str | None, service_code: str | None) -> Takers:
        """Whose subscriptions take such an event, whoever says it."""
        if service_code is not None and service_code not in self._city.services:
            service_code = UNKNOWN_SERVICE  # one entry in the cache for all that nobody knows
        return self._takers(event_type, self.known(area), service_code)

    def known(self, area: str | None) -> str:
        """The area, or the city's own where none is given or nobody knows it."""
        return area if area is not None and area in self.chains else self._city.area

    def _find_takers(self, event_type: str, area: str, service_code: str | None) -> Takers:
        by_place, by_party, conditions = set(), set(), []
        for id, agency in self._city.agencies.items():
            for subscription in agency.subscribes:
                if self.why_not(subscription, id, event_type, area, service_code) is not None:
                    continue
                if subscription.when is not None:
                    conditions.append(Condition(id, subscription, self._expressions[subscription.when]))
                elif subscription.relation == "party":
                    by_party.add(id)
                else:
                    by_place.add(id)
        return Takers(frozenset(by_place), frozenset(by_party), tuple(conditions))

    def why_not(
        self, subscription: Subscription, id: str, event_type: str, area: str, service_code: str | None
    ) -> str | None:
        """Why this subscription of the agency `id` does not take such an event; None where it does.

        Of an event's parties and of the condition nothing is said here. `area` is one that the city has.
        """
        if not subscription.takes(event_type):
            return "it is about other types"
        services = subscription.services
        if service_code is not None and services is not None and service_code not in services:
            return f"it is about other services: {', '.join(services)}"
        if subscription.areas is not None and set(subscription.areas).isdisjoint(self.chains[area]):
            return f"it is about other areas: {', '.join(subscription.areas)}"
        if subscription.levels is not None and self._city.areas[area].level not in subscription.levels:
            return f"it is about areas of other levels: {', '.join(subscription.levels)}"
        if subscription.relation == "area" and id not in self.holders[area]:
            return f"the agency's own areas do not hold {area}"
        if subscription.relation == "inspector" and id != self.inspectors[area]:
            return f"another agency inspects in {area}: {self.inspectors[area]}"
        return None

    def _find_reads(self, agency_id: str, event_type: str) -> frozenset[str] | None:
        agency = self._city.agencies.get(agency_id)
        if agency is None or event_type not in registry:
            return None if self._city.entitled(agency_id) else frozenset()
        paths = personal_fields(event_type)
        if self._city.entitled(agency_id) or not paths:
            return None
        return frozenset(path for path in paths if any(one.covers(event_type, path) for one in agency.personal))


def area_chains(areas: dict[str, Area]) -> dict[str, tuple[str, ...]]:
    """For each area: its own code and those of the areas that hold it, the nearest first."""
    chains: dict[str, tuple[str, ...]] = {}
    for code in areas:
        chain: list[str] = []
        step: str | None = code
        while step is not None and step in areas and step not in chain:
            chain.append(step)
            step = areas[step].parent
        chains[code] = tuple(chain)
    return chains


def inspector_in(chain: tuple[str, ...], agencies: Mapping[str, Agency], ranks: Mapping[str, int], default: str) -> str:
    """The agency that inspects in the area whose chain this is: see `City.inspector_of`."""
    able = [
        agency
        for agency in agencies.values()
        if agency.kind == "agency" and agency.publishes_type(INSPECTED) and not set(agency.areas).isdisjoint(chain)
    ]
    # The default agency goes before others of its level: whoever did the work should not judge it.
    lowest = min(able, key=lambda agency: (ranks[agency.level], agency.id != default), default=None)
    return lowest.id if lowest is not None else default


def offices_in(
    chain: tuple[str, ...],
    areas: Mapping[str, Area],
    agencies: Mapping[str, Agency],
    city: str,
    proposals: Proposals | None,
) -> tuple[str, ...]:
    """The offices of the area whose chain this is and of those that hold it, up to the city's: see `City.offices_of`.

    An area's office is the agency of its own level that acts there and may rank; an area without one is passed by.
    """
    if proposals is None or city not in chain:
        return ()
    found: list[str] = []
    for code in chain[: chain.index(city)]:
        office = next(
            (
                agency.id
                for agency in agencies.values()
                if agency.kind == "agency"
                and agency.level == areas[code].level
                and code in agency.areas
                and agency.publishes_type(RANKED)
            ),
            None,
        )
        if office is not None:
            found.append(office)
    return (*found, proposals.office)
