"""A GeoReport v2 post of a request, as the data of `subak.request.submitted.v1`. Pure.

Where it lies (`area`), the first of these that the post gives:

1. `address_id`, where it is one of the city's area codes;
2. `lat` and `long`: the area whose centroid is nearest (`City.area_at`), the city's own where no area has one;
3. the city's own area, for a post with `address_string` alone.

GeoJSON has longitude first, GeoReport names them. A field that GeoReport does not have is left out; an attribute that
the service does not ask for is kept, since apps send more than they are asked for (a coordinate of their own grid, a
street's number), as are further pictures.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from math import isfinite
from typing import Any

from adapters.sources.open311.answers import Failed
from adapters.sources.open311.form import Form
from bus.city import City, Service
from bus.city.model import ServiceAttribute
from schemas.moments import is_moment

NAMES = {
    "location": "lat, long",
    "reporter.name": "first_name, last_name",
    "reporter.phone": "phone",
    "reporter.email": "email",
    "attributes": "attribute",
}
"""Our fields, by the names under which an app sent them."""

ATTRIBUTES_MAX = 50
ATTRIBUTE_CHARACTERS_MAX = 1000

_code = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]{0,63}")
_degrees = re.compile(r"[+-]?[0-9]{1,3}(\.[0-9]{1,20})?")
_number = re.compile(r"[+-]?[0-9]{1,30}([.,][0-9]{1,30})?")
_date = re.compile(r"[0-9]{4}-[0-9]{2}-[0-9]{2}")


def request_data(city: City, service: Service, form: Form) -> dict[str, Any]:
    """The event's data.

    Raises:
        Failed: 400, with everything that is wrong.
    """
    problems: list[str] = []
    data: dict[str, Any] = {"service_code": service.service_code}
    extra: list[dict[str, str]] = []
    location = _location(city, form, problems)
    address_id, address = form.one("address_id"), form.one("address_string")
    known_area = address_id is not None and address_id in city.areas and city.within(address_id, city.area)
    if address_id is not None and not known_area:
        if location is None and address is None and not problems:
            problems.append(
                f"address_id: {address_id[:100]!r} is no area code of {city.id}. Send one, or lat and long, or "
                "address_string."
            )
        extra.append({"code": "address_id", "value": address_id})
    if location is None and address is None and address_id is None and not problems:
        problems.append("the place is missing: send lat and long, or address_string, or address_id.")
    if known_area and address_id is not None:
        data["area"] = address_id
    else:
        data["area"] = city.area_at(*location) if location is not None else city.area
    if location is not None:
        data["location"] = {"type": "Point", "coordinates": list(location)}
    if address is not None:
        data["address_string"] = address
    if (description := form.one("description")) is not None:
        data["description"] = description
    media = form.all("media_url")
    if media:
        data["media_url"] = media[0]
        extra += [{"code": "media_url", "value": url} for url in media[1:]]
    name = " ".join(part for part in (form.one("first_name"), form.one("last_name")) if part is not None)
    reporter = {"name": name, "phone": form.one("phone"), "email": form.one("email")}
    if any(reporter.values()):
        data["reporter"] = {field: value for field, value in reporter.items() if value}
    attributes = [*_attributes(service, form, problems), *extra]
    problems += [
        f"attribute[{one['code']}]: the answer has more than {ATTRIBUTE_CHARACTERS_MAX} characters. Shorten it."
        for one in attributes
        if len(one["value"]) > ATTRIBUTE_CHARACTERS_MAX
    ]
    if len(attributes) > ATTRIBUTES_MAX:
        problems.append(f"attribute: there are {len(attributes)} answers, more than {ATTRIBUTES_MAX}. Send fewer.")
    if attributes:
        data["attributes"] = attributes
    if problems:
        raise Failed(400, *problems)
    return data


def _location(city: City, form: Form, problems: list[str]) -> tuple[float, float] | None:
    """Longitude and latitude."""
    said = {"lat": form.one("lat"), "long": form.one("long")}
    if not any(said.values()):
        return None
    found: dict[str, float] = {}
    for name, text in said.items():
        if text is None:
            problems.append(f"{name}: it is missing. Send both lat and long.")
        elif not _degrees.fullmatch(text) or not isfinite(float(text)):
            problems.append(f"{name}: {text[:60]!r} is not degrees. Send a decimal number, such as -8.6705.")
        else:
            found[name] = float(text)
    if len(found) < 2:
        return None
    longitude, latitude = found["long"], found["lat"]
    if city.contains(longitude, latitude):
        return longitude, latitude
    if city.contains(latitude, longitude):
        problems.append(f"lat, long: they are swapped. Send lat={longitude:g} and long={latitude:g}.")
        return None
    for name, most in (("lat", 90), ("long", 180)):
        if abs(found[name]) > most:
            problems.append(f"{name}: {found[name]:g} is not between -{most} and {most}.")
            return None
    problems.append(f"lat, long: latitude {latitude:g}, longitude {longitude:g} lies outside {city.id}. Check them.")
    return None


def _attributes(service: Service, form: Form, problems: list[str]) -> Iterator[dict[str, str]]:
    """The answers to what the service asks, and what else was said."""
    asked = {attribute.code: attribute for attribute in service.attributes if attribute.variable}
    given = dict(form.attributes())
    for code, attribute in asked.items():
        if attribute.required and code not in given:
            problems.append(f"attribute[{code}]: the service {service.service_code} needs an answer to this. Add it.")
    for code, values in given.items():
        if not _code.fullmatch(code):
            problems.append(f"attribute[{code[:60]}]: this is no attribute's code. GET services/... lists them.")
            continue
        if code in asked:
            problems += (f"attribute[{code}]: {problem}" for problem in _wrong(asked[code], values))
        yield from ({"code": code, "value": value} for value in values)


def _wrong(attribute: ServiceAttribute, values: list[str]) -> Iterator[str]:
    """What is wrong with the answers to one question."""
    if len(values) > 1 and attribute.datatype != "multivaluelist":
        yield f"it stands {len(values)} times, and the service asks for one answer. Send one."
    keys = [value.key for value in attribute.values]
    for value in values:
        shown = repr(value[:60])
        if keys and value not in keys:
            yield f"{shown} is none of the answers. Send one of {', '.join(keys[:20])}."
        elif attribute.datatype == "number" and not _number.fullmatch(value):
            yield f"{shown} is not a number. Send digits, such as 12 or 3.5."
        elif attribute.datatype == "datetime" and not (_date.fullmatch(value) or is_moment(value)):
            yield f"{shown} is not a date or time. Send 2026-11-24, or 2026-11-24T08:00:00+08:00."
        elif attribute.datatype == "string" and ("\n" in value or "\r" in value):
            yield "the answer has line breaks. Send one line."
