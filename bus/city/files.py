"""What may stand in a city's files: their keys and the kind of each value, before anything is compared with anything.

`read.py` reads the files into these shapes. A key that is not here is refused, so a slip of the pen cannot
switch something off in silence.
"""

from __future__ import annotations

from typing import Literal

from pydantic import Field

from bus.city.calendar_files import CalendarEntry
from bus.city.model import CONSUMER_BYTE_RATE_MIN, PRODUCER_BYTE_RATE_MIN, Relation
from schemas.strict import Strict
from schemas.values import LocalisedText


class BoundsEntry(Strict):
    """`bounds` in city.toml, in degrees."""

    west: float = Field(ge=-180, le=180)
    south: float = Field(ge=-90, le=90)
    east: float = Field(ge=-180, le=180)
    north: float = Field(ge=-90, le=90)


class LevelEntry(Strict):
    """`[[level]]` in city.toml, from the lowest up."""

    id: str
    name: LocalisedText


class ProposalsEntry(Strict):
    """`[proposals]` in city.toml; left out where the city takes none."""

    office: str
    finance: str
    within: dict[str, str] = {}
    """How long each step may take, as ISO 8601 durations."""


class PermitEntry(Strict):
    """`[[permit]]` in city.toml: one kind of permit."""

    service_code: str
    name: LocalisedText
    office: str
    consulted: list[str] = []
    within: dict[str, str] = {}
    """How long each step may take, as ISO 8601 durations."""


class NearbyEntry(Strict):
    """`[nearby]` in city.toml: what lies so near that it concerns each other; left out where nothing is compared."""

    same_matter_metres: float = Field(default=25.0, gt=0, le=200)
    same_matter_days: int = Field(default=30, ge=1, le=366)
    same_matter_services: list[str] = []
    clash_metres: float = Field(default=20.0, gt=0, le=200)
    clash_days: int = Field(default=90, ge=1, le=366)
    clash_services: list[str] = []


class QuotasEntry(Strict):
    """`[quotas]` in city.toml, for each agency, and `quotas` of an agency; what is left out has its default."""

    producer_byte_rate: int | None = Field(default=None, ge=PRODUCER_BYTE_RATE_MIN)
    consumer_byte_rate: int | None = Field(default=None, ge=CONSUMER_BYTE_RATE_MIN)
    request_percentage: float | None = Field(default=None, ge=10)


class CityEntry(Strict):
    """city.toml. All keys may be missing here, so that one slip does not hide the rest; the checks ask for them."""

    id: str | None = None
    name: LocalisedText | None = None
    country: str | None = None
    timezone: str | None = None
    currency: str | None = None
    languages: list[str] | None = Field(default=None, min_length=1)
    area: str | None = None
    area_separator: str | None = Field(default=None, min_length=1)
    """Where a code is cut to find the area that holds it; none where `parent` in areas.csv says it all."""
    bounds: BoundsEntry | None = None
    level: list[LevelEntry] | None = Field(default=None, min_length=1)
    approver: str | None = None
    citizens_channel: str | None = None
    default_agency: str | None = None
    general_service: str | None = None
    nearby: NearbyEntry | None = None
    proposals: ProposalsEntry | None = None
    permit: list[PermitEntry] | None = None
    calendar: CalendarEntry | None = None
    """Working days and hours; without it all time counts."""
    quotas: QuotasEntry | None = None


OPTIONAL_CITY_KEYS = frozenset({"area_separator", "calendar", "nearby", "permit", "proposals", "quotas"})


class SubscriptionEntry(Strict):
    """One of `subscribes` of an agency or a role."""

    types: list[str] = Field(min_length=1)
    relation: Relation
    services: list[str] | None = Field(default=None, min_length=1)
    areas: list[str] | None = Field(default=None, min_length=1)
    levels: list[str] | None = Field(default=None, min_length=1)
    when: str | None = None
    """A condition in CEL over the event."""


class ReadingEntry(Strict):
    """One of `personal` of an agency or a role."""

    types: list[str] = Field(min_length=1)
    fields: list[str] | None = Field(default=None, min_length=1)
    purpose: str = Field(min_length=1, max_length=500)


class RoleEntry(Strict):
    """`[[role]]` in agencies.toml: rights that several agencies have."""

    id: str
    publishes: list[str] = []
    subscribes: list[SubscriptionEntry] = []
    entitlements: list[str] = []
    personal: list[ReadingEntry] = []


class MoneyEntry(Strict):
    """An amount as in events: a decimal string and a currency."""

    amount: str
    currency: str


class AgencyEntry(Strict):
    """`[[agency]]` in agencies.toml."""

    id: str
    name: LocalisedText
    level: str
    parent: str | None = None
    kind: Literal["agency", "partner"] = "agency"
    areas: list[str] | None = Field(default=None, min_length=1)
    """None: the whole city."""
    roles: list[str] = []
    publishes: list[str] = []
    subscribes: list[SubscriptionEntry] = []
    entitlements: list[str] = []
    personal: list[ReadingEntry] = []
    approval_threshold: MoneyEntry | None = None
    quotas: QuotasEntry | None = None


class AgencyForEachEntry(Strict):
    """`[[agency_for_each]]` in agencies.toml: one agency for each area of a level.

    In `id` and `parent`, `{name}` and `{parent_name}` are the names of the area and of the one that holds it, in
    kebab-case; in `name` they are as areas.csv has them. `{code}` is the area's code.
    """

    level: str
    id: str
    name: LocalisedText
    parent: str | None = None
    roles: list[str] = []
    publishes: list[str] = []
    subscribes: list[SubscriptionEntry] = []
    entitlements: list[str] = []
    personal: list[ReadingEntry] = []
    approval_threshold: MoneyEntry | None = None
    quotas: QuotasEntry | None = None


class AgenciesFile(Strict):
    """The tables of agencies.toml."""

    role: list[RoleEntry] = []
    agency: list[AgencyEntry] = []
    agency_for_each: list[AgencyForEachEntry] = []


class ResponsibleEntry(Strict):
    """`[[service.responsible]]` in services.toml."""

    areas: list[str] | None = Field(default=None, min_length=1)
    """None: the whole city."""
    agencies: list[str] = Field(min_length=1)


class WorksEntry(Strict):
    """`[[service.works]]` in services.toml: one step of works of several agencies."""

    agencies: list[str] = Field(min_length=1, max_length=10)


class TargetsEntry(Strict):
    """`[targets]` in services.toml, and the same keys in a service: working time, or ISO 8601 durations."""

    acknowledge_within: str | None = None
    resolve_within: str | None = None
    approve_within: str | None = None
    inspect_within: str | None = None
    rate_within: str | None = None
    warn_at: float | None = Field(default=None, gt=0, lt=1)
    """The share of a resolve_within after which its agency is warned; none: nobody is."""


class AttributeValueEntry(Strict):
    """One of `values` of an attribute."""

    key: str
    name: LocalisedText


class AttributeEntry(Strict):
    """`[[service.attributes]]` in services.toml, in GeoReport v2's words."""

    variable: bool = True
    code: str
    datatype: Literal["string", "number", "datetime", "text", "singlevaluelist", "multivaluelist"]
    required: bool = False
    order: int | None = Field(default=None, ge=1, le=1000)
    """None: its place in the list."""
    description: LocalisedText
    datatype_description: LocalisedText | None = None
    values: list[AttributeValueEntry] = []


class ServiceEntry(TargetsEntry):
    """`[[service]]` in services.toml."""

    service_code: str
    service_name: LocalisedText
    description: LocalisedText | None = None
    group: str
    keywords: list[str] = []
    type: Literal["realtime", "batch", "blackbox"] = "realtime"
    attributes: list[AttributeEntry] = Field(default=[], max_length=50)
    responsible: list[ResponsibleEntry] = Field(min_length=1)
    works: list[WorksEntry] = Field(default=[], max_length=10)


class ServicesFile(Strict):
    """The tables of services.toml."""

    targets: TargetsEntry = TargetsEntry()
    service: list[ServiceEntry] = []


class AreaRow(Strict):
    """A row of areas.csv. Empty cells are left out."""

    code: str
    name: str = Field(min_length=1)
    level: str
    parent: str | None = None
    longitude: float | None = Field(default=None, ge=-180, le=180)
    latitude: float | None = Field(default=None, ge=-90, le=90)
