"""`subak schemas`: the shared language of the agencies: what there is, what is published, whether a change may go out.

`check` is what CI runs: the published documents are what the code says, and no change breaks what was published before.
It needs no bus.
"""

from __future__ import annotations

import json
from pathlib import Path
from typing import Annotated, Any

import typer
from rich.box import SIMPLE_HEAD
from rich.console import Console
from rich.syntax import Syntax
from rich.table import Table
from rich.text import Text

import schemas.types
from schemas.example_files import examples_of
from schemas.publishing import Finding, Publication, Unpublishable, schema_of
from schemas.reference import field_rows
from schemas.registry import EventType, registry

app = typer.Typer(no_args_is_help=True, help="The event types that all agencies share.")

EXIT_REFUSED = 1

WIDTH_OF_A_FILE = 140
"""Columns where the tables do not go to a terminal, which has a width of its own."""

AsJson = Annotated[bool, typer.Option("--json", help="Print JSON instead of a table.")]

assert schemas.types  # importing it fills the registry


@app.command("list")
def list_types(
    domain: Annotated[str, typer.Option(help="Only this domain: request, approval, workorder, case or event.")] = "",
    as_json: AsJson = False,
) -> None:
    """Show every event type, who publishes it, and what it says."""
    found = [each for each in registry if not domain or each.domain == domain]
    if as_json:
        print(json.dumps([_summary(each) for each in found], ensure_ascii=False))
        return
    table = Table(box=SIMPLE_HEAD, title=f"{len(found)} event types")
    for column in ("type", "kind", "published by", "owner", "says"):
        table.add_column(column, overflow="fold")
    for each in found:
        says = each.description.split(". ")[0].rstrip(".")
        table.add_row(*map(Text, (each.name, each.kind, each.publisher, each.owner, says)))
    _console().print(table)


@app.command()
def show(
    name: Annotated[str, typer.Argument(metavar="TYPE", help="Such as subak.request.submitted.v1.")],
    as_json: Annotated[bool, typer.Option("--json", help="Print the JSON Schema.")] = False,
) -> None:
    """Show one event type: its fields, and examples that are accepted and refused."""
    event_type = registry.get(name)
    schema = schema_of(event_type)
    if as_json:
        print(json.dumps(schema, ensure_ascii=False))
        return
    console = _console()
    console.print(Text(event_type.name, style="bold"), Text(event_type.description))
    opens = ", may open a case" if event_type.opens_case else ""
    console.print(Text(f"{event_type.kind}, published by {event_type.publisher}{opens}; owner {event_type.owner}"))
    for title, fields in {"data": schema, **schema.get("$defs", {})}.items():
        console.print(_fields(title, fields))
    for example in examples_of(event_type):
        outcome = "accepted" if example.reasons is None else f"refused: {_reasons(example.reasons)}"
        console.print(Text(f"{example.name} ({outcome})", style="bold"))
        console.print(
            Syntax(json.dumps(example.data, indent=2, ensure_ascii=False), "json", background_color="default")
        )


@app.command()
def publish(as_json: AsJson = False) -> None:
    """Write the published documents anew from the code. Refused, with the reasons, where a change breaks somebody."""
    try:
        written = Publication().write()
    except Unpublishable as refused:
        _tell(refused.findings, as_json=as_json, extra={"written": []})
        raise typer.Exit(EXIT_REFUSED) from refused
    if as_json:
        print(json.dumps({"ok": True, "findings": [], "written": [str(path) for path in written]}))
        return
    for path in written:
        print(f"wrote {_short(path)}")
    print(f"{len(written)} documents written." if written else "Everything published is current.")


@app.command()
def check(as_json: AsJson = False) -> None:
    """Say what CI would refuse: documents that are not current, changes that break somebody. Exit code 1 where any."""
    findings = Publication().findings()
    _tell(findings, as_json=as_json, extra={})
    if findings:
        raise typer.Exit(EXIT_REFUSED)


def _tell(findings: list[Finding], *, as_json: bool, extra: dict[str, Any]) -> None:
    if as_json:
        told = [{"type": each.type, "kind": each.kind, "problem": each.problem} for each in findings]
        print(json.dumps({"ok": not findings, "findings": told, **extra}, ensure_ascii=False))
        return
    if not findings:
        print(f"{len(list(registry))} event types: published, current, and compatible with every revision.")
        return
    table = Table(box=SIMPLE_HEAD, title=f"{len(findings)} {'finding' if len(findings) == 1 else 'findings'}")
    for column in ("type", "kind", "problem"):
        table.add_column(column, overflow="fold")
    for each in findings:
        table.add_row(Text(each.type), Text(each.kind, style="red"), Text(each.problem))
    _console().print(table)
    if any(each.kind in {"incompatible", "removed"} for each in findings):
        print("Within a major version nothing may break: take the change back, or make a new major version:")
        print("  subak new event-type NAME.v2 --owner OWNER")


def _fields(title: str, schema: dict[str, Any]) -> Table:
    table = Table(box=SIMPLE_HEAD, title=title, title_justify="left")
    for column in ("field", "form", "what it says"):
        table.add_column(column, overflow="fold")
    for row in field_rows(schema):
        table.add_row(*map(Text, row))
    return table


def _reasons(reasons: tuple[tuple[str, str], ...]) -> str:
    return ", ".join(f"{code} at {field}" for code, field in reasons)


def _summary(event_type: EventType) -> dict[str, Any]:
    return {
        "type": event_type.name,
        "kind": event_type.kind,
        "publisher": event_type.publisher,
        "owner": event_type.owner,
        "opens_case": event_type.opens_case,
        "description": event_type.description,
    }


def _console() -> Console:
    console = Console()
    if not console.is_terminal:
        console.width = WIDTH_OF_A_FILE
    return console


def _short(path: Path) -> Path:
    here = Path.cwd()
    return path.relative_to(here) if path.is_relative_to(here) else path
