"""A city's working time: deadlines that a person can name, no time lost or made by holidays, decrees or clocks."""

from __future__ import annotations

import csv
import json
from datetime import UTC, date, datetime, time, timedelta
from pathlib import Path
from zoneinfo import ZoneInfo

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from typer.testing import CliRunner

from bus.city import WrongCity, city_path, load_city
from bus.city.calendar import Calendar, CalendarRules, DayChange, WorkingTime, parse_within
from services.cli.city import app
from tests.city.control import changed_harbour

DENPASAR = load_city(city_path("denpasar"))
MAKASSAR = ZoneInfo("Asia/Makassar")
LOS_ANGELES = ZoneInfo("America/Los_Angeles")
FIVE_DAYS = (((time(8), time(16)),),) * 5 + ((),) * 2
PLAIN = CalendarRules(week=FIVE_DAYS)
CITY_OF_DAYS = Calendar(PLAIN, MAKASSAR)


def days(count: int) -> WorkingTime:
    return WorkingTime(number=count, unit="days")


def hours(count: int) -> WorkingTime:
    return WorkingTime(number=count, unit="hours")


def due(calendar: Calendar, at: datetime, within: WorkingTime) -> str:
    return calendar.due(at, within).astimezone(at.tzinfo).isoformat(timespec="minutes")


@pytest.mark.parametrize(
    ("at", "within", "expected"),
    [
        ("2026-11-24T09:00", days(2), "2026-11-26T16:00+08:00"),  # Tuesday: by the close of Thursday
        ("2026-11-24T00:00", days(1), "2026-11-25T16:00+08:00"),  # the day itself never counts
        ("2026-11-24T23:59", days(1), "2026-11-25T16:00+08:00"),
        ("2026-11-27T15:00", days(1), "2026-11-30T16:00+08:00"),  # over the weekend
        ("2026-11-28T10:00", days(1), "2026-11-30T16:00+08:00"),  # on a Saturday
        ("2026-11-27T15:00", hours(4), "2026-11-30T11:00+08:00"),
        ("2026-11-27T12:00", hours(4), "2026-11-27T16:00+08:00"),  # the close of today, not tomorrow's opening
        ("2026-11-28T10:00", hours(1), "2026-11-30T09:00+08:00"),
    ],
)
def test_a_target_ends_where_a_person_would_count_it_to(at: str, within: WorkingTime, expected: str) -> None:
    assert due(CITY_OF_DAYS, datetime.fromisoformat(at).replace(tzinfo=MAKASSAR), within) == expected


def test_the_days_of_bali_and_collective_leave_are_free_in_denpasar() -> None:
    calendar = DENPASAR.calendar
    before_galungan = datetime(
        2026, 6, 15, 10, tzinfo=MAKASSAR
    )  # a Monday; 16 is a public holiday too (Islamic New Year)
    assert due(calendar, before_galungan, days(1)) == "2026-06-19T16:30+08:00"
    before_nyepi = datetime(2026, 3, 17, 10, tzinfo=MAKASSAR)  # Nyepi, its leave, Idul Fitri and its leave
    assert due(calendar, before_nyepi, days(1)) == "2026-03-25T15:30+08:00"
    assert calendar.holiday(date(2026, 6, 17)) == "Galungan"
    assert calendar.holiday(date(2027, 1, 13)) == "Galungan"


def test_balis_days_in_the_file_obey_the_pawukon() -> None:
    """Galungan is Buda Kliwon Dungulan, Kuningan ten later, Saraswati 74 and Pagerwesi 70 before, every 210 days."""
    with (city_path("denpasar") / "holidays.csv").open(encoding="utf-8") as file:
        rows = [(date.fromisoformat(row["date"]), row["name"]) for row in csv.DictReader(file)]
    galungan = date(2026, 6, 17)
    expected = {"Galungan": 0, "Kuningan": 10, "Saraswati": -74, "Pagerwesi": -70, "Umanis Galungan": 1,
                "Penampahan Galungan": -1, "Penampahan Kuningan": 9}  # fmt: skip
    for day, name in rows:
        if name in expected:
            assert (day - galungan).days % 210 == expected[name] % 210, (day, name)
    assert {name for _, name in rows} >= set(expected)


def test_a_leap_day_is_a_day_like_any_other() -> None:
    assert due(CITY_OF_DAYS, datetime(2028, 2, 28, 9, tzinfo=MAKASSAR), days(1)) == "2028-02-29T16:00+08:00"
    assert due(CITY_OF_DAYS, datetime(2027, 2, 26, 9, tzinfo=MAKASSAR), days(1)) == "2027-03-01T16:00+08:00"


def test_the_clocks_change_and_a_working_day_stays_as_long_as_its_hours() -> None:
    calendar = Calendar(PLAIN, LOS_ANGELES)
    friday = datetime(2026, 3, 6, 15, tzinfo=LOS_ANGELES)  # clocks go forward on Sunday the 8th
    assert due(calendar, friday, hours(2)) == "2026-03-09T09:00-07:00"
    night = Calendar(CalendarRules(week=(((time(0), time(0)),),) * 7), LOS_ANGELES)
    begin, end = datetime(2026, 3, 8, tzinfo=LOS_ANGELES), datetime(2026, 3, 9, tzinfo=LOS_ANGELES)
    assert night.working_ms(ms(begin), ms(end)) == 23 * 3_600_000
    autumn = datetime(2026, 11, 1, tzinfo=LOS_ANGELES)
    assert night.working_ms(ms(autumn), ms(datetime(2026, 11, 2, tzinfo=LOS_ANGELES))) == 25 * 3_600_000


def test_a_decree_adds_a_day_and_takes_one_away() -> None:
    rules = CalendarRules(
        week=FIVE_DAYS, country="ID", categories=("public", "government"),
        changes=(
            DayChange(day=date(2026, 11, 25), change="adds", name="Election", source="KPU"),
            DayChange(day=date(2026, 12, 24), change="removes", name="Leave moved", source="SKB"),
        ),
    )  # fmt: skip
    calendar = Calendar(rules, MAKASSAR)
    assert due(calendar, datetime(2026, 11, 24, 9, tzinfo=MAKASSAR), days(1)) == "2026-11-26T16:00+08:00"
    assert calendar.is_working(date(2026, 12, 24))
    assert not Calendar(rules.model_copy(update={"changes": ()}), MAKASSAR).is_working(date(2026, 12, 24))


def ms(at: datetime) -> int:
    return int(at.timestamp() * 1000)


MOMENTS = st.integers(1_293_840_000, 2_208_988_800).map(lambda seconds: datetime.fromtimestamp(seconds, UTC))
TARGETS = st.builds(WorkingTime, number=st.integers(1, 60), unit=st.sampled_from(["days", "hours"]))


@settings(deadline=None)  # the first question reckons a decade
@given(MOMENTS, MOMENTS, TARGETS, st.floats(0.1, 0.9))
def test_deadlines_keep_the_order_of_events_lie_in_working_time_and_warn_before_they_pass(
    first: datetime, second: datetime, within: WorkingTime, share: float
) -> None:
    calendar = DENPASAR.calendar
    early, late = sorted([ms(first), ms(second)])
    due_ms = calendar.due_ms(early, within)
    assert early < due_ms <= calendar.due_ms(late, within)
    assert early <= calendar.due_ms(early, within, share) <= due_ms
    assert calendar.working_ms(due_ms - 1000, due_ms) == 1000, "it falls due while nobody works"
    if within.unit == "hours":
        assert calendar.working_ms(early, due_ms) == within.number * 3_600_000
    else:
        assert calendar.working_days(early, due_ms) == within.number


@settings(deadline=None)  # the first question reckons a decade
@given(MOMENTS, MOMENTS, MOMENTS)
def test_working_time_adds_up_wherever_it_is_cut(a: datetime, b: datetime, c: datetime) -> None:
    one, two, three = sorted(map(ms, (a, b, c)))
    calendar = CITY_OF_DAYS
    assert calendar.working_ms(one, two) + calendar.working_ms(two, three) == calendar.working_ms(one, three)


def test_a_target_is_written_in_words_or_as_iso_8601() -> None:
    assert parse_within("2 working days") == days(2)
    assert parse_within("1 working hour") == hours(1)
    assert parse_within("P2D") == timedelta(days=2)
    for wrong in ("2 workdays", "0 working days", "working days", "2.5 working days", "5000 working days"):
        with pytest.raises(ValueError, match="working days or hours"):
            parse_within(wrong)


CALENDAR = (
    'general_service = "other"\n\n[calendar]\nholidays = { country = "NL" }\n[calendar.week]\nmonday = "08:00-16:00"\n'
)


@pytest.mark.parametrize(
    ("old", "new", "told"),
    [
        ('monday = "', 'mondag = "', "city.toml: calendar.week.mondag: this is no day of the week. Did you mean"),
        ("08:00-16:00", "8-16", 'city.toml: calendar.week.monday: "8-16" are no hours. Write them as "07:30-15:30".'),
        ("08:00-16:00", "16:00-08:00", "city.toml: calendar.week.monday: \"16:00-08:00\" ends before it begins"),
        ('"NL" }', '"XX" }', 'city.toml: calendar.holidays.country: there are no holidays of "XX" in the library'),
        ('"NL" }', '"NL", categories = ["bank"] }', "city.toml: calendar.holidays.categories: NL has no holidays of"),
        ('"NL" }', '"US", subdivision = "ZZ" }', 'city.toml: calendar.holidays.subdivision: US has no holidays of'),
        ('"NL" }', '"NL", categry = [] }', "city.toml: calendar.holidays.categry: this key is unknown"),
    ],
)  # fmt: skip
def test_a_wrong_calendar_is_told(old: str, new: str, told: str, tmp_path: Path) -> None:
    changed = CALENDAR.replace(old, new)
    folder = changed_harbour(tmp_path, ("city.toml", 'general_service = "other"\n', changed))
    with pytest.raises(WrongCity) as wrong:
        load_city(folder)
    assert any(str(problem).startswith(told) for problem in wrong.value.problems), wrong.value


@pytest.mark.parametrize(
    ("line", "told"),
    [
        ("2026-13-01,adds,A day,Somebody", 'holidays.csv: line 2: "2026-13-01" is no date'),
        ("2026-12-01,add,A day,Somebody", 'holidays.csv: line 2.change: "add" is no change'),
        ("2026-12-01,adds,A day,", "holidays.csv: line 2.source: it is missing. Say which decree"),
        ("2026-12-01,adds,A,B\n2026-12-01,removes,A,B", "holidays.csv: line 3: 2026-12-01 stands twice"),
    ],
)
def test_a_wrong_decree_is_told(line: str, told: str, tmp_path: Path) -> None:
    folder = changed_harbour(tmp_path, ("city.toml", 'general_service = "other"\n', CALENDAR))
    (folder / "holidays.csv").write_text(f"date,change,name,source\n{line}\n", encoding="utf-8")
    with pytest.raises(WrongCity) as wrong:
        load_city(folder)
    assert any(str(problem).startswith(told) for problem in wrong.value.problems), wrong.value


def test_working_days_without_a_calendar_are_told(tmp_path: Path) -> None:
    folder = changed_harbour(tmp_path, ("services.toml", '"P2W"', '"10 working days"'))
    with pytest.raises(WrongCity, match=r'"10 working days" needs to know which days are worked\. Add \[calendar\]'):
        load_city(folder)


def test_the_free_days_of_a_year_are_shown_with_who_says_so() -> None:
    found = json.loads(CliRunner().invoke(app, ["calendar", "--city", "denpasar", "--year", "2026", "--json"]).output)
    by_name = {row["name"]: row for row in found["holidays"]}
    assert by_name["Galungan"]["date"] == "2026-06-17"
    assert by_name["Galungan"]["source"].startswith("Ditjen Bimas Hindu")
    assert by_name["Christmas Day"]["source"] == "holidays (ID)"
    assert "Galungan" in CliRunner().invoke(app, ["calendar", "--city", "denpasar", "--year", "2027"]).output
