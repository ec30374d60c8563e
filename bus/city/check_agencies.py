"""Whether agencies.toml makes sense: ids, places, rights that exist, and a way up that ends."""

from __future__ import annotations

import re
from collections.abc import Iterable

import schemas.types  # noqa: F401 - fills the registry, which says what patterns may name
from bus.city.assemble import Draft
from bus.city.check_places import check_text, fits
from bus.city.files import AgencyEntry, AgencyForEachEntry, RoleEntry, SubscriptionEntry
from bus.city.lookups import area_chains
from bus.city.model import (
    ENTITLEMENTS,
    OPERATIONS_TYPES,
    RESERVED_AGENCY_IDS,
    TYPE_PATTERN_PATTERN,
    Agency,
    matches,
)
from bus.city.problems import Problems, nearest
from bus.city.read import AGENCIES, AREAS, CITY
from schemas.registry import registry
from schemas.values import AgencyId

Entry = RoleEntry | AgencyEntry | AgencyForEachEntry


def check_agencies(draft: Draft, problems: Problems) -> None:
    """agencies.toml, and the agencies that city.toml names."""
    named: list[tuple[str, Entry]] = [(f'role "{role.id}"', role) for role in draft.files.roles]
    named += [(f'agency "{agency.id}"', agency) for agency in draft.files.agencies]
    named += [(f'agency_for_each "{rule.id}"', rule) for rule in draft.files.agencies_for_each]
    for key, entry in named:
        _check_rights(draft, entry, key, problems)
        if not isinstance(entry, RoleEntry):
            check_text(draft, entry.name, AGENCIES, f"{key}.name", problems)
            if draft.ranks and entry.level not in draft.ranks:
                problem = f'there is no level "{entry.level}" in {CITY}'
                problems.note(AGENCIES, f"{key}.level", problem, nearest(entry.level, draft.ranks))
    for agency in draft.agencies.values():
        _check_agency(draft, agency, draft.origins[agency.id], problems)
    _check_ways_up(draft, problems)
    _check_offices(draft, problems)


def _check_rights(draft: Draft, entry: Entry, key: str, problems: Problems) -> None:
    _check_patterns(entry.publishes, f"{key}.publishes", problems, publishing=True)
    for number, subscription in enumerate(entry.subscribes):
        where = f"{key}.subscribes[{number}]"
        _check_patterns(subscription.types, f"{where}.types", problems, publishing=False)
        _check_services_exist(draft, subscription, f"{where}.services", problems)
    for name in entry.entitlements:
        if name not in ENTITLEMENTS:
            advice = nearest(name, ENTITLEMENTS)
            problems.note(AGENCIES, f"{key}.entitlements", f'there is no entitlement "{name}"', advice)


def _check_patterns(patterns: Iterable[str], key: str, problems: Problems, *, publishing: bool) -> None:
    types = {known.name: known for known in registry}
    for pattern in patterns:
        covered = [known for name, known in types.items() if matches(pattern, name)]
        if not re.match(TYPE_PATTERN_PATTERN, pattern) or not covered:
            known_patterns = types.keys() | {f"subak.{known.domain}.*" for known in registry}
            problems.note(AGENCIES, key, f'no event type is covered by "{pattern}"', nearest(pattern, known_patterns))
        elif publishing and all(known.publisher == "bus" for known in covered):
            problems.note(AGENCIES, key, f'"{pattern}" covers only types that the bus itself publishes', "Remove it.")
        elif publishing and pattern in OPERATIONS_TYPES:
            problems.note(AGENCIES, key, f'"{pattern}" is for operations alone', "Remove it.")


def _check_services_exist(draft: Draft, entry: SubscriptionEntry, key: str, problems: Problems) -> None:
    for code in entry.services or ():
        if draft.service_codes and code not in draft.service_codes:
            problems.note(AGENCIES, key, f'there is no service "{code}"', nearest(code, draft.service_codes))


def _check_agency(draft: Draft, agency: Agency, key: str, problems: Problems) -> None:
    if agency.id in RESERVED_AGENCY_IDS:
        problem = f'the id "{agency.id}" is reserved for the bus'
        problems.note(AGENCIES, key, problem, f"Take another; reserved are {', '.join(sorted(RESERVED_AGENCY_IDS))}.")
    elif not fits(AgencyId, agency.id):
        problem = f'the id "{agency.id}" is not kebab-case of at most 64 characters'
        problems.note(AGENCIES, key, problem, 'Write it in a-z, 0-9 and "-", such as "public-works".')
    for code in agency.areas:
        if draft.areas and code not in draft.areas and code not in (draft.settings.area, *draft.files.broken["area"]):
            problems.note(AGENCIES, f"{key}.areas", f'{AREAS} has no area "{code}"', nearest(code, draft.areas))
    if not agency.areas:
        problems.note(AGENCIES, f"{key}.areas", "it has no area", f"Name its areas, or area in {CITY}.")
    threshold, currency = agency.approval_threshold, draft.settings.currency
    if threshold is not None:
        if currency is not None and threshold.currency != currency:
            problem = f"the amount is in {threshold.currency}, and the city reckons in {currency}"
            problems.note(AGENCIES, f"{key}.approval_threshold", problem, f"Give it in {currency}.")
        if threshold.decimal < 0:
            problems.note(AGENCIES, f"{key}.approval_threshold", "the amount is negative", "Give zero or more.")


def _check_ways_up(draft: Draft, problems: Problems) -> None:
    """What is overdue goes from parent to parent. That must end, and must not end below someone who could act."""
    ranks = draft.ranks
    looped: set[str] = set()
    for agency in draft.agencies.values():
        key = draft.origins[agency.id]
        if agency.parent is None:
            _check_top(draft, agency, key, problems)
            continue
        if agency.parent not in draft.agency_ids:
            if not any(found.key == f"{key}.parent" and "stands for nothing" in found.problem for found in problems):
                advice = nearest(agency.parent, draft.agency_ids)
                problems.note(AGENCIES, f"{key}.parent", f'there is no agency "{agency.parent}"', advice)
            continue
        above = draft.agencies.get(agency.parent)
        if above is None:
            continue
        if above.kind == "partner":
            problems.note(AGENCIES, f"{key}.parent", f'"{above.id}" is a partner', "Name an agency.")
        elif ranks.get(above.level, 0) < ranks.get(agency.level, 0):
            problem = f'"{above.id}" is of a lower level, "{above.level}"'
            problems.note(AGENCIES, f"{key}.parent", problem, f'Name an agency of the level "{agency.level}" or above.')
        else:
            _check_reach(draft, agency, above, problems)
        _check_loop(draft, agency, looped, problems)


def _check_reach(draft: Draft, agency: Agency, above: Agency, problems: Problems) -> None:
    """Who takes over what is overdue acts where it lies, or the gateway refuses what it says."""
    chains = area_chains(draft.areas)
    if any(code not in chains or problems.concern(AREAS, f'area "{code}"') for code in (*agency.areas, *above.areas)):
        return
    out_of_reach = [code for code in agency.areas if set(above.areas).isdisjoint(chains[code])]
    if out_of_reach:
        problem = f'"{above.id}" does not act in {", ".join(out_of_reach[:3])}, where this agency does'
        problems.note(AGENCIES, f"{draft.origins[agency.id]}.parent", problem, "Name one that does, or add the areas.")


def _check_loop(draft: Draft, agency: Agency, looped: set[str], problems: Problems) -> None:
    """Note a circle of parents once, at the first of its agencies."""
    way = [agency.id]
    while (parent := draft.agencies[way[-1]].parent) in draft.agencies and parent not in way:
        way.append(parent or "")
    if parent in way and parent == agency.id and parent not in looped:
        looped.update(way)
        problem = f"the escalation never ends: {' → '.join([*way, agency.id])}"
        key = f"{draft.origins[agency.id]}.parent"
        problems.note(AGENCIES, key, problem, "Let one of them have another parent, or none.")


def _check_top(draft: Draft, agency: Agency, key: str, problems: Problems) -> None:
    """An agency without a parent: right at the top, a gap below it."""
    if agency.kind == "partner":
        problems.note(AGENCIES, f"{key}.parent", "a partner has no parent", "Name the agency that answers for it.")
        return
    if problems.concern(AGENCIES, f"{key}.parent"):
        return
    ranks, chains = draft.ranks, area_chains(draft.areas)
    rank = ranks.get(agency.level)
    if rank is None:
        return
    above = [
        other
        for other in draft.agencies.values()
        if other.kind == "agency"
        and ranks.get(other.level, -1) > rank
        and all(not set(other.areas).isdisjoint(chains.get(code, ())) for code in agency.areas)
    ]
    if above:
        closest = min(above, key=lambda other: ranks[other.level])
        problem = f'the escalation ends here, though the level "{closest.level}" is above it'
        problems.note(AGENCIES, f"{key}.parent", problem, f'Name its parent, such as "{closest.id}".')


def _check_offices(draft: Draft, problems: Problems) -> None:
    """The three agencies that city.toml names exist, and are no partners."""
    for office in ("approver", "citizens_channel", "default_agency"):
        id = getattr(draft.settings, office)
        if id is None or not (draft.agencies or draft.agency_ids):
            continue
        if id not in draft.agency_ids:
            problems.note(CITY, office, f'there is no agency "{id}" in {AGENCIES}', nearest(id, draft.agency_ids))
        elif id in draft.agencies and draft.agencies[id].kind == "partner":
            problems.note(CITY, office, f'"{id}" is a partner', "Name an agency.")
