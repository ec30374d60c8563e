"""The year in small that a demo ends with: all of it is taken, the proposal ends, and holidays move a deadline."""

from __future__ import annotations

from datetime import datetime
from io import StringIO

import pytest
from rich.console import Console

from bus.city import load_city
from bus.city.load import city_path
from schemas.identifiers import derived_id
from services.cli.demo_year import Year, tell_year


@pytest.mark.parametrize("year", range(2024, 2031))
def test_the_year_is_played_to_its_end_and_holidays_move_the_deadline(year: int) -> None:
    played = Year(load_city(city_path("denpasar")), year)
    told = list(played.played())
    assert [what for _, what in told if "refused" in what] == []
    assert played.world.failed == {}
    assert {played.world.cases[derived_id("a year in small", name)].state for name in ("a drain",)} == {"closed"}
    assert played.world.cases[derived_id("a year in small", "a permit")].state == "issued"
    assert took(told, "before the holidays") > took(told, "in an ordinary week") + 2
    assert "(over " in next(what for _, what in told if "before the holidays: " in what and "hears" in what)


def took(told: list[tuple[datetime, str]], week: str) -> int:
    """Days from the request to its escalation."""
    at = [at for at, what in told if f"{week}: " in what]
    return (at[1] - at[0]).days


def test_a_city_that_takes_no_proposals_has_no_such_year() -> None:
    out = StringIO()
    tell_year(Console(file=out), load_city(city_path("san-francisco")), 2026)
    assert out.getvalue() == ""
