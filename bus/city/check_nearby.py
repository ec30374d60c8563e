"""Whether what counts as near names services that there are."""

from __future__ import annotations

from bus.city.assemble import Draft
from bus.city.problems import Problems, nearest
from bus.city.read import CITY, SERVICES


def check_nearby(draft: Draft, problems: Problems) -> None:
    """`[nearby]` of city.toml, where the city has any."""
    entry = draft.settings.nearby
    if entry is None or not draft.service_codes:
        return
    lists = {"same_matter_services": entry.same_matter_services, "clash_services": entry.clash_services}
    for key, codes in lists.items():
        for code in dict.fromkeys(codes):
            if code not in draft.service_codes:
                advice = nearest(code, draft.service_codes)
                problems.note(CITY, f"nearby.{key}", f'{SERVICES} has no service "{code}"', advice)
