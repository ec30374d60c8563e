"""`subak trace`: a matter's way from the neighbours' meeting to the payment, and back. It only asks the casebook."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import UTC, datetime
from itertools import groupby
from typing import Annotated, Any
from urllib.parse import quote
from zoneinfo import ZoneInfo

import typer
from rich.console import Group
from rich.markup import escape
from rich.padding import Padding
from rich.panel import Panel
from rich.table import Table

from schemas.failures import Unprocessable
from services.cli.asking import Casebook
from services.cli.showing import console, moment, money, say_json, since, span, table, text
from services.cli.zone import zone_here

CHAPTERS = {
    "proposed": "What was asked for",
    "deliberated": "How it was ranked",
    "budgeted": "Where the money comes from",
    "procured": "Who was chosen to build it",
    "built": "How the works went",
    "paid": "What was billed and paid",
    "ended": "How it ended",
    "line": "The budget line",
    "applied": "What was applied for",
    "examined": "How it was examined",
    "decided": "What was decided",
    "held": "How the permit went on",
}
STEPS = {
    "endorse": "to be endorsed by the village",
    "rank": "to be ranked",
    "forward": "to be handed on to the next level",
    "budget": "for money of a budget line",
    "procure": "for a tender",
    "contract": "for a contract",
    "build": "for its milestones",
    "pay": "for its bills to be paid",
    "register": "to be registered as an asset",
    "check": "for its papers to be checked",
    "decide": "for a decision",
    "issue": "for the permit to be issued",
}
"""What a proposal waits for, in words."""

Names = Mapping[str, Mapping[str, str]]
"""Agency → its name, by language."""

LINKS_SHOWN = {"case": "case", "ocid": "procurement", "contract": "contract", "payment": "payment", "asset": "asset"}


def trace(
    ref: Annotated[
        str | None,
        typer.Argument(help="A case id or its beginning; or a contract, payment, bill, asset, ocid or budget line."),
    ] = None,
    vanished: Annotated[
        bool, typer.Option("--vanished", help="List the proposals that ended nowhere or rest without a next step.")
    ] = False,
    as_json: Annotated[
        bool, typer.Option("--json", help="One JSON object, with the keys of the casebook's API.")
    ] = False,
) -> None:
    """Tell a proposal's way in one page: what happened, where it stopped, why, and who decided."""
    if vanished == (ref is not None):
        raise Unprocessable("say what to trace, or --vanished, and not both: `subak trace 019ab3c2`")
    with Casebook.here() as casebook:
        if ref is None:
            _show_vanished(casebook.ask("/api/vanished"), as_json)
            return
        found = casebook.ask(f"/api/trace/{quote(ref, safe='')}")
    if as_json:
        say_json(found)
        return
    console().print(story(found, datetime.now(UTC), zone_here()))


def story(found: dict[str, Any], now: datetime, zone: ZoneInfo | None) -> Group:
    """The page."""
    case = found["case"]
    name = case["title"] or text(case["service_name"], case["kind"])
    parts: list[Any] = [
        Panel(_header(found, now, zone), title=f"[bold]{escape(name)}[/]", title_align="left", expand=False)
    ]
    for chapter, lines in groupby(found["story"], key=lambda line: line["chapter"]):
        parts.append(f"[bold]{CHAPTERS.get(chapter, chapter)}[/]")
        parts.append(Padding(_lines(list(lines), zone), (0, 0, 1, 2)))
    if found["money"]["contracts"]:
        parts += ["[bold]The money[/]", Padding(_money(found["money"]), (0, 0, 1, 2))]
    if links := _links(found["links"]):
        parts += ["[bold]What it leads to[/]", Padding(links, (0, 0, 1, 2))]
    place = zone.key if zone is not None else "UTC"
    parts.append(f"[dim]Times in {place}. `subak case show {case['id']}` has every event.[/]")
    return Group(*parts)


def _header(found: dict[str, Any], now: datetime, zone: ZoneInfo | None) -> Table:
    case, money_ = found["case"], found["money"]
    grid = Table.grid(padding=(0, 2))
    grid.add_column(style="dim")
    grid.add_row(case["kind"], case["id"])
    if found["found_by"] != "case":
        grid.add_row("found by", f"its {found['found_by']} {escape(found['asked'])}")
    grid.add_row("place", f"{escape(case['area_name'] or '')} [dim]{escape(case['area'])}[/]")
    names = found["agencies"]
    grid.add_row("brought by", f"{_named(case['opened_by'], names)}, {moment(case['opened_at'], zone)}")
    sums = [*((name, money_[name]) for name in ("estimate", "given", "paid")), ("cost", case["cost"])]
    if any(amount for _, amount in sums):
        grid.add_row("money", ", ".join(f"{name} {money(amount)}" for name, amount in sums if amount))
    for label, words in _stopped(found["stopped"], names, now, zone):
        grid.add_row(label, words)
    return grid


def _named(agency: str, names: Names) -> str:
    """The agency's name with its id beside; the id alone where the city has it no longer."""
    return f"[bold]{escape(text(names[agency]))}[/] [dim]{escape(agency)}[/]" if agency in names else escape(agency)


def _stopped(stopped: dict[str, Any], names: Names, now: datetime, zone: ZoneInfo | None) -> list[tuple[str, str]]:
    """Where it stopped, who decided or is asked, and why."""
    step = STEPS.get(stopped["step"] or "", stopped["step"] or "")
    agency = _named(stopped["agency"], names) if stopped["agency"] else "nobody"
    rows = []
    if stopped["ended"]:
        colour = "green" if stopped["outcome"] in ("realised", "rated") else "yellow"
        ended = f"[bold {colour}]{escape(stopped['outcome'] or 'closed')}[/], {moment(stopped['since'], zone)}"
        rows = [("ended", ended)]
        if stopped["agency"] or not stopped["reason"]:
            rows.append(("decided by", agency if stopped["agency"] else "nobody: a deadline passed"))
        if step and stopped["outcome"] != "realised":
            rows.append(("it waited", step))
    else:
        label, words = ("waits", f"{step}, by ") if step else ("in the hands of", "")
        rows = [(label, f"{words}{agency}, for {since(stopped['since'], now)}")]
        if stopped["until"]:
            late = (now - datetime.fromisoformat(stopped["until"])).total_seconds()
            mark = f"[bold red]overdue by {span(late)}[/]" if late > 0 else f"[dim]in {span(-late)}[/]"
            rows.append(("answer due", f"{moment(stopped['until'], zone)}  {mark}"))
    if stopped["reason"]:
        rows.append(("because", escape(stopped["reason"])))
    return rows


def _lines(lines: list[dict[str, Any]], zone: ZoneInfo | None) -> Table:
    grid = Table.grid(padding=(0, 2))
    grid.add_column(style="dim", no_wrap=True)
    for line in lines:
        refused = line["refusal_id"] is not None
        note = f" [red](refused: `subak rejected show {line['refusal_id']}`)[/]" if refused else ""
        grid.add_row(
            moment(line["time"], zone)[:16], escape(text(line["says"])) + note, style="dim" if refused else None
        )
    return grid


def _money(found: dict[str, Any]) -> Table:
    shown = table("contract", "supplier", "value", "billed", "paid")
    for contract in found["contracts"]:
        currency = contract["value"]["currency"]
        ended = " [red]terminated[/]" if contract["terminated"] else ""
        shown.add_row(
            escape(contract["id"]) + ended,
            escape(contract["supplier"] or ""),
            money(contract["value"]),
            *(money({"amount": contract[name], "currency": currency}) for name in ("billed", "paid")),
        )
    return shown


def _links(links: list[dict[str, Any]]) -> Table | None:
    grid = Table.grid(padding=(0, 2))
    grid.add_column(style="dim")
    rows = 0
    for link in links:
        kind = LINKS_SHOWN.get(link["kind"])
        if kind is None or (link["kind"] == "case" and link["case"] is None):
            continue
        case = link["case"]
        named = (
            f"{escape(case['title'] or case['kind'])} [dim]({escape(case['outcome'] or case['state'])})[/]"
            if case is not None
            else ""
        )
        grid.add_row(case["kind"] if case is not None else kind, escape(link["ref"]), named)
        rows += 1
    return grid if rows else None


def _show_vanished(found: dict[str, Any], as_json: bool) -> None:
    if as_json:
        say_json(found)
        return
    out = console()
    if not found["vanished"]:
        out.print(
            f"None of the {found['looked_at']} proposals vanished: each has ended with a reason or waits for somebody."
        )
        return
    shown = table("proposal", "what", "area", "waits for", "why")
    for one in found["vanished"]:
        case = one["case"]
        shown.add_row(
            case["id"],
            escape(case["title"] or ""),
            escape(case["area_name"] or case["area"]),
            _named(case["holder"], found["agencies"]) if case["holder"] else "nobody",
            escape(text(one["says"])),
        )
    out.print(shown)
    out.print(
        f"[dim]{len(found['vanished'])} of {found['looked_at']} proposals. `subak trace ID` tells each one's way.[/]"
    )
