"""Whether those who must speak in a case may: a case waits for ever for an answer that nobody has the right to give."""

from __future__ import annotations

from collections.abc import Iterable

from bus.city.assemble import Draft
from bus.city.lookups import INSPECTED, area_chains, inspector_in
from bus.city.model import Agency
from bus.city.problems import Problems
from bus.city.read import AGENCIES, CITY, SERVICES

CHANNEL_TYPES = (
    "subak.request.submitted.v1",
    "subak.request.rated.v1",
    "subak.request.reopened.v1",
    "subak.request.withdrawn.v1",
)
"""What the citizens' channel must be able to say."""

CHANNEL_HEARS = ("subak.request.assigned.v1", "subak.request.resolved.v1", "subak.request.closed.v1")
"""What the citizens' channel must hear of, or the citizen is never told."""

APPROVER_TYPES = ("subak.approval.granted.v1", "subak.approval.refused.v1", "subak.approval.sentback.v1")

ANSWER_TYPES = ("subak.request.acknowledged.v1",)
"""What the first agency asked about a service must be able to say to the citizen's request."""

WORK_TYPES = (
    "subak.workorder.accepted.v1",
    "subak.workorder.declined.v1",
    "subak.workorder.started.v1",
    "subak.workorder.completed.v1",
)
"""What whoever gets a work order must be able to say."""

INSPECTOR_TYPES = (INSPECTED, "subak.workorder.defectfound.v1")


def check_rights(draft: Draft, problems: Problems) -> None:
    """Each agency that has a part in a case may say, and hears, what that part needs."""
    parts = Parts(draft, problems)
    if (channel := parts.office("citizens_channel")) is not None:
        parts.says(channel, CHANNEL_TYPES, f"it is the citizens_channel of {CITY}")
        parts.hears(channel, CHANNEL_HEARS, f"it is the citizens_channel of {CITY}")
    if (approver := parts.office("approver")) is not None:
        parts.says(approver, APPROVER_TYPES, f"it is the approver of {CITY}")
        for id in parts.ways_up([approver]):
            parts.says(id, APPROVER_TYPES, "an approval that is overdue comes to it")
    asked = [one.agencies for service in draft.services.values() for one in service.responsible]
    for first, *others in asked:
        parts.says(first, (*ANSWER_TYPES, *WORK_TYPES), f"{SERVICES} asks it first")
        for id in others:
            parts.says(id, WORK_TYPES, f"{SERVICES} asks it after others")
    joint = [id for service in draft.services.values() for agencies in service.works for id in agencies]
    for id in joint:
        parts.says(id, WORK_TYPES, f"{SERVICES} names it for a part of works")
    for id in parts.ways_up([*(id for agencies in asked for id in agencies), *joint]):
        parts.says(id, (*ANSWER_TYPES, *WORK_TYPES), "what is overdue elsewhere comes to it")
    for id in _inspectors(draft):
        parts.says(id, INSPECTOR_TYPES, "it inspects finished work")
        for above in parts.ways_up([id])[:1]:
            parts.says(above, INSPECTOR_TYPES, "an inspection that is overdue comes to it")
    parts.tell()
    _check_offices_hold_city(draft, problems)


class Parts:
    """The parts that agencies have in cases, with what each lacks for them: gathered, then told once for each agency.

    What is noted already is not built upon: neither an agency whose rights were misread, nor a parent that is wrong.
    """

    def __init__(self, draft: Draft, problems: Problems) -> None:
        self._draft = draft
        self._problems = problems
        self._lacking: dict[tuple[str, str, str], dict[str, None]] = {}
        """Where, why and how to mend it, and the types that it is about."""
        self._told: set[tuple[str, str, str]] = set()

    def office(self, name: str) -> str | None:
        """The agency that city.toml names for an office, where it does so rightly."""
        id: str | None = getattr(self._draft.settings, name)
        return id if id in self._draft.agencies and not self._problems.concern(CITY, name) else None

    def ways_up(self, ids: Iterable[str]) -> list[str]:
        """All agencies that a matter of these may be escalated to: their parents to the top, and the default agency."""
        draft, found = self._draft, dict[str, None]()
        for id in ids:
            agency = draft.agencies.get(id)
            while agency is not None and agency.parent is not None and agency.parent not in found:
                if self._problems.concern(AGENCIES, f"{draft.origins[agency.id]}.parent"):
                    break
                found[agency.parent] = None
                agency = draft.agencies.get(agency.parent)
        default = self.office("default_agency")
        return [*found, *([default] if default is not None and default not in found else [])]

    def says(self, id: str, types: Iterable[str], why: str) -> None:
        """The agency must be able to publish these."""
        agency = self._draft.agencies.get(id)
        if agency is None or self._doubtful(agency):
            return
        lacking = [name for name in types if not agency.publishes_type(name)]
        fix = "Add these to its publishes, or give it a role that has them."
        self._lack(agency, "publishes", f"{why}, but it may not publish ", lacking, fix)

    def hears(self, id: str, types: Iterable[str], why: str) -> None:
        """The agency must hear of these wherever they lie in its area."""
        agency = self._draft.agencies.get(id)
        if agency is None or self._doubtful(agency):
            return
        lacking = [name for name in types if not _hears(agency, name)]
        fix = 'Subscribe it to them with relation = "area".'
        self._lack(agency, "subscribes", f"{why}, but it does not hear of ", lacking, fix)

    def tell(self) -> None:
        """Note all that is lacking."""
        for (key, problem, fix), types in self._lacking.items():
            self._problems.note(AGENCIES, key, problem + ", ".join(types), fix)

    def _lack(self, agency: Agency, verb: str, problem: str, types: Iterable[str], fix: str) -> None:
        key = f"{self._draft.origins[agency.id]}.{verb}"
        for name in types:
            if (agency.id, verb, name) not in self._told:
                self._told.add((agency.id, verb, name))
                self._lacking.setdefault((key, problem, fix), {})[name] = None

    def _doubtful(self, agency: Agency) -> bool:
        roles = self._draft.roles[agency.id]
        return any(
            self._problems.concern(AGENCIES, key)
            for part in ("publishes", "subscribes", "roles")
            for key in (f"{self._draft.origins[agency.id]}.{part}", *(f'role "{role}".{part}' for role in roles))
        ) or not self._draft.files.broken["role"].isdisjoint(roles)


def _hears(agency: Agency, event_type: str) -> bool:
    """Whether it hears of the type by its area or more widely, whatever else the event says."""
    return any(
        subscription.relation in ("area", "all") and subscription.is_whole and subscription.takes(event_type)
        for subscription in agency.subscribes
    )


def _inspectors(draft: Draft) -> list[str]:
    """The agencies that inspect somewhere in the city; none where levels or offices are not sure."""
    default, city, ranks = draft.settings.default_agency, draft.settings.area, draft.ranks
    if default not in draft.agencies or any(agency.level not in ranks for agency in draft.agencies.values()):
        return []
    chains = [chain for chain in area_chains(draft.areas).values() if city in chain]
    return list(dict.fromkeys(inspector_in(chain, draft.agencies, ranks, default) for chain in chains))


def _check_offices_hold_city(draft: Draft, problems: Problems) -> None:
    """The channel, the approver and the default agency act in the whole city: a case anywhere may need them."""
    city = draft.settings.area or ""
    chain = area_chains(draft.areas).get(city)
    for office in ("approver", "citizens_channel", "default_agency"):
        agency = draft.agencies.get(getattr(draft.settings, office) or "")
        if agency is None or chain is None or problems.concern(CITY, office):
            continue
        if set(agency.areas).isdisjoint(chain):
            problem = f"it is the {office} of {CITY}, but its areas are not the whole city"
            problems.note(AGENCIES, f"{draft.origins[agency.id]}.areas", problem, f'Add "{city}", or leave areas out.')
