"""Three brokers: each its own process that listens, one may be lost and comes back, and what was written stays."""

from __future__ import annotations

import asyncio
import socket
import time
from collections.abc import Iterator
from pathlib import Path

import psutil
import pytest

from bus.city import city_path, load_city
from bus.kafka import KafkaSettings, TransactionalProducer, ensure_topics
from bus.kafka.offsets import admin_client
from bus.records import Output
from bus.topics import EVENTS
from deploy.local.cluster import LocalCluster
from deploy.local.kafka import LocalKafka
from deploy.local.ports import HOST, listens
from deploy.local.up import LocalCity
from schemas.failures import Misconfigured
from services.cli.examining import copies

pytestmark = [pytest.mark.kafka, pytest.mark.slow, pytest.mark.timeout(600)]

CITY = load_city(city_path("san-francisco"))


def at(cluster: LocalCluster) -> KafkaSettings:
    return KafkaSettings(
        bootstrap_servers=cluster.bootstrap_servers,
        partitions=1,
        replication_factor=3,
        compression="none",
        security=cluster.security,
    )


@pytest.fixture(scope="module")
def cluster(tmp_path_factory: pytest.TempPathFactory) -> Iterator[LocalCluster]:
    with LocalCluster(tmp_path_factory.mktemp("cluster")) as cluster:
        asyncio.run(ensure_topics(at(cluster), CITY.agencies))
        yield cluster


async def described(cluster: LocalCluster, topic: str) -> list[dict[str, object]]:
    async with admin_client(at(cluster), "a test") as admin:
        (found,) = await admin.describe_topics([topic])
    return list(found["partitions"])


async def in_sync(cluster: LocalCluster) -> int:
    return min(len(partition["isr"]) for partition in await described(cluster, EVENTS))  # type: ignore[arg-type]


async def until_in_sync(cluster: LocalCluster, count: int, seconds: float = 90) -> None:
    deadline = time.monotonic() + seconds
    while await in_sync(cluster) != count:
        assert time.monotonic() < deadline, f"not {count} copies in sync"
        await asyncio.sleep(0.3)


async def write(cluster: LocalCluster, value: bytes) -> None:
    producer = TransactionalProducer(at(cluster), transactional_id="test-cluster")
    await producer.start()
    try:
        await producer.commit([Output(EVENTS, b"key", value, [], 0)], {}, "test-cluster")
    finally:
        await producer.stop()


def test_each_broker_is_a_process_of_ours_that_listens_and_each_topic_has_three_copies(cluster: LocalCluster) -> None:
    assert len({broker.pid for broker in cluster.brokers.values()}) == 3
    for broker in cluster.brokers.values():
        assert listens(broker.pid, int(broker.bootstrap_servers.rpartition(":")[2]))
    (partition,) = asyncio.run(described(cluster, EVENTS))
    assert sorted(partition["replicas"]) == [1, 2, 3]  # type: ignore[call-overload]


async def test_one_of_three_is_lost_writes_go_on_and_its_copies_fill_when_it_is_back(cluster: LocalCluster) -> None:
    await until_in_sync(cluster, 3)
    (partition,) = await described(cluster, EVENTS)
    victim = cluster.brokers[f"kafka-{partition['leader']}"]
    victim.kill()
    async with asyncio.timeout(60):
        await write(cluster, b"with two of three")
    await until_in_sync(cluster, 2)
    (finding,) = await asyncio.to_thread(lambda: list(copies(at(cluster), CITY)))
    assert (finding.level, "copies that are behind" in finding.what) == ("warning", True)
    await asyncio.to_thread(victim.start)
    await until_in_sync(cluster, 3)
    (finding,) = await asyncio.to_thread(lambda: list(copies(at(cluster), CITY)))
    assert finding.level == "ok"


async def test_after_a_stop_and_after_a_power_cut_all_is_there(cluster: LocalCluster) -> None:
    address, ends = cluster.bootstrap_servers, []
    for end in (cluster.stop, cluster.kill):
        await write(cluster, b"before the end")
        end_began = time.monotonic()
        await asyncio.to_thread(end)
        assert time.monotonic() - end_began < 15, "they stop at once, and wait for no controller that is gone"
        await asyncio.to_thread(cluster.start)
        assert cluster.bootstrap_servers == address
        async with asyncio.timeout(90):
            await write(cluster, b"afterwards")
        await until_in_sync(cluster, 3)
        ends.append(await _count(cluster))
    assert ends == [3, 5], "a reader of committed records sees all, and waits at no transaction that has no end"


async def _count(cluster: LocalCluster) -> int:
    from bus.kafka import TopicReader

    reader = TopicReader(at(cluster), name="test")
    await reader.start({(EVENTS, 0): 0})
    try:
        async with asyncio.timeout(60):
            return sum([len(records) async for records in reader.to_end()])
    finally:
        await reader.stop()


def test_a_stranger_on_the_port_of_a_broker_that_is_down_is_named(cluster: LocalCluster) -> None:
    broker = cluster.brokers["kafka-3"]
    port = int(broker.bootstrap_servers.rpartition(":")[2])
    broker.kill()
    with socket.socket() as stranger:
        stranger.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        stranger.bind((HOST, port))
        stranger.listen()
        with pytest.raises(Misconfigured, match=rf"\(pid {psutil.Process().pid}\) took Kafka's port {port}"):
            broker.start()
    broker.start()


def test_as_many_brokers_stay_as_many_until_they_are_forgotten(cluster: LocalCluster, tmp_path: Path) -> None:
    pids = [broker.pid for broker in cluster.brokers.values()]
    cluster.stop()
    assert not [pid for pid in pids if psutil.pid_exists(pid)]
    with pytest.raises(Misconfigured, match=r"made with 3 brokers, and stays so\. Start it with --brokers 3"):
        LocalKafka(cluster.home).start()
    with pytest.raises(Misconfigured, match="made in plaintext"):
        LocalCluster(cluster.home, secure=True).start()
    with pytest.raises(Misconfigured, match="neither 1 nor 3"):
        LocalCity("san-francisco", home=tmp_path, brokers=2)
    (tmp_path / "data").mkdir()
    (tmp_path / "data" / "meta.properties").touch()
    with pytest.raises(Misconfigured, match=r"made with 1 broker, and stays so"):
        LocalCluster(tmp_path).start()
