"""`subak city`: whether a city's files fit together, and what they say in tables: who is responsible for what, where.

It reads files and nothing else: no bus has to run, so whoever writes a city can try it at once.
"""

from __future__ import annotations

import json
from datetime import date
from enum import StrEnum
from pathlib import Path
from typing import Annotated

import typer
from rich.box import SIMPLE_HEAD
from rich.console import Console
from rich.table import Table
from rich.text import Text

from bus.city import City, Problem, WrongCity, city_path, load_city, load_feed
from bus.city.calendar import Within, WorkingTime
from bus.city.model import OPERATIONS, Agency, Service

app = typer.Typer(no_args_is_help=True, help="A city's files: whether they fit together, and what they say.")

EXIT_WRONG = 1

WIDTH_OF_A_FILE = 120
"""Columns where the tables do not go to a terminal, which has a width of its own."""


class By(StrEnum):
    """Which table to show."""

    LEVEL = "level"
    SERVICE = "service"


CityOption = Annotated[
    str,
    typer.Option("--city", help="A city that comes with Subak, or the folder of one. Default: SUBAK_CITY."),
]


@app.command()
def check(
    city: CityOption = "",
    as_json: Annotated[bool, typer.Option("--json", help="Print one JSON object instead of sentences.")] = False,
) -> None:
    """Say everything that is wrong with a city's files, with file, key and fix. Exit code 1 where anything is."""
    folder = _folder(city)
    found, problems = _load(folder)
    if as_json:
        report = {
            "city": found.id if found is not None else None,
            "folder": str(folder),
            "ok": not problems,
            "problems": [problem.as_dict() for problem in problems],
        }
        print(json.dumps(report, ensure_ascii=False))
    elif found is not None and not problems:
        print(
            f"{found.text(found.name)}: {len(found.areas)} areas, {len(found.agencies) - 1} agencies, "
            f"{len(found.services)} services. Everything fits together."
        )
    else:
        for problem in problems:
            print(problem)
        print(f"{len(problems)} {'problem' if len(problems) == 1 else 'problems'} in {folder}.")
    if problems:
        raise typer.Exit(EXIT_WRONG)


@app.command()
def show(
    city: CityOption = "",
    by: Annotated[By | None, typer.Option(help="One table only: agencies by level, or services.")] = None,
    language: Annotated[str, typer.Option(help="The language of names. Default: the city's first.")] = "",
) -> None:
    """Show a city's agencies by level, and its services with who is asked where."""
    folder = _folder(city)
    found = load_city(folder)
    console = Console()
    if not console.is_terminal:
        console.width = WIDTH_OF_A_FILE
    if by in (None, By.LEVEL):
        console.print(_levels(found, language))
    if by in (None, By.SERVICE):
        console.print(_services(found, language))


@app.command()
def calendar(
    city: CityOption = "",
    year: Annotated[int, typer.Option(min=1990, max=2100, help="Which year.")] = 2026,
    as_json: Annotated[bool, typer.Option("--json", help="Print one JSON object instead of a table.")] = False,
) -> None:
    """Show the free days of a year, and who says so: the library of holidays, or a line of holidays.csv."""
    found = load_city(_folder(city))
    sources = {change.day: change.source for change in found.working.changes}
    rows = [
        {"date": str(day), "name": name, "source": sources.get(day, f"holidays ({found.working.country})")}
        for day, name in found.calendar.holidays(year).items()
    ]
    if as_json:
        print(json.dumps({"city": found.id, "year": year, "holidays": rows}, ensure_ascii=False))
        return
    shown = _table(f"{found.text(found.name)}: free days of {year}", ("date", "day"))
    for column in ("name", "source"):
        shown.add_column(column, overflow="fold")
    for row in rows:
        shown.add_row(row["date"], f"{date.fromisoformat(row['date']):%a}", Text(row["name"]), Text(row["source"]))
    console = Console()
    if not console.is_terminal:
        console.width = WIDTH_OF_A_FILE
    console.print(shown)


def _folder(name: str) -> Path:
    if not name:
        from bus.settings import read_settings

        name = read_settings().city
    return city_path(name)


def _load(folder: Path) -> tuple[City | None, tuple[Problem, ...]]:
    """The city, and what is wrong with it or with its feed."""
    try:
        city = load_city(folder)
    except WrongCity as wrong:
        return None, wrong.problems
    try:
        load_feed(folder, city)
    except WrongCity as wrong:
        return city, wrong.problems
    return city, ()


def _levels(city: City, language: str) -> Table:
    table = _table(f"{_name(city, city.name, language)}: agencies by level", ("agency", "answers to"))
    for column in ("name, and where it acts if not in all the city", "part"):
        table.add_column(column, overflow="fold")
    for level in reversed(city.levels):
        agencies = [one for one in city.agencies.values() if one.level == level.id and one.id != OPERATIONS]
        if agencies:
            table.add_row(Text(_name(city, level.name, language), style="bold"))
        for number, agency in enumerate(agencies):
            table.add_row(
                Text(agency.id),
                Text(agency.parent or "—"),
                Text(", ".join([_name(city, agency.name, language), *_places(city, agency.areas)])),
                Text(_part(city, agency)),
                end_section=number == len(agencies) - 1,
            )
    return table


def _services(city: City, language: str) -> Table:
    table = _table(f"{_name(city, city.name, language)}: who is asked, in order", ("service", "asked"))
    for column in ("where", "name", "answer", "done"):
        table.add_column(column, overflow="fold")
    for service in city.services.values():
        for number, (where, agencies) in enumerate(_asked(city, service)):
            once = number == 0
            table.add_row(
                Text(service.service_code if once else ""),
                Text("\n".join(agencies)),
                Text(where),
                Text(_name(city, service.service_name, language) if once else ""),
                Text(_length(service.acknowledge_within) if once else ""),
                Text(_length(service.resolve_within) if once else ""),
            )
    return table


def _table(title: str, ids: tuple[str, ...]) -> Table:
    """A table whose columns of ids are never cut: they are what one copies from it."""
    table = Table(title=title, title_justify="left", box=SIMPLE_HEAD)
    for column in ids:
        table.add_column(column, no_wrap=True, min_width=len(column))
    return table


def _asked(city: City, service: Service) -> list[tuple[str, tuple[str, ...]]]:
    """Where, and who; the whole city last, as what holds where no smaller area has an answer of its own."""
    smaller = [entry for entry in service.responsible if city.area not in entry.areas]
    whole = [entry for entry in service.responsible if city.area in entry.areas]
    places = [(", ".join(_places(city, entry.areas)), entry.agencies) for entry in smaller]
    return [*places, *(("elsewhere" if smaller else "everywhere", entry.agencies) for entry in whole)]


def _places(city: City, codes: tuple[str, ...]) -> list[str]:
    return [f"{city.areas[code].name} {code}" for code in codes if code != city.area]


def _part(city: City, agency: Agency) -> str:
    parts = {
        "citizens' channel": agency.id == city.citizens_channel,
        "approver": agency.id == city.approver,
        "default": agency.id == city.default_agency,
        "inspects": any(city.inspector_of(code) == agency.id for code in city.areas if city.within(code, city.area)),
        "partner": agency.kind == "partner",
    }
    return ", ".join(part for part, has in parts.items() if has)


def _name(city: City, text: dict[str, str], language: str) -> str:
    return text.get(language) or city.text(text)


def _length(duration: Within) -> str:
    if isinstance(duration, WorkingTime):
        return str(duration)
    hours, seconds = divmod(int(duration.total_seconds()), 3600)
    if seconds:
        return f"{int(duration.total_seconds()) // 60} min"
    return f"{hours // 24} d" if hours % 24 == 0 else f"{hours} h"
