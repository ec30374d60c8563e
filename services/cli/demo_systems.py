"""At the end of a demo: how each kind of system spoke and was told, and where a newcomer finds its words."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING

from rich.box import SIMPLE_HEAD
from rich.console import Console
from rich.markup import escape
from rich.table import Table

from deploy.simulation.ledger import Ledger

if TYPE_CHECKING:
    from deploy.simulation.city import SimulatedCity

OTHERS = "all others"

LINES_MAX = 6
"""Refused rows shown of each agency."""


def print_systems(console: Console, simulated: SimulatedCity, ledgers: Mapping[str, Ledger]) -> None:
    """The table, and the folders: nothing where every agency speaks by HTTP alone."""
    if not simulated.own:
        return
    console.print()
    console.print(_table(simulated, ledgers))
    console.print(_refusals(simulated))
    for agency, own in sorted(simulated.own.items()):
        console.print(
            f"  [cyan]{_shown(Path(own.example))}[/]  [dim]{agency}: its adapter.toml and its mapping.toml[/]",
            soft_wrap=True,
        )
        console.print(f"  [cyan]{_shown(simulated.systems / agency)}[/]  [dim]its own system[/]", soft_wrap=True)


def _table(simulated: SimulatedCity, ledgers: Mapping[str, Ledger]) -> Table:
    table = Table(title="Each in its own way and its own words", box=SIMPLE_HEAD, title_justify="left")
    for name in ("agency", "speaks by", "is told by"):
        table.add_column(name)
    for name in ("sent", "refused", "heard"):
        table.add_column(name, justify="right")
    sums: dict[tuple[str, str, str], list[int]] = {}
    channel = simulated.city.citizens_channel
    for agency, ledger in ledgers.items():
        name = simulated.city.text(simulated.city.agencies[agency].name)
        if (own := simulated.own.get(agency)) is not None:
            key = (name, own.shown, own.target or "webhook")
        else:
            key = (name, "http, open311", "webhook") if agency == channel else (OTHERS, "http", "webhook")
        numbers = sums.setdefault(key, [0, 0, 0])
        numbers[0] += sum(sent.state in ("accepted", "refused") for sent in ledger.sent)
        numbers[1] += sum(sent.state == "refused" for sent in ledger.sent)
        numbers[2] += len(ledger.heard)
    for key, numbers in sorted(sums.items(), key=lambda item: item[0][0] == OTHERS):
        table.add_row(*map(escape, key), *(f"{number:,}" if number else "·" for number in numbers))
    return table


def _refusals(simulated: SimulatedCity) -> Table:
    title = "What clerks wrote wrongly: refused, and told to their agency alone"
    table = Table(title=title, box=SIMPLE_HEAD, title_justify="left")
    table.add_column("agency")
    table.add_column("row")
    table.add_column("why", style="dim")
    for agency, found in simulated.refusals().items():
        for refusal in found[:LINES_MAX]:
            table.add_row(agency, escape(refusal.row), escape(refusal.reasons))
        if len(found) > LINES_MAX:
            table.add_row(agency, f"and {len(found) - LINES_MAX} more", "")
    return table


def _shown(path: Path) -> str:
    """The path from here, where that is shorter."""
    try:
        return str(path.relative_to(Path.cwd()))
    except ValueError:
        return str(path)
