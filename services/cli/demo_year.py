"""At the end of a demo: a city's year in small, played on a clock of its own by the workflows as they run on the bus.

A demo lasts minutes, and a budget's year does not fit into it. So this part plays in memory, as a workflow's tests do
(`services/workflows/world.py`): the same workflows, the city's own calendar, catalogue and levels, and timers that fire
when they are due. The agencies follow a script, and nothing of it goes over Kafka; it says so.
"""

from __future__ import annotations

from collections.abc import Iterator
from datetime import UTC, date, datetime, time, timedelta

from rich.console import Console

from bus.city import City
from bus.city.calendar import WorkingTime
from schemas.envelope import Event
from schemas.failures import SubakError
from schemas.identifiers import derived_id
from schemas.registry import EventData
from schemas.types.assets import AssetRegistered
from schemas.types.budgets import BudgetAllocated, BudgetAppropriated, BudgetBilled, BudgetCeilingSet, BudgetPaid
from schemas.types.cases import CaseEscalated
from schemas.types.contracting import (
    ContractingAward,
    ContractingContract,
    ContractingImplementation,
    ContractingTender,
    Milestone,
)
from schemas.types.permits import OpinionGiven, PermitAccepted, PermitApplied, PermitDecided, PermitIssued
from schemas.types.proposals import (
    ProposalEndorsed,
    ProposalForwarded,
    ProposalRanked,
    ProposalSubmitted,
)
from schemas.types.requests import RequestSubmitted
from schemas.values import NonNegativeMoney
from services.workflows.catalogue import WORKFLOWS
from services.workflows.world import World

AMOUNT = "150000000"
OCID, CONTRACT = "ocds-subak1-year", "C-1"


def tell_year(console: Console, city: City, year: int) -> None:
    """Print the year; nothing in a city that takes no proposals."""
    if city.proposals is None:
        return
    console.print(f"\n[bold]The year {year} in small[/], in memory: the bus's workflows, its calendar, a script.")
    try:
        for at, what in Year(city, year).played():
            console.print(f"  {at.astimezone(city.zone):%d %b}  {what}", highlight=False)
    except SubakError as error:
        console.print(f"[yellow]The year cannot be played in this city:[/] {error}")


class Year:
    """One year of one city: a proposal with its money and works, a permit, and a week of holidays."""

    def __init__(self, city: City, year: int) -> None:
        self.city = city
        self.world = World(city, list(WORKFLOWS.values()))
        self.year = year
        self.area = max(sorted(city.areas), key=lambda code: len(city.offices_of(code)))
        """Where all levels have an office of their own."""
        self._told = 0

    def played(self) -> Iterator[tuple[datetime, str]]:
        """What happens, in order: when, and what."""
        said = sorted([*self._round(), *self._permit(), *self._silence()], key=lambda one: one[0])
        for at, name, agency, data in said:
            yield from self._escalated(at)
            id = derived_id("a year in small", name)
            event = Event.of(data, source=self.city.source_of(agency), subject=id, time=at.isoformat())
            reasons = self.world.take(event, data, int(at.timestamp() * 1000))
            why = f": refused, {reasons[0].problem}" if reasons else ""
            case = self.world.cases.get(id)
            state = f", now {case.state.replace('_', ' ')}" if case is not None and not reasons else ""
            what = data.registered.name.removeprefix("subak.").removesuffix(".v1")
            yield at, f"{name}: {agency} says {what}{state}{why}"
        yield from self._escalated(datetime(self.year + 1, 1, 1, tzinfo=self.city.zone))

    def _escalated(self, until: datetime) -> Iterator[tuple[datetime, str]]:
        """Time passes; of the requests nobody answers, the first escalation of each is told."""
        self.world.run_to(int(until.timestamp() * 1000))
        for said in self.world.said[self._told :]:
            for name in ("a request in an ordinary week", "a request before the holidays"):
                mine = said.case == derived_id("a year in small", name)
                if mine and isinstance(said.data, CaseEscalated) and said.data.step == 1:
                    at = datetime.fromtimestamp(said.at_ms / 1000, UTC)
                    over = self._holidays(self.world.cases[said.case].opened_ms, at)
                    yield at, f"{name}: {said.data.to_agency} hears that nobody has acknowledged it{over}"
        self._told = len(self.world.said)

    def _holidays(self, since_ms: int, until: datetime) -> str:
        """The holidays in between, in words."""
        first = datetime.fromtimestamp(since_ms / 1000, self.city.zone).date()
        days = [first + timedelta(days=number) for number in range((until.date() - first).days + 1)]
        names = [f"{day:%d %b} {name}" for day in days if (name := self.city.calendar.holiday(day))]
        return f" (over {', '.join(names)})" if names else ""

    def _at(self, month: int, day: int, hour: int = 9) -> datetime:
        return datetime.combine(date(self.year, month, day), time(hour), self.city.zone)

    def _round(self) -> Iterator[tuple[datetime, str, str, EventData]]:
        """A musrenbang's proposal, up all levels, with its budget and its works."""
        proposals = self.city.proposals
        assert proposals is not None
        offices, name, line = self.city.offices_of(self.area), "a drain", "the budget line"
        works = self.city.candidates("drain", self.area)[0]
        money = NonNegativeMoney(amount=AMOUNT, currency="IDR")
        ceiling = BudgetCeilingSet(
            budget_line="1", name="Drains", fiscal_year=self.year, amount=money, agency=works, area=self.city.area
        )
        yield self._at(1, 5), line, proposals.finance, ceiling
        yield self._at(1, 6), line, proposals.finance, BudgetAppropriated(amount=money)
        yield (
            self._at(1, 12),
            name,
            offices[0],
            ProposalSubmitted(title="A drain", service_code="drain", area=self.area, estimate=money),
        )
        yield self._at(1, 14), name, offices[0], ProposalEndorsed(attendance=64)
        for level, office in enumerate(offices):
            if level:
                yield self._at(1 + level, 9), name, offices[level - 1], ProposalForwarded(agency=office)
            yield self._at(1 + level, 16), name, office, ProposalRanked(rank=3)
        id = derived_id("a year in small", name)
        allocated = BudgetAllocated(proposal=id, amount=money, agency=works, allocation_id="A-1")
        yield self._at(4, 6), line, proposals.finance, allocated
        yield self._at(4, 13), name, works, ContractingTender(ocid=OCID, procurement_method="open")
        award = ContractingAward(ocid=OCID, award_id="W-1", supplier="CV Dwi", value=money)
        yield self._at(5, 11), name, works, award
        contract = ContractingContract(ocid=OCID, contract_id=CONTRACT, award_id="W-1", value=money)
        yield self._at(5, 18), name, works, contract
        met = Milestone(id="100", title="Handed over", status="met")
        yield (
            self._at(9, 14),
            name,
            works,
            ContractingImplementation(ocid=OCID, contract_id=CONTRACT, milestones=(met,)),
        )
        yield self._at(9, 21), name, works, BudgetBilled(contract_id=CONTRACT, invoice_id="I-1", amount=money)
        yield (
            self._at(10, 5),
            name,
            proposals.finance,
            BudgetPaid(contract_id=CONTRACT, payment_id="P-1", amount=money),
        )
        yield self._at(10, 12), name, proposals.finance, AssetRegistered(asset_id="KIB-1", name="The drain")

    def _permit(self) -> Iterator[tuple[datetime, str, str, EventData]]:
        """A permit, with all who are to be heard."""
        for code, kind in list(self.city.permits.items())[:1]:
            applied = PermitApplied(service_code=code, area=self.area, title="A house")
            yield self._at(6, 8), "a permit", self.city.citizens_channel, applied
            yield self._at(6, 9), "a permit", kind.office, PermitAccepted()
            for agency in kind.consulted:
                if agency != kind.office:
                    yield self._at(6, 11), "a permit", agency, OpinionGiven(opinion="favourable", reason="It fits.")
            yield self._at(6, 15), "a permit", kind.office, PermitDecided(decision="granted", reason="All is there.")
            until = self._at(6, 16) + timedelta(days=365)
            yield self._at(6, 16), "a permit", kind.office, PermitIssued(permit_id="P-1", valid_until=until)

    def _silence(self) -> Iterator[tuple[datetime, str, str, EventData]]:
        """Two requests that nobody answers: one in an ordinary week, one on the last day before a week of holidays."""
        calendar, services = self.city.calendar, self.city.services
        code = next((c for c, one in services.items() if isinstance(one.acknowledge_within, WorkingTime)), None)
        days = [date(self.year, 1, 1) + timedelta(days=number) for number in range(7, 350)]
        free = {day: sum(calendar.holiday(day + timedelta(days=n)) is not None for n in range(1, 8)) for day in days}
        working = [day for day in days if calendar.is_working(day)]
        if code is None or not working:
            return
        report = RequestSubmitted(service_code=code, area=self.area)
        weeks = {
            "a request in an ordinary week": min(working, key=lambda day: (free[day], day.weekday())),
            "a request before the holidays": max(
                working, key=lambda day: (free[day], not calendar.is_working(day + timedelta(days=1)))
            ),
        }
        for name, day in weeks.items():
            yield datetime.combine(day, time(9), self.city.zone), name, self.city.citizens_channel, report
