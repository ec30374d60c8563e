"""The ground's law: a distance is what geodesy says, and two spots within reach share a cell."""

from __future__ import annotations

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from pyproj import Geod

from services.places.ground import REACH_METRES_MAX, cell_of, cells_around, metres_between

GEOD = Geod(ellps="WGS84")
ANYWHERE = st.tuples(st.floats(-180, 180), st.floats(-89, 89))
INHABITED = st.tuples(st.floats(-180, 180), st.floats(-75, 75))
BEARING = st.floats(0, 360)


@settings(max_examples=500, deadline=None)
@given(INHABITED, BEARING, st.floats(0, 500))
def test_a_distance_is_what_geodesy_says(spot: tuple[float, float], bearing: float, metres: float) -> None:
    longitude, latitude, _ = GEOD.fwd(*spot, bearing, metres)
    assert metres_between(spot, (longitude, latitude)) == pytest.approx(metres, abs=0.01)


@settings(max_examples=1000, deadline=None)
@given(ANYWHERE, BEARING, st.floats(0, REACH_METRES_MAX), st.floats(0, 1))
def test_two_spots_within_reach_share_the_cell_of_either(
    spot: tuple[float, float], bearing: float, reach: float, share: float
) -> None:
    longitude, latitude, _ = GEOD.fwd(*spot, bearing, reach * share)
    other = (longitude, latitude)
    assert cell_of(other) in cells_around(spot, reach)
    assert cell_of(spot) in cells_around(other, reach)


@settings(max_examples=500, deadline=None)
@given(INHABITED, st.floats(0.1, REACH_METRES_MAX))
def test_a_spot_is_noted_in_few_cells_its_own_first(spot: tuple[float, float], reach: float) -> None:
    cells = cells_around(spot, reach)
    assert cells[0] == cell_of(spot)
    assert len(cells) == len(set(cells)) <= 9


def test_the_date_line_parts_nobody() -> None:
    assert cell_of((-179.9999, 12.0)) in cells_around((179.9999, 12.0), 50)
    assert metres_between((-179.9999, 0), (179.9999, 0)) == pytest.approx(22.26, abs=0.01)
