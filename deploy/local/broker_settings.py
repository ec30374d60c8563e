"""What one local broker is told: a whole node in one process, on little memory, Kafka's own guarantees untouched.

Alone it holds the only copy of everything; as one of three it is what a city's broker is, on one machine.
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

HEAP_MEBIBYTES_MAX = 512
HEAP_MEBIBYTES_MAX_OF_SEVERAL = 320
"""Of each of several brokers: they share one machine, and its file cache does most of the work."""

# A value of 1 MiB is the bus's limit; headers come on top. A topic that holds more (`city-rejected`) says so itself.
MESSAGE_BYTES_MAX = 1024 * 1024 + 128 * 1024

Properties = dict[str, str | int]


@dataclass(frozen=True, kw_only=True)
class Node:
    """Which of a cluster's nodes one is."""

    id: int = 1
    controllers: tuple[int, ...] = ()
    """The controllers' ports of all nodes, in the order of their ids from 1; none where it is alone."""

    @property
    def copies(self) -> int:
        """How many copies of everything there are."""
        return min(3, max(1, len(self.controllers)))


def server_properties(*, port: int, controller_port: int, data: Path, node: Node = Node()) -> Properties:
    """`server.properties` of one node that is broker and controller."""
    copies, written = node.copies, max(1, node.copies - 1)
    return {
        **_node(controller_port=controller_port, data=data, node=node),
        "process.roles": "broker,controller",
        "listeners": f"BUS://127.0.0.1:{port},CONTROLLER://127.0.0.1:{controller_port}",
        "advertised.listeners": f"BUS://127.0.0.1:{port}",
        "inter.broker.listener.name": "BUS",
        **(_ALONE if copies == 1 else _ONE_OF_SEVERAL),
        # More copies than there are nodes, and a transactional producer waits for ever.
        "default.replication.factor": copies,
        "min.insync.replicas": written,
        "offsets.topic.replication.factor": copies,
        "transaction.state.log.replication.factor": copies,
        "transaction.state.log.min.isr": written,
        "share.coordinator.state.topic.replication.factor": copies,
        "share.coordinator.state.topic.min.isr": written,
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


_ALONE: Properties = {
    # Nobody can take over from the only node, so a pause of any length must not fence it, and a stop must not announce
    # itself: both leave partitions without a leader for a moment, and `settling_properties` says why that hurts.
    "broker.session.timeout.ms": 24 * 60 * 60 * 1000,
    "controlled.shutdown.enable": "false",
}
_ONE_OF_SEVERAL: Properties = {
    # A broker that is silent for so long loses its partitions to the others. A city's may take Kafka's 9 s; here three
    # share few processors with the whole bus, and one that waits for its turn must not count as lost.
    "broker.session.timeout.ms": 9_000,
    "broker.heartbeat.interval.ms": 1_000,
    # Asked to stop together, the last ones would wait for a controller that is gone.
    "controlled.shutdown.enable": "false",
    # A copy that is behind for so long does not hold up writes any more.
    "replica.lag.time.max.ms": 10_000,
    "num.replica.fetchers": 1,
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
        **_node(controller_port=controller_port, data=data, node=Node()),
        "process.roles": "controller",
        "listeners": f"CONTROLLER://127.0.0.1:{controller_port}",
        "broker.session.timeout.ms": 50,
        "broker.heartbeat.interval.ms": 25,
    }


def _node(*, controller_port: int, data: Path, node: Node) -> Properties:
    voters = enumerate(node.controllers or (controller_port,), 1)
    return {
        "node.id": node.id,
        "controller.quorum.voters": ",".join(f"{id}@127.0.0.1:{port}" for id, port in voters),
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
