"""Which agencies are simulated, and what each is to the others: read from the city, so the code names none."""

from __future__ import annotations

from collections import defaultdict
from decimal import Decimal

from bus.city import City
from deploy.simulation.behaviour import Habits, SimulatedAgency
from deploy.simulation.phrasebook import Phrasebook


def roster(city: City, book: Phrasebook, habits: Habits | None = None) -> dict[str, SimulatedAgency]:
    """Every agency of the city but the operators, by id."""
    inspects: defaultdict[str, set[str]] = defaultdict(set)
    for code in city.areas:
        inspects[city.inspector_of(code)].add(code)
    return {
        agency.id: SimulatedAgency(
            id=agency.id,
            is_citizens_channel=agency.id == city.citizens_channel,
            is_approver=agency.id == city.approver,
            inspects=frozenset(inspects[agency.id]),
            currency=agency.approval_threshold.currency if agency.approval_threshold else city.currency,
            amount_scale=Decimal(agency.approval_threshold.amount)
            if agency.approval_threshold
            else book.typical_amount,
            amount_step=book.amount_step,
            habits=habits or Habits(),
            phrases=book,
        )
        for agency in city.agencies.values()
        if agency.kind != "operations"
    }
