"""However an agency's silence is passed on, each level above is told once, and nobody above is left out."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from bus.city import City, city_path, load_city
from services.workflows.silence import told_next

CITY = load_city(city_path("denpasar"))
NAMES = tuple(CITY.agencies)[:9]


@st.composite
def cities(draw: st.DrawFn) -> City:
    """Denpasar with any parents that lead to no circle, and any default agency, also one that is below others."""
    agencies = {}
    for place, name in enumerate(NAMES):
        parent = draw(st.none() | st.sampled_from(NAMES[:place])) if place else None
        agencies[name] = CITY.agencies[name].model_copy(update={"parent": parent})
    return CITY.model_copy(update={"agencies": agencies, "default_agency": draw(st.sampled_from(NAMES))})


def above(city: City, agency: str) -> list[str]:
    found = []
    while (parent := city.parent_of(agency)) is not None:
        found.append(agency := parent)
    return found


@given(city=cities(), first=st.sampled_from(NAMES))
def test_silence_reaches_each_level_above_once_then_the_default_agency_and_who_is_above_it(
    city: City, first: str
) -> None:
    asked = [first]
    while (told := told_next(city, asked)) is not None:
        assert told not in asked, f"{told} would be told twice before all were told once"
        asked.append(told)
    way = [first, *above(city, first), city.default_agency, *above(city, city.default_agency)]
    assert asked == list(dict.fromkeys(way))
