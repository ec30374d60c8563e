"""A whole city on this machine: Kafka, the services, the console, the adapters of all agencies. One composition for all
who need one: `subak up`, `subak demo`, the fault tests, the measurements.

Everything lies in one home, a folder for each city, which one process owns at a time: Kafka's data, the databases, the
logs, the adapters' files with their tokens, and `run.json`, which tells every other command where the bus is. Ports and
tokens stay from run to run. A process or a broker that dies is started again, and `run.json` renewed.
"""

from __future__ import annotations

import asyncio
import json
import os
import secrets
import shutil
import sys
import threading
from collections.abc import Callable, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

from bus.city import City, city_path, load_city
from bus.kafka import KafkaSettings, ensure_topics
from bus.kafka.security import Security
from bus.runfile import NAME as RUN_FILE
from bus.runfile import RunFile
from deploy.local.adapter_files import AdapterFile, AgencyKinds, adapter_files
from deploy.local.cluster import BROKERS, LocalCluster
from deploy.local.kafka import LocalKafka
from deploy.local.ownership import LOCK_NAME, HomeLock
from deploy.local.ports import HOST, kept_ports
from deploy.local.secured_city import CityFiles, arrange
from deploy.local.supervisor import Event, ProcessSpec, Report, Supervisor
from schemas.failures import Misconfigured, SubakError

SERVICES = ("gateway", "workflows", "router", "places", "casebook", "console")
TARGETS_FILE = "prometheus.json"
"""Where Prometheus finds the processes: a file of targets, as deploy/prometheus/prometheus.yml reads them."""
READY_SECONDS_MAX = 90.0
KAFKA_LOOK_SECONDS = 0.5
KAFKA_PAUSE_SECONDS_MAX = 10.0
"""Pause before another try where the broker did not come up again."""

WebhookUrls = Callable[[str], str | None]
"""Agency id → where its system is called; None where it asks for itself."""


class LocalCity:
    """One city's bus on this machine. `start` returns when every process is ready; `stop` ends all that it started."""

    def __init__(
        self,
        city: str,
        *,
        home: Path = Path(".subak"),
        fresh: bool = False,
        bootstrap_servers: str = "",
        partitions: int = 1,
        replication_factor: int = 1,
        brokers: int = 1,
        secure: bool = False,
        webhook_urls: WebhookUrls = lambda _: None,
        webhook_secret: str = "",
        kinds: Callable[[str], AgencyKinds | None] = lambda _: None,
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
            partitions, replication_factor: of every topic, where it is created. Our own brokers hold a copy each.
            brokers: of our own: 1, or 3 as a city has them, of which one may be lost.
            secure: TLS, a user for each process and agency, and rights for each, as on a city's cluster.
            webhook_urls, webhook_secret: where and how the adapters call the agencies' systems.
            kinds: agency id → how its system speaks and is told, where not by HTTP alone; asked before adapters start.
            with_adapters: whether the agencies' adapters run too, or only the services.
            report: told what starts, is ready, dies.
            environment: further variables for every process.
        """
        self.path = city_path(city)
        self.city: City = load_city(self.path)
        self.home = home.resolve() / self.city.id
        if brokers not in (1, BROKERS):
            raise Misconfigured(f"{brokers} brokers are neither 1 nor {BROKERS}: start 1, or {BROKERS} as a city has.")
        self.kafka: LocalKafka | LocalCluster | None = None
        self.bootstrap_servers = bootstrap_servers
        self.partitions = partitions
        self.replication_factor = replication_factor if bootstrap_servers else brokers
        self.supervisor = Supervisor(report=self._told)
        self.run: RunFile | None = None
        self.files: CityFiles | None = None
        """Each identity's credentials, where the bus is secured."""
        self._brokers = brokers
        self._fresh = fresh
        self._secure = secure
        self._webhook_urls = webhook_urls
        self._webhook_secret = webhook_secret or secrets.token_urlsafe(24)
        self._kinds = kinds
        self._with_adapters = with_adapters
        self._report = report
        self._environment = dict(environment or {})
        self._owner = HomeLock(self.home)
        self._specs: list[ProcessSpec] = []
        self.adapters: list[AdapterFile] = []
        self._ending = threading.Event()
        self._kafka_watches: list[threading.Thread] = []
        self._writing = threading.Lock()

    def start(self) -> RunFile:
        """Start everything, and say where it is.

        Raises:
            Misconfigured, Retryable: something does not run; in words, with the end of its log.
        """
        self._owner.take()
        try:
            self._start_kafka()
            self.adapters = self._write_adapters()
            self._specs = self._make_specs()
            self.supervisor.start(self._specs)
            self.supervisor.wait_until_ready(seconds=READY_SECONDS_MAX)
            return self._write_run_file()
        except BaseException:
            self.stop()
            raise

    def stop(self) -> None:
        """End all that was started, Kafka last. Data stay."""
        self._ending.set()
        self.run = None
        (self.home / RUN_FILE).unlink(missing_ok=True)
        self.supervisor.stop()
        for watch in self._kafka_watches:
            watch.join()
        if self.kafka is not None:
            self.kafka.stop()
            self._report("kafka", "stopped", "")
        self._owner.release()

    def kill(self, name: str, *, restart: bool = True) -> None:
        """SIGKILL a process (a broker too); it comes back by itself, unless `restart` is false."""
        if name in self.brokers:
            self.brokers[name].kill()
            if restart:
                self.brokers[name].start()
        else:
            self.supervisor.kill(name, restart=restart)

    def restart(self, name: str) -> None:
        """Bring a process back, or restart it cleanly."""
        if name in self.brokers:
            self.brokers[name].start()
        else:
            self.supervisor.restart(name)

    @property
    def brokers(self) -> Mapping[str, LocalKafka]:
        """Our own, by name: `kafka`, or `kafka-1` to `kafka-3`; none where the cluster is another's."""
        return {} if self.kafka is None else self.kafka.brokers

    @property
    def pids(self) -> dict[str, int]:
        """The processes that run now, Kafka among them."""
        found = {name: pid for name in self.supervisor.names() if (pid := self.supervisor.pid(name)) is not None}
        return found | {name: broker.pid for name, broker in self.brokers.items() if broker.is_running()}

    @property
    def settings(self) -> KafkaSettings:
        """How to reach this bus's Kafka."""
        return KafkaSettings(
            bootstrap_servers=self.bootstrap_servers,
            partitions=self.partitions,
            replication_factor=self.replication_factor,
            compression="lz4" if self.kafka is None else "none",
            security=Security() if self.kafka is None else self.kafka.security,
        )

    # -- the parts

    def _start_kafka(self) -> None:
        if not self.bootstrap_servers:
            self.kafka = (LocalKafka if self._brokers == 1 else LocalCluster)(
                self.home / "kafka",
                fresh=self._fresh,
                secure=self._secure,
                report=lambda text: self._report("kafka", "started", text),
            )
            self.kafka.start()
            self.bootstrap_servers = self.kafka.bootstrap_servers
            self._report("kafka", "ready", self.bootstrap_servers)
            if self._fresh:
                self._forget()
            for name, broker in self.kafka.brokers.items():
                watch = threading.Thread(target=self._look_after, args=(name, broker), daemon=True)
                self._kafka_watches.append(watch)
                watch.start()
        elif self._brokers > 1:
            raise Misconfigured("--brokers starts a Kafka of our own; the cluster that you named has its own brokers.")
        elif self._secure:
            raise Misconfigured("--secure makes a local Kafka secured; the cluster that you named is what it is.")
        elif self._fresh:
            raise Misconfigured("--fresh forgets a local Kafka; the cluster that you named is not ours to forget.")
        with ThreadPoolExecutor(1) as own:  # an event loop of its own: the caller's thread may run one
            created = own.submit(self._make_topics).result()
        self._report("topics", "ready", f"{len(created)} created" if created else "all there")

    def _make_topics(self) -> list[str]:
        if self.kafka is None or self.kafka.secured is None:
            return asyncio.run(ensure_topics(self.settings, self.city.agencies))
        self.files = CityFiles(self.kafka.secured, self.home / "credentials")
        return arrange(self.settings, self.city.agencies, self.files, self.city.quotas())

    def _look_after(self, name: str, broker: LocalKafka) -> None:
        """Start a broker again when it dies by itself."""
        again = False
        while not self._ending.wait(KAFKA_PAUSE_SECONDS_MAX if again else KAFKA_LOOK_SECONDS):
            if not (again or broker.has_died()):
                continue
            self._report(name, "died", "starts again at once")
            try:
                broker.start()
                again = False
                self._renew_run_file()
                self._report(name, "ready", broker.bootstrap_servers)
            except SubakError as error:
                again = True
                self._report(name, "died", str(error))

    def _forget(self) -> None:
        """Everything but Kafka's folder, which its owner has forgotten already and now holds open."""
        for path in self.home.iterdir():
            if path.name in ("kafka", LOCK_NAME):
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
            ports=self._ports,
            credentials=self.files.of_agency if self.files is not None else None,
            kinds=self._kinds,
        )
        for file in files:
            file.write()
        return files

    def _ports(self, names: Sequence[str]) -> list[int]:
        return kept_ports(self.home / "ports.json", names)

    def _make_specs(self) -> list[ProcessSpec]:
        ports = dict(zip(SERVICES, self._ports(SERVICES), strict=True))
        subak = [sys.executable, "-m", "services.cli"]
        more = {
            "console": {"SUBAK_CASEBOOK_URL": f"http://{HOST}:{ports['casebook']}"},
            "casebook": {"SUBAK_ADAPTERS_FILE": str(self.home / "run.json")},
        }
        specs = [
            self._spec(
                name,
                [*subak, "run", name],
                port,
                {"SUBAK_HTTP_PORT": str(port)} | dict(self._identity(name)) | more.get(name, {}),
            )
            for name, port in ports.items()
        ]
        specs += [
            self._spec(
                f"adapter-{file.name}",
                [*subak, "run", "adapter", str(file.path)],
                file.port,
                dict(self._identity(None)) | file.environment,
            )
            for file in self.adapters
        ]
        return specs

    def _identity(self, process: str | None) -> Mapping[str, str]:
        return self.files.environment(process) if self.files is not None else {}

    def _spec(self, name: str, argv: list[str], port: int, more: dict[str, str]) -> ProcessSpec:
        env = dict(os.environ) | {
            "SUBAK_KAFKA_BOOTSTRAP_SERVERS": self.bootstrap_servers,
            "SUBAK_KAFKA_PARTITIONS": str(self.partitions),
            "SUBAK_KAFKA_COMPRESSION": "lz4" if self.kafka is None else "none",
            "SUBAK_KAFKA_REPLICATION_FACTOR": str(self.replication_factor),
            "SUBAK_CITY": str(self.path),
            "SUBAK_HOME": str(self.home),
            "SUBAK_HTTP_HOST": HOST,
        }
        log = self.home / "logs" / f"{name}.log"
        url = f"http://{HOST}:{port}"
        return ProcessSpec(name=name, argv=argv, env=env | more | self._environment, url=url, log=log)

    def _told(self, name: str, event: Event, detail: str) -> None:
        """News from the supervisor: the run file follows a process that came back with another number."""
        if event == "ready":
            self._renew_run_file()
        self._report(name, event, detail)

    def _renew_run_file(self) -> None:
        with self._writing:  # processes and brokers come back whenever they like
            if self.run is not None:
                self._write_run_file()

    def _write_run_file(self) -> RunFile:
        urls = {spec.name: spec.url for spec in self._specs}
        run = RunFile(
            city=str(self.path),
            bootstrap_servers=self.bootstrap_servers,
            partitions=self.partitions,
            replication_factor=self.replication_factor,
            casebook_url=urls["casebook"],
            **(self.files.of_run if self.files is not None else {}),
            adapters={agency: access for file in self.adapters for agency, access in file.accesses.items()},
            open311={
                agency: {"url": file.open311_url(agency), "api_key": key}
                for file in self.adapters
                for agency, key in file.open311_keys.items()
            },
            processes={
                spec.name: {"pid": self.supervisor.pid(spec.name) or 0, "url": spec.url} for spec in self._specs
            },
            brokers={
                name: {"pid": broker.pid, "address": broker.bootstrap_servers}
                for name, broker in self.brokers.items()
                if broker.is_running()
            },
        )
        run.write(self.home)
        targets = [
            {"targets": [url.removeprefix("http://")], "labels": {"process": name}} for name, url in urls.items()
        ]
        (self.home / TARGETS_FILE).write_text(json.dumps(targets, indent=1), encoding="utf-8")
        self.run = run
        return run
