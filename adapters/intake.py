"""From a request's body to rows in the outbox: completed, held against the shared schema and the city's rules, stored.

All before the outbox: the agency learns at once what is wrong with an event, with every reason, and what it was told is
stored will be accepted by the gateway, unless the case itself cannot take it.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Mapping, Sequence
from datetime import UTC, datetime
from typing import Any

import msgspec

from adapters.completion import completion
from bus.admission import reasons_against
from bus.cases import NOTHING, KnownCase, KnownCases
from bus.city import City
from bus.outbox import Outbox, Receipt
from schemas.door import read_structured
from schemas.envelope import Event
from schemas.failures import Reason, Refused
from schemas.registry import EventData, ReadData, registry
from schemas.strict import bounded_reasons
from schemas.structured import read_member

CHECKED_TOGETHER = 50
"""Events checked before others are let at the processor: some milliseconds."""


class Intake:
    """Takes events for the agencies of one adapter."""

    def __init__(
        self,
        city: City,
        outbox: Outbox,
        cases: KnownCases,
        *,
        clock: Callable[[], datetime] = lambda: datetime.now(UTC),
    ) -> None:
        self._city = city
        self._outbox = outbox
        self._cases = cases
        self._clock = clock

    async def take(self, agency: str, body: bytes, idempotency_key: str | None = None) -> list[Receipt]:
        """Store the events in `body`, all or none; returns when they are on disk.

        Raises:
            Refused: with every reason; in a list, each field begins with the position: `[2].data.area`.
            OutboxFull, DatabaseUnavailable: send again.
        """
        complete = completion(self._city.source_of(agency), idempotency_key, self._clock())
        events: list[Event] = []
        reasons: list[Reason] = []
        here: dict[str, KnownCase] = {}
        read = read_structured(body, complete=complete)
        several = body.lstrip()[:1] == b"["
        for position, event in enumerate(read):
            event = await self._placed(agency, event, here)
            events.append(event)
            found = reasons_against(event, agency, self._city)
            if several:
                found = [Reason(one.code, f"[{position}].{one.field}", one.problem, one.fix) for one in found]
            reasons += found
            if position % CHECKED_TOGETHER == CHECKED_TOGETHER - 1:
                await asyncio.sleep(0)
        if reasons:
            raise Refused(bounded_reasons(reasons))
        return await self._outbox.add(agency, events)

    async def take_each(self, agency: str, said: Sequence[Mapping[str, Any]]) -> list[Receipt | Refused]:
        """Store each of these for itself: a bad one is refused with its reasons, and the others are on disk.

        Args:
            said: events in the short form of a POST (`type`, `data`, and what else the sender knows), in the order in
                which they happened, each with an `id` by which it is known when it comes again.

        Raises:
            OutboxFull, DatabaseUnavailable: call again with the same; what was stored is known by its id.
        """
        complete = completion(self._city.source_of(agency), None, self._clock())
        outcomes: list[Receipt | Refused | None] = [None] * len(said)
        events: list[tuple[int, Event]] = []
        here: dict[str, KnownCase] = {}
        model: EventData | None
        for position, one in enumerate(said):
            try:
                data = one.get("data")
                if isinstance(data, ReadData):  # a mapping made it: that is half of an event's way to the outbox
                    event, model = read_member(complete(dict(one), 0), data.raw), data.model
                else:
                    (event,), model = read_structured(msgspec.json.encode(one), complete=complete), None
                event = await self._placed(agency, event, here)
                if reasons := reasons_against(event, agency, self._city, model):
                    raise Refused(bounded_reasons(reasons))
                events.append((position, event))
            except Refused as refused:
                outcomes[position] = refused
            if position % CHECKED_TOGETHER == CHECKED_TOGETHER - 1:
                await asyncio.sleep(0)
        try:
            stored: Sequence[Receipt | Refused] = await self._outbox.add(agency, [event for _, event in events])
        except Refused:  # one of the ids stands for other content
            stored = [await self._add_one(agency, event) for _, event in events]
        for (position, _), outcome in zip(events, stored, strict=True):
            outcomes[position] = outcome
        return [outcome for outcome in outcomes if outcome is not None]

    async def _add_one(self, agency: str, event: Event) -> Receipt | Refused:
        try:
            return (await self._outbox.add(agency, [event]))[0]
        except Refused as refused:
            return refused

    async def _placed(self, agency: str, event: Event, here: dict[str, KnownCase]) -> Event:
        """The event with what is known of its case, from earlier events or from those before it in the request."""
        opens = event.type in registry and registry.get(event.type).opens_case
        known = here.get(event.subject, NOTHING)
        if not opens and (event.jurisdiction is None or event.correlationid is None):
            known = (await self._cases.of(agency, event.subject)).with_more(known)
            event = msgspec.structs.replace(
                event,
                jurisdiction=event.jurisdiction or known.jurisdiction,
                correlationid=event.correlationid or known.correlationid,
            )
        told = KnownCase(event.jurisdiction, event.correlationid or (event.id if opens else None))
        here[event.subject] = known.with_more(told)
        return event
