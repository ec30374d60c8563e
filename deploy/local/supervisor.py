"""Keeps a set of processes running: starts them, says when each is ready, restarts one that dies, stops all in order.

One thread of its own looks at all of them, ten times a second. A process is ready when it says so over HTTP *and* is
the one that listens there. One that dies comes back after a pause that doubles with each early death, for as long as we
run; one that asks for a person (exit code 78) is left, and its last words are the error. Each logs to its own file.
None outlives the supervisor, not even its kill -9 (`children.py`).
"""

from __future__ import annotations

import contextlib
import threading
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Literal

from deploy.local.children import Child, log_tail, start_child, stop_child
from deploy.local.readiness import why_not_ready
from schemas.failures import Misconfigured, Retryable

EXIT_MISCONFIGURED = 78
LOOK_SECONDS = 0.1
STOP_GRACE_SECONDS = 10.0
PAUSE_SECONDS_FIRST, PAUSE_SECONDS_MAX = 0.5, 15.0
"""Pause before a restart: doubles with each early death, and is forgotten after a minute of life."""
STEADY_SECONDS = 60.0
DEATHS_WHILE_WAITING_MAX = 3
"""So many deaths before it was ready once, and whoever waits for it is told instead of waiting on."""
LOG_BYTES_MAX = 20 * 1024 * 1024
"""A longer log is set aside (`<name>.1.log`, one of them) when the process starts."""

Event = Literal["started", "ready", "died", "stopped"]
Report = Callable[[str, Event, str], None]
"""Told what happens, from threads of the supervisor's own: process, event, a detail in words."""


@dataclass(frozen=True, kw_only=True)
class ProcessSpec:
    """One process to keep running."""

    name: str
    argv: Sequence[str]
    env: Mapping[str, str] = field(repr=False)
    """Its whole environment."""
    url: str
    """Where it serves /health/ready, on 127.0.0.1."""
    log: Path


class _Kept:
    """One process as it is kept: its present child, and when to start the next one."""

    def __init__(self, spec: ProcessSpec) -> None:
        self.spec = spec
        self.child: Child | None = None
        self.started_at = 0.0
        self.ready = False
        self.problem = "it was not asked yet"
        self.pause = PAUSE_SECONDS_FIRST
        self.start_at = 0.0
        self.wanted = True
        self.restarts = 0
        self.early_deaths = 0
        """Deaths since it was ready last."""


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
        """Return when every process that is wanted is ready, over deaths and restarts.

        Raises:
            Misconfigured: one of them will not run; with the end of its log.
            Retryable: the time is up; with what the process said last, and the end of its log.
        """
        deadline = time.monotonic() + seconds
        while True:
            with self._lock:
                if self.failure is not None:
                    raise self.failure
                waited = [kept for kept in self._kept.values() if kept.wanted and not kept.ready]
                for kept in waited:
                    if kept.early_deaths >= DEATHS_WHILE_WAITING_MAX:
                        raise Misconfigured(_words(kept, f"died {kept.early_deaths} times before it was ready"))
            if not waited:
                return
            if time.monotonic() > deadline:
                late = waited[0]
                raise Retryable(_words(late, f"was not ready within {seconds:.0f} s ({late.problem})"))
            time.sleep(LOOK_SECONDS / 2)

    def names(self) -> list[str]:
        """The processes that are kept, in the order in which they were started."""
        with self._lock:
            return list(self._kept)

    def pid(self, name: str) -> int | None:
        """The process id; None while it is down."""
        child = self._kept[name].child
        return child.pid if child is not None and child.poll() is None else None

    def is_ready(self, name: str) -> bool:
        """Whether it was ready since it started last, and lives."""
        return self._kept[name].ready

    def restarts(self, name: str) -> int:
        """How often it was started again."""
        return self._kept[name].restarts

    def kill(self, name: str, *, restart: bool = True) -> None:
        """SIGKILL, as a crash does it. It comes back, unless `restart` is false: then `restart` brings it back."""
        with self._lock:
            kept = self._kept[name]
            kept.wanted = restart
            kept.early_deaths, kept.pause = 0, 0.0  # we do it: nothing is wrong with it, and it may come back at once
            if kept.child is not None:
                kept.child.kill()
                self._bury(kept, kept.child.wait())
            kept.start_at = 0.0

    def restart(self, name: str) -> None:
        """Start it where it is down; stop it cleanly first where it runs. It is ready some time later."""
        with self._lock:
            kept = self._kept[name]
            kept.wanted = True
            self.failure = None
            if kept.child is not None:
                stop_child(kept.child, grace_seconds=STOP_GRACE_SECONDS)
            kept.restarts += 1
            kept.early_deaths, kept.pause = 0, PAUSE_SECONDS_FIRST
            self._start(kept)

    def stop(self) -> None:
        """Stop all: SIGTERM to each, the last started first, and SIGKILL for what is left after 10 s."""
        self._stopping.set()
        if self._watcher is not None:
            self._watcher.join()
        with self._lock:
            running = [kept for kept in reversed(self._kept.values()) if kept.child is not None]
            for kept in running:
                assert kept.child is not None
                kept.child.terminate()
            deadline = time.monotonic() + STOP_GRACE_SECONDS
            for kept in running:
                assert kept.child is not None
                stop_child(kept.child, grace_seconds=max(0.1, deadline - time.monotonic()))
                kept.child, kept.ready = None, False
                self._report(kept.spec.name, "stopped", "")

    # -- keeping

    def _start(self, kept: _Kept) -> None:
        with contextlib.suppress(FileNotFoundError):
            if kept.spec.log.stat().st_size > LOG_BYTES_MAX:
                kept.spec.log.replace(kept.spec.log.with_suffix(".1.log"))
        kept.child = start_child(kept.spec.argv, log=kept.spec.log, env=kept.spec.env)
        kept.started_at = time.monotonic()
        kept.ready, kept.start_at = False, 0.0
        self._report(kept.spec.name, "started", f"pid {kept.child.pid}")

    def _watch(self) -> None:
        while not self._stopping.wait(LOOK_SECONDS):
            with self._lock:
                several = list(self._kept.values())
            for kept in several:
                with self._lock:
                    self._look_at(kept)
                self._ask(kept)

    def _look_at(self, kept: _Kept) -> None:
        if kept.child is not None and (code := kept.child.poll()) is not None:
            self._bury(kept, code)
        if kept.child is None and kept.wanted and time.monotonic() >= kept.start_at:
            kept.restarts += 1
            self._start(kept)

    def _ask(self, kept: _Kept) -> None:
        """Ask a process that is not ready whether it is. Without the lock: it may take seconds to answer."""
        child = kept.child
        if child is None or kept.ready:
            return
        problem = why_not_ready(child.pid, kept.spec.url)
        with self._lock:
            if kept.child is not child:
                return
            kept.problem = problem or ""
            if problem is None:
                kept.ready, kept.early_deaths = True, 0
                self._report(kept.spec.name, "ready", "")

    def _bury(self, kept: _Kept, code: int) -> None:
        now = time.monotonic()
        kept.child, kept.ready = None, False
        kept.problem = "it is down"
        kept.early_deaths += 1
        how = f"killed by signal {-code}" if code < 0 else f"exit code {code}"
        if code == EXIT_MISCONFIGURED:
            kept.wanted = False
            self.failure = Misconfigured(_words(kept, "cannot run"))
        if now - kept.started_at > STEADY_SECONDS:
            kept.pause = PAUSE_SECONDS_FIRST
        kept.start_at = now + kept.pause
        self._report(kept.spec.name, "died", f"{how}; starts again in {kept.pause:.1f} s" if kept.wanted else how)
        kept.pause = min(max(kept.pause * 2, PAUSE_SECONDS_FIRST), PAUSE_SECONDS_MAX)


def _words(kept: _Kept, what: str) -> str:
    return f"{kept.spec.name} {what}. Its log, {kept.spec.log}, ends:\n{log_tail(kept.spec.log)}"
