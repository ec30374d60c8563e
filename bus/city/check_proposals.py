"""Whether a proposal can go its whole way: an office at each level, who sets money aside, who builds."""

from __future__ import annotations

from bus.city.assemble import Draft
from bus.city.check_rights import Parts
from bus.city.lookups import RANKED, area_chains, offices_in
from bus.city.problems import Problems, nearest
from bus.city.read import AGENCIES, CITY

ENDING_TYPES = ("subak.proposal.rejected.v1", "subak.proposal.dropped.v1", "subak.proposal.merged.v1")

OFFICE_TYPES = (
    "subak.proposal.endorsed.v1",
    RANKED,
    "subak.proposal.forwarded.v1",
    *ENDING_TYPES,
)
"""What the office of an area below the city's must be able to say."""

FINANCE_TYPES = (
    "subak.budget.ceilingset.v1",
    "subak.budget.appropriated.v1",
    "subak.budget.allocated.v1",
    "subak.budget.revised.v1",
    "subak.budget.transferred.v1",
    "subak.budget.closed.v1",
    "subak.budget.paid.v1",
    "subak.asset.registered.v1",
)
"""What whoever keeps the budget lines must be able to say."""

EXECUTOR_TYPES = (
    "subak.contracting.tender.v1",
    "subak.contracting.tendercancellation.v1",
    "subak.contracting.award.v1",
    "subak.contracting.contract.v1",
    "subak.contracting.amendment.v1",
    "subak.contracting.implementation.v1",
    "subak.contracting.termination.v1",
    "subak.budget.billed.v1",
)
"""What an agency must be able to say before a budget line may set money aside for it."""

SUBMITTED = "subak.proposal.submitted.v1"


def check_proposals(draft: Draft, problems: Problems) -> None:
    """`[proposals]` of city.toml, where the city takes any."""
    proposals = draft.proposals
    if proposals is None:
        return
    known = True
    for name in ("office", "finance"):
        id = getattr(proposals, name)
        if draft.agency_ids and id not in draft.agency_ids:
            known = False
            problem = f'there is no agency "{id}" in {AGENCIES}'
            problems.note(CITY, f"proposals.{name}", problem, nearest(id, draft.agency_ids))
    city = draft.settings.area
    if not known or city not in draft.areas or not draft.agencies:
        return
    parts = Parts(draft, problems)
    chains = area_chains(draft.areas)
    offices: dict[str, None] = {}
    for chain in chains.values():
        if city in chain:
            offices.update(dict.fromkeys(offices_in(chain, draft.areas, draft.agencies, city, proposals)[:-1]))
    for id in offices:
        parts.says(id, OFFICE_TYPES, "it is the office of its area for proposals")
    parts.says(proposals.office, (RANKED, *ENDING_TYPES), f"it is the office of proposals in {CITY}")
    parts.says(proposals.finance, FINANCE_TYPES, f"it keeps the budget lines of {CITY}")
    for id in parts.ways_up([*offices, proposals.office]):
        parts.says(id, (RANKED, "subak.proposal.forwarded.v1", *ENDING_TYPES), "a proposal that is overdue comes to it")
    for id in parts.ways_up([proposals.finance]):
        parts.says(id, FINANCE_TYPES, "money that is overdue comes to it")
    parts.tell()
    _check_offices(draft, problems)
    if not any(agency.publishes_type(SUBMITTED) for agency in draft.agencies.values()):
        problem = f"the city takes proposals, and nobody may publish {SUBMITTED}"
        problems.note(AGENCIES, "", problem, "Give it to the agencies that hold the neighbours' meetings.")
    if not any(all(map(agency.publishes_type, EXECUTOR_TYPES)) for agency in draft.agencies.values()):
        problem = "the city takes proposals, and no agency may procure and build: no money can be set aside"
        problems.note(AGENCIES, "", problem, f"Let one publish {', '.join(EXECUTOR_TYPES)}.")


def _check_offices(draft: Draft, problems: Problems) -> None:
    """Where areas of a level have offices, all have: a proposal from one without would skip the level unseen."""
    city, proposals = draft.settings.area or "", draft.proposals
    lacking: dict[str, list[str]] = {}
    having: set[str] = set()
    for code, chain in area_chains(draft.areas).items():
        if city not in chain or code == city or problems.concern(AGENCIES, ""):
            continue
        own = offices_in((code, city), draft.areas, draft.agencies, city, proposals)
        level = draft.areas[code].level
        if len(own) > 1:
            having.add(level)
        else:
            lacking.setdefault(level, []).append(code)
    for level in sorted(having & lacking.keys()):
        shown = ", ".join(lacking[level][:3])
        problem = (
            f'no agency of the level "{level}" may publish {RANKED} in {shown}, where others of the level have one'
        )
        problems.note(AGENCIES, "", problem, "Give the right to the office of each area of the level.")
