"""From rows to answers: names from the city's directory, money and times as the API says them. Pure."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from datetime import datetime
from typing import Any

import msgspec
from sqlalchemy import Row

from bus.city import City
from services.casebook.answers import (
    ActAnswer,
    AgencyCount,
    Amount,
    CaseAnswer,
    Delay,
    EntryAnswer,
    Original,
    Parking,
    RejectionAnswer,
    RejectionReason,
    RejectionWhole,
    StateCount,
    Summary,
)
from services.casebook.case import Case
from services.casebook.entry import Entry
from services.casebook.hindsight import Share, shares
from services.casebook.parkings import Held
from services.casebook.questions import Found
from services.casebook.states import STATES
from services.casebook.summaries import summary_of


class Shaper:
    """Makes answers, with one city's names."""

    def __init__(self, city: City) -> None:
        self._city = city

    def case(
        self, row: Row[Any] | Case, now: str, held: Held | None = None, delays: Sequence[Share] = ()
    ) -> CaseAnswer:
        """A row of `cases`, or a case as it was. `now`: for `overdue`."""
        service = self._city.services.get(row.service_code)
        area = self._city.areas.get(row.area)
        deadlines = [moment for moment in (row.due_at, row.answer_by) if moment is not None]
        passed = [moment for moment in deadlines if moment < now] if row.closed_at is None else []
        return CaseAnswer(
            id=row.id,
            workflow=row.workflow,
            kind=row.kind,
            title=row.title,
            service_code=row.service_code,
            service_name=service.service_name if service is not None else {},
            area=row.area,
            area_name=area.name if area is not None else None,
            state=row.state,
            outcome=row.outcome,
            opened_by=row.opened_by,
            holder=row.holder,
            held_since=row.held_since,
            agency=row.agency,
            parties=row.parties.split(",") if row.parties else [],
            opened_at=row.opened_at,
            updated_at=row.updated_at,
            closed_at=row.closed_at,
            due_at=row.due_at,
            answer_by=row.answer_by,
            overdue=bool(passed),
            overdue_days=self._working_days(min(passed), now) if passed else None,
            delays=[
                Delay(agency=one.agency, working_hours=round(one.working_ms / 3_600_000, 2), share=round(one.share, 3))
                for one in delays
            ],
            estimate=_amount(row.estimate_amount, row.estimate_currency),
            cost=_amount(row.cost_amount, row.cost_currency),
            escalation_step=row.escalation_step,
            parked=_parking(row, held),
            events=row.events,
        )

    def entry(self, row: Row[Any]) -> EntryAnswer:
        """A row of `timeline`."""
        data = msgspec.json.decode(row.data) if row.data is not None else None
        summary = summary_of(row.type, data or {}, sender=row.agency, recipient=row.recipient, city=self._city)
        return EntryAnswer(
            case_id=row.case_id,
            seq=row.seq,
            event_id=row.event_id,
            type=row.type,
            source=row.source,
            agency=row.agency,
            time=row.time,
            recordedtime=row.recordedtime,
            logged_at=row.logged_at,
            correlationid=row.correlationid,
            causationid=row.causationid,
            recipient=row.recipient,
            jurisdiction=row.jurisdiction,
            parties=row.parties.split(",") if row.parties else [],
            workflowversion=row.workflowversion,
            summary=summary,
            data=data,
            withheld=row.withheld,
            refusal_id=row.refusal_id,
            partition=row.log_partition,
            offset=row.log_offset,
        )

    def rejection(self, row: Row[Any], act: Row[Any] | None) -> RejectionAnswer:
        """A row of `rejected`, without the record, and what was done about it."""
        return RejectionAnswer(**_rejection(row, act))

    def rejection_whole(self, row: Row[Any], act: Row[Any] | None) -> RejectionWhole:
        """A row of `rejected`, with the record as far as it may be shown."""
        original = None
        if row.headers is not None:
            original = Original(
                headers=msgspec.json.decode(row.headers),
                data=msgspec.json.decode(row.data) if row.data is not None else None,
                withheld=row.withheld,
                size_bytes=row.size_bytes,
            )
        return RejectionWhole(**_rejection(row, act), original=original)

    def summary(self, counts: Found, parked: int, rejected: int, now: str) -> Summary:
        """Counts by (agency, state, closed) as one answer."""
        states: dict[str, list[int]] = {}
        agencies: dict[str, dict[str, Any]] = {}
        total = closed_total = overdue_total = 0
        for row in counts:
            agency, state, closed, cases, overdue = row.agency, row.state, row.closed, row.cases, int(row.overdue)
            of_state = states.setdefault(state, [0, 0])
            of_state[0] += cases
            of_state[1] += overdue
            of_agency = agencies.setdefault(agency, {"open": 0, "closed": 0, "overdue": 0, "states": {}})
            of_agency["closed" if closed else "open"] += cases
            of_agency["overdue"] += overdue
            of_agency["states"][state] = of_agency["states"].get(state, 0) + cases
            total, closed_total, overdue_total = total + cases, closed_total + closed * cases, overdue_total + overdue
        return Summary(
            at=now,
            cases=total,
            open=total - closed_total,
            closed=closed_total,
            overdue=overdue_total,
            parked=parked,
            rejected=rejected,
            by_state=[
                StateCount(state=state, cases=found[0], overdue=found[1])
                for state in STATES
                if (found := states.get(state)) is not None
            ],
            by_agency=[
                AgencyCount(agency=agency, name=self._names(agency), **found)
                for agency, found in sorted(agencies.items(), key=lambda item: (-item[1]["open"], item[0]))
            ],
        )

    def shares(self, entries: Sequence[Entry], until: str) -> list[Share]:
        """Each party's working time in a case."""
        return shares(entries, self._city.calendar, until)

    def _working_days(self, since: str, until: str) -> int:
        begin, end = (int(datetime.fromisoformat(text).timestamp() * 1000) for text in (since, until))
        return self._city.calendar.working_days(begin, end)

    def areas_in(self, area: str) -> list[str]:
        """The area and all that lie in it; empty where the city does not have it."""
        city = self._city
        return [code for code in city.areas if city.within(code, area)] if area in city.areas else []

    def agencies(self, ids: Iterable[str | None]) -> dict[str, dict[str, str]]:
        """The names of these agencies, of those that the city has."""
        return {id: self._names(id) for id in sorted({id for id in ids if id}) if id in self._city.agencies}

    def _names(self, agency: str) -> dict[str, str]:
        found = self._city.agencies.get(agency)
        return found.name if found is not None else {}


def _amount(amount: str | None, currency: str | None) -> Amount | None:
    return Amount(amount=amount, currency=currency) if amount is not None and currency is not None else None


def _parking(row: Row[Any] | Case, held: Held | None) -> Parking | None:
    if row.parked_at is None:
        return None
    return Parking(
        at=row.parked_at,
        event_id=row.parked_event_id,
        event_type=row.parked_event_type,
        error=row.parked_error,
        waiting=held.waiting if held is not None else None,
        workflow=held.workflow if held is not None else None,
    )


def act_of(row: Row[Any], refusal_id: str | None = None, ran_seq: int | None = None) -> ActAnswer:
    """A row of `acts`, and what came of it as far as that was asked for."""
    fields = {name: getattr(row, name) for name in ActAnswer.model_fields if name not in ("refusal_id", "ran_seq")}
    return ActAnswer(**fields, refusal_id=refusal_id, ran_seq=ran_seq)


def _rejection(row: Row[Any], act: Row[Any] | None) -> dict[str, Any]:
    fields = {name: getattr(row, name) for name in RejectionAnswer.model_fields if name not in ("reasons", "act")}
    done = act_of(act) if act is not None else None
    return {**fields, "act": done, "reasons": [_reason(found) for found in msgspec.json.decode(row.reasons)]}


def _reason(found: Any) -> RejectionReason:
    """Tolerant: a reason of another form is shown as it is."""
    if not isinstance(found, dict):
        return RejectionReason(code="unknown", field="", problem=str(found), fix="")
    return RejectionReason(**{name: str(found.get(name) or "") for name in RejectionReason.model_fields})
