"""`subak case`: the cases, and what befell each. It asks the casebook and changes nothing."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import UTC, datetime
from itertools import pairwise
from typing import Annotated, Any
from zoneinfo import ZoneInfo

import typer
from rich.markup import escape
from rich.panel import Panel
from rich.table import Table

from schemas.failures import Misconfigured
from services.cli.asking import Casebook
from services.cli.deliveries import have_it, not_applied
from services.cli.meaning import in_words, meaning_of
from services.cli.showing import console, event_type, flags, moment, money, say_json, since, span, state, table, text
from services.cli.zone import zone_here

app = typer.Typer(no_args_is_help=True, help="Cases: which there are, and what befell each.")

AsJson = Annotated[bool, typer.Option("--json", help="One JSON object, with the keys of the casebook's API.")]


@app.command("list")
def list_cases(
    state_: Annotated[
        list[str] | None, typer.Option("--state", help="In this state; may be given several times.")
    ] = None,
    agency: Annotated[str | None, typer.Option(help="In which this agency takes part.")] = None,
    holder: Annotated[str | None, typer.Option(help="Which this agency holds now.")] = None,
    service: Annotated[str | None, typer.Option(help="Of this service (service_code).")] = None,
    area: Annotated[str | None, typer.Option(help="In this area, and in all that lie in it.")] = None,
    overdue: Annotated[bool | None, typer.Option("--overdue/--not-overdue", help="Whose deadline has passed.")] = None,
    open_: Annotated[bool | None, typer.Option("--open/--closed", help="Which are open, or closed.")] = None,
    parked: Annotated[bool | None, typer.Option("--parked/--not-parked", help="Which wait for an operator.")] = None,
    after: Annotated[str | None, typer.Option(help="Opened at or after (2026-11-24T08:00:00+08:00).")] = None,
    before: Annotated[str | None, typer.Option(help="Opened before.")] = None,
    id: Annotated[str | None, typer.Option(help="Whose id begins so.")] = None,
    limit: Annotated[int, typer.Option(min=1, max=100_000, help="At most so many, the newest first.")] = 50,
    as_json: AsJson = False,
) -> None:
    """List cases, the newest first."""
    filters = {
        "state": state_,
        "agency": holder or agency,
        "role": "holder" if holder else None,
        "service_code": service,
        "area": area,
        "overdue": overdue,
        "open": open_,
        "parked": parked,
        "opened_after": after,
        "opened_before": before,
        "id": id,
    }
    with Casebook.here() as casebook:
        found = list(casebook.rows("/api/cases", "cases", limit=limit, **filters))
    if as_json:
        say_json({"cases": found})
        return
    out = console()
    if not found:
        out.print("No case is like that.")
        return
    now, zone = datetime.now(UTC), zone_here()
    shown = table("case", "state", "service", "area", "held by", "for", "opened", "")
    for case in found:
        shown.add_row(
            case["id"],
            state(case),
            escape(case["title"] or text(case["service_name"], case["service_code"] or case["kind"])),
            escape(case["area_name"] or case["area"]),
            escape(case["holder"] or ""),
            since(case["held_since"], now),
            moment(case["opened_at"], zone),
            flags(case),
        )
    out.print(shown)
    if len(found) == limit:
        out.print(f"[dim]The newest {limit}. More: --limit, or filters.[/]")


@app.command()
def show(
    id: Annotated[str, typer.Argument(help="The case's id, or its beginning.")],
    as_of: Annotated[
        str | None, typer.Option("--as-of", help="As the city knew it then: 2026-05-03 (its end), or with a time.")
    ] = None,
    happened_by: Annotated[
        str | None, typer.Option("--happened-by", help="By what had occurred by then, though it was told later.")
    ] = None,
    deliveries: Annotated[
        bool, typer.Option("--deliveries", help="Name every agency that must have an event and has not applied it.")
    ] = False,
    as_json: AsJson = False,
) -> None:
    """Show one case: where it stands, and its timeline: what, who, when, caused by what."""
    at = {"as_of": _moment_of(as_of, "--as-of"), "happened_by": _moment_of(happened_by, "--happened-by")}
    with Casebook.here() as casebook:
        whole = casebook.whole_id(id)
        case = casebook.ask(f"/api/cases/{whole}", **at)
        entries = list(casebook.rows(f"/api/cases/{whole}/timeline", "entries", limit=None))
        had = casebook.ask(f"/api/cases/{whole}/deliveries")["events"]
    entries = [entry for entry in entries if _seen(entry, **at)]
    if as_json:
        say_json({"case": case, "state_means": meaning_of(case), "timeline": entries, "deliveries": had})
        return
    out, zone = console(), zone_here()
    now = min([datetime.now(UTC), *(datetime.fromisoformat(each) for each in at.values() if each)])
    title = f"[bold]case {case['id']}[/]{_then(at, zone)}"
    out.print(Panel(_header(case, now, zone), title=title, title_align="left", expand=False))
    out.print(_timeline(entries, zone, {(each["source"], each["event_id"]): each for each in had}))
    if deliveries:
        late = not_applied(entries, had, zone)
        out.print(late if late.row_count else "[green]Every agency that must have an event has applied it.[/]")
    out.print(f"[dim]Times in {zone.key if zone is not None else 'UTC'}.[/]")


def _header(case: dict[str, Any], now: datetime, zone: ZoneInfo | None) -> Table:
    grid = Table.grid(padding=(0, 2))
    grid.add_column(style="dim")
    grid.add_row("state", f"{state(case)}  {flags(case)}")
    if means := in_words(meaning_of(case)):
        grid.add_row("", escape(means))
    if case["holder"]:
        grid.add_row("waiting for", f"[bold]{escape(case['holder'])}[/], for {since(case['held_since'], now)}")
    if case["title"]:
        grid.add_row(case["kind"], f"[bold]{escape(case['title'])}[/]")
    grid.add_row("service", f"{escape(text(case['service_name']))} [dim]{escape(case['service_code'])}[/]")
    grid.add_row("area", f"{escape(case['area_name'] or '')} [dim]{escape(case['area'])}[/]")
    grid.add_row("opened", f"{moment(case['opened_at'], zone)}, by {escape(case['opened_by'])}")
    if case["closed_at"]:
        lasted = datetime.fromisoformat(case["closed_at"]) - datetime.fromisoformat(case["opened_at"])
        grid.add_row("closed", f"{moment(case['closed_at'], zone)}, after {span(lasted)}")
    for name, key in (("due", "due_at"), ("step due", "answer_by")):
        if case[key] and not case["closed_at"]:
            left = datetime.fromisoformat(case[key]) - now
            grid.add_row(name, f"{moment(case[key], zone)}  [dim]{_left(left.total_seconds())}[/]")
    if case["estimate"] or case["cost"]:
        parts = [f"{name} {money(case[name])}" for name in ("estimate", "cost") if case[name]]
        grid.add_row("money", ", ".join(parts))
    grid.add_row("parties", escape(", ".join(case["parties"])))
    for place, delay in enumerate(case.get("delays", ())):
        share = f"{delay['share']:.0%} [dim]({delay['working_hours']:.1f} working hours)[/]"
        grid.add_row("delays" if place == 0 else "", f"{escape(delay['agency'])} {share}")
    grid.add_row("workflow", escape(case["workflow"] or ""))
    if case["parked"]:
        parked = case["parked"]
        grid.add_row("[red]parked[/]", f"{moment(parked['at'], zone)}: {escape(parked['error'] or '')}")
        behind = parked["waiting"] or 0
        grid.add_row("", f"{behind} more {'event waits' if behind == 1 else 'events wait'} behind it, in order.")
        grid.add_row("", f"After the repair: `subak parked replay {case['id']} --reason ...`; first with --dry-run.")
    return grid


def _then(at: Mapping[str, str | None], zone: ZoneInfo | None) -> str:
    """Which past the page shows, if any."""
    words = {"as_of": "as the city knew it on", "happened_by": "by what had happened on"}
    return "".join(f", {words[key]} {moment(text, zone)}" for key, text in at.items() if text)


def _moment_of(text: str | None, option: str) -> str | None:
    """A moment with its offset; a day alone is its end, on the city's clock.

    Raises:
        Misconfigured: it is neither.
    """
    if text is None:
        return None
    try:
        found = datetime.fromisoformat(text)
    except ValueError:
        raise Misconfigured(f"{option} {text} is no moment: write 2026-05-03, or 2026-05-03T12:00+08:00.") from None
    if len(text) == len("2026-05-03"):
        found = found.replace(hour=23, minute=59, second=59, microsecond=999_999)
    return (found if found.tzinfo is not None else found.replace(tzinfo=zone_here() or UTC)).isoformat()


def _seen(entry: dict[str, Any], *, as_of: str | None, happened_by: str | None) -> bool:
    """Whether an entry counts at that moment."""
    pairs = ((entry["logged_at"], as_of), (entry["time"], happened_by))
    return all(at is None or datetime.fromisoformat(told) <= datetime.fromisoformat(at) for told, at in pairs)


def _left(seconds: float) -> str:
    return f"in {span(seconds)}" if seconds >= 0 else f"{span(-seconds)} ago"


def _timeline(entries: list[dict[str, Any]], zone: ZoneInfo | None, had: Mapping[tuple[str, str], Any]) -> Table:
    places = {entry["event_id"]: entry["seq"] for entry in reversed(entries)}
    shown = table("#", "when", "after", "what", "who", "says", "because of", "have it")
    waits = [None, *(_wait(earlier, later) for earlier, later in pairwise(entries))]
    for entry, wait in zip(entries, waits, strict=True):
        refused = entry["refusal_id"] is not None
        note = f" [red](refused: `subak rejected show {entry['refusal_id']}`)[/]" if refused else ""
        cause = places.get(entry["causationid"])
        because = f"#{cause}" if cause is not None else escape((entry["causationid"] or "")[:13])
        shown.add_row(
            str(entry["seq"]),
            moment(entry["time"], zone),
            span(wait) if wait is not None else "",
            event_type(entry["type"]),
            escape(entry["agency"]),
            escape(text(entry["summary"])) + note,
            because,
            have_it(had.get((entry["source"], entry["event_id"]))),
            style="dim" if refused else None,
        )
    return shown


def _wait(earlier: dict[str, Any], later: dict[str, Any]) -> float:
    """Seconds between two entries, by the city's log: the agencies' clocks need not agree."""
    moments = [datetime.fromisoformat(entry["logged_at"]) for entry in (earlier, later)]
    return (moments[1] - moments[0]).total_seconds()
