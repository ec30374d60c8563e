"""`subak parked`: cases whose decision failed and that wait for a person: what they are, and what can be done."""

from __future__ import annotations

import asyncio
import json
from collections.abc import Sequence
from datetime import UTC, datetime
from typing import Annotated, Any, Literal

import typer
from rich.json import JSON
from rich.markup import escape

from bus.acting import ACTS_MAX, changelog_of
from bus.repairing import NotDone, correction_of, discard_of_parked, parked_document, replay_of
from services.cli.acting import (
    RATE,
    All,
    AsJson,
    By,
    DryRun,
    From,
    Ids,
    Print,
    Rate,
    Reason,
    Wait,
    cause_key,
    edited,
    perform,
    rehearse,
    require_few,
    require_one_choice,
    show_rehearsal,
    who,
    why,
)
from services.cli.asking import Casebook, NotThere
from services.cli.case import show as show_case
from services.cli.finding import Whereabouts
from services.cli.meaning import in_words, meaning_of
from services.cli.showing import console, event_type, moment, say_json, since, state, table
from services.cli.zone import zone_here
from services.workflows.rehearsal import Rehearsal

app = typer.Typer(
    no_args_is_help=True, help="Parked cases: what failed; replay, correct or discard, once the cause is known."
)

_NAMES = ("workflow", "state")

CaseId = Annotated[str, typer.Argument(help="The case's id, or its beginning.")]
Cause = Annotated[str | None, typer.Option(help="Those of this cause, by its name in `subak parked list --by cause`.")]
Type = Annotated[str | None, typer.Option("--type", help="Those that failed at an event of this type.")]
Agency = Annotated[str | None, typer.Option(help="Those in this agency's hands.")]


@app.command("list")
def list_parked(
    by: Annotated[
        Literal["cause", "type", "agency"] | None, typer.Option(help="Counted by cause, type or agency.")
    ] = None,
    cause: Cause = None,
    type_: Type = None,
    agency: Agency = None,
    limit: Annotated[int, typer.Option(min=1, max=100_000, help="At most so many, the longest waiting first.")] = 50,
    as_json: AsJson = False,
) -> None:
    """List the cases that wait for a person, the longest waiting first; or count them."""
    with Casebook.here() as casebook:
        if by is not None:
            _show_groups(casebook.ask("/api/parked/causes", by=by)["causes"], by, as_json=as_json)
            return
        found = _chosen(casebook, cause, type_, agency, limit)
    if as_json:
        say_json({"parked": found})
        return
    out = console()
    if not found:
        out.print("[green]No case is parked.[/]")
        return
    now, zone = datetime.now(UTC), zone_here()
    shown = table("case", "state", "since", "for", "failed at", "waiting", "error")
    for case in found:
        parked = case["parked"]
        shown.add_row(
            case["id"],
            state(case),
            moment(parked["at"], zone),
            since(parked["at"], now),
            event_type(parked["event_type"] or "?"),
            str(parked["waiting"]),
            escape(parked["error"] or ""),
        )
    out.print(shown)
    out.print("[dim]After the repair: `subak parked replay CASE --reason ...`; what it would do: --dry-run.[/]")


@app.command()
def show(
    id: CaseId,
    original: Annotated[
        bool, typer.Option(help="The waiting events whole, from Kafka. They may hold personal data.")
    ] = False,
    as_json: AsJson = False,
) -> None:
    """Show a parked case, what its state means, its error and its timeline; or the events that wait in it, whole."""
    if not original:
        show_case(id, as_json=as_json)
        return
    here = Whereabouts.here()
    with Casebook.at(here) as casebook:
        case = casebook.whole_id(id)
    remembered = _remembered(here, case)
    waiting = [parked_document(each.event) for each in remembered.waiting(case)]
    stands = remembered.case(case)
    names = {"workflow": stands.workflow, "state": stands.state} if stands is not None else dict.fromkeys(_NAMES)
    means = meaning_of({**names, "kind": None})
    if as_json:
        say_json({"case": case, **names, "state_means": means, "waiting": waiting})
        return
    out = console()
    if stands is not None:
        out.print(
            f"To {escape(stands.workflow)} it stands in [bold]{escape(stands.state)}[/]. {escape(in_words(means))}"
        )
    for document in waiting:
        headers = table("header", "value")
        for name, value in document.items():
            if name != "data":
                headers.add_row(name, escape(str(value)))
        out.print(headers)
        out.print(JSON(json.dumps(document["data"], ensure_ascii=False), indent=2))


@app.command()
def replay(
    ids: Ids = None,
    everything: All = False,
    cause: Cause = None,
    type_: Type = None,
    agency: Agency = None,
    reason: Reason = None,
    by: By = None,
    rate: Rate = RATE,
    dry_run: DryRun = False,
    wait: Wait = 60.0,
    as_json: AsJson = False,
) -> None:
    """Run what waits in parked cases, each case's events in order. Repair the cause first."""
    require_one_choice(ids, everything, {"cause": cause, "type": type_, "agency": agency})
    here = Whereabouts.here()
    name, because = who(here, by), why(reason, dry_run=dry_run)
    with Casebook.at(here) as casebook:
        if ids:
            cases = [_parked_case(casebook, id) for id in dict.fromkeys(ids)]
        else:
            cases = _chosen(casebook, cause, type_, agency, ACTS_MAX + 1)
    if not cases:
        raise NotThere("no case is parked like that. `subak parked list` shows those that are.")
    require_few(cases)
    acts = [
        replay_of(here.city, case["id"], event_id=case["parked"]["event_id"], by=name, reason=because) for case in cases
    ]
    if dry_run:
        show_rehearsal(acts, rehearse(here, acts), as_json=as_json, parked_under=_parked_under(cases))
    perform(here, acts, rate=rate, wait=wait, as_json=as_json)


@app.command()
def edit(
    id: CaseId,
    source: From = None,
    print_: Print = False,
    reason: Reason = None,
    by: By = None,
    dry_run: DryRun = False,
    wait: Wait = 60.0,
    as_json: AsJson = False,
) -> None:
    """Correct the data of the event at which a case is parked. It gets a new id, stays its sender's, and the case runs.

    Without --from an editor opens. A correction that the schema, the city or the case would refuse does not leave.
    """
    here = Whereabouts.here()
    with Casebook.at(here) as casebook:
        case = casebook.ask(f"/api/cases/{casebook.whole_id(id)}")
    wrong = _remembered(here, case["id"]).waiting(case["id"])[0].event
    document = parked_document(wrong)
    if print_:
        typer.echo(json.dumps(document, indent=2, ensure_ascii=False))
        return
    name, because = who(here, by), why(reason, dry_run=dry_run)
    act = correction_of(here.city, wrong, edited(document, source), by=name, reason=because)
    found = rehearse(here, [act])
    if dry_run:
        show_rehearsal([act], found, as_json=as_json, parked_under=_parked_under([case]))
    if found[0].outcome == "refused":
        raise NotDone(f"it would be refused: {found[0].problem}. Nothing was sent.")
    perform(here, [act], rate=RATE, wait=wait, as_json=as_json)


@app.command()
def discard(
    ids: Annotated[list[str], typer.Argument(help="The cases' ids, or their beginnings.")],
    reason: Reason = None,
    by: By = None,
    rate: Rate = RATE,
    dry_run: DryRun = False,
    wait: Wait = 60.0,
    as_json: AsJson = False,
) -> None:
    """Take the event at which a case is parked out of it: it counts for nothing, and what waits behind it runs.

    It stays in the log, stands whole in city-rejected, and its sender is told why.
    """
    here = Whereabouts.here()
    name, because = who(here, by), why(reason, dry_run=dry_run)
    with Casebook.at(here) as casebook:
        cases = [_parked_case(casebook, id) for id in dict.fromkeys(ids)]
    acts = [
        discard_of_parked(here.city, case["id"], event_id=case["parked"]["event_id"] or "?", by=name, reason=because)
        for case in cases
    ]
    if dry_run:
        show_rehearsal(acts, rehearse(here, acts), as_json=as_json, parked_under=_parked_under(cases))
    perform(here, acts, rate=rate, wait=wait, as_json=as_json)


def _parked_case(casebook: Casebook, id: str) -> dict[str, Any]:
    case = casebook.ask(f"/api/cases/{casebook.whole_id(id)}")
    if case["parked"] is None:
        raise NotThere(f"the case {case['id']} is not parked. `subak parked list` shows those that are.")
    return case


def _parked_under(cases: Sequence[dict[str, Any]]) -> dict[str, str | None]:
    """The version whose decision failed, as far as the casebook knows it."""
    return {case["id"]: (case["parked"] or {}).get("workflow") for case in cases}


def _chosen(
    casebook: Casebook, cause: str | None, type_: str | None, agency: str | None, limit: int
) -> list[dict[str, Any]]:
    """The parked cases of a group, the longest waiting first."""
    filters: dict[str, Any] = {"event_type": type_, "agency": agency}
    if cause is not None:
        known = [each for each in casebook.ask("/api/parked/causes")["causes"] if cause_key(each) == cause]
        if not known:
            raise NotThere(f"no case is parked by a cause {cause}. `subak parked list --by cause` names them.")
        filters |= {"event_type": type_ or known[0]["event_type"], "error": known[0]["error"]}
    return list(casebook.rows("/api/parked", "parked", limit=limit, **filters))


def _show_groups(groups: list[dict[str, Any]], by: str, *, as_json: bool) -> None:
    if as_json:
        say_json({"groups": [each | ({"cause": cause_key(each)} if by == "cause" else {}) for each in groups]})
        return
    out, zone = console(), zone_here()
    if not groups:
        out.print("[green]No case is parked.[/]")
        return
    shown = table(*{"cause": ("cause", "failed at", "error"), "type": ("failed at",), "agency": ("agency",)}[by],
                  "cases", "since")  # fmt: skip
    for each in groups:
        named = {
            "cause": (cause_key(each), event_type(each["event_type"] or "?"), escape(each["error"] or "")),
            "type": (event_type(each["event_type"] or "?"),),
            "agency": (escape(each["agency"] or "nobody"),),
        }[by]
        shown.add_row(*named, str(each["cases"]), moment(each["oldest"], zone))
    out.print(shown)


def _remembered(here: Whereabouts, case_id: str) -> Rehearsal:
    """A parked case as the workflows stage remembers it, with the events that wait in it, whole."""
    found = Rehearsal(here.city, asyncio.run(changelog_of(here.kafka, [case_id])))
    if not found.waiting(case_id):
        raise NotThere(f"the case {case_id} is not parked. `subak parked list` shows those that are.")
    return found
