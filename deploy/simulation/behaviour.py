"""What a simulated agency does when it hears of something: a pure, total function, decided by a seed.

An agency acts on what is addressed to it and on the role that the city gave it: it answers a forwarded request and a
work order, decides on an approval, inspects what it is asked to look at, and, where it is the citizens' channel,
speaks for the citizen. Anything else it only files.

Every loop that a decision could start is taken once at most (a send-back, a defect, a reopening), so every case comes
to its end; `tests/simulation` lets the real workflow and these agencies talk until it does.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from decimal import ROUND_HALF_UP, Decimal
from random import Random
from typing import Any, Final

from deploy.simulation.phrasebook import Phrasebook

FORWARDED: Final = "subak.request.forwarded.v1"
ACKNOWLEDGED: Final = "subak.request.acknowledged.v1"
ASSIGNED: Final = "subak.request.assigned.v1"
COMMENTED: Final = "subak.request.commented.v1"
REOPENED: Final = "subak.request.reopened.v1"
RESOLVED: Final = "subak.request.resolved.v1"
RATED: Final = "subak.request.rated.v1"
WITHDRAWN: Final = "subak.request.withdrawn.v1"
CLOSED: Final = "subak.request.closed.v1"
APPROVAL_REQUESTED: Final = "subak.approval.requested.v1"
GRANTED: Final = "subak.approval.granted.v1"
APPROVAL_REFUSED: Final = "subak.approval.refused.v1"
SENT_BACK: Final = "subak.approval.sentback.v1"
ISSUED: Final = "subak.workorder.issued.v1"
ACCEPTED: Final = "subak.workorder.accepted.v1"
DECLINED: Final = "subak.workorder.declined.v1"
STARTED: Final = "subak.workorder.started.v1"
SUSPENDED: Final = "subak.workorder.suspended.v1"
COMPLETED: Final = "subak.workorder.completed.v1"
INSPECTION_REQUESTED: Final = "subak.workorder.inspectionrequested.v1"
INSPECTED: Final = "subak.workorder.inspected.v1"
DEFECT_FOUND: Final = "subak.workorder.defectfound.v1"
CANCELLED: Final = "subak.workorder.cancelled.v1"

JOINED: Final = "subak.request.joined.v1"
ENDS_ALL: Final = frozenset({CLOSED, WITHDRAWN, CANCELLED, JOINED})
"""Hearing one of these, an agency drops what it still meant to say about the case."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Heard:
    """One event as an agency's system knows it: what the webhook brought."""

    id: str
    type: str
    source: str
    case: str
    time: str
    data: Mapping[str, Any]
    recipient: str | None = None
    jurisdiction: str | None = None
    parties: str | None = None
    causation: str | None = None
    sequence: str | None = None


@dataclass(frozen=True, slots=True)
class Post:
    """One event that an agency means to send: its adapter makes the envelope."""

    type: str
    data: Mapping[str, Any]
    case: str | None = None
    """Whose case it is about, where that is another one than the case that led to it."""


@dataclass(frozen=True, slots=True)
class Told:
    """One earlier entry of an agency's own file on a case: an event that it heard or means to send."""

    type: str
    data: Mapping[str, Any]


@dataclass(frozen=True, kw_only=True)
class SimulatedAgency:
    """One agency: who it is to the others, and its habits."""

    id: str
    is_citizens_channel: bool = False
    is_approver: bool = False
    ends_proposals: bool = False
    """Whether it is the city's office for proposals: the last that may say no."""
    hands_on_to: str = ""
    """The office of the next level, where it ranks proposals."""
    budget_line: str = ""
    """The case of the budget line that it keeps."""
    executor: str = ""
    """Who carries out what it sets money aside for."""
    currency: str = "USD"
    amount_scale: Decimal = Decimal(1000)
    """What a repair costs at the agency's own approval threshold, so that a part of the estimates passes it."""
    amount_step: Decimal = Decimal(10)
    """Amounts are rounded to this."""
    habits: Habits = field(default_factory=lambda: Habits())
    phrases: Phrasebook = field(default_factory=Phrasebook)


@dataclass(frozen=True, kw_only=True)
class Habits:
    """How often agencies and citizens choose the less common way. All are probabilities, 0 to 1."""

    no_estimate: float = 0.15
    refuse: float = 0.10
    send_back: float = 0.18
    decline: float = 0.07
    suspend: float = 0.06
    defect: float = 0.07
    reopen: float = 0.06
    withdraw: float = 0.02
    comment: float = 0.12


def random_for(seed: int, case: str, agency: str, event_type: str, nth: int) -> Random:
    """The source of one decision's chances: the same for the same seed, case, agency, type and repetition.

    Cases' ids come from the request's number and the run's seed (`requests.py`), so a seed reproduces a run's decisions
    whatever the order in which cases happen to proceed.
    """
    return Random(f"{seed}/{case}/{agency}/{event_type}/{nth}")  # noqa: S311 - a simulation's dice, no secret


def react(agency: SimulatedAgency, event: Heard, rng: Random, file: Sequence[Told] = ()) -> list[tuple[float, Post]]:
    """What `agency` sends because it heard `event`, each with the delay in seconds at the demo's normal speed.

    `file` is the agency's own file on the case before this event: what it heard and what it decided to send. The posts
    of one list go out in its order; the delays never decrease.
    """
    if event.type == FORWARDED and _addressed(agency, event):
        if any(told.type == ACKNOWLEDGED for told in file):
            return _acknowledge_lower(agency, rng, file)  # the approver sent the estimate back
        return _acknowledge(agency, event, rng)
    if event.type == APPROVAL_REQUESTED and _addressed(agency, event):
        return _decide(agency, event, rng, file)
    if event.type == ISSUED and _addressed(agency, event):
        return _work(agency, event, rng, file)
    if event.type == INSPECTION_REQUESTED and _addressed(agency, event):
        return _inspect(agency, rng, file)
    if agency.is_citizens_channel and event.type == ASSIGNED:
        return _think_again(agency, rng)
    if agency.is_citizens_channel and event.type == RESOLVED:
        return _rate(agency, rng, file)
    return []


def _addressed(agency: SimulatedAgency, event: Heard) -> bool:
    return event.recipient == agency.id


def _acknowledge(agency: SimulatedAgency, event: Heard, rng: Random) -> list[tuple[float, Post]]:
    data: dict[str, Any] = {"status_notes": agency.phrases.pick("acknowledged", rng)}
    if rng.random() >= agency.habits.no_estimate:
        # Some kinds of service cost more: a factor that the code alone decides, then the case's own luck.
        kind = Random(f"cost/{event.data.get('service_code', '')}").uniform(0.6, 1.6)  # noqa: S311
        data["estimate"] = _money(agency, agency.amount_scale * Decimal(kind * rng.lognormvariate(-0.7, 0.75)))
    return [(rng.uniform(0.5, 2.0), Post(ACKNOWLEDGED, data))]


def _acknowledge_lower(agency: SimulatedAgency, rng: Random, file: Sequence[Told]) -> list[tuple[float, Post]]:
    estimates = [told.data["estimate"] for told in file if told.type == ACKNOWLEDGED and "estimate" in told.data]
    data: dict[str, Any] = {"status_notes": agency.phrases.pick("lowered", rng)}
    if estimates:
        data["estimate"] = _money(agency, Decimal(estimates[-1]["amount"]) * Decimal(rng.uniform(0.5, 0.9)))
    return [(rng.uniform(0.5, 1.5), Post(ACKNOWLEDGED, data))]


def _decide(agency: SimulatedAgency, event: Heard, rng: Random, file: Sequence[Told]) -> list[tuple[float, Post]]:
    delay, chance = rng.uniform(0.8, 2.5), rng.random()
    who = agency.phrases.pick("officers", rng)
    if chance < agency.habits.refuse:
        return [(delay, Post(APPROVAL_REFUSED, {"reason": agency.phrases.pick("refused", rng), "decided_by": who}))]
    sent_back_before = any(told.type == SENT_BACK for told in file)
    if not sent_back_before and chance < agency.habits.refuse + agency.habits.send_back:
        return [(delay, Post(SENT_BACK, {"reason": agency.phrases.pick("sent_back", rng), "decided_by": who}))]
    return [(delay, Post(GRANTED, {"amount": event.data.get("amount"), "decided_by": who}))]


def _work(agency: SimulatedAgency, event: Heard, rng: Random, file: Sequence[Told]) -> list[tuple[float, Post]]:
    worked_before = any(told.type in (ACCEPTED, DECLINED) for told in file)
    now = rng.uniform(0.3, 1.0)
    if not worked_before and rng.random() < agency.habits.decline:
        return [(now, Post(DECLINED, {"reason": agency.phrases.pick("declined", rng)}))]
    posts = [(now, Post(ACCEPTED, {"status_notes": agency.phrases.pick("accepted", rng)}))]
    now += rng.uniform(0.4, 1.2)
    posts.append((now, Post(STARTED, {"status_notes": agency.phrases.pick("started", rng)})))
    if not worked_before and rng.random() < agency.habits.suspend:
        now += rng.uniform(0.2, 0.6)
        pause = {"reason": agency.phrases.pick("suspended", rng), "responsible": agency.id}
        posts.append((now, Post(SUSPENDED, pause)))
        now += rng.uniform(0.5, 1.5)
        posts.append((now, Post(STARTED, {"status_notes": agency.phrases.pick("started", rng)})))
    now += rng.uniform(0.8, 2.5)
    amount = event.data.get("amount")
    spent = Decimal(amount["amount"]) if amount else agency.amount_scale * Decimal("0.2")
    done = {
        "cost": _money(agency, spent * Decimal(rng.uniform(0.8, 1.1))),
        "status_notes": agency.phrases.pick("completed", rng),
    }
    posts.append((now, Post(COMPLETED, done)))
    return posts


def _inspect(agency: SimulatedAgency, rng: Random, file: Sequence[Told]) -> list[tuple[float, Post]]:
    delay = rng.uniform(0.5, 1.8)
    inspected_before = any(told.type in (INSPECTED, DEFECT_FOUND) for told in file)
    if not inspected_before and rng.random() < agency.habits.defect:
        return [(delay, Post(DEFECT_FOUND, {"description": agency.phrases.pick("defect", rng)}))]
    passed = {
        "status_notes": agency.phrases.pick("inspected", rng),
        "inspector": agency.phrases.pick("officers", rng),
    }
    return [(delay, Post(INSPECTED, passed))]


def _think_again(agency: SimulatedAgency, rng: Random) -> list[tuple[float, Post]]:
    chance, delay = rng.random(), rng.uniform(0.2, 0.6)
    if chance < agency.habits.withdraw:
        return [(delay, Post(WITHDRAWN, {"reason": agency.phrases.pick("withdrawn", rng)}))]
    if chance < agency.habits.withdraw + agency.habits.comment:
        return [(delay, Post(COMMENTED, {"text": agency.phrases.pick("commented", rng)}))]
    return []


def _rate(agency: SimulatedAgency, rng: Random, file: Sequence[Told]) -> list[tuple[float, Post]]:
    delay = rng.uniform(0.5, 2.0)
    if rng.random() < agency.habits.reopen and not any(told.type == REOPENED for told in file):
        return [(delay, Post(REOPENED, {"reason": agency.phrases.pick("reopened", rng)}))]
    rating: dict[str, Any] = {"score": rng.choices((1, 2, 3, 4, 5), (2, 4, 14, 40, 40))[0]}
    if rng.random() < 0.4:
        rating["comment"] = agency.phrases.pick("rated", rng)
    return [(delay, Post(RATED, rating))]


def _money(agency: SimulatedAgency, amount: Decimal) -> dict[str, str]:
    steps = max(Decimal(1), (amount / agency.amount_step).quantize(Decimal(1), ROUND_HALF_UP))
    return {"amount": f"{steps * agency.amount_step:f}", "currency": agency.currency}
