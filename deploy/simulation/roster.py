"""Which agencies are simulated, and what each is to the others: read from the city, so the code names none."""

from __future__ import annotations

from decimal import Decimal
from itertools import pairwise

from bus.city import City
from deploy.simulation.behaviour import Habits, SimulatedAgency
from deploy.simulation.musrenbang import executor_of, line_of
from deploy.simulation.phrasebook import Phrasebook


def roster(city: City, book: Phrasebook, habits: Habits | None = None) -> dict[str, SimulatedAgency]:
    """Every agency of the city but the operators, by id."""
    hands_on_to = {office: following for code in city.areas for office, following in pairwise(city.offices_of(code))}
    executor = executor_of(city)
    return {
        agency.id: SimulatedAgency(
            id=agency.id,
            is_citizens_channel=agency.id == city.citizens_channel,
            is_approver=agency.id == city.approver,
            ends_proposals=city.proposals is not None and agency.id == city.proposals.office,
            hands_on_to=hands_on_to.get(agency.id, ""),
            budget_line=line_of(city) if city.proposals is not None and agency.id == city.proposals.finance else "",
            executor=executor,
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
