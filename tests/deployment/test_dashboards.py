"""The dashboards are what the code makes, ask only for what there is, and show every metric that there is."""

from __future__ import annotations

import json
import re
import shutil
import subprocess
from pathlib import Path
from typing import Any

import pytest
import yaml
from prometheus_client.metrics import MetricWrapperBase

from bus import metrics
from deploy.grafana.dashboards import FOLDER, files

ROOT = Path(__file__).parents[2]
PROMTOOL = shutil.which("promtool")
needs_promtool = pytest.mark.skipif(PROMTOOL is None, reason="promtool is not here: apt-get install prometheus")


def dashboards() -> dict[str, dict[str, Any]]:
    return {path.name: json.loads(path.read_text("utf-8")) for path in sorted(FOLDER.glob("*.json"))}


def panels() -> list[tuple[str, dict[str, Any]]]:
    return [(name, one) for name, found in dashboards().items() for one in found["panels"] if one["type"] != "row"]


def queries() -> list[tuple[str, str]]:
    return [(f"{name}: {one['title']}", target["expr"]) for name, one in panels() for target in one["targets"]]


def ours() -> list[MetricWrapperBase]:
    return [metric for metric in vars(metrics).values() if isinstance(metric, MetricWrapperBase)]


def series() -> dict[str, set[str]]:
    """Every series that a process may serve → its labels."""
    known: dict[str, set[str]] = {}
    for metric in ours():
        labels = {*metric._labelnames, "le"}
        for one in metric.describe():
            for name in (one.name, *(f"{one.name}_{end}" for end in ("total", "bucket", "count", "sum"))):
                known[name] = labels
    return known


def as_prometheus_asks(expr: str) -> str:
    """A query with Grafana's variables filled in."""
    filled = expr.replace("$__rate_interval", "5m").replace("$stage", "gateway").replace("$agency", "parks")
    assert "$" not in filled, f"a variable that no dashboard has: {filled}"
    return filled


def test_what_is_committed_is_what_the_code_makes() -> None:
    committed = {path.name: path.read_text("utf-8") for path in FOLDER.glob("*.json")}
    assert committed == files(), "run `python -m deploy.grafana.dashboards`"


def test_queries_name_only_metrics_and_labels_that_there_are() -> None:
    known = series()
    assert len(queries()) > 30
    for where, expr in queries():
        names = set(re.findall(r"\bsubak_\w+", expr))
        assert names or "up{" in expr, where
        assert names <= set(known), f"{where} asks for {names - set(known)}"
        labels = set(re.findall(r"(\w+)=~?\"", expr))
        for group in re.findall(r"by \(([^)]*)\)", expr):
            labels |= {label.strip() for label in group.split(",")}
        for name in names:
            assert labels <= known[name], f"{where}: {name} has no label {labels - known[name]}"


def test_every_metric_is_on_a_dashboard() -> None:
    shown = " ".join(expr for _, expr in queries())
    unseen = [metric._name for metric in ours() if not re.search(rf"\b{metric._name}(_total|_bucket)?\b", shown)]
    assert unseen == [], "show these in deploy/grafana"


@needs_promtool
def test_prometheus_takes_every_query(tmp_path: Path) -> None:
    rules = [
        {"record": "subak:shown", "expr": as_prometheus_asks(expr), "labels": {"n": str(n)}}
        for n, (_, expr) in enumerate(queries())
    ]
    (tmp_path / "rules.yml").write_text(yaml.safe_dump({"groups": [{"name": "dashboards", "rules": rules}]}))
    checked = subprocess.run(
        [str(PROMTOOL), "check", "rules", str(tmp_path / "rules.yml")], capture_output=True, text=True
    )
    assert checked.returncode == 0, checked.stdout + checked.stderr


def test_counters_are_asked_for_their_rate_over_an_interval_that_fits_the_scraping() -> None:
    for where, expr in queries():
        assert "[" not in expr or "[$__rate_interval]" in expr, where
        for name in re.findall(r"\bsubak_\w+(?:_total|_bucket)\b", expr):
            assert re.search(rf"rate\({name}[{{\[]", expr), f"{where}: {name} only grows; show its rate"


def test_each_panel_says_what_it_means_and_in_which_unit() -> None:
    for name, panel in panels():
        where = f"{name}: {panel['title']}"
        assert len(panel["description"]) > 15, where
        assert panel["fieldConfig"]["defaults"]["unit"], where
        assert panel["datasource"] == {"type": "prometheus", "uid": "${datasource}"}, where
        for target in panel["targets"]:
            assert target["legendFormat"], where
            for label in re.findall(r"{{(\w+)}}", target["legendFormat"]):
                assert label in target["expr"] or any(
                    label in series()[m] for m in re.findall(r"subak_\w+", target["expr"])
                )


def test_no_panel_lies_on_another() -> None:
    for name, found in dashboards().items():
        ids = [panel["id"] for panel in found["panels"]]
        assert len(ids) == len(set(ids)), name
        taken: set[tuple[int, int]] = set()
        for panel in found["panels"]:
            place = panel["gridPos"]
            assert place["x"] + place["w"] <= 24, panel["title"]
            cells = {
                (x, y)
                for x in range(place["x"], place["x"] + place["w"])
                for y in range(place["y"], place["y"] + place["h"])
            }
            assert not cells & taken, f"{name}: {panel['title']} lies on another"
            taken |= cells


def test_grafana_finds_them_and_their_prometheus() -> None:
    provisioning = FOLDER.parent / "provisioning"
    (provider,) = yaml.safe_load((provisioning / "dashboards/subak.yml").read_text("utf-8"))["providers"]
    compose = yaml.safe_load((ROOT / "deploy/compose/compose.yaml").read_text("utf-8"))
    mounts = dict(volume.split(":")[:2] for volume in compose["services"]["grafana"]["volumes"])
    assert mounts["../grafana/dashboards"] == provider["options"]["path"]
    (source,) = yaml.safe_load((provisioning / "datasources/prometheus.yml").read_text("utf-8"))["datasources"]
    assert source["url"] == "http://prometheus:9090"
    assert source["isDefault"]
