"""docs/how-to/connect-an-agency.md, its ten minutes, word for word: a sample SQLite system has a case in the city."""

from __future__ import annotations

import os
import re
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

pytestmark = [pytest.mark.kafka, pytest.mark.slow, pytest.mark.timeout(600)]

PAGE = (Path(__file__).parents[2] / "docs" / "how-to" / "connect-an-agency.md").read_text(encoding="utf-8")


def blocks() -> list[str]:
    return re.findall(r"^```bash\n(.*?)^```", PAGE, re.MULTILINE | re.DOTALL)


@contextmanager
def running(command: str, folder: Path, environment: dict[str, str]) -> Iterator[subprocess.Popen[bytes]]:
    """A command that stays, with what it says in a file; Ctrl-C ends it."""
    with (folder / f"said-{abs(hash(command))}").open("wb") as said:
        process = subprocess.Popen(
            ["bash", "-c", f"exec {command.strip()}"], cwd=folder, env=environment, stdout=said, stderr=said
        )
        try:
            yield process
        finally:
            process.send_signal(signal.SIGTERM)
            process.wait(120)


def run(commands: str, folder: Path, environment: dict[str, str]) -> str:
    done = subprocess.run(
        ["bash", "-euo", "pipefail", "-c", f"{commands}\nenv > environment"],
        cwd=folder, env=environment, capture_output=True, text=True, check=False, timeout=200,
    )  # fmt: skip
    assert done.returncode == 0, (commands, done.stdout, done.stderr)
    return done.stdout


def test_a_sample_system_has_a_case_in_the_city_by_the_pages_own_commands(tmp_path: Path) -> None:
    up, begin, adapter, add = blocks()
    path = f"{Path(sys.executable).parent}{os.pathsep}{os.environ['PATH']}"
    kept = {name: value for name, value in os.environ.items() if not name.startswith("SUBAK_")}
    environment = {**kept, "PATH": path, "SUBAK_LOG_FORMAT": "console"}
    with running(up, tmp_path, environment) as bus:
        deadline = time.monotonic() + 240
        while not (tmp_path / ".subak" / "denpasar" / "run.json").exists():
            assert bus.poll() is None
            assert time.monotonic() < deadline, "the bus did not come up"
            time.sleep(0.5)
        said = run(begin, tmp_path, environment)
        assert "samples are understood for Kota Denpasar, and everything is connected." in said
        token = re.search(r"^COMMUNICATIONS_TOKEN=(.*)$", (tmp_path / "environment").read_text("utf-8"), re.MULTILINE)
        assert token is not None
        with running(adapter, tmp_path, {**environment, "COMMUNICATIONS_TOKEN": token[1]}) as process:
            said = run(add, tmp_path, environment)
            for _ in range(20):
                if "forwarded" in said:
                    break
                time.sleep(2)
                said = run("subak case list", tmp_path, environment)
            assert process.poll() is None
    assert "forwarded" in said, said
