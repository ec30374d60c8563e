"""The run file: where a local bus is to be found. Written by `subak up`, read by every other command."""

from __future__ import annotations

import json
import os
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import TypedDict

from bus.kafka.security import Credentials, Protocol, Security
from schemas.failures import Misconfigured

NAME = "run.json"


class RunSecurity(TypedDict, total=False):
    """How a secured local Kafka is reached, as paths."""

    security_protocol: Protocol
    ca_file: str
    operator_file: str
    administrator_file: str


@dataclass(frozen=True, kw_only=True)
class RunFile:
    """What is running in one home."""

    city: str
    """The city's name or directory, as `load_city` takes it."""
    bootstrap_servers: str
    partitions: int
    casebook_url: str
    replication_factor: int = 1
    security_protocol: Protocol = "PLAINTEXT"
    ca_file: str = ""
    operator_file: str = ""
    """The credentials of the operators' commands."""
    administrator_file: str = ""
    """The credentials of whoever administers its Kafka."""
    adapters: dict[str, dict[str, str]] = field(default_factory=dict)
    """Agency id → `url` and `token` of its adapter's HTTP source, and the `ledger_token` that only reads."""
    open311: dict[str, dict[str, str]] = field(default_factory=dict)
    """Agency id → `url` and `api_key` of its Open311 server."""
    processes: dict[str, dict[str, str | int]] = field(default_factory=dict)
    """Process name → `pid` and `url` (of /metrics and /health)."""
    brokers: dict[str, dict[str, str | int]] = field(default_factory=dict)
    """Broker name → `pid` and `address`, of a Kafka of its own."""

    @classmethod
    def load(cls, home: Path) -> RunFile:
        """The run file in `home` (a city's folder), or in the one city's folder below it.

        Raises:
            Misconfigured: nothing runs there.
        """
        found = [home / NAME] if (home / NAME).is_file() else sorted(home.glob(f"*/{NAME}"))
        if not found:
            raise Misconfigured(
                f"no bus runs in {home}. Start one with `subak up`, or set SUBAK_KAFKA_BOOTSTRAP_SERVERS "
                "(and SUBAK_HOME where the bus runs in another folder)."
            )
        if len(found) > 1:
            names = ", ".join(path.parent.name for path in found)
            raise Misconfigured(f"several cities run in {home}: {names}. Choose one: SUBAK_HOME={found[0].parent}.")
        try:
            return cls(**json.loads(found[0].read_text(encoding="utf-8")))
        except (ValueError, TypeError) as error:
            raise Misconfigured(f"{found[0]} cannot be read: {error}. Stop the bus and start it again.") from error

    def security(self, *, administration: bool = False) -> Security:
        """How the operators' commands (or the administrator's) reach its Kafka."""
        if self.security_protocol == "PLAINTEXT":
            return Security()
        file = self.administrator_file if administration else self.operator_file
        return Security(
            protocol=self.security_protocol, ca_file=Path(self.ca_file), credentials=Credentials(file=Path(file))
        )

    def write(self, home: Path) -> None:
        """Put the run file into `home`, whole or not at all. It holds tokens: only its owner may read it."""
        home.mkdir(parents=True, exist_ok=True)
        temporary = home / f"{NAME}.new"
        descriptor = os.open(temporary, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600)
        with os.fdopen(descriptor, "w", encoding="utf-8") as file:
            json.dump(asdict(self), file, indent=1)
        temporary.replace(home / NAME)
