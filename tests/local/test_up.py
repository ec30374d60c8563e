"""A whole city starts with one call, is found by its run file, comes back from kills, and leaves nothing behind."""

from __future__ import annotations

import asyncio
import contextlib
import json
import os
import signal
import stat
import subprocess
import sys
import time
import urllib.request
from collections.abc import Callable, Iterator
from pathlib import Path

import psutil
import pytest

from bus.kafka import ensure_topics
from bus.runfile import RunFile
from deploy.local.up import SERVICES, LocalCity
from schemas.failures import Misconfigured

pytestmark = [pytest.mark.kafka, pytest.mark.slow]

CITY = "san-francisco"  # the smaller one


@pytest.fixture(scope="module")
def home(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("home")


@pytest.fixture(scope="module")
def running(home: Path) -> Iterator[LocalCity]:
    city = LocalCity(CITY, home=home)
    city.start()
    yield city
    city.stop()


def _until(condition: Callable[[], object], seconds: float = 60) -> None:
    deadline = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < deadline, "it never came"
        time.sleep(0.1)


def _answers(url: str) -> bool:
    try:
        with urllib.request.urlopen(f"{url}/health/ready", timeout=5) as answer:
            return bool(answer.status == 200)
    except OSError:
        return False


def test_the_run_file_says_where_everything_is_and_only_its_owner_may_read_it(running: LocalCity) -> None:
    run = RunFile.load(running.home)
    assert set(SERVICES) < set(run.processes)
    assert all(_answers(str(process["url"])) for process in run.processes.values())
    assert {name: process["pid"] for name, process in run.processes.items()} | {"kafka": running.pids["kafka"]} == (
        running.pids
    )
    assert set(run.adapters) == set(running.city.agencies) - {"operations"}
    for secret in ("run.json", "adapters"):
        for path in [running.home / secret] if secret.endswith("json") else (running.home / secret).glob("*.toml"):
            assert stat.S_IMODE(path.stat().st_mode) == 0o600, path


def test_a_process_that_is_killed_comes_back_and_the_run_file_follows(running: LocalCity) -> None:
    before = running.pids["gateway"]
    os.kill(before, signal.SIGKILL)
    _until(lambda: running.pids.get("gateway", before) != before and running.supervisor.is_ready("gateway"))
    _until(lambda: RunFile.load(running.home).processes["gateway"]["pid"] == running.pids["gateway"])
    assert _answers(str(RunFile.load(running.home).processes["gateway"]["url"]))


def test_a_process_is_restarted_cleanly_and_ready_again_when_the_command_ends(running: LocalCity) -> None:
    before = running.pids
    told = _subak(running, "restart", "router")
    assert told.returncode == 0, told.stderr
    assert "router" in told.stdout
    assert running.pids["router"] != before["router"]
    assert running.supervisor.is_ready("router")
    assert {name for name, pid in running.pids.items() if before[name] != pid} == {"router"}
    unknown = _subak(running, "restart", "routr")
    assert unknown.returncode == 78
    assert 'no process routr runs here. Did you mean "router"?' in unknown.stderr


def test_a_number_that_is_another_s_by_now_is_not_killed(running: LocalCity, tmp_path: Path) -> None:
    run = RunFile.load(running.home)
    with subprocess.Popen(["sleep", "60"]) as other:
        run.processes["router"]["pid"] = other.pid
        run.write(tmp_path)
        told = _subak(running, "restart", "router", home=tmp_path)
        assert other.poll() is None, "it has another's number, and lives"
        other.kill()
    assert told.returncode != 0
    assert "router does not run now" in told.stderr


def _subak(running: LocalCity, *words: str, home: Path | None = None) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, "-m", "services.cli", *words],
        env=os.environ | {"SUBAK_HOME": str(home or running.home)},
        capture_output=True,
        text=True,
        check=False,
        timeout=240,
    )


def test_a_broker_that_is_killed_comes_back_at_the_same_address(running: LocalCity) -> None:
    before, address = running.pids["kafka"], running.bootstrap_servers
    os.kill(before, signal.SIGKILL)
    _until(lambda: running.pids.get("kafka", before) != before)
    assert running.bootstrap_servers == address
    _until(lambda: RunFile.load(running.home).brokers["kafka"] == {"pid": running.pids["kafka"], "address": address})
    created = asyncio.run(ensure_topics(running.settings, running.city.agencies))
    assert created == [], "the broker serves, and has all topics still"
    _until(lambda: all(_answers(str(process["url"])) for process in RunFile.load(running.home).processes.values()))


def test_a_second_city_in_the_same_home_is_refused(running: LocalCity, home: Path) -> None:
    with pytest.raises(Misconfigured, match=rf"Another Subak runs on .*{CITY} already \(process {os.getpid()}\)"):
        LocalCity(CITY, home=home).start()
    assert RunFile.load(running.home).city == str(running.path), "the first one's run file stays"


def test_a_cluster_that_is_not_ours_is_not_forgotten(tmp_path: Path) -> None:
    with pytest.raises(Misconfigured, match="not ours to forget"):
        LocalCity(CITY, home=tmp_path, fresh=True, bootstrap_servers="127.0.0.1:1").start()


def test_stopping_leaves_nothing_and_subak_up_goes_on_with_the_same_addresses_until_ctrl_c(
    running: LocalCity, home: Path
) -> None:
    first = RunFile.load(running.home)
    pids = running.pids
    running.stop()
    assert not [name for name, pid in pids.items() if psutil.pid_exists(pid)]
    assert not (running.home / "run.json").exists()

    command = [sys.executable, "-m", "services.cli", "up", "--city", CITY, "--home", str(home)]
    with (
        subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True) as up,
        _ended_after(up),
    ):
        assert up.stdout is not None
        lines: list[str] = []
        for line in up.stdout:
            lines.append(line)
            if "Ctrl-C ends it" in line:
                break
        second = RunFile.load(running.home)
        assert second.adapters == first.adapters
        assert second.bootstrap_servers == first.bootstrap_servers
        assert {name: process["url"] for name, process in second.processes.items()} == (
            {name: process["url"] for name, process in first.processes.items()}
        )
        text = "".join(lines)
        assert all(str(process["url"]) in text for process in second.processes.values())
        up.send_signal(signal.SIGINT)
        rest = up.stdout.read()
    assert "Stopping. The data stay" in rest
    assert up.returncode == 0
    left = [int(process["pid"]) for process in second.processes.values()]
    assert not [pid for pid in left if psutil.pid_exists(pid)]
    assert "Traceback" not in text + rest


@contextlib.contextmanager
def _ended_after(process: subprocess.Popen[str]) -> Iterator[None]:
    """A test that fails does not wait for ever for a process that nobody ends any more."""
    try:
        yield
    except BaseException:
        process.send_signal(signal.SIGINT)
        raise


def test_fresh_forgets_all_but_the_right_to_the_home(home: Path) -> None:
    """Without starting anything: what `fresh` does once Kafka runs."""
    city = LocalCity(CITY, home=home)
    (city.home / "kafka").mkdir(parents=True, exist_ok=True)
    (city.home / "ports.json").write_text(json.dumps({"gateway": 1}), encoding="ascii")
    (city.home / "owner.lock").touch()
    (city.home / "adapters").mkdir(exist_ok=True)
    city._forget()
    assert {path.name for path in city.home.iterdir()} == {"kafka", "owner.lock"}
