"""How to reach the cluster, and what the bus asks of it. Every client option is stated: defaults lose data."""

from __future__ import annotations

from dataclasses import dataclass, field, replace
from typing import Any, Literal

from bus.kafka.security import Credentials, Security


@dataclass(frozen=True, kw_only=True)
class KafkaSettings:
    """One bus on one cluster."""

    bootstrap_servers: str
    """`host:port`, several with commas."""

    partitions: int = 4
    """Partitions of every topic of the bus. Frozen at creation: another number moves cases and breaks their order."""

    replication_factor: int = 1
    """Copies of every partition: 3 in a city, 1 on one machine. Min ISR follows: one less, at least 1."""

    security: Security = field(default_factory=Security)
    """Who we are to Kafka, and whom we trust."""

    compression: Literal["none", "lz4"] = "lz4"
    """How batches travel and rest. lz4 takes a third of the space, and a tenth of a stage's processor time."""

    client_id: str = "subak"
    """The name that the broker's logs and quotas see."""

    request_timeout_seconds: float = 15.0
    """How long one request to the broker may take before the connection counts as broken."""

    transaction_timeout_seconds: float = 20.0
    """How long the broker keeps a transaction of a dead producer open. Readers wait behind it: short is good."""

    session_timeout_seconds: float = 6.0
    """A stage that is silent for so long loses its partitions to another."""

    fetch_wait_seconds: float = 0.06
    """How long the broker may hold a fetch under load that is not full yet: a bound on latency (`pace.py`)."""

    fetch_bytes_min: int = 32 * 1024
    """What makes a fetch full."""

    @property
    def min_insync_replicas(self) -> int:
        """Copies that must have a record before it counts as written."""
        return max(1, self.replication_factor - 1)

    def known_as(self, credentials: Credentials) -> KafkaSettings:
        """The same bus for another user."""
        return replace(self, security=replace(self.security, credentials=credentials))

    def client(self, name: str) -> dict[str, Any]:
        """Options of every client.

        Raises:
            Misconfigured: a file with credentials or certificates cannot be read.
        """
        return {
            "bootstrap_servers": self.bootstrap_servers,
            "client_id": f"{self.client_id}-{name}",
            "request_timeout_ms": int(self.request_timeout_seconds * 1000),
            "retry_backoff_ms": 50,
            "metadata_max_age_ms": 30_000,
            **self.security.options(),
        }

    def consumer(self, name: str) -> dict[str, Any]:
        """Options of every consumer: committed records only, no commits of its own, no start over in silence."""
        return {
            **self.client(name),
            "isolation_level": "read_committed",
            "enable_auto_commit": False,
            "auto_offset_reset": "none",
            "fetch_max_wait_ms": int(self.fetch_wait_seconds * 1000),
            "fetch_min_bytes": self.fetch_bytes_min,
            "max_partition_fetch_bytes": 4 * 1024 * 1024,
        }

    def producer(self, name: str) -> dict[str, Any]:
        """Options of every producer: all in-sync copies, idempotent."""
        return {
            **self.client(name),
            "acks": "all",
            "enable_idempotence": True,
            "compression_type": None if self.compression == "none" else self.compression,
            "max_batch_size": 1_000_000,
            "max_request_size": 4 * 1024 * 1024,
            "linger_ms": 0,
            # A record right after a transaction may be told to wait for its markers, a few milliseconds.
            "retry_backoff_ms": 15,
        }
