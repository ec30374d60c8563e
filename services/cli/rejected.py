"""`subak rejected`: what was refused, whose it was, and why. The record can be read whole, from Kafka itself."""

from __future__ import annotations

import asyncio
import base64
import json
from typing import Annotated, Any

import typer
from rich.console import Console
from rich.json import JSON
from rich.markup import escape
from rich.panel import Panel
from rich.table import Table

from bus.kafka import KafkaSettings, TopicReader
from bus.topics import REJECTED
from schemas.failures import Retryable
from services.cli.asking import Casebook, NotThere
from services.cli.finding import Whereabouts
from services.cli.showing import console, event_type, moment, say_json, table
from services.cli.zone import zone_here

app = typer.Typer(no_args_is_help=True, help="Refused events: whose, and why.")

READ_SECONDS_MAX = 15.0
"""How long the record may take to come from Kafka."""

AsJson = Annotated[bool, typer.Option("--json", help="One JSON object, with the keys of the casebook's API.")]


@app.command("list")
def list_rejected(
    agency: Annotated[str | None, typer.Option(help="Which this agency sent.")] = None,
    limit: Annotated[int, typer.Option(min=1, max=100_000, help="At most so many, the newest first.")] = 50,
    as_json: AsJson = False,
) -> None:
    """List refused events, the newest first."""
    with Casebook.here() as casebook:
        found = list(casebook.rows("/api/rejected", "rejected", limit=limit, agency=agency))
    if as_json:
        say_json({"rejected": found})
        return
    out = console()
    if not found:
        out.print("Nothing was refused.")
        return
    zone = zone_here()
    shown = table("rejection", "when", "sender", "type", "refused by", "why")
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
        )
    out.print(shown)
    if len(found) == limit:
        out.print(f"[dim]The newest {limit}. More: --limit, --agency.[/]")


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
        found = casebook.ask(f"/api/rejected/{_whole_id(casebook, id)}")
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


def _whole_id(casebook: Casebook, beginning: str) -> str:
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
    place, offset = (REJECTED, int(found["log_partition"])), int(found["log_offset"])
    reader = TopicReader(kafka, name="rejected-show")
    try:
        async with asyncio.timeout(READ_SECONDS_MAX):
            await reader.start({place: offset})
            if (await reader.end_offsets())[place] <= offset:
                raise NotThere(f"{REJECTED}/{place[1]} does not hold offset {offset}: is it another cluster?")
            while not (records := await reader.read(records_max=1)):
                pass
    except TimeoutError as error:
        raise Retryable(f"Kafka did not give the record back within {READ_SECONDS_MAX:.0f} s; try again.") from error
    finally:
        await reader.stop()
    original = (json.loads(records[0].value or b"{}")).get("original") or {}
    return {
        "headers": [
            {"name": header["name"], "value": _text(header.get("value_base64"))}
            for header in original.get("headers", [])
        ],
        "value": _text(original.get("value_base64")),
    }


def _text(encoded: str | None) -> str | None:
    return base64.b64decode(encoded).decode("utf-8", "backslashreplace") if encoded is not None else None
