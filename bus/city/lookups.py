"""The city's answers, made ready: what is asked of every event costs a dictionary's look-up.

Built once from a checked `City`, never changed after. What depends on the arguments of one event is remembered in
bounded caches (`CACHE_ENTRIES_MAX`): a city has tens of agencies, areas and types, so their combinations in use fit.
Text from outside that no city knows (an area, a type) is answered without being remembered, so nobody can fill them.
"""

from __future__ import annotations

from collections.abc import Mapping
from functools import lru_cache
from math import cos, hypot, radians
from typing import TYPE_CHECKING

from bus.city.model import OPERATIONS, REPLAY_REQUESTED, Agency, Area, Proposals
from schemas.failures import Reason
from schemas.registry import registry

if TYPE_CHECKING:
    from bus.city.directory import City

CACHE_ENTRIES_MAX = 65_536
"""Remembered answers for each kind of question, at some 300 bytes each."""

INSPECTED = "subak.workorder.inspected.v1"
RANKED = "subak.proposal.ranked.v1"


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
        self.recipients = lru_cache(CACHE_ENTRIES_MAX)(self._recipients)
        self._heard_in = lru_cache(CACHE_ENTRIES_MAX)(self._find_heard_in)
        self._heard_by_party = lru_cache(CACHE_ENTRIES_MAX)(self._find_heard_by_party)
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
        if not agency.publishes_type(event_type) or (event_type == REPLAY_REQUESTED and agency_id != OPERATIONS):
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

    def _recipients(
        self,
        event_type: str,
        area: str | None,
        recipient: str | None,
        parties: tuple[str, ...],
        sender: str | None,
        service_code: str | None,
    ) -> tuple[str, ...]:
        heard = set(self._heard_in(event_type, self._known(area), service_code))
        if parties:
            heard.update(self._heard_by_party(event_type, service_code).intersection(parties))
        heard.discard(sender or "")
        if recipient is not None and recipient in self._city.agencies:
            heard.add(recipient)
        return tuple(sorted(heard))

    def _known(self, area: str | None) -> str:
        """The area, or the city's own where none is given or nobody knows it."""
        return area if area is not None and area in self.chains else self._city.area

    def _find_heard_in(self, event_type: str, area: str, service_code: str | None) -> frozenset[str]:
        holders = self.holders[area]
        inspector = self.inspectors[area]
        return frozenset(
            id
            for id, agency in self._city.agencies.items()
            for subscription in agency.subscribes
            if subscription.takes(event_type)
            and (service_code is None or subscription.services is None or service_code in subscription.services)
            and (
                subscription.relation == "all"
                or (subscription.relation == "area" and id in holders)
                or (subscription.relation == "inspector" and id == inspector)
            )
        )

    def _find_heard_by_party(self, event_type: str, service_code: str | None) -> frozenset[str]:
        return frozenset(
            id
            for id, agency in self._city.agencies.items()
            for subscription in agency.subscribes
            if subscription.relation == "party"
            and subscription.takes(event_type)
            and (service_code is None or subscription.services is None or service_code in subscription.services)
        )


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
