"""`subak workflow`: which workflows there are, whether they are sound, and how they look. It needs no bus."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Any

import typer
from rich.markup import escape

from services.cli.naming import the_city, the_workflow
from services.cli.showing import console, say_json, table
from services.cli.simulate import simulate
from services.workflows.catalogue import WORKFLOWS
from services.workflows.definition import Workflow
from services.workflows.drawing import mermaid, page
from services.workflows.lint import lint, unhandled_events
from services.workflows.machine import machine_of, short_name
from services.workflows.svg import svg

app = typer.Typer(no_args_is_help=True, help="Workflows: which there are, whether they are sound, how they look.")

app.command()(simulate)

EXIT_WRONG = 1

AsJson = Annotated[bool, typer.Option("--json", help="One JSON object.")]
CityOption = Annotated[
    str, typer.Option("--city", help="A city that comes with Subak, or a folder. Default: SUBAK_CITY.")
]
Name = Annotated[str, typer.Argument(metavar="WORKFLOW", help="Such as repair (its newest version), or repair@1.")]


@app.command("list")
def list_workflows(as_json: AsJson = False) -> None:
    """List the workflows of this version of Subak."""
    found = [_row(workflow) for workflow in WORKFLOWS.values()]
    if as_json:
        say_json({"workflows": found})
        return
    shown = table("workflow", "opened by", "states", "events", "timers", "roles")
    for row in found:
        shown.add_row(
            row["workflow"], row["opened_by"], str(len(row["states"])), str(len(row["events"])),
            ", ".join(row["timers"]), ", ".join(row["roles"]),
        )  # fmt: skip
    console().print(shown)


@app.command("lint")
def lint_workflows(
    name: Annotated[str, typer.Argument(metavar="[WORKFLOW]", help="One of them. Default: all.")] = "",
    city: CityOption = "",
    as_json: AsJson = False,
) -> None:
    """Say what would make a case stall, loop or go to nobody. Exit code 1 where anything would."""
    workflows = [the_workflow(name)] if name else list(WORKFLOWS.values())
    where = the_city(city)
    named = {workflow.id for workflow in workflows}
    findings = [finding for finding in lint(WORKFLOWS.values(), where) if finding.workflow in named]
    if not name:
        findings += unhandled_events(workflows)
    wrong = [finding for finding in findings if finding.level == "error"]
    if as_json:
        say_json({"ok": not wrong, "city": where.id, "findings": [finding.as_dict() for finding in findings]})
    else:
        out = console()
        for finding in findings:
            colour = "red" if finding.level == "error" else "yellow"
            out.print(f"[{colour}]{finding.level}[/] {escape(str(finding))}", soft_wrap=True)
        if not findings:
            names = ", ".join(workflow.id for workflow in workflows)
            out.print(f"{names} in {where.id}: no case can stall, loop or go to nobody.")
    if wrong:
        raise typer.Exit(EXIT_WRONG)


@app.command()
def graph(
    name: Name,
    svg_file: Annotated[Path | None, typer.Option("--svg", help="Draw it into this file instead.")] = None,
    as_page: Annotated[bool, typer.Option("--page", help="Print its page of the reference, in Markdown.")] = False,
) -> None:
    """Print a workflow as a Mermaid state diagram, or draw it as SVG."""
    workflow = the_workflow(name)
    if svg_file is not None:
        svg_file.write_text(svg(workflow), encoding="utf-8")
        typer.echo(f"wrote {svg_file}")
    else:
        typer.echo(page(workflow) if as_page else mermaid(workflow), nl=False)


def _row(workflow: Workflow) -> dict[str, Any]:
    machine = machine_of(workflow)
    events = sorted(trigger for trigger in workflow.triggers if not trigger.startswith("timer:"))
    return {
        "workflow": workflow.id,
        "opened_by": workflow.opened_by,
        "states": list(machine.states),
        "events": events,
        "timers": sorted(short_name(trigger).split()[0] for trigger in workflow.triggers - set(events)),
        "roles": [role.name for role in workflow.roles],
    }
