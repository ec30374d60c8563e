"""`subak adapter new`: whatever the agency, city and kinds, the folder passes its own check and says what to do."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import tomllib
from pathlib import Path

import pytest
from typer.testing import CliRunner, Result

from adapters.skeleton import SOURCES, TARGETS
from bus.city import city_path, load_city
from bus.city.model import OPERATIONS
from schemas.failures import Misconfigured
from services.cli.adapter import app
from tests.city.control import HARBOUR


def new(folder: Path, name: str, source: str, target: str, *options: str) -> Result:
    arguments = ["new", name, "--source", source, "--target", target, "--directory", str(folder), *options]
    return CliRunner().invoke(app, arguments, catch_exceptions=False)


def check(folder: Path, city: str) -> Result:
    arguments = ["check", str(folder / "adapter.toml"), "--offline", "--json", "--city", city]
    return CliRunner().invoke(app, arguments, catch_exceptions=False)


@pytest.fixture(autouse=True)
def clean_modules() -> object:
    """Each folder has its own `handlers`."""
    before = list(sys.path)
    yield
    sys.path[:] = before
    sys.modules.pop("handlers", None)


@pytest.mark.parametrize("target", TARGETS)
@pytest.mark.parametrize("source", SOURCES)
def test_every_pair_of_kinds_passes_its_check(tmp_path: Path, source: str, target: str) -> None:
    folder = tmp_path / "water"
    result = new(folder, "water", source, target, "--agency", "water-utility", "--city", "denpasar")
    assert result.exit_code == 0
    checked = check(folder, "denpasar")
    found = json.loads(checked.output)
    assert found["ok"], found
    assert len(found["samples"]) >= 4
    assert found["without_samples"] == []
    assert "WATER_UTILITY_TOKEN" in found["absent"]
    text = (folder / "README.md").read_text("utf-8")
    assert "subak run adapter adapter.toml" in text
    config = tomllib.loads((folder / "adapter.toml").read_text("utf-8"))
    kinds = [one["kind"] for one in config["agency"][0].get("source", [])] or ["http"]
    assert kinds == [source]


def test_every_agency_of_every_city_can_begin(tmp_path: Path) -> None:
    begun = 0
    for city in ("denpasar", "san-francisco", str(HARBOUR)):
        for agency in load_city(city_path(city)).agencies:
            folder = tmp_path / Path(city).name / agency
            if agency == OPERATIONS:
                continue
            try:
                new(folder, agency, "files", "files", "--city", city)
            except Misconfigured:  # it says nothing, or hears nothing
                new(folder, agency, "http", "webhook", "--city", city)
            found = json.loads(check(folder, city).output)
            assert found["ok"], (agency, found)
            begun += 1
    assert begun > 20


def test_the_folders_own_test_passes_and_fails_with_the_mapping(tmp_path: Path) -> None:
    folder = tmp_path / "water"
    new(folder, "water-utility", "files", "webhook", "--city", "denpasar")
    environment = {**os.environ, "PATH": f"{Path(sys.executable).parent}{os.pathsep}{os.environ['PATH']}"}
    command = [sys.executable, "-m", "pytest", "-q", "-p", "no:cacheprovider", "test_samples.py"]
    done = subprocess.run(command, cwd=folder, env=environment, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stdout
    mapping = folder / "mapping.toml"
    mapping.write_text(mapping.read_text("utf-8").replace('cost = "cost"', 'cost = "kost"'), encoding="utf-8")
    done = subprocess.run(command, cwd=folder, env=environment, capture_output=True, text=True, check=False)
    assert done.returncode == 1
    assert "kost" in done.stdout


@pytest.mark.parametrize(
    ("name", "source", "target", "told"),
    [
        ("water-utilty", "http", "webhook", 'Did you mean "water-utility"?'),
        ("water-utility", "flies", "webhook", 'Did you mean "files"?'),
        ("water-utility", "http", "webhok", 'Did you mean "webhook"?'),
        ("../evil", "http", "webhook", "lower-case letters"),
        ("a" * 65, "http", "webhook", "lower-case letters"),
    ],
)
def test_a_wrong_name_is_told_with_the_nearest(tmp_path: Path, name: str, source: str, target: str, told: str) -> None:
    with pytest.raises(Misconfigured) as caught:
        new(tmp_path / "new", name, source, target, "--city", "denpasar")
    assert told in str(caught.value)
    assert not (tmp_path / "new").exists()


def test_what_is_there_is_never_written_over(tmp_path: Path) -> None:
    (tmp_path / "adapter.toml").write_text("mine", encoding="utf-8")
    with pytest.raises(Misconfigured, match="is not empty"):
        new(tmp_path, "water-utility", "http", "webhook", "--city", "denpasar")
    assert (tmp_path / "adapter.toml").read_text("utf-8") == "mine"
