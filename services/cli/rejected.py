"""`subak rejected replay|edit|discard`: what can be done about refused events, once the cause is repaired.

What goes in goes through the gateway as an event of the agency that sent it, under a new id, caused by the one that was
refused. Of one rejection there is one such event, whoever asks and however often.
"""

from __future__ import annotations

import asyncio
import json
from typing import Annotated, Any

import typer

from bus.acting import ACTS_MAX, records_at
from bus.city.model import OPERATIONS
from bus.repairing import NotDone, discard_of_rejected, rejected_document, resend_of
from bus.topics import REJECTED
from schemas.envelope import Event
from schemas.failures import Unprocessable
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
from services.cli.finding import Whereabouts
from services.cli.refusals import Agency, Cause, Type, app, whole_id
from services.cli.showing import console

__all__ = ["app"]

RejectionId = Annotated[str, typer.Argument(help="The rejection's id, or its beginning.")]


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
    """Let refused events in as they are, in each case's order. What is refused again does not leave."""
    require_one_choice(ids, everything, {"cause": cause, "type": type_, "agency": agency})
    here = Whereabouts.here()
    name, because = who(here, by), why(reason, dry_run=dry_run)
    rows = _chosen(here, ids, {"code": cause, "event_type": type_, "agency": agency})
    documents = _documents(here, rows)
    acts, held = [], []
    for row in rows:
        try:
            acts.append(resend_of(here.city, row, documents[row["id"]], by=name, reason=because))
        except Unprocessable as error:
            held.append((row, str(error)))
    if held and not as_json:
        console().print(f"[yellow]{len(held)} would be refused again and stay: {held[0][0]['id']}: {held[0][1]}[/]")
    if not acts:
        raise NotDone(f"{held[0][0]['id']} would be refused again: {held[0][1]} Nothing was sent.")
    _go(here, acts, rate=rate, dry_run=dry_run, wait=wait, as_json=as_json)


@app.command()
def edit(
    id: RejectionId,
    source: From = None,
    print_: Print = False,
    reason: Reason = None,
    by: By = None,
    dry_run: DryRun = False,
    wait: Wait = 60.0,
    as_json: AsJson = False,
) -> None:
    """Correct a refused event and let it in. It gets a new id, and stays its sender's.

    Without --from an editor opens. A correction that the schema, the city or the case would refuse does not leave.
    """
    here = Whereabouts.here()
    rows = _chosen(here, [id], {})
    document = _documents(here, rows)[rows[0]["id"]]
    if print_:
        typer.echo(json.dumps(document, indent=2, ensure_ascii=False))
        return
    name, because = who(here, by), why(reason, dry_run=dry_run)
    act = resend_of(here.city, rows[0], document, by=name, reason=because, document=edited(document, source))
    found = rehearse(here, [act])
    if dry_run:
        show_rehearsal([act], found, as_json=as_json)
    if found[0].outcome == "refused":
        raise NotDone(f"the case would refuse it: {found[0].problem}. Nothing was sent.")
    perform(here, [act], rate=RATE, wait=wait, as_json=as_json)


@app.command()
def discard(
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
    """Set refused events aside: they are not sent again, and no longer stand among the open ones."""
    require_one_choice(ids, everything, {"cause": cause, "type": type_, "agency": agency})
    here = Whereabouts.here()
    name, because = who(here, by), why(reason, dry_run=dry_run)
    rows = _chosen(here, ids, {"code": cause, "event_type": type_, "agency": agency})
    acts = [discard_of_rejected(here.city, row, by=name, reason=because) for row in rows]
    _go(here, acts, rate=rate, dry_run=dry_run, wait=wait, as_json=as_json)


def _go(here: Whereabouts, acts: list[Event], *, rate: float, dry_run: bool, wait: float, as_json: bool) -> None:
    if dry_run:
        show_rehearsal(acts, rehearse(here, acts), as_json=as_json)
    perform(here, acts, rate=rate, wait=wait, as_json=as_json)


def _chosen(here: Whereabouts, ids: list[str] | None, filters: dict[str, Any]) -> list[dict[str, Any]]:
    """The rejections that are meant, in the order in which they were refused: a case's own. None is settled.

    Raises:
        NotThere: there is none.
        NotDone: an operator has seen to one that is named, or it is no agency's.
    """
    with Casebook.at(here) as casebook:
        if ids:
            found = [casebook.ask(f"/api/rejected/{whole_id(casebook, id)}") for id in dict.fromkeys(ids)]
            for row in found:
                _require_open(row)
        else:
            known = casebook.rows("/api/rejected", "rejected", limit=ACTS_MAX + 1, settled=False, **filters)
            found = [row for row in known if row["agency"] != OPERATIONS]
    if not found:
        raise NotThere("no refused event is like that and open. `subak rejected list --open` shows those that are.")
    require_few(found)
    return sorted(found, key=lambda row: (row["log_partition"], row["log_offset"]))


def _require_open(row: dict[str, Any]) -> None:
    act = row["act"]
    if act is not None:
        done = {"resend": "let in", "discard": "set aside"}.get(act["kind"], act["kind"])
        raise NotDone(
            f"{act['by'] or 'an operator'} has {done} the event of {row['id']} already, at {act['at']}: "
            f"{act['reason']}. Nothing was done."
        )
    if row["agency"] == OPERATIONS:
        raise NotDone(f"{row['id']} is an operator's own act: act again instead. Nothing was done.")


def _documents(here: Whereabouts, rows: list[dict[str, Any]]) -> dict[str, dict[str, Any]]:
    """The events whole, from Kafka, by rejection.

    Raises:
        NotThere: the topic does not hold one.
    """
    places = {row["id"]: (int(row["log_partition"]), int(row["log_offset"])) for row in rows}
    records = asyncio.run(records_at(here.kafka, REJECTED, places.values()))
    missing = [id for id, place in places.items() if place not in records]
    if missing:
        raise NotThere(f"{REJECTED} does not hold the event of {missing[0]}: is it another cluster?")
    return {id: rejected_document(records[place]) for id, place in places.items()}
