"""A stage's law on the real Kafka: each record has its effect once, in its key's order, whatever befalls the stage."""

from __future__ import annotations

import asyncio
import signal
import sys
from collections.abc import AsyncIterator, Callable, Sequence
from contextlib import asynccontextmanager
from datetime import datetime
from typing import Any

import pytest
from aiokafka.admin import AIOKafkaAdminClient, NewTopic

from bus.kafka import (
    BrokerUnavailable,
    KafkaSettings,
    LaneSettings,
    Output,
    Record,
    TransactionalProducer,
    committed,
    ends,
    ensure_topics,
    partition_for,
)
from bus.kafka.stage import Stage, StageSettings
from bus.kafka.topics import write_first_positions
from bus.logic import Decided
from bus.topics import POSITIONS
from deploy.local.kafka import LocalKafka
from schemas.failures import Misconfigured
from tests.support.counting import Counting, counted, counting_stage, settings_for, topics_of

pytestmark = pytest.mark.kafka

KEYS = [b"case-%d" % number for number in range(20)]


@pytest.fixture
async def settings(kafka: LocalKafka) -> KafkaSettings:
    found = settings_for(kafka.bootstrap_servers)
    await ensure_topics(found, [])
    return found


@pytest.fixture
async def name(settings: KafkaSettings, request: pytest.FixtureRequest) -> str:
    """A counting stage of this test's own, with its topics and its first start."""
    found = f"count-{abs(hash(request.node.name)) % 10**8}"
    await create(settings, *topics_of(found))
    await write_first_positions(settings, [found])
    return found


async def create(settings: KafkaSettings, *topics: str, partitions: int | None = None) -> None:
    admin = AIOKafkaAdminClient(bootstrap_servers=settings.bootstrap_servers)
    await admin.start()
    await admin.create_topics(
        [NewTopic(topic, num_partitions=partitions or settings.partitions, replication_factor=1) for topic in topics]
    )
    await admin.close()


async def put(settings: KafkaSettings, name: str, rounds: int, pause: float = 0.0) -> None:
    """Write every key `rounds` times, in order."""
    producer = TransactionalProducer(settings, transactional_id=f"{name}-writer")
    await producer.start()
    for _ in range(rounds):
        await producer.commit([Output(topics_of(name)[0], key, b"x") for key in KEYS], {}, name)
        if pause:
            await asyncio.sleep(pause)
    await producer.stop()


async def until_counted(settings: KafkaSettings, name: str, total: int, seconds: float = 60) -> dict[bytes, list[int]]:
    """What came out, once it is `total` or time is up."""
    found: dict[bytes, list[int]] = {}
    deadline = asyncio.get_running_loop().time() + seconds
    while asyncio.get_running_loop().time() < deadline:
        found = await counted(settings, name)
        if sum(map(len, found.values())) >= total:
            break
        await asyncio.sleep(0.3)
    return found


def exactly(rounds: int) -> dict[bytes, list[int]]:
    return {key: list(range(1, rounds + 1)) for key in KEYS}


@asynccontextmanager
async def member(settings: KafkaSettings, name: str, *flags: str) -> AsyncIterator[asyncio.subprocess.Process]:
    """Another process in the same group."""
    process = await asyncio.create_subprocess_exec(
        sys.executable, "-m", "tests.support.counting", settings.bootstrap_servers, name, *flags,
        stdout=asyncio.subprocess.PIPE, stderr=asyncio.subprocess.DEVNULL,
    )  # fmt: skip
    try:
        assert process.stdout is not None
        assert await process.stdout.readline() == b"started\n"
        yield process
    finally:
        if process.returncode is None:
            process.send_signal(signal.SIGCONT)
            process.kill()
        await process.wait()


async def test_each_record_has_one_effect_in_order(settings: KafkaSettings, name: str) -> None:
    stage = counting_stage(settings, name)
    await stage.start()
    await put(settings, name, 30)
    found = await until_counted(settings, name, 30 * len(KEYS))
    await stage.stop()
    assert found == exactly(30)


async def test_a_restarted_stage_goes_on_where_it_was_with_its_memory(settings: KafkaSettings, name: str) -> None:
    for rounds in (5, 10):
        stage = counting_stage(settings, name)
        await stage.start()
        await put(settings, name, 5)
        await until_counted(settings, name, rounds * len(KEYS))
        await stage.stop()
    assert await counted(settings, name) == exactly(10)


async def test_memory_that_others_write_to_is_read_back_with_the_place_where_it_was_left(
    settings: KafkaSettings, name: str
) -> None:
    """What stands behind that place was not taken yet, and will be: a logic that compares must tell them apart."""
    given: dict[int, tuple[set[int], int | None]] = {}

    class ReadsItsOwnMemory(Counting):
        def restore(self, records: Sequence[Record], position: int | None = None) -> None:
            seen, _ = given.get(self._number, (set(), None))
            given[self._number] = (seen | {record.offset for record in records}, position)

        def decide(self, records: Sequence[Record], now: datetime) -> Decided:
            return Decided(changes={}, counted={"counted": len(records)})

    topics = topics_of(name)

    def stage() -> Stage:
        return Stage(
            name=name,
            logic=lambda number: ReadsItsOwnMemory(number, name),
            kafka=settings,
            topics=(topics[0], topics[2]),
        )

    async def write(rounds: int) -> None:
        producer = TransactionalProducer(settings, transactional_id=f"{name}-other")
        await producer.start()
        for _ in range(rounds):
            await producer.commit([Output(topics[2], key, b"1") for key in KEYS], {}, name)
        await producer.stop()

    await write(1)
    first = stage()
    await first.start()
    ends_then = {place: end for place, (_, end) in (await ends(settings, [topics[2]])).items()}
    async with asyncio.timeout(60):
        while any(
            (at or 0) < ends_then[place] - 1 for place, at in (await committed(settings, name, ends_then)).items()
        ):
            await asyncio.sleep(0.2)
    await first.stop()
    await write(2)
    given.clear()
    second = stage()
    await second.start()
    async with asyncio.timeout(60):
        while len(given) < settings.partitions:
            await asyncio.sleep(0.1)
    await second.stop()
    for number, (offsets, position) in given.items():
        end = ends_then[topics[2], number]
        assert position is not None
        assert position in (end - 1, end), "after the last record, or after the mark of its transaction"
        assert {offset for offset in offsets if offset < position}
        assert {offset for offset in offsets if offset >= position}


@pytest.mark.parametrize("when", ["before the commit", "after the commit"])
async def test_an_unknown_outcome_is_found_out_and_nothing_is_lost_or_doubled(
    settings: KafkaSettings, name: str, when: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    real = TransactionalProducer.commit
    failures = {"left": 6}

    async def failing(self: TransactionalProducer, outputs: list[Output], *offsets: Any) -> None:
        of_a_lane = any(output.topic == POSITIONS for output in outputs)
        lost = of_a_lane and failures["left"] > 0
        if lost and when == "before the commit":
            failures["left"] -= 1
            raise BrokerUnavailable("the connection broke before the commit")
        await real(self, outputs, *offsets)
        if lost:
            failures["left"] -= 1
            raise BrokerUnavailable("the connection broke before the answer")

    monkeypatch.setattr(TransactionalProducer, "commit", failing)
    stage = counting_stage(settings, name)
    await stage.start()
    await put(settings, name, 20)
    found = await until_counted(settings, name, 20 * len(KEYS))
    await stage.stop()
    assert failures["left"] <= 0, "the fault did not happen often enough"
    assert found == exactly(20)


async def test_the_group_shows_tools_where_the_stage_stands(settings: KafkaSettings, name: str) -> None:
    stage = counting_stage(settings, name)
    await stage.start()
    places = [(topics_of(name)[0], number) for number in range(settings.partitions)]
    for stops in (False, True):
        await put(settings, name, 5)
        await until_counted(settings, name, (10 if stops else 5) * len(KEYS))
        if stops:
            await stage.stop()
        else:
            await asyncio.sleep(StageSettings().show_seconds * 2)
        shown = await committed(settings, name, places)
        reached = await ends(settings, {topic for topic, _ in places})
        # One short of the end: the marker of the last transaction.
        assert {place: at for place, at in shown.items() if at} == {
            place: reached[place][1] - 1 for place in places if reached[place][1]
        }


async def test_a_stage_frozen_past_its_session_is_fenced(settings: KafkaSettings, name: str) -> None:
    found, rounds = await freeze_and_thaw(settings, name)
    assert found == exactly(rounds)


async def test_without_one_producer_for_each_partition_the_frozen_stage_doubles_its_output(
    settings: KafkaSettings, name: str
) -> None:
    found, rounds = await freeze_and_thaw(settings, name, "--one-producer-for-all")
    assert found != exactly(rounds), "the sabotage did no harm, so the test above proves nothing"


async def freeze_and_thaw(settings: KafkaSettings, name: str, *flags: str) -> tuple[dict[bytes, list[int]], int]:
    """Stop one member in the middle of a transaction, let another take over, thaw it."""
    rounds = 60
    async with member(settings, name, "--slow", *flags) as first:
        await put(settings, name, 10)
        await until_counted(settings, name, 10 * len(KEYS))
        writer = asyncio.create_task(put(settings, name, rounds - 10, pause=0.1))
        await asyncio.sleep(1.5)
        first.send_signal(signal.SIGSTOP)
        async with member(settings, name, *flags):
            await asyncio.sleep(settings.session_timeout_seconds + 4)
            first.send_signal(signal.SIGCONT)
            await writer
            found = await until_counted(settings, name, rounds * len(KEYS))
            await asyncio.sleep(3)
            found = await counted(settings, name)
    return found, rounds


async def test_members_that_come_and_go_share_the_work_and_double_nothing(settings: KafkaSettings, name: str) -> None:
    rounds = 80
    async with member(settings, name):
        writer = asyncio.create_task(put(settings, name, rounds, pause=0.1))
        for end in ("SIGTERM", "SIGKILL"):
            async with member(settings, name) as second:
                await asyncio.sleep(3)
                second.send_signal(getattr(signal, end))
                await second.wait()
        await writer
        found = await until_counted(settings, name, rounds * len(KEYS))
    assert found == exactly(rounds)


async def test_a_broker_that_goes_and_comes_back_costs_nothing(
    kafka: LocalKafka, settings: KafkaSettings, name: str
) -> None:
    stage = counting_stage(settings, name)
    await stage.start()
    await put(settings, name, 10)
    await until_counted(settings, name, 10 * len(KEYS))
    await asyncio.to_thread(kafka.kill)
    await asyncio.sleep(2)
    await asyncio.to_thread(kafka.start)
    await put(settings, name, 10)
    found = await until_counted(settings, name, 20 * len(KEYS))
    await stage.stop()
    assert found == exactly(20)


async def test_more_than_the_queue_holds_waits_at_the_broker(settings: KafkaSettings, name: str) -> None:
    await put(settings, name, 300)
    lane = LaneSettings(batch_records_max=50, queue_records_max=100)
    stage = counting_stage(settings, name, stage=StageSettings(poll_records_max=60, lane=lane))
    longest = 0

    async def watch() -> None:
        nonlocal longest
        while True:
            longest = max([longest, *(lane.waiting for lane in stage.lanes.values())])
            await asyncio.sleep(0.001)

    watcher = asyncio.create_task(watch())
    await stage.start()
    found = await until_counted(settings, name, 300 * len(KEYS))
    await stage.stop()
    watcher.cancel()
    assert found == exactly(300)
    assert longest <= 100 + 60, "more waits in memory than one full queue and one poll"


@pytest.mark.parametrize(
    "headers",
    [[("ce_id", b"\xff\xfe")], [("ce_id", b"a"), ("ce_id", b"b")], []],
    ids=["not UTF-8", "twice", "none"],
)
async def test_a_record_with_bad_headers_reaches_the_logic_like_any_other(
    settings: KafkaSettings, name: str, headers: list[tuple[str, bytes]]
) -> None:
    producer = TransactionalProducer(settings, transactional_id=f"{name}-writer")
    await producer.start()
    await producer.commit([Output(topics_of(name)[0], b"k", None, headers)], {}, name)
    await producer.stop()
    stage = counting_stage(settings, name)
    await stage.start()
    found = await until_counted(settings, name, 1)
    await stage.stop()
    assert found == {b"k": [1]}


async def test_a_stage_without_a_position_stops_and_says_what_to_do(settings: KafkaSettings) -> None:
    lost = "count-lost-position"
    await create(settings, *topics_of(lost))
    await put(settings, lost, 1)
    stage = counting_stage(settings, lost)
    await stage.start()
    with pytest.raises(Misconfigured, match="subak topics create --first-start count-lost-position"):
        await asyncio.wait_for(stage.failed, 20)
    await stage.stop()
    assert await counted(settings, lost) == {}


async def test_topics_with_another_number_of_partitions_are_refused(settings: KafkaSettings) -> None:
    wrong = "count-wrong-partitions"
    await create(settings, *topics_of(wrong), partitions=settings.partitions + 2)
    stage = counting_stage(settings, wrong)
    await stage.start()
    with pytest.raises(Misconfigured, match="All topics must have the same number"):
        await asyncio.wait_for(stage.failed, 20)
    await stage.stop()


def test_keys_go_where_every_other_client_of_kafka_puts_them() -> None:
    # From Kafka's own UtilsTest.testMurmur2.
    theirs: dict[bytes, int] = {
        b"21": -973932308,
        b"foobar": -790332482,
        b"a-little-bit-long-string": -985981536,
        b"a-little-bit-longer-string": -1486304829,
        b"lkjh234lh9fiuh90y23oiuhsafujhadof229phr9h19h89h8": -58897971,
        b"abc": 479470107,
    }
    place: Callable[[int], int] = lambda hashed: (hashed & 0x7FFFFFFF) % 7  # noqa: E731 - as in Kafka's partitioner
    assert {key: partition_for(key, 7) for key in theirs} == {key: place(hashed) for key, hashed in theirs.items()}
