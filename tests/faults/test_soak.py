"""The long run: rounds of a thousand requests under many kills, each round whole before the next, for as long as asked.

`make soak ARGS="--minutes 60"`; without `--minutes` one round. `--seed` decides the first round's kills, the numbers
after it the others'.
"""

from __future__ import annotations

import time

import pytest

from tests.faults.faults import carried_out, plan_of_kills
from tests.faults.town import Town

REQUESTS, PER_SECOND, KILLS_EACH = 1000, 8.0, 4


@pytest.mark.kafka
@pytest.mark.soak
@pytest.mark.timeout(0)
def test_a_thousand_requests_survive_many_kills_round_after_round(town: Town, request: pytest.FixtureRequest) -> None:
    until = time.monotonic() + 60 * request.config.getoption("--minutes")
    number = 0
    while number == 0 or time.monotonic() < until:
        town.begin()
        seed = town.seed + number
        plan = plan_of_kills(seed, town.processes, each=KILLS_EACH)
        began = time.monotonic()
        town.submit(REQUESTS, per_second=PER_SECOND)
        town.until_done(seconds=1800, meanwhile=carried_out(plan, town.progress, town.kill))
        town.until_ready()
        town.check()
        number += 1
        seconds = time.monotonic() - began
        print(
            f"round {number}, seed {seed}: {REQUESTS} cases, {len(plan)} kills, {seconds:.0f} s, all clean", flush=True
        )
