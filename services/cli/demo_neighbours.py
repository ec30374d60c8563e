"""At the end of a demo: what lay near what, and how a holiday week stands in the targets."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from datetime import UTC, date, datetime, time, timedelta
from typing import Any

from rich.console import Console

from bus.city import City
from bus.city.calendar import WorkingTime
from schemas.failures import SubakError
from services.cli.asking import Casebook

CASES_MAX = 200
"""So many of the demo's cases are looked through for an example of each."""

SHOWN = {
    "subak.request.joined.v1": "One matter, reported twice: the case {case} goes on in {into}",
    "subak.workorder.clashfound.v1": "Works of two agencies clash: {agency}, {other_agency}, {metres} m apart ({case})",
}


def tell_neighbours(console: Console, url: str, city: City, cases: Sequence[str]) -> None:
    """Print one case of each kind, where the demo had any, and the next holidays in a target."""
    try:
        with Casebook(url) as casebook:
            for sentence in _found(casebook, city, cases):
                console.print(sentence, highlight=False)
    except SubakError as error:
        console.print(f"[yellow]What lay near cannot be told:[/] {error}")
    if (told := holiday_in_a_target(city, datetime.now(UTC))) is not None:
        console.print(told, highlight=False)


def _found(casebook: Casebook, city: City, cases: Sequence[str]) -> Iterator[str]:
    wanted = dict(SHOWN)
    joint = {code for code, service in city.services.items() if service.works}
    for id in cases[:CASES_MAX]:
        found = casebook.ask(f"/api/cases/{id}")
        timeline: list[dict[str, Any]] = casebook.ask(f"/api/cases/{id}/timeline")["entries"]
        for entry in timeline:
            template = wanted.pop(entry["type"], None)
            if template is not None:
                yield template.format_map({"case": id, **(entry.get("data") or {})})
        if joint and found.get("service_code") in joint:
            orders = [entry for entry in timeline if entry["type"] == "subak.workorder.issued.v1"]
            agencies = list(dict.fromkeys(entry["recipient"] for entry in orders if entry.get("recipient")))
            if len(agencies) > 1:
                joint = set()
                yield f"Works of several agencies: {', then '.join(agencies)} ({id})"
        if not wanted and not joint:
            return


def holiday_in_a_target(city: City, now: datetime) -> str | None:
    """What a holiday week does to a target: the next one, on a service whose target is in working time."""
    service = next((one for one in city.services.values() if isinstance(one.resolve_within, WorkingTime)), None)
    if service is None:
        return None
    today = now.astimezone(city.zone).date()
    free = [day for day in _days(today, 400) if city.calendar.holiday(day) and day.weekday() < 5]
    if not free:
        return None
    week = [day for day in free if day - free[0] < timedelta(days=7)]
    reported = next(day for day in (free[0] - timedelta(days=n) for n in range(1, 30)) if city.calendar.is_working(day))
    at = datetime.combine(reported, time(9), city.zone)
    due = city.calendar.due(at, service.resolve_within).astimezone(city.zone)
    names = ", ".join(f"{day:%d %b} {city.calendar.holiday(day)}" for day in week)
    name = city.text(service.service_name)
    return f"Targets count working time: {name}, reported on {reported:%d %b %Y}, is due by {due:%d %b} over {names}."


def _days(first: date, count: int) -> Iterator[date]:
    return (first + timedelta(days=number) for number in range(1, count))
