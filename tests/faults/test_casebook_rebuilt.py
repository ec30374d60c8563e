"""The casebook can be thrown away: what is made anew from the log is the same, row for row."""

from __future__ import annotations

import sqlite3
import subprocess
import time
from pathlib import Path

import pytest

from deploy.local.ports import free_ports
from deploy.local.readiness import why_not_ready
from tests.faults import evidence
from tests.faults.town import Town

pytestmark = [pytest.mark.kafka, pytest.mark.slow, pytest.mark.timeout(900)]

Rows = dict[str, list[tuple[object, ...]]]

LAST_SECONDS_MAX = 120.0


def test_a_casebook_that_is_deleted_or_rebuilt_has_the_same_rows(town: Town) -> None:
    town.submit(25, per_second=10)
    town.until_done(seconds=300)
    town.check()  # the casebook has everything
    supervisor = town.city.local.supervisor
    path = town.home / "casebook.sqlite3"
    supervisor.kill("casebook", restart=False)
    before = dump(path)
    assert len(before["cases"]) >= 25
    assert len(before["timeline"]) > 10 * len(before["cases"]) / 2

    for file in path.parent.glob("casebook.sqlite3*"):
        file.unlink()
    supervisor.restart("casebook")
    town.until_ready()
    evidence_is_back(town)
    supervisor.kill("casebook", restart=False)
    assert dump(path) == before, "deleted, and made anew"

    rebuild(town)
    assert dump(path) == before, "rebuilt with --rebuild"
    supervisor.restart("casebook")
    town.until_ready()
    town.check()


def evidence_is_back(town: Town) -> None:
    """The casebook has taken in the whole log again."""
    ledgers, _ = town.city.outcome()
    topics, late = evidence.settled(town.city)
    assert late == []
    assert evidence.casebook_problems(town.city, ledgers, topics) == []
    _until_still(town.home / "casebook.sqlite3")


def rebuild(town: Town) -> None:
    """`subak run casebook --rebuild`, until it has read the log."""
    (port,) = free_ports(1)
    log = town.home / "logs" / "casebook-rebuild.log"
    with log.open("wb") as output:
        process = subprocess.Popen(
            town.command("run", "casebook", "--rebuild"),
            env=town.environment() | {"SUBAK_HTTP_PORT": str(port)},
            stdout=output,
            stderr=subprocess.STDOUT,
        )
    try:
        url = f"http://127.0.0.1:{port}"
        town.until(
            lambda: why_not_ready(process.pid, url) is None, f"the rebuilding casebook is ready ({log})", seconds=90
        )
        _until_still(town.home / "casebook.sqlite3")
    finally:
        process.terminate()
        assert process.wait(30) == 0, log.read_text()


def _until_still(path: Path) -> None:
    """Until its positions move no more: two seconds without a change."""
    deadline = time.monotonic() + LAST_SECONDS_MAX
    last, since = None, time.monotonic()
    while time.monotonic() < deadline:
        positions = dump(path)["positions"]
        if positions != last:
            last, since = positions, time.monotonic()
        if time.monotonic() - since > 2:
            return
        time.sleep(0.2)
    pytest.fail(f"the casebook's positions still move after {LAST_SECONDS_MAX:.0f} s: {last}")


def dump(path: Path) -> Rows:
    """Every row of every table, sorted; nothing is left out, for nothing in them is merely physical."""
    database = sqlite3.connect(f"file:{path}?mode=ro", uri=True)
    try:
        tables = [name for (name,) in database.execute("SELECT name FROM sqlite_master WHERE type = 'table'")]
        return {table: sorted(database.execute(f'SELECT * FROM "{table}"'), key=repr) for table in tables}
    finally:
        database.close()
