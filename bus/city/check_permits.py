"""Whether a permit can go its whole way: an office that may decide, agencies that may answer."""

from __future__ import annotations

from bus.city.assemble import Draft
from bus.city.check_places import check_text
from bus.city.check_rights import Parts
from bus.city.problems import Problems, nearest
from bus.city.read import AGENCIES, CITY, SERVICES

OFFICE_TYPES = (
    "subak.permit.evidencerequested.v1",
    "subak.permit.accepted.v1",
    "subak.permit.decided.v1",
    "subak.permit.issued.v1",
    "subak.permit.suspended.v1",
    "subak.permit.reinstated.v1",
    "subak.permit.revoked.v1",
)
"""What the office of a permit must be able to say."""

CONSULTED_TYPES = ("subak.permit.opiniongiven.v1",)

CHANNEL_TYPES = ("subak.permit.applied.v1", "subak.permit.evidencesupplied.v1", "subak.permit.withdrawn.v1")
"""What the citizens' channel must be able to say for applicants."""

CHANNEL_HEARS = (
    "subak.permit.evidencerequested.v1",
    "subak.permit.decided.v1",
    "subak.permit.issued.v1",
    "subak.permit.closed.v1",
)
"""What the citizens' channel must hear of, or the applicant is never told."""


def check_permits(draft: Draft, problems: Problems) -> None:
    """`[[permit]]` of city.toml, where the city has any."""
    if not draft.permits:
        return
    parts = Parts(draft, problems)
    for permit in draft.permits.values():
        key = f'permit "{permit.service_code}"'
        check_text(draft, permit.name, CITY, f"{key}.name", problems)
        if permit.service_code in draft.service_codes:
            problem = f"{SERVICES} has a service of this code"
            problems.note(CITY, key, problem, "Give the permit a code of its own: a request is no application.")
        for where, id in (("office", permit.office), *(("consulted", id) for id in permit.consulted)):
            if draft.agency_ids and id not in draft.agency_ids:
                problem = f'there is no agency "{id}" in {AGENCIES}'
                problems.note(CITY, f"{key}.{where}", problem, nearest(id, draft.agency_ids))
        if len(set(permit.consulted)) < len(permit.consulted):
            problems.note(CITY, f"{key}.consulted", "an agency stands twice", "Name each once.")
        parts.says(permit.office, OFFICE_TYPES, f"it decides on permits of {CITY}")
        for id in permit.consulted:
            parts.says(id, CONSULTED_TYPES, f"it is consulted on permits of {CITY}")
        for id in parts.ways_up([permit.office]):
            parts.says(id, OFFICE_TYPES, "an application that is overdue comes to it")
        for id in parts.ways_up(permit.consulted):
            parts.says(id, CONSULTED_TYPES, "a consultation that is overdue comes to it")
    if (channel := parts.office("citizens_channel")) is not None:
        parts.says(channel, CHANNEL_TYPES, f"it is the citizens_channel of {CITY}, which has permits")
        parts.hears(channel, CHANNEL_HEARS, f"it is the citizens_channel of {CITY}, which has permits")
    parts.tell()
