"""The fault tests' city, one for all of them: a test that fails leaves its successor a new one."""

from __future__ import annotations

import shutil
from collections.abc import Iterator

import pytest

from tests.faults.town import Town


@pytest.fixture(scope="session")
def seed(request: pytest.FixtureRequest) -> int:
    """What decides the requests, what the agencies do, and the moments of the kills: `--seed`."""
    found: int = request.config.getoption("--seed")
    return found


@pytest.fixture(scope="package")
def _standing_town(tmp_path_factory: pytest.TempPathFactory, seed: int) -> Iterator[Town]:
    home = tmp_path_factory.mktemp("town")
    town = Town(home, seed=seed)
    try:
        yield town
    finally:
        town.close()
        shutil.rmtree(home / town.directory.id / "kafka", ignore_errors=True)


@pytest.fixture
def town(_standing_town: Town) -> Town:
    """A city that runs, with all its agencies; its cases are this test's own."""
    return _begun(_standing_town)


@pytest.fixture(scope="module")
def _standing_cluster(tmp_path_factory: pytest.TempPathFactory, seed: int) -> Iterator[Town]:
    home = tmp_path_factory.mktemp("cluster")
    town = Town(home, seed=seed, brokers=3)
    try:
        yield town
    finally:
        town.close()
        shutil.rmtree(home / town.directory.id / "kafka", ignore_errors=True)


@pytest.fixture
def three(_standing_cluster: Town) -> Town:
    """The same on three brokers, with three copies of everything."""
    return _begun(_standing_cluster)


def _begun(town: Town) -> Town:
    if not town.is_open or not town.trusted:
        town.close()
        town.open(fresh=True)
    town.begin()
    print(f"seed {town.seed}: repeat with --seed {town.seed}; home {town.home}")
    return town
