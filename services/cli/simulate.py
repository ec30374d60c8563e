"""`subak workflow simulate`: a changed workflow or city over the recorded log. It reads, and writes nothing."""

from __future__ import annotations

import asyncio
from datetime import UTC, date, datetime, time
from pathlib import Path
from typing import Annotated

import typer
from rich.markup import escape

from bus.city import City
from bus.kafka import KafkaSettings, TopicReader, partitions_of
from bus.records import Record
from bus.topics import EVENTS
from schemas.failures import Misconfigured
from services.cli.finding import Whereabouts
from services.cli.naming import the_city, the_workflow
from services.cli.showing import console, say_json, table
from services.cli.workflow_file import workflows_in
from services.workflows.catalogue import WORKFLOWS
from services.workflows.definition import Workflow
from services.workflows.lint import lint
from services.workflows.simulation import Report, Simulation, in_order

SHOWN_MAX = 40
"""Cases in the table; --json has them all."""


def simulate(
    name: Annotated[str, typer.Argument(metavar="WORKFLOW", help="Such as repair, or repair@1.")],
    since: Annotated[str, typer.Option(help="Cases that began on or after this day: 2026-01-01.")] = "1970-01-01",
    with_file: Annotated[
        Path | None,
        typer.Option("--with", exists=True, dir_okay=False, help="A Python file with the changed workflow."),
    ] = None,
    city: Annotated[str, typer.Option("--city", help="The changed city: a folder. Default: the city as it is.")] = "",
    as_json: Annotated[bool, typer.Option("--json", help="One JSON object, with every case.")] = False,
) -> None:
    """Say which recorded cases would have gone otherwise: other agencies, more or fewer missed deadlines, stuck."""
    only = the_workflow(name)
    here = Whereabouts.here()
    changed = the_city(city) if city else here.city
    if changed.id != here.city.id:
        raise Misconfigured(
            f"the log is of {here.city.id}, and {city} describes {changed.id}. Simulate with a copy of the city's own "
            f"folder: its id stands in every event."
        )
    own = workflows_in(with_file, WORKFLOWS) if with_file is not None else []
    names = {workflow.name for workflow in own}
    workflows = {id: one for id, one in WORKFLOWS.items() if one.name not in names} | {one.id: one for one in own}
    played = next((workflow for workflow in own if workflow.name == only.name), only)
    findings = [one for one in lint(workflows.values(), changed) if one.workflow in {workflow.id for workflow in own}]
    begins = since_ms(since, changed)
    report = run(asyncio.run(read_log(here.kafka)), changed, workflows, played, begins)
    if as_json:
        lints = [finding.as_dict() for finding in findings]
        say_json({"workflow": played.id, "changed": [one.id for one in own], "findings": lints, **report.as_dict()})
        return
    for finding in findings:
        console().print(f"[yellow]lint[/] {escape(str(finding))}", soft_wrap=True)
    show(report, played, own, since if begins else "")


def run(records: list[Record], city: City, workflows: dict[str, Workflow], only: Workflow, since: int = 0) -> Report:
    """Play these records of the log."""
    simulation = Simulation(city, workflows, only=only, since_ms=since)
    simulation.take(in_order(records))
    return simulation.report()


async def read_log(kafka: KafkaSettings) -> list[Record]:
    """The whole log, as it is now."""
    reader = TopicReader(kafka, name="simulate")
    await reader.start(partitions_of([EVENTS], kafka.partitions))
    try:
        await reader.seek(await reader.beginning_offsets())
        return [record async for records in reader.to_end() for record in records]
    finally:
        await reader.stop()


def since_ms(text: str, city: City) -> int:
    """The beginning of a day in the city, in milliseconds since 1970.

    Raises:
        Misconfigured: it is no date.
    """
    try:
        day = date.fromisoformat(text)
    except ValueError:
        raise Misconfigured(f"--since {text} is no date: write it as 2026-01-01.") from None
    at = datetime.combine(day, time(0), city.zone)
    return max(0, int((at - datetime(1970, 1, 1, tzinfo=UTC)).total_seconds() * 1000))


def show(report: Report, played: Workflow, own: list[Workflow], since: str = "") -> None:
    """The report for a person. `own`: the changed workflows; `since`: the day from which cases count, if any."""
    out = console()
    beside = ", ".join(workflow.id for workflow in own if workflow is not played)
    out.print(f"[bold]{played.id}[/] over {report.recorded} records of the log{f', with {beside}' if beside else ''}.")
    if report.cases == 0:
        out.print(f"No case of {played.name} began there{f' since {since}' if since else ''}: nothing is compared.")
        return
    out.print(
        f"{_count(report.cases, 'case')}, {_count(report.events, 'event')} of agencies; "
        f"[bold]{len(report.differences) or 'none'}[/] would have gone otherwise."
    )
    out.print(f"Missed deadlines: {report.breaches_then} then, {report.breaches_now} now.")
    if not report.differences:
        return
    counts = table("how it differs", "cases")
    for kind, count in report.counts().items():
        counts.add_row(kind.replace("_", " "), str(count))
    out.print(counts)
    shown = table("case", "how", "what would differ")
    shown.columns[0].no_wrap = True
    for difference in report.differences[:SHOWN_MAX]:
        kinds = ", ".join(kind.replace("_", " ") for kind in difference.kinds)
        colour = "red" if {"stuck", "more_breaches"} & set(difference.kinds) else "yellow"
        shown.add_row(difference.case, f"[{colour}]{kinds}[/]", escape(difference.why))
    out.print(shown)
    if len(report.differences) > SHOWN_MAX:
        out.print(f"[dim]The first {SHOWN_MAX} of {len(report.differences)}; --json has all.[/]")


def _count(number: int, noun: str) -> str:
    return f"{number} {noun}" if number == 1 else f"{number} {noun}s"
