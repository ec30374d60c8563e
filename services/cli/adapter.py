"""`subak adapter`: begin an agency's adapter, check it before it runs, and bring in its history."""

from __future__ import annotations

import asyncio
import json
import os
import re
from collections.abc import Mapping
from datetime import UTC, datetime
from pathlib import Path
from typing import Annotated, Any

import typer
from rich.console import Console
from rich.markup import escape

from adapters.checking import Checked, check_connections, check_files
from adapters.samples import Sample
from adapters.secrets import AnySecret
from adapters.skeleton import SOURCES, TARGETS, write_skeleton
from bus.city import City, city_path, load_city
from bus.city.problems import nearest
from bus.settings import read_settings
from bus.topics import in_topic, out_topic
from schemas.failures import Misconfigured, SubakError
from services.cli.adapter_certify import certify_adapter
from services.cli.adapter_import import import_history
from services.cli.adapter_reference import mapping_page
from services.cli.adapter_refused import app as refused_app
from services.cli.adapter_sql import sql_ddl
from services.cli.finding import Whereabouts
from services.cli.showing import console, event_type, say_json

app = typer.Typer(no_args_is_help=True, help="An agency's adapter: begin one, check it, bring in its history.")

app.command("certify")(certify_adapter)
app.command("import")(import_history)
app.command("sql-ddl")(sql_ddl)
app.add_typer(refused_app, name="refused")

EXIT_WRONG = 1

_name = re.compile(r"[a-z0-9]+(-[a-z0-9]+)*")

CityOption = Annotated[
    str, typer.Option("--city", help="A city that comes with Subak, or the folder of one. Default: SUBAK_CITY.")
]
AdapterFile = Annotated[Path, typer.Argument(help="The adapter's adapter.toml.", exists=True, dir_okay=False)]


@app.callback()
def _several() -> None:
    """An agency's adapter."""


@app.command("mapping-reference")
def mapping_reference() -> None:
    """Print the reference of mapping.toml, as docs/reference/mapping.md has it."""
    typer.echo(mapping_page())


@app.command()
def new(
    name: Annotated[str, typer.Argument(help="Its name: the agency's id, or another with --agency.")],
    source: Annotated[str, typer.Option(help=f"How its system speaks: {', '.join(SOURCES)}.")],
    target: Annotated[str, typer.Option(help=f"How it is told: {', '.join(TARGETS)}.")],
    directory: Annotated[Path | None, typer.Option(help="Where to. Default: a folder of that name, here.")] = None,
    agency: Annotated[str, typer.Option(help="The agency's id in the city's agencies.toml. Default: the name.")] = "",
    city: CityOption = "",
) -> None:
    """Begin an adapter: a folder that explains itself, and that passes `check --offline` as it is."""
    if not _name.fullmatch(name) or len(name) > 64:
        raise Misconfigured(
            f'the name {name[:100]!r} is not lower-case letters, digits and "-", such as "water-utility".'
        )
    for what, kind, kinds in (("source", source, SOURCES), ("target", target, TARGETS)):
        if kind not in kinds:
            raise Misconfigured(f"there is no {what} of kind {kind!r} to begin with. {nearest(kind, kinds)}")
    city_name = city or read_settings().city
    found = load_city(city_path(city_name))
    folder = directory or Path(name)
    files = write_skeleton(
        folder, name=name, agency=agency or name, city=found, city_name=city_name, source=source, target=target
    )
    out = console()
    for file in files:
        out.print(f"wrote {escape(str(file))}")
    out.print(f"Next: read {escape(str(folder / 'README.md'))}, and try")
    shown = f" --city {city_name}" if city else ""
    out.print(f"  subak adapter check {escape(str(folder / 'adapter.toml'))} --offline{escape(shown)}")


@app.command()
def check(
    file: AdapterFile,
    offline: Annotated[
        bool, typer.Option("--offline", help="Files and samples only: no connection, no secret needed.")
    ] = False,
    city: CityOption = "",
    as_json: Annotated[bool, typer.Option("--json", help="One JSON object: ok, problems, samples, absent.")] = False,
) -> None:
    """Show what each sample becomes, or every reason why not; then try the connections. Exit code 1 where anything is
    wrong."""
    found = load_city(city_path(city or read_settings().city))
    environment = AnySecret(os.environ) if offline else os.environ
    checked = check_files(file, found, environment, datetime.now(UTC))
    if not offline:
        checked.problems += asyncio.run(_connections(checked))
    absent = environment.absent if isinstance(environment, AnySecret) else []
    if as_json:
        say_json(
            {
                "ok": checked.ok,
                "problems": checked.problems,
                "samples": [sample.as_dict(checked.folder) for sample in checked.samples],
                "without_samples": checked.unsampled,
                "absent": absent,
            }
        )
    else:
        _show(console(), checked, found, absent, offline=offline)
    raise typer.Exit(0 if checked.ok else EXIT_WRONG)


async def _connections(checked: Checked) -> list[str]:
    problems = await check_connections(checked)
    topics = [topic(agency.id) for agency in checked.config.agencies for topic in (out_topic, in_topic)]
    try:
        from bus.kafka.topics import partition_counts

        counts = await partition_counts(Whereabouts.here().kafka, topics)
    except SubakError as error:
        return [*problems, f"Kafka: {error}"]
    fix = "The city's operators make it: `subak topics create`."
    return [
        *problems,
        *(f"Kafka: the topic {topic} is not there. {fix}" for topic, count in counts.items() if not count),
    ]


def _show(out: Console, checked: Checked, city: City, absent: list[str], *, offline: bool) -> None:
    for sample in checked.samples:
        where = f"[bold]{escape(str(sample.file.relative_to(checked.folder)))}[/] [dim]{sample.number}[/]"
        if sample.reasons:
            out.print(f"[red]✗[/] {where}")
            for reason in sample.reasons:
                out.print(f"    [red]{escape(reason.field)}[/]: {escape(reason.problem)}. [dim]{escape(reason.fix)}[/]")
        elif sample.skipped:
            out.print(f"[dim]·[/] {where} becomes nothing, as the mapping says")
        else:
            out.print(f"[green]✓[/] {where}")
            _show_outcome(out, sample)
    for problem in checked.problems:
        out.print(f"[red]✗[/] {escape(problem)}")
    for folder in checked.unsampled:
        out.print(f"[yellow]![/] {escape(folder)} holds no samples: put a record of the system there, as JSON or CSV.")
    if absent:
        out.print(f"[yellow]![/] not set here, and needed when it runs: {escape(', '.join(absent))}")
    wrong = sum(bool(sample.reasons) for sample in checked.samples) + len(checked.problems)
    right = len(checked.samples) - sum(bool(sample.reasons) for sample in checked.samples)
    if checked.ok:
        connected = "" if offline else ", and everything is connected"
        out.print(f"[green]{_samples(right)} understood for {escape(city.text(city.name))}{connected}.[/]")
    else:
        out.print(f"[red]{wrong} {'thing is' if wrong == 1 else 'things are'} wrong[/], {_samples(right)} understood.")


def _show_outcome(out: Console, sample: Sample) -> None:
    for event in sample.events:
        jurisdiction = f" in {escape(event['jurisdiction'])}" if "jurisdiction" in event else ""
        out.print(f"    {event_type(event['type'])} [dim]of case {event['subject']}{jurisdiction}[/]")
        _show_fields(out, event["data"])
    for row in sample.rows:
        keys = ", ".join(f"{escape(name)} = {escape(str(value))}" for name, value in row.key.items())
        out.print(f"    row of [cyan]{escape(row.table)}[/] [dim]{keys}[/]")
        _show_fields(out, row.values)


def _show_fields(out: Console, fields: Mapping[str, Any]) -> None:
    for name, value in fields.items():
        shown = value if isinstance(value, str) else json.dumps(value, ensure_ascii=False, default=str)
        out.print(f"      {escape(name)} = {escape(shown)}")


def _samples(count: int) -> str:
    return f"{count} {'sample is' if count == 1 else 'samples are'}"
