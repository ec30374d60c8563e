"""What `subak parked` and `subak rejected` share: who acts and why, which are meant, the rehearsal, the sending."""

from __future__ import annotations

import asyncio
import getpass
import json
import sys
import time
from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from datetime import UTC, datetime
from hashlib import blake2b
from pathlib import Path
from types import MappingProxyType
from typing import Annotated, Any, NoReturn

import typer
from rich.markup import escape

from bus.acting import ACTS_MAX, Became, Watch, changelog_of, send_acts
from bus.repairing import NotDone, checked_reason
from schemas.envelope import Event
from services.cli.finding import Whereabouts
from services.cli.showing import console, event_type, say_json, table
from services.workflows.rehearsal import Rehearsal, Rehearsed

AsJson = Annotated[bool, typer.Option("--json", help="One JSON object, with the keys of the casebook's API.")]
Reason = Annotated[str | None, typer.Option(help="Why. It stands in the case's timeline. Required, unless --dry-run.")]
By = Annotated[str | None, typer.Option(help="Who acts. Default: SUBAK_OPERATOR, or your name on this machine.")]
Rate = Annotated[float, typer.Option(min=0.1, max=10_000, help="At most so many a second.")]
DryRun = Annotated[bool, typer.Option("--dry-run", help="Say what would happen, decided on each case as it is now.")]
Wait = Annotated[float, typer.Option(min=0, max=3600, help="Seconds to wait for what becomes of it.")]
Ids = Annotated[list[str] | None, typer.Argument(help="Ids, or their beginnings. Without any: --all, or a group.")]
All = Annotated[bool, typer.Option("--all", help="All of them.")]
From = Annotated[Path | None, typer.Option("--from", help="A file with the corrected event; - reads it from stdin.")]
Print = Annotated[bool, typer.Option("--print", help="Print the event as it is, to be edited, and do nothing.")]

RATE = 50.0
"""Acts a second, unless another number is given."""

ROWS_SHOWN_MAX = 100
"""Rows of a table; --json has them all."""

_OUTCOMES = {
    "unparked": "[green]runs again[/]",
    "failed_again": "[red]failed again[/]",
    "let_in": "[green]let in[/]",
    "noted": "[green]set aside[/]",
    "refused": "[red]refused[/]",
    "sent": "[yellow]sent, and not seen yet[/]",
}


def who(here: Whereabouts, by: str | None) -> str:
    """The operator.

    Raises:
        NotDone: nobody is named, or the name is too long.
    """
    found = (by or here.settings.operator or _here()).strip()
    if not found or len(found) > 200:
        raise NotDone("say who acts, in at most 200 characters: --by NAME, or SUBAK_OPERATOR.")
    return found


def _here() -> str:
    try:
        return getpass.getuser()
    except (KeyError, OSError):  # a process without a user of this machine
        return ""


def why(reason: str | None, *, dry_run: bool) -> str:
    """The reason; a rehearsal needs none.

    Raises:
        NotDone: there is none, or it is too long.
    """
    return checked_reason(reason or ("rehearsal" if dry_run else None))


def cause_key(cause: Mapping[str, Any]) -> str:
    """The short name of a cause in lists: made of what it is, so it is the same tomorrow."""
    text = json.dumps([cause.get("event_type"), cause.get("error")])
    return blake2b(text.encode(), digest_size=4).hexdigest()


def require_one_choice(ids: Sequence[str] | None, everything: bool, groups: Mapping[str, str | None]) -> None:
    """Refuse an act that names nothing, or names things twice.

    Raises:
        NotDone: in words.
    """
    named = [f"--{name}" for name, value in groups.items() if value is not None]
    if not ids and not everything and not named:
        options = ", ".join(["--all", *(f"--{name}" for name in groups)])
        raise NotDone(f"say which: one or more ids, or {options}. Nothing was done.")
    if ids and (everything or named):
        raise NotDone(f"ids and {' '.join(named) or '--all'} exclude each other. Nothing was done.")


def require_few(found: Sequence[object]) -> None:
    """Refuse more than one go takes.

    Raises:
        NotDone: in words.
    """
    if len(found) > ACTS_MAX:
        raise NotDone(f"that is more than {ACTS_MAX} at once: choose a group. Nothing was done.")


def rehearse(here: Whereabouts, acts: Sequence[Event]) -> list[Rehearsed]:
    """What these acts would come to, one after the other, on the cases as they are now."""
    changelog = asyncio.run(changelog_of(here.kafka, [act.subject for act in acts]))
    rehearsal = Rehearsal(here.city, changelog)
    now = datetime.now(UTC)
    return [rehearsal.act(act, now) for act in acts]


def show_rehearsal(
    acts: Sequence[Event],
    found: Sequence[Rehearsed],
    *,
    as_json: bool,
    parked_under: Mapping[str, str | None] = MappingProxyType({}),
) -> NoReturn:
    """What would happen, and by which version of which workflow. Exit code 1 where any would fail or be refused.

    Args:
        parked_under: cases → the version whose decision failed, as far as the casebook knows it.
    """
    if as_json:
        rows = [
            {
                "case": act.subject,
                "outcome": one.outcome,
                "waiting": one.waiting,
                "state": one.state,
                "said": list(one.said),
                "refused": list(one.refused),
                "problem": one.problem,
                "workflow": one.workflow,
                "parked_under": parked_under.get(act.subject),
            }
            for act, one in zip(acts, found, strict=True)
        ]
        say_json({"dry_run": True, "acts": rows})
    else:
        out, shown = console(), table("case", "would", "events", "state then", "by", "would send", "why")
        for act, one in list(zip(acts, found, strict=True))[:ROWS_SHOWN_MAX]:
            said = " ".join(event_type(name) for name in one.said)
            problem = one.problem or "; ".join(one.refused)
            verdict = _OUTCOMES[one.outcome].replace("runs", "run").replace("failed", "fail")
            verdict = verdict.replace("refused", "be refused").replace("let in", "be let in")
            by = _decided_by(one.workflow, parked_under.get(act.subject))
            shown.add_row(act.subject, verdict, str(one.waiting), one.state or "", by, said, escape(problem))
        out.print(shown)
        out.print(f"{_counted(one.outcome for one in found)}. [dim]Nothing was done.[/]")
    raise typer.Exit(1 if any(one.outcome in ("failed_again", "refused") for one in found) else 0)


def _decided_by(workflow: str | None, parked_under: str | None) -> str:
    """`repair@2`; and under which other version the case was parked, where it was another."""
    if workflow is None or parked_under in (None, workflow):
        return escape(workflow or "")
    return f"[yellow]{escape(workflow)}[/], parked under {escape(parked_under or '')}"


def perform(here: Whereabouts, acts: Sequence[Event], *, rate: float, wait: float, as_json: bool) -> NoReturn:
    """Send the acts, and tell what became of each. Exit code 1 where any failed again or was refused."""
    out = console()

    def told(sent: int) -> None:
        if not as_json and sent < len(acts):
            out.print(f"[dim]{sent} of {len(acts)} asked for[/]")

    became = asyncio.run(_perform(here, acts, rate, wait, told))
    if as_json:
        rows = [
            {"case": act.subject, "event_id": act.id, "outcome": one.outcome, "problem": one.problem}
            for act in acts
            for one in [became[act.id]]
        ]
        say_json({"acts": rows})
    else:
        shown = table("case", "", "why")
        for act in acts[:ROWS_SHOWN_MAX]:
            one = became[act.id]
            shown.add_row(act.subject, _OUTCOMES[one.outcome], escape(one.problem or ""))
        out.print(shown)
        out.print(_counted(one.outcome for one in became.values()) + ".")
    raise typer.Exit(1 if any(one.outcome in ("failed_again", "refused") for one in became.values()) else 0)


async def _perform(
    here: Whereabouts, acts: Sequence[Event], rate: float, wait: float, told: Callable[[int], None]
) -> dict[str, Became]:
    async with Watch(here.kafka) as watch:
        await send_acts(here.kafka, acts, rate=rate, told=told)
        return await watch.until_seen(acts, time.monotonic() + wait)


def _counted(outcomes: Any) -> str:
    return ", ".join(f"{count} {_OUTCOMES[outcome]}" for outcome, count in Counter(outcomes).items())


def edited(document: Mapping[str, Any], source: Path | None) -> dict[str, Any]:
    """The event as the operator left it: from a file, from stdin, or from an editor.

    Raises:
        NotDone: it is no JSON object, or nothing was changed.
    """
    before = json.dumps(document, indent=2, ensure_ascii=False)
    if source is not None:
        try:
            text = sys.stdin.read() if str(source) == "-" else source.read_text(encoding="utf-8")
        except (OSError, UnicodeDecodeError) as error:
            raise NotDone(f"{source} cannot be read: {error}. Nothing was done.") from error
    else:
        import click

        text = click.edit(before, extension=".json") or before
    try:
        found = json.loads(text)
    except (ValueError, RecursionError) as error:
        raise NotDone(f"the corrected event is no JSON: {error}. Nothing was done.") from error
    if not isinstance(found, dict):
        raise NotDone("the corrected event must be a JSON object. Nothing was done.")
    if found == document:
        raise NotDone("nothing was changed: to send it as it is, replay it. Nothing was done.")
    return found
