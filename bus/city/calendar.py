"""A city's working time: which days and hours count, when a target falls due, how much time somebody held a case. Pure.

A target says either *calendar* time ("P2D": 48 hours, nights and Sundays too) or *working* time:

- "2 working days" ends when the second working day after the event closes. The day of the event itself does not count,
  whatever the hour: so the deadline is a closing time that a person can name ("by Wednesday, 15:30").
- "4 working hours" counts opening hours alone, from the event on.

A deadline is reckoned once, from the moment at which the log took the event, and then stands in the case and in what
was sent. So a calendar that is corrected later changes no deadline that was set, and a replay needs no calendar.
"""

from __future__ import annotations

import re
from bisect import bisect_left, bisect_right
from collections.abc import Iterator
from datetime import UTC, date, datetime, time, timedelta
from typing import Literal, NamedTuple
from zoneinfo import ZoneInfo

from bus.city.standards import parse_duration
from schemas.strict import Strict

DAYS = ("monday", "tuesday", "wednesday", "thursday", "friday", "saturday", "sunday")

WORKING_MAX = 1000
"""The longest target in working days or hours."""

DEADLINES_MAX = 4096
"""Deadlines that are remembered; then all are forgotten and reckoned anew."""

YEARS_AHEAD = 6
"""Years reckoned beyond those asked for: the longest target (1,000 working days) ends within them."""

_working = re.compile(r"^([1-9]\d{0,3}) working (day|hour)s?$")


class WorkingTime(NamedTuple):
    """A target in working days or working hours."""

    number: int
    """1 to `WORKING_MAX`."""
    unit: Literal["days", "hours"]

    def __str__(self) -> str:
        return f"{self.number} working {self.unit if self.number > 1 else self.unit[:-1]}"


Within = timedelta | WorkingTime
"""How long something may take: calendar time, or working time."""


class DayChange(Strict):
    """One line of holidays.csv: a decree that makes a day free, or a working day again."""

    day: date
    change: Literal["adds", "removes"]
    name: str
    source: str


class CalendarRules(Strict):
    """What a city says of its working time."""

    week: tuple[tuple[tuple[time, time], ...], ...] = (((time(0), time(0)),),) * 7
    """From Monday: the opening hours of each day. From midnight to midnight is the whole day."""
    country: str | None = None
    """Whose holidays count, of the library `holidays`: ISO 3166-1 alpha-2. None: none but the city's own."""
    subdivision: str | None = None
    categories: tuple[str, ...] = ("public",)
    changes: tuple[DayChange, ...] = ()


def parse_within(text: str) -> Within:
    """A target as services.toml writes it: `2 working days`, `4 working hours`, or an ISO 8601 duration.

    Raises:
        ValueError: neither of them, in words.
    """
    if "work" not in text:
        return parse_duration(text)
    found = _working.match(text)
    if found is None or int(found[1]) > WORKING_MAX:
        raise ValueError(f'"{text}" is no working time of 1 to {WORKING_MAX} working days or hours')
    return WorkingTime(number=int(found[1]), unit="days" if found[2] == "day" else "hours")


class Deadline(NamedTuple):
    """When something falls due."""

    ms: int
    """Milliseconds since 1970 (UTC)."""
    moment: datetime


class _Table(NamedTuple):
    """Some years, reckoned: moments in milliseconds since 1970, each list sorted."""

    first: int
    last: int
    low_ms: int
    high_ms: int
    """Between these it has all answers."""
    days: list[int]
    """When each working day begins, at midnight."""
    closings: list[int]
    """When each of these days closes."""
    after: list[int]
    """Working milliseconds up to each closing."""
    opens: list[int]
    """When each span of opening hours begins ..."""
    closes: list[int]
    """... and ends."""
    before: list[int]
    """Working milliseconds before each span."""


class Calendar:
    """Answers about one city's working time. Years are reckoned when they are first asked about, and kept."""

    def __init__(self, rules: CalendarRules, zone: ZoneInfo) -> None:
        self._rules = rules
        self._zone = zone
        self._holidays: dict[int, dict[date, str]] = {}
        self._table: _Table | None = None
        self._deadlines: dict[tuple[int, Within, float], Deadline] = {}

    # -- days

    def holiday(self, day: date) -> str | None:
        """The name of the holiday on that day; None where it is none."""
        return self.holidays(day.year).get(day)

    def holidays(self, year: int) -> dict[date, str]:
        """The free days of a year, with their names, in order: the library's, then what the city's decrees change."""
        found = self._holidays.get(year)
        if found is None:
            free = _from_library(self._rules, year)
            for change in self._rules.changes:
                if change.day.year == year:
                    free.pop(change.day, None)
                    if change.change == "adds":
                        free[change.day] = change.name
            found = self._holidays[year] = dict(sorted(free.items()))
        return found

    def is_working(self, day: date) -> bool:
        """Whether anybody works on that day."""
        return bool(self._rules.week[day.weekday()]) and self.holiday(day) is None

    # -- deadlines

    def deadline(self, at_ms: int, within: Within, share: float = 1.0) -> Deadline:
        """What `due_ms` says, and the same as a moment. Remembered: a burst of events shares its time and targets."""
        key = (at_ms, within, share)
        found = self._deadlines.get(key)
        if found is None:
            if len(self._deadlines) >= DEADLINES_MAX:
                self._deadlines.clear()
            due = self.due_ms(at_ms, within, share)
            found = self._deadlines[key] = Deadline(due, _EPOCH + due * _MILLISECOND)
        return found

    def due_ms(self, at_ms: int, within: Within, share: float = 1.0) -> int:
        """When a target that begins at `at_ms` falls due; with a `share`, when so much of its working time is over."""
        if isinstance(within, timedelta):
            return at_ms + int(within / _MILLISECOND * share) if share != 1.0 else at_ms + within // _MILLISECOND
        table = self._reckoned(at_ms, at_ms)
        if within.unit == "days":
            place = bisect_right(table.days, at_ms) - 1 + within.number
            if share == 1.0:
                return table.closings[place]
            begin = _working_ms_at(table, at_ms)
            end = table.after[place]
        else:
            begin = _working_ms_at(table, at_ms)
            end = begin + within.number * _HOUR
        return max(at_ms, _at_working_ms(table, begin + int((end - begin) * share)))

    def due(self, at: datetime, within: Within) -> datetime:
        """The same for moments."""
        return datetime.fromtimestamp(self.due_ms(int(at.timestamp() * 1000), within) / 1000, UTC)

    # -- time that passed

    def working_ms(self, from_ms: int, to_ms: int) -> int:
        """The working time between two moments, in milliseconds; 0 where the second is not later."""
        if to_ms <= from_ms:
            return 0
        table = self._reckoned(from_ms, to_ms)
        return _working_ms_at(table, to_ms) - _working_ms_at(table, from_ms)

    def working_days(self, from_ms: int, to_ms: int) -> int:
        """How many working days began after the day of the first moment, up to and with the day of the second."""
        if to_ms <= from_ms:
            return 0
        table = self._reckoned(from_ms, to_ms)
        return bisect_right(table.days, to_ms) - bisect_right(table.days, from_ms)

    # -- years

    def _reckoned(self, first_ms: int, last_ms: int) -> _Table:
        """The table that holds these moments, and the longest target from the last of them."""
        table = self._table
        if table is not None and table.low_ms <= first_ms and last_ms <= table.high_ms:
            return table
        years = [datetime.fromtimestamp(ms / 1000, self._zone).year for ms in (first_ms, last_ms)]
        first, last = years[0] - 1, years[1] + 1
        if table is not None:
            first, last = min(first, table.first), max(last, table.last)
        table = self._table = self._reckon(first, last)
        return table

    def _reckon(self, first: int, last: int) -> _Table:
        low, high = self._ms(date(first, 1, 10), time(0)), self._ms(date(last, 12, 31), time(0))
        table = _Table(first, last, low, high, [], [], [], [], [], [])
        total = 0
        for day in _days(first, last + YEARS_AHEAD):
            if not self.is_working(day):
                continue
            table.days.append(self._ms(day, time(0)))
            for opens, closes in self._rules.week[day.weekday()]:
                begin, end = self._ms(day, opens), self._ms(day, closes, end=True)
                table.opens.append(begin)
                table.closes.append(end)
                table.before.append(total)
                total += end - begin
            table.closings.append(table.closes[-1])
            table.after.append(total)
        return table

    def _ms(self, day: date, at: time, *, end: bool = False) -> int:
        """A local time of a day. Midnight as an end is the next day's. A time that the clocks skip moves with them."""
        if end and at == time(0):
            day += timedelta(days=1)
        return int(datetime.combine(day, at, self._zone).timestamp() * 1000)


_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
_MILLISECOND = timedelta(milliseconds=1)
_HOUR = 3_600_000


def _working_ms_at(table: _Table, at_ms: int) -> int:
    """Working milliseconds from the table's beginning to a moment."""
    place = bisect_right(table.opens, at_ms) - 1
    if place < 0:
        return 0
    return table.before[place] + min(at_ms, table.closes[place]) - table.opens[place]


def _at_working_ms(table: _Table, working_ms: int) -> int:
    """The first moment at which so many working milliseconds are over: a closing time rather than the next opening."""
    place = max(0, bisect_left(table.before, working_ms) - 1)
    return table.opens[place] + working_ms - table.before[place]


def _days(first: int, last: int) -> Iterator[date]:
    day = date(first, 1, 1)
    while day.year <= last:
        yield day
        day += timedelta(days=1)


def _from_library(rules: CalendarRules, year: int) -> dict[date, str]:
    if rules.country is None:
        return {}
    from holidays import country_holidays  # a quarter of a second, and most commands ask for no calendar

    return dict(country_holidays(rules.country, subdiv=rules.subdivision, years=year, categories=rules.categories))
