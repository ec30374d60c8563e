"""`subak reconcile`: whether all that an agency sent was answered, and all that it must hear was applied."""

from __future__ import annotations

import asyncio
import json
from collections import Counter
from collections.abc import Mapping
from datetime import UTC, date, datetime, timedelta
from pathlib import Path
from typing import Annotated, Any

import typer
from rich.markup import escape
from rich.table import Table

from bus.reconciliation import Book, Sent, Told
from schemas.failures import Misconfigured
from services.cli.finding import Whereabouts
from services.cli.reconciling import IDS_NAMED_MAX, Counted, Reconciler
from services.cli.showing import console, say_json, table

DAYS = 5
"""How far back: adapters keep what they relayed for a week."""

SETTLE_SECONDS = 5.0
"""What is younger is left for the next time."""

EXIT_DISCREPANCY = 1

_WHAT = {
    "not_relayed": "in the outbox, said to be relayed, and not in Kafka",
    "not_answered": "in Kafka, passed by the gateway, and neither accepted nor refused",
    "not_routed": "in the city's log, passed by the router, and not in the inbox topic",
    "not_received": "in the inbox topic, passed by the adapter, and not in the inbox",
    "twice": "there more than once",
    "unexplained": "there, and nobody has sent it",
}


def reconcile(
    since: Annotated[
        datetime | None, typer.Option(formats=["%Y-%m-%d"], help=f"The first day. Default: {DAYS} days ago.")
    ] = None,
    agency: Annotated[list[str] | None, typer.Option(help="Show only these agencies.")] = None,
    adapters: Annotated[
        Path | None,
        typer.Option(
            help='Where the adapters are: JSON, agency → {"url", "ledger_token"}. Those of `subak up` are known.'
        ),
    ] = None,
    as_json: Annotated[bool, typer.Option("--json", help="One JSON object: sent, told, discrepancies.")] = False,
) -> None:
    """Prove that nothing is lost: what outboxes, the log and inboxes hold, held against each other, event by event.

    Counted from the rows and records themselves, not from counters. Exit code 1 where an event is missing or too much.
    """
    here = Whereabouts.here()
    city = here.city
    if unknown := sorted(set(agency or ()) - set(city.agencies)):
        raise Misconfigured(f"{city.id} has no agency {unknown[0]}. `subak city show` lists them.")
    now = datetime.now(UTC)
    first = since.date() if since is not None else now.astimezone(city.zone).date() - timedelta(days=DAYS)
    known = here.adapters | (_read(adapters) if adapters is not None else {})
    work = Reconciler(city, here.kafka, known, since=first, until=now - timedelta(seconds=SETTLE_SECONDS))
    counted = asyncio.run(work.count())
    shown = frozenset(agency or city.agencies)
    if as_json:
        say_json(as_dict(counted, first, shown))
    else:
        _print(counted, first, shown)
    if any(one.agency in shown for one in counted.discrepancies):
        raise typer.Exit(EXIT_DISCREPANCY)


def _read(path: Path) -> dict[str, dict[str, str]]:
    try:
        found = json.loads(path.read_text(encoding="utf-8"))
        return {
            agency: {"url": access["url"].rstrip("/"), "token": access.get("ledger_token") or access["token"]}
            for agency, access in found.items()
        }
    except OSError as error:
        raise Misconfigured(f"{path}: {error.strerror}. Name the file that says where the adapters are.") from error
    except (ValueError, KeyError, TypeError, AttributeError) as error:
        raise Misconfigured(
            f'{path} must hold an object, agency → {{"url": "http://...", "ledger_token": "..."}}: {error!r}.'
        ) from error


def as_dict(counted: Counted, since: date, shown: frozenset[str]) -> dict[str, Any]:
    """For machines: every figure, each agency and day by itself."""
    return {
        "since": since.isoformat(),
        "events": counted.events,
        "on_the_way": counted.on_the_way,
        "sent": [
            {
                "agency": agency,
                "day": day,
                "outbox": sent.outbox.count if sent.outbox is not None else None,
                "waiting": sent.waiting,
                "published": sent.out.count,
                "accepted": sent.accepted.count,
                "refused": sent.refused.count,
                "refused_by_case": sent.refused_by_case,
                "reasons": dict(sent.reasons),
            }
            for (agency, day), sent in sorted(counted.book.sent.items())
            if agency in shown
        ],
        "told": [
            {
                "agency": agency,
                "sender": sender,
                "day": day,
                "due": told.due.count,
                "routed": told.routed.count,
                "received": told.received.count if told.received is not None else None,
                "applied": told.applied,
                "waiting": told.waiting,
                "parked": told.parked,
            }
            for (agency, sender, day), told in sorted(counted.book.told.items())
            if agency in shown
        ],
        "discrepancies": [
            {"kind": one.kind, "agency": one.agency, "sender": one.sender, "day": one.day, "events": list(one.events)}
            for one in counted.discrepancies
            if one.agency in shown
        ],
        "not_asked": {agency: why for agency, why in sorted(counted.unasked.items()) if agency in shown},
    }


def _print(counted: Counted, since: date, shown: frozenset[str]) -> None:
    out = console()
    out.print(_table(counted.book, shown))
    if reasons := _reasons(counted.book, shown):
        out.print(reasons)
    for why, names in _unasked(counted, shown).items():
        out.print(f"[yellow]Only Kafka's side is known of {', '.join(names)}: {escape(why)}.[/]")
    wrong = [one for one in counted.discrepancies if one.agency in shown]
    for one in wrong:
        heard = f", for {one.agency}" if one.agency != one.sender else ""
        out.print(f"[bold red]{len(one.events)} of {one.sender}, {one.day}{heard}[/]: {_WHAT[one.kind]}:")
        out.print("  " + "  ".join(one.events[:IDS_NAMED_MAX]) + (" ..." if len(one.events) > IDS_NAMED_MAX else ""))
    way = f" {counted.on_the_way} on the way." if counted.on_the_way else ""
    if wrong:
        out.print(f"[bold red]{sum(len(one.events) for one in wrong)} events are not where they must be.[/]{way}")
    else:
        out.print(
            f"[bold green]Every event since {since} is where it must be[/], "
            f"counted from {counted.events:,} records.{way}"
        )


def _unasked(counted: Counted, shown: frozenset[str]) -> dict[str, list[str]]:
    """Why an adapter was not asked → the agencies of which there was something to ask."""
    named = {agency for agency, _ in counted.book.sent} | {agency for agency, _, _ in counted.book.told}
    found: dict[str, list[str]] = {}
    for agency, why in sorted(counted.unasked.items()):
        if agency in named & shown:
            found.setdefault(why, []).append(agency)
    return found


def _table(book: Book, shown: frozenset[str]) -> Table:
    result = table("agency", "day")
    for name in ("sent", "waiting", "accepted", "refused", "by the case", "must hear", "applied", "waiting", "parked"):
        result.add_column(name, justify="right")
    result.add_column("")
    heard: dict[tuple[str, str], list[Told]] = {}
    for (agency, _, day), told in book.told.items():
        heard.setdefault((agency, day), []).append(told)
    total: Counter[str] = Counter()
    for agency, day in sorted({*book.sent, *heard}):
        if agency not in shown:
            continue
        sent, parts = book.sent.get((agency, day), Sent()), heard.get((agency, day), [])
        row = {
            "sent": max(sent.out.count, sent.outbox.count if sent.outbox is not None else 0),
            "waiting": sent.waiting,
            "accepted": sent.accepted.count,
            "refused": sent.refused.count,
            "by the case": sent.refused_by_case,
            "must hear": sum(part.due.count for part in parts),
            "applied": sum(part.applied for part in parts),
            "to apply": sum(part.waiting for part in parts),
            "parked": sum(part.parked for part in parts),
        }
        total.update(row)
        good = sent.relayed and sent.answered and all(part.complete for part in parts)
        asked = all(part.received is not None for part in parts)
        result.add_row(agency, day, *_cells(row, asked=asked), "[green]✓[/]" if good else "[yellow]see below[/]")
    result.add_section()
    result.add_row("[bold]all[/]", "", *_cells(total, asked=True), "")
    return result


def _cells(row: Mapping[str, int], *, asked: bool) -> list[str]:
    due, applied = row["must hear"], row["applied"]
    text = f"{applied:,} of {due:,}"
    told = "[dim]?[/]" if not asked else f"[green]{text}[/]" if applied == due else text
    if not due:
        told = _number(0)
    first = [_number(row[name]) for name in ("sent", "waiting", "accepted", "refused", "by the case", "must hear")]
    return [*first, told, _number(row["to apply"]), _number(row["parked"])]


def _reasons(book: Book, shown: frozenset[str]) -> Table | None:
    found: Counter[tuple[str, str]] = Counter()
    for (agency, _), sent in book.sent.items():
        if agency in shown:
            for reason, count in sent.reasons.items():
                found[agency, reason] += count
    if not found:
        return None
    result = table("agency", "refused because")
    result.add_column("times", justify="right")
    for (agency, reason), count in found.most_common():
        result.add_row(agency, escape(reason), _number(count))
    return result


def _number(count: int) -> str:
    return f"{count:,}" if count else "[dim]·[/]"
