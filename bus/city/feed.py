"""Requests of an Open311 feed (GeoReport v2), as the data of `subak.request.submitted.v1`. Pure, but for `load_feed`.

Real feeds are loose where the shared language is strict: nulls stand for what is not there, times have no offset,
latitude comes apart from longitude, and `0, 0` stands for a place that nobody knows. What a feed says is kept wherever
it can be read; what would be a guess is refused with its reason. The feed's `status` is ignored: a case begins with the
request, and its state is made by the city's own agencies.

Times without an offset are read on the wall clock of the city's time zone. Where that clock was set back and showed
a time twice, the first is meant. Where it was set forward and never showed the time, it is read with the offset from
before the change, so 02:30 becomes 03:30.
"""

from __future__ import annotations

import re
from datetime import UTC, datetime
from math import isfinite
from pathlib import Path
from typing import Any

from bus.city.directory import City
from bus.city.problems import Problems, WrongCity, nearest
from bus.city.read import SERVICES, read_shape, read_toml
from schemas.failures import Reason, Refused
from schemas.moments import is_moment
from schemas.strict import Strict

FEED = "feed.toml"

SERVICE_NAME_ATTRIBUTE = "feed_service_name"
"""The attribute that keeps what the feed called the service."""

_time = re.compile(r"^\d{4}-\d{2}-\d{2}[Tt ]\d{2}:\d{2}(:\d{2}(\.\d{1,9})?)?([Zz]|[+-]\d{2}:?\d{2})?$")


class FeedFile(Strict):
    """feed.toml."""

    services: dict[str, str]
    """The feed's `service_name`, and the `service_code` of the city's catalogue that takes it."""


class Feed:
    """How a feed's service names relate to the city's catalogue. Capitals, underscores and blanks are all one."""

    def __init__(self, services: dict[str, str] | None = None) -> None:
        self._codes = {_plain(name): code for name, code in (services or {}).items()}

    def service_code(self, city: City, item: dict[str, Any]) -> str:
        """The catalogue's code for a request: by its name in feed.toml, else by the feed's own code if we have it.

        What neither knows is the general service's: no request is lost for its name.
        """
        known = self._codes.get(_plain(str(item.get("service_name", ""))))
        code = known or str(item.get("service_code", ""))
        return code if code in city.services else city.general_service


def load_feed(folder: Path, city: City) -> Feed:
    """The feed that feed.toml in the city's folder describes; one that knows no names where there is no such file.

    Raises:
        WrongCity: with every problem, such as a service that the catalogue does not have.
    """
    if not (folder / FEED).exists():
        return Feed()
    problems = Problems()
    table = read_toml(folder / FEED, problems)
    file = read_shape(FeedFile, table, FEED, "", problems) if table is not None else None
    services = file.services if file is not None else {}
    seen: dict[str, str] = {}
    for name, code in services.items():
        key = f'services."{name}"'
        if code not in city.services:
            problems.note(FEED, key, f'there is no service "{code}" in {SERVICES}', nearest(code, city.services))
        if services[seen.setdefault(_plain(name), name)] != code:
            problem = f'"{seen[_plain(name)]}" reads the same, with another service'
            problems.note(FEED, key, problem, "Keep one: capitals, underscores and blanks are all one.")
    if problems:
        raise WrongCity(str(folder), problems)
    return Feed(services)


def request_from_open311(city: City, feed: Feed, item: object) -> tuple[dict[str, Any], str]:
    """One element of a GeoReport v2 `requests.json` as the data of `subak.request.submitted.v1`, and when it happened.

    A request without a location is filed under the city's own area; with one, under `City.area_at`.

    Raises:
        Refused: with every reason, such as a time that cannot be read or a place outside the city.
    """
    if not isinstance(item, dict):
        raise Refused([Reason("not_an_object", "item", "this is no JSON object", "Send GeoReport v2 requests.")])
    stripped = {key: value.strip() if isinstance(value, str) else value for key, value in item.items()}
    given = {key: value for key, value in stripped.items() if value is not None and value != ""}
    reasons: list[Reason] = []
    occurred = _occurred(city, given, reasons)
    location = _location(city, given, reasons)
    data: dict[str, Any] = {
        "service_code": feed.service_code(city, given),
        "area": city.area_at(*location) if location else city.area,
        "requested_datetime": occurred,
    }
    if location:
        data["location"] = {"type": "Point", "coordinates": list(location)}
    for name, keys in _TEXTS.items():
        key, text = next(((key, given[key]) for key in keys if key in given), (keys[0], ""))
        if not isinstance(text, str):
            reasons.append(Reason("string_type", f"item.{key}", "this is not text", "Send a string or null."))
        elif text := _tidy(text) if name == "address_string" else text:
            data[name] = text
    if (number := given.get("service_request_id")) is not None:
        data["service_request_id"] = str(number)
    if isinstance(called := given.get("service_name"), str):
        data["attributes"] = [{"code": SERVICE_NAME_ATTRIBUTE, "value": called}]
    if reasons:
        raise Refused(reasons)
    return data, occurred


_TEXTS = {
    "description": ("description",),
    "address_string": ("address", "address_string"),
    "media_url": ("media_url",),
}
"""Our text fields and GeoReport v2's keys for them: `address` where it answers, `address_string` where it is sent."""


def _tidy(address: str) -> str:
    """An address without the blanks that fixed-width columns leave: `851  POST ST SAN FRANCISCO , CA `."""
    return " ".join(address.split()).replace(" ,", ",").strip(", ")


def _plain(name: str) -> str:
    return " ".join(re.findall(r"\w+", name.casefold().replace("_", " ")))


def _occurred(city: City, given: dict[str, Any], reasons: list[Reason]) -> str:
    text = given.get("requested_datetime")
    if text is None:
        fix = "Send when the citizen asked."
        reasons.append(Reason("missing", "item.requested_datetime", "the request has no time", fix))
        return ""
    try:
        if not isinstance(text, str) or not _time.match(text):
            raise ValueError(text)
        moment = datetime.fromisoformat(text.upper().replace(" ", "T"))
        if moment.tzinfo is None:
            # By way of UTC, so that a time in a gap of the wall clock comes out as one that the clock did show.
            moment = moment.replace(tzinfo=city.zone, fold=0).astimezone(UTC).astimezone(city.zone)
        occurred = moment.isoformat()
    except (ValueError, OverflowError):
        occurred = ""
    if not is_moment(occurred):
        fix = "Send it as 2011-06-27T03:43:00-07:00, or without the offset in the city's own time."
        reasons.append(Reason("not_a_moment", "item.requested_datetime", f"{text!r:.60} is no time", fix))
    return occurred


def _location(city: City, given: dict[str, Any], reasons: list[Reason]) -> tuple[float, float] | None:
    """Longitude and latitude; None where the request has no place, or `0, 0`, which feeds send for an unknown one."""
    if "lat" not in given and "long" not in given:
        return None
    latitude, longitude = _degrees(given.get("lat")), _degrees(given.get("long"))
    if latitude is None or longitude is None:
        key = "lat" if latitude is None else "long"
        problem = f"{given[key]!r:.60} is no number" if key in given else "half of the location is missing"
        reasons.append(Reason("not_a_number", f"item.{key}", problem, "Send both lat and long in degrees, or neither."))
        return None
    if (longitude, latitude) == (0.0, 0.0) and not city.contains(0.0, 0.0):
        return None
    if not city.contains(longitude, latitude):
        problem = f"latitude {latitude}, longitude {longitude} lies outside the city"
        fix = "lat and long are swapped." if city.contains(latitude, longitude) else "Check the coordinates."
        reasons.append(Reason("outside_city", "item.lat", problem, fix))
        return None
    return longitude, latitude


def _degrees(value: object) -> float | None:
    """A number of degrees, as a JSON number or a string of one."""
    if isinstance(value, bool) or not isinstance(value, int | float | str):
        return None
    try:
        degrees = float(value)
    except (ValueError, OverflowError):
        return None
    return degrees if isfinite(degrees) else None
