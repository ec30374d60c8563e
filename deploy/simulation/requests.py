"""Citizens' requests, made up from a city's own services, areas and phrases, and the plan by which they come in.

The same seed makes the same requests. Each is the data of one `subak.request.submitted.v1`; the citizens' channel
numbers them, and a request's case id is derived from that number and the seed.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from datetime import datetime
from random import Random
from typing import Any, Final

from bus.city import Area, City
from deploy.simulation.behaviour import Post
from deploy.simulation.open311 import ids_of
from deploy.simulation.phrasebook import Phrasebook
from schemas.identifiers import derived_id

SUBMITTED: Final = "subak.request.submitted.v1"

JITTER_DEGREES = 0.003
"""How far from the middle of its area a request may lie: some 300 m."""


def made_up(city: City, book: Phrasebook, *, count: int, seed: int, first: int = 1) -> Iterator[dict[str, Any]]:
    """`count` requests, numbered from `first`; each depends on the seed and its number alone.

    The more a city's phrasebook has to say about a service, the more often it is asked for.
    """
    services = sorted(city.services)
    weights = [len(book.descriptions.get(code, ())) or 1 for code in services]
    areas = [area.code for area in lowest_areas(city)]
    for number in range(first, first + count):
        rng = Random(f"{seed}/{city.id}/{number}")  # noqa: S311 - made-up requests, no secret
        code = rng.choices(services, weights)[0]
        area = city.areas[rng.choice(book.places.get(code) or areas)]
        longitude, latitude = _place(city, book, area, rng)
        if (beside := _beside(city, number)) is not None:
            other, code, metres = beside
            rng_of_other = Random(f"{seed}/{city.id}/{other}/corner")  # noqa: S311 - as above
            area = city.areas[rng_of_other.choice(areas)]
            longitude, latitude = _place(city, book, area, rng_of_other)
            latitude = round(latitude + metres / 111_000, 6)
        request: dict[str, Any] = {
            "service_code": code,
            "area": area.code,
            "description": _description(city, book, code, area, rng),
            "location": {"type": "Point", "coordinates": [longitude, latitude]},
            "reporter": {
                field: text.format(number=number)
                for field, text in (
                    ("name", book.reporter.name),
                    ("phone", book.reporter.phone),
                    ("email", book.reporter.email),
                )
            },
        }
        if book.addresses:
            street = rng.choice(book.addresses).format(number=rng.randint(1, 240))
            request["address_string"] = f"{street}, {area.name}"
        if rng.random() < 0.3:
            request["media_url"] = f"https://example.com/photos/{number:06}.jpg"
        yield request


def plan(
    requests: Sequence[Mapping[str, Any]],
    *,
    book: Phrasebook,
    city: City,
    seed: int,
    first: int,
    starts_at: float,
    per_second: float,
    open311: bool = False,
) -> Iterator[tuple[str, str, str | None, Post, float]]:
    """When each request comes in, for `AgencyRecords.plan`: at a steady rate from `starts_at` (epoch seconds).

    Args:
        open311: every other request goes through the channel's Open311 server, but for those that were made before.
    """
    source = city.source_of(city.citizens_channel)
    for index, request in enumerate(requests):
        number = first + index
        due_at = starts_at + index / per_second
        data = dict(request)
        by_app = open311 and number % 2 == 0 and not {"service_request_id", "requested_datetime"} & set(data)
        data.setdefault("service_request_id", f"{book.reference_prefix}-{number:06}")
        moment = datetime.fromtimestamp(due_at, city.zone).isoformat(timespec="seconds")
        data.setdefault("requested_datetime", moment)
        case = case_id(city, seed, number)
        event_id = derived_id(case, "submitted")
        if by_app:
            event_id, case = ids_of(source, seed, data["service_request_id"])
        yield event_id, case, data.get("area"), Post(SUBMITTED, data), due_at


def case_id(city: City, seed: int, number: int) -> str:
    """The case that the citizens' channel opens with its request of that number, where its own system sends it."""
    return derived_id(f"{city.id}/{seed}", number)


def lowest_areas(city: City) -> list[Area]:
    """The areas within the city that hold no other: where citizens live."""
    holders = {area.parent for area in city.areas.values()}
    return [area for code, area in sorted(city.areas.items()) if code not in holders and city.within(code, city.area)]


def _beside(city: City, number: int) -> tuple[int, str, float] | None:
    """Of twenty requests, four at one corner: a matter, the same once more, other works beside it, works of several.

    Returns:
        Which corner (a number that all of it share), the service, and how many metres north; None for any other.
    """
    if city.nearby is None or not city.nearby.same_matter_services:
        return None
    first = city.nearby.same_matter_services[0]
    holder = city.candidates(first, city.area)[0]
    clashing = [code for code in city.nearby.clash_services if city.candidates(code, city.area)[0] != holder]
    together = [code for code, service in city.services.items() if service.works]
    corner, place = divmod(number, 20)
    others = {3: (first, 0.0), 9: (first, 6.0), 14: (next(iter(clashing), first), 14.0)}
    if place == 17 and together:
        return corner * 20 + 17, together[0], 0.0
    return (corner * 20, *others[place]) if place in others else None


def _place(city: City, book: Phrasebook, area: Area, rng: Random) -> tuple[float, float]:
    west, south, east, north = city.bounds
    if area.centroid is not None:
        longitude = area.centroid[0] + rng.uniform(-JITTER_DEGREES, JITTER_DEGREES)
        latitude = area.centroid[1] + rng.uniform(-JITTER_DEGREES, JITTER_DEGREES)
    else:
        holder: str | None = area.code
        while holder is not None and holder not in book.boxes:
            holder = city.areas[holder].parent
        left, low, right, high = book.boxes[holder] if holder is not None else city.bounds
        longitude, latitude = rng.uniform(left, right), rng.uniform(low, high)
    return round(min(max(longitude, west), east), 6), round(min(max(latitude, south), north), 6)


def _description(city: City, book: Phrasebook, code: str, area: Area, rng: Random) -> str:
    choices = book.descriptions.get(code) or book.descriptions.get("*")
    text = rng.choice(choices) if choices else city.text(city.services[code].service_name)
    return text.replace("{area}", area.name)
