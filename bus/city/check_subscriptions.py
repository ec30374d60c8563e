"""Whether what agencies subscribe to, and what personal fields they may read, can be: places, conditions, fields.

A condition is compiled, its names are held against what an event has, and it is tried on every example of the types
that it is for: so a field that some events lack is found here, and not by the router at night.
"""

from __future__ import annotations

import re
from collections.abc import Iterable
from functools import cache
from typing import Any

from bus.city.assemble import Draft
from bus.city.conditions import NAMES, fields_named
from bus.city.files import AgencyEntry, AgencyForEachEntry, ReadingEntry, RoleEntry, SubscriptionEntry
from bus.city.model import PERSONAL, matches
from bus.city.problems import Problems, nearest
from bus.city.read import AGENCIES, AREAS, CITY
from bus.expressions import Expression, ExpressionFailed, WrongExpression
from schemas.example_files import examples_of
from schemas.personal import personal_fields
from schemas.registry import EventType, registry

Entry = RoleEntry | AgencyEntry | AgencyForEachEntry

EXAMPLE = {
    "sender": "agency",
    "sender_level": "",
    "area": "",
    "areas": [""],
    "area_level": "",
    "service": "",
    "recipient": "",
    "parties": ["agency"],
    "case": "01900000-0000-7000-8000-000000000000",
    "time": "2026-11-24T08:00:00+08:00",
}
"""What an example's condition is given beside its type and data."""


def check_subscriptions(draft: Draft, problems: Problems) -> None:
    """Every subscription and every right to read, where it is written."""
    named: list[tuple[str, Entry]] = [(f'role "{role.id}"', role) for role in draft.files.roles]
    named += [(f'agency "{agency.id}"', agency) for agency in draft.files.agencies]
    named += [(f'agency_for_each "{rule.id}"', rule) for rule in draft.files.agencies_for_each]
    for key, entry in named:
        for number, subscription in enumerate(entry.subscribes):
            where = f"{key}.subscribes[{number}]"
            _check_place(draft, subscription, where, problems)
            if subscription.when is not None and not problems.concern(AGENCIES, f"{where}.types"):
                _check_condition(subscription, f"{where}.when", problems)
        for number, reading in enumerate(entry.personal):
            _check_reading(entry, reading, f"{key}.personal[{number}]", problems)


def _check_place(draft: Draft, entry: SubscriptionEntry, key: str, problems: Problems) -> None:
    known_areas = {*draft.areas, *draft.files.broken["area"]} - {""}
    for code in entry.areas or ():
        if draft.areas and code not in known_areas:
            problems.note(AGENCIES, f"{key}.areas", f'{AREAS} has no area "{code}"', nearest(code, draft.areas))
    for level in entry.levels or ():
        if draft.ranks and level not in draft.ranks:
            problem = f'there is no level "{level}" in {CITY}'
            problems.note(AGENCIES, f"{key}.levels", problem, nearest(level, draft.ranks))


def _check_condition(entry: SubscriptionEntry, key: str, problems: Problems) -> None:
    try:
        expression = Expression(entry.when or "")
    except WrongExpression as error:
        problems.note(AGENCIES, key, str(error), "Correct it: docs/how-to/describe-a-city.md shows conditions.")
        return
    strangers = [name for name in expression.names if name not in NAMES]
    for name in strangers:
        problems.note(AGENCIES, key, f'an event has no "{name}"', nearest(name, NAMES))
    covered = _covered(entry.types)
    fields = {field for known in covered for field in _fields_of(known)}
    for name in fields_named(entry.when or "") or ():
        if name not in fields:
            strangers.append(name)
            problem = f'the data of none of its types has a field "{name}"'
            problems.note(AGENCIES, key, problem, nearest(name, fields))
    if not strangers:
        _try_on_examples(expression, covered, key, problems)


def _try_on_examples(expression: Expression, covered: list[EventType], key: str, problems: Problems) -> None:
    """Note the first example on which the condition cannot say yes or no."""
    for known in covered:
        for name, data in _examples(known.name):
            try:
                given = {**EXAMPLE, "type": known.name, "service": data.get("service_code", ""), "data": data}
                expression.holds({each: given[each] for each in expression.names})
            except ExpressionFailed as error:
                fix = "Ask has(data.x) && ... first, for a field that not every event has."
                if "neither true nor false" in str(error):
                    fix = "Write a comparison."
                problem = f"{error}; so it is on the example {name} of {known.name}"
                problems.note(AGENCIES, key, problem, fix)
                return


def _check_reading(entry: Entry, reading: ReadingEntry, key: str, problems: Problems) -> None:
    if PERSONAL in entry.entitlements:
        problem = f'it may read all personal fields already, by entitlements = ["{PERSONAL}"]'
        problems.note(AGENCIES, key, problem, "Remove one of the two.")
    for pattern in reading.types:
        if not _covered([pattern]):
            known_patterns = {known.name for known in registry} | {f"subak.{known.domain}.*" for known in registry}
            advice = nearest(pattern, known_patterns)
            problems.note(AGENCIES, f"{key}.types", f'no event type is covered by "{pattern}"', advice)
    covered = _covered(reading.types)
    paths = {path for known in covered for path in personal_fields(known.name)}
    if covered and not paths:
        problem = f"{', '.join(reading.types)} has no personal fields"
        problems.note(AGENCIES, f"{key}.types", problem, "Remove the entry, or name other types.")
        return
    beginnings = paths | {path[: place.start()] for path in paths for place in re.finditer(r"[.\[]", path)}
    for field in reading.fields or ():
        if covered and field not in beginnings:
            problem = f'"{field}" is no personal field of these types'
            problems.note(AGENCIES, f"{key}.fields", problem, nearest(field, beginnings))


def _covered(patterns: Iterable[str]) -> list[EventType]:
    return [known for known in registry if any(matches(pattern, known.name) for pattern in patterns)]


def _fields_of(known: EventType) -> set[str]:
    return {field.alias or name for name, field in known.model.model_fields.items()}


@cache
def _examples(type_name: str) -> list[tuple[str, dict[str, Any]]]:
    found = examples_of(registry.get(type_name))
    return [(example.name, example.data) for example in found if example.reasons is None]
