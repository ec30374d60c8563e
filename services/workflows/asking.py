"""Who a workflow would ask in a city, place by place: what lint needs to know of a role. Pure."""

from __future__ import annotations

from collections.abc import Callable, Iterator

from bus.city import City

Found = Iterator[tuple[str, str | None, tuple[str, ...]]]


def upwards(city: City, *asked: str) -> tuple[str, ...]:
    """Those asked, then the levels above the last of them, then the default agency: the whole way of an escalation."""
    way = list(dict.fromkeys(asked))
    above = city.parent_of(way[-1]) if way else None
    while above is not None and above not in way:
        way.append(above)
        above = city.parent_of(above)
    if city.default_agency not in way:
        way.append(city.default_agency)
    return tuple(way)


def of_each_service(city: City) -> Found:
    """Who is asked about each service, wherever its answer differs."""
    for code, service in city.services.items():
        areas = dict.fromkeys([area for entry in service.responsible for area in entry.areas] + [city.area])
        for area in areas:
            place = f"{code} in {city.areas[area].name}" if area != city.area else code
            yield place, area, upwards(city, *city.candidates(code, area))


def of_each_joint_work(city: City) -> Found:
    """Who is ordered for each part of works of several agencies."""
    for code, service in city.services.items():
        for agencies in service.works:
            for agency in agencies:
                yield f"{code}, the part of {agency}", None, upwards(city, agency)


def of_each_area(ask: Callable[[City, str], str]) -> Callable[[City], Found]:
    """Who is asked in each area of the city."""

    def found(city: City) -> Found:
        for code, area in city.areas.items():
            if city.within(code, city.area):
                yield area.name, code, upwards(city, ask(city, code))

    return found


def of_the_city(ask: Callable[[City], str]) -> Callable[[City], Found]:
    """Who is asked for the whole city."""

    def found(city: City) -> Found:
        yield "the whole city", None, upwards(city, ask(city))

    return found
