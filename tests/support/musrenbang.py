"""A musrenbang in small: one proposal and one budget line of Denpasar, each step one call, over several partitions."""

from __future__ import annotations

from bus.city import load_city
from bus.city.load import city_path
from schemas.identifiers import derived_id
from schemas.registry import EventData
from schemas.types.assets import AssetRegistered
from schemas.types.budgets import BudgetAllocated, BudgetAppropriated, BudgetBilled, BudgetCeilingSet, BudgetPaid
from schemas.types.contracting import (
    ContractingAward,
    ContractingContract,
    ContractingImplementation,
    ContractingTender,
    Milestone,
)
from schemas.types.proposals import ProposalEndorsed, ProposalForwarded, ProposalRanked, ProposalSubmitted
from schemas.values import NonNegativeMoney
from tests.support.logbook import Logbook
from tests.support.partitions import Partitions

CITY = load_city(city_path("denpasar"))
AREA = "51.71.01.1005"
WARD, DISTRICT, PLANNING = CITY.offices_of(AREA)
FINANCE, WORKS = "finance", "public-works"
OCID = "ocds-213czf-PBJ-2027-0017"
PROPOSAL, LINE, OTHER_LINE = (derived_id("musrenbang", name) for name in ("proposal", "line", "other line"))


def idr(amount: int | str) -> NonNegativeMoney:
    """So many rupiah."""
    return NonNegativeMoney(amount=str(amount), currency="IDR")


class Musrenbang(Partitions):
    """The straight way, one method a stretch of it."""

    def __init__(self) -> None:
        super().__init__(CITY)

    def told(self, agency: str, data: EventData, subject: str = PROPOSAL) -> None:
        """An agency says something, and all that follows is taken."""
        self.say(agency, data, subject)
        self.settle()

    def submitted(self, subject: str = PROPOSAL) -> Musrenbang:
        """The meeting's proposal."""
        data = ProposalSubmitted(title="Saluran air Gang Melati", service_code="drain", area=AREA, estimate=idr(180))
        self.told(WARD, data, subject)
        return self

    def prioritised(self, subject: str = PROPOSAL) -> Musrenbang:
        """Up all levels, to where it waits for money."""
        self.submitted(subject).told(WARD, ProposalEndorsed(attendance=64), subject)
        self.told(WARD, ProposalRanked(rank=1), subject)
        for office, above in ((WARD, DISTRICT), (DISTRICT, PLANNING)):
            self.told(office, ProposalForwarded(agency=above), subject)
            self.told(above, ProposalRanked(rank=3, of=41), subject)
        return self

    def line(self, subject: str = LINE, ceiling: int = 1000, appropriation: int = 800) -> Musrenbang:
        """A budget line with money."""
        data = BudgetCeilingSet(
            budget_line="1.03.02.2.01",
            name="Drainase",
            fiscal_year=2027,
            amount=idr(ceiling),
            agency=WORKS,
            area="51.71",
        )
        self.told(FINANCE, data, subject)
        self.told(FINANCE, BudgetAppropriated(amount=idr(appropriation)), subject)
        return self

    def budgeted(self, amount: int = 200, subject: str = PROPOSAL) -> Musrenbang:
        """Money is set aside."""
        self.line().prioritised(subject)
        data = BudgetAllocated(proposal=subject, amount=idr(amount), agency=WORKS, allocation_id="A-1")
        self.told(FINANCE, data, LINE)
        return self

    def contracted(self, value: int = 150) -> Musrenbang:
        """A contract is signed."""
        self.budgeted().told(WORKS, ContractingTender(ocid=OCID, procurement_method="open"))
        self.told(WORKS, ContractingAward(ocid=OCID, award_id="W-1", supplier="CV Dwi", value=idr(value)))
        self.told(WORKS, ContractingContract(ocid=OCID, contract_id="C-1", award_id="W-1", value=idr(value)))
        return self

    def built(self) -> Musrenbang:
        """All milestones are met."""
        self.contracted()
        done = Milestone(id="100", title="Serah terima", status="met")
        self.told(WORKS, ContractingImplementation(ocid=OCID, contract_id="C-1", milestones=(done,)))
        return self

    def bill(self, amount: int, invoice: str = "I-1") -> Musrenbang:
        """A bill under the contract."""
        self.told(WORKS, BudgetBilled(contract_id="C-1", invoice_id=invoice, amount=idr(amount)))
        return self

    def pay(self, amount: int | str, payment: str = "P-1", contract: str = "C-1") -> Musrenbang:
        """A payment under the contract."""
        self.told(FINANCE, BudgetPaid(contract_id=contract, payment_id=payment, amount=idr(amount)))
        return self

    def realised(self) -> Musrenbang:
        """The whole way."""
        self.built().bill(150).pay(150)
        self.told(FINANCE, AssetRegistered(asset_id="KIB-42", name="Saluran Gang Melati"))
        return self

    def why(self) -> tuple[str, str, str]:
        """Code, problem and fix of the last refusal."""
        reason = self.refusals()[-1].reasons[0]
        return reason.code, reason.problem, reason.fix


def in_logbook(log: Logbook, name: str, *, steps: int = 99, line: str = "line", amount: int = 200) -> None:
    """The same straight way in a log that a casebook reads: up to `steps` events of the proposal `name`."""
    id = log.case_id(name)
    ocid, contract = f"{OCID}-{name}", f"SPK-{name}"
    done = Milestone(id="100", title="Serah terima", status="met")
    submitted = ProposalSubmitted(title=f"Saluran air {name}", service_code="drain", area=AREA, estimate=idr(180))
    said: list[tuple[str, EventData, str]] = [
        (WARD, submitted, name),
        (WARD, ProposalEndorsed(attendance=64), name),
        (WARD, ProposalRanked(rank=1), name),
        (WARD, ProposalForwarded(agency=DISTRICT), name),
        (DISTRICT, ProposalRanked(rank=3, of=41), name),
        (DISTRICT, ProposalForwarded(agency=PLANNING), name),
        (PLANNING, ProposalRanked(rank=17), name),
        (FINANCE, BudgetAllocated(proposal=id, amount=idr(amount), agency=WORKS, allocation_id=f"A-{name}"), line),
        (WORKS, ContractingTender(ocid=ocid, procurement_method="open"), name),
        (WORKS, ContractingAward(ocid=ocid, award_id="W-1", supplier="CV Dwi", value=idr(150)), name),
        (WORKS, ContractingContract(ocid=ocid, contract_id=contract, award_id="W-1", value=idr(150)), name),
        (WORKS, ContractingImplementation(ocid=ocid, contract_id=contract, milestones=(done,)), name),
        (WORKS, BudgetBilled(contract_id=contract, invoice_id=f"INV-{name}", amount=idr(150)), name),
        (FINANCE, BudgetPaid(contract_id=contract, payment_id=f"SP2D-{name}", amount=idr(150)), name),
        (FINANCE, AssetRegistered(asset_id=f"KIB-{name}", name="Saluran"), name),
    ]
    for agency, data, case in said[:steps]:
        log.say(agency, data, case=case)


def line_in_logbook(log: Logbook, name: str = "line") -> None:
    """A budget line with money, in such a log."""
    ceiling = BudgetCeilingSet(
        budget_line="1.03.02", name="Drainase", fiscal_year=2027, amount=idr(1000), agency=WORKS, area="51.71"
    )
    log.say(FINANCE, ceiling, case=name)
    log.say(FINANCE, BudgetAppropriated(amount=idr(800)), case=name)
