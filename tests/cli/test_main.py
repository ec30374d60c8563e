"""The command line as a whole: every command is there, and one that is asked for brings no other with it."""

from __future__ import annotations

import subprocess
import sys

import pytest
from typer.main import get_command
from typer.testing import CliRunner

from services.cli.main import COMMANDS, commands

EVERY = [name for names in COMMANDS.values() for name in names]


def test_the_help_shows_every_command_once() -> None:
    assert sorted(get_command(commands()).commands) == sorted(EVERY)  # type: ignore[attr-defined]
    assert len(set(EVERY)) == len(EVERY)


@pytest.mark.parametrize("name", EVERY)
def test_a_command_stands_alone(name: str) -> None:
    app = commands(name)
    assert list(get_command(app).commands) == [name]  # type: ignore[attr-defined]
    shown = CliRunner().invoke(app, [name, "--help"])
    assert shown.exit_code == 0, shown.output
    assert f"{name} [" in shown.output


@pytest.mark.parametrize(("name", "without"), [("lag", "sqlalchemy"), ("run", "fastapi"), ("case", "adapters")])
def test_a_command_does_not_import_what_it_does_not_need(name: str, without: str) -> None:
    code = (
        f"import sys; from services.cli.main import commands; commands({name!r}); sys.exit({without!r} in sys.modules)"
    )
    assert subprocess.run([sys.executable, "-c", code], check=False).returncode == 0


def test_an_unknown_command_is_an_error_that_names_it() -> None:
    asked = [sys.executable, "-m", "services.cli", "cases"]
    ended = subprocess.run(asked, capture_output=True, text=True, check=False)
    assert ended.returncode == 2
    assert "cases" in ended.stderr
