"""How many of the agencies that must have an event have applied it, for people: `7 of 7`, and who has not."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any
from zoneinfo import ZoneInfo

from rich.markup import escape
from rich.table import Table

from services.cli.showing import event_type, moment, table

WORDS = {
    "waiting": "it waits in the inbox",
    "parked": "parked at its adapter",
    "not_there": "not in its inbox (yet)",
    "unknown": "unknown",
}


def have_it(event: Mapping[str, Any] | None) -> str:
    """`7 of 7`; `3 of 7?` where some adapters did not say; empty where nobody must have it, or nothing is told."""
    if event is None or not event["due"]:
        return ""
    if event["unknown"] == event["due"]:
        return f"[dim]{event['due']} must[/]"
    colour = "green" if event["applied"] == event["due"] else "yellow"
    doubt = "?" if event["unknown"] else ""
    return f"[{colour}]{event['applied']} of {event['due']}{doubt}[/]"


def not_applied(entries: Iterable[Mapping[str, Any]], had: Iterable[Mapping[str, Any]], zone: ZoneInfo | None) -> Table:
    """Each agency that must have an event of these entries and is not known to have applied it."""
    places = {(entry["source"], entry["event_id"]): entry["seq"] for entry in entries}
    rows = table("#", "what", "agency", "is", "since", "why")
    for event in had:
        place = places.get((event["source"], event["event_id"]))
        for one in event["deliveries"] if place is not None else ():
            if one["state"] != "applied":
                rows.add_row(
                    str(place),
                    event_type(event["type"]),
                    escape(one["agency"]),
                    WORDS.get(one["state"], one["state"]),
                    moment(one["at"], zone) if one["at"] else "",
                    escape(one["why"] or ""),
                )
    return rows
