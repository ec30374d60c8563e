"""compose.yaml is what its specification allows, and names only commands, settings, files, agencies that there are."""

from __future__ import annotations

import json
import shutil
from pathlib import Path
from typing import Any

import pytest
import yaml

from adapters.config import AdapterConfig
from bus.city import city_path, load_city
from bus.settings import Settings, read_settings
from deploy.compose.make_secrets import make
from tests.support.checks import check, needs_checks
from tests.support.commands import problem_of

FOLDER = Path(__file__).parents[2] / "deploy/compose"
COMPOSE = FOLDER / "compose.yaml"
OURS = "subak:"


def compose() -> dict[str, Any]:
    found: dict[str, Any] = yaml.safe_load(COMPOSE.read_text("utf-8"))
    return found


def ours() -> dict[str, dict[str, Any]]:
    return {name: about for name, about in compose()["services"].items() if about["image"].startswith(OURS)}


@needs_checks
def test_it_is_a_compose_file() -> None:
    checked = check("check-jsonschema", "--builtin-schema", "vendor.compose-spec", COMPOSE)
    assert checked.returncode == 0, checked.stdout


@needs_checks
def test_what_is_no_compose_file_is_seen(tmp_path: Path) -> None:
    broken = tmp_path / "compose.yaml"
    broken.write_text(COMPOSE.read_text("utf-8").replace("    command:", "    comand:"))
    checked = check("check-jsonschema", "--builtin-schema", "vendor.compose-spec", broken)
    assert "comand" in checked.stdout


def test_every_process_runs_a_command_that_there_is() -> None:
    assert {"topics", "gateway", "workflows", "places", "router", "casebook", "console", "adapter"} == set(ours())
    for name, about in ours().items():
        assert problem_of(about["command"]) is None, f"{name}: {problem_of(about['command'])}"


def test_every_process_gets_settings_that_there_are_and_can_read(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    make(tmp_path)
    known = {f"SUBAK_{name.upper()}" for name in Settings.model_fields}
    for name, about in ours().items():
        given = {key: str(value) for key, value in about["environment"].items()}
        assert set(given) <= known, f"{name}: {set(given) - known}"
        given["SUBAK_CITY"] = "denpasar"
        if "SUBAK_SETTINGS" in given:
            given["SUBAK_SETTINGS"] = str(tmp_path / Path(given["SUBAK_SETTINGS"]).name)
        with monkeypatch.context() as patched:
            for key, value in given.items():
                patched.setenv(key, value)
            settings = read_settings()
        assert settings.kafka.partitions == 6
        assert settings.kafka.min_insync_replicas == 2
        if name == "casebook":
            assert settings.database("casebook").startswith("postgresql+psycopg://subak:")


def test_every_process_is_held_short() -> None:
    for name, about in ours().items():
        assert about["read_only"], name
        assert about["cap_drop"] == ["ALL"], name
        assert about["mem_limit"], name
        assert "privileged" not in about, name


def test_no_secret_stands_in_the_file_and_no_port_is_open_to_others() -> None:
    for name, about in compose()["services"].items():
        for key, value in about.get("environment", {}).items():
            if "PASSWORD" in key:
                assert "FILE" in key, name
                assert value.startswith("/run/secrets/"), name
        for port in about.get("ports", ()):
            assert port.startswith("127.0.0.1:"), f"{name} would listen beyond this machine: {port}"


def test_every_file_that_it_names_is_there(tmp_path: Path) -> None:
    made = {path.name for path in make(tmp_path)}
    whole = compose()
    assert {Path(secret["file"]).name for secret in whole["secrets"].values()} == made
    paths = [config["file"] for config in whole["configs"].values()]
    for about in whole["services"].values():
        paths += [v.split(":")[0] for v in about.get("volumes", ()) if v.startswith(".")]
        if "build" in about:
            context = FOLDER / about["build"]["context"]
            assert (context / about["build"]["dockerfile"]).is_file()
    for path in paths:
        assert (FOLDER / path).exists(), path


def test_secrets_are_made_once_and_differ(tmp_path: Path) -> None:
    first = {path.name: path.read_text() for path in make(tmp_path)}
    assert make(tmp_path) == []
    assert len(set(first.values())) == len(first) == 4
    assert tmp_path.stat().st_mode & 0o077 == 0 or tmp_path.stat().st_mode & 0o777 == 0o700
    assert first["postgresql_password"] in first["casebook_settings"]


def test_the_adapter_serves_an_agency_of_the_city_with_its_token_from_a_file(tmp_path: Path) -> None:
    make(tmp_path / "secrets")
    text = (FOLDER / "adapter.toml").read_text("utf-8").replace("/run/secrets", str(tmp_path / "secrets"))
    shutil.copy(FOLDER / "adapter.toml", tmp_path)
    (tmp_path / "adapter.toml").write_text(text)
    config = AdapterConfig.load(tmp_path / "adapter.toml")
    city = load_city(city_path("denpasar"))
    assert [city.agency(agency.id).id for agency in config.agencies] == ["public-works"]
    assert f":{config.port}" in compose()["services"]["adapter"]["ports"][0]


def test_prometheus_scrapes_every_process() -> None:
    targets = json.loads((FOLDER / "targets/subak.json").read_text("utf-8"))
    scraped = {target.split(":")[0] for group in targets for target in group["targets"]}
    assert scraped == set(ours()) - {"topics"}
    assert all(set(group["labels"]) == {"process"} for group in targets)


def test_brokers_lose_nothing_where_one_of_three_is_lost() -> None:
    brokers = {name: about for name, about in compose()["services"].items() if name.startswith("kafka-")}
    assert len(brokers) == 3
    for number, (name, about) in enumerate(sorted(brokers.items()), start=1):
        told = about["environment"]
        assert told["KAFKA_NODE_ID"] == str(number)
        assert told["KAFKA_ADVERTISED_LISTENERS"] == f"BUS://{name}:9092"
        assert f"{number}@{name}:9093" in told["KAFKA_CONTROLLER_QUORUM_VOTERS"]
        assert told["KAFKA_MIN_INSYNC_REPLICAS"] == "2"
        assert about["volumes"] == [f"{name}:/var/lib/kafka/data"]
