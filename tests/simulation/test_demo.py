"""The whole of it, on a real Kafka: the demo's promise to a newcomer, and a city whose agencies' systems are killed."""

from __future__ import annotations

import asyncio
import json
import os
import signal
import sys
from pathlib import Path
from typing import Any

import pytest

from deploy.simulation.city import NAME, SimulatedCity
from schemas.failures import Misconfigured
from tests.support.postgresql import PostgreSQL

pytestmark = [pytest.mark.kafka, pytest.mark.slow]

SAN_FRANCISCO = Path(__file__).parents[3] / "shared" / "data" / "san-francisco-311-2011-06.json"


async def demo(*arguments: str, home: Path) -> tuple[int, str, str]:
    """Run `subak demo`; exit code, stdout, stderr."""
    environment = {key: value for key, value in os.environ.items() if not key.startswith("SUBAK_")}
    process = await asyncio.create_subprocess_exec(
        sys.executable,
        "-m",
        "services.cli",
        "demo",
        "--home",
        str(home),
        *arguments,
        stdout=asyncio.subprocess.PIPE,
        stderr=asyncio.subprocess.PIPE,
        env=environment,
    )
    out, err = await process.communicate()
    assert process.returncode is not None
    return process.returncode, out.decode(), err.decode()


def spotless(line: str, *, cases: int) -> dict[str, Any]:
    """The JSON object of a run in which all went as it must."""
    found: dict[str, Any] = json.loads(line)
    assert (found["lost"], found["duplicated"], found["out_of_order"]) == (0, 0, 0)
    assert found["submitted"] == found["accepted"] == found["cases"] == found["closed"] == cases
    return found


@pytest.mark.soak
@pytest.mark.timeout(900)
async def test_a_secured_city_brings_its_cases_to_their_end_with_no_more_rights_than_each_part_needs(
    tmp_path: Path,
) -> None:
    arguments = ("--secure", "--city", "san-francisco", "--json", "--count", "5", "--speed", "10")
    code, out, err = await demo(*arguments, home=tmp_path)
    assert code == 0, err
    spotless(out, cases=5)
    said = (tmp_path / "san-francisco" / "kafka" / "kafka.log").read_text(encoding="utf-8")
    denied = [line for line in said.splitlines() if "is Denied" in line]
    assert denied == [], "a part of the bus asks for more than it was given"


@pytest.mark.timeout(600)
async def test_the_demo_prints_one_json_object_and_a_second_run_goes_on_where_the_first_ended(tmp_path: Path) -> None:
    for _ in range(2):
        code, out, err = await demo("--json", "--count", "15", "--rate", "10", "--speed", "4", home=tmp_path)
        assert code == 0, err
        assert out.count("\n") == 1  # progress goes elsewhere
        found = spotless(out, cases=15)
        assert found["kafka_version"] == "4.3.1"
        assert "closed 15 of 15" in err
    assert not (tmp_path / "denpasar" / "run.json").exists()


@pytest.mark.timeout(600)
async def test_the_demo_tells_a_person_what_happened(tmp_path: Path) -> None:
    code, out, err = await demo("--exit", "--count", "15", "--rate", "10", "--speed", "4", home=tmp_path)
    assert code == 0, err
    for part in ("What each agency's own system", "Where the cases are", "lost 0", "because of #1", "subak case list"):
        assert part in out
    for kind in ("sql", "files (CSV)", "files (XLSX)", "python", "http, open311"):
        assert kind in out, "a kind of source is not shown"
    assert "The nearest: selesai" not in out  # a status is a condition, not a code
    for mistake in ("no [[event]] of the mapping takes this record", "this is no case id", "the row has", "dua juta"):
        assert mistake in out.replace("\n", " ") or mistake in " ".join(out.split()), mistake


@pytest.mark.timeout(600)
@pytest.mark.skipif(not SAN_FRANCISCO.exists(), reason=f"the feed from outside is not here: {SAN_FRANCISCO}")
async def test_a_second_citys_feed_of_real_requests_runs_through_to_the_last_case(tmp_path: Path) -> None:
    code, out, err = await demo(
        "--city",
        "san-francisco",
        "--requests",
        str(SAN_FRANCISCO),
        "--rate",
        "25",
        "--speed",
        "2",
        "--json",
        home=tmp_path,
    )
    assert code == 0, err
    spotless(out.splitlines()[-1], cases=500)


async def test_a_feed_that_is_none_is_told_before_anything_starts(tmp_path: Path) -> None:
    wrong = tmp_path / "requests.json"
    wrong.write_text('{"requests": []}', encoding="utf-8")
    code, out, err = await demo("--requests", str(wrong), home=tmp_path)
    assert code == 78
    assert "holds no JSON array" in err
    assert not out
    assert not (tmp_path / "denpasar").exists()


@pytest.mark.soak
@pytest.mark.timeout(600)
def test_killed_systems_and_adapters_lose_nothing_and_do_nothing_twice(tmp_path: Path) -> None:
    """kill -9 of the agencies' systems and of an adapter, in turn, while 60 cases run; clerks make their mistakes."""
    city = SimulatedCity("denpasar", home=tmp_path, speed=3)
    city.start()
    try:
        watch = city.submit(city.made_up(60), per_second=15)
        city.make_mistakes()
        victims = [(20, NAME), (60, "adapter-agencies"), (120, NAME), (180, "adapter-citizens"), (240, NAME)]
        for standing in city.follow():
            if victims and standing.posted >= victims[0][0]:
                city.local.kill(victims.pop(0)[1])
        assert not victims, f"too little happened to kill {victims}"
        ledgers, counts = city.outcome()
        assert counts.clean, (counts, city.stuck(ledgers, counts))
        assert counts.closed == 60
        assert watch.finished
        assert set(city.own) == {"public-works", "environment", "planning", "transport"}
        assert all(ledgers[agency].sent and ledgers[agency].heard for agency in city.own), "a kind was not used"
        refused = city.refusals()
        assert [refusal.row for refusal in refused["public-works"]] == ["penanganan", "penanganan"]
        assert [refusal.row for refusal in refused["environment"]] == [
            f"mistakes.errors.csv, row {number}" for number in (2, 3, 4)
        ]
        assert "2 cells" not in refused["environment"][0].reasons
        assert "ragged" in refused["environment"][1].reasons or "cells" in refused["environment"][1].reasons

        city.local.kill(NAME, restart=False)
        city.submit(city.made_up(2), per_second=100)
        for _ in city.follow(stuck_after_seconds=2):
            pass
        ledgers, counts = city.outcome()
        assert not counts.clean
        assert list(city.stuck(ledgers, counts).values()) == ["no agency knows of it"] * 2
    finally:
        city.stop()


@pytest.mark.timeout(600)
async def test_ctrl_c_ends_a_running_demo_and_everything_that_it_started(tmp_path: Path) -> None:
    process = await asyncio.create_subprocess_exec(
        sys.executable,
        "-m",
        "services.cli",
        "demo",
        "--home",
        str(tmp_path),
        "--count",
        "2000",
        stdout=asyncio.subprocess.PIPE,
        stderr=asyncio.subprocess.STDOUT,
    )
    assert process.stdout is not None
    async with asyncio.timeout(200):
        while b"requests come in" not in (line := await process.stdout.readline()):
            assert line, "it ended before it began"
        await asyncio.sleep(3)
        run = json.loads((tmp_path / "denpasar" / "run.json").read_text(encoding="utf-8"))
        process.send_signal(signal.SIGINT)
        rest = await process.stdout.read()
        assert await process.wait() == 130
    assert b"The data stay" in rest
    for name, found in run["processes"].items():
        assert not Path(f"/proc/{found['pid']}").exists(), f"{name} still runs"


@pytest.mark.soak
@pytest.mark.timeout(600)
def test_an_agencys_tables_on_postgresql_serve_the_demo_as_well(tmp_path: Path, postgresql: PostgreSQL) -> None:
    url = postgresql.new_database()
    city = SimulatedCity("denpasar", home=tmp_path, speed=5, databases={"public-works": url})
    city.start()
    try:
        city.submit([one for one in city.made_up(80) if one["service_code"] in ("drain", "road-damage")], per_second=10)
        city.make_mistakes()
        for _ in city.follow():
            pass
        ledgers, counts = city.outcome()
        assert counts.clean, (counts, city.stuck(ledgers, counts))
        assert ledgers["public-works"].sent
        assert ledgers["public-works"].heard
        assert len(city.refusals()["public-works"]) == 2
    finally:
        city.stop()


def test_a_database_for_an_agency_that_has_none_is_told_before_anything_starts(tmp_path: Path) -> None:
    with pytest.raises(Misconfigured, match="health"):
        SimulatedCity("denpasar", home=tmp_path, databases={"health": "postgresql://nobody@127.0.0.1/x"})
