"""From the files' entries to the city's values: roles added, rules spread over areas, durations and parents found.

What an entry cannot give is left out and noted; whether the parts fit together is for the checks to say.
"""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Iterable
from dataclasses import dataclass, field

from pydantic import ValidationError

from bus.city.assemble_steps import UNKNOWN_TARGET, nearby_of, permits_of, proposals_of, quotas_of, target_of
from bus.city.calendar import Within
from bus.city.directory import City
from bus.city.files import (
    OPTIONAL_CITY_KEYS,
    AgencyEntry,
    AgencyForEachEntry,
    CityEntry,
    MoneyEntry,
    QuotasEntry,
    ReadingEntry,
    RoleEntry,
    ServiceEntry,
    SubscriptionEntry,
    TargetsEntry,
)
from bus.city.model import (
    OPERATIONS,
    OPERATIONS_TYPES,
    Agency,
    Area,
    AttributeValue,
    Bounds,
    Level,
    Permit,
    Proposals,
    Reading,
    Responsibility,
    Service,
    ServiceAttribute,
    Subscription,
)
from bus.city.problems import Problems, nearest
from bus.city.read import AGENCIES, AREAS, SERVICES, CityFiles
from schemas.values import Money

TARGETS = tuple(name for name in TargetsEntry.model_fields if name.endswith("_within"))

_placeholder = re.compile(r"\{(\w*)\}")


@dataclass
class Draft:
    """A city that is not yet checked."""

    files: CityFiles
    areas: dict[str, Area] = field(default_factory=dict)
    agencies: dict[str, Agency] = field(default_factory=dict)
    services: dict[str, Service] = field(default_factory=dict)
    agency_ids: set[str] = field(default_factory=set)
    """The agencies that the file names, those with problems too."""
    origins: dict[str, str] = field(default_factory=dict)
    """Where each agency is written, as problems name it: its own table, or the rule that made it."""
    roles: dict[str, list[str]] = field(default_factory=dict)
    """The roles that each agency is said to have."""
    service_codes: set[str] = field(default_factory=set)
    """The services that the file names, those with problems too."""
    proposals: Proposals | None = None
    permits: dict[str, Permit] = field(default_factory=dict)

    @property
    def settings(self) -> CityEntry:
        """What city.toml says."""
        return self.files.city

    @property
    def ranks(self) -> dict[str, int]:
        """Each level's place, 0 the lowest."""
        return {level.id: rank for rank, level in enumerate(self.settings.level or ())}

    def city(self) -> City:
        """The city. Only for a draft without problems."""
        settings = self.settings
        assert settings.bounds is not None
        operations = Agency(
            id=OPERATIONS,
            name=dict.fromkeys(settings.languages or (), "Subak operations"),
            level=self.areas[settings.area or ""].level,
            kind="operations",
            areas=(settings.area or "",),
            publishes=OPERATIONS_TYPES,
        )
        values = settings.model_dump(exclude={"bounds", "level", "languages", *OPTIONAL_CITY_KEYS})
        return City(
            **values,
            languages=tuple(settings.languages or ()),
            working=self.files.calendar,
            bounds=Bounds(**settings.bounds.model_dump()),
            levels=tuple(Level(id=level.id, name=level.name) for level in settings.level or ()),
            areas=self.areas,
            agencies={**self.agencies, OPERATIONS: operations},
            services=self.services,
            nearby=nearby_of(settings),
            proposals=self.proposals,
            permits=self.permits,
        )


def assemble(files: CityFiles, problems: Problems) -> Draft:
    """The parts of the city, as far as the entries give them."""
    draft = Draft(files)
    _add_areas(draft, problems)
    _add_agencies(draft, problems)
    _add_services(draft, problems)
    draft.proposals = proposals_of(files.city, problems)
    draft.permits = permits_of(files.city, problems)
    return draft


def kebab(name: str) -> str:
    """A name in kebab-case ASCII, as agency ids are: `Dangin Puri Kelod` gives `dangin-puri-kelod`."""
    plain = unicodedata.normalize("NFKD", name).encode("ascii", "ignore").decode().lower()
    return re.sub(r"[^a-z0-9]+", "-", plain).strip("-")


def _add_areas(draft: Draft, problems: Problems) -> None:
    separator = draft.settings.area_separator
    codes = {row.code for row in draft.files.areas}
    for row in draft.files.areas:
        if row.code in draft.areas:
            problems.note(AREAS, f'area "{row.code}"', "the code stands twice", "Keep one line for each area.")
            continue
        parent = row.parent
        if parent is None and separator and separator in row.code:
            parent = row.code.rpartition(separator)[0]
            while parent not in codes and separator in parent:
                parent = parent.rpartition(separator)[0]
        if (row.longitude is None) != (row.latitude is None):
            problems.note(
                AREAS,
                f'area "{row.code}"',
                "it has half a centroid",
                "Give longitude and latitude, or neither.",
            )
        centroid = (row.longitude, row.latitude) if row.longitude is not None and row.latitude is not None else None
        draft.areas[row.code] = Area(code=row.code, name=row.name, level=row.level, parent=parent, centroid=centroid)


def _add_agencies(draft: Draft, problems: Problems) -> None:
    roles = {role.id: role for role in draft.files.roles}
    broken_roles = draft.files.broken["role"]
    draft.agency_ids.update(draft.files.broken["agency"])
    whole_city = [draft.settings.area] if draft.settings.area else []
    named = [(f'agency "{entry.id}"', entry) for entry in draft.files.agencies]
    for rule in draft.files.agencies_for_each:
        named.extend((f'agency_for_each "{rule.id}"', entry) for entry in _spread(rule, draft, problems))
    for key, entry in named:
        if entry.id in draft.agencies:
            problems.note(AGENCIES, key, f'the id "{entry.id}" stands twice', "Give each agency an id of its own.")
            continue
        mine = []
        for name in entry.roles:
            if name in roles:
                mine.append(roles[name])
            elif name not in broken_roles:
                problems.note(AGENCIES, f"{key}.roles", f'there is no role "{name}"', nearest(name, roles))
        draft.agency_ids.add(entry.id)
        draft.origins[entry.id] = key
        draft.roles[entry.id] = entry.roles
        draft.agencies[entry.id] = _agency(entry, mine, whole_city, draft.settings.quotas, key, problems)


def _spread(rule: AgencyForEachEntry, draft: Draft, problems: Problems) -> Iterable[AgencyEntry]:
    key = f'agency_for_each "{rule.id}"'
    places = [area for area in draft.areas.values() if area.level == rule.level]
    if draft.areas and not places and rule.level in draft.ranks:
        problems.note(
            AGENCIES,
            f"{key}.level",
            f'no area has the level "{rule.level}"',
            "Add the areas, or remove the rule.",
        )
    own = rule.model_dump(exclude={"level", "id", "name", "parent"})
    for area in places:
        above = draft.areas.get(area.parent or "")
        names = {"name": area.name, "parent_name": above.name if above else "", "code": area.code}
        slugs = {slot: kebab(name) for slot, name in names.items()}
        yield AgencyEntry(
            id=_fill(rule.id, slugs, f"{key}.id", problems),
            name={language: _fill(text, names, f"{key}.name", problems) for language, text in rule.name.items()},
            parent=_fill(rule.parent, slugs, f"{key}.parent", problems) if rule.parent is not None else None,
            level=rule.level,
            areas=[area.code],
            **own,
        )


def _fill(template: str, values: dict[str, str], key: str, problems: Problems) -> str:
    def fill(found: re.Match[str]) -> str:
        slot = found.group(1)
        if slot not in values:
            problems.note(AGENCIES, key, f"{{{slot}}} stands for nothing", nearest(slot, values))
        return values.get(slot, "")

    return _placeholder.sub(fill, template)


def _agency(
    entry: AgencyEntry,
    roles: list[RoleEntry],
    whole_city: list[str],
    quotas: QuotasEntry | None,
    key: str,
    problems: Problems,
) -> Agency:
    sources: list[tuple[str, AgencyEntry | RoleEntry]] = [(key, entry)]
    sources += [(f'role "{role.id}"', role) for role in roles]
    return Agency(
        id=entry.id,
        name=entry.name,
        level=entry.level,
        parent=entry.parent,
        kind=entry.kind,
        areas=tuple(entry.areas or whole_city),
        publishes=tuple(dict.fromkeys(pattern for _, source in sources for pattern in source.publishes)),
        subscribes=tuple(
            _subscription(one, f"{where}.subscribes[{number}]")
            for where, source in sources
            for number, one in enumerate(source.subscribes)
        ),
        entitlements=tuple(dict.fromkeys(name for _, source in sources for name in source.entitlements)),
        personal=tuple(
            _reading(one, f"{where}.personal[{number}]")
            for where, source in sources
            for number, one in enumerate(source.personal)
        ),
        approval_threshold=_money(entry.approval_threshold, f"{key}.approval_threshold", problems),
        quotas=quotas_of(quotas, entry.quotas),
    )


def _subscription(entry: SubscriptionEntry, origin: str) -> Subscription:
    return Subscription(
        types=tuple(entry.types),
        relation=entry.relation,
        services=_tuple_or_none(entry.services),
        areas=_tuple_or_none(entry.areas),
        levels=_tuple_or_none(entry.levels),
        when=entry.when,
        origin=origin,
    )


def _reading(entry: ReadingEntry, origin: str) -> Reading:
    fields = _tuple_or_none(entry.fields)
    return Reading(types=tuple(entry.types), fields=fields, purpose=entry.purpose, origin=origin)


def _tuple_or_none(names: list[str] | None) -> tuple[str, ...] | None:
    return tuple(names) if names is not None else None


def _money(entry: MoneyEntry | None, key: str, problems: Problems) -> Money | None:
    if entry is None:
        return None
    try:
        return Money(amount=entry.amount, currency=entry.currency)
    except ValidationError:
        problems.note(
            AGENCIES, key, "this is not an amount of money", 'Write { amount = "2500.00", currency = "USD" }.'
        )
        return None


def _add_services(draft: Draft, problems: Problems) -> None:
    whole_city = (draft.settings.area,) if draft.settings.area else ()
    draft.service_codes.update(draft.files.broken["service"])
    defaults = _durations(draft, draft.files.targets, "targets", problems)
    for entry in draft.files.services:
        key = f'service "{entry.service_code}"'
        if entry.service_code in draft.service_codes:
            problems.note(SERVICES, key, "the service_code stands twice", "Give each service a code of its own.")
            continue
        draft.service_codes.add(entry.service_code)
        targets = {**defaults, **_durations(draft, entry, key, problems)}
        for name in TARGETS:
            said = getattr(entry, name) is not None or getattr(draft.files.targets, name) is not None
            if not said and not problems.concern(SERVICES, f"{key}.{name}"):
                problems.note(
                    SERVICES, f"{key}.{name}", "it is missing, and [targets] has none", 'Add it, such as "P3D".'
                )
            targets.setdefault(name, UNKNOWN_TARGET)
        draft.services[entry.service_code] = _service(entry, whole_city, targets, draft.files.targets.warn_at)


def _service(
    entry: ServiceEntry, whole_city: tuple[str, ...], targets: dict[str, Within], warn_at: float | None
) -> Service:
    return Service(
        service_code=entry.service_code,
        service_name=entry.service_name,
        description=entry.description,
        group=entry.group,
        keywords=tuple(entry.keywords),
        type=entry.type,
        attributes=_attributes(entry),
        responsible=tuple(
            Responsibility(areas=tuple(one.areas or whole_city), agencies=tuple(one.agencies))
            for one in entry.responsible
        ),
        works=tuple(tuple(one.agencies) for one in entry.works),
        warn_at=entry.warn_at if entry.warn_at is not None else warn_at,
        **targets,
    )


def _attributes(entry: ServiceEntry) -> tuple[ServiceAttribute, ...]:
    found = [
        ServiceAttribute(
            **one.model_dump(exclude={"order", "values"}),
            order=one.order or place,
            values=tuple(AttributeValue(key=value.key, name=value.name) for value in one.values),
        )
        for place, one in enumerate(entry.attributes, start=1)
    ]
    return tuple(sorted(found, key=lambda attribute: attribute.order))


def _durations(draft: Draft, entry: TargetsEntry, key: str, problems: Problems) -> dict[str, Within]:
    said = {name: text for name in TARGETS if (text := getattr(entry, name)) is not None}
    read = {name: target_of(draft.settings, text, SERVICES, f"{key}.{name}", problems) for name, text in said.items()}
    return {name: within for name, within in read.items() if within is not None}
