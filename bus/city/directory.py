"""The city's directory: who may say what, who is asked, who must hear of it, for which place.

Pure: it reads nothing and changes nothing once loaded, so every process that loads the same files gives the same
answers. Gateway, router and workflows ask it about every event.
"""

from __future__ import annotations

from functools import cached_property
from zoneinfo import ZoneInfo

from bus.city.calendar import Calendar, CalendarRules
from bus.city.lookups import Lookups
from bus.city.model import PERSONAL, Agency, Area, Bounds, Level, Nearby, Permit, Proposals, Quotas, Service
from bus.city.problems import nearest
from bus.topics import CITY_TOPICS, in_topic, out_topic
from schemas.failures import Misconfigured, Reason
from schemas.strict import Strict
from schemas.values import LocalisedText, localised


class City(Strict):
    """One city. Make it with `load_city`, which checks what this class takes for granted."""

    id: str
    name: LocalisedText
    country: str
    """ISO 3166-1 alpha-2."""
    timezone: str
    """IANA name, such as `Asia/Makassar`."""
    currency: str
    """ISO 4217."""
    languages: tuple[str, ...]
    """BCP 47; the first is the default."""
    bounds: Bounds
    levels: tuple[Level, ...]
    """From the lowest up."""
    area: str
    """The code of the city's own area. All that lies in it is the city's."""
    areas: dict[str, Area]
    """By code: the city's own, those in it, and those that hold it (province, nation)."""
    agencies: dict[str, Agency]
    """By id, with `operations`."""
    services: dict[str, Service]
    """By Open311 `service_code`."""
    approver: str
    """The agency that consents to large estimates."""
    citizens_channel: str
    """The agency through which citizens report and hear back."""
    default_agency: str
    """The agency to which a matter goes that finds nobody else."""
    general_service: str
    """The service that takes the requests which fit no other."""
    proposals: Proposals | None = None
    """How the city takes what neighbourhoods propose; None where it takes nothing."""
    nearby: Nearby | None = None
    """What counts as near; None where nothing is compared."""
    permits: dict[str, Permit] = {}
    """By `service_code`: the permits that are applied for by way of the bus."""

    working: CalendarRules = CalendarRules()
    """Its working days and hours."""

    def source_of(self, agency_id: str) -> str:
        """The URI in `source` of what this agency (or this process of the bus) publishes."""
        return f"urn:subak:{self.id}:{agency_id}"

    def agency_of(self, source: str) -> str | None:
        """The agency whose URI this is; None where it is none's."""
        return self.lookups.ids_by_source.get(source)

    def may_publish(self, agency_id: str, event_type: str, area: str | None) -> Reason | None:
        """None where the agency may publish this type about this area; otherwise why not.

        `area` None: the event names no place, and the type alone decides.
        """
        return self.lookups.may_publish(agency_id, event_type, area)

    def candidates(self, service_code: str, area: str | None) -> tuple[str, ...]:
        """The agencies to ask about a service in an area, in order; never empty.

        What the city says of the nearest area counts. An unknown service is asked as the general one, an area that is
        unknown or outside the city as the city's own.
        """
        return self.lookups.candidates(service_code, area)

    def service(self, service_code: str) -> Service:
        """The service; the general one in the place of one that the city does not have, or no longer has."""
        return self.services.get(service_code) or self.services[self.general_service]

    def inspector_of(self, area: str | None) -> str:
        """The agency that inspects finished work there: of the lowest level that holds the area and may inspect.

        Among equals the default agency goes first, then the order of agencies.toml. An unknown area counts as the
        city's own.
        """
        inspectors = self.lookups.inspectors
        found = inspectors.get(area) if area is not None else None
        return found or inspectors[self.area]

    def offices_of(self, area: str) -> tuple[str, ...]:
        """The agencies that a proposal for this area passes, from the area's own up to the city's.

        Empty where the city takes no proposals, and for an area that is unknown or not in the city.
        """
        return self.lookups.offices.get(area, ())

    def parent_of(self, agency_id: str) -> str | None:
        """Who an overdue matter of this agency goes to; None at the end of the chain, and for an unknown agency."""
        agency = self.agencies.get(agency_id)
        return agency.parent if agency is not None else None

    def within(self, area: str, ancestor: str) -> bool:
        """Whether `area` is `ancestor` or lies in it."""
        return ancestor in self.lookups.chains.get(area, ())

    def contains(self, longitude: float, latitude: float) -> bool:
        """Whether the point lies within the city's bounds."""
        return self.bounds.contains(longitude, latitude)

    def recipients(
        self,
        event_type: str,
        area: str | None,
        recipient: str | None,
        parties: tuple[str, ...],
        sender: str | None,
        service_code: str | None = None,
    ) -> tuple[str, ...]:
        """The agencies that must hear of an event, sorted: its recipient, and all whose subscriptions take it.

        The sender hears of its own event only as its recipient. An event without a known area concerns the whole city:
        those hear of it by area whose areas hold all of it. What is not told here counts as fitting: a service, and
        what a condition asks for; `bus/hearing.py` looks at the event itself.
        """
        sure, conditions = self.lookups.hearers(
            event_type, area, recipient, ",".join(parties) or None, sender, service_code
        )
        return tuple(sorted({*sure, *(condition.agency for condition in conditions)})) if conditions else sure

    def entitled(self, agency_id: str) -> bool:
        """Whether the agency may read all personal fields."""
        agency = self.agencies.get(agency_id)
        return agency is not None and PERSONAL in agency.entitlements

    def reads(self, agency_id: str, event_type: str) -> frozenset[str] | None:
        """The personal fields of this type that the agency may read, as `personal_fields` names them; None for all."""
        return self.lookups.reads(agency_id, event_type)

    def topics(self) -> tuple[str, ...]:
        """All topics of this city's bus: the city's own, then each agency's two."""
        return (*CITY_TOPICS, *(topic(id) for id in sorted(self.agencies) for topic in (out_topic, in_topic)))

    def quotas(self) -> dict[str, Quotas]:
        """What each agency may take of the cluster."""
        return {id: agency.quotas for id, agency in self.agencies.items()}

    def area_at(self, longitude: float, latitude: float) -> str:
        """The area to file a point under: the one with the nearest centroid; the city's own where no area has one.

        An approximation until a city brings polygons: at a border the neighbour may be nearer.
        """
        return self.lookups.area_at(longitude, latitude)

    def text(self, name: LocalisedText) -> str:
        """A name in the city's default language."""
        return localised(name, *self.languages)

    @cached_property
    def zone(self) -> ZoneInfo:
        """The city's time zone."""
        return ZoneInfo(self.timezone)

    @cached_property
    def calendar(self) -> Calendar:
        """When it works."""
        return Calendar(self.working, self.zone)

    @cached_property
    def lookups(self) -> Lookups:
        """The indexes and caches behind the answers."""
        return Lookups(self)

    def agency(self, agency_id: str) -> Agency:
        """The agency of that id.

        Raises:
            Misconfigured: the city has none, naming the nearest.
        """
        found = self.agencies.get(agency_id)
        if found is None:
            raise Misconfigured(f'{self.id} has no agency "{agency_id}". {nearest(agency_id, self.agencies)}')
        return found
