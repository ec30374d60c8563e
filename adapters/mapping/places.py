"""Coordinates in the agency's own projection, to and from longitude and latitude (WGS 84, longitude first). Pure.

pyproj is imported only where a mapping names a projection.
"""

from __future__ import annotations

import math
from functools import cache
from typing import Any

from adapters.mapping.values import WrongValue
from schemas.failures import Misconfigured

WGS84 = "EPSG:4326"

DEGREE_DECIMALS = 7
"""About a centimetre."""


def to_degrees(x: float, y: float, projection: str) -> tuple[float, float]:
    """Longitude and latitude of the point x (east), y (north).

    Raises:
        WrongValue: the projection has no such point.
    """
    if projection != WGS84:
        x, y = _transformer(projection, inverse=False).transform(x, y)
    if not (math.isfinite(x) and math.isfinite(y)):
        problem = f"{projection} has no such point"
        raise WrongValue("not_a_place", problem, "Check the coordinates, and which of them is x (east).")
    return round(x, DEGREE_DECIMALS), round(y, DEGREE_DECIMALS)


def from_degrees(longitude: float, latitude: float, projection: str) -> tuple[float, float]:
    """x (east) and y (north) of a point in degrees.

    Raises:
        WrongValue: the projection does not reach there.
    """
    if projection == WGS84:
        return longitude, latitude
    x, y = _transformer(projection, inverse=True).transform(longitude, latitude)
    if not (math.isfinite(x) and math.isfinite(y)):
        raise WrongValue("not_a_place", f"{projection} does not reach this point", "Name another projection.")
    return round(x, 3), round(y, 3)


def check_projection(projection: str) -> None:
    """
    Raises:
        Misconfigured: there is none of that name, or pyproj is not installed.
    """
    if projection != WGS84:
        _transformer(projection, inverse=False)


@cache
def _transformer(projection: str, *, inverse: bool) -> Any:
    try:
        from pyproj import Transformer
        from pyproj.exceptions import CRSError
    except ModuleNotFoundError as error:
        raise Misconfigured("coordinates in a projection need the library pyproj: install subak[adapters]") from error
    try:
        ends = (WGS84, projection) if inverse else (projection, WGS84)
        return Transformer.from_crs(*ends, always_xy=True)
    except CRSError as error:
        raise Misconfigured(
            f"there is no projection {projection[:60]!r}. Name it as EPSG does, such as EPSG:32750"
        ) from error
