"""A real Prometheus with the configuration and the rules that are shipped, asked which alerts fire."""

from __future__ import annotations

import json
import shutil
import time
import urllib.request
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path

import pytest

from deploy.local.children import log_tail, start_child, stop_child
from deploy.local.ports import HOST, free_ports

SHIPPED = Path(__file__).parents[2] / "deploy" / "prometheus"
START_SECONDS_MAX = 60.0


class Prometheus:
    """One that runs."""

    def __init__(self, url: str) -> None:
        self._url = url

    def firing(self) -> set[tuple[str, str]]:
        """(alert, process) of each alert that fires now; the process is empty where the alert is about none."""
        with urllib.request.urlopen(f"{self._url}/api/v1/alerts", timeout=10) as answer:
            found = json.load(answer)["data"]["alerts"]
        return {
            (one["labels"]["alertname"], one["labels"].get("process", "")) for one in found if one["state"] == "firing"
        }


@contextmanager
def prometheus(folder: Path, targets: Mapping[str, str]) -> Iterator[Prometheus]:
    """Prometheus as deploy/prometheus says, with its data in `folder`. Skips where it is not installed.

    Args:
        targets: process → the URL that has /metrics.
    """
    program = shutil.which("prometheus")
    if program is None:
        pytest.skip("prometheus is not here: apt-get install prometheus")
    for name in ("prometheus.yml", "alerts.yml"):
        shutil.copy(SHIPPED / name, folder / name)
    (folder / "targets").mkdir()
    listed = [{"targets": [url.removeprefix("http://")], "labels": {"process": name}} for name, url in targets.items()]
    (folder / "targets" / "subak.json").write_text(json.dumps(listed))
    (port,) = free_ports(1)
    argv = [
        program,
        f"--config.file={folder / 'prometheus.yml'}",
        f"--storage.tsdb.path={folder / 'data'}",
        f"--web.listen-address={HOST}:{port}",
    ]
    log = folder / "prometheus.log"
    child = start_child(argv, log=log)
    try:
        deadline = time.monotonic() + START_SECONDS_MAX
        while not _ready(port):
            assert child.poll() is None, log_tail(log)
            assert time.monotonic() < deadline, log_tail(log)
            time.sleep(0.2)
        yield Prometheus(f"http://{HOST}:{port}")
    finally:
        stop_child(child, grace_seconds=10)


def _ready(port: int) -> bool:
    try:
        with urllib.request.urlopen(f"http://{HOST}:{port}/-/ready", timeout=2) as answer:
            return bool(answer.status == 200)
    except OSError:
        return False
