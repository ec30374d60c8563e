"""Whatever is killed, at whatever moment, comes back, and the city does its work as if nothing had been."""

from __future__ import annotations

import pytest

from tests.faults.faults import carried_out, plan_of_kills
from tests.faults.town import Town

pytestmark = [pytest.mark.kafka, pytest.mark.slow, pytest.mark.timeout(900)]

REQUESTS, PER_SECOND = 80, 3.0

MISTAKES = {"public-works": 2, "utilities": 3, "housing": 0, "transport": 0}
"""Rows in the agencies' own systems that no adapter can take."""


def test_each_process_and_the_broker_is_killed_while_requests_run_and_nothing_is_lost_or_doubled(town: Town) -> None:
    plan = plan_of_kills(town.seed, town.processes)
    before = dict(town.city.local.pids)
    town.submit(REQUESTS, per_second=PER_SECOND)
    town.city.make_mistakes()
    town.until_done(seconds=400, meanwhile=carried_out(plan, town.progress, town.kill))
    town.until_ready()
    after = town.city.local.pids
    assert set(after) == set(before)
    assert all(after[name] != pid for name, pid in before.items()), "somebody was not killed"
    assert {agency: len(found) for agency, found in town.city.refusals().items()} == MISTAKES
    ledgers, _ = town.city.outcome()
    assert all(ledgers[agency].sent and ledgers[agency].heard for agency in town.city.own), "a kind was not used"
    town.check()
