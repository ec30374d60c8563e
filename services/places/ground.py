"""Distances in metres on the ground, and the cells that a place is found under. Pure.

A cell is some 250 m wide and high. Two spots that are at most `REACH_METRES_MAX` from each other share a cell: each is
noted in every cell that its circle touches, so one of those is the cell in which the other lies. Longitudes go round
the earth, and columns are fewer towards the poles, so that no cell is narrower than the reach.
"""

from __future__ import annotations

from math import ceil, cos, floor, hypot, radians, sin, sqrt

REACH_METRES_MAX = 200.0
"""The largest distance that a city may ask for."""

CELL_METRES = 250.0
"""How high a cell is, and how wide at least."""

_A = 6_378_137.0
"""WGS 84: the equator's radius in metres."""
_E2 = 0.006_694_379_990_14
"""WGS 84: the first eccentricity, squared."""
_BAND_DEGREES = CELL_METRES / 111_700
"""How many degrees of latitude a cell is high: a degree has at most 111,694 m."""


def metres_between(a: tuple[float, float], b: tuple[float, float]) -> float:
    """How far two spots (longitude, latitude) are from each other on the ground.

    By the earth's two radii of curvature halfway: right to a millimetre for what lies in one cell, and to some percent
    for what is far.
    """
    middle = radians((a[1] + b[1]) / 2)
    north, east = _metres_a_degree(middle)
    turn = (a[0] - b[0] + 180) % 360 - 180
    return hypot(turn * east, (a[1] - b[1]) * north)


def cell_of(spot: tuple[float, float]) -> str:
    """The cell in which a spot lies."""
    band = _band(spot[1])
    return f"{band}:{_column(spot[0], _columns(band))}"


def cells_around(spot: tuple[float, float], metres: float) -> list[str]:
    """Every cell that the circle around a spot touches, its own first."""
    north, _ = _metres_a_degree(radians(spot[1]))
    metres = metres * 1.001 + 0.01  # what rounding takes
    high = metres / north
    found = [cell_of(spot)]
    for band in range(_band(spot[1] - high), _band(spot[1] + high) + 1):
        columns = _columns(band)
        furthest = min(max(abs(spot[1]) + high, 0.0), 89.9)
        wide = metres / _metres_a_degree(radians(furthest))[1]
        steps = ceil(2 * wide * columns / 360) + 1
        for step in range(min(steps, columns) + 1):
            column = _column(min(spot[0] - wide + step * 360 / columns, spot[0] + wide), columns)
            cell = f"{band}:{column}"
            if cell not in found:
                found.append(cell)
    return found


def _metres_a_degree(latitude: float) -> tuple[float, float]:
    """How long a degree is there, northwards and eastwards."""
    bend = 1 - _E2 * sin(latitude) ** 2
    meridian = _A * (1 - _E2) / (bend * sqrt(bend))
    return radians(meridian), radians(_A / sqrt(bend) * cos(latitude))


def _band(latitude: float) -> int:
    return floor(max(-90.0, min(90.0, latitude)) / _BAND_DEGREES)


def _columns(band: int) -> int:
    """How many cells go round the earth in this band: as many as are wide enough at its narrower edge."""
    narrower = max(abs(band), abs(band + 1)) * _BAND_DEGREES
    around = 360 * _metres_a_degree(radians(min(narrower, 89.9)))[1]
    return max(1, floor(around / CELL_METRES))


def _column(longitude: float, columns: int) -> int:
    return floor((longitude + 180) % 360 * columns / 360) % columns
