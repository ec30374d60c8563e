"""What the trials stand on: a real Kafka of this run, the adapter as a process that is killed at will, its system."""

from __future__ import annotations

import asyncio
import contextlib
import json
import os
import secrets
import signal
import sys
from collections.abc import AsyncIterator, Callable, Sequence
from pathlib import Path
from typing import Any

import httpx

from adapters.config import ServedAgency
from bus.city import City
from bus.kafka import KafkaSettings, TopicReader, TransactionalProducer, ensure_topics, partitions_of
from bus.records import Output, Record
from bus.topics import in_topic, out_topic
from deploy.certification.system import GOOD, HostileSystem
from schemas.envelope import Event
from schemas.failures import Misconfigured
from schemas.identifiers import derived_id, new_id
from schemas.registry import EventData
from schemas.types.approvals import ApprovalRefused
from schemas.types.requests import RequestCommented
from schemas.types.workorders import WorkOrderInspected, WorkOrderStarted

READY_SECONDS_MAX = 60.0
WAIT_SECONDS_MAX = 60.0
"""How long a trial waits for what must happen."""

PARTITIONS = 4


class Failed(Exception):
    """A promise was not kept; says what was seen instead."""


class Stand:
    """Everything that a trial may use. One agency is looked at."""

    def __init__(self, city: City, agency: ServedAgency, folder: Path, *, city_name: str) -> None:
        """
        Args:
            city_name: as `SUBAK_CITY` names it, for the adapter's process.

        Raises:
            Misconfigured: the agency may publish nothing that a trial could say.
        """
        self.city = city
        self._city_name = city_name
        self.type, self.field = _sayable(city, agency.id)
        self.agency = agency.id
        self.source = city.source_of(agency.id)
        from deploy.local.kafka import LocalKafka  # here, since the image has no local Kafka
        from deploy.local.ports import free_ports

        ports = free_ports(2)
        self._secret = secrets.token_urlsafe(32)
        self._token = secrets.token_urlsafe(24)
        self.system = HostileSystem(ports[0], self._secret.encode())
        self.kafka = LocalKafka(folder / "kafka")
        self.log = folder / "adapter.log"
        self._folder = folder
        self._url = f"http://127.0.0.1:{ports[1]}"
        self._port = ports[1]
        self._process: asyncio.subprocess.Process | None = None
        self._client = httpx.AsyncClient(timeout=60)
        self._concurrency_max = agency.webhook.concurrency_max if agency.webhook is not None else 16

    @contextlib.asynccontextmanager
    async def standing(self) -> AsyncIterator[None]:
        """Start Kafka and the system; end everything whatever happens."""
        try:
            await asyncio.to_thread(self.kafka.start)
            await ensure_topics(self.settings, [self.agency])
            await self.system.start()
            self._write()
            yield
        finally:
            await self.end_adapter(signal.SIGKILL)
            await self.system.stop()
            await self._client.aclose()
            await asyncio.to_thread(self.kafka.stop)

    @property
    def settings(self) -> KafkaSettings:
        """The run's own Kafka."""
        return KafkaSettings(bootstrap_servers=self.kafka.bootstrap_servers, partitions=PARTITIONS)

    def secrets(self) -> tuple[str, str]:
        """What no log may contain."""
        return self._token, self._secret

    # -- the adapter

    def _write(self) -> None:
        lines = [
            "[adapter]",
            'name = "certification"',
            f'listen = "127.0.0.1:{self._port}"',
            "[[agency]]",
            f'id = "{self.agency}"',
            f'token = "{self._token}"',
            "  [agency.webhook]",
            f'  url = "{self.system.url}"',
            f'  secret = "{self._secret}"',
            f"  concurrency_max = {self._concurrency_max}",
            "  timeout_seconds = 2",
            "  tries_max = 4",
            "  retry_seconds_first = 0.05",
            "  retry_seconds_max = 0.5",
            "  allow_private = true",
            "  allow_http = true",
        ]
        (self._folder / "adapter.toml").write_text("\n".join(lines) + "\n", encoding="utf-8")

    async def start_adapter(self) -> None:
        """Start it and wait until it takes events."""
        environment = {name: value for name, value in os.environ.items() if not name.startswith("SUBAK_")}
        environment |= {
            "SUBAK_KAFKA_BOOTSTRAP_SERVERS": self.kafka.bootstrap_servers,
            "SUBAK_KAFKA_PARTITIONS": str(PARTITIONS),
            "SUBAK_CITY": self._city_name,
            "SUBAK_HOME": str(self._folder),
        }
        with self.log.open("ab") as log:
            self._process = await asyncio.create_subprocess_exec(
                sys.executable,
                "-m",
                "services.cli",
                "run",
                "adapter",
                str(self._folder / "adapter.toml"),
                env=environment,
                stdout=log,
                stderr=log,
            )
        async with asyncio.timeout(READY_SECONDS_MAX):
            while True:
                with contextlib.suppress(httpx.TransportError):
                    if (await self._client.get(f"{self._url}/health/ready")).status_code == 200:
                        return
                if self._process.returncode is not None:
                    last = self.log.read_text(encoding="utf-8", errors="replace").strip().splitlines()[-1:]
                    raise Failed(f"the adapter ended: {' '.join(last)[:500]}")
                await asyncio.sleep(0.1)

    async def end_adapter(self, number: signal.Signals) -> int:
        """Send it a signal and wait for its end; its exit code."""
        process, self._process = self._process, None
        if process is None:
            return 0
        with contextlib.suppress(ProcessLookupError):
            process.send_signal(number)
        return await process.wait()

    # -- the agency's side

    async def post(
        self, body: bytes | list[dict[str, Any]] | dict[str, Any], *, key: str | None = None, token: str | None = None
    ) -> httpx.Response:
        """What the agency's system POSTs."""
        headers = {"Authorization": f"Bearer {token or self._token}", "Content-Type": "application/json"}
        if key is not None:
            headers["Idempotency-Key"] = key
        content = body if isinstance(body, bytes) else json.dumps(body).encode()
        return await self._client.post(f"{self._url}/agencies/{self.agency}/events", content=content, headers=headers)

    async def ask(self, method: str, path: str) -> httpx.Response:
        """Something else below the agency's path."""
        return await self._client.request(
            method, f"{self._url}/agencies/{self.agency}/{path}", headers={"Authorization": f"Bearer {self._token}"}
        )

    def says(self, case: str, text: str) -> dict[str, Any]:
        """An event that the agency may send about a case."""
        return {
            "id": new_id(),
            "type": self.type,
            "subject": derived_id("certification", case),
            "jurisdiction": self.city.area,
            "data": {self.field: text},
        }

    # -- the bus's side

    async def published(self) -> list[Record]:
        """Everything in the agency's out topic, in order within each partition."""
        return await self._read(out_topic(self.agency))

    async def _read(self, topic: str) -> list[Record]:
        reader = TopicReader(self.settings, name="certification")
        await reader.start(partitions_of([topic], PARTITIONS))
        try:
            return [record async for records in reader.to_end() for record in records]
        finally:
            await reader.stop()

    def told(self, case: str, text: str) -> Event:
        """An event of the bus that the agency must hear."""
        return Event(
            id=new_id(),
            type=RequestCommented.registered.name,
            source=self.city.source_of("workflows"),
            subject=derived_id("certification", case),
            time="2026-01-01T00:00:00Z",
            jurisdiction=self.city.area,
            data=RequestCommented(text=text).encode(),
        )

    async def deliver(self, events: Sequence[Event], *, name: str = "router") -> None:
        """Write events into the agency's in topic, as the router would."""
        producer = TransactionalProducer(self.settings, transactional_id=f"certification-{name}")
        await producer.start()
        try:
            topic = in_topic(self.agency)
            outputs = [Output(topic, event.key, event.data, event.headers()) for event in events]
            await producer.commit(outputs, {}, f"certification-{name}")
        finally:
            await producer.stop()

    # -- waiting

    async def until(self, holds: Callable[[], bool], what: str, *, seconds: float = WAIT_SECONDS_MAX) -> None:
        """Wait until something holds.

        Raises:
            Failed: it did not, in time.
        """
        deadline = asyncio.get_running_loop().time() + seconds
        while not holds():
            if asyncio.get_running_loop().time() > deadline:
                raise Failed(f"within {seconds:g} s {what} did not come to be")
            await asyncio.sleep(0.05)

    async def until_published(self, ids: Sequence[str]) -> list[Record]:
        """Wait until the out topic has all of these events; gives all that it has.

        Raises:
            Failed: some are missing.
        """
        deadline = asyncio.get_running_loop().time() + WAIT_SECONDS_MAX
        while True:
            records = await self.published()
            missing = set(ids) - {id_of(record) for record in records}
            if not missing:
                return records
            if asyncio.get_running_loop().time() > deadline:
                raise Failed(f"{len(missing)} of {len(ids)} events did not reach Kafka, such as {min(missing)}")
            await asyncio.sleep(0.2)

    async def recover(self) -> None:
        """After a trial that failed: everything runs again, so that the next one is not blamed for it."""
        await self.end_adapter(signal.SIGKILL)
        if not self.kafka.is_running():
            await asyncio.to_thread(self.kafka.start)
        await self.system.stop()
        await self.system.start()
        self.quiet()
        await self.start_adapter()

    def quiet(self) -> None:
        """The system behaves again, and forgets."""
        self.system.behaviour = lambda _event, _times: GOOD
        self.system.calls.clear()


def id_of(record: Record) -> str:
    """The id of the event in a record."""
    return next((value.decode() for name, value in record.headers if name == "ce_id" and value is not None), "")


def _sayable(city: City, agency: str) -> tuple[str, str]:
    """A type that the agency may publish, and a field of it that takes any text."""
    for data, field in _SAYABLE:
        if city.may_publish(agency, data.registered.name, city.area) is None:
            return data.registered.name, field
    raise Misconfigured(f"{agency} may publish none of {', '.join(data.registered.name for data, _ in _SAYABLE)}.")


_SAYABLE: tuple[tuple[type[EventData], str], ...] = (
    (RequestCommented, "text"),
    (WorkOrderStarted, "status_notes"),
    (WorkOrderInspected, "status_notes"),
    (ApprovalRefused, "reason"),
)
