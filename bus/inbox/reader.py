"""Reads the in topics of one adapter's agencies into its inboxes, for ever.

The position lives in the inbox's own database: Kafka's memory of groups is not asked. What Kafka no longer holds cannot
be read, so where a position lies outside its topic the process stops and says so: events were lost, and a person must
know.
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import Iterable, Mapping
from dataclasses import dataclass

from bus import metrics
from bus.backoff import Backoff
from bus.inbox.inbox import Inbox
from bus.kafka import KafkaSettings, NotAllowed, TopicReader, partitions_of, require_topics
from bus.logs import get_logger
from bus.topics import in_topic
from schemas.failures import Misconfigured, Retryable

log = get_logger("inbox")

Positions = Mapping[tuple[str, int], int]


@dataclass(frozen=True, kw_only=True)
class InboxReaderSettings:
    """How much is read at once, and how often lag is told."""

    batch_records_max: int = 2000
    """Records in one transaction. More is faster; what waits behind it waits longer."""

    measure_seconds: float = 5.0
    """How often lag is measured and the position is copied for tools that look at groups."""

    leader_wait_seconds: float = 60.0
    """How long a topic may seem shorter than what was read of it: a new leader learns its end late."""

    retry_seconds_first: float = 0.2
    retry_seconds_max: float = 10.0
    """Pause while the broker or the database is away: doubles from first to max, jittered."""


class InboxReader:
    """One reader for all in topics of an adapter."""

    def __init__(
        self,
        name: str,
        agencies: Iterable[str],
        inbox: Inbox,
        kafka: KafkaSettings,
        settings: InboxReaderSettings | None = None,
    ) -> None:
        """
        Args:
            name: the group under which its lag is shown, such as `adapter-<name>`.
        """
        self.problem: str | None = f"the inbox of {name} has not reached Kafka yet"
        """Why nothing arrives just now, in words; None when all is well."""
        self._name = name
        self._topics = [in_topic(agency) for agency in agencies]
        self._inbox = inbox
        self._kafka = kafka
        self._settings = settings or InboxReaderSettings()
        self._measured_at = 0.0
        self._caught_up_at = time.time()

    async def run(self) -> None:
        """Read for ever.

        Raises:
            Misconfigured: a topic is missing, or a position lies outside what its topic holds.
        """
        backoff = Backoff(self._settings.retry_seconds_first, self._settings.retry_seconds_max)
        while True:
            reader = TopicReader(self._kafka, name=self._name)
            try:
                await self._begin(reader)
                while True:
                    await self._step(reader)
                    backoff.reset()
                    self.problem = None
            except (Retryable, NotAllowed) as error:
                # Who is refused is suspended, or gets new credentials: other agencies of this adapter go on.
                self.problem = f"the inbox waits: {error}"
                tell = log.error if isinstance(error, NotAllowed) else log.warning
                tell("inbox_reader_waited", group=self._name, error=str(error), failures=backoff.failures)
            finally:
                await reader.stop()
            await asyncio.sleep(backoff.next_seconds())

    async def _begin(self, reader: TopicReader) -> None:
        """Start where the inbox stands; a topic that it never read starts at the oldest record there is."""
        await require_topics(self._kafka, self._topics)
        wanted = partitions_of(self._topics, self._kafka.partitions)
        stored = await self._inbox.begin()
        await reader.start({tp: stored.get(tp, 0) for tp in wanted})
        patience = time.monotonic() + self._settings.leader_wait_seconds
        while True:
            first, last = await reader.beginning_offsets(), await reader.end_offsets()
            begin = {tp: stored.get(tp, first[tp]) for tp in wanted}
            if time.monotonic() > patience or all(begin[tp] <= last[tp] for tp in wanted):
                break
            await asyncio.sleep(1.0)
        check_positions(begin, first, last)
        await reader.seek(begin)
        log.info("inbox_reader_began", topics=len(self._topics))

    async def _step(self, reader: TopicReader) -> None:
        records = await reader.read(records_max=self._settings.batch_records_max)
        if records:
            await self._inbox.take(records)
        if time.monotonic() - self._measured_at >= self._settings.measure_seconds:
            self._measured_at = time.monotonic()
            await self._measure(reader)

    async def _measure(self, reader: TopicReader) -> None:
        ends, stands = await reader.end_offsets(), await reader.positions()
        now = time.time()
        if all(stands[tp] >= ends[tp] for tp in ends):
            self._caught_up_at = now
        for number in range(self._kafka.partitions):
            behind = sum(max(0, ends[tp] - stands[tp]) for tp in ends if tp[1] == number)
            metrics.lag_records.labels(self._name, str(number)).set(behind)
            metrics.lag_seconds.labels(self._name, str(number)).set(now - self._caught_up_at if behind else 0.0)
        await reader.commit_copy(stands)


def check_positions(begin: Positions, first: Positions, last: Positions) -> None:
    """Refuse to begin outside of what the topics hold.

    Raises:
        Misconfigured: naming each.
    """
    wrong = [
        f"{topic}-{number} stands at {offset}, and the topic holds {first[topic, number]} to {last[topic, number]}"
        for (topic, number), offset in sorted(begin.items())
        if not first[topic, number] <= offset <= last[topic, number]
    ]
    if wrong:
        raise Misconfigured(
            f"the inbox's position is outside its topic: {'; '.join(wrong)}. Either the topic was made anew, or events "
            "were removed before this adapter read them, and they are lost to it. Restore the topic; or, to go on with "
            "what is there, delete the topic's rows from subak_inbox_positions."
        )
