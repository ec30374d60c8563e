"""One transactional producer: records and offsets become visible together or not at all.

Its promise rests on the id. Starting a producer fences every older one of the same id, so whoever started last is the
only one whose transactions count. On any failure the outcome is unknown: the producer is thrown away, a new one with
the same id is started, and the position that the log holds says what became of the last transaction.
"""

from __future__ import annotations

import asyncio
from collections.abc import Mapping, Sequence

from aiokafka import AIOKafkaProducer, TopicPartition
from aiokafka.producer import sender

from bus.kafka.closing import closed
from bus.kafka.errors import BrokerUnavailable, sorted_error
from bus.kafka.refusal import explained
from bus.kafka.settings import KafkaSettings
from bus.records import Output, partition_for
from schemas.failures import Misconfigured

PUT_OFF_SECONDS = 0.004
"""How long a transaction waits that Kafka put off because the markers of the last one are not written yet.

Under load that is every transaction, and a matter of milliseconds. The client waits 20, whatever its back-off is: that
made each transaction under load more than twice as long. `tests/bus/test_pace.py` holds that it still reads this here.
"""

sender.BACKOFF_OVERRIDE = PUT_OFF_SECONDS


class TransactionalProducer:
    """The owner of one transactional id, for as long as nobody newer starts."""

    def __init__(self, settings: KafkaSettings, *, transactional_id: str) -> None:
        self.transactional_id = transactional_id
        self._settings = settings
        self._producer: AIOKafkaProducer | None = None

    async def start(self) -> None:
        """Connect, abort what a former owner left open, and fence it.

        Raises:
            BrokerUnavailable: no answer in time; call again.
            NotAllowed: the ACLs do not give this principal the id.
        """
        producer = AIOKafkaProducer(
            transactional_id=self.transactional_id,
            transaction_timeout_ms=int(self._settings.transaction_timeout_seconds * 1000),
            **self._settings.producer(self.transactional_id),
        )
        try:
            async with asyncio.timeout(self._settings.transaction_timeout_seconds + 10):
                await producer.start()
        except BaseException as error:
            await _discard(producer)
            if isinstance(error, Exception):
                doing = f"starting the producer {self.transactional_id}"
                raise await explained(error, doing, self._settings) from error
            raise
        self._producer = producer

    async def require_partitions(self, topic: str) -> None:
        """Refuse a topic with another number of partitions than the bus: cases would be written to others than theirs.

        Raises:
            Misconfigured: it has another number, or does not exist.
            BrokerUnavailable: no answer in time.
        """
        assert self._producer is not None
        try:
            found = await self._producer.partitions_for(topic)
        except Exception as error:
            raise sorted_error(error, f"asking for the partitions of {topic}") from error
        if len(found) != self._settings.partitions:
            raise Misconfigured(
                f"the topic {topic} has {len(found)} partitions and the bus {self._settings.partitions}. All topics of "
                f"a bus have the same, frozen number: set SUBAK_KAFKA_PARTITIONS={len(found)}."
            )

    async def commit(
        self, outputs: Sequence[Output], offsets: Mapping[tuple[str, int], int] | None = None, group: str = ""
    ) -> None:
        """Write `outputs`, and move `group` to `offsets` (topic, partition → next) where some are given: all or none.

        Records of one partition keep their order. Offsets cost two requests more and two records in Kafka's own
        topics: a stage has its position among its outputs instead.

        Raises:
            Fenced: a newer owner lives; nothing of this was written.
            BrokerUnavailable: the outcome is unknown; this producer must be stopped and not used again.
        """
        producer = self._producer
        if producer is None:
            raise BrokerUnavailable(f"the producer {self.transactional_id} is not started")
        try:
            async with asyncio.timeout(self._settings.transaction_timeout_seconds):
                await producer.begin_transaction()
                sends = await self._send(producer, outputs)
                if offsets:
                    moved = {TopicPartition(topic, number): next_ for (topic, number), next_ in offsets.items()}
                    await producer.send_offsets_to_transaction(moved, group)
                await asyncio.gather(*sends)
                await producer.commit_transaction()
        except Exception as error:
            raise sorted_error(error, f"committing a transaction of {self.transactional_id}") from error

    async def _send(self, producer: AIOKafkaProducer, outputs: Sequence[Output]) -> list[asyncio.Future[object]]:
        """Hand all outputs to the client, in batches that are built here: cheaper than one call for each record."""
        by_partition: dict[tuple[str, int], list[Output]] = {}
        partitions = self._settings.partitions
        for output in outputs:
            number = output.partition if output.partition is not None else partition_for(output.key, partitions)
            by_partition.setdefault((output.topic, number), []).append(output)
        sends = []
        for (topic, number), group in by_partition.items():
            batch = producer.create_batch()
            for output in group:
                appended = batch.append(timestamp=None, key=output.key, value=output.value, headers=output.headers)
                if appended is None:
                    sends.append(await producer.send_batch(batch, topic, partition=number))
                    batch = producer.create_batch()
                    batch.append(timestamp=None, key=output.key, value=output.value, headers=output.headers)
            sends.append(await producer.send_batch(batch, topic, partition=number))
        return sends

    async def stop(self) -> None:
        """Close the connections. An open transaction is left to the broker, which aborts it."""
        producer, self._producer = self._producer, None
        if producer is not None:
            await _discard(producer)


async def _discard(producer: AIOKafkaProducer) -> None:
    """Stop a producer, also one whose sender hangs: the client waits for its unsent batches without a bound."""
    if not await closed(producer.stop, seconds=2):
        sender = producer._sender.sender_task
        if sender is not None:
            sender.cancel()
            await asyncio.gather(sender, return_exceptions=True)
        await closed(producer.client.close, seconds=2)
