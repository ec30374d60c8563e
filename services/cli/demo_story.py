"""At the end of a demo: one proposal of its round, told from the neighbours' meeting to the payment."""

from __future__ import annotations

import time
from collections.abc import Sequence
from datetime import UTC, datetime
from typing import Any

from rich.console import Console

from bus.city import City
from schemas.failures import SubakError
from services.cli.asking import Casebook
from services.cli.trace import story

WAIT_SECONDS_MAX = 30.0
"""How long the round may take to end once the requests have; then what there is is told."""


def tell_story(console: Console, url: str, city: City, proposals: Sequence[str]) -> None:
    """Print the way of one of these proposals: one that was realised, where any was. Say so where none can be read."""
    if not proposals:
        return
    try:
        with Casebook(url) as casebook:
            found = _ended(casebook, proposals)
    except SubakError as error:
        console.print(f"[yellow]No proposal can be told:[/] {error}")
        return
    ends = [one["stopped"]["outcome"] or "still under way" for one in found]
    realised = ends.count("realised")
    console.print(f"\n[bold]{len(found)} proposals[/] of the neighbours' meetings: {realised} realised. One of them:\n")
    told = next((one for one in found if one["stopped"]["outcome"] == "realised"), found[0])
    console.print(story(told, datetime.now(UTC), city.zone))


def _ended(casebook: Casebook, proposals: Sequence[str]) -> list[dict[str, Any]]:
    """All these proposals' ways, once they have ended, or when the time is over."""
    until = time.monotonic() + WAIT_SECONDS_MAX
    while True:
        try:
            found = [casebook.ask(f"/api/trace/{id}") for id in proposals]
            if all(one["stopped"]["ended"] for one in found) or time.monotonic() > until:
                return found
        except SubakError:
            if time.monotonic() > until:
                raise
        time.sleep(0.5)
