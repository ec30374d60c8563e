"""`subak doctor`: looks at all that a bus needs, and says what is wrong and what to do. It changes nothing."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Annotated

import typer
from rich.markup import escape

from bus.runfile import RunFile
from schemas.failures import Misconfigured, SubakError
from services.cli import examining
from services.cli.administering import Administration
from services.cli.examining import Finding
from services.cli.finding import Whereabouts
from services.cli.showing import console, say_json

EXIT_WRONG = 1
SIGNS = {"ok": "[green]✓[/]", "warning": "[yellow]![/]", "wrong": "[bold red]✗[/]"}


def doctor(
    as_json: Annotated[
        bool, typer.Option("--json", help="One JSON object: findings, and whether all is well.")
    ] = False,
) -> None:
    """Find what is wrong with a bus, and say what to do. Exit code 1 where something is."""
    out = console()
    found: list[Finding] = []
    for finding in _examine():
        found.append(finding)
        if not as_json:
            fix = f"\n    [cyan]{escape(finding.fix)}[/]" if finding.fix else ""
            out.print(f"{SIGNS[finding.level]} [bold]{finding.about}[/]: {escape(finding.what)}{fix}", soft_wrap=True)
    wrong = sum(1 for finding in found if finding.level == "wrong")
    if as_json:
        say_json({"well": wrong == 0, "findings": [finding.as_dict() for finding in found]})
    else:
        out.print(_verdict(wrong, sum(1 for finding in found if finding.level == "warning")))
    raise typer.Exit(EXIT_WRONG if wrong else 0)


def _verdict(wrong: int, warnings: int) -> str:
    if wrong:
        return f"[red]{wrong} {'thing is' if wrong == 1 else 'things are'} wrong.[/]"
    if warnings:
        return (
            f"[yellow]Nothing stands still; {warnings} {'thing needs' if warnings == 1 else 'things need'} a look.[/]"
        )
    return "[green]All is well.[/]"


def _examine() -> Iterator[Finding]:
    here = Whereabouts.here()
    yield examining.disk(here.settings.home)
    try:
        kafka = here.kafka
    except Misconfigured as error:
        yield Finding(about="kafka", level="wrong", what=str(error))
        return
    reached = examining.kafka(kafka)
    yield reached
    if reached.level == "ok":
        yield from examining.brokers(kafka, _brokers(here))
        try:
            yield from examining.topology(Administration.here().plan())
        except SubakError as error:
            yield Finding(about="topology", level="warning", what=f"not looked at: {error}")
        yield from examining.copies(kafka, here.city)
        yield from examining.positions(kafka, here.city)
    for name, process in sorted(_processes(here).items()):
        yield from examining.process(name, str(process["url"]))


def _processes(here: Whereabouts) -> dict[str, dict[str, str | int]]:
    """Those of the local bus; elsewhere Prometheus and the platform look after them."""
    run = _local(here)
    return run.processes if run is not None else {}


def _brokers(here: Whereabouts) -> dict[str, str]:
    """The names of the local bus's brokers, by their addresses."""
    run = _local(here)
    return {str(broker["address"]): name for name, broker in run.brokers.items()} if run is not None else {}


def _local(here: Whereabouts) -> RunFile | None:
    try:
        return RunFile.load(here.settings.home)
    except Misconfigured:
        return None
