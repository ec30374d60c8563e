"""`subak say`: an event in an agency's name, through that agency's own adapter, and what the bus made of it.

For whoever tries a city on this machine, and plays an agency. It knows no more than the agency's system would: the
adapter's address and its token, which stand in the run file of `subak up`.
"""

from __future__ import annotations

import json
import time
from typing import Annotated, Any

import httpx
import typer
from rich.console import Console
from rich.markup import escape

from bus.city.problems import nearest
from bus.runfile import RunFile
from bus.settings import read_settings
from schemas.failures import Misconfigured, Reason, Refused, Retryable
from schemas.registry import registry
from services.cli.asking import Casebook, NotThere
from services.cli.showing import console, event_type, flags, moment, say_json, state
from services.cli.zone import zone_here

ANSWER_SECONDS_MAX = 15.0
"""How long the adapter may take to answer."""

LOOK_SECONDS = 0.1
"""Between two looks at what became of the event."""

SETTLED_SECONDS = 1.5
"""The log has the event, and nothing was refused for so long: the workflow has taken it."""


def say(
    agency: Annotated[str, typer.Argument(help="Who says it: an agency of the city. `subak city show` lists them.")],
    event: Annotated[str, typer.Argument(help="What: `request.submitted`, or a type's whole name.")],
    fields: Annotated[
        list[str] | None,
        typer.Argument(
            metavar="[FIELD=TEXT | FIELD:=JSON]...",
            help="Its data: `reason=Rain`, `cost.amount=120`, `score:=5`. `subak schemas show TYPE` tells the fields.",
        ),
    ] = None,
    case: Annotated[
        str | None, typer.Option(help="The case, or the beginning of its id. Without it a new case opens.")
    ] = None,
    wait: Annotated[float, typer.Option(min=0, max=600, help="Seconds to look what becomes of it; 0: do not.")] = 10.0,
    as_json: Annotated[bool, typer.Option("--json", help="One JSON object.")] = False,
) -> None:
    """Say something in an agency's name, in the city that `subak up` runs here, and see what the bus makes of it."""
    run = RunFile.load(read_settings().home)
    door = run.adapters.get(agency)
    if door is None:
        raise Misconfigured(f"no adapter of {run.city} speaks for {agency}. {nearest(agency, run.adapters)}")
    name = _type_named(event)
    with Casebook(run.casebook_url) as casebook:
        body: dict[str, Any] = {"type": name, "data": data_of(fields or [])}
        if case is not None:
            body["subject"] = casebook.whole_id(case)
        elif not registry.get(name).opens_case:
            problem = f"{name} says something of a case, and none is named"
            raise Refused([Reason("missing", "--case", problem, "Add --case ID; `subak case list` shows the cases.")])
        with httpx.Client(timeout=ANSWER_SECONDS_MAX, headers={"authorization": f"Bearer {door['token']}"}) as client:
            said = _answered(client, "POST", door["url"], json=body)
            became = _became(client, casebook, f"{door['url']}/{said['id']}", said["id"], wait)
        found = _case(casebook, said["subject"]) if became["status"] in ("accepted", "answered") else None
    if as_json:
        say_json({"event": said, **became, "case": found})
    else:
        _show(console(), agency, name, said, became, found)
    if became["status"] == "rejected":
        raise typer.Exit(1)


def data_of(fields: list[str]) -> dict[str, Any]:
    """The data that these words make: `a.b=text` and `a.b:=json`, a dot for what lies within.

    Raises:
        Refused: a word is none of these, or says of one field two things.
    """
    data: dict[str, Any] = {}
    for word in fields:
        path, equals, value = word.partition("=")
        if not equals or not path.strip(":"):
            problem = f"{word!r} says no field and value"
            raise Refused([Reason("malformed", word, problem, "Write FIELD=TEXT, or FIELD:=JSON for what is no text.")])
        found: Any = value
        if path.endswith(":"):
            path = path[:-1]
            try:
                found = json.loads(value)
            except ValueError as error:
                fix = "Write JSON after := (a number, true, a list, an object), or = for a text."
                raise Refused([Reason("malformed", path, f"{value!r} is no JSON: {error}", fix)]) from None
        *outer, last = path.split(".")
        inner = data
        for part in outer:
            inner = inner.setdefault(part, {})
            if not isinstance(inner, dict):
                raise Refused([Reason("malformed", path, f"{part} has a value already", "Say each field once.")])
        if last in inner:
            raise Refused([Reason("malformed", path, "the field is said twice", "Say each field once.")])
        inner[last] = found
    return data


def _type_named(event: str) -> str:
    """The type's whole name, the newest version where none is said."""
    if event in registry:
        return event
    short = event.removeprefix("subak.")
    known = {each.name.removeprefix("subak.").rpartition(".")[0]: each for each in sorted(registry, key=_major)}
    found = known.get(short)
    if found is None:
        raise Refused(
            [Reason("unknown_type", "EVENT", f"there is no event {event}", nearest(short, known) + _SEE_TYPES)]
        )
    return found.name


_SEE_TYPES = " `subak schemas list` shows all."


def _major(each: Any) -> int:
    return int(each.major)


def _answered(client: httpx.Client, method: str, url: str, **more: Any) -> dict[str, Any]:
    """What the adapter answers.

    Raises:
        Refused: it refuses, with every reason.
        Retryable: it does not answer, or cannot now.
    """
    try:
        answer = client.request(method, url, **more)
        found: dict[str, Any] = answer.json()
    except (httpx.TransportError, ValueError) as error:
        raise Retryable(
            f"the adapter at {url} does not answer ({type(error).__name__}). Does `subak up` run?"
        ) from error
    if answer.is_success:
        return found
    reasons = [Reason(**{name: str(each.get(name, "")) for name in _REASON}) for each in found.get("reasons", ())]
    raise Refused(reasons or [Reason("refused", url, f"it answered {answer.status_code}", "See the adapter's log.")])


_REASON = ("code", "field", "problem", "fix")


def _became(client: httpx.Client, casebook: Casebook, url: str, event_id: str, wait: float) -> dict[str, Any]:
    """`stored`, `accepted` (the log has it), `answered` (with what followed from it), or `rejected` with reasons."""
    deadline, logged_at, entry = time.monotonic() + wait, 0.0, None
    while (now := time.monotonic()) < deadline:
        status = _answered(client, "GET", url)
        if status["status"] == "rejected":
            return {"status": "rejected", "reasons": status["reasons"], "followed": []}
        if entry is None:
            entry, logged_at = _entry(casebook, event_id), now
        if entry is not None:
            followed = _followed(casebook, entry["case_id"], event_id)
            if followed:
                return {"status": "answered", "reasons": [], "followed": followed}
            if now - logged_at > SETTLED_SECONDS:
                break
        time.sleep(LOOK_SECONDS)
    return {"status": "stored" if entry is None else "accepted", "reasons": [], "followed": []}


def _entry(casebook: Casebook, event_id: str) -> dict[str, Any] | None:
    try:
        return next(iter(casebook.ask(f"/api/events/{event_id}")["events"]), None)
    except NotThere:
        return None


def _followed(casebook: Casebook, case_id: str, event_id: str) -> list[dict[str, Any]]:
    try:
        entries = casebook.rows(f"/api/cases/{case_id}/timeline", "entries", limit=None)
        return [each for each in entries if each["causationid"] == event_id]
    except NotThere:
        return []


def _case(casebook: Casebook, case_id: str) -> dict[str, Any] | None:
    try:
        return casebook.ask(f"/api/cases/{case_id}")
    except NotThere:
        return None


def _show(
    out: Console,
    agency: str,
    name: str,
    said: dict[str, Any],
    became: dict[str, Any],
    case: dict[str, Any] | None,
) -> None:
    out.print(f"{escape(agency)} said {event_type(name)} [dim]{said['id']}[/]")
    for reason in became["reasons"]:
        out.print(f"[red]refused[/]  {escape(reason['field'])}: {escape(reason['problem'])}. {escape(reason['fix'])}")
    for each in became["followed"]:
        out.print(f"  → {escape(_summary(each))}")
    if became["status"] == "stored":
        out.print("[yellow]The adapter keeps it safe; the log does not have it yet.[/] `subak lag` shows what waits.")
    if case is None:
        return
    held = f", waiting for [bold]{escape(case['holder'])}[/]" if case["holder"] else ""
    by = f" [dim](until {moment(case['answer_by'], zone_here())})[/]" if case["holder"] and case["answer_by"] else ""
    out.print(f"case [bold]{case['id']}[/]: {state(case)}{held}{by} {flags(case)}".rstrip())


def _summary(entry: dict[str, Any]) -> str:
    return str(entry["summary"].get("en") or entry["type"])
