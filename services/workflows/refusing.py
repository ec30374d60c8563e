"""Who hears that a case cannot take an event: an agency by its rejected event, another case by a message. Pure."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime

from bus.city import City
from bus.records import Output, Record
from bus.rejections import rejection
from schemas.envelope import Event
from schemas.failures import Reason, Refused
from services.workflows.batch import Batch
from services.workflows.definition import CaseState
from services.workflows.messages import answer_to


class Refusing:
    """One partition's refusals."""

    def __init__(self, city: City, number: int) -> None:
        self._city = city
        self._number = number
        self._source = city.source_of("workflows")
        self._own_sources = frozenset({self._source, city.source_of("places")})

    def refuse(self, event: Event, record: Record, refused: Refused, batch: Batch) -> None:
        """Tell the sender of an event, whoever it is."""
        if event.source not in self._own_sources:
            batch.count("rejected")
            batch.outputs += self.reject(record, refused.reasons, batch.now)
            return
        answer = answer_to(event, refused) if event.source == self._source else None
        if answer is None:
            batch.count("stale")  # a timer, or what was found of its place, for a case which has ended meanwhile
            return
        batch.count("message_refused")
        told = CaseState(
            id=event.subject,
            workflow=event.workflowversion or "",
            state="",
            jurisdiction=event.jurisdiction,
            correlation=event.correlationid or event.id,
        )
        batch.send([answer], event, told, self._source, self._number)

    def reject(self, record: Record, reasons: Sequence[Reason], now: datetime) -> list[Output]:
        """A record of the log, whole, with the reasons: for the operators, and for its sender where it is an agency."""
        source = next((value for name, value in record.headers if name == "ce_source"), None) or b""
        sender = self._city.agency_of(source.decode("utf-8", "replace"))
        return rejection(record, reasons, sender=sender, by=self._source, now=now, tell_sender=sender is not None)
