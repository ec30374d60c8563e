"""A real Apache Kafka on this machine, with no Docker, no Java and no account: one node, ours alone, gone when we are.

`start` returns when the broker answers Kafka's protocol on a port on which *our* process listens. Data, ports and log
stay in the home folder between runs, until `fresh=True` forgets them. One process owns a home at a time (a file lock
that the kernel frees even after kill -9). What clients had committed survives the broker's own kill -9.
"""

from __future__ import annotations

import contextlib
import json
import os
import shutil
import signal
import threading
import time
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from types import TracebackType
from typing import Self

import psutil

from bus.kafka import KafkaSettings
from bus.kafka.security import Security
from deploy.local.broker_settings import (
    HEAP_MEBIBYTES_MAX_OF_SEVERAL,
    Node,
    Properties,
    as_text,
    server_properties,
    settling_properties,
)
from deploy.local.children import Child, start_child, stop_child
from deploy.local.installation import Installation, install
from deploy.local.jars import Report
from deploy.local.kinds import forget_kinds, remembered_ports, require_the_same_kind
from deploy.local.ownership import HomeLock
from deploy.local.ports import HOST, free_ports, holder_of, is_free
from deploy.local.secured import JAVA_OPTIONS, SecuredHome
from deploy.local.waiting import did_not_start, is_settled, wait_until_answers, wait_until_known
from schemas.failures import Misconfigured

_START_SECONDS_MAX, _START_SECONDS_MAX_OF_SEVERAL = 60.0, 180.0
_KNOWN_SECONDS_MAX, _KNOWN_SECONDS_MAX_OF_SEVERAL = 20.0, 60.0
"""How long a secured broker may take to know its administrator once it serves: a moment, on a busy machine seconds."""
_STOP_SECONDS_MAX = 20.0
_POLL_SECONDS = 0.02
_SETTLING_OPTIONS = [
    "-XX:TieredStopAtLevel=1",  # it runs for a second: not worth the second compiler's time
    "-Dorg.slf4j.simpleLogger.log.org.apache.kafka.controller.ClusterControlManager=info",
    "-Dorg.slf4j.simpleLogger.log.org.apache.kafka.controller.QuorumController=debug",
]


@dataclass(frozen=True, kw_only=True)
class Seat:
    """What one of several brokers is told by their cluster (`cluster.py`)."""

    node: Node
    ports: tuple[int, ...]
    """Of the clients, the controller, and (secured) the clients with a certificate."""
    cluster_id: str
    first_records: Path | None
    """None where the cluster began with no users."""


class LocalKafka:
    """One broker in one folder. Its methods may be called from any thread."""

    def __init__(
        self,
        home: Path,
        *,
        fresh: bool = False,
        secure: bool = False,
        report: Report = lambda _: None,
        security: SecuredHome | None = None,
    ) -> None:
        """
        Args:
            home: Kafka's own folder: data, `server.properties`, `kafka.log`. Made where missing.
            fresh: forget what an earlier run left there, at the first start.
            secure: TLS, users and an authorizer, and no listener in plaintext (`secured.py`).
            report: told what goes on, in words, for a progress display.
            security: the cluster's own, for one of several brokers.
        """
        self.home = home.resolve()
        self.log = self.home / "kafka.log"
        self._data = self.home / "data"
        self.secured = security or (SecuredHome(self.home / "security") if secure else None)
        """Its CA and its administrator; None where it runs in plaintext."""
        self.seat: Seat | None = None
        """Its place among several; None where it is alone. Stated before it starts."""
        self._fresh = fresh
        self._report = report
        self._child: Child | None = None
        self._owner = HomeLock(self.home)
        self._lock = threading.RLock()
        self._ports: list[int] | None = None
        """Of the clients, the controller, and (secured) the clients with a certificate."""

    @property
    def brokers(self) -> dict[str, LocalKafka]:
        """By name: this one."""
        return {"kafka": self}

    @property
    def bootstrap_servers(self) -> str:
        """Where clients connect: the same for as long as this object lives, over stops and starts."""
        if self._ports is None:
            raise RuntimeError("Kafka was not started yet.")
        return f"{HOST}:{self._ports[0]}"

    @property
    def mutual_servers(self) -> str:
        """Where clients with a certificate connect, on a secured one."""
        if self._ports is None or self.secured is None:
            raise RuntimeError("Kafka was not started yet, or is not secured.")
        return f"{HOST}:{self._ports[2]}"

    @property
    def security(self) -> Security:
        """How its administrator reaches it."""
        return Security() if self.secured is None else self.secured.administrator

    @property
    def pid(self) -> int:
        """The broker's process id."""
        if self._child is None:
            raise RuntimeError("Kafka is not running.")
        return self._child.pid

    def is_running(self) -> bool:
        """Whether the broker serves: false while it starts, and when its process has ended."""
        child = self._child
        return child is not None and child.poll() is None

    def has_died(self) -> bool:
        """Whether the broker's process ended and nobody asked for it with `stop` or `kill`."""
        child = self._child
        return child is not None and child.poll() is not None

    def __enter__(self) -> Self:
        self.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.stop()

    def start(self, timeout_seconds: float | None = None) -> None:
        """Start the broker and wait until it serves. Does nothing where it runs already.

        Raises:
            Misconfigured: the home is in use, a jar is not the locked one, or the broker ended; with its words.
            Retryable: a jar could not be fetched, or the broker was not ready in time.

        `timeout_seconds` is for each of its two steps, and not for fetching Kafka: a minute; three for one
        of several, which start side by side.
        """
        if timeout_seconds is None:
            timeout_seconds = _START_SECONDS_MAX if self.seat is None else _START_SECONDS_MAX_OF_SEVERAL
        with self._lock:
            if self.is_running():
                return
            self._owner.take()
            try:
                installation = install(report=self._report)
                if not self._start(installation, timeout_seconds, last=False):
                    # Seen in one of hundreds of starts after a kill: it says of every password that it is wrong, for as
                    # long as it runs. Its metadata hold the users, so it is started once more.
                    self._report("Starting Kafka again: it does not know its administrator")
                    self._start(installation, timeout_seconds, last=True)
            except BaseException:
                self._gone()
                self._owner.release()
                raise

    def stop(self) -> None:
        """Stop cleanly: the broker flushes and leaves. Killed where it has not ended within 20 s."""
        with self._lock:
            if self._child is not None:
                if self.is_running():
                    self._child.send_signal(signal.SIGCONT)  # a paused process cannot hear SIGTERM
                stop_child(self._child, grace_seconds=_STOP_SECONDS_MAX)
            self._gone()
            self._owner.release()

    def kill(self) -> None:
        """SIGKILL, as a crash does it. Data stay; `start` recovers."""
        with self._lock:
            if self._child is not None:
                self._child.kill()
                self._child.wait()
            self._gone()

    def pause(self) -> None:
        """SIGSTOP: the broker is there and says nothing."""
        os.kill(self.pid, signal.SIGSTOP)

    def resume(self) -> None:
        """SIGCONT: it goes on."""
        os.kill(self.pid, signal.SIGCONT)

    # -- Starting, step by step --

    def _start(self, installation: Installation, timeout_seconds: float, *, last: bool) -> bool:
        """Start it. False, with the broker ended, where it serves and does not know its administrator."""
        self._end_orphan()
        if self._fresh:
            self._forget()
            self._fresh = False
        if self.seat is None:
            require_the_same_kind(self.home, brokers=1, secure=self.secured is not None)
        self._ports = self._choose_ports()
        port, controller_port = self._ports[:2]
        if self.secured is not None and self.seat is None:
            self.secured.prepare()
        if not (self._data / "meta.properties").exists():
            shutil.rmtree(self._data, ignore_errors=True)
            self._format(installation)
        elif self.seat is None and (self._data / "__cluster_metadata-0").exists():
            self._settle(installation, controller_port, timeout_seconds)
        properties = self.home / "server.properties"
        node = Node() if self.seat is None else self.seat.node
        settings = server_properties(port=port, controller_port=controller_port, data=self._data, node=node)
        properties.write_text(as_text(settings | self._security_properties()), encoding="utf-8")
        self._report("Starting Kafka")
        options = [*JAVA_OPTIONS] if self.secured is not None else []
        if self.seat is not None:
            # The last of each counts. Three second compilers at once would take two cores for minutes.
            options += [f"-Xmx{HEAP_MEBIBYTES_MAX_OF_SEVERAL}m", "-XX:TieredStopAtLevel=1"]
        command = installation.command("kafka.Kafka", str(properties), options=options)
        with self._running(command, self.log) as child:
            context = None if self.secured is None else self.secured.administrator.ssl_context()
            if not wait_until_answers(child, port, seconds=timeout_seconds, tls=context):
                raise did_not_start(child, self.log)
            if self.secured is not None:
                known = KafkaSettings(bootstrap_servers=f"{HOST}:{port}", security=self.secured.administrator)
                patience = _KNOWN_SECONDS_MAX if self.seat is None else _KNOWN_SECONDS_MAX_OF_SEVERAL
                seconds = timeout_seconds if last else min(timeout_seconds, patience)
                if not wait_until_known(child, known, seconds=seconds):
                    if last or child.poll() is not None:
                        raise did_not_start(child, self.log)
                    stop_child(child, grace_seconds=_STOP_SECONDS_MAX)
                    return False
            self._child = child
        (self.home / "ports.json").write_text(json.dumps(self._ports), encoding="ascii")
        return True

    def _security_properties(self, *, controller_only: bool = False) -> Properties:
        if self.secured is None or self._ports is None:
            return {}
        port, controller_port, mutual_port = self._ports
        return self.secured.properties(
            port=port, mutual_port=mutual_port, controller_port=controller_port, controller_only=controller_only
        )

    def _format(self, installation: Installation) -> None:
        if self.seat is not None:
            installation.format(
                self._data,
                first_records=self.seat.first_records,
                node_id=self.seat.node.id,
                cluster_id=self.seat.cluster_id,
            )
        elif self.secured is None:
            installation.format(self._data)
        else:
            records = self.home / "first-records"
            installation.write_first_records(records, scram=self.secured.scram())
            installation.format(self._data, first_records=records)

    def _settle(self, installation: Installation, controller_port: int, timeout_seconds: float) -> None:
        """Write down that the last run is over, before the next one begins: see `settling_properties`."""
        properties, log = self.home / "settling.properties", self.home / "settling.log"
        settings = settling_properties(controller_port=controller_port, data=self._data)
        settings |= self._security_properties(controller_only=True)
        properties.write_text(as_text(settings), encoding="utf-8")
        log.unlink(missing_ok=True)
        command = installation.command("kafka.Kafka", str(properties), options=_SETTLING_OPTIONS)
        with self._running(command, log) as child:
            deadline = time.monotonic() + timeout_seconds
            while not is_settled(log):
                if child.poll() is not None or time.monotonic() > deadline:
                    raise did_not_start(child, log)
                time.sleep(_POLL_SECONDS)
            stop_child(child, grace_seconds=_STOP_SECONDS_MAX)

    @contextlib.contextmanager
    def _running(self, command: list[str], log: Path) -> Iterator[Child]:
        """Run a program of Kafka's; kill it where the block fails. Its number is noted for who finds it left over."""
        child = start_child(command, log=log)
        (self.home / "kafka.pid").write_text(f"{child.pid}\n", encoding="ascii")
        try:
            yield child
        except BaseException:
            child.kill()
            child.wait()
            raise

    def _gone(self) -> None:
        self._child = None
        (self.home / "kafka.pid").unlink(missing_ok=True)

    # -- The home: whose it is, and what is left there --

    def _end_orphan(self) -> None:
        """End a broker that an earlier owner left: ours by its command line, since its pid can be another's by now."""
        with contextlib.suppress(OSError, ValueError, psutil.NoSuchProcess):
            orphan = psutil.Process(int((self.home / "kafka.pid").read_text(encoding="ascii")))
            if any(word.startswith(f"{self.home}{os.sep}") for word in orphan.cmdline()):
                self._report("Ending a Kafka that an earlier run left behind")
                orphan.kill()
                orphan.wait(_STOP_SECONDS_MAX)

    def _forget(self) -> None:
        shutil.rmtree(self._data, ignore_errors=True)
        if self.seat is None:
            forget_kinds(self.home)
        self.log.unlink(missing_ok=True)

    def _choose_ports(self) -> list[int]:
        """This object's ports, or those of the last run where still free, or new ones."""
        if self.seat is not None:
            self._ports = list(self.seat.ports)
        if self._ports is not None:
            taken = [port for port in self._ports if not is_free(port)]
            if taken:
                raise Misconfigured(
                    f"{holder_of(taken[0])} took Kafka's port {taken[0]} while Kafka was down, and clients know only "
                    "that port. End that process."
                )
            return self._ports
        return free_ports(2 if self.secured is None else 3, preferred=remembered_ports(self.home))
