"""Replays that were asked for here, and what became of each: the memory behind the page that a person watches.

Bounded, and gone with the process: the truth stands in the cases' timelines. One failing look is tried again until the
deadline; then the page says that it was not seen, which is not the same as failed.
"""

from __future__ import annotations

import asyncio
import time
from collections import OrderedDict
from collections.abc import Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime

from bus.city import City
from bus.kafka import KafkaSettings
from bus.logs import get_logger
from bus.replay import LOOK_SECONDS, Outcome, outcome_of, replay_request, send_replays
from schemas.envelope import Event
from schemas.failures import SubakError
from schemas.identifiers import new_id
from services.console.casebook import Casebook, NotThere

log = get_logger("replays")

BATCHES_MAX = 50
"""Batches in memory; the oldest is forgotten."""

CASES_MAX = 500
"""Cases that one confirmation replays."""

LOOKS_AT_ONCE = 4
"""Cases whose outcome is looked for at the same time."""

OUTCOME_SECONDS_MAX = 120.0
"""How long the outcome of one batch is looked for."""


@dataclass
class Batch:
    """Cases that were replayed with one confirmation."""

    id: str
    reason: str | None
    at: datetime
    requests: Sequence[Event]
    outcomes: dict[str, Outcome] = field(default_factory=dict)
    """Case → what became of it, as soon as it is known; `sent` where it was not seen in time."""

    @property
    def is_settled(self) -> bool:
        """Whether nothing more will be told."""
        return len(self.outcomes) == len(self.requests)


class Replays:
    """Asks for replays and watches them."""

    def __init__(self, kafka: KafkaSettings, city: City, casebook: Casebook) -> None:
        self._kafka = kafka
        self._city = city
        self._casebook = casebook
        self._batches: OrderedDict[str, Batch] = OrderedDict()
        self._watching: set[asyncio.Task[None]] = set()

    async def ask(self, case_ids: Sequence[str], reason: str | None) -> Batch:
        """Ask for these cases, all or none, in this order; then watch.

        Raises:
            Retryable: whether they were asked for is unknown. Asking again is harmless.
        """
        requests = [replay_request(self._city, id, reason) for id in case_ids[:CASES_MAX]]
        await send_replays(self._kafka, requests)
        batch = Batch(new_id(), reason, datetime.now(UTC), requests)
        log.info("replay_asked_for", cases=[request.subject for request in requests], batch=batch.id)
        self._batches[batch.id] = batch
        while len(self._batches) > BATCHES_MAX:
            self._batches.popitem(last=False)
        task = asyncio.create_task(self._watch(batch), name="watching a replay")
        self._watching.add(task)
        task.add_done_callback(self._watching.discard)
        return batch

    def get(self, id: str) -> Batch | None:
        """The batch of that id; None where this process does not know it (any more)."""
        return self._batches.get(id)

    async def _watch(self, batch: Batch) -> None:
        deadline = time.monotonic() + OUTCOME_SECONDS_MAX
        gate = asyncio.Semaphore(LOOKS_AT_ONCE)

        async def one(request: Event) -> None:
            async with gate:
                batch.outcomes[request.subject] = await self._outcome(request, deadline)

        await asyncio.gather(*(one(request) for request in batch.requests))

    async def _outcome(self, request: Event, deadline: float) -> Outcome:
        while time.monotonic() < deadline:
            try:
                entry = (await self._casebook.ask(f"/api/events/{request.id}"))["events"][0]
                found, _ = await outcome_of(self._kafka, request, entry["partition"], entry["offset"], deadline)
                return found
            except NotThere:
                await asyncio.sleep(LOOK_SECONDS)
            except SubakError as error:
                log.warning("outcome_not_seen", case=request.subject, error=str(error))
                await asyncio.sleep(LOOK_SECONDS * 5)
        return "sent"

    async def close(self) -> None:
        """Stop watching."""
        for task in list(self._watching):
            task.cancel()
        await asyncio.gather(*self._watching, return_exceptions=True)
