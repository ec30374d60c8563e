"""The supervisor starts processes together, says when each is ready, restarts one that dies, stops them in order."""

from __future__ import annotations

import os
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import psutil
import pytest

from deploy.local import supervisor as module
from deploy.local.ports import HOST, free_ports
from deploy.local.supervisor import ProcessSpec, Supervisor
from schemas.failures import Misconfigured, Retryable

SERVER = Path(__file__).with_name("small_server.py")


class Heard:
    """What a supervisor reported."""

    def __init__(self) -> None:
        self.news: list[tuple[str, str, str]] = []

    def __call__(self, name: str, event: str, detail: str) -> None:
        self.news.append((name, event, detail))

    def events_of(self, name: str) -> list[str]:
        return [event for other, event, _ in self.news if other == name]


@pytest.fixture
def heard() -> Heard:
    return Heard()


@pytest.fixture
def kept(heard: Heard) -> Iterator[Supervisor]:
    found = Supervisor(report=heard)
    yield found
    found.stop()


@pytest.fixture
def spec(tmp_path: Path) -> Callable[..., ProcessSpec]:
    def make(name: str, *behaviour: str, port: int = 0) -> ProcessSpec:
        port = port or free_ports(1)[0]
        return ProcessSpec(
            name=name,
            argv=[sys.executable, str(SERVER), name, str(port), str(tmp_path / "ends"), *behaviour],
            env=os.environ,
            url=f"http://{HOST}:{port}",
            log=tmp_path / f"{name}.log",
        )

    return make


def _until(condition: Callable[[], object], seconds: float = 15) -> None:
    deadline = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < deadline, "it never came"
        time.sleep(0.02)


def test_all_are_ready_when_waiting_ends_and_stop_ends_the_last_first(
    kept: Supervisor, spec: Callable[..., ProcessSpec], heard: Heard, tmp_path: Path
) -> None:
    kept.start([spec("one"), spec("two"), spec("three")])
    kept.wait_until_ready(seconds=20)
    pids = [kept.pid(name) for name in kept.names()]
    assert kept.names() == ["one", "two", "three"]
    assert all(kept.is_ready(name) for name in kept.names())
    kept.stop()
    assert not any(psutil.pid_exists(pid) for pid in pids if pid)
    stopped = [name for name, event, _ in heard.news if event == "stopped"]
    assert stopped == ["three", "two", "one"]
    assert sorted((tmp_path / "ends").read_text().split()) == ["one", "three", "two"], "each ended by itself"


def test_one_that_dies_is_started_again_and_reported(
    kept: Supervisor, spec: Callable[..., ProcessSpec], heard: Heard
) -> None:
    kept.start([spec("one"), spec("other")])
    kept.wait_until_ready(seconds=20)
    first, other = kept.pid("one"), kept.pid("other")
    assert first is not None
    psutil.Process(first).kill()
    _until(lambda: kept.restarts("one") == 1)
    kept.wait_until_ready(seconds=20)
    assert kept.pid("one") not in (None, first)
    assert kept.pid("other") == other
    assert heard.events_of("one") == ["started", "ready", "died", "started", "ready"]
    assert ("one", "died", "killed by signal 9; starts again in 0.5 s") in heard.news


def test_one_that_is_killed_and_not_to_come_back_stays_down_until_it_is_restarted(
    kept: Supervisor, spec: Callable[..., ProcessSpec]
) -> None:
    kept.start([spec("one")])
    kept.wait_until_ready(seconds=20)
    kept.kill("one", restart=False)
    time.sleep(3 * module.PAUSE_SECONDS_FIRST)
    assert kept.pid("one") is None
    kept.restart("one")
    kept.wait_until_ready(seconds=20)
    assert kept.pid("one") is not None


def test_one_that_never_becomes_ready_is_reported_with_its_reason_and_its_last_words(
    kept: Supervisor, spec: Callable[..., ProcessSpec]
) -> None:
    kept.start([spec("well"), spec("slow", "never-ready")])
    with pytest.raises(Retryable) as failure:
        kept.wait_until_ready(seconds=3)
    assert "slow was not ready within 3 s (still counting the rice fields)" in str(failure.value)
    assert "| slow says hello" in str(failure.value)


def test_one_that_dies_again_and_again_before_it_is_ready_ends_the_wait_with_its_last_words(
    kept: Supervisor, spec: Callable[..., ProcessSpec]
) -> None:
    kept.start([spec("sick", "exit", "3")])
    with pytest.raises(Misconfigured, match="sick died 3 times before it was ready") as failure:
        kept.wait_until_ready(seconds=30)
    assert "| sick says hello" in str(failure.value)


def test_the_pause_before_a_restart_doubles(
    kept: Supervisor, spec: Callable[..., ProcessSpec], heard: Heard, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(module, "PAUSE_SECONDS_MAX", 0.9)
    monkeypatch.setattr(module, "PAUSE_SECONDS_FIRST", 0.2)
    kept.start([spec("sick", "exit", "3")])
    _until(lambda: kept.restarts("sick") == 4)
    told = [detail for _, event, detail in heard.news if event == "died"]
    assert told == [f"exit code 3; starts again in {pause} s" for pause in (0.2, 0.4, 0.8, 0.9)]


def test_one_that_asks_for_a_person_is_left_alone_and_says_why(
    kept: Supervisor, spec: Callable[..., ProcessSpec]
) -> None:
    kept.start([spec("wrong", "exit", "78")])
    with pytest.raises(Misconfigured, match=r"wrong cannot run(.|\n)*\| wrong says hello"):
        kept.wait_until_ready(seconds=20)
    time.sleep(2 * module.PAUSE_SECONDS_FIRST)
    assert kept.restarts("wrong") == 0
    assert isinstance(kept.failure, Misconfigured)


def test_a_stranger_on_the_port_does_not_count_as_ready(kept: Supervisor, spec: Callable[..., ProcessSpec]) -> None:
    stranger = Supervisor()
    port = free_ports(1)[0]
    stranger.start([spec("stranger", port=port)])
    try:
        stranger.wait_until_ready(seconds=20)
        kept.start([spec("ours", "sleep", port=port)])
        with pytest.raises(Retryable, match=f"it does not listen on port {port} yet"):
            kept.wait_until_ready(seconds=1)
    finally:
        stranger.stop()


def test_one_that_does_not_end_is_killed(
    kept: Supervisor, spec: Callable[..., ProcessSpec], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(module, "STOP_GRACE_SECONDS", 0.5)
    kept.start([spec("deaf", "deaf")])
    kept.wait_until_ready(seconds=20)
    pid = kept.pid("deaf")
    kept.stop()
    assert pid is not None
    assert not psutil.pid_exists(pid)


def test_a_long_log_is_set_aside(
    kept: Supervisor, spec: Callable[..., ProcessSpec], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(module, "LOG_BYTES_MAX", 10)
    (tmp_path / "one.log").write_text("much of the past\n", encoding="utf-8")
    kept.start([spec("one")])
    kept.wait_until_ready(seconds=20)
    assert (tmp_path / "one.1.log").read_text(encoding="utf-8") == "much of the past\n"
    assert "the past" not in (tmp_path / "one.log").read_text(encoding="utf-8")
