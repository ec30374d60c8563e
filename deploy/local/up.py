"""A whole city on this machine: Kafka, the four services, the adapters of all agencies. One composition for all who
need one: `subak up`, `subak demo`, the fault tests, the measurements.

Everything lies in one home, a folder for each city: Kafka's data, the databases, the logs, the adapters' files with
their tokens, and `run.json`, which tells every other command where the bus is.
"""

from __future__ import annotations

import asyncio
import os
import secrets
import shutil
import sys
from collections.abc import Callable, Mapping
from pathlib import Path

from bus.city import City, city_path, load_city
from bus.kafka import KafkaSettings, ensure_topics
from bus.runfile import NAME as RUN_FILE
from bus.runfile import RunFile
from deploy.local.adapter_files import AdapterFile, adapter_files
from deploy.local.kafka import LocalKafka
from deploy.local.ports import HOST, free_ports
from deploy.local.supervisor import ProcessSpec, Report, Supervisor
from schemas.failures import Misconfigured

SERVICES = ("gateway", "workflows", "router", "casebook")
READY_SECONDS_MAX = 90.0

WebhookUrls = Callable[[str], str | None]
"""Agency id → where its system is called; None where it asks for itself."""


class LocalCity:
    """One city's bus on this machine. `start` returns when every process is ready; `stop` ends all that it started."""

    def __init__(
        self,
        city: str = "denpasar",
        *,
        home: Path = Path(".subak"),
        fresh: bool = False,
        bootstrap_servers: str = "",
        partitions: int = 4,
        webhook_urls: WebhookUrls = lambda _: None,
        webhook_secret: str = "",
        with_adapters: bool = True,
        report: Report = lambda *_: None,
        environment: Mapping[str, str] | None = None,
    ) -> None:
        """
        Args:
            city: a shipped city's name, or a directory.
            home: the folder that has one folder for each city.
            fresh: forget all that earlier runs left there.
            bootstrap_servers: an existing cluster; empty for a Kafka of our own.
            webhook_urls, webhook_secret: where and how the adapters call the agencies' systems.
            with_adapters: whether the agencies' adapters run too, or only the services.
            report: told what starts, is ready, dies.
            environment: further variables for every process.
        """
        self.path = city_path(city)
        self.city: City = load_city(self.path)
        self.home = home.resolve() / self.city.id
        self.kafka: LocalKafka | None = None
        self.bootstrap_servers = bootstrap_servers
        self.partitions = partitions
        self.supervisor = Supervisor(report=report)
        self.run: RunFile | None = None
        self._fresh = fresh
        self._webhook_urls = webhook_urls
        self._webhook_secret = webhook_secret or secrets.token_urlsafe(24)
        self._with_adapters = with_adapters
        self._report = report
        self._environment = dict(environment or {})

    def start(self) -> RunFile:
        """Start everything, and say where it is.

        Raises:
            Misconfigured: something cannot run; in words, with the end of its log.
        """
        try:
            self.home.mkdir(parents=True, exist_ok=True)
            self._start_kafka()
            adapters = self._write_adapters()
            specs = self._specs(adapters)
            self.supervisor.start(specs)
            self.supervisor.wait_until_ready(seconds=READY_SECONDS_MAX)
            self.run = self._write_run_file(adapters, specs)
            return self.run
        except BaseException:
            self.stop()
            raise

    def stop(self) -> None:
        """End all that was started, Kafka last. Data stay."""
        self.supervisor.stop()
        (self.home / RUN_FILE).unlink(missing_ok=True)
        if self.kafka is not None:
            self.kafka.stop()
            self._report("kafka", "stopped", "")

    def kill(self, name: str, *, restart: bool = True) -> None:
        """SIGKILL a process (`kafka` too); it comes back by itself, unless `restart` is false."""
        if name == "kafka":
            assert self.kafka is not None, "the cluster is not ours"
            self.kafka.kill()
            if restart:
                self.kafka.start()
        else:
            self.supervisor.kill(name, restart=restart)

    def restart(self, name: str) -> None:
        """Bring a process back, or restart it cleanly."""
        if name == "kafka":
            assert self.kafka is not None, "the cluster is not ours"
            self.kafka.start()
        else:
            self.supervisor.restart(name)

    @property
    def pids(self) -> dict[str, int]:
        """The processes that run now, Kafka among them."""
        found = {name: pid for name in self.supervisor.names() if (pid := self.supervisor.pid(name)) is not None}
        if self.kafka is not None and self.kafka.is_running():
            found["kafka"] = self.kafka.pid
        return found

    @property
    def settings(self) -> KafkaSettings:
        """How to reach this bus's Kafka."""
        return KafkaSettings(bootstrap_servers=self.bootstrap_servers, partitions=self.partitions)

    # -- the parts

    def _start_kafka(self) -> None:
        if not self.bootstrap_servers:
            self.kafka = LocalKafka(
                self.home / "kafka", fresh=self._fresh, report=lambda text: self._report("kafka", "started", text)
            )
            self.kafka.start()
            self.bootstrap_servers = self.kafka.bootstrap_servers
            self._report("kafka", "ready", self.bootstrap_servers)
            if self._fresh:
                self._forget()
        elif self._fresh:
            raise Misconfigured("--fresh forgets a local Kafka; the cluster that you named is not ours to forget.")
        created = asyncio.run(ensure_topics(self.settings, self.city.agencies))
        self._report("topics", "ready", f"{len(created)} created" if created else "all there")

    def _forget(self) -> None:
        """Everything but Kafka's folder, which its owner has forgotten already and now holds open."""
        for path in self.home.iterdir():
            if path.name == "kafka":
                continue
            if path.is_dir():
                shutil.rmtree(path)
            else:
                path.unlink()

    def _write_adapters(self) -> list[AdapterFile]:
        if not self._with_adapters:
            return []
        files = adapter_files(
            self.city,
            self.home / "adapters",
            webhook_urls=self._webhook_urls,
            webhook_secret=self._webhook_secret,
            ports=free_ports,
        )
        for file in files:
            file.write()
        return files

    def _specs(self, adapters: list[AdapterFile]) -> list[ProcessSpec]:
        ports = free_ports(len(SERVICES))
        subak = [sys.executable, "-m", "services.cli"]
        specs = [
            self._spec(name, [*subak, "run", name], port, {"SUBAK_HTTP_PORT": str(port)})
            for name, port in zip(SERVICES, ports, strict=True)
        ]
        specs += [
            self._spec(f"adapter-{file.name}", [*subak, "run", "adapter", str(file.path)], file.port, {})
            for file in adapters
        ]
        return specs

    def _spec(self, name: str, argv: list[str], port: int, more: dict[str, str]) -> ProcessSpec:
        kept = {key: value for key, value in os.environ.items() if not key.startswith("SUBAK_")}
        env = kept | {
            "SUBAK_KAFKA_BOOTSTRAP_SERVERS": self.bootstrap_servers,
            "SUBAK_KAFKA_PARTITIONS": str(self.partitions),
            "SUBAK_CITY": str(self.path),
            "SUBAK_HOME": str(self.home),
            "SUBAK_LOG_LEVEL": os.environ.get("SUBAK_LOG_LEVEL", "info"),
        }
        log = self.home / "logs" / f"{name}.log"
        url = f"http://{HOST}:{port}"
        return ProcessSpec(name=name, argv=argv, env=env | more | self._environment, url=url, log=log)

    def _write_run_file(self, adapters: list[AdapterFile], specs: list[ProcessSpec]) -> RunFile:
        urls = {spec.name: spec.url for spec in specs}
        run = RunFile(
            city=str(self.path),
            bootstrap_servers=self.bootstrap_servers,
            partitions=self.partitions,
            casebook_url=urls["casebook"],
            adapters={
                agency: {"url": f"{file.url}/agencies/{agency}/events", "token": token}
                for file in adapters
                for agency, token in file.tokens.items()
            },
            processes={spec.name: {"pid": self.supervisor.pid(spec.name) or 0, "url": spec.url} for spec in specs},
        )
        run.write(self.home)
        return run
