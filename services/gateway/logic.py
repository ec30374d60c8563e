"""The gateway's decisions for one partition: each record of an agency is accepted, known already, or refused. Pure."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from datetime import datetime

from bus.city import City
from bus.logic import Decided
from bus.logs import get_logger
from bus.records import Output, Record
from bus.rejections import rejection
from bus.resending import RESEND_REQUESTED, resent, resent_already
from bus.topics import EVENTS, agency_of_out
from schemas.envelope import Event
from schemas.failures import Reason, Refused, Unprocessable
from schemas.registry import registry
from services.gateway.checks import admit
from services.gateway.memory import Memory, Seen

log = get_logger("gateway")


class Gateway:
    """`bus.logic.Logic` for the stage `gateway`."""

    restores_from: str | None = EVENTS

    def __init__(self, number: int, *, city: City, partitions: int, remember_seconds: float) -> None:
        self.restores_since_seconds: float | None = remember_seconds
        self._number = number
        self._city = city
        self._partitions = partitions
        self._memory = Memory(remember_seconds)
        self._source = city.source_of("gateway")

    def restore(self, records: Sequence[Record], position: int | None = None) -> None:
        """Remember the ids that the log's tail holds."""
        seen = []
        for record in records:
            try:
                event = Event.from_record(record.headers, record.value)
            except Unprocessable:
                continue  # not an event: nothing to remember
            seen.append(Seen.of(event, record.timestamp_ms))
        self._memory.remember(seen)

    def decide(self, records: Sequence[Record], now: datetime) -> Decided:
        """Admit, drop or refuse each record."""
        decided = Decided(counted={"accepted": 0, "duplicate": 0, "rejected": 0})
        new: list[Seen] = []
        in_hand: dict[bytes, bytes] = {}
        now_ms = int(now.timestamp() * 1000)
        for record in records:
            try:
                event = self._admit(record)
                seen = Seen.of(event, now_ms)
                known = self._memory.look(seen, in_hand)
                if known == "other":
                    raise Refused([_ID_REUSED])
                let_in = self._let_in(record, event, in_hand, now_ms) if known == "new" else None
            except Refused as refused:
                decided.counted["rejected"] += 1
                decided.outputs += self._reject(record, refused.reasons, now)
                continue
            if known == "same":
                decided.counted["duplicate"] += 1
                continue
            decided.counted["accepted"] += 1
            in_hand[seen.key] = seen.digest
            new.append(seen)
            headers = [(name, value) for name, value in record.headers if value is not None]
            decided.outputs.append(Output(EVENTS, event.key, event.data, headers, self._number))
            if let_in is not None:
                other, seen = let_in
                in_hand[seen.key] = seen.digest
                new.append(seen)
                decided.outputs.append(Output(EVENTS, other.key, other.data, other.headers(), self._number))
        decided.changes = new
        return decided

    def _admit(self, record: Record) -> Event:
        return self._checked(record, lambda: admit(record, self._city, self._partitions))

    def _checked(self, record: Record, check: Callable[[], Event]) -> Event:
        """What the check gives. One that fails itself refuses the record: it stops nobody else."""
        try:
            return check()
        except Refused:
            raise
        except Exception as error:
            log.exception("event_check_failed", topic=record.topic, partition=record.partition, offset=record.offset)
            problem = f"the gateway could not check this event: {error!r}"
            raise Refused(
                [Reason("check_failed", "event", problem, "This is a defect of Subak. Report it.")]
            ) from error

    def _let_in(
        self, record: Record, act: Event, in_hand: dict[bytes, bytes], now_ms: int
    ) -> tuple[Event, Seen] | None:
        """The rejected event that an operator's act lets in, behind the act and with it; None for any other event.

        Raises:
            Refused: it may not come in, or came in before.
        """
        if act.type != RESEND_REQUESTED:
            return None
        event = self._checked(record, lambda: resent(act, self._city))
        seen = Seen.of(event, now_ms)
        if self._memory.look(seen, in_hand) != "new":
            raise resent_already(registry.get(act.type).read(act.data).rejection_id)
        return event, seen

    def _reject(self, record: Record, reasons: Sequence[Reason], now: datetime) -> list[Output]:
        sender = agency_of_out(record.topic)
        known = sender in self._city.agencies
        return rejection(record, reasons, sender=sender, by=self._source, now=now, tell_sender=known)

    def apply(self, decided: Decided) -> None:
        """Remember what was accepted."""
        new = decided.changes
        assert isinstance(new, list)
        self._memory.remember(new)

    def sizes(self) -> dict[str, int]:
        """The ids of the last day."""
        return {"ids": len(self._memory)}

    def next_due(self) -> datetime | None:
        """The gateway has no timers."""
        return None

    def decide_due(self, now: datetime) -> Decided:
        """The gateway has no timers."""
        return Decided(changes=[])


_ID_REUSED = Reason(
    "id_reused",
    "id",
    "another event with this id and other content was accepted before",
    "Give each event an id of its own; to correct one, send a new event.",
)
