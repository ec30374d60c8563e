"""A city's four files, read into the shapes of `files.py`; what does not fit becomes a problem, and the rest is kept.

Nothing raises for what a file says: a missing file, broken TOML or a misspelt key is noted and reading goes on, so that
its writer learns everything at once. An entry without a key that it must have is not looked at further, but its name is
remembered, so that others may still name it.
"""

from __future__ import annotations

import csv
import tomllib
from copy import deepcopy
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, TypeVar

from pydantic import BaseModel, ValidationError

from bus.city.calendar import CalendarRules
from bus.city.calendar_files import CalendarEntry, HolidaysEntry, calendar_rules
from bus.city.files import (
    AgencyEntry,
    AgencyForEachEntry,
    AreaRow,
    AttributeEntry,
    AttributeValueEntry,
    BoundsEntry,
    CityEntry,
    LevelEntry,
    MoneyEntry,
    PermitEntry,
    ProposalsEntry,
    QuotasEntry,
    ReadingEntry,
    ResponsibleEntry,
    RoleEntry,
    ServiceEntry,
    SubscriptionEntry,
    TargetsEntry,
)
from bus.city.problems import Problems, nearest

CITY, AREAS, AGENCIES, SERVICES = "city.toml", "areas.csv", "agencies.toml", "services.toml"

_NESTED: dict[str, type[BaseModel]] = {
    "approval_threshold": MoneyEntry,
    "attributes": AttributeEntry,
    "bounds": BoundsEntry,
    "calendar": CalendarEntry,
    "holidays": HolidaysEntry,
    "level": LevelEntry,
    "permit": PermitEntry,
    "personal": ReadingEntry,
    "proposals": ProposalsEntry,
    "quotas": QuotasEntry,
    "responsible": ResponsibleEntry,
    "subscribes": SubscriptionEntry,
    "values": AttributeValueEntry,
}
"""Which shape lies under a key, to name the nearest key that it has."""

Shape = TypeVar("Shape", bound=BaseModel)


@dataclass
class CityFiles:
    """What the files say, entry by entry, with the names of the entries that could not be read."""

    city: CityEntry = field(default_factory=CityEntry)
    areas: list[AreaRow] = field(default_factory=list)
    calendar: CalendarRules = field(default_factory=CalendarRules)
    roles: list[RoleEntry] = field(default_factory=list)
    agencies: list[AgencyEntry] = field(default_factory=list)
    agencies_for_each: list[AgencyForEachEntry] = field(default_factory=list)
    targets: TargetsEntry = field(default_factory=TargetsEntry)
    services: list[ServiceEntry] = field(default_factory=list)
    broken: dict[str, set[str]] = field(
        default_factory=lambda: {
            "area": set(),
            "role": set(),
            "agency": set(),
            "agency_for_each": set(),
            "service": set(),
        }
    )
    """Names of entries that could not be read, by table."""


def read_files(folder: Path, problems: Problems) -> CityFiles:
    """All that the files in the folder say."""
    files = CityFiles()
    if (table := read_toml(folder / CITY, problems)) is not None:
        files.city = read_shape(CityEntry, table, CITY, "", problems) or CityEntry()
    files.calendar = calendar_rules(files.city.calendar, folder, problems)
    files.areas = _read_areas(folder / AREAS, files.broken["area"], problems)
    if (table := read_toml(folder / AGENCIES, problems)) is not None:
        _only(table, ("role", "agency", "agency_for_each"), AGENCIES, problems)
        files.roles = _entries(RoleEntry, table, "role", AGENCIES, files, problems)
        files.agencies = _entries(AgencyEntry, table, "agency", AGENCIES, files, problems)
        files.agencies_for_each = _entries(AgencyForEachEntry, table, "agency_for_each", AGENCIES, files, problems)
    if (table := read_toml(folder / SERVICES, problems)) is not None:
        _only(table, ("targets", "service"), SERVICES, problems)
        files.targets = (
            read_shape(TargetsEntry, table.get("targets", {}), SERVICES, "targets", problems) or TargetsEntry()
        )
        files.services = _entries(ServiceEntry, table, "service", SERVICES, files, problems)
    return files


def read_toml(path: Path, problems: Problems) -> dict[str, Any] | None:
    """The tables of a TOML file; None, with the problem noted, where it cannot be read."""
    text = _read_text(path, problems)
    if text is None:
        return None
    try:
        return tomllib.loads(text)
    except tomllib.TOMLDecodeError as error:
        problems.note(path.name, "", f"this is not TOML: {error}", "Correct that line.")
        return None


def read_shape(shape: type[Shape], table: object, file: str, key: str, problems: Problems) -> Shape | None:
    """The table as an instance of the shape, with every problem noted.

    What does not fit is left out where the shape can do without it: an unknown key, a whole key with a wrong value.
    None where it cannot.
    """
    try:
        return shape.model_validate(table)
    except ValidationError as error:
        details = error.errors(include_url=False, include_context=False, include_input=False)
    rest = deepcopy(table)
    for detail in details:
        kind, loc = detail["type"], detail["loc"]
        _note(kind, loc, detail["msg"], shape, file, key, problems)
        _leave_out(rest, loc if kind == "extra_forbidden" else loc[:1])
    try:
        return shape.model_validate(rest)
    except ValidationError:
        return None


def path_of(key: str, loc: tuple[int | str, ...]) -> str:
    """The place of a value, such as `agency "health".subscribes[0].types`."""
    for step in loc:
        if step == "[key]":  # pydantic's way to say that a key itself is wrong
            continue
        key = f"{key}[{step}]" if isinstance(step, int) else f"{key}.{step}" if key else step
    return key


def _read_text(path: Path, problems: Problems) -> str | None:
    try:
        return path.read_text(encoding="utf-8-sig")
    except FileNotFoundError:
        problems.note(
            path.name,
            "",
            "the file is missing",
            f"Write it in {path.parent}; docs/how-to/describe-a-city.md says how.",
        )
    except (OSError, UnicodeDecodeError) as error:
        problems.note(path.name, "", f"the file cannot be read: {error}", "Make it a readable text file in UTF-8.")
    return None


def _leave_out(table: Any, loc: tuple[int | str, ...]) -> None:
    """Remove what stands at `loc`, if it does: something above it may be gone already."""
    *above, last = loc or ("",)
    for step in above:
        try:
            table = table[step]
        except (KeyError, IndexError, TypeError):
            return
    if isinstance(table, dict):
        table.pop(last, None)


def _note(
    kind: str,
    loc: tuple[int | str, ...],
    message: str,
    shape: type[BaseModel],
    file: str,
    key: str,
    problems: Problems,
) -> None:
    where = path_of(key, loc)
    if kind == "missing":
        problems.note(file, where, "it is missing", "Add it.")
    elif kind == "extra_forbidden":
        for step in loc[:-1]:
            shape = _NESTED.get(step, shape) if isinstance(step, str) else shape
        problems.note(
            file,
            where,
            "this key is unknown",
            f"{nearest(str(loc[-1]), shape.model_fields)} Correct or remove it.",
        )
    else:
        problems.note(file, where, message[:1].lower() + message[1:], "Correct the value.")


def _only(table: dict[str, Any], names: tuple[str, ...], file: str, problems: Problems) -> None:
    for name in table:
        if name not in names:
            problems.note(file, name, "this key is unknown", f"{nearest(name, names)} Correct or remove it.")


def _entries(
    shape: type[Shape], table: dict[str, Any], name: str, file: str, files: CityFiles, problems: Problems
) -> list[Shape]:
    rows = table.get(name, [])
    if not isinstance(rows, list):
        problems.note(
            file,
            name,
            "this is one table where a list of them belongs",
            f"Write [[{name}]] in double brackets.",
        )
        return []
    found = []
    for number, row in enumerate(rows, start=1):
        id = row.get("service_code" if name == "service" else "id") if isinstance(row, dict) else None
        label = f'{name} "{id}"' if isinstance(id, str) else f"{name} number {number}"
        entry = read_shape(shape, row, file, label, problems)
        if entry is not None:
            found.append(entry)
        else:
            files.broken[name].add(id if isinstance(id, str) else "")
    return found


def _read_areas(path: Path, broken: set[str], problems: Problems) -> list[AreaRow]:
    text = _read_text(path, problems)
    if text is None:
        return []
    reader = csv.DictReader(text.splitlines(), strict=True)
    columns = tuple(AreaRow.model_fields)
    for column in reader.fieldnames or ():
        if column not in columns:
            problems.note(path.name, "first line", f'the column "{column}" is unknown', nearest(column, columns))
    for column in ("code", "name", "level"):
        if column not in (reader.fieldnames or ()):
            problems.note(path.name, "first line", f'the column "{column}" is missing', "Add it.")
            return []
    rows = []
    try:
        for cells in reader:
            row = _read_row(cells, path.name, f'line {reader.line_num} ("{cells["code"]}")', problems)
            if row is not None:
                rows.append(row)
            else:
                broken.add(cells["code"])
    except csv.Error as error:
        problems.note(path.name, f"line {reader.line_num}", f"this is not CSV: {error}", "Correct that line.")
    return rows


def _read_row(cells: dict[str | None, Any], file: str, key: str, problems: Problems) -> AreaRow | None:
    if None in cells:
        problems.note(
            file,
            key,
            "the line has more cells than the first line has columns",
            "Quote a name that has a comma.",
        )
        return None
    row: dict[str, Any] = {}
    for column, cell in cells.items():
        if column not in AreaRow.model_fields or cell is None or not cell.strip():
            continue
        row[column] = cell.strip()
        if column in ("longitude", "latitude"):
            try:
                row[column] = float(cell)
            except ValueError:
                problems.note(file, f"{key}.{column}", f'"{cell}" is not a number', "Write degrees, such as 115.2.")
                return None
    return read_shape(AreaRow, row, file, key, problems)
