"""Whether those who must speak in a case may: a case waits for ever for an answer that nobody has the right to give."""

from __future__ import annotations

from collections.abc import Iterable

from bus.city.assemble import Draft
from bus.city.lookups import INSPECTED, area_chains, inspector_in
from bus.city.model import REPLAY_REQUESTED, Agency, Subscription
from bus.city.problems import Problems
from bus.city.read import AGENCIES, CITY, SERVICES
from schemas.registry import registry

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

COMPLETED = "subak.workorder.completed.v1"
"""What an area's inspector must hear of, or the work is never inspected."""


def check_rights(draft: Draft, problems: Problems) -> None:
    """Each agency that has a part in a case may publish what that part needs, where it needs it."""
    settings = draft.settings
    _must_publish(draft, settings.citizens_channel, CHANNEL_TYPES, f"it is the citizens_channel of {CITY}", problems)
    _must_publish(draft, settings.approver, APPROVER_TYPES, f"it is the approver of {CITY}", problems)
    for id in _ways_up(draft, [settings.approver or ""]):
        _must_publish(draft, id, APPROVER_TYPES, "an approval that is overdue comes to it", problems)
    asked = [one.agencies for service in draft.services.values() for one in service.responsible]
    for first, *others in asked:
        _must_publish(draft, first, (*ANSWER_TYPES, *WORK_TYPES), f"{SERVICES} asks it first", problems)
        for id in others:
            _must_publish(draft, id, WORK_TYPES, f"{SERVICES} asks it after others", problems)
    for id in _ways_up(draft, [id for agencies in asked for id in agencies]):
        needed = (*ANSWER_TYPES, *WORK_TYPES)
        _must_publish(draft, id, needed, "what is overdue elsewhere comes to it", problems)
    _check_offices_hold_city(draft, problems)
    _check_inspectors(draft, problems)
    _check_everything_said(draft, problems)


def _ways_up(draft: Draft, ids: Iterable[str]) -> list[str]:
    """All agencies that a matter of these may be escalated to: their parents to the top, and the default agency."""
    found: dict[str, None] = {}
    for id in ids:
        agency = draft.agencies.get(id)
        while agency is not None and agency.parent is not None and agency.parent not in found:
            found[agency.parent] = None
            agency = draft.agencies.get(agency.parent)
    return [*found, *([draft.settings.default_agency] if draft.settings.default_agency else [])]


def _must_publish(draft: Draft, id: str | None, types: Iterable[str], why: str, problems: Problems) -> None:
    agency = draft.agencies.get(id or "")
    lacking = [name for name in types if agency is not None and not agency.publishes_type(name)]
    if agency is not None and lacking:
        problem = f"{why}, but it may not publish {', '.join(lacking)}"
        fix = "Add these to its publishes, or give it a role that has them."
        problems.note(AGENCIES, f"{draft.origins[agency.id]}.publishes", problem, fix)


def _check_offices_hold_city(draft: Draft, problems: Problems) -> None:
    """The channel, the approver and the default agency act in the whole city: a case anywhere may need them."""
    city = draft.settings.area or ""
    chain = area_chains(draft.areas).get(city)
    for office in ("approver", "citizens_channel", "default_agency"):
        agency = draft.agencies.get(getattr(draft.settings, office) or "")
        if agency is None or chain is None:
            continue
        if set(agency.areas).isdisjoint(chain):
            problem = f"it is the {office} of {CITY}, but its areas are not the whole city"
            problems.note(AGENCIES, f"{draft.origins[agency.id]}.areas", problem, f'Add "{city}", or leave areas out.')
    channel = draft.agencies.get(draft.settings.citizens_channel or "")
    deaf = [name for name in CHANNEL_HEARS if channel is not None and not _hears(channel, name, ("area", "all"))]
    if channel is not None and deaf:
        problem = f"it is the citizens_channel of {CITY}, but it does not hear of {', '.join(deaf)}"
        fix = 'Subscribe it to them with relation = "area".'
        problems.note(AGENCIES, f"{draft.origins[channel.id]}.subscribes", problem, fix)


def _check_inspectors(draft: Draft, problems: Problems) -> None:
    settings, chains = draft.settings, area_chains(draft.areas)
    default, city = settings.default_agency, settings.area
    if default not in draft.agencies or city not in draft.areas or not draft.ranks:
        return
    if any(agency.level not in draft.ranks for agency in draft.agencies.values()):
        return
    for chain in chains.values():
        if city not in chain:
            continue
        inspector = draft.agencies[inspector_in(chain, draft.agencies, draft.ranks, default or "")]
        _must_publish(draft, inspector.id, INSPECTOR_TYPES, "it inspects finished work in its area", problems)
        above = inspector.parent or default
        _must_publish(draft, above, INSPECTOR_TYPES, "an inspection that is overdue comes to it", problems)
        if not _hears(inspector, COMPLETED, ("inspector", "area", "all")):
            problem = f"it inspects finished work, but does not hear of {COMPLETED}"
            fix = 'Subscribe it with relation = "inspector".'
            problems.note(AGENCIES, f"{draft.origins[inspector.id]}.subscribes", problem, fix)


def _check_everything_said(draft: Draft, problems: Problems) -> None:
    """Every type that agencies publish is published by one: otherwise a part of the workflow can never happen."""
    broken = draft.files.broken
    if not draft.agencies or broken["agency"] or broken["agency_for_each"] or broken["role"]:
        return
    for known in registry:
        if known.publisher != "agency" or known.name == REPLAY_REQUESTED:
            continue
        if not any(agency.publishes_type(known.name) for agency in draft.agencies.values()):
            fix = "Add it to the publishes of an agency or role."
            problems.note(AGENCIES, "publishes", f"no agency may publish {known.name}", fix)


def _hears(agency: Agency, event_type: str, relations: tuple[str, ...]) -> bool:
    def fits(subscription: Subscription) -> bool:
        return subscription.relation in relations and subscription.services is None and subscription.takes(event_type)

    return any(fits(subscription) for subscription in agency.subscribes)
