"""The units are what systemd takes, hold an adapter short, and run what the code has."""

from __future__ import annotations

import configparser
import re
import shutil
import subprocess
from pathlib import Path

import pytest

from adapters.config import AdapterConfig
from bus.city import city_path, load_city
from bus.process import EXIT_MISCONFIGURED
from bus.settings import read_settings
from tests.support.commands import problem_of

FOLDER = Path(__file__).parents[2] / "deploy/systemd"
UNIT = FOLDER / "subak-adapter@.service"
ANALYZE = shutil.which("systemd-analyze")
needs_systemd = pytest.mark.skipif(ANALYZE is None, reason="systemd-analyze is not here: apt-get install systemd")


def analyzed(unit: str, folder: Path, *words: str) -> subprocess.CompletedProcess[str]:
    """The unit, with a program in the place of /opt/subak/bin/subak that this machine has."""
    (folder / UNIT.name).write_text(unit.replace("/opt/subak/bin/subak", str(shutil.which("true"))))
    return subprocess.run([str(ANALYZE), *words, str(folder / UNIT.name)], capture_output=True, text=True, timeout=60)


@needs_systemd
def test_systemd_takes_the_unit(tmp_path: Path) -> None:
    verified = analyzed(UNIT.read_text("utf-8"), tmp_path, "verify")
    assert verified.returncode == 0, verified.stderr
    assert verified.stderr == ""


@needs_systemd
def test_a_misspelt_key_is_seen(tmp_path: Path) -> None:
    verified = analyzed(UNIT.read_text("utf-8").replace("ProtectHome=", "ProtectHom="), tmp_path, "verify")
    assert "ProtectHom" in verified.stderr


@needs_systemd
def test_an_adapter_is_held_short(tmp_path: Path) -> None:
    """systemd's own measure: 0 is a prison, 10 is no wall at all. The threshold is times ten."""
    looked = analyzed(UNIT.read_text("utf-8"), tmp_path, "security", "--offline=yes", "--no-pager", "--threshold=15")
    assert looked.returncode == 0, looked.stdout[-400:]


def unit() -> configparser.SectionProxy:
    parser = configparser.ConfigParser(strict=False, interpolation=None, delimiters=("=",))
    parser.optionxform = str  # type: ignore[assignment,method-assign]
    parser.read_string(UNIT.read_text("utf-8"))
    return parser["Service"]


def test_the_unit_runs_a_command_that_there_is_and_knows_its_exit_codes() -> None:
    program, *words = unit()["ExecStart"].split()
    assert program == "/opt/subak/bin/subak"
    assert problem_of(words) is None
    assert int(unit()["RestartPreventExitStatus"]) == EXIT_MISCONFIGURED


def test_the_settings_beside_it_can_be_read(monkeypatch: pytest.MonkeyPatch) -> None:
    lines = [line for line in (FOLDER / "adapter.env").read_text("utf-8").splitlines() if not line.startswith("#")]
    for name, _, value in [*(line.partition("=") for line in lines), unit()["Environment"].partition("=")]:
        monkeypatch.setenv(name, value)
    settings = read_settings()
    assert settings.kafka.replication_factor == 3
    assert settings.kafka_security.protocol == "SASL_SSL"


def test_the_adapter_beside_it_finds_its_secrets_where_systemd_lays_them(tmp_path: Path) -> None:
    text = (FOLDER / "public-works.toml").read_text("utf-8")
    laid = "/run/credentials/subak-adapter@public-works.service"
    named = set(re.findall(rf'"{laid}/(\S+)"', text))
    identifier, _, source = unit()["LoadCredential"].partition(":")
    assert source == "/etc/subak/credentials/%i"
    assert named == {f"{identifier}_{file}" for file in ("token", "kafka.toml", "webhook")}
    for name in named:
        (tmp_path / name).write_text('user = "u"\npassword = "a secret that is long enough"\n')
    (tmp_path / "adapter.toml").write_text(text.replace(laid, str(tmp_path)))
    config = AdapterConfig.load(tmp_path / "adapter.toml")
    load_city(city_path("denpasar")).agency(config.agencies[0].id)
    state = unit()["StateDirectory"].replace("%i", "public-works")
    assert config.database_url.startswith(f"sqlite:////var/lib/{state}/")
