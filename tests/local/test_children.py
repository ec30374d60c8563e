"""A child never outlives the process that started it, however that ends, and lives on when only a thread of it ends."""

from __future__ import annotations

import subprocess
import sys
import threading
import time
from pathlib import Path

import psutil
import pytest

from deploy.local.children import KERNEL, WATCHER, log_tail, start_child, stop_child

SLEEPER = [sys.executable, "-c", "import time; time.sleep(600)"]

PARENT = """
import sys, time
from pathlib import Path
from deploy.local.children import start_child
child = start_child([sys.executable, "-c", "import time; time.sleep(600)"], log=Path(sys.argv[1]), leash=sys.argv[2])
print(child.pid, flush=True)
time.sleep(600)
"""


def _is_gone(pid: int, within_seconds: float) -> bool:
    deadline = time.monotonic() + within_seconds
    while time.monotonic() < deadline:
        try:
            if psutil.Process(pid).status() == psutil.STATUS_ZOMBIE:
                return True
        except psutil.NoSuchProcess:
            return True
        time.sleep(0.02)
    return False


@pytest.mark.parametrize(
    "leash",
    [
        pytest.param(KERNEL, marks=pytest.mark.skipif(sys.platform != "linux", reason="the kernel's leash is Linux's")),
        WATCHER,
    ],
)
def test_a_child_dies_with_a_parent_that_is_killed(tmp_path: Path, leash: str) -> None:
    parent = subprocess.Popen(
        [sys.executable, "-c", PARENT, str(tmp_path / "log"), leash], stdout=subprocess.PIPE, text=True
    )
    assert parent.stdout is not None
    with parent.stdout:
        pid = int(parent.stdout.readline())
    time.sleep(0.5)  # the leash is on before the program begins: let it begin
    assert psutil.Process(pid).cmdline()[-1] == SLEEPER[-1]
    parent.kill()
    parent.wait()
    assert _is_gone(pid, within_seconds=5)


def test_a_child_lives_on_when_the_thread_that_asked_for_it_ends(tmp_path: Path) -> None:
    started = []

    def ask() -> None:
        started.append(start_child(SLEEPER, log=tmp_path / "log"))
        time.sleep(0.5)  # the leash is on

    thread = threading.Thread(target=ask)
    thread.start()
    thread.join()
    time.sleep(0.5)
    assert started[0].poll() is None
    assert stop_child(started[0], grace_seconds=5)


def test_a_child_that_ignores_the_request_is_killed_after_the_grace(tmp_path: Path) -> None:
    deaf = "import signal, time; signal.signal(15, signal.SIG_IGN); print('deaf', flush=True); time.sleep(600)"
    child = start_child([sys.executable, "-c", deaf], log=tmp_path / "log")
    while "deaf" not in log_tail(tmp_path / "log"):
        time.sleep(0.02)
    assert not stop_child(child, grace_seconds=0.3)
    assert child.poll() == -9


def test_the_tail_of_a_log_is_its_last_lines_that_say_something(tmp_path: Path) -> None:
    log = tmp_path / "log"
    log.write_bytes(b"first\n\n \nsecond\n\xff third\n\n")
    assert log_tail(log, lines_max=2) == "  | second\n  | � third"
    assert log_tail(tmp_path / "none") == "(no log)"
