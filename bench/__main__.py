"""`python -m bench [NAME] [--json]`: measure one thing or all, and print tables, or one JSON object."""

from __future__ import annotations

import argparse
import json
from collections.abc import Callable, Coroutine
from typing import Any

import uvloop
from rich.console import Console

from bench import agency, console, lifecycle, memory, reconcile, secured, simulate, sql, stage, state
from bench.lifecycle import CASES_DEFAULT
from bench.machine import machine
from bus.collecting import tune_collector
from bus.logs import configure_logs

Measure = Callable[[argparse.Namespace], Coroutine[Any, Any, dict[str, Any]]]

MEASURES: dict[str, tuple[Measure, Callable[[dict[str, Any]], Any]]] = {
    "stage": (stage.measure, stage.table),
    "lifecycle": (lifecycle.measure, lifecycle.table),
    "state": (state.measure, state.table),
    "simulate": (simulate.measure, simulate.table),
    "files": (agency.measure_files, agency.table),
    "http_source": (agency.measure_http, agency.table),
    "sql": (sql.measure, sql.table),
    "webhook": (agency.measure_webhook, agency.table),
    "console": (console.measure, console.table),
    "reconcile": (reconcile.measure, reconcile.table),
    "secured": (secured.measure, secured.table),
    "memory": (memory.measure, memory.table),
}

NOT_AMONG_ALL = {"memory"}
"""It takes an hour: measured where it is named."""


def main() -> None:
    """Measure what is asked for, or all."""
    parser = argparse.ArgumentParser(prog="python -m bench", description=__doc__)
    parser.add_argument(
        "measure", nargs="?", choices=sorted(MEASURES), help="what to measure; all but memory where none is given"
    )
    parser.add_argument("--json", action="store_true", help="print one JSON object on the last line")
    parser.add_argument("--events", type=int, default=60_000, help="stage: events in (default: %(default)s)")
    parser.add_argument(
        "--cases",
        type=int,
        help=f"lifecycle, simulate: cases on the bus (default: {CASES_DEFAULT}); state: open cases "
        f"(default: {state.CASES_DEFAULT})",
    )
    parser.add_argument("--http-cases", type=int, default=500, help="lifecycle: cases over HTTP (default: %(default)s)")
    parser.add_argument("--rows", type=int, default=100_000, help="files, sql: rows (default: %(default)s)")
    parser.add_argument("--changes", type=int, default=200, help="sql: changes timed one by one (default: %(default)s)")
    parser.add_argument("--posts", type=int, default=5_000, help="http_source: posts (default: %(default)s)")
    parser.add_argument("--calls", type=int, default=10_000, help="webhook: events to deliver (default: %(default)s)")
    parser.add_argument(
        "--curve", type=int, nargs="*", default=[], help="lifecycle: the rate at so many cases, e.g. 1000 100000"
    )
    parser.add_argument(
        "--console-cases", type=int, default=100_000, help="console: cases in the tables (default: %(default)s)"
    )
    parser.add_argument(
        "--reconciled",
        type=int,
        default=reconcile.EVENTS_DEFAULT,
        help="reconcile: events that agencies sent (default: %(default)s)",
    )
    parser.add_argument(
        "--minutes", type=float, default=memory.MINUTES_DEFAULT, help="memory: how long (default: %(default)g)"
    )
    parser.add_argument(
        "--no-adapters", dest="adapters", action="store_false", help="memory: the services alone, without HTTP"
    )
    arguments = parser.parse_args()
    configure_logs("error", "console")
    tune_collector()
    found: dict[str, Any] = {}
    out = Console(stderr=arguments.json)
    for name in [arguments.measure] if arguments.measure else [name for name in MEASURES if name not in NOT_AMONG_ALL]:
        measure, table = MEASURES[name]
        with out.status(f"Measuring: {name} ..."):
            found[name] = uvloop.run(measure(arguments))
        if not arguments.json:
            out.print(table(found[name]))  # as it comes: all of it takes ten minutes
    if arguments.json:
        only = found[arguments.measure] if arguments.measure else found
        print(json.dumps(only | {"machine": machine()}))
    else:
        out.print_json(data=machine())


if __name__ == "__main__":
    main()
