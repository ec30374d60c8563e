"""`subak agency`: an agency's credentials: issued, renewed without a lost event, cut off at once, taken away.

New credentials are a new user beside the old one, so both work until `rotate --finish`. A denial cuts off connections
that stand, too: Kafka looks at its ACLs for every request, and at passwords only when a connection begins.
"""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer
from rich.markup import escape

from bus.city.problems import nearest
from bus.topology import Plan, Standing
from bus.topology.identities import agency_identity, user_of
from schemas.failures import Misconfigured
from services.cli.administering import Administration, credentials_text, write_credentials
from services.cli.showing import console

app = typer.Typer(no_args_is_help=True, help="Agencies' credentials on the Kafka cluster.")

Id = Annotated[str, typer.Argument(help="The agency's id in the city's agencies.toml.")]
Out = Annotated[
    Path | None,
    typer.Option(
        "--out", help="Write the credentials to this file, which only its owner can read, in place of showing."
    ),
]


@app.command()
def add(id: Id, out: Out = None) -> None:
    """Issue an agency's first credentials, with what it may do; or new ones after a suspension."""
    administration = _administration(id)
    standing, identity = administration.standing, agency_identity(id)
    if standing.numbers.get(identity):
        raise Misconfigured(f"{id} has credentials already. New ones beside them: `subak agency rotate {id}`.")
    topics = {
        change.name for change in administration.plan().changes if change.act == "create" and change.what == "topic"
    }
    if topics & {f"{identity}-in", f"{identity}-out"}:
        raise Misconfigured(f"the topics of {id} are missing. Make them first: `subak topology apply`.")
    _issue(administration, identity, standing.with_next(identity), out)


@app.command()
def rotate(
    id: Id,
    out: Out = None,
    finish: Annotated[
        bool, typer.Option("--finish", help="Take the older credentials away: the adapter has the new ones.")
    ] = False,
) -> None:
    """Issue new credentials beside the old ones, which work on until `--finish`."""
    administration = _administration(id)
    standing, identity = administration.standing, agency_identity(id)
    numbers = standing.numbers.get(identity, ())
    if not numbers:
        raise Misconfigured(f"{id} has no credentials that count. Issue some: `subak agency add {id}`.")
    if not finish:
        if len(numbers) > 1:
            raise Misconfigured(
                f"{id} has two credentials already. End that change first: `subak agency rotate {id} --finish`."
            )
        _issue(administration, identity, standing.with_next(identity), out)
        console().print(
            f"The old ones work on. When the adapter has the new ones: [cyan]subak agency rotate {id} --finish[/]"
        )
        return
    if len(numbers) == 1:
        raise Misconfigured(f"{id} has only {user_of(identity, numbers[0])}: there is nothing older to take away.")
    administration.apply(_part(administration, identity, standing.with_newest(identity)), _nobody)
    console().print(f"[green]{user_of(identity, numbers[-1])}[/] alone counts now.")


@app.command()
def suspend(id: Id) -> None:
    """Cut an agency off at once. Its events wait in its outbox, and what it must know in its in topic."""
    administration = _administration(id)
    standing, identity = administration.standing, agency_identity(id)
    if identity in standing.suspended:
        raise Misconfigured(f"{id} is suspended already. `subak agency add {id}` gives it new credentials.")
    administration.apply(_part(administration, identity, standing.with_suspended(identity)), _nobody)
    console().print(f"[red]{id} is cut off.[/] `subak agency add {id}` lets it in again, with new credentials.")


@app.command()
def remove(id: Id) -> None:
    """Take away all credentials and rights of an agency that the directory no longer names. Its topics stay."""
    administration = Administration.here()
    identity = agency_identity(id)
    if id in administration.city.agencies:
        raise Misconfigured(
            f"{id} stands in the city's agencies.toml. Take it out there first; `subak agency suspend {id}` cuts it "
            "off now."
        )
    plan = administration.plan().only(identity)
    if not plan.changes:
        raise Misconfigured(f"the cluster knows no agency {id}. {nearest(id, administration.city.agencies)}")
    administration.apply(plan, _nobody)
    console().print(f"[green]{id} is gone.[/] Its topics stay: `subak topology plan` names the flags that delete them.")


def _administration(id: str) -> Administration:
    administration = Administration.here()
    if id not in administration.city.agencies:
        raise Misconfigured(f"the city has no agency {id}. {nearest(id, administration.city.agencies)}")
    if not administration.found.authorizes:
        raise Misconfigured(
            "the cluster has no authorizer, so credentials would keep nobody out. See `subak topology plan`."
        )
    return administration


def _part(administration: Administration, identity: str, standing: Standing) -> Plan:
    return administration.plan(standing).only(identity)


def _issue(administration: Administration, identity: str, standing: Standing, out: Path | None) -> None:
    issued: list[tuple[str, str]] = []

    def keep(user: str, password: str) -> None:
        if out is not None:
            write_credentials(out, user, password)
        issued.append((user, password))

    administration.apply(_part(administration, identity, standing), keep)
    shown = console()
    for user, password in issued:
        if out is not None:
            shown.print(f"[green]{user}[/] is in [cyan]{escape(str(out))}[/].")
        else:
            shown.print(f"[green]{user}[/]. This is shown once; it goes into the agency's credentials file:")
            typer.echo(credentials_text(user, password), nl=False)


def _nobody(user: str, password: str) -> None:
    raise Misconfigured(f"a user {user} would be made, which nobody asked for.")
