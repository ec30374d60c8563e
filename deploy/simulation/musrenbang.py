"""What simulated agencies do with proposals, budgets and permits, and the small round of them that a demo plays. Pure.

Each decision answers one request of the workflow, so every proposal comes to its end: realised, or rejected with a
reason. They run beside the citizens' requests, in cases of their own, and are no part of the requests' counts.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from datetime import datetime, timedelta
from decimal import Decimal
from random import Random
from typing import Any, Final

from bus.city import City
from deploy.simulation import behaviour
from deploy.simulation.behaviour import Heard, Post, SimulatedAgency, Told
from schemas.identifiers import derived_id

PROPOSED: Final = "subak.proposal.submitted.v1"
APPLIED: Final = "subak.permit.applied.v1"
CEILING_SET: Final = "subak.budget.ceilingset.v1"
APPROPRIATED: Final = "subak.budget.appropriated.v1"
ALLOCATED: Final = "subak.budget.allocated.v1"
PROPOSAL_ASKS: Final = "subak.proposal.decisionrequested.v1"
PERMIT_ASKS: Final = "subak.permit.decisionrequested.v1"
CONSULTS: Final = "subak.permit.consultationrequested.v1"

LINE_AMOUNT: Final = "100000000000"
"""What the demo's one budget line may give: enough for every proposal of many rounds."""

REJECTED_EVERY: Final = 4
"""About one proposal in so many is rejected by the city's office."""

PERMIT_DAYS: Final = 365


def react(agency: SimulatedAgency, event: Heard, rng: Random, file: Sequence[Told] = ()) -> list[tuple[float, Post]]:
    """As `behaviour.react`, for everything that a city does."""
    if event.recipient == agency.id:
        if event.type == PROPOSAL_ASKS:
            return _spread(_proposal(agency, event, rng), rng)
        if event.type == PERMIT_ASKS:
            return _spread(_permit(agency, event, rng), rng)
        if event.type == CONSULTS:
            opinion = {"opinion": "favourable", "reason": agency.phrases.pick("favourable", rng)}
            return _spread([Post("subak.permit.opiniongiven.v1", opinion)], rng)
    return behaviour.react(agency, event, rng, file)


def line_of(city: City) -> str:
    """The case of the demo's budget line."""
    return derived_id(city.id, "the demo's budget line")


def executor_of(city: City) -> str:
    """Who carries out what proposals ask for in the demo: the first of the catalogue that may procure; "" for none."""
    asked = [agency for service in city.services.values() for one in service.responsible for agency in one.agencies]
    may = (agency for agency in asked if city.agencies[agency].publishes_type("subak.contracting.contract.v1"))
    return next(may, "")


def proposal_of(city: City, seed: int, number: int) -> str:
    """The case of the demo's proposal of that number."""
    return derived_id(f"{city.id}/{seed}", f"proposal {number}")


def planned(
    city: City, *, seed: int, proposals: int, permits: int, starts_at: float
) -> Iterator[tuple[str, tuple[str, str, str | None, Post, float]]]:
    """The round: who sends, and what, as `AgencyRecords.plan` takes it. Nothing where the city takes no proposals.

    Money first; then each proposal from the office of an area that has all levels above it; permits beside.
    """
    settings = city.proposals
    if settings is None:
        return
    amount = {"amount": LINE_AMOUNT, "currency": city.currency}
    year = datetime.fromtimestamp(starts_at, city.zone).year + 1
    executor = executor_of(city)
    line = {
        "budget_line": f"DEMO-{year}", "name": "Proposals of the meetings", "fiscal_year": year, "amount": amount,
        "agency": executor, "area": city.area,
    }  # fmt: skip
    case = line_of(city)
    for place, post in enumerate((Post(CEILING_SET, line), Post(APPROPRIATED, {"amount": amount}))):
        yield settings.finance, (derived_id(case, place), case, city.area, post, starts_at)
    longest = max(map(len, map(city.offices_of, city.areas)))
    areas = [code for code in sorted(city.areas) if len(city.offices_of(code)) == longest]
    services = sorted(city.services)
    for number in range(1, proposals + 1):
        rng = Random(f"{seed}/{city.id}/proposal/{number}")  # noqa: S311 - made-up proposals, no secret
        code = areas[rng.randrange(len(areas))]
        service = services[rng.randrange(len(services))]
        data: dict[str, Any] = {
            "title": f"{city.text(city.services[service].service_name)}, {city.areas[code].name}",
            "service_code": service,
            "area": code,
            "estimate": {"amount": f"{rng.randint(20, 400) * 1_000_000}", "currency": city.currency},
            "proposal_id": f"MUS-{year}-{number:04}",
        }
        case = proposal_of(city, seed, number)
        yield city.offices_of(code)[0], (derived_id(case, "submitted"), case, code, Post(PROPOSED, data), starts_at + 1)
    kinds = sorted(city.permits)
    for number in range(1, permits + 1 if kinds else 1):
        kind = city.permits[kinds[number % len(kinds)]]
        code = areas[number % len(areas)]
        case = derived_id(f"{city.id}/{seed}", f"permit {number}")
        data = {
            "service_code": kind.service_code,
            "area": code,
            "title": f"{city.text(kind.name)}, {city.areas[code].name}",
        }
        post = Post(APPLIED, data)
        yield city.citizens_channel, (derived_id(case, "applied"), case, code, post, starts_at + 1)


def _spread(posts: Sequence[Post], rng: Random) -> list[tuple[float, Post]]:
    """One after the other, in this order."""
    now, found = 0.0, []
    for post in posts:
        now += rng.uniform(0.2, 0.8)
        found.append((now, post))
    return found


def _proposal(agency: SimulatedAgency, event: Heard, rng: Random) -> list[Post]:
    estimate = event.data.get("estimate") or {"amount": "1000000", "currency": agency.currency}
    name = event.case[:8]
    ocid, contract = f"ocds-213czf-{name}", f"SPK-{name}"
    value = {**estimate, "amount": f"{Decimal(estimate['amount']) * 9 / 10:f}"}
    works = {"ocid": ocid, "contract_id": contract}
    match event.data.get("step"):
        case "endorse":
            return [Post("subak.proposal.endorsed.v1", {"attendance": 30 + int(name, 16) % 90})]
        case "rank" if agency.ends_proposals and int(name, 16) % REJECTED_EVERY == 0:
            return [Post("subak.proposal.rejected.v1", {"reason": agency.phrases.pick("proposal_rejected", rng)})]
        case "rank":
            return [Post("subak.proposal.ranked.v1", {"rank": 1 + int(name, 16) % 40})]
        case "forward" if agency.hands_on_to:
            return [Post("subak.proposal.forwarded.v1", {"agency": agency.hands_on_to})]
        case "budget" if agency.budget_line:
            data = {
                "proposal": event.case,
                "amount": estimate,
                "agency": agency.executor,
                "allocation_id": f"DPA-{name}",
            }
            return [Post(ALLOCATED, data, case=agency.budget_line)]
        case "procure":
            return [
                Post("subak.contracting.tender.v1", {"ocid": ocid, "procurement_method": "open", "value": estimate})
            ]
        case "contract":
            award = {
                "ocid": ocid,
                "award_id": f"A-{name}",
                "supplier": agency.phrases.pick("supplier", rng),
                "value": value,
            }
            signed = {"ocid": ocid, "award_id": f"A-{name}", "contract_id": contract, "value": value}
            return [Post("subak.contracting.award.v1", award), Post("subak.contracting.contract.v1", signed)]
        case "build":
            handover = agency.phrases.pick("handover", rng)
            half, whole = (
                {**works, "milestones": [{"id": id, "title": title, "status": "met"}, *rest]}
                for id, title, rest in (
                    ("50", agency.phrases.pick("half", rng), [{"id": "100", "title": handover, "status": "scheduled"}]),
                    ("100", handover, []),
                )
            )
            bill = {"contract_id": contract, "invoice_id": f"INV-{name}", "amount": value}
            return [
                Post("subak.contracting.implementation.v1", half),
                Post("subak.budget.billed.v1", bill),
                Post("subak.contracting.implementation.v1", whole),
            ]
        case "pay":
            paid = {"contract_id": contract, "payment_id": f"SP2D-{name}", "amount": value, "invoice_id": f"INV-{name}"}
            return [Post("subak.budget.paid.v1", paid)]
        case "register":
            asset = {"asset_id": f"KIB-{name}", "name": event.data["title"], "value": value}
            return [Post("subak.asset.registered.v1", asset)]
    return []


def _permit(agency: SimulatedAgency, event: Heard, rng: Random) -> list[Post]:
    name = event.case[:8]
    match event.data.get("step"):
        case "check":
            return [Post("subak.permit.accepted.v1", {"status_notes": agency.phrases.pick("complete", rng)})]
        case "decide" if int(name, 16) % 3 == 0:
            return [
                Post(
                    "subak.permit.decided.v1",
                    {"decision": "refused", "reason": agency.phrases.pick("permit_refused", rng)},
                )
            ]
        case "decide":
            return [
                Post(
                    "subak.permit.decided.v1",
                    {"decision": "granted", "reason": agency.phrases.pick("permit_granted", rng)},
                )
            ]
        case "issue":
            until = datetime.fromisoformat(str(event.data["decide_by"])) + timedelta(days=PERMIT_DAYS)
            return [Post("subak.permit.issued.v1", {"permit_id": f"IZIN-{name}", "valid_until": until.isoformat()})]
    return []
