"""An older version and this one side by side under load, as in a rolling upgrade and in its way back.

Members of the older version join each stage, take partitions from this version's members, and hand them back: asked to
leave, then killed. So each kind of memory and position is written by one version and read by the other, both ways.
Both run on the older one's city files, as docs/how-to/upgrade.md says: an older program refuses a directory that names
types which it does not know. Which older version: the environment variable OLD_VERSION, a commit or tag; where it says
nothing, 20 commits ago.
"""

from __future__ import annotations

import os
import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest

from bus.city import load_city
from deploy.local.ports import free_ports
from tests.faults.test_members import STAGES, Guest, Guests
from tests.faults.town import Town

pytestmark = [pytest.mark.kafka, pytest.mark.soak, pytest.mark.timeout(1800)]

ROOT = Path(__file__).parents[2]
REQUESTS, PER_SECOND = 60, 2.0


@pytest.fixture
def older(tmp_path: Path) -> Iterator[Path]:
    """A checkout of the older version, which runs on this version's libraries."""
    checkout = tmp_path / "older"
    version = os.environ.get("OLD_VERSION", "HEAD~20")
    added = subprocess.run(
        ["git", "worktree", "add", "--detach", str(checkout), version], cwd=ROOT, capture_output=True, text=True
    )
    if added.returncode:
        pytest.skip(f"there is no older version {version} in this checkout: {added.stderr.strip()}")
    yield checkout
    subprocess.run(["git", "worktree", "remove", "--force", str(checkout)], cwd=ROOT, check=True)


@pytest.fixture
def town_of_both(older: Path, tmp_path: Path, request: pytest.FixtureRequest) -> Iterator[Town]:
    """This version's town, on the older one's city files."""
    town = Town(tmp_path / "town", seed=request.config.getoption("--seed"))
    town.folder = older / "deploy/cities/san-francisco"
    town.directory = load_city(town.folder)
    town.open(fresh=True)
    town.begin()
    yield town
    town.close()


class OlderGuests(Guests):
    """Second members of each stage, of the older version."""

    def __init__(self, town: Town, checkout: Path) -> None:
        super().__init__(town)
        self._checkout = checkout

    def _start(self, stage: str, number: int) -> Guest:
        (port,) = free_ports(1)
        log = self._town.home / "logs" / f"{stage}-older-{number}.log"
        environment = self._town.environment() | {"SUBAK_HTTP_PORT": str(port), "PYTHONPATH": str(self._checkout)}
        with log.open("wb") as output:
            process = subprocess.Popen(
                self._town.command("run", stage),
                cwd=self._checkout,
                env=environment,
                stdout=output,
                stderr=subprocess.STDOUT,
            )
        return Guest(stage, process, f"http://127.0.0.1:{port}", log)


def test_the_older_version_is_the_one_that_runs(older: Path) -> None:
    where = subprocess.run(
        ["python", "-c", "import services.cli.run as found; print(found.__file__)"],
        cwd=older,
        env=dict(os.environ) | {"PYTHONPATH": str(older)},
        capture_output=True,
        text=True,
        check=True,
    )
    assert where.stdout.startswith(str(older))


def test_an_older_version_and_this_one_share_the_work_and_nothing_is_lost_or_doubled(
    town_of_both: Town, older: Path
) -> None:
    guests = OlderGuests(town_of_both, older)
    town_of_both.submit(REQUESTS, per_second=PER_SECOND)
    try:
        town_of_both.until_done(seconds=900, meanwhile=guests.come_and_go())
    finally:
        guests.end()
    assert guests.worked == set(STAGES), "of these no member of the older version had a partition"
    town_of_both.check()
