"""What one local broker is told: a whole node in one process, on little memory, Kafka's own guarantees untouched."""

from __future__ import annotations

from pathlib import Path

NODE_ID = 1
HEAP_MEBIBYTES_MAX = 512

# A value of 1 MiB is the bus's limit; headers come on top. A topic that holds more (`city-rejected`) says so itself.
MESSAGE_BYTES_MAX = 1024 * 1024 + 128 * 1024

Properties = dict[str, str | int]


def server_properties(*, port: int, controller_port: int, data: Path) -> Properties:
    """`server.properties` of one node that is broker and controller."""
    return {
        **_node(controller_port=controller_port, data=data),
        "process.roles": "broker,controller",
        "listeners": f"BUS://127.0.0.1:{port},CONTROLLER://127.0.0.1:{controller_port}",
        "advertised.listeners": f"BUS://127.0.0.1:{port}",
        "inter.broker.listener.name": "BUS",
        # Nobody can take over from the only node, so a pause of any length must not fence it, and a stop must not
        # announce itself: both leave partitions without a leader for a moment, and `settling_properties` says why
        # that hurts.
        "broker.session.timeout.ms": 24 * 60 * 60 * 1000,
        "controlled.shutdown.enable": "false",
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
        # this much index covers nearly a whole segment.
        "log.index.size.max.bytes": 512 * 1024,
        "log.segment.bytes": 128 * 1024 * 1024,
        "log.cleaner.dedupe.buffer.size": 16 * 1024 * 1024,
        # A laptop that slept for weeks goes on where it stopped (the default forgets positions after 7 days).
        "offsets.retention.minutes": 60 * 24 * 365,
        # Members come back in seconds after a fault, and a test can lose one as fast.
        "group.initial.rebalance.delay.ms": 0,
        "group.min.session.timeout.ms": 1000,
        "transaction.abort.timed.out.transaction.cleanup.interval.ms": 1000,
        "num.network.threads": 2,
        "num.io.threads": 4,
        "background.threads": 2,
        "log.cleaner.threads": 1,
        "num.recovery.threads.per.data.dir": 2,
    }


def settling_properties(*, controller_port: int, data: Path) -> Properties:
    """`server.properties` of the controller that runs alone for a moment before the node starts again.

    It writes down that the node's last run is over. Without that, the restarted node leads its partitions at once in
    the name of its last run, then is fenced, and then leads them again. A transaction that had committed just before
    the stop, and whose markers were not written yet, is finished in between: Kafka 4.3 takes a partition without a
    leader for a deleted one and skips its marker, so that readers of committed records wait at that transaction for
    ever. Seen in one of three restarts after a kill, and every such restart took ten seconds longer.
    """
    return {
        **_node(controller_port=controller_port, data=data),
        "process.roles": "controller",
        "listeners": f"CONTROLLER://127.0.0.1:{controller_port}",
        "broker.session.timeout.ms": 50,
        "broker.heartbeat.interval.ms": 25,
    }


def _node(*, controller_port: int, data: Path) -> Properties:
    return {
        "node.id": NODE_ID,
        "controller.quorum.voters": f"{NODE_ID}@127.0.0.1:{controller_port}",
        "controller.listener.names": "CONTROLLER",
        "listener.security.protocol.map": "BUS:PLAINTEXT,CONTROLLER:PLAINTEXT",
        "log.dirs": str(data),
        # Each start writes down every partition's leader: a snapshot now and then keeps what must be read again short.
        "metadata.log.max.record.bytes.between.snapshots": 512 * 1024,
    }


def as_text(properties: Properties) -> str:
    """The properties as a file holds them."""
    return "".join(f"{key}={value}\n" for key, value in properties.items())


def java_options() -> list[str]:
    """Options of the Java machine. Serial collection is the cheapest on two cores that others need too."""
    return [
        f"-Xmx{HEAP_MEBIBYTES_MAX}m",
        "-Xms64m",
        "-XX:+UseSerialGC",
        "-XX:TieredStopAtLevel=1",  # the second took half of the broker's time in a run of minutes
        "-XX:+ExitOnOutOfMemoryError",
        "-Xlog:disable",
        "-Xlog:all=error:stderr",
        "--sun-misc-unsafe-memory-access=allow",  # Kafka's own use of it prints a warning at every start
        "-Djava.awt.headless=true",
        "-Dorg.slf4j.simpleLogger.defaultLogLevel=warn",
        "-Dorg.slf4j.simpleLogger.showDateTime=true",
        "-Dorg.slf4j.simpleLogger.dateTimeFormat=yyyy-MM-dd'T'HH:mm:ss.SSSXXX",
    ]
