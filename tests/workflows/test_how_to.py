"""docs/how-to/write-a-workflow.md, word by word: its workflow is sound, its tests pass, its commands run."""

from __future__ import annotations

import importlib
import re
import shlex
import subprocess
import sys
from pathlib import Path

import pytest

from bus.city import city_path, load_city
from services.workflows.lint import lint
from tests.cli.command import run

ROOT = Path(__file__).parents[2]
PAGE = (ROOT / "docs" / "how-to" / "write-a-workflow.md").read_text(encoding="utf-8")


@pytest.fixture(autouse=True)
def written(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The page's files, in a folder of their own."""
    for file, text in re.findall(r"^```python (\S+)\n(.*?)^```$", PAGE, flags=re.MULTILINE | re.DOTALL):
        (tmp_path / file).write_text(text, encoding="utf-8")
    monkeypatch.chdir(tmp_path)
    monkeypatch.syspath_prepend(str(tmp_path))
    return tmp_path


def commands(beginning: str) -> list[list[str]]:
    return [shlex.split(line) for line in re.findall(rf"^{beginning}.*$", PAGE, flags=re.MULTILINE)]


def test_its_tests_pass_as_it_says(written: Path) -> None:
    (command,) = commands("python -m pytest")
    done = subprocess.run(
        [sys.executable, *command[1:], "-p", "no:cacheprovider"], cwd=written, capture_output=True, text=True,
        check=False, env={"PYTHONPATH": str(ROOT), "PATH": ""},
    )  # fmt: skip
    assert done.returncode == 0, done.stdout + done.stderr
    assert "3 passed" in done.stdout


def test_its_workflow_is_sound_in_denpasar() -> None:
    workflow = importlib.import_module("lost_property").lost_property
    assert [str(finding) for finding in lint([workflow], load_city(city_path("denpasar")))] == []


def test_its_commands_run() -> None:
    for command in [*commands("subak workflow lint"), *commands("subak workflow graph")]:
        assert run(*command[1:]).exit_code == 0, command


def test_every_command_of_the_page_has_the_options_that_it_is_given() -> None:
    for command in commands("subak workflow simulate"):
        offered = run("workflow", "simulate", "--help").output
        assert all(word in offered for word in command if word.startswith("--"))
