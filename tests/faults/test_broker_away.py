"""While the broker is away the agencies notice nothing: their adapters go on taking events, and catch up afterwards."""

from __future__ import annotations

import os
import signal
import subprocess
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from bus.topics import STAGES
from deploy.local.children import log_tail
from deploy.local.ports import free_ports
from deploy.local.readiness import why_not_ready
from deploy.simulation.records import Sent
from deploy.simulation.requests import SUBMITTED
from tests.faults.town import Town
from tests.faults.words import CITY

pytestmark = [pytest.mark.kafka, pytest.mark.slow, pytest.mark.timeout(900)]

ANSWER_SECONDS_MAX = 5.0
"""How long a 202 may take on a machine that is busy with other things."""

PROCESSES = (*STAGES, "casebook")

SHORT, LONG = 15.0, 60.0


@pytest.mark.parametrize(
    ("how", "seconds"),
    [
        ("silent", SHORT),
        ("gone", SHORT),
        pytest.param("silent", LONG, marks=pytest.mark.soak),
        pytest.param("gone", LONG, marks=pytest.mark.soak),
    ],
)
def test_while_the_broker_is_away_adapters_answer_202_and_catch_up(town: Town, how: str, seconds: float) -> None:
    town.submit(int(seconds * 2) + 10, per_second=2.5)
    absence = Absence(town, how, seconds)
    town.until_done(seconds=seconds + 300, meanwhile=absence.carried_out())
    first, last = absence.window
    answered = [sent for sent in _requests(town) if first < (sent.answered_at or 0) < last]
    due = [sent for sent in _requests(town) if first < sent.due_at < last - ANSWER_SECONDS_MAX]
    assert len(due) > seconds, "too few requests came in while the broker was away"
    assert all(sent.state == "accepted" for sent in answered)
    late = [sent for sent in due if (sent.answered_at or last) - sent.due_at > ANSWER_SECONDS_MAX]
    assert late == [], "these waited for the broker"
    assert absence.deaths <= {"silent": 0, "gone": len(STAGES)}[how], "a process gave up because the broker was away"
    assert not absence.heard_meanwhile, "the broker was not away: agencies heard of new cases"
    town.check()


def test_processes_that_start_before_the_broker_wait_say_so_and_end_when_asked(tmp_path: Path) -> None:
    nobody, *ports = free_ports(1 + len(PROCESSES))
    settings = {"KAFKA_BOOTSTRAP_SERVERS": f"127.0.0.1:{nobody}", "CITY": CITY, "HOME": str(tmp_path)}
    env = dict(os.environ) | {f"SUBAK_{name}": value for name, value in settings.items()}
    started = {}
    for name, port in zip(PROCESSES, ports, strict=True):
        with (tmp_path / f"{name}.log").open("wb") as log:
            words = Town.command("run", name)
            started[name] = subprocess.Popen(words, env=env | {"SUBAK_HTTP_PORT": str(port)}, stdout=log, stderr=log)
    try:
        deadline = time.monotonic() + 90
        for (name, process), port in zip(started.items(), ports, strict=True):
            said: str | None = ""
            while "Kafka did not answer" not in (said or ""):
                assert process.poll() is None, f"{name} gave up:\n{log_tail(tmp_path / f'{name}.log')}"
                assert time.monotonic() < deadline, f"{name} says only: {said}"
                time.sleep(0.2)
                said = why_not_ready(process.pid, f"http://127.0.0.1:{port}")
        for process in started.values():
            process.send_signal(signal.SIGTERM)
        assert {name: process.wait(30) for name, process in started.items()} == dict.fromkeys(started, 0)
    finally:
        for process in started.values():
            process.kill()
            process.wait()
    assert not any("Unclosed" in log.read_text() for log in tmp_path.glob("*.log"))


class Absence:
    """The broker's absence: `silent` (stopped, its connections open) or `gone` (killed, and each stage killed with it,
    so that they start while it is away)."""

    def __init__(self, town: Town, how: str, seconds: float) -> None:
        self._town = town
        self._how = how
        self._seconds = seconds
        self.window = (0.0, 0.0)
        """From when to when it was away (epoch seconds)."""
        self.heard_meanwhile = 0
        self.deaths = 0
        """How many processes ended meanwhile."""

    def carried_out(self) -> Iterator[str]:
        """For `until_done`."""
        yield from _for(2.0)
        local = self._town.city.local
        kafka = local.kafka
        assert kafka is not None
        if self._how == "silent":
            kafka.pause()
        else:
            local.kill("kafka", restart=False)
            for stage in STAGES:
                self._town.kill(stage)
        began, supervisor = time.time(), local.supervisor
        restarts = sum(map(supervisor.restarts, supervisor.names()))
        try:
            yield from _for(ANSWER_SECONDS_MAX)  # what had come before is delivered still
            heard = self._heard()
            yield from _for(self._seconds - ANSWER_SECONDS_MAX)
            self.heard_meanwhile = self._heard() - heard
            self.window = (began, time.time())
            self.deaths = sum(map(supervisor.restarts, supervisor.names())) - restarts
        finally:
            if self._how == "silent":
                kafka.resume()
            else:
                local.restart("kafka")

    def _heard(self) -> int:
        return sum(len(records.heard_since()) for records in self._town.city.records.values())


def _for(seconds: float) -> Iterator[str]:
    until = time.monotonic() + seconds
    while time.monotonic() < until:
        yield "waiting"


def _requests(town: Town) -> list[Sent]:
    channel = town.city.records[town.directory.citizens_channel]
    return [sent for sent in channel.sent_since() if sent.type == SUBMITTED and sent.case in set(town.city.cases)]
