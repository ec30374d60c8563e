"""Child processes that cannot outlive us: each has its own process group, logs to a file, and dies with its parent.

Ctrl-C in a terminal reaches only the parent (a group of its own), so the parent decides the order of the stop. Where
the parent itself is killed with no chance to stop anything, the kernel kills the children (Linux: PR_SET_PDEATHSIG);
on other systems a small watcher beside each child does.
"""

from __future__ import annotations

import os
import queue
import subprocess
import sys
import threading
from collections import deque
from collections.abc import Callable, Mapping, Sequence
from concurrent.futures import Future
from pathlib import Path

Child = subprocess.Popen[bytes]

KERNEL, WATCHER = "kernel", "watcher"

# Runs in the child before the real program: a program of its own, since code between fork and exec is not safe in a
# parent with threads. The second look at the parent closes the gap in which it died before the request.
_LEASH = """
import os, sys, time
parent, leash, argv = int(sys.argv[1]), sys.argv[2], sys.argv[3:]
if leash == "kernel":
    import ctypes
    if ctypes.CDLL(None, use_errno=True).prctl(1, 9, 0, 0, 0) != 0:
        sys.exit("The kernel refused PR_SET_PDEATHSIG.")
elif os.fork() == 0:
    child = os.getppid()
    while os.getppid() == child:
        try:
            os.kill(parent, 0)
        except OSError:
            os.kill(child, 9)
        time.sleep(0.5)
    os._exit(0)
if os.getppid() != parent:
    sys.exit("The parent is gone already.")
os.execv(argv[0], argv)
"""


def start_child(
    argv: Sequence[str],
    *,
    log: Path,
    env: Mapping[str, str] | None = None,
    leash: str = KERNEL if sys.platform == "linux" else WATCHER,
) -> Child:
    """Start a program whose output goes to the end of `log`, and which is killed when this process dies."""
    log.parent.mkdir(parents=True, exist_ok=True)
    leashed = [sys.executable, "-I", "-S", "-c", _LEASH, str(os.getpid()), leash, *argv]

    def spawn() -> Child:
        with log.open("ab") as output:
            return subprocess.Popen(
                leashed,
                stdin=subprocess.DEVNULL,
                stdout=output,
                stderr=subprocess.STDOUT,
                env=None if env is None else dict(env),
                process_group=0,
            )

    return _spawner.run(spawn)


def stop_child(child: Child, *, grace_seconds: float) -> bool:
    """Ask with SIGTERM, wait, then kill. True where it ended by itself within the grace."""
    if child.poll() is not None:
        return True
    child.terminate()
    try:
        child.wait(grace_seconds)
    except subprocess.TimeoutExpired:
        child.kill()
        child.wait()
        return False
    return True


def log_tail(log: Path, lines_max: int = 20) -> str:
    """The last lines that say something, for an error message."""
    try:
        with log.open(encoding="utf-8", errors="replace") as file:
            lines = deque((line.rstrip() for line in file if line.strip()), maxlen=lines_max)
    except FileNotFoundError:
        return "(no log)"
    return "\n".join(f"  | {line}" for line in lines) or "(its log is empty)"


class _Spawner:
    """The one thread that starts children: the kernel ties a child's life to the *thread* that started it.

    A child started from a worker thread would be killed when that worker ends. This thread lives as long as we do.
    """

    def __init__(self) -> None:
        self._wanted: _Wanted = queue.SimpleQueue()
        self._lock = threading.Lock()
        self._owner = 0

    def run(self, spawn: Callable[[], Child]) -> Child:
        """Call `spawn` in the thread; gives or raises what it does."""
        with self._lock:
            if self._owner != os.getpid():  # the first call, or the first after a fork, which takes no thread along
                self._owner = os.getpid()
                self._wanted = queue.SimpleQueue()
                threading.Thread(target=self._work, args=(self._wanted,), name="spawner", daemon=True).start()
        result: Future[Child] = Future()
        self._wanted.put((result, spawn))
        return result.result()

    @staticmethod
    def _work(wanted: _Wanted) -> None:
        while True:
            result, spawn = wanted.get()
            try:
                result.set_result(spawn())
            except BaseException as error:
                result.set_exception(error)


_Wanted = queue.SimpleQueue[tuple[Future[Child], Callable[[], Child]]]
_spawner = _Spawner()
