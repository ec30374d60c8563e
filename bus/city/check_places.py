"""Whether city.toml and areas.csv make sense: standards' codes, bounds, levels, and one tree of areas."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any
from zoneinfo import available_timezones

from pydantic import TypeAdapter, ValidationError

from bus.city.assemble import Draft
from bus.city.files import OPTIONAL_CITY_KEYS, CityEntry
from bus.city.model import Bounds
from bus.city.problems import Problems, nearest
from bus.city.read import AREAS, CITY
from bus.city.standards import COUNTRIES, CURRENCIES
from schemas.values import AgencyId, AreaCode, LanguageTag


def check_settings(draft: Draft, problems: Problems) -> None:
    """city.toml, apart from its agencies and services."""
    settings = draft.settings
    unread = problems.concern(CITY, "")
    for key in CityEntry.model_fields:
        missing = getattr(settings, key) is None and key not in OPTIONAL_CITY_KEYS
        if missing and not unread and not problems.concern(CITY, key):
            problems.note(CITY, key, "it is missing", "Add it.")
    if settings.id is not None and not fits(AgencyId, settings.id):
        problems.note(CITY, "id", f'"{settings.id}" is not kebab-case', 'Write it in a-z, 0-9 and "-": "new-york".')
    _check_code("country", settings.country, COUNTRIES, "ISO 3166-1 alpha-2 country", problems)
    _check_code("currency", settings.currency, CURRENCIES, "ISO 4217 currency", problems)
    _check_code("timezone", settings.timezone, available_timezones(), "IANA time zone", problems)
    for language in settings.languages or ():
        if not fits(LanguageTag, language):
            problems.note(CITY, "languages", f'"{language}" is not a BCP 47 tag', 'Write it as "en" or "zh-Hant".')
    check_text(draft, settings.name, CITY, "name", problems)
    if settings.bounds is not None and (
        settings.bounds.west >= settings.bounds.east or settings.bounds.south >= settings.bounds.north
    ):
        problems.note(CITY, "bounds", "the box is empty", "West must be less than east, and south less than north.")
    seen: set[str] = set()
    for level in settings.level or ():
        key = f'level "{level.id}"'
        if level.id in seen:
            problems.note(CITY, key, "the id stands twice", "Give each level an id of its own.")
        seen.add(level.id)
        check_text(draft, level.name, CITY, f"{key}.name", problems)


def check_text(draft: Draft, text: Mapping[str, str] | None, file: str, key: str, problems: Problems) -> None:
    """A localised text has the city's default language, and none that the city does not have."""
    languages = draft.settings.languages
    if text is None or not languages:
        return
    if languages[0] not in text:
        problems.note(file, key, f'it lacks the city\'s first language, "{languages[0]}"', f"Add {key}.{languages[0]}.")
    for language in text:
        if language not in languages:
            advice = f"{nearest(language, languages)} Remove it, or add it to languages in {CITY}."
            problems.note(file, f"{key}.{language}", "the city does not have this language", advice)


def fits(kind: Any, value: str) -> bool:
    """Whether the value is of one of the shared language's kinds of text, such as `AreaCode`."""
    try:
        TypeAdapter(kind).validate_python(value, strict=True)
    except ValidationError:
        return False
    return True


def check_areas(draft: Draft, problems: Problems) -> None:
    """areas.csv: every level is known, and the areas make one tree that holds the city."""
    ranks = draft.ranks
    said = draft.settings.bounds
    bounds = Bounds(**said.model_dump()) if said is not None and not problems.concern(CITY, "bounds") else None
    broken = draft.files.broken["area"]
    roots = []
    for code, area in draft.areas.items():
        key = f'area "{code}"'
        if not fits(AreaCode, code):
            fix = "Begin with a letter or digit, go on with letters, digits, dots, hyphens and underscores, 64 at most."
            problems.note(AREAS, key, "this is no area code", fix)
        if ranks and area.level not in ranks:
            problems.note(AREAS, key, f'there is no level "{area.level}" in {CITY}', nearest(area.level, ranks))
        if area.centroid and bounds and not bounds.contains(*area.centroid):
            fix = f"Correct longitude and latitude, or bounds in {CITY}."
            problems.note(AREAS, key, "its centroid is outside the city's bounds", fix)
        if area.parent is None:
            roots.append(code)
        elif area.parent in draft.areas:
            above = draft.areas[area.parent]
            if ranks.get(above.level, 1) <= ranks.get(area.level, 0):
                problem = f'it lies in "{above.code}", whose level "{above.level}" is not above its own, "{area.level}"'
                fix = f"Correct a level, or the order of levels in {CITY}: from the lowest up."
                problems.note(AREAS, key, problem, fix)
        elif area.parent not in broken:
            advice = f"Add a line for it, or fill the column parent. {nearest(area.parent, draft.areas)}"
            problems.note(AREAS, key, f'it lies in "{area.parent}", which has no line', advice)
    if len(roots) > 1:
        _check_roots(draft, roots, problems)
    city = draft.settings.area
    if city is not None and draft.areas and city not in draft.areas and city not in broken:
        problems.note(CITY, "area", f'{AREAS} has no area "{city}"', nearest(city, draft.areas))


def _check_roots(draft: Draft, roots: list[str], problems: Problems) -> None:
    """Of several areas that lie in none, all but the highest lack something."""
    ranks = draft.ranks
    outermost = max(roots, key=lambda code: ranks.get(draft.areas[code].level, -1))
    for code in roots:
        if code != outermost:
            fix = f'Fill the column parent: only the outermost, "{outermost}", has none.'
            problems.note(AREAS, f'area "{code}"', "it lies in no other area", fix)


def _check_code(key: str, value: str | None, known: Iterable[str], what: str, problems: Problems) -> None:
    codes = set(known)
    if value is not None and value not in codes:
        problems.note(CITY, key, f'"{value}" is no {what}', nearest(value, codes))
