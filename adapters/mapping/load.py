"""Reads mapping.toml, holds it against the shared types and the city, and compiles it; tells all that is wrong at once.

Each problem is a sentence with the file, the key, and the fix. What a record may bring is found when it comes; what can
be known without one is found here: a type that nobody shares, a field that it lacks, a required one that is not filled,
a code list that leads to a service or an area which the city does not have, an expression that is none.
"""

from __future__ import annotations

import tomllib
from collections.abc import Iterable
from pathlib import Path
from typing import Any

import schemas.types
from adapters.mapping.build_cells import build_cells
from adapters.mapping.build_fields import FieldBuilder
from adapters.mapping.mapping import CaseOf, EventOf, Mapping, RowOf
from adapters.mapping.model import EventRule, MappingFile, RowRule
from adapters.mapping.problems import Problems
from adapters.mapping.shapes import Shape, shapes_of
from bus.city import City
from bus.city.model import matches
from bus.city.problems import nearest
from schemas.failures import Misconfigured
from schemas.registry import registry

assert schemas.types  # importing it fills the registry


_MOMENT = Shape("moment", required=False)
_AREA = Shape("text", required=False, length_max=64)


def load_mapping(path: Path, city: City) -> Mapping:
    """The mapping in a file.

    Raises:
        Misconfigured: with everything that is wrong, a line each.
    """
    try:
        content = tomllib.loads(path.read_text(encoding="utf-8"))
    except OSError as error:
        raise Misconfigured(f"{path}: {error.strerror}. Name the mapping's file.") from error
    except ValueError as error:
        raise Misconfigured(f"{path} is not TOML in UTF-8: {error}.") from error
    problems = Problems(str(path))
    mapping = _mapping(content, city, problems)
    if problems or mapping is None:
        raise Misconfigured("\n".join(problems))
    return mapping


def _mapping(content: dict[str, Any], city: City, problems: Problems) -> Mapping | None:
    file = problems.read(MappingFile, content, "")
    if file is None:
        return None
    if not file.event and not file.row:
        problems.note("", "it has neither an [[event]] nor a [[row]]", "Say what a record becomes, or an event.")
    key = _names(file.key)
    if file.event and not key:
        problems.note("key", "it is missing", 'Name the columns that identify a record, such as key = "nomor".')
    builder = FieldBuilder(file, city, problems)
    events = [
        built
        for number, rule in enumerate(file.event, start=1)
        if (built := _event(rule, f"event[{number}]", key, builder, problems)) is not None
    ]
    if file.match == "all":
        names = [rule.name for rule in events if rule.type is not None]
        for name in sorted({name for name in names if names.count(name) > 1}):
            fix = "Give each a name of its own: it is part of the event's id."
            problems.note("event", f'{names.count(name)} rules are named "{name}"', fix)
    rows = [_row(rule, f"row[{number}]", builder, problems) for number, rule in enumerate(file.row, start=1)]
    return Mapping(
        events,
        rows,
        match_all=file.match == "all",
        otherwise_skip=file.otherwise == "skip",
        missing_is_empty=file.missing_columns == "empty",
    )


def _event(
    rule: EventRule, where: str, key: tuple[str, ...], builder: FieldBuilder, problems: Problems
) -> EventOf | None:
    when = problems.expression(rule.when, f"{where}.when")
    if rule.skip:
        if rule.type is not None:
            problems.note(where, "it has a type and skip", "Keep one: a skipped record becomes no event.")
        return EventOf(
            where=where, type=None, name="", when=when, id=key, case=None, time=None, jurisdiction=None, data=()
        )
    if rule.type is None:
        problems.note(f"{where}.type", "it is missing", "Name the event type, or state skip = true.")
        return None
    if rule.type not in registry:
        problems.note(
            f"{where}.type",
            f"there is no event type {rule.type!r}",
            nearest(rule.type, [each.name for each in registry]),
        )
        return None
    found = registry.get(rule.type)
    if found.publisher == "bus":
        problems.note(f"{where}.type", f"{rule.type} is the bus's own", "No agency publishes it: name another.")
        return None
    case = _case(rule, where, key, found.opens_case, problems)
    return EventOf(
        where=where,
        type=rule.type,
        name=rule.name or rule.type,
        when=when,
        id=_names(rule.id) if rule.id else key,
        case=case,
        time=builder.field(rule.time, f"{where}.time", "time", _MOMENT) if rule.time is not None else None,
        jurisdiction=(
            builder.field(rule.jurisdiction, f"{where}.jurisdiction", "jurisdiction", _AREA)
            if rule.jurisdiction is not None
            else None
        ),
        data=tuple(builder.fields(rule.data, f"{where}.data", "data", shapes_of(found.model), rule.type)),
    )


def _case(rule: EventRule, where: str, key: tuple[str, ...], opens: bool, problems: Problems) -> CaseOf | None:
    if rule.case is not None:
        if rule.case.column is None and not rule.case.reference:
            fix = "State column (the case id), or reference (the record's own number)."
            problems.note(f"{where}.case", "it says neither a column nor a reference", fix)
        if rule.case.of is not None and not rule.case.reference:
            problems.note(f"{where}.case.of", "it stands without a reference", "State the reference, or remove it.")
        return CaseOf(column=rule.case.column, reference=_names(rule.case.reference or ()), of=rule.case.of)
    if opens:
        return CaseOf(reference=key)
    problems.note(
        f"{where}.case",
        f"{rule.type} opens no case, and the rule does not say which case it is about",
        'Add case = { column = "..." }, the column that holds the case id, or { reference = "..." }.',
    )
    return None


def _row(rule: RowRule, where: str, builder: FieldBuilder, problems: Problems) -> RowOf:
    types = _names(rule.type)
    names = [each.name for each in registry]
    known = []
    for pattern in types:
        fitting = [name for name in names if matches(pattern, name)]
        known += fitting
        if not fitting:
            problems.note(f"{where}.type", f"no event type is {pattern!r}", nearest(pattern, names))
    when = problems.expression(rule.when, f"{where}.when", names=("data", "event"))
    fields = [shapes_of(registry.get(name).model) for name in known]
    return RowOf(
        where=where,
        types=types,
        when=when,
        table=rule.table,
        key=tuple(build_cells(rule.key, f"{where}.key", fields, builder, problems)),
        values=tuple(build_cells(rule.values, f"{where}.values", fields, builder, problems)),
    )


def _names(names: str | Iterable[str]) -> tuple[str, ...]:
    return (names,) if isinstance(names, str) else tuple(names)
