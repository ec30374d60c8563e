"""The whole city ends in the midst of a run, asked to or not; started again on the same data it finishes every case."""

from __future__ import annotations

import os
import signal
import subprocess
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager

import psutil
import pytest

from deploy.local.children import log_tail
from tests.faults.town import PARTITIONS, SPEED, Town

pytestmark = [pytest.mark.kafka, pytest.mark.slow, pytest.mark.timeout(1200)]

REQUESTS, PER_SECOND = 30, 5.0
START_SECONDS_MAX, END_SECONDS_MAX = 240.0, 60.0
EXIT_INTERRUPTED = 130


def test_a_city_that_is_stopped_and_then_killed_as_a_whole_in_the_midst_of_a_run_finishes_every_case(
    town: Town,
) -> None:
    town.close()
    known = {case for case, _ in town.planned()} if town.home.joinpath("agency-systems").is_dir() else set()

    def mine() -> list[tuple[str, str]]:
        return [(case, state) for case, state in town.planned() if case not in known]

    with demo(town) as process:
        until(lambda: _accepted(mine()) >= REQUESTS // 2, "half of the requests came in", town, process)
        family = _family(process.pid)
        process.send_signal(signal.SIGTERM)
        assert process.wait(END_SECONDS_MAX) == EXIT_INTERRUPTED
        _gone(family)
    open_then = _accepted(mine())
    assert open_then >= REQUESTS // 2

    with demo(town) as process:
        until(lambda: _accepted(mine()) >= REQUESTS + REQUESTS // 2, "more requests came in", town, process)
        family = _family(process.pid)
        for member in family:  # the supervisor first: nobody is left to start anything again
            os.kill(member.pid, signal.SIGKILL)
        process.wait(END_SECONDS_MAX)
        _gone(family)

    town.open(cases=[case for case, _ in mine()])
    assert len(town.city.cases) == 2 * REQUESTS
    town.until_done(seconds=400)
    town.check()


@contextmanager
def demo(town: Town) -> Iterator[subprocess.Popen[bytes]]:
    """`subak demo` on the town's home, which stays up; killed where the test has not ended it."""
    words = ("--city", str(town.folder), "--home", str(town.home.parent), "--keep", "--seed", str(town.seed))
    pace = ("--count", str(REQUESTS), "--rate", str(PER_SECOND), "--speed", str(SPEED))
    with (town.home / "demo.log").open("ab") as output:
        env = dict(os.environ) | {"SUBAK_KAFKA_PARTITIONS": str(PARTITIONS)}
        process = subprocess.Popen(
            town.command("demo", *words, *pace), env=env, stdout=output, stderr=subprocess.STDOUT
        )
    try:
        yield process
    finally:
        if process.poll() is None:
            process.kill()
            process.wait()


def until(holds: Callable[[], bool], what: str, town: Town, process: subprocess.Popen[bytes]) -> None:
    """Wait for it while the demo runs."""
    deadline = time.monotonic() + START_SECONDS_MAX
    while not holds():
        assert process.poll() is None, f"the demo ended with {process.poll()}:\n{log_tail(town.home / 'demo.log')}"
        if time.monotonic() > deadline:
            said = log_tail(town.home / "demo.log")
            pytest.fail(f"after {START_SECONDS_MAX:.0f} s it does not hold that {what}. Seed {town.seed}.\n{said}")
        time.sleep(0.1)


def _accepted(requests: list[tuple[str, str]]) -> int:
    return sum(state == "accepted" for _, state in requests)


def _family(pid: int) -> list[psutil.Process]:
    """A process and all that descends from it."""
    parent = psutil.Process(pid)
    family = [parent, *parent.children(recursive=True)]
    assert len(family) >= 8, "kafka, four services, two adapters and the simulator were expected below the demo"
    return family


def _gone(family: list[psutil.Process]) -> None:
    """None of them lives: those whose parent is gone are another's to bury."""
    _, alive = psutil.wait_procs(family, timeout=END_SECONDS_MAX)
    alive = [process for process in alive if process.is_running() and process.status() != psutil.STATUS_ZOMBIE]
    assert alive == [], "these outlived the city"
