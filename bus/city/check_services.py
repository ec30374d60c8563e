"""Whether services.toml makes sense: each service has one answer everywhere to who is asked, and they act there."""

from __future__ import annotations

from bus.city.assemble import Draft
from bus.city.check_places import check_text, fits
from bus.city.lookups import area_chains
from bus.city.model import Service
from bus.city.problems import Problems, nearest
from bus.city.read import AREAS, CITY, SERVICES
from schemas.values import ServiceCode

AREAS_SHOWN_MAX = 3


def check_services(draft: Draft, problems: Problems) -> None:
    """services.toml, and the general service that city.toml names."""
    chains = area_chains(draft.areas)
    for service in draft.services.values():
        key = f'service "{service.service_code}"'
        if not fits(ServiceCode, service.service_code):
            fix = "Begin with a letter or digit, go on with letters, digits, dots, hyphens and underscores, 64 at most."
            problems.note(SERVICES, key, "this is no service_code", fix)
        check_text(draft, service.service_name, SERVICES, f"{key}.service_name", problems)
        check_text(draft, service.description, SERVICES, f"{key}.description", problems)
        _check_attributes(draft, service, key, problems)
        _check_named(draft, service, key, chains, problems)
        _check_owned(draft, service, key, chains, problems)
        _check_works(draft, service, key, problems)
    general = draft.settings.general_service
    if general is not None and draft.service_codes and general not in draft.service_codes:
        advice = nearest(general, draft.service_codes)
        problems.note(CITY, "general_service", f'there is no service "{general}" in {SERVICES}', advice)


def _check_attributes(draft: Draft, service: Service, key: str, problems: Problems) -> None:
    """What a service asks: codes and places once each, and answers to choose from exactly where there is a list."""
    codes = [attribute.code for attribute in service.attributes]
    orders = [attribute.order for attribute in service.attributes]
    for attribute in service.attributes:
        where = f'{key}.attributes "{attribute.code}"'
        if not fits(ServiceCode, attribute.code):
            fix = "Begin with a letter or digit, go on with letters, digits, dots, hyphens and underscores, 64 at most."
            problems.note(SERVICES, where, "this is no code", fix)
        if codes.count(attribute.code) > 1:
            problems.note(SERVICES, where, "the code stands twice", "Give each attribute a code of its own.")
        if orders.count(attribute.order) > 1:
            fix = "Give each attribute a place of its own, or leave order out."
            problems.note(SERVICES, f"{where}.order", f"the place {attribute.order} is taken twice", fix)
        is_list = attribute.datatype in ("singlevaluelist", "multivaluelist")
        if is_list != bool(attribute.values):
            problem = "a list has no values" if is_list else f"a {attribute.datatype} has values"
            fix = 'Write values = [{ key = "1", name.en = "One" }] for a list, and for nothing else.'
            problems.note(SERVICES, f"{where}.values", problem, fix)
        if attribute.required and not attribute.variable:
            fix = "Remove required, or variable = false."
            problems.note(SERVICES, where, "it asks for nothing and is required", fix)
        keys = [value.key for value in attribute.values]
        for value in attribute.values:
            if keys.count(value.key) > 1:
                problems.note(SERVICES, f"{where}.values", f'the key "{value.key}" stands twice', "Keep one.")
            check_text(draft, value.name, SERVICES, f"{where}.values.{value.key}", problems)
        check_text(draft, attribute.description, SERVICES, f"{where}.description", problems)
        check_text(draft, attribute.datatype_description, SERVICES, f"{where}.datatype_description", problems)


def _check_named(
    draft: Draft, service: Service, key: str, chains: dict[str, tuple[str, ...]], problems: Problems
) -> None:
    """The areas and agencies that a service names exist, and the agencies act in these areas."""
    city = draft.settings.area
    for number, responsibility in enumerate(service.responsible):
        where = f"{key}.responsible[{number}]"
        for code in responsibility.areas:
            if code in draft.areas and city in draft.areas and city not in chains[code]:
                fix = f'Name "{city}" or areas in it, or leave areas out for the whole city.'
                problems.note(SERVICES, f"{where}.areas", f'"{code}" is not in the city', fix)
            elif draft.areas and code not in draft.areas and code not in draft.files.broken["area"] and code != city:
                problems.note(SERVICES, f"{where}.areas", f'{AREAS} has no area "{code}"', nearest(code, draft.areas))
        for id in responsibility.agencies:
            if id not in draft.agency_ids:
                if draft.agency_ids:
                    advice = nearest(id, draft.agency_ids)
                    problems.note(SERVICES, f"{where}.agencies", f'there is no agency "{id}"', advice)
                continue
            if responsibility.agencies.count(id) > 1:
                problems.note(SERVICES, f"{where}.agencies", f'"{id}" stands twice', "Name each agency once.")
            areas = draft.agencies[id].areas if id in draft.agencies else ()
            missed = [code for code in responsibility.areas if code in chains and set(areas).isdisjoint(chains[code])]
            if areas and missed and all(code in draft.areas for code in areas):
                problem = f'"{id}" is asked about {_shown(draft, missed)}, which is not in its areas'
                problems.note(SERVICES, f"{where}.agencies", problem, f"Add the area to {id}, or ask somebody else.")


def _check_works(draft: Draft, service: Service, key: str, problems: Problems) -> None:
    """The agencies of works exist, and each has one part: its word says which part it means."""
    named = [id for agencies in service.works for id in agencies]
    for id in dict.fromkeys(named):
        if draft.agency_ids and id not in draft.agency_ids:
            problems.note(SERVICES, f"{key}.works", f'there is no agency "{id}"', nearest(id, draft.agency_ids))
        if named.count(id) > 1:
            problems.note(SERVICES, f"{key}.works", f'"{id}" stands twice', "Give each agency one part.")


def _check_owned(
    draft: Draft, service: Service, key: str, chains: dict[str, tuple[str, ...]], problems: Problems
) -> None:
    """Every area of the city has exactly one answer to: who is asked?"""
    named = [code for responsibility in service.responsible for code in set(responsibility.areas)]
    for code in dict.fromkeys(code for code in named if named.count(code) > 1):
        problem = f"two entries answer for {_shown(draft, [code])}"
        fix = "Keep one, with the agencies in the order of asking; a smaller area may have an entry of its own."
        problems.note(SERVICES, f"{key}.responsible", problem, fix)
    city = draft.settings.area
    if city not in draft.areas or draft.files.broken["area"]:
        return
    unowned = [code for code, chain in chains.items() if city in chain and set(named).isdisjoint(chain)]
    if unowned:
        problem = f"nobody is responsible for it in {_shown(draft, unowned)}"
        problems.note(SERVICES, f"{key}.responsible", problem, "Add an entry without areas, for all the rest.")


def _shown(draft: Draft, codes: list[str]) -> str:
    names = [f"{code} ({draft.areas[code].name})" if code in draft.areas else code for code in codes]
    more = f" and {len(names) - AREAS_SHOWN_MAX} more areas" if len(names) > AREAS_SHOWN_MAX else ""
    return ", ".join(names[:AREAS_SHOWN_MAX]) + more
