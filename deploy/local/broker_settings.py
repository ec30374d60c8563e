"""What one local broker is told: a whole node in one process, on little memory, with Kafka's own guarantees untouched."""

from __future__ import annotations

from pathlib import Path

HEAP_MEBIBYTES_MAX = 512

# A value of 1 MiB is the bus's limit, and headers come on top. Topics that hold more (`city-rejected`) say so themselves.
MESSAGE_BYTES_MAX = 1024 * 1024 + 128 * 1024


def server_properties(*, port: int, controller_port: int, data: Path) -> str:
    """The text of `server.properties` for one node that is broker and controller."""
    settings: dict[str, str | int] = {
        "process.roles": "broker,controller",
        "node.id": 1,
        "controller.quorum.voters": f"1@127.0.0.1:{controller_port}",
        "listeners": f"BUS://127.0.0.1:{port},CONTROLLER://127.0.0.1:{controller_port}",
        "advertised.listeners": f"BUS://127.0.0.1:{port}",
        "listener.security.protocol.map": "BUS:PLAINTEXT,CONTROLLER:PLAINTEXT",
        "inter.broker.listener.name": "BUS",
        "controller.listener.names": "CONTROLLER",
        "log.dirs": str(data),
        # One node holds the only copy of everything; without these a transactional producer waits for ever.
        "default.replication.factor": 1,
        "min.insync.replicas": 1,
        "offsets.topic.replication.factor": 1,
        "transaction.state.log.replication.factor": 1,
        "transaction.state.log.min.isr": 1,
        "share.coordinator.state.topic.replication.factor": 1,
        "share.coordinator.state.topic.min.isr": 1,
        # Kafka's own topics have 50 partitions each by default: made for many brokers, and slow to start on one.
        "offsets.topic.num.partitions": 8,
        "transaction.state.log.num.partitions": 8,
        "share.coordinator.state.topic.num.partitions": 1,
        # A topic that nobody planned is a spelling mistake.
        "auto.create.topics.enable": "false",
        "message.max.bytes": MESSAGE_BYTES_MAX,
        # Hundreds of partitions are cheap when each one's index files are small. An index entry stands for 4 KiB, so
        # this index covers more than a whole segment.
        "log.index.size.max.bytes": 512 * 1024,
        "log.segment.bytes": 128 * 1024 * 1024,
        "log.cleaner.dedupe.buffer.size": 16 * 1024 * 1024,
        # A laptop that slept for weeks goes on where it stopped (the default forgets positions after 7 days).
        "offsets.retention.minutes": 60 * 24 * 365,
        # Members come back in seconds after a fault, and tests can lose one as fast.
        "group.initial.rebalance.delay.ms": 0,
        "group.min.session.timeout.ms": 1000,
        "transaction.abort.timed.out.transaction.cleanup.interval.ms": 1000,
        "num.network.threads": 2,
        "num.io.threads": 4,
        "background.threads": 2,
        "log.cleaner.threads": 1,
        "num.recovery.threads.per.data.dir": 2,
    }
    return "".join(f"{key}={value}\n" for key, value in settings.items())


def java_options() -> list[str]:
    """Options of the Java machine, for both the broker and Kafka's tools."""
    return [
        f"-Xmx{HEAP_MEBIBYTES_MAX}m",
        "-Xms64m",
        "-XX:+UseSerialGC",
        "-Djava.awt.headless=true",
        "--sun-misc-unsafe-memory-access=allow",  # silences a warning about Kafka at every start
        "-Dorg.slf4j.simpleLogger.defaultLogLevel=warn",
        "-Dorg.slf4j.simpleLogger.showDateTime=true",
        "-Dorg.slf4j.simpleLogger.dateTimeFormat=yyyy-MM-dd'T'HH:mm:ss.SSSXXX",
    ]
