"""What a city says of itself: its levels, areas, agencies and services, as frozen values.

Nothing here reads a file or decides: `load.py` makes these values from a city's files, `check.py` proves that they fit
together, and `directory.py` answers questions about them. Whoever holds one holds something that was checked.
"""

from __future__ import annotations

from typing import Literal, NamedTuple

from pydantic import Field

from bus.city.calendar import Within
from schemas.strict import Strict
from schemas.values import LocalisedText, Money

TYPE_PATTERN_PATTERN = r"^subak\.(\*|[a-z]+\.(\*|[a-z]+\.(\*|v[1-9][0-9]*)))$"
"""A type's whole name, or its beginning up to a dot and a star: `subak.request.*`, `subak.workorder.completed.v1`."""

RESERVED_AGENCY_IDS = frozenset({"gateway", "workflows", "router", "places", "casebook", "operations"})
"""Names of the bus's own processes in `source`, and of the operators: no agency may bear one."""

OPERATIONS = "operations"
"""The operators' own pseudo-agency. The loader adds it to each city."""

OPERATIONS_TYPES = (
    "subak.case.correctionrequested.v1",
    "subak.case.discardrequested.v1",
    "subak.case.replayrequested.v1",
    "subak.event.discarded.v1",
    "subak.event.resendrequested.v1",
)
"""The types that `operations` publishes, and that nobody else may: what operators do (`schemas/types/acts.py`)."""

PERSONAL = "personal"
"""The entitlement to read all personal fields."""

ENTITLEMENTS = frozenset({PERSONAL})

PROPOSAL_STEPS = ("endorse", "rank", "forward", "budget", "procure", "contract", "build", "pay", "register")
"""What a proposal may wait for, in order: each has its time in `[proposals.within]`."""

PERMIT_STEPS = ("check", "supply", "consult", "decide", "issue")
"""What an application may wait for, in order: each has its time in a permit's `within`."""

Relation = Literal["area", "party", "inspector", "all"]
"""What an agency must be to an event in order to hear of it.

`area`: the event's jurisdiction lies in the agency's areas. `party`: the agency is among the event's `parties`.
`inspector`: the agency is the one that inspects work in the event's jurisdiction. `all`: every event.
"""


class Bounds(NamedTuple):
    """The box around a city, in degrees (WGS84). What lies outside is a mistake, such as swapped coordinates."""

    west: float
    south: float
    east: float
    north: float

    def contains(self, longitude: float, latitude: float) -> bool:
        """Whether the point lies in the box, its edges included."""
        return self.west <= longitude <= self.east and self.south <= latitude <= self.north


class Level(Strict):
    """One level of government, such as village, city or nation."""

    id: str
    name: LocalisedText


class Area(Strict):
    """One place with a code of the city's own, such as `51.71.01.1005`."""

    code: str
    name: str
    level: str
    parent: str | None = None
    """The area that holds this one; None for the outermost."""
    centroid: tuple[float, float] | None = None
    """Longitude and latitude of its middle, where the city's file gives them."""


class Subscription(Strict):
    """Which events an agency hears of without being their recipient."""

    types: tuple[str, ...]
    relation: Relation
    services: tuple[str, ...] | None = None
    """Only events about these services; None for all. An event whose service is not told counts as any service."""
    areas: tuple[str, ...] | None = None
    """Only events about these areas and what lies in them; None for all."""
    levels: tuple[str, ...] | None = None
    """Only events about areas of these levels; None for all."""
    when: str | None = None
    """A CEL expression that must hold (`bus/city/conditions.py`); None where all that is above says enough."""
    origin: str = ""
    """Where it is written, such as `role "provider".subscribes[0]`."""

    @property
    def is_whole(self) -> bool:
        """Whether type and relation say it all."""
        return self.services is None and self.areas is None and self.levels is None and self.when is None

    def takes(self, event_type: str) -> bool:
        """Whether the type is among those subscribed to."""
        return any(matches(pattern, event_type) for pattern in self.types)


class Reading(Strict):
    """Which personal fields an agency may read, and what for."""

    types: tuple[str, ...]
    fields: tuple[str, ...] | None = None
    """Paths such as `reporter.phone`, or a beginning such as `reporter`; None for all of these types."""
    purpose: str
    """Why it needs them: told to whoever asks who reads what."""
    origin: str = ""
    """Where it is written, such as `role "provider".personal[0]`."""

    def covers(self, event_type: str, path: str) -> bool:
        """Whether it lets this personal field of this type be read."""
        return any(matches(pattern, event_type) for pattern in self.types) and (
            self.fields is None
            or any(path == field or path.startswith((f"{field}.", f"{field}[")) for field in self.fields)
        )


PRODUCER_BYTE_RATE_MIN = 1024 * 1024
"""Below this a full batch of a relay would be held back for longer than one of its requests may take."""

CONSUMER_BYTE_RATE_MIN = 1024 * 1024


class Quotas(Strict):
    """How much an agency's user may take of each broker, under Kafka's own names. Who takes more is slowed down.

    The values here are what an agency has for which the city's files say nothing.
    """

    producer_byte_rate: int = 2 * 1024 * 1024
    """Bytes a second that it may send, as they travel: compressed."""
    consumer_byte_rate: int = 4 * 1024 * 1024
    """Bytes a second that it may fetch."""
    request_percentage: float = 100.0
    """Time of the broker's threads: 100 is all of one thread."""


class Agency(Strict):
    """One agency: where it acts, what it may say, what it hears."""

    id: str
    name: LocalisedText
    level: str
    parent: str | None = None
    """Who an overdue matter of this agency goes to. None: to the city's default agency."""
    kind: Literal["agency", "partner", "operations"] = "agency"
    areas: tuple[str, ...]
    """Where it acts. An area stands for all that lie in it."""
    publishes: tuple[str, ...] = ()
    subscribes: tuple[Subscription, ...] = ()
    entitlements: tuple[str, ...] = ()
    personal: tuple[Reading, ...] = ()
    """Personal fields that it may read, where it is not entitled to all of them."""
    approval_threshold: Money | None = None
    """An estimate above this needs the approver's consent. None: no estimate does."""
    quotas: Quotas = Quotas()
    """What its user may take of the cluster."""

    def publishes_type(self, event_type: str) -> bool:
        """Whether one of its patterns covers the type."""
        return any(matches(pattern, event_type) for pattern in self.publishes)


class Proposals(Strict):
    """How the city takes what neighbourhoods propose (musrenbang): who decides at its own level, and in what time."""

    office: str
    """The agency that puts the city's proposals in order, and the last that may say no."""
    finance: str
    """The agency that keeps the budget lines, pays, and registers assets."""
    within: dict[str, Within]
    """How long each of `PROPOSAL_STEPS` may take."""


class Nearby(Strict):
    """What lies so near that it concerns each other, in metres on the ground and in days."""

    same_matter_metres: float
    """Requests of one service that are so near tell of one matter: the newer goes on in the older."""
    same_matter_days: int
    """How long after a request the next one may tell of the same."""
    same_matter_services: tuple[str, ...]
    """The services for which that holds. Others are never merged by themselves."""
    clash_metres: float
    """Works of two agencies that are so near clash."""
    clash_days: int
    """How long after an order the next one may clash with it."""
    clash_services: tuple[str, ...]
    """The services whose works touch the ground, or whatever else two agencies may not open one after the other."""


class Permit(Strict):
    """One kind of permit: who decides on it, and whose opinion is heard before."""

    service_code: str
    name: LocalisedText
    office: str
    """The agency that checks, decides and issues."""
    consulted: tuple[str, ...] = ()
    """The agencies that are asked for their opinion, all at once."""
    within: dict[str, Within]
    """How long each of `PERMIT_STEPS` may take."""


class Responsibility(Strict):
    """Who is asked about a service in some areas, in the order of asking."""

    areas: tuple[str, ...]
    agencies: tuple[str, ...]


class AttributeValue(Strict):
    """One answer that a list lets the citizen choose."""

    key: str
    name: LocalisedText


class ServiceAttribute(Strict):
    """One further question that a service asks, in the words of GeoReport v2's service definition."""

    variable: bool = True
    """False: it only tells something, in its description, and asks for nothing."""
    code: str
    datatype: Literal["string", "number", "datetime", "text", "singlevaluelist", "multivaluelist"]
    required: bool = False
    order: int
    """From 1, each once in its service."""
    description: LocalisedText
    datatype_description: LocalisedText | None = None
    values: tuple[AttributeValue, ...] = ()
    """Of a list, and of nothing else."""


class Service(Strict):
    """One kind of public service, with Open311's `service_code`, who provides it and within what time."""

    service_code: str
    service_name: LocalisedText
    description: LocalisedText | None = None
    group: str
    keywords: tuple[str, ...] = ()
    type: Literal["realtime", "batch", "blackbox"] = "realtime"
    """Open311's `type`: how soon a request's id is known."""
    attributes: tuple[ServiceAttribute, ...] = ()
    """What else it asks, in the order of asking."""
    responsible: tuple[Responsibility, ...] = Field(min_length=1)
    works: tuple[tuple[str, ...], ...] = ()
    """The agencies that do the work together, step after step, those of a step at once; empty: whoever holds it."""
    acknowledge_within: Within
    resolve_within: Within
    approve_within: Within
    inspect_within: Within
    rate_within: Within
    warn_at: float | None = None
    """The share of resolve_within after which whoever does the work is warned."""


def matches(pattern: str, event_type: str) -> bool:
    """Whether a type pattern covers the event type: the same name, or a beginning that ends in `*`."""
    if pattern[-1:] == "*":
        return event_type.startswith(pattern[:-1])
    return pattern == event_type
