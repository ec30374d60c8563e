"""The repair workflow: its states, what is remembered of a case, and who is waited for. Pure.

    submitted → forwarded → acknowledged [→ awaiting approval] → ordered → accepted → in progress → awaiting inspection
    → resolved → closed

A request that tells of the same matter as another goes on there, and is `following` it until that one ends.
"""

from __future__ import annotations

from decimal import Decimal

import msgspec

from schemas.types.approvals import ApprovalGranted
from schemas.types.requests import RequestAcknowledged, RequestSubmitted
from schemas.types.workorders import WorkOrderAccepted, WorkOrderInspected
from schemas.values import Money, Point
from services.workflows.asking import of_each_area, of_each_joint_work, of_each_service, of_the_city
from services.workflows.definition import CaseState, Workflow

FORWARDED = "forwarded"
AWAITING_APPROVAL = "awaiting_approval"
ORDERED = "ordered"
ACCEPTED = "accepted"
IN_PROGRESS = "in_progress"
SUSPENDED = "suspended"
AWAITING_INSPECTION = "awaiting_inspection"
RESOLVED = "resolved"
FOLLOWING = "following"
JOINT_WORK = "joint_work"

PART_DONE = "done"
"""What a part of joint work is in the end; before, it is in one of the states of an order."""

BEFORE_WORK = (FORWARDED, AWAITING_APPROVAL)
UNDER_ORDER = (ORDERED, ACCEPTED, IN_PROGRESS, SUSPENDED, AWAITING_INSPECTION)
OPEN = (*BEFORE_WORK, *UNDER_ORDER, JOINT_WORK, RESOLVED)

change = msgspec.structs.replace


class Amount(msgspec.Struct, frozen=True, array_like=True, gc=False):
    """An amount of money as it is remembered: `["1250000", "IDR"]`."""

    amount: str
    currency: str

    @classmethod
    def of(cls, money: Money | None) -> Amount | None:
        """As it came in an event."""
        return cls(money.amount, money.currency) if money is not None else None

    @property
    def money(self) -> Money:
        """As it travels in events."""
        return Money(amount=self.amount, currency=self.currency)

    def exceeds(self, limit: Amount) -> bool:
        """Whether it is more than `limit`, or in a currency that the limit says nothing of."""
        return self.currency != limit.currency or Decimal(self.amount) > Decimal(limit.amount)

    def with_(self, other: Amount | None) -> Amount:
        """Both together; where the other is in another currency, this one."""
        if other is None or other.currency != self.currency:
            return self
        return Amount(str(Decimal(self.amount) + Decimal(other.amount)), self.currency)


class Part(msgspec.Struct, frozen=True, array_like=True, gc=False):
    """One agency's share in joint work."""

    agency: str
    step: int
    """Which step of the catalogue's, from 0."""
    state: str


class RepairCase(CaseState, frozen=True, kw_only=True, omit_defaults=True, gc=False):
    """What is remembered of a repair."""

    service_code: str
    area: str
    holder: str
    """The agency that answers for the case now."""
    asked: tuple[str, ...] = ()
    """All agencies that were asked to take the request on, the newest last: any of them may still acknowledge it."""
    executor: str = ""
    """The agency under order, where one is."""
    approvers: tuple[str, ...] = ()
    inspectors: tuple[str, ...] = ()
    orders: int = 0
    forwards: int = 0
    """How often agencies have passed the request on."""
    declined: tuple[str, ...] = ()
    escalations: int = 0
    estimate: Amount | None = None
    cost: Amount | None = None
    description: str | None = None
    location: tuple[float, float] | None = None
    address_string: str | None = None
    media_url: str | None = None
    merging: str = ""
    """The case that was asked to take this one up, and has not answered."""
    merged_by: str = ""
    """Who asked for that, where a person did."""
    alike: tuple[str, ...] = ()
    """Further cases that may be about the same matter, to be asked where that one refuses."""
    apart: tuple[str, ...] = ()
    """Cases with which it must not be merged by itself: a person has said that it is another matter."""
    into: str = ""
    """While it is following: the case in which it goes on."""
    parts: tuple[Part, ...] = ()
    """Of joint work, in the order in which they were ordered."""
    followers: tuple[str, ...] = ()
    """The cases that go on in this one."""

    @property
    def parties(self) -> tuple[str, ...]:
        """The agencies that take part: who holds it, and who works on it."""
        if self.parts:
            return tuple(dict.fromkeys((self.holder, *(part.agency for part in self.parts))))
        return (self.holder, self.executor) if self.executor and self.executor != self.holder else (self.holder,)

    @property
    def workers(self) -> tuple[str, ...]:
        """The agencies that did the work, or a part of it: none of them judges it."""
        return (self.executor, *(part.agency for part in self.parts))

    @property
    def point(self) -> Point | None:
        """The place as it travels in events."""
        return Point(type="Point", coordinates=self.location) if self.location is not None else None


repair = Workflow("repair", version=2, case=RepairCase, opened_by=RequestSubmitted, begins_in=[FORWARDED])

repair.role("holder", answers=[RequestAcknowledged], found=of_each_service)
repair.role("executor", answers=[WorkOrderAccepted], found=of_each_service)
repair.role("co-worker", answers=[WorkOrderAccepted], found=of_each_joint_work)
repair.role("approver", answers=[ApprovalGranted], found=of_the_city(lambda city: city.approver))
repair.role("inspector", answers=[WorkOrderInspected], found=of_each_area(lambda city, area: city.inspector_of(area)))


@repair.migrates("repair@1", case=RepairCase, states={state: state for state in OPEN})
def from_the_first(case: RepairCase) -> RepairCase:
    """The first version knew no merging: its cases go on where they stand."""
    return change(case, workflow=repair.id)
