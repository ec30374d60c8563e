"""The walls between agencies hold: each reach beyond one's own is refused in words, and the broker's log has it."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from pathlib import Path

import pytest

from bus.kafka import KafkaSettings, NotAllowed, Output, TopicReader, TransactionalProducer, committed, require_topics
from bus.kafka.reader import partitions_of
from bus.kafka.security import Credentials
from bus.kafka.tool_offsets import ToolOffsets
from bus.topics import EVENTS, in_topic, inbox_group, out_topic, relay_group
from deploy.local.kafka import LocalKafka
from deploy.local.secured_city import CityFiles, arrange

pytestmark = pytest.mark.kafka

A, B = "wall-a", "wall-b"
PARTITIONS = 2


@dataclass(frozen=True)
class Walled:
    """Two agencies' bus on the secured Kafka."""

    kafka: LocalKafka
    files: CityFiles

    def settings(self, identity: str | None = None) -> KafkaSettings:
        security = self.kafka.security
        whole = KafkaSettings(bootstrap_servers=self.kafka.bootstrap_servers, partitions=PARTITIONS, security=security)
        return whole if identity is None else whole.known_as(Credentials(file=self.files.of(identity)))

    def denials(self) -> int:
        """How often the authorizer has logged that it denied something."""
        return self.kafka.log.read_text(encoding="utf-8").count("is Denied")


@pytest.fixture(scope="module")
def walled(secured: LocalKafka, tmp_path_factory: pytest.TempPathFactory) -> Walled:
    assert secured.secured is not None
    files = CityFiles(secured.secured, tmp_path_factory.mktemp("credentials"))
    bus = Walled(secured, files)
    arrange(bus.settings(), [A, B, "operations"], files)
    return bus


async def send(settings: KafkaSettings, topic: str, *, id: str, group: str = "", position: int = 0) -> None:
    producer = TransactionalProducer(settings, transactional_id=id)
    await producer.start()
    try:
        offsets = {(topic, 0): position} if group else {}
        await producer.commit([Output(topic, b"k", b"{}", [], 0)], offsets, group)
    finally:
        await producer.stop()


async def read(settings: KafkaSettings, topic: str) -> list[bytes | None]:
    reader = TopicReader(settings, name="wall")
    await reader.start(partitions_of([topic], PARTITIONS))
    try:
        return [record.value async for records in reader.to_end() for record in records]
    finally:
        await reader.stop()


async def store(settings: KafkaSettings, group: str, topic: str) -> None:
    tool = ToolOffsets(settings, group)
    try:
        await tool.commit({(topic, 0): 1})
    finally:
        await tool.stop()


async def test_an_agency_has_what_is_its_own(walled: Walled) -> None:
    settings = walled.settings(f"agency-{A}")
    await require_topics(settings, [in_topic(A)])
    await send(settings, out_topic(A), id=relay_group(A), group=relay_group(A), position=7)
    assert (await committed(settings, relay_group(A), [(out_topic(A), 0)]))[out_topic(A), 0] == 7
    await send(walled.settings("router"), in_topic(A), id="router-0")
    assert await read(settings, in_topic(A)) == [b"{}"]
    await store(settings, inbox_group(A), in_topic(A))


REACHES: dict[str, Callable[[KafkaSettings], Awaitable[object]]] = {
    "reads another's in topic": lambda own: read(own, in_topic(B)),
    "looks for another's in topic": lambda own: require_topics(own, [in_topic(B)]),
    "reads another's out topic": lambda own: read(own, out_topic(B)),
    "reads the log": lambda own: read(own, EVENTS),
    "writes another's out topic": lambda own: send(own, out_topic(B), id=relay_group(A)),
    "writes its own in topic": lambda own: send(own, in_topic(A), id=relay_group(A)),
    "writes the log": lambda own: send(own, EVENTS, id=relay_group(A)),
    "writes positions": lambda own: send(own, "city-positions", id=relay_group(A)),
    "uses another's transactional id": lambda own: send(own, out_topic(A), id=relay_group(B)),
    "uses a stage's transactional id": lambda own: send(own, out_topic(A), id="gateway-0"),
    "moves another's outbox position": lambda own: send(
        own, out_topic(A), id=relay_group(A), group=relay_group(B), position=9
    ),
    "joins another's group": lambda own: store(own, inbox_group(B), in_topic(A)),
    "joins a stage's group": lambda own: store(own, "router", in_topic(A)),
    "asks for another's position": lambda own: committed(own, relay_group(B), [(out_topic(B), 0)]),
}


@pytest.mark.parametrize("reach", REACHES)
async def test_an_agency_that_reaches_further_is_refused_and_the_brokers_log_has_it(walled: Walled, reach: str) -> None:
    before = walled.denials()
    with pytest.raises(NotAllowed, match="ACLs"):
        async with asyncio.timeout(60):
            await REACHES[reach](walled.settings(f"agency-{A}"))
    deadline = time.monotonic() + 5
    while walled.denials() == before and time.monotonic() < deadline:
        await asyncio.sleep(0.1)
    assert walled.denials() > before


@pytest.mark.parametrize(
    ("process", "topic"),
    [
        ("router", EVENTS),
        ("gateway", "city-cases"),
        ("casebook", EVENTS),
        ("operator", EVENTS),
        ("workflows", out_topic(A)),
    ],
)
async def test_a_process_of_the_bus_writes_no_more_than_its_work_is(walled: Walled, process: str, topic: str) -> None:
    with pytest.raises(NotAllowed, match="ACLs"):
        await send(walled.settings(process), topic, id="operations-1" if process == "operator" else f"{process}-0")


async def test_credentials_of_one_agency_in_the_hands_of_another_are_still_the_first_ones(
    walled: Walled, tmp_path: Path
) -> None:
    user, _ = Credentials(file=walled.files.of(f"agency-{B}")).read()
    guessed = Credentials(user=user, password=Credentials(file=walled.files.of(f"agency-{A}")).read()[1])
    with pytest.raises(NotAllowed, match=f"does not take the user {user}"):
        await read(walled.settings().known_as(guessed), in_topic(B))
