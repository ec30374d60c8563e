"""Keeps a set of processes running: starts them, waits until each is ready, restarts one that dies, stops all in order.

Each process logs to a file of its own. One that exits because a person must change something (code 78) is not started
again: its last words are the error. No process outlives the supervisor, not even its kill -9 (`children.py`).
"""

from __future__ import annotations

import threading
import time
import urllib.error
import urllib.request
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Literal

from deploy.local.children import Child, log_tail, start_child, stop_child
from schemas.failures import Misconfigured

EXIT_MISCONFIGURED = 78
POLL_SECONDS = 0.1
CHECK_SECONDS = 1.0
"""Pause between two looks at one process's readiness: each costs it a request."""
STOP_GRACE_SECONDS = 10.0
PAUSE_SECONDS_FIRST, PAUSE_SECONDS_MAX = 0.5, 15.0
"""Pause before a restart: doubles with each early death, and is forgotten after a minute of life."""
STEADY_SECONDS = 60.0

Event = Literal["started", "ready", "died", "stopped"]
Report = Callable[[str, Event, str], None]
"""Told what happens: process, event, a detail in words."""


@dataclass(frozen=True, kw_only=True)
class ProcessSpec:
    """One process to keep running."""

    name: str
    argv: Sequence[str]
    env: Mapping[str, str] = field(repr=False)
    url: str
    """Where it serves /health/ready and /metrics."""
    log: Path


class _Kept:
    """One process as it is kept: its present child, and when to start the next one."""

    def __init__(self, spec: ProcessSpec) -> None:
        self.spec = spec
        self.child: Child | None = None
        self.started_at = 0.0
        self.pause = PAUSE_SECONDS_FIRST
        self.start_at = 0.0
        self.wanted = True
        self.restarts = 0


class Supervisor:
    """Processes of one home. Its methods may be called from any thread."""

    def __init__(self, *, report: Report = lambda *_: None) -> None:
        self.failure: Misconfigured | None = None
        """Why a process will not be started again, in its own words; None while all is well."""
        self._report = report
        self._kept: dict[str, _Kept] = {}
        self._lock = threading.RLock()
        self._stopping = threading.Event()
        self._watcher: threading.Thread | None = None

    def start(self, specs: Sequence[ProcessSpec]) -> None:
        """Start these processes, all at once, and keep them running from now on."""
        with self._lock:
            for spec in specs:
                self._kept[spec.name] = kept = _Kept(spec)
                self._start(kept)
            if self._watcher is None:
                self._watcher = threading.Thread(target=self._watch, name="supervisor", daemon=True)
                self._watcher.start()

    def wait_until_ready(self, *, seconds: float) -> None:
        """Return when every process says that it is ready.

        Raises:
            Misconfigured: one of them will not run, or was not ready in time; with the end of its log.
        """
        deadline = time.monotonic() + seconds
        waiting = dict.fromkeys(self.names(), "not asked yet")
        asked: dict[str, float] = {}
        while waiting:
            for name in list(waiting):
                if self.failure is not None:
                    raise self.failure
                if time.monotonic() - asked.get(name, 0.0) < CHECK_SECONDS / 2:
                    continue
                asked[name] = time.monotonic()
                problem = why_not_ready(self._kept[name].spec.url)
                if problem is None:
                    del waiting[name]
                    self._report(name, "ready", "")
                else:
                    waiting[name] = problem
            if waiting and time.monotonic() > deadline:
                name, problem = next(iter(waiting.items()))
                tail = log_tail(self._kept[name].spec.log)
                raise Misconfigured(f"{name} was not ready within {seconds:.0f} s ({problem}). Its log ends:\n{tail}")
            time.sleep(POLL_SECONDS)

    def names(self) -> list[str]:
        """The processes that are kept, in the order in which they were started."""
        with self._lock:
            return list(self._kept)

    def pid(self, name: str) -> int | None:
        """The process id; None while it is down."""
        child = self._kept[name].child
        return child.pid if child is not None and child.poll() is None else None

    def restarts(self, name: str) -> int:
        """How often it was started again."""
        return self._kept[name].restarts

    def kill(self, name: str, *, restart: bool = True) -> None:
        """SIGKILL, as a crash does it. It comes back, unless `restart` is false: then `restart` brings it back."""
        with self._lock:
            kept = self._kept[name]
            kept.wanted = restart
            kept.start_at = 0.0
            if kept.child is not None:
                kept.child.kill()
                kept.child.wait()

    def restart(self, name: str) -> None:
        """Start it where it is down; stop it cleanly first where it runs."""
        with self._lock:
            kept = self._kept[name]
            kept.wanted = True
            if kept.child is not None:
                stop_child(kept.child, grace_seconds=STOP_GRACE_SECONDS)
            self._start(kept)

    def stop(self) -> None:
        """Stop all, the last started first, each with SIGTERM and then SIGKILL."""
        self._stopping.set()
        if self._watcher is not None:
            self._watcher.join()
        with self._lock:
            running = [kept for kept in self._kept.values() if kept.child is not None and kept.child.poll() is None]
            for kept in reversed(running):
                assert kept.child is not None
                kept.child.terminate()
            for kept in reversed(running):
                assert kept.child is not None
                stop_child(kept.child, grace_seconds=STOP_GRACE_SECONDS)
                self._report(kept.spec.name, "stopped", "")

    # -- keeping

    def _start(self, kept: _Kept) -> None:
        kept.child = start_child(kept.spec.argv, log=kept.spec.log, env=kept.spec.env)
        kept.started_at = time.monotonic()
        kept.start_at = 0.0
        self._report(kept.spec.name, "started", f"pid {kept.child.pid}")

    def _watch(self) -> None:
        while not self._stopping.wait(POLL_SECONDS):
            with self._lock:
                for kept in self._kept.values():
                    self._look_at(kept)

    def _look_at(self, kept: _Kept) -> None:
        now = time.monotonic()
        if kept.child is not None and (code := kept.child.poll()) is not None:
            kept.child = None
            if code == EXIT_MISCONFIGURED:
                kept.wanted = False
                tail = log_tail(kept.spec.log, lines_max=5)
                self.failure = Misconfigured(f"{kept.spec.name} cannot run. Its log ends:\n{tail}")
            if now - kept.started_at > STEADY_SECONDS:
                kept.pause = PAUSE_SECONDS_FIRST
            kept.start_at = now + kept.pause
            kept.pause = min(kept.pause * 2, PAUSE_SECONDS_MAX)
            self._report(kept.spec.name, "died", f"exit code {code}")
        if kept.child is None and kept.wanted and now >= kept.start_at:
            kept.restarts += 1
            self._start(kept)


def why_not_ready(url: str) -> str | None:
    """Why the process at `url` is not ready, in its own words; None when it is."""
    try:
        with urllib.request.urlopen(f"{url}/health/ready", timeout=5):  # noqa: S310 - our own process on loopback
            return None
    except urllib.error.HTTPError as error:
        return error.read(2000).decode("utf-8", "replace")
    except OSError as error:
        return f"it does not answer: {error}"
