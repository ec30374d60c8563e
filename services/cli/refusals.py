"""`subak rejected`: what was refused, whose it was, and why; what can be done is in `rejected`."""

from __future__ import annotations

import asyncio
import base64
import json
from typing import Annotated, Any, Literal

import typer
from rich.console import Console
from rich.json import JSON
from rich.markup import escape
from rich.panel import Panel
from rich.table import Table

from bus.acting import records_at
from bus.kafka import KafkaSettings
from bus.topics import REJECTED
from services.cli.acting import AsJson
from services.cli.asking import Casebook, NotThere
from services.cli.finding import Whereabouts
from services.cli.showing import console, event_type, moment, say_json, table
from services.cli.zone import zone_here

app = typer.Typer(no_args_is_help=True, help="Refused events: whose, and why.")

Cause = Annotated[str | None, typer.Option(help="Those whose first reason has this code.")]
Type = Annotated[str | None, typer.Option("--type", help="Those that said they were of this type.")]
Agency = Annotated[str | None, typer.Option(help="Those that this agency sent.")]


@app.command("list")
def list_rejected(
    by: Annotated[
        Literal["cause", "type", "agency"] | None, typer.Option(help="Counted by cause, type or agency.")
    ] = None,
    cause: Cause = None,
    type_: Type = None,
    agency: Agency = None,
    settled: Annotated[
        bool | None, typer.Option("--settled/--open", help="Those that an operator has seen to, or only others.")
    ] = None,
    limit: Annotated[int, typer.Option(min=1, max=100_000, help="At most so many, the newest first.")] = 50,
    as_json: AsJson = False,
) -> None:
    """List refused events, the newest first; or count them."""
    filters = {"code": cause, "event_type": type_, "agency": agency, "settled": settled}
    with Casebook.here() as casebook:
        if by is not None:
            _show_groups(casebook.ask("/api/rejected/causes", settled=settled)["causes"], by, as_json=as_json)
            return
        found = list(casebook.rows("/api/rejected", "rejected", limit=limit, **filters))
    if as_json:
        say_json({"rejected": found})
        return
    out = console()
    if not found:
        out.print("Nothing was refused.")
        return
    zone = zone_here()
    shown = table("rejection", "when", "sender", "type", "refused by", "why", "done")
    for row in found:
        first, more = row["reasons"][0], len(row["reasons"]) - 1
        why = f"{first['field']}: {first['problem']}" + (f" [dim](and {more} more)[/]" if more else "")
        shown.add_row(
            row["id"],
            moment(row["rejected_at"], zone),
            escape(row["agency"]),
            event_type(row["event_type"] or "?"),
            row["rejected_by"],
            why if more else escape(why),
            f"{row['act']['kind']} by {escape(row['act']['by'] or '?')}" if row["act"] else "",
        )
    out.print(shown)
    if len(found) == limit:
        out.print(f"[dim]The newest {limit}. More: --limit, --agency.[/]")


def _show_groups(causes: list[dict[str, Any]], by: str, *, as_json: bool) -> None:
    """Counts by the first reason's code, by type or by sender, the most first."""
    field = {"cause": "code", "type": "event_type", "agency": "agency"}[by]
    groups: dict[str, list[Any]] = {}
    for each in causes:
        group = groups.setdefault(each[field] or "?", [0, ""])
        group[0] += each["rejected"]
        group[1] = max(group[1], each["newest"])
    ranked = sorted(groups.items(), key=lambda item: (-item[1][0], item[0]))
    if as_json:
        rows = [{by: name, "rejected": count, "newest": newest} for name, (count, newest) in ranked]
        say_json({"groups": rows})
        return
    shown, zone = table(by, "rejected", "newest"), zone_here()
    for name, (count, newest) in ranked:
        shown.add_row(event_type(name) if by == "type" else escape(name), str(count), moment(newest, zone))
    console().print(shown)


@app.command()
def show(
    id: Annotated[str, typer.Argument(help="The rejection's id, or its beginning.")],
    original: Annotated[
        bool, typer.Option(help="Read the refused record whole from Kafka. It may hold personal data.")
    ] = False,
    as_json: AsJson = False,
) -> None:
    """Show one refused event: every reason, its headers, its data."""
    with Casebook.here() as casebook:
        found = casebook.ask(f"/api/rejected/{whole_id(casebook, id)}")
    whole = asyncio.run(_read_original(Whereabouts.here().kafka, found)) if original else None
    if as_json:
        say_json(found | ({"whole": whole} if original else {}))
        return
    out, zone = console(), zone_here()
    head = Table.grid(padding=(0, 2))
    head.add_column(style="dim")
    head.add_row("sender", f"[bold]{escape(found['agency'])}[/]")
    head.add_row("type", event_type(found["event_type"] or "?"))
    head.add_row("event", escape(found["event_id"] or "?"))
    head.add_row("case", escape(found["case_id"]))
    head.add_row("refused", f"{moment(found['rejected_at'], zone)}, by {found['rejected_by']}")
    head.add_row("record", escape(f"{found['topic']}/{found['partition']} at {found['offset']}"))
    out.print(Panel(head, title=f"[bold]rejection {found['id']}[/]", title_align="left", expand=False))
    reasons = table("code", "where", "what is wrong", "what to do")
    for reason in found["reasons"]:
        reasons.add_row(*(escape(reason[name]) for name in ("code", "field", "problem", "fix")))
    out.print(reasons)
    _show_record(out, found, whole)


def whole_id(casebook: Casebook, beginning: str) -> str:
    """The one rejection, among the newest thousand, whose id begins so; a whole id is taken as it is."""
    if len(beginning) >= 36:
        return beginning
    rows = casebook.rows("/api/rejected", "rejected", limit=1000)
    found = [row["id"] for row in rows if row["id"].startswith(beginning.lower())]
    if len(found) == 1:
        return str(found[0])
    problem = f"{len(found)} rejections begin" if found else "none of the newest 1000 rejections begins"
    raise NotThere(f"{problem} with {beginning}. `subak rejected list` shows them.")


def _show_record(out: Console, found: dict[str, Any], whole: dict[str, Any] | None) -> None:
    record = found["original"]
    if whole is not None:
        headers = [(header["name"], header["value"]) for header in whole["headers"]]
        data = whole["value"]
    elif record is not None:
        headers = [
            (header["name"], header.get("value", f"({header.get('bytes')} bytes)")) for header in record["headers"]
        ]
        data = json.dumps(record["data"], ensure_ascii=False) if record["data"] is not None else None
    else:
        out.print("[dim]The record was not kept.[/]")
        return
    shown = table("header", "value")
    for name, value in headers:
        shown.add_row(escape(str(name)), escape(str(value)) if value is not None else "[dim]null[/]")
    out.print(shown)
    if data is None:
        why = record["withheld"] if record is not None and whole is None else "it has no value"
        out.print(f"[dim]No data is shown: {escape(why or 'there is none')}.[/]")
    else:
        _print_data(out, data)
    if whole is None:
        size = (
            f"{record['size_bytes']} bytes" if record is not None and record["size_bytes"] is not None else "the record"
        )
        out.print(f"[dim]Without personal fields. Whole ({size}), from Kafka: --original[/]")


def _print_data(out: Console, data: str) -> None:
    try:
        out.print(JSON(data, indent=2, ensure_ascii=False))
    except (ValueError, RecursionError):
        out.print(escape(data))


async def _read_original(kafka: KafkaSettings, found: dict[str, Any]) -> dict[str, Any]:
    """The refused record as it came, out of city-rejected.

    Raises:
        Retryable: Kafka does not answer.
        NotThere: the topic does not hold it any more.
    """
    place = (int(found["log_partition"]), int(found["log_offset"]))
    records = await records_at(kafka, REJECTED, [place])
    if place not in records:
        raise NotThere(f"{REJECTED}/{place[0]} does not hold offset {place[1]}: is it another cluster?")
    original = (json.loads(records[place].value or b"{}")).get("original") or {}
    return {
        "headers": [
            {"name": header["name"], "value": _text(header.get("value_base64"))}
            for header in original.get("headers", [])
        ],
        "value": _text(original.get("value_base64")),
    }


def _text(encoded: str | None) -> str | None:
    return base64.b64decode(encoded).decode("utf-8", "backslashreplace") if encoded is not None else None
