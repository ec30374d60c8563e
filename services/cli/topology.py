"""`subak topology`: what the city's directory asks of its Kafka cluster, against what is there; and making it so."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer
from rich.markup import escape

from bus.topology import Change, Plan
from schemas.failures import Misconfigured
from services.cli.administering import Administration, SecretFiles, counted, plan_as_dict, print_plan
from services.cli.showing import console, say_json

app = typer.Typer(no_args_is_help=True, help="The bus's topics, users, rights and quotas on a Kafka cluster.")

EXIT_DIFFERENT = 1

As_json = Annotated[bool, typer.Option("--json", help="One JSON object: changes, problems, notes.")]


@app.command()
def plan(as_json: As_json = False) -> None:
    """Show what `apply` would do, and change nothing. Exit code 1 where there is something to do."""
    found = Administration.here().plan()
    if as_json:
        say_json(plan_as_dict(found))
    else:
        out = console()
        print_plan(out, found)
        out.print("[green]The cluster is as the city's directory asks.[/]" if found.empty else f"{counted(found)}.")
    raise typer.Exit(0 if found.empty else EXIT_DIFFERENT)


@app.command()
def apply(
    credentials: Annotated[
        Path | None,
        typer.Option(help="A folder for new users' credentials: a file each, which only its owner can read."),
    ] = None,
    delete_topic: Annotated[
        list[str] | None, typer.Option(help="Delete this topic, with all that it holds. May be given several times.")
    ] = None,
    shrink_retention: Annotated[
        list[str] | None, typer.Option(help="Let this topic keep less than it does. May be given several times.")
    ] = None,
    leave: Annotated[
        list[str] | None, typer.Option(help="Leave this topic as it is. May be given several times.")
    ] = None,
    as_json: As_json = False,
) -> None:
    """Make the cluster what the city's directory asks for: what `plan` shows, and nothing else."""
    administration = Administration.here()
    flags = {f"--delete-topic {name}" for name in delete_topic or ()}
    flags |= {f"--shrink-retention {name}" for name in shrink_retention or ()}
    todo = administration.plan().without(leave or ())
    _refuse(todo, flags, credentials)
    keep = SecretFiles(credentials)
    administration.apply(todo, keep)
    if as_json:
        say_json(plan_as_dict(todo))
    else:
        out = console()
        print_plan(out, todo)
        out.print(f"[green]Done[/]: {counted(todo)}.")
        if keep.written:
            where = f"[cyan]{escape(str(credentials))}[/]"
            out.print(f"Credentials of users: {len(keep.written)}, in {where}, a file for each user.")
    raise typer.Exit(EXIT_DIFFERENT if todo.problems else 0)


def _refuse(plan: Plan, flags: set[str], credentials: Path | None) -> None:
    """Refuse what loses events, and credentials that nobody would know.

    Raises:
        Misconfigured: with each flag that is missing.
    """
    refused = plan.refused(flags)
    if refused:
        lines = [
            f"{change.name}: {_loss(change)}. Say so with {change.flag}, or leave it with --leave {change.name}."
            for change in refused
        ]
        raise Misconfigured("\n".join(["nothing was changed: this would lose what topics hold.", *lines]))
    new = [change.name for change in plan.changes if change.what == "user" and change.act == "create"]
    if new and credentials is None:
        some = f"{', '.join(new[:3])}{' ...' if len(new) > 3 else ''}"
        raise Misconfigured(
            f"nothing was changed: users to be made: {len(new)} ({some}), and their passwords need a place. Name a "
            "folder: --credentials FOLDER."
        )


def _loss(change: Change) -> str:
    if change.act == "delete":
        return "it would be deleted"
    return f"{change.key} would go from {change.before} to {change.after}"
