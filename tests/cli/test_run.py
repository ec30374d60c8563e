"""`subak run adapter` finds the bus of this machine, secured or not, and its city; the environment counts first."""

from __future__ import annotations

from pathlib import Path

import pytest

from bus.runfile import RunFile
from bus.settings import read_settings
from services.cli.run import at_local_bus


@pytest.fixture
def home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    for name in ("CITY", "KAFKA_BOOTSTRAP_SERVERS"):
        monkeypatch.delenv(f"SUBAK_{name}", raising=False)
    monkeypatch.setenv("SUBAK_HOME", str(tmp_path))
    return tmp_path


def local(home: Path, **more: str) -> None:
    run = RunFile(
        city="san-francisco", bootstrap_servers="127.0.0.1:1", partitions=2, casebook_url="", replication_factor=3
    )
    RunFile(**(vars(run) | more)).write(home / "san-francisco")


def test_the_local_bus_and_its_city_are_known(home: Path) -> None:
    local(home)
    found = at_local_bus(read_settings())
    assert (found.kafka.bootstrap_servers, found.kafka.partitions) == ("127.0.0.1:1", 2)
    assert (found.kafka.replication_factor, found.city) == (3, "san-francisco")
    assert found.kafka.security.protocol == "PLAINTEXT"


def test_of_a_secured_one_the_ca_is_known_and_nobody_s_credentials(home: Path) -> None:
    local(home, security_protocol="SASL_SSL", ca_file="ca.pem", administrator_file="admin.toml")
    found = at_local_bus(read_settings())
    assert found.kafka.security.protocol == "SASL_SSL"
    assert found.kafka.security.ca_file == Path("ca.pem")
    assert found.kafka.security.credentials is None, "each agency has its own"


def test_what_the_environment_says_counts_first(home: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    local(home)
    monkeypatch.setenv("SUBAK_CITY", "denpasar")
    assert at_local_bus(read_settings()).city == "denpasar"
    monkeypatch.setenv("SUBAK_KAFKA_BOOTSTRAP_SERVERS", "kafka:9092")
    assert at_local_bus(read_settings()).kafka.bootstrap_servers == "kafka:9092"


def test_where_nothing_runs_the_settings_stay(home: Path) -> None:
    settings = read_settings()
    assert at_local_bus(settings) is settings
