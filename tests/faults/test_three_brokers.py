"""Of three brokers one may be lost unnoticed; of two, and of a process that stands still, an operator is told."""

from __future__ import annotations

import asyncio
import os
import signal
import time
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import AbstractContextManager
from pathlib import Path
from random import Random

import pytest

from bus.kafka.offsets import admin_client, asked_again
from deploy.local.readiness import why_not_ready
from deploy.simulation.records import Sent
from deploy.simulation.requests import SUBMITTED
from tests.faults.faults import carried_out, plan_of_kills
from tests.faults.town import Town
from tests.support.prometheus import Prometheus, prometheus

pytestmark = [pytest.mark.kafka, pytest.mark.slow, pytest.mark.timeout(1200)]

ANSWER_SECONDS_MAX = 5.0
"""How long a 202 may take on a machine that is busy with other things."""
ISR_SECONDS_MAX = 120.0
ALERT_SECONDS_MAX = 75.0
"""A minute, and one scrape: the pause falls anywhere between two."""
KAFKA_AWAY_SECONDS_MAX = 180.0


def in_sync(town: Town) -> tuple[int, int]:
    """The fewest and the most copies in sync of any partition of the bus."""

    async def ask() -> list[int]:
        async with admin_client(town.city.local.settings, "a test") as admin:
            described = await admin.describe_topics(sorted(town.directory.topics()))
        return [len(partition["isr"]) for topic in described for partition in topic["partitions"]]

    with ThreadPoolExecutor(1) as own:
        found = own.submit(lambda: asyncio.run(asked_again(ask))).result()
    return min(found), max(found)


def patiently(holds: Callable[[], bool], what: str, seconds: float) -> Iterator[str]:
    deadline = time.monotonic() + seconds
    while not holds():
        if time.monotonic() > deadline:
            pytest.fail(f"after {seconds:.0f} s it does not hold that {what}")
        yield what


class Losses:
    """Brokers that are lost in the midst of the work, and come back."""

    def __init__(self, town: Town) -> None:
        self._town = town
        self._local = town.city.local
        self._rng = Random(f"brokers/{town.seed}")
        self.lost_at: list[float] = []
        """The share of the work that was done at each loss."""

    def one_after_the_other(self) -> Iterator[str]:
        """Each of the three is lost once: killed, and kept away until more work is done; its copies then fill."""
        for number, name in enumerate(self._rng.sample(sorted(self._local.brokers), 3)):
            yield from self._until_progress(0.08 + 0.2 * number)
            self._local.kill(name, restart=False)
            self.lost_at.append(self._town.progress())
            self._town.news.append(f"{name} is lost at {self._town.progress():.0%}")
            yield from patiently(lambda: in_sync(self._town)[1] == 2, "every partition has two copies", ISR_SECONDS_MAX)
            yield from self._until_progress(min(1.0, self.lost_at[-1] + 0.08))
            self._local.restart(name)
            yield from patiently(lambda: in_sync(self._town)[0] == 3, "all copies are in sync again", ISR_SECONDS_MAX)

    def _until_progress(self, share: float) -> Iterator[str]:
        yield from patiently(lambda: self._town.progress() >= share, f"{share:.0%} of the work is done", 400)


def test_each_of_three_brokers_is_lost_during_the_load_and_nothing_stops_or_is_lost(three: Town) -> None:
    three.submit(120, per_second=0.8)
    losses = Losses(three)
    three.until_done(seconds=900, meanwhile=losses.one_after_the_other())
    assert len(losses.lost_at) == 3
    assert max(losses.lost_at) < 0.95, "the last broker was lost when the work was done already"
    three.check()


@pytest.mark.soak
def test_with_two_brokers_lost_adapters_answer_202_an_alert_fires_and_all_catches_up(
    three: Town, tmp_path: Path
) -> None:
    three.submit(40, per_second=0.5)
    gone: dict[str, float] = {}
    with watched(three, tmp_path) as watch:

        def two_lost() -> Iterator[str]:
            yield from patiently(lambda: three.progress() > 0.1, "the work goes on", 200)
            local = three.city.local
            first, second = Random(f"two/{three.seed}").sample(sorted(local.brokers), 2)
            local.kill(first, restart=False)
            local.kill(second, restart=False)
            gone["from"] = time.time()
            try:
                yield from patiently(
                    lambda: ("SubakKafkaAway", "") in watch.firing(), "SubakKafkaAway fires", KAFKA_AWAY_SECONDS_MAX
                )
                gone["to"] = time.time()
            finally:
                for name in (first, second):
                    local.restart(name)
            yield from patiently(lambda: in_sync(three)[0] == 3, "all copies are in sync again", ISR_SECONDS_MAX)
            yield from patiently(
                lambda: ("SubakKafkaAway", "") not in watch.firing(), "SubakKafkaAway ends", KAFKA_AWAY_SECONDS_MAX
            )

        three.until_done(seconds=900, meanwhile=two_lost())
    print(f"SubakKafkaAway fired {gone['to'] - gone['from']:.0f} s after the second broker was lost")
    due = [sent for sent in requests(three) if gone["from"] < sent.due_at < gone["to"] - ANSWER_SECONDS_MAX]
    assert len(due) > 10, "too few requests came in while two brokers were away"
    assert [sent.case for sent in due if (sent.answered_at or gone["to"]) - sent.due_at > ANSWER_SECONDS_MAX] == []
    assert {sent.state for sent in due} == {"accepted"}
    three.check()


def test_a_process_that_stands_still_is_found_by_readiness_and_by_an_alert_within_a_minute(
    three: Town, tmp_path: Path
) -> None:
    three.submit(30, per_second=1.0)
    name = Random(f"still/{three.seed}").choice(["gateway", "workflows", "router"])
    with watched(three, tmp_path) as watch:
        found: dict[str, float] = {}

        def stopped() -> Iterator[str]:
            yield from patiently(lambda: three.progress() > 0.1, "the work goes on", 200)
            pid = three.city.local.pids[name]
            assert three.city.local.run is not None
            url = str(three.city.local.run.processes[name]["url"])
            os.kill(pid, signal.SIGSTOP)
            began = time.monotonic()
            try:
                yield from patiently(lambda: why_not_ready(pid, url) is not None, "it is not ready", ALERT_SECONDS_MAX)
                found["readiness"] = time.monotonic() - began
                yield from patiently(
                    lambda: ("SubakProcessDown", name) in watch.firing(), "SubakProcessDown fires", ALERT_SECONDS_MAX
                )
                found["alert"] = time.monotonic() - began
            finally:
                os.kill(pid, signal.SIGCONT)

        three.until_done(seconds=600, meanwhile=stopped())
    print(f"{name} stood still: not ready after {found['readiness']:.0f} s, alert after {found['alert']:.0f} s")
    assert found["alert"] <= ALERT_SECONDS_MAX
    three.check()


@pytest.mark.soak
@pytest.mark.timeout(0)
def test_hundreds_of_requests_survive_many_kills_of_brokers_and_processes(
    three: Town, request: pytest.FixtureRequest
) -> None:
    until = time.monotonic() + 60 * request.config.getoption("--minutes")
    number = 0
    while number == 0 or time.monotonic() < until:
        three.begin()
        seed = three.seed + number
        plan = plan_of_kills(seed, three.processes, each=2)
        began = time.monotonic()
        three.submit(300, per_second=4.0)
        three.until_done(seconds=1800, meanwhile=carried_out(plan, three.progress, three.kill))
        three.until_ready()
        three.check()
        number += 1
        seconds = time.monotonic() - began
        print(f"round {number}, seed {seed}: 300 cases, three brokers, {len(plan)} kills, {seconds:.0f} s, all clean")


def watched(town: Town, folder: Path) -> AbstractContextManager[Prometheus]:
    run = town.city.local.run
    assert run is not None
    return prometheus(folder, {name: str(process["url"]) for name, process in run.processes.items()})


def requests(town: Town) -> list[Sent]:
    channel = town.city.records[town.directory.citizens_channel]
    return [sent for sent in channel.sent_since() if sent.type == SUBMITTED and sent.case in set(town.city.cases)]
