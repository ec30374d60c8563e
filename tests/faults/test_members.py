"""Several processes share a stage's work, come and go during the load, and no case is handled by two of them."""

from __future__ import annotations

import signal
import subprocess
import time
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from random import Random

import pytest

from deploy.local.ports import free_ports
from deploy.local.readiness import why_not_ready
from tests.faults.town import Town

pytestmark = [pytest.mark.kafka, pytest.mark.slow, pytest.mark.timeout(900)]

STAGES = ("gateway", "workflows", "router")
ROUNDS = 2
REQUESTS, PER_SECOND = 60, 2.0
JOIN_SECONDS_MAX, STAY_SECONDS = 120.0, 4.0


def test_members_join_and_leave_during_the_load_and_nothing_is_done_twice(town: Town) -> None:
    guests = Guests(town)
    town.submit(REQUESTS, per_second=PER_SECOND)
    try:
        town.until_done(seconds=500, meanwhile=guests.come_and_go())
    finally:
        guests.end()
    assert guests.worked == set(STAGES), "of these a second member had no partition in any round"
    town.check()


@dataclass(frozen=True)
class Guest:
    """A second member of a stage, started by hand."""

    stage: str
    process: subprocess.Popen[bytes]
    url: str
    log: Path

    @property
    def is_ready(self) -> bool:
        """Whether it works."""
        return why_not_ready(self.process.pid, self.url) is None

    @property
    def worked(self) -> bool:
        """Whether it ever had a partition."""
        return '"lane_ready"' in self.log.read_text(encoding="utf-8", errors="replace")


class Guests:
    """Second members of each stage. First they leave when asked, last by SIGKILL, in between by chance."""

    def __init__(self, town: Town) -> None:
        self.worked: set[str] = set()
        self._town = town
        self._rng = Random(f"guests/{town.seed}")
        self._here: list[Guest] = []

    def come_and_go(self) -> Iterator[str]:
        """For `until_done`."""
        for number in range(ROUNDS):
            self._here = [self._start(stage, number) for stage in STAGES]
            deadline = time.monotonic() + JOIN_SECONDS_MAX
            while late := [guest for guest in self._here if not guest.is_ready]:
                if time.monotonic() > deadline:
                    pytest.fail(f"{late[0].stage} did not join. {late[0].log}:\n{late[0].log.read_text()[-2000:]}")
                yield "joining"
            until = time.monotonic() + STAY_SECONDS + self._rng.random()
            while time.monotonic() < until:
                yield "here"
            politely = number == 0 or (number < ROUNDS - 1 and self._rng.random() < 0.5)
            for guest in self._here:
                guest.process.send_signal(signal.SIGTERM if politely else signal.SIGKILL)
            deadline = time.monotonic() + JOIN_SECONDS_MAX
            while any(guest.process.poll() is None for guest in self._here):
                assert time.monotonic() < deadline, "a second member does not end"
                yield "leaving"
            if politely:
                assert [guest.process.returncode for guest in self._here] == [0] * len(self._here)
            self.worked |= {guest.stage for guest in self._here if guest.worked}

    def end(self) -> None:
        """Kill who is still there."""
        for guest in self._here:
            if guest.process.poll() is None:
                guest.process.kill()
            guest.process.wait()

    def _start(self, stage: str, number: int) -> Guest:
        (port,) = free_ports(1)
        log = self._town.home / "logs" / f"{stage}-guest-{number}.log"
        with log.open("wb") as output:
            process = subprocess.Popen(
                self._town.command("run", stage),
                env=self._town.environment() | {"SUBAK_HTTP_PORT": str(port)},
                stdout=output,
                stderr=subprocess.STDOUT,
            )
        return Guest(stage, process, f"http://127.0.0.1:{port}", log)
