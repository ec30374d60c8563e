"""A matter's way from the meeting to the payment, told from its timeline; and which proposals vanished. Pure.

The story leaves out what only the bus says to itself (timers, messages that ask, requests that were answered), and
nothing that an agency said or decided. All of it comes from entries that count, so it is as true as the log.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from datetime import datetime
from decimal import Decimal, InvalidOperation
from typing import Any

from bus.city import City
from services.casebook.answers import Amount, CaseAnswer, EntryAnswer
from services.casebook.summaries import LANGUAGES, name_of
from services.casebook.trace_answers import Stopped, TraceContract, TraceLine, TraceMoney, Vanished

LINES_MAX = 500
"""Lines of one story; a case with more is told by its timeline."""

_ASKED = "subak.proposal.decisionrequested.v1"
_CLOSED = "subak.proposal.closed.v1"
_ENDS = (_CLOSED, "subak.permit.closed.v1", "subak.request.closed.v1")
_WORKFLOWS = "workflows"
"""To whom one case says something for another."""
_SILENT = frozenset(
    {_ASKED, "subak.case.timerfired.v1", "subak.case.messagerefused.v1", "subak.permit.decisionrequested.v1"}
)
_CHAPTERS: Mapping[str, str] = {
    "subak.proposal.submitted.v1": "proposed",
    "subak.proposal.budgeted.v1": "budgeted",
    "subak.contracting.implementation.v1": "built",
    "subak.contracting.amendment.v1": "built",
    "subak.contracting.termination.v1": "built",
    "subak.budget.billed.v1": "paid",
    "subak.budget.paid.v1": "paid",
    "subak.asset.registered.v1": "ended",
    "subak.proposal.realised.v1": "ended",
    "subak.proposal.rejected.v1": "ended",
    "subak.proposal.dropped.v1": "ended",
    _CLOSED: "ended",
    "subak.permit.applied.v1": "applied",
    "subak.permit.decided.v1": "decided",
    "subak.permit.issued.v1": "decided",
    "subak.permit.suspended.v1": "held",
    "subak.permit.reinstated.v1": "held",
    "subak.permit.revoked.v1": "ended",
    "subak.permit.withdrawn.v1": "ended",
    "subak.permit.closed.v1": "ended",
}
_CHAPTER_OF_DOMAIN = {"contracting": "procured", "budget": "line", "proposal": "deliberated", "permit": "examined"}


def story(entries: Sequence[EntryAnswer]) -> list[TraceLine]:
    """What happened, in the order of the log, each with its chapter."""
    lines: list[TraceLine] = []
    chapter = "proposed"
    for entry in entries:
        if entry.type in _SILENT:
            continue
        domain = entry.type.split(".")[1] if entry.type.count(".") == 3 else ""
        chapter = _CHAPTERS.get(entry.type) or _CHAPTER_OF_DOMAIN.get(domain, chapter)
        lines.append(
            TraceLine(
                chapter=chapter,
                time=entry.time,
                agency=entry.agency,
                says=entry.summary,
                type=entry.type,
                event_id=entry.event_id,
                seq=entry.seq,
                refusal_id=entry.refusal_id,
            )
        )
    return lines[:LINES_MAX]


def stopped(case: CaseAnswer, entries: Sequence[EntryAnswer]) -> Stopped:
    """Where it rests or ended, whose word that was, and why."""
    counting = [entry for entry in entries if entry.refusal_id is None]
    end = _last(counting, _ENDS)
    if case.closed_at is not None:
        data = (end.data or {}) if end is not None else {}
        return Stopped(
            ended=True,
            step=_text(data, "step"),
            agency=_text(data, "decided_by_agency") or (_said_before(end, counting) if end is not None else None),
            since=case.closed_at,
            until=None,
            overdue=False,
            outcome=case.outcome,
            reason=_text(data, "reason"),
        )
    asked = _last(counting, (_ASKED, "subak.permit.decisionrequested.v1"))
    data = (asked.data or {}) if asked is not None else {}
    return Stopped(
        ended=False,
        step=_text(data, "step"),
        agency=case.holder,
        since=case.held_since,
        until=case.answer_by,
        overdue=case.overdue,
        outcome=None,
        reason=case.parked.error if case.parked is not None else _text(data, "reason"),
    )


def _said_before(end: EntryAnswer, entries: Sequence[EntryAnswer]) -> str | None:
    """The agency whose word led to the end; None where a deadline or another case did."""
    cause = next((entry for entry in entries if entry.event_id == end.causationid), None)
    return None if cause is None or cause.type in _SILENT or cause.recipient == _WORKFLOWS else cause.agency


def money(case: CaseAnswer, entries: Iterable[EntryAnswer]) -> TraceMoney:
    """The proposal's money, from the entries that count."""
    given: dict[str, Decimal] = {}
    paid: dict[str, Decimal] = {}
    suppliers: dict[str, str] = {}
    contracts: dict[str, dict[str, Any]] = {}
    for entry in entries:
        if entry.refusal_id is not None or entry.data is None:
            continue
        data, amount = entry.data, _money(entry.data, "amount")
        contract = contracts.get(_text(data, "contract_id") or "")
        match entry.type:
            case "subak.proposal.budgeted.v1" if amount is not None:
                given[amount[1]] = given.get(amount[1], Decimal(0)) + amount[0]
            case "subak.contracting.award.v1":
                suppliers[_text(data, "award_id") or ""] = _text(data, "supplier") or ""
            case "subak.contracting.contract.v1" if (value := _money(data, "value")) is not None:
                contracts[_text(data, "contract_id") or ""] = {
                    "ocid": _text(data, "ocid"),
                    "supplier": suppliers.get(_text(data, "award_id") or ""),
                    "value": value,
                    "billed": Decimal(0),
                    "paid": Decimal(0),
                    "terminated": False,
                }
            case "subak.contracting.amendment.v1" if contract is not None:
                contract["value"] = _money(data, "value") or contract["value"]
            case "subak.contracting.termination.v1" if contract is not None:
                contract["terminated"] = True
            case "subak.budget.billed.v1" if contract is not None and amount is not None:
                contract["billed"] += amount[0]
            case "subak.budget.paid.v1" if contract is not None and amount is not None:
                contract["paid"] += amount[0]
                paid[amount[1]] = paid.get(amount[1], Decimal(0)) + amount[0]
    return TraceMoney(
        estimate=case.estimate,
        given=_sum(given),
        contracts=[
            TraceContract(
                id=id,
                ocid=found["ocid"],
                supplier=found["supplier"],
                value=Amount(amount=f"{found['value'][0]:f}", currency=found["value"][1]),
                billed=f"{found['billed']:f}",
                paid=f"{found['paid']:f}",
                terminated=found["terminated"],
            )
            for id, found in contracts.items()
        ],
        paid=_sum(paid),
    )


# -- what vanished


def vanished(
    proposals: Sequence[CaseAnswer],
    reasons: Mapping[str, str | None],
    merged_into: Mapping[str, str],
    known: set[str],
    city: City,
) -> list[Vanished]:
    """Which of these proposals ended nowhere, or rest without a next step.

    Args:
        proposals: all of them, the oldest first.
        reasons: closed proposals → the reason that their end gives.
        merged_into: merged proposals → the case in which they were to go on.
        known: ids of all cases that there are, among those of `merged_into`.
        city: for names, and the times of its clock.
    """
    found: dict[str, str] = {}
    for case in proposals:
        if (why := _why(case, reasons)) is not None:
            found[case.id] = why
    for case in proposals:
        if case.outcome == "merged" and case.id not in found and (why := _merged(case.id, found, merged_into, known)):
            found[case.id] = why
    return [
        Vanished(case=case, why=found[case.id], says=_says(found[case.id], case, merged_into.get(case.id), city))
        for case in proposals
        if case.id in found
    ]


def _why(case: CaseAnswer, reasons: Mapping[str, str | None]) -> str | None:
    if case.closed_at is not None:
        return None if case.outcome is not None and reasons.get(case.id) else "no_reason"
    if case.parked is not None:
        return "parked"
    if case.holder is None or case.answer_by is None:
        return "nobody_asked"
    return "overdue" if case.overdue else None


def _merged(id: str, found: Mapping[str, str], merged_into: Mapping[str, str], known: set[str]) -> str | None:
    way = [id]
    while (into := merged_into.get(way[-1])) is not None:
        if into not in known or into in way:
            return "merged_into_nothing"
        if into in found:
            return "merged_into_vanished"
        way.append(into)
    return "merged_into_nothing" if len(way) == 1 else None


_SAYS = {
    "nobody_asked": ("Tidak ada yang diminta menjawab", "Nobody is asked for an answer"),
    "overdue": ("{holder} belum menjawab sampai {until}", "{holder} has not answered by {until}"),
    "parked": ("Keputusan gagal dan menunggu operator", "A decision failed and waits for an operator"),
    "no_reason": ("Berakhir tanpa alasan", "It ended without a reason"),
    "merged_into_nothing": ("Digabung dengan {into}, yang tidak ada", "Merged into {into}, which is nowhere"),
    "merged_into_vanished": ("Digabung dengan {into}, yang hilang", "Merged into {into}, which vanished itself"),
}


def _says(why: str, case: CaseAnswer, into: str | None, city: City) -> dict[str, str]:
    until = datetime.fromisoformat(case.answer_by).astimezone(city.zone) if case.answer_by else None
    words = {"until": f"{until:%Y-%m-%d %H:%M}" if until else "?", "into": into or "?"}
    return {
        language: text.format_map({**words, "holder": name_of(city, case.holder or "?", language)})
        for language, text in zip(LANGUAGES, _SAYS[why], strict=True)
    }


# -- reading a field


def _last(entries: Sequence[EntryAnswer], types: tuple[str, ...]) -> EntryAnswer | None:
    return next((entry for entry in reversed(entries) if entry.type in types), None)


def _text(data: Mapping[str, Any], name: str) -> str | None:
    found = data.get(name)
    return found if isinstance(found, str) else None


def _money(data: Mapping[str, Any], name: str) -> tuple[Decimal, str] | None:
    found = data.get(name)
    try:
        return (Decimal(found["amount"]), str(found["currency"])) if isinstance(found, dict) else None
    except (KeyError, TypeError, InvalidOperation):
        return None


def _sum(amounts: Mapping[str, Decimal]) -> Amount | None:
    """The sum in the one currency that there is; None where there is nothing, or several."""
    if len(amounts) != 1:
        return None
    ((currency, amount),) = amounts.items()
    return Amount(amount=f"{amount:f}", currency=currency)
