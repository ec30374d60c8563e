"""A whole small city's bus for one test: its topics made anew, its stages in this process."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable, Sequence
from contextlib import asynccontextmanager

from aiokafka.admin import AIOKafkaAdminClient

from bus.city import City, load_city
from bus.city.load import city_path
from bus.kafka import KafkaSettings, Output, TopicReader, TransactionalProducer, ensure_topics, partitions_of
from bus.kafka.stage import Stage
from bus.logic import Logic
from bus.records import Record
from bus.topics import EVENTS, OUTBOXES_PATTERN, PLACES, in_topic, out_topic
from schemas.envelope import Event
from services.gateway.logic import Gateway
from services.places.logic import Places
from services.router.logic import Router
from services.workflows.catalogue import WORKFLOWS
from services.workflows.logic import Workflows


async def forget_topics(settings: KafkaSettings) -> None:
    """Delete every topic of a bus, so that the next test begins with an empty log."""
    admin = AIOKafkaAdminClient(bootstrap_servers=settings.bootstrap_servers)
    await admin.start()
    topics = [topic for topic in await admin.list_topics() if topic.startswith(("agency-", "city-"))]
    if topics:
        await admin.delete_topics(topics)
    while any(topic in topics for topic in await admin.list_topics()):
        await asyncio.sleep(0.1)
    await admin.close()


class SmallBus:
    """San Francisco's bus, since it is small. Stages are started by `running`."""

    def __init__(self, settings: KafkaSettings) -> None:
        self.settings = settings
        self.city: City = load_city(city_path("san-francisco"))

    async def prepare(self) -> None:
        """Empty topics, and the stages' first positions."""
        await forget_topics(self.settings)
        await ensure_topics(self.settings, self.city.agencies)

    @asynccontextmanager
    async def running(self, *names: str) -> AsyncIterator[dict[str, Stage]]:
        """The stages of these names (all of them where none is given), until the block ends."""
        city, partitions = self.city, self.settings.partitions
        logics: dict[str, Callable[[int], Logic]] = {
            "gateway": lambda number: Gateway(number, city=city, partitions=partitions, remember_seconds=3600),
            "workflows": lambda number: Workflows(number, city=city, workflows=WORKFLOWS),
            "router": lambda number: Router(number, city=city),
            "places": lambda number: Places(number, city=city, partitions=partitions),
        }
        stages = {
            name: Stage(
                name=name,
                kafka=self.settings,
                logic=logics[name],
                pattern=OUTBOXES_PATTERN if name == "gateway" else None,
                topics={"gateway": (), "places": (EVENTS, PLACES)}.get(name, (EVENTS,)),
            )
            for name in names or logics
        }
        try:
            for stage in stages.values():
                await stage.start()
            yield stages
        finally:
            for stage in stages.values():
                await stage.stop()

    async def publish(self, agency: str, *events: Event | Output) -> None:
        """Write events into an agency's out topic, as its relay would; an `Output` as it is."""
        producer = TransactionalProducer(self.settings, transactional_id=f"test-{agency}")
        await producer.start()
        topic = out_topic(agency)
        outputs = [
            event if isinstance(event, Output) else Output(topic, event.key, event.data, event.headers())
            for event in events
        ]
        await producer.commit(outputs, {}, "test")
        await producer.stop()

    async def read(self, topic: str) -> list[Record]:
        """All that stands in a topic now."""
        reader = TopicReader(self.settings, name="test")
        await reader.start(partitions_of([topic], self.settings.partitions))
        found = [record async for records in reader.to_end() for record in records]
        await reader.stop()
        return found

    async def inbox(self, agency: str) -> list[Event]:
        """What an agency was sent."""
        return [Event.from_record(record.headers, record.value) for record in await self.read(in_topic(agency))]

    async def until(self, topic: str, enough: Callable[[Sequence[Record]], bool], seconds: float = 30) -> list[Record]:
        """What stands in a topic, as soon as it is enough, or at the end of the time."""
        deadline = asyncio.get_running_loop().time() + seconds
        while True:
            found = await self.read(topic)
            if enough(found) or asyncio.get_running_loop().time() > deadline:
                return found
            await asyncio.sleep(0.1)
