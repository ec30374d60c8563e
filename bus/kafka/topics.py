"""The topic plan: which topics a bus has and with which settings, created where missing, refused where wrong.

Creating the plan is also the stages' explicit first start: it writes each stage's first position ("the beginning") into
`city-positions`. A stage that later finds neither a committed offset nor a position knows that something was lost,
and stops instead of starting over.
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import Iterable, Sequence

from aiokafka.admin import AIOKafkaAdminClient, NewTopic
from aiokafka.errors import KafkaError, TopicAuthorizationFailedError, for_code
from aiokafka.protocol.metadata import MetadataRequest

from bus.kafka.errors import BrokerUnavailable, NotAllowed
from bus.kafka.offsets import admin_client
from bus.kafka.settings import KafkaSettings
from bus.kafka.topic_settings import topic_settings
from bus.kafka.transactions import TransactionalProducer
from bus.records import Output
from bus.topics import CITY_TOPICS, EVENTS, POSITIONS, STAGES, in_topic, out_topic
from schemas.failures import Misconfigured


async def ensure_topics(settings: KafkaSettings, agencies: Iterable[str]) -> list[str]:
    """Create what is missing of the bus's topics, and check the rest. Returns the names that it created.

    Raises:
        Misconfigured: a topic has another number of partitions than the bus.
        BrokerUnavailable: no answer in time; call again.
    """
    wanted = [*CITY_TOPICS]
    for agency in agencies:
        wanted += (out_topic(agency), in_topic(agency))
    async with admin_client(settings, "creating the topics") as admin:
        missing = sorted(set(wanted) - set(await admin.list_topics()))
        await _check_partitions(admin, settings, [topic for topic in wanted if topic not in missing])
        await _create(admin, settings, missing)
    if EVENTS in missing and POSITIONS in missing:
        await write_first_positions(settings, STAGES)
    return missing


async def partition_counts(settings: KafkaSettings, topics: Iterable[str]) -> dict[str, int]:
    """How many partitions each of `topics` has on the cluster; 0 where it does not exist.

    Raises:
        NotAllowed: this principal may not even see one of them.
    """
    async with admin_client(settings, "looking at the topics") as admin:
        there = set(await admin.list_topics())
        found = await admin.describe_topics(sorted(there & set(topics)))
        hidden = await _hidden(admin, sorted(set(topics) - there))
    if hidden:
        raise NotAllowed(
            f"Kafka's ACLs do not let {settings.security.who} see {', '.join(hidden)}. `subak topology plan` shows "
            "what the city's directory gives it."
        )
    counts = {topic["topic"]: len(topic["partitions"]) for topic in found}
    return {topic: counts.get(topic, 0) for topic in topics}


async def _hidden(admin: AIOKafkaAdminClient, topics: list[str]) -> list[str]:
    """Those of `topics` that we may not see, which looks as if they were missing. Asks so that none is created."""
    if not topics:
        return []
    answer = await admin._send_request(MetadataRequest(topics, allow_auto_topic_creation=False))
    return [topic for code, topic, *_ in answer.topics if for_code(code) is TopicAuthorizationFailedError]


NEW_TOPIC_SECONDS_MAX = 30.0
"""How long a topic may seem to be missing: brokers learn of new ones one after the other."""


async def require_topics(settings: KafkaSettings, topics: Sequence[str]) -> None:
    """Refuse topics that are missing or have another number of partitions than `settings` says.

    Who reads too few partitions misses events without a sound; who writes by a wrong number breaks cases apart.

    Raises:
        Misconfigured: naming them, and what to do.
        BrokerUnavailable: no answer in time; call again.
    """
    deadline = time.monotonic() + NEW_TOPIC_SECONDS_MAX
    counts = await partition_counts(settings, topics)
    while missing := sorted(topic for topic, count in counts.items() if not count):
        if time.monotonic() > deadline:
            raise Misconfigured(f"topics are missing: {', '.join(missing)}. Create them: `subak topics create`.")
        await asyncio.sleep(0.5)
        counts = await partition_counts(settings, topics)
    for topic, count in counts.items():
        if count != settings.partitions:
            raise Misconfigured(_wrong_count(topic, count, settings))


def _wrong_count(topic: str, count: int, settings: KafkaSettings) -> str:
    return (
        f"the topic {topic} has {count} partitions and the bus {settings.partitions}. All topics of a bus have the "
        f"same, frozen number: set SUBAK_KAFKA_PARTITIONS={count}."
    )


async def _check_partitions(admin: AIOKafkaAdminClient, settings: KafkaSettings, topics: list[str]) -> None:
    if not topics:
        return
    for found in await admin.describe_topics(topics):
        count = len(found["partitions"])
        if count != settings.partitions:
            raise Misconfigured(_wrong_count(found["topic"], count, settings))


async def _create(admin: AIOKafkaAdminClient, settings: KafkaSettings, topics: list[str]) -> None:
    new = [
        NewTopic(
            topic,
            num_partitions=settings.partitions,
            replication_factor=settings.replication_factor,
            topic_configs=topic_settings(topic, settings.min_insync_replicas),
        )
        for topic in topics
    ]
    for start in range(0, len(new), 40):
        answer = await admin.create_topics(new[start : start + 40], timeout_ms=25_000)
        for name, code, *_ in answer.topic_errors:
            error = for_code(code)
            if code and error.__name__ != "TopicAlreadyExistsError":
                if issubclass(error, KafkaError) and error.retriable:
                    raise BrokerUnavailable(f"Kafka could not create the topic {name} now: {error.__name__}")
                raise Misconfigured(f"Kafka refused to create the topic {name}: {error.__name__}: {error.description}")


async def write_first_positions(settings: KafkaSettings, stages: Iterable[str]) -> None:
    """State that these stages begin at the beginning of their topics.

    For a new bus, or for a stage whose position is lost and whose outputs may be made again.
    """
    producer = TransactionalProducer(settings, transactional_id="topics-first-positions")
    await producer.start()
    try:
        await producer.commit(
            [
                Output(POSITIONS, position_key(stage, number), b"{}", [], number)
                for stage in stages
                for number in range(settings.partitions)
            ],
            {},
            "topics",
        )
    finally:
        await producer.stop()


def position_key(stage: str, number: int) -> bytes:
    """The key in `city-positions` of one stage's position for one partition number."""
    return f"{stage}/{number}".encode()
