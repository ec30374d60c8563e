"""How the operator's commands show things: times, spans, states, money, all in one way."""

from __future__ import annotations

import json
import sys
from collections.abc import Mapping
from datetime import UTC, datetime, timedelta
from typing import Any
from zoneinfo import ZoneInfo

import typer
from rich.box import SIMPLE_HEAD
from rich.console import Console
from rich.markup import escape
from rich.table import Table

from schemas.money import money_text

PIPE_COLUMNS = 200
"""Width of a table that no terminal shows: wide enough that nothing is cut."""

_GREEN, _YELLOW, _RED, _CYAN, _DIM = "green", "yellow", "red", "cyan", "dim"
_COLOURS = {
    "closed": _DIM, "resolved": _GREEN, "rated": _GREEN, "inspected": _GREEN, "completed": _GREEN,
    "in_progress": _CYAN, "accepted": _CYAN, "ordered": _CYAN, "approved": _CYAN,
    "awaiting_approval": _YELLOW, "suspended": _YELLOW, "forwarded": _YELLOW, "submitted": _YELLOW,
    "declined": _RED, "defect_found": _RED, "reopened": _RED, "approval_refused": _RED, "approval_expired": _RED,
}  # fmt: skip
_DOMAINS = {"request": "cyan", "approval": "yellow", "workorder": "green", "case": "magenta", "event": "red"}


def console() -> Console:
    """Where a command writes: as wide as the terminal, or wide enough for a pipe."""
    return Console(highlight=False, width=None if sys.stdout.isatty() else PIPE_COLUMNS)


def say_json(found: object) -> None:
    """One line of JSON."""
    typer.echo(json.dumps(found, ensure_ascii=False))


def table(*columns: str) -> Table:
    """A table in the house's style."""
    return Table(*columns, box=SIMPLE_HEAD, pad_edge=False, header_style="bold")


def state(case: Mapping[str, Any]) -> str:
    """The state in its colour, with how it ended."""
    name, outcome = str(case["state"]), case.get("outcome")
    colour = _COLOURS.get(name, "white")
    return f"[{colour}]{escape(name)}[/]" + (f" [dim]({escape(outcome)})[/]" if outcome else "")


def event_type(name: str) -> str:
    """`request.submitted` in its domain's colour."""
    parts = name.split(".")
    short = ".".join(parts[1:-1]) if len(parts) == 4 else name
    colour = _DOMAINS.get(parts[1] if len(parts) > 1 else "", "white")
    return f"[{colour}]{escape(short)}[/]"


def flags(case: Mapping[str, Any]) -> str:
    """What a person should see first."""
    found = []
    if case.get("parked"):
        found.append("[bold red]parked[/]")
    if case.get("overdue"):
        days = case.get("overdue_days") or 0
        by = f" by {days} working day{'s' if days != 1 else ''}" if days else ""
        found.append(f"[bold red]overdue{by}[/]")
    if case.get("escalation_step"):
        found.append(f"[yellow]escalated {case['escalation_step']} up[/]")
    return " ".join(found)


def text(names: Mapping[str, str], default: str = "") -> str:
    """A name by language: in English, or in the first there is."""
    return names.get("en") or next(iter(names.values()), default)


def money(amount: Mapping[str, str] | None) -> str:
    """`IDR 1,250,000.50`; nothing where there is none."""
    return money_text(amount) if amount is not None else ""


def moment(text: str | None, zone: ZoneInfo | None = None) -> str:
    """A time as people of the city read it; in UTC where no zone is known."""
    if not text:
        return ""
    try:
        found = datetime.fromisoformat(text)
    except ValueError:
        return text
    return found.astimezone(zone or UTC).strftime("%Y-%m-%d %H:%M:%S")


def since(text: str | None, now: datetime) -> str:
    """How long ago that was."""
    return span(now - datetime.fromisoformat(text)) if text else ""


def span(length: timedelta | float) -> str:
    """`3 d 4 h`, `5 min 2 s`, `0.4 s`: the two largest parts."""
    seconds = length.total_seconds() if isinstance(length, timedelta) else length
    if seconds < 0:
        return f"-{span(-seconds)}"
    if seconds < 10:
        return f"{seconds:.1f} s"
    sizes = ((86_400, "d"), (3_600, "h"), (60, "min"), (1, "s"))
    largest = next(place for place, (size, _) in enumerate(sizes) if seconds >= size)
    size, name = sizes[largest]
    count, rest = divmod(int(seconds), size)
    if largest + 1 < len(sizes):
        smaller, smaller_name = sizes[largest + 1]
        if rest // smaller:
            return f"{count} {name} {rest // smaller} {smaller_name}"
    return f"{count} {name}"
