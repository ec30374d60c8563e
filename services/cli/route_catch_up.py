"""`subak route catch-up`: an agency that subscribed late is brought the history that its subscriptions cover."""

from __future__ import annotations

import asyncio
from dataclasses import asdict
from datetime import UTC, datetime
from typing import Annotated

import typer
from rich.markup import escape

from bus.catching_up import CatchUpSettings, CaughtUp, catch_up
from bus.city.model import OPERATIONS
from schemas.attributes import GRAMMARS
from schemas.failures import Unprocessable
from services.cli.finding import Whereabouts
from services.cli.showing import console, event_type, say_json, table


def catch_up_agency(
    agency: Annotated[str, typer.Argument(help="The agency that is brought what it has missed.")],
    since: Annotated[
        datetime | None, typer.Option(formats=["%Y-%m-%d"], help="Only what the log took from this day on.")
    ] = None,
    closed: Annotated[bool, typer.Option("--closed", help="The events of closed cases too.")] = False,
    rate: Annotated[float, typer.Option(min=0.1, max=100_000, help="At most so many events a second.")] = 200.0,
    name: Annotated[str | None, typer.Option(help="What the copies bear in `history`. Default: with the day.")] = None,
    dry_run: Annotated[bool, typer.Option("--dry-run", help="Only count.")] = False,
    as_json: Annotated[bool, typer.Option("--json", help="One JSON object with every figure.")] = False,
) -> None:
    """Bring an agency what its subscriptions cover and it was never sent: the events of open cases, marked as history.

    Exactly once, as often as it is run. Restart the router with the new files first, or what it decides meanwhile waits
    for the next run. On a cluster with rights it needs the router's own credentials.
    """
    here = Whereabouts.here()
    if here.city.agency(agency).id == OPERATIONS:
        raise Unprocessable(f"{OPERATIONS} has no subscriptions: name an agency.")
    if name is not None and not GRAMMARS["history"].accepts(name):
        raise Unprocessable(
            f"--name {name}: {GRAMMARS['history'].problem}. Write one in kebab case, such as catch-up-2."
        )
    today = datetime.now(UTC).astimezone(here.city.zone).date()
    settings = CatchUpSettings(
        name=name or f"catch-up-{today.isoformat()}",
        events_per_second_max=rate,
        closed_too=closed,
        since_ms=int(since.replace(tzinfo=here.city.zone).timestamp() * 1000) if since is not None else 0,
        only_count=dry_run,
    )
    told = asyncio.run(catch_up(here.city, here.administration, agency, settings))
    if as_json:
        say_json({"agency": agency, "history": settings.name, "dry_run": dry_run, **asdict(told)})
        return
    _print(agency, settings, told)


def _print(agency: str, settings: CatchUpSettings, told: CaughtUp) -> None:
    out = console()
    if told.by_type:
        rows = table("type", "events")
        for type_, count in sorted(told.by_type.items(), key=lambda item: (-item[1], item[0])):
            rows.add_row(event_type(type_), str(count))
        out.print(rows)
    sent = "would be sent" if settings.only_count else "sent"
    out.print(
        f"{escape(agency)}: {told.brought} events {sent}, marked as history "
        f"[bold]{escape(settings.name)}[/]. Its subscriptions cover {told.covered} of {told.looked_at}; "
        f"{told.there} it had already, {told.of_closed} belong to no open case (--closed)."
    )
