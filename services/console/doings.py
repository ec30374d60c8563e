"""Acts that were asked for here, and what became of each: the memory behind the page that a person watches.

Bounded, and gone with the process: the truth stands in the cases' timelines. One failing look is tried again until the
deadline; then the page says that it was not seen, which is not the same as failed.
"""

from __future__ import annotations

import asyncio
import time
from collections import OrderedDict
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime

from bus.acting import LOOK_SECONDS, Became, Watch, send_acts
from bus.kafka import KafkaSettings
from bus.logs import get_logger
from schemas.envelope import Event
from schemas.failures import SubakError
from schemas.identifiers import new_id

log = get_logger("doings")

BATCHES_MAX = 50
"""Batches in memory; the oldest is forgotten."""

ACTS_MAX = 500
"""Cases or rejected events that one confirmation concerns."""

ACTS_PER_SECOND = 50.0
"""How fast one confirmation's acts go into Kafka."""

OUTCOME_SECONDS_MAX = 120.0
"""How long the outcome of one batch is looked for."""


@dataclass
class Batch:
    """Acts of one confirmation."""

    id: str
    by: str
    reason: str
    at: datetime
    acts: Sequence[Event]
    became: Mapping[str, Became] = field(default_factory=dict)
    """Act's id → what became of it, as soon as it is known; `sent` where it was not seen in time."""

    @property
    def is_settled(self) -> bool:
        """Whether nothing more will be told."""
        return len(self.became) == len(self.acts)


class Doings:
    """Sends acts and watches them."""

    def __init__(self, kafka: KafkaSettings) -> None:
        self._kafka = kafka
        self._batches: OrderedDict[str, Batch] = OrderedDict()
        self._watching: set[asyncio.Task[None]] = set()

    async def do(self, acts: Sequence[Event], *, by: str, reason: str) -> Batch:
        """Send these, in this order; then watch.

        Raises:
            Retryable: whether all were sent is unknown. Asking again is harmless: what was done is refused.
        """
        watch = await Watch(self._kafka).__aenter__()
        try:
            await send_acts(self._kafka, acts, rate=ACTS_PER_SECOND)
        except BaseException:
            await watch.__aexit__()
            raise
        batch = Batch(new_id(), by, reason, datetime.now(UTC), acts)
        log.info("acts_sent", type=acts[0].type, cases=[act.subject for act in acts], batch=batch.id)
        self._batches[batch.id] = batch
        while len(self._batches) > BATCHES_MAX:
            self._batches.popitem(last=False)
        task = asyncio.create_task(self._watch(watch, batch), name="watching acts")
        self._watching.add(task)
        task.add_done_callback(self._watching.discard)
        return batch

    def get(self, id: str) -> Batch | None:
        """The batch of that id; None where this process does not know it (any more)."""
        return self._batches.get(id)

    async def _watch(self, watch: Watch, batch: Batch) -> None:
        deadline = time.monotonic() + OUTCOME_SECONDS_MAX

        def told(became: Mapping[str, Became]) -> None:
            batch.became = became

        try:
            while time.monotonic() < deadline:
                try:
                    batch.became = await watch.until_seen(batch.acts, deadline, told)
                    return
                except SubakError as error:
                    log.warning("outcomes_not_seen", batch=batch.id, error=str(error))
                    await asyncio.sleep(LOOK_SECONDS * 5)
            batch.became = {act.id: batch.became.get(act.id) or Became("sent") for act in batch.acts}
        finally:
            await watch.__aexit__()

    async def close(self) -> None:
        """Stop watching."""
        for task in list(self._watching):
            task.cancel()
        await asyncio.gather(*self._watching, return_exceptions=True)
