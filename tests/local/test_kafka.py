"""The local Kafka is real, ours alone, keeps its data until told to forget, and never outlives its owner."""

from __future__ import annotations

import asyncio
import socket
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import psutil
import pytest
from aiokafka import AIOKafkaConsumer, AIOKafkaProducer
from aiokafka.admin import AIOKafkaAdminClient, NewTopic

from deploy.local.children import start_child
from deploy.local.kafka import LocalKafka
from deploy.local.ownership import HomeLock
from deploy.local.ports import HOST, listens
from schemas.failures import Misconfigured

pytestmark = pytest.mark.kafka

OWNER = """
import sys, time
from pathlib import Path
from deploy.local.kafka import LocalKafka
kafka = LocalKafka(Path(sys.argv[1]))
kafka.start()
print(kafka.pid, flush=True)
time.sleep(600)
"""


@pytest.fixture
def mended(kafka: LocalKafka) -> Iterator[LocalKafka]:
    """The session's broker, for a test that breaks it: it runs again afterwards, whatever the test did."""
    yield kafka
    if kafka.is_running():
        kafka.resume()
    kafka.start()


async def _make_topic(bootstrap_servers: str, topic: str) -> None:
    admin = AIOKafkaAdminClient(bootstrap_servers=bootstrap_servers)
    await admin.start()
    try:
        await admin.create_topics([NewTopic(topic, 3, 1)])
    finally:
        await admin.close()


async def _topics(bootstrap_servers: str) -> set[str]:
    admin = AIOKafkaAdminClient(bootstrap_servers=bootstrap_servers)
    await admin.start()
    try:
        return set(await admin.list_topics())
    finally:
        await admin.close()


async def _write_one(bootstrap_servers: str, topic: str, value: bytes) -> None:
    producer = AIOKafkaProducer(
        bootstrap_servers=bootstrap_servers, transactional_id=f"{topic}-writer", enable_idempotence=True
    )
    await producer.start()
    try:
        async with producer.transaction():
            await producer.send(topic, value, key=b"k")
    finally:
        await producer.stop()


async def _read_committed(bootstrap_servers: str, topic: str, count: int) -> list[bytes | None]:
    consumer = AIOKafkaConsumer(
        topic,
        bootstrap_servers=bootstrap_servers,
        auto_offset_reset="earliest",
        isolation_level="read_committed",
        enable_auto_commit=False,
    )
    await consumer.start()
    values: list[bytes | None] = []
    try:
        async with asyncio.timeout(20):
            while len(values) < count:
                found = await consumer.getmany(timeout_ms=200)
                values += [record.value for records in found.values() for record in records]
    finally:
        await consumer.stop()
    return values


async def test_what_was_committed_is_read_after_a_stop_and_after_a_kill_at_once(mended: LocalKafka) -> None:
    """The broker must finish, after its restart, a transaction whose markers it had not written when it was killed."""
    topic, address = "local-survives", mended.bootstrap_servers
    await _make_topic(address, topic)
    await _write_one(address, topic, b"before the stop")
    mended.stop()
    mended.start()
    expected = [b"before the stop"]
    for number in range(2):
        expected.append(b"before kill %d" % number)
        await _write_one(address, topic, expected[-1])
        mended.kill()
        mended.start()
        assert await _read_committed(address, topic, len(expected)) == expected
    assert mended.bootstrap_servers == address


async def test_a_broker_that_was_paused_goes_on_where_it_was(mended: LocalKafka) -> None:
    topic, address = "local-paused", mended.bootstrap_servers
    await _make_topic(address, topic)
    await _write_one(address, topic, b"before")
    mended.pause()
    await asyncio.sleep(12)  # longer than Kafka's default broker session of 9 s
    mended.resume()
    await _write_one(address, topic, b"after")
    assert await _read_committed(address, topic, 2) == [b"before", b"after"]


def test_a_stop_is_clean_and_may_be_asked_for_twice(mended: LocalKafka) -> None:
    pid = mended.pid
    mended.stop()
    mended.stop()
    assert not psutil.pid_exists(pid)
    assert not mended.is_running()
    assert (mended.home / "data" / ".kafka_cleanshutdown").exists()


def test_a_broker_that_was_killed_from_outside_has_died_and_one_that_we_killed_has_not(mended: LocalKafka) -> None:
    psutil.Process(mended.pid).kill()
    deadline = time.monotonic() + 5
    while mended.is_running() and time.monotonic() < deadline:
        time.sleep(0.02)
    assert mended.has_died()
    mended.start()
    mended.kill()
    assert not mended.has_died()


def test_a_stranger_on_the_port_of_a_broker_that_is_down_is_named(mended: LocalKafka) -> None:
    port = int(mended.bootstrap_servers.rpartition(":")[2])
    mended.stop()
    with socket.socket() as stranger:
        stranger.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        stranger.bind((HOST, port))
        stranger.listen()
        with pytest.raises(Misconfigured, match=rf"\(pid {psutil.Process().pid}\) took Kafka's port {port}"):
            mended.start()


async def test_data_and_ports_stay_until_they_are_forgotten_and_a_taken_port_is_left_alone(tmp_path: Path) -> None:
    with LocalKafka(tmp_path) as first:
        address = first.bootstrap_servers
        await _make_topic(address, "kept")
    with LocalKafka(tmp_path) as second:
        assert second.bootstrap_servers == address
        assert "kept" in await _topics(address)
        assert listens(second.pid, int(address.rpartition(":")[2]))
    with socket.socket() as stranger:
        stranger.bind((HOST, int(address.rpartition(":")[2])))
        stranger.listen()
        with LocalKafka(tmp_path) as third:
            assert third.bootstrap_servers != address
            assert "kept" in await _topics(third.bootstrap_servers)
    with LocalKafka(tmp_path, fresh=True) as fourth:
        assert await _topics(fourth.bootstrap_servers) == set()
        await _make_topic(fourth.bootstrap_servers, "new")
        fourth.stop()
        fourth.start()
        assert "new" in await _topics(fourth.bootstrap_servers), "fresh forgets once, not at each start"


def test_a_broker_dies_with_its_owner_and_the_next_owner_goes_on(tmp_path: Path) -> None:
    owner = subprocess.Popen([sys.executable, "-c", OWNER, str(tmp_path)], stdout=subprocess.PIPE, text=True)
    assert owner.stdout is not None
    with owner.stdout:
        pid = int(owner.stdout.readline())
    broker = psutil.Process(pid)
    owner.kill()
    owner.wait()
    broker.wait(5)
    assert (tmp_path / "kafka.pid").read_text().strip() == str(pid), "nobody was left to tidy up"
    with LocalKafka(tmp_path) as kafka:
        assert kafka.pid != pid


def test_a_broker_that_was_left_behind_is_ended_and_a_stranger_with_its_number_is_not(tmp_path: Path) -> None:
    sleep = [sys.executable, "-c", "import time; time.sleep(600)"]
    orphan = start_child([*sleep, str(tmp_path / "server.properties")], log=tmp_path / "log")
    stranger = start_child(sleep, log=tmp_path / "log")
    time.sleep(0.3)
    kafka = LocalKafka(tmp_path)
    (tmp_path / "kafka.pid").write_text(f"{stranger.pid}\n", encoding="ascii")
    kafka._end_orphan()
    (tmp_path / "kafka.pid").write_text(f"{orphan.pid}\n", encoding="ascii")
    kafka._end_orphan()
    try:
        assert stranger.poll() is None
        orphan.wait(5)
        assert not psutil.pid_exists(orphan.pid)
    finally:
        stranger.kill()
        stranger.wait()


def test_a_second_owner_of_a_home_is_told_who_has_it(tmp_path: Path) -> None:
    owner = HomeLock(tmp_path)
    owner.take()
    with pytest.raises(Misconfigured, match=rf"Another Subak runs on .* already \(process {psutil.Process().pid}\)"):
        LocalKafka(tmp_path).start()
    owner.release()


def test_a_broker_that_does_not_start_says_why(tmp_path: Path) -> None:
    data = tmp_path / "data"
    data.mkdir()
    (data / "meta.properties").write_text("version=1\nnode.id=7\ncluster.id=another\n", encoding="ascii")
    with pytest.raises(Misconfigured, match=r"Kafka ended while it started(.|\n)*node(.|\n)*7"):
        LocalKafka(tmp_path).start()
