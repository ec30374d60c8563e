"""Each alert fires when it must and stays silent when it need not, names metrics that there are, and has a runbook."""

from __future__ import annotations

import re
import shutil
import subprocess
from pathlib import Path
from typing import Any

import pytest
import yaml
from prometheus_client.metrics import MetricWrapperBase

from bus import metrics

ROOT = Path(__file__).parents[2]
RULES = ROOT / "deploy/prometheus/alerts.yml"
TESTS = ROOT / "deploy/prometheus/tests"
CASES = ("alerts.yml", "alerts-over-days.yml")
RUNBOOKS = ROOT / "docs/how-to/runbooks.md"

PROMTOOL = shutil.which("promtool")
needs_promtool = pytest.mark.skipif(PROMTOOL is None, reason="promtool is not here: apt-get install prometheus")


def alerts() -> list[dict[str, Any]]:
    """The rules."""
    found: list[dict[str, Any]] = yaml.safe_load(RULES.read_text("utf-8"))["groups"][0]["rules"]
    assert len(found) > 10
    return found


def promtool(folder: Path, *words: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run([str(PROMTOOL), *words], cwd=folder, capture_output=True, text=True, check=False, timeout=240)


@needs_promtool
def test_each_alert_fires_when_it_must_and_stays_silent_when_it_need_not() -> None:
    tried = promtool(TESTS, "test", "rules", *CASES)
    assert tried.returncode == 0, tried.stdout + tried.stderr


@needs_promtool
def test_a_rule_that_never_fires_is_seen(tmp_path: Path) -> None:
    broken = RULES.read_text("utf-8").replace(
        "subak_relay_fenced_total[15m]) > 3", "subak_relay_fenced_total[15m]) > 1e9"
    )
    assert broken != RULES.read_text("utf-8")
    (tmp_path / "alerts.yml").write_text(broken)
    shutil.copytree(TESTS, tmp_path / "tests")
    assert promtool(tmp_path / "tests", "test", "rules", "alerts.yml").returncode != 0


@needs_promtool
def test_prometheus_reads_its_configuration() -> None:
    tried = promtool(TESTS.parent, "check", "config", "--syntax-only", "prometheus.yml")
    assert tried.returncode == 0, tried.stdout + tried.stderr


def test_each_alert_has_both_tests() -> None:
    names = [case["name"] for file in CASES for case in yaml.safe_load((TESTS / file).read_text("utf-8"))["tests"]]
    for alert in alerts():
        for kind in ("fires: ", "stays silent: "):
            assert any(name.startswith(f"{alert['alert']} {kind}") for name in names), (
                f"add a test: {alert['alert']} {kind}"
            )


def test_each_alert_has_a_runbook_that_says_what_it_means_where_to_look_how_to_repair_and_when_it_is_over() -> None:
    sections = dict(re.findall(r"^## (\w+)\n(.*?)(?=^## |\Z)", RUNBOOKS.read_text("utf-8"), re.M | re.S))
    assert set(sections) == {alert["alert"] for alert in alerts()}
    for alert in alerts():
        text = sections[alert["alert"]]
        for word in ("Means", "Look", "Repair", "Over"):
            assert f"**{word}**" in text, f"{alert['alert']}: its runbook lacks **{word}**"
        assert alert["annotations"]["runbook"] == f"docs/how-to/runbooks.md#{alert['alert'].lower()}"


def test_alerts_name_only_metrics_that_there_are() -> None:
    known = set()
    for metric in vars(metrics).values():
        if isinstance(metric, MetricWrapperBase):
            for one in metric.describe():
                known |= {one.name, f"{one.name}_total", f"{one.name}_bucket", f"{one.name}_count", f"{one.name}_sum"}
    for alert in alerts():
        unknown = set(re.findall(r"\bsubak_\w+", alert["expr"])) - known
        assert not unknown, f"{alert['alert']} names {unknown}"


def test_each_command_of_the_runbooks_exists() -> None:
    from typer.main import get_command

    from services.cli.main import commands

    root = get_command(commands())
    for line in re.findall(r"`subak ([^`]+)`", RUNBOOKS.read_text("utf-8")):
        words = [word for word in line.split() if re.fullmatch(r"[a-z][a-z-]*", word)]
        command = root
        for word in words:
            if not hasattr(command, "commands"):
                break
            assert word in command.commands, f"subak {line}: there is no {word}"
            command = command.commands[word]
        options = {option for one in command.params for option in (*one.opts, *one.secondary_opts)}
        for option in re.findall(r"--[a-z-]+", line):
            assert option in options, f"subak {line}: there is no {option}"
