"""Positions of readers without a group, shown to tools that look at groups. Nothing of Subak starts from these."""

from __future__ import annotations

import asyncio
from collections.abc import Mapping

from aiokafka import AIOKafkaConsumer, TopicPartition

from bus.kafka.closing import discard
from bus.kafka.errors import sorted_error
from bus.kafka.settings import KafkaSettings


class ToolOffsets:
    """Commits positions under a group for tools that look at groups. Nothing of Subak starts from these."""

    def __init__(self, settings: KafkaSettings, group: str) -> None:
        self._settings = settings
        self._group = group
        self._client: AIOKafkaConsumer | None = None

    async def commit(self, positions: Mapping[tuple[str, int], int]) -> None:
        """Store `positions`.

        Raises:
            BrokerUnavailable: not stored; the next call brings newer ones.
        """
        moved = {TopicPartition(topic, number): offset for (topic, number), offset in positions.items()}
        try:
            async with asyncio.timeout(self._settings.request_timeout_seconds):
                if self._client is None:
                    self._client = AIOKafkaConsumer(group_id=self._group, **self._settings.consumer(self._group))
                    await self._client.start()
                self._client.assign(list(moved))
                await self._client.commit(moved)
        except Exception as error:
            await self.stop()
            raise sorted_error(error, f"storing the positions of {self._group} for tools") from error

    async def stop(self) -> None:
        """Close the connection."""
        client, self._client = self._client, None
        if client is not None:
            await discard(client)
