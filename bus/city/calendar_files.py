"""`[calendar]` of city.toml and holidays.csv, read and checked: each slip a sentence with its place."""

from __future__ import annotations

import csv
from collections.abc import Sequence
from datetime import date, time
from pathlib import Path

from pydantic import Field

from bus.city.calendar import DAYS, CalendarRules, DayChange
from bus.city.problems import Problems, nearest
from schemas.strict import Strict

HOLIDAYS = "holidays.csv"
CITY = "city.toml"
COLUMNS = ("date", "change", "name", "source")


class HolidaysEntry(Strict):
    """`holidays` in `[calendar]`: whose holidays are free."""

    country: str
    subdivision: str | None = None
    categories: list[str] = Field(default=["public"], min_length=1)


class CalendarEntry(Strict):
    """`[calendar]` in city.toml."""

    week: dict[str, str | list[str]]
    """Day → opening hours, such as `07:30-15:30`, or a list of them. A day that is not named is free."""
    holidays: HolidaysEntry | None = None


def calendar_rules(entry: CalendarEntry | None, folder: Path, problems: Problems) -> CalendarRules:
    """The working time that the files describe. Without `[calendar]` all time counts."""
    changes = _changes(folder / HOLIDAYS, problems)
    if entry is None:
        if changes:
            problem = "it changes a calendar that the city does not have"
            problems.note(HOLIDAYS, "", problem, f"Add [calendar] to {CITY}, or remove the file.")
        return CalendarRules()
    week = _week(entry, problems)
    holidays = entry.holidays
    if holidays is None or not _known(holidays, problems):
        return CalendarRules(week=week, changes=changes)
    return CalendarRules(
        week=week,
        country=holidays.country,
        subdivision=holidays.subdivision,
        categories=tuple(holidays.categories),
        changes=changes,
    )


def _week(entry: CalendarEntry, problems: Problems) -> tuple[tuple[tuple[time, time], ...], ...]:
    for name in entry.week:
        if name not in DAYS:
            problems.note(CITY, f"calendar.week.{name}", "this is no day of the week", nearest(name, DAYS))
    if not any(entry.week.get(day) for day in DAYS):
        fix = 'Name at least one, such as monday = "08:00-16:00".'
        problems.note(CITY, "calendar.week", "no day of the week is worked", fix)
    return tuple(_hours(entry.week.get(day, []), f"calendar.week.{day}", problems) for day in DAYS)


def _hours(said: str | list[str], key: str, problems: Problems) -> tuple[tuple[time, time], ...]:
    found: list[tuple[time, time]] = []
    for text in [said] if isinstance(said, str) else said:
        begin, _, end = text.partition("-")
        try:
            span = (time.fromisoformat(begin.strip()), time.fromisoformat(end.strip().replace("24:00", "00:00")))
        except ValueError:
            problems.note(CITY, key, f'"{text}" are no hours', 'Write them as "07:30-15:30".')
            continue
        after_the_last = not found or span[0] >= found[-1][1] != time(0)
        if not after_the_last or (span[1] <= span[0] and span[1] != time(0)):
            problem = f'"{text}" ends before it begins, or begins before the hours before it end'
            problems.note(CITY, key, problem, "Write a day's hours in order, each with its beginning first.")
            continue
        found.append(span)
    return tuple(found)


def _known(entry: HolidaysEntry, problems: Problems) -> bool:
    """Whether the library has these holidays."""
    from holidays import country_holidays, list_supported_countries

    countries = list_supported_countries()
    key = "calendar.holidays"
    if entry.country not in countries:
        fix = f"{nearest(entry.country, countries)} Or leave holidays out, and write them into {HOLIDAYS}."
        problems.note(CITY, f"{key}.country", f'there are no holidays of "{entry.country}" in the library', fix)
        return False
    subdivisions = countries[entry.country]
    if entry.subdivision is not None and entry.subdivision not in subdivisions:
        advice = nearest(entry.subdivision, subdivisions)
        problem = f'{entry.country} has no holidays of a part "{entry.subdivision}"'
        problems.note(CITY, f"{key}.subdivision", problem, advice)
        return False
    supported: Sequence[str] = country_holidays(entry.country).supported_categories
    wrong = [name for name in entry.categories if name not in supported]
    for name in wrong:
        problem = f'{entry.country} has no holidays of the category "{name}"'
        problems.note(CITY, f"{key}.categories", problem, nearest(name, supported))
    return not wrong


def _changes(path: Path, problems: Problems) -> tuple[DayChange, ...]:
    """The lines of holidays.csv; none where there is no such file."""
    try:
        text = path.read_text(encoding="utf-8-sig")
    except FileNotFoundError:
        return ()
    except (OSError, UnicodeDecodeError) as error:
        problems.note(HOLIDAYS, "", f"the file cannot be read: {error}", "Make it a readable text file in UTF-8.")
        return ()
    reader = csv.DictReader(text.splitlines(), strict=True)
    if tuple(reader.fieldnames or ()) != COLUMNS:
        problem = f"the columns are {', '.join(reader.fieldnames or ()) or 'none'}"
        problems.note(HOLIDAYS, "first line", problem, f"Write {','.join(COLUMNS)}.")
        return ()
    found: dict[date, DayChange] = {}
    try:
        for row in reader:
            change = _change(row, f"line {reader.line_num}", found, problems)
            if change is not None:
                found[change.day] = change
    except csv.Error as error:
        problems.note(HOLIDAYS, f"line {reader.line_num}", f"this is not CSV: {error}", "Correct that line.")
    return tuple(found.values())


def _change(row: dict[str, str | None], key: str, found: dict[date, DayChange], problems: Problems) -> DayChange | None:
    cells = {name: (row.get(name) or "").strip() for name in COLUMNS}
    try:
        day = date.fromisoformat(cells["date"])
    except ValueError:
        problems.note(HOLIDAYS, key, f'"{cells["date"]}" is no date', "Write it as 2026-03-19.")
        return None
    if day in found:
        problems.note(HOLIDAYS, key, f"{day} stands twice", "Keep one line for each day.")
        return None
    if cells["change"] not in ("adds", "removes"):
        fix = "Write adds for a day that is free, removes for one that is worked after all."
        problems.note(HOLIDAYS, f"{key}.change", f'"{cells["change"]}" is no change', fix)
        return None
    for name in ("name", "source"):
        if not cells[name]:
            fix = "Say which day it is." if name == "name" else "Say which decree or calendar says so."
            problems.note(HOLIDAYS, f"{key}.{name}", "it is missing", fix)
            return None
    return DayChange(
        day=day,
        change="adds" if cells["change"] == "adds" else "removes",
        name=cells["name"],
        source=cells["source"],
    )
