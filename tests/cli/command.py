"""Running the operator's commands as a user does, and reading what they say."""

from __future__ import annotations

import json
from typing import Any

import typer
from typer.testing import CliRunner, Result

from services.cli import case, lag, parked, rejected, route, tail, trace, workflow


def _app() -> typer.Typer:
    app = typer.Typer()
    app.add_typer(case.app, name="case")
    app.add_typer(rejected.app, name="rejected")
    app.add_typer(parked.app, name="parked")
    app.add_typer(route.app, name="route")
    app.add_typer(workflow.app, name="workflow")
    app.command()(lag.lag)
    app.command()(tail.tail)
    app.command()(trace.trace)
    return app


def run(*arguments: str) -> Result:
    """The command's result; an error that a user would see as a sentence is in `exception`."""
    return CliRunner().invoke(_app(), arguments)


def said(*arguments: str) -> str:
    """What a command that succeeds writes, each run of blanks as one."""
    result = run(*arguments)
    assert result.exception is None, result.exception
    return " ".join(result.output.split())


def found(*arguments: str) -> Any:
    """What a command that succeeds writes as JSON."""
    result = run(*arguments, "--json")
    assert result.exception is None, result.exception
    return json.loads(result.output)
