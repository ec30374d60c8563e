"""What the files say of time and quotas, and what city.toml says of proposals and permits: each step with its time."""

from __future__ import annotations

from datetime import timedelta

from bus.city.calendar import Within, WorkingTime, parse_within
from bus.city.files import CityEntry, QuotasEntry
from bus.city.model import PERMIT_STEPS, PROPOSAL_STEPS, Nearby, Permit, Proposals, Quotas
from bus.city.problems import Problems, nearest
from bus.city.read import CITY

UNKNOWN_TARGET = timedelta(days=1)
"""Stands in for a target that was noted as wrong, so that the rest can be checked."""


def proposals_of(settings: CityEntry, problems: Problems) -> Proposals | None:
    """`[proposals]`, where the city takes any."""
    entry = settings.proposals
    if entry is None:
        return None
    within = _within(settings, entry.within, PROPOSAL_STEPS, "proposals.within", problems)
    return Proposals(office=entry.office, finance=entry.finance, within=within)


def nearby_of(settings: CityEntry) -> Nearby | None:
    """`[nearby]`, where the city compares anything."""
    entry = settings.nearby
    if entry is None:
        return None
    values = entry.model_dump(exclude={"same_matter_services", "clash_services"})
    services = (tuple(entry.same_matter_services), tuple(entry.clash_services))
    return Nearby(**values, same_matter_services=services[0], clash_services=services[1])


def quotas_of(*entries: QuotasEntry | None) -> Quotas:
    """What an agency may take of the cluster: what is said last counts, and the default where nothing is said."""
    said = [entry.model_dump(exclude_none=True) for entry in entries if entry is not None]
    return Quotas(**{name: value for one in said for name, value in one.items()})


def permits_of(settings: CityEntry, problems: Problems) -> dict[str, Permit]:
    """`[[permit]]`, by service_code."""
    found: dict[str, Permit] = {}
    for entry in settings.permit or ():
        key = f'permit "{entry.service_code}"'
        if entry.service_code in found:
            problems.note(CITY, key, "the service_code stands twice", "Give each permit a code of its own.")
            continue
        within = _within(settings, entry.within, PERMIT_STEPS, f"{key}.within", problems)
        found[entry.service_code] = Permit(
            service_code=entry.service_code,
            name=entry.name,
            office=entry.office,
            consulted=tuple(entry.consulted),
            within=within,
        )
    return found


def _within(
    settings: CityEntry, entry: dict[str, str], steps: tuple[str, ...], key: str, problems: Problems
) -> dict[str, Within]:
    """How long each step may take; one that is missing or wrong is noted."""
    within: dict[str, Within] = dict.fromkeys(steps, UNKNOWN_TARGET)
    for step in entry:
        if step not in within:
            advice = f"{nearest(step, within)} Correct or remove it."
            problems.note(CITY, f"{key}.{step}", "this key is unknown", advice)
    for step in within:
        if step not in entry:
            problems.note(CITY, f"{key}.{step}", "it is missing", 'Add it, such as "P14D".')
            continue
        within[step] = target_of(settings, entry[step], CITY, f"{key}.{step}", problems) or UNKNOWN_TARGET
    return within


def target_of(settings: CityEntry, text: str, file: str, key: str, problems: Problems) -> Within | None:
    """A target as a file says it; None, with the problem noted, where it is none."""
    try:
        within = parse_within(text)
    except ValueError as error:
        fix = 'Write it as "2 working days", "4 working hours", "P3D" or "PT4H"; months have no fixed length.'
        problems.note(file, key, str(error), fix)
        return None
    if isinstance(within, WorkingTime) and settings.calendar is None and not problems.concern(CITY, "calendar"):
        fix = f'Add [calendar] to {CITY}, or write calendar time, such as "P3D".'
        problems.note(file, key, f'"{text}" needs to know which days are worked', fix)
    return within
