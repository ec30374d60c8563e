"""Three brokers on this machine, as a city has them: three processes, three copies of everything, one may be lost.

Each is a `LocalKafka` of its own folder (`1/`, `2/`, `3/`), broker and controller in one process, and proves by itself
that it is the one that listens. Two of three make the quorum and write; with one alone nobody can write, and nothing is
lost. What differs from a city's own cluster: they share one disk and one power supply, so this is for trying, not for
keeping.
"""

from __future__ import annotations

import shutil
import threading
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from types import TracebackType
from typing import Self

from bus.kafka.security import Security
from deploy.local.broker_settings import Node
from deploy.local.installation import install, kafka_id
from deploy.local.jars import Report
from deploy.local.kafka import LocalKafka, Seat
from deploy.local.kinds import CLUSTER_ID, forget_kinds, remembered_ports, require_the_same_kind
from deploy.local.ownership import HomeLock
from deploy.local.ports import free_ports
from deploy.local.secured import SecuredHome

BROKERS = 3
"""Fewer cannot lose one and go on; more hold no further copy of anything (three are the most that the bus asks for)."""


class LocalCluster:
    """Three brokers in one folder. Its methods may be called from any thread."""

    def __init__(
        self, home: Path, *, fresh: bool = False, secure: bool = False, report: Report = lambda _: None
    ) -> None:
        """
        Args:
            home: the cluster's own folder.
            fresh: forget what an earlier run left there, at the first start.
            secure: TLS, users and an authorizer, and no listener in plaintext.
            report: told what goes on, in words.
        """
        self.home = home.resolve()
        self.secured = SecuredHome(self.home / "security") if secure else None
        """Its CA and its administrator; None where it runs in plaintext."""
        self.brokers: dict[str, LocalKafka] = {
            f"kafka-{number}": LocalKafka(self.home / str(number), security=self.secured)
            for number in range(1, BROKERS + 1)
        }
        """By name."""
        self._fresh = fresh
        self._report = report
        self._owner = HomeLock(self.home)
        self._lock = threading.RLock()

    @property
    def bootstrap_servers(self) -> str:
        """Where clients connect, all of them: one that is down must not keep anybody out."""
        return ",".join(broker.bootstrap_servers for broker in self.brokers.values())

    @property
    def mutual_servers(self) -> str:
        """Where clients with a certificate connect, on a secured one."""
        return ",".join(broker.mutual_servers for broker in self.brokers.values())

    @property
    def security(self) -> Security:
        """How its administrator reaches it."""
        return Security() if self.secured is None else self.secured.administrator

    def is_running(self) -> bool:
        """Whether every broker serves."""
        return all(broker.is_running() for broker in self.brokers.values())

    def __enter__(self) -> Self:
        self.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.stop()

    def start(self) -> None:
        """Start the brokers that do not run, and wait until each serves.

        Raises:
            Misconfigured, Retryable: as `LocalKafka.start`; those that run are stopped then.
        """
        with self._lock:
            if self.is_running():
                return
            self._owner.take()
            try:
                self._seat()
                self._report(f"Starting {len(self.brokers)} brokers")
                # At once: the first serves only when a second makes a quorum with it.
                with ThreadPoolExecutor(len(self.brokers)) as starting:
                    for done in [starting.submit(broker.start) for broker in self.brokers.values()]:
                        done.result()
            except BaseException:
                self.stop()
                raise

    def stop(self) -> None:
        """Stop them, all at once: each flushes and leaves."""
        with self._lock:
            with ThreadPoolExecutor(len(self.brokers)) as stopping:
                for done in [stopping.submit(broker.stop) for broker in self.brokers.values()]:
                    done.result()
            self._owner.release()

    def kill(self) -> None:
        """SIGKILL all of them, as a power cut does it."""
        for broker in self.brokers.values():
            broker.kill()

    def pause(self) -> None:
        """SIGSTOP: they are there and say nothing."""
        for broker in self.brokers.values():
            broker.pause()

    def resume(self) -> None:
        """SIGCONT: they go on."""
        for broker in self.brokers.values():
            broker.resume()

    def _seat(self) -> None:
        """Give each broker its place: the ports of the last run where they are free, the cluster's first records."""
        if next(iter(self.brokers.values())).seat is not None:
            return
        installation = install(report=self._report)
        if self._fresh:
            shutil.rmtree(self.home / "data", ignore_errors=True)
            forget_kinds(self.home)
        require_the_same_kind(self.home, brokers=len(self.brokers), secure=self.secured is not None)
        if self.secured is not None:
            self.secured.prepare()
        cluster_id, first_records = self.home / CLUSTER_ID, self.home / "first-records"
        if not cluster_id.exists():
            if self.secured is not None:
                installation.write_first_records(first_records, scram=self.secured.scram())
            cluster_id.write_text(kafka_id(), encoding="ascii")
        ports: list[list[int]] = []
        for broker in self.brokers.values():
            taken = [port for others in ports for port in others]
            count = 2 if self.secured is None else 3
            ports.append(free_ports(count, preferred=remembered_ports(broker.home), taken=taken))
        controllers = tuple(own[1] for own in ports)
        for number, (broker, own) in enumerate(zip(self.brokers.values(), ports, strict=True), 1):
            broker.seat = Seat(
                node=Node(id=number, controllers=controllers),
                ports=tuple(own),
                cluster_id=cluster_id.read_text(encoding="ascii"),
                first_records=first_records if self.secured is not None else None,
            )
