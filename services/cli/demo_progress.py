"""How the demo looks while it runs: a bar for each stage of a case's life, and what happens each second.

On a terminal it is drawn in place; elsewhere (a log, a pipe) it is a plain line every few seconds.
"""

from __future__ import annotations

import time
from collections.abc import Iterator
from contextlib import contextmanager

from rich.console import Console, Group
from rich.live import Live
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn
from rich.text import Text

from deploy.simulation.watch import STAGES, Watch

LINE_EVERY_SECONDS = 5.0
"""How often a plain line is written where there is no terminal to draw on."""

_COLOURS = {"closed": "green", "money decided": "yellow"}


class Display:
    """Draws a watch's standing."""

    def __init__(self, console: Console, watch: Watch, total: int) -> None:
        self._console = console
        self._watch = watch
        self._total = total
        self._began = time.monotonic()
        self._line_at = 0.0
        self._bars = Progress(
            TextColumn("  {task.description}"),
            BarColumn(bar_width=46, complete_style="cyan", finished_style="green"),
            MofNCompleteColumn(),
            TextColumn("{task.fields[note]}", style="dim"),
            console=console,
            expand=False,
        )
        self._tasks = {
            stage: self._bars.add_task(f"[{_COLOURS.get(stage, 'cyan')}]{stage:<13}[/]", total=total, note="")
            for stage in STAGES
        }

    @contextmanager
    def shown(self) -> Iterator[None]:
        """Draw while the block runs."""
        if not self._console.is_terminal:
            yield
            self._console.print(self._line(), soft_wrap=True)
            return
        with Live(get_renderable=self._drawing, console=self._console, refresh_per_second=5, transient=False):
            yield

    def update(self) -> None:
        """Take over the watch's newest standing."""
        standing = self._watch.standing
        for stage, task in self._tasks.items():
            self._bars.update(task, completed=standing.reached(stage), note=self._note(stage))
        if not self._console.is_terminal and time.monotonic() - self._line_at >= LINE_EVERY_SECONDS:
            self._line_at = time.monotonic()
            self._console.print(self._line(), soft_wrap=True)

    def _note(self, stage: str) -> str:
        if stage == "money decided":
            return "only where the estimate passes the agency's threshold"
        return ""

    def _line(self) -> str:
        standing = self._watch.standing
        seconds = time.monotonic() - self._began
        return (
            f"{seconds:5.0f} s  submitted {standing.reached('submitted')}, closed {standing.reached('closed')} of "
            f"{self._total}; {self._watch.events_per_second:.0f} events/s between the agencies and the bus"
        )

    def _drawing(self) -> Group:
        standing = self._watch.standing
        seconds = time.monotonic() - self._began
        footer = Text.assemble(
            ("  events ", "dim"),
            (f"{standing.posted:,}", "bold"),
            (" sent by agencies, ", "dim"),
            (f"{standing.heard:,}", "bold"),
            (" brought to them, ", "dim"),
            (f"{self._watch.events_per_second:,.0f}/s", "bold cyan"),
            (f"   {seconds:.0f} s", "dim"),
        )
        return Group(self._bars, footer)
