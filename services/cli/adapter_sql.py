"""`subak adapter sql-ddl`: what an agency's database must have, printed for whoever may make it. It changes nothing."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from adapters.config import AdapterConfig
from adapters.sql_needs import needs
from bus.city.problems import nearest
from schemas.failures import Misconfigured


def sql_ddl(
    adapter: Annotated[Path, typer.Argument(help="The adapter's adapter.toml.", exists=True, dir_okay=False)],
    agency: Annotated[str, typer.Option(help="Only this agency's. Default: all in the file.")] = "",
    offline: Annotated[bool, typer.Option("--offline", help="Do not ask the database for its columns.")] = False,
    drop: Annotated[bool, typer.Option("--drop", help="Print what takes it away again.")] = False,
) -> None:
    """Print the tables and triggers that an agency's database needs for its sources and targets of kind sql.

    Hand the output to the database's administrator, or to its own client: `subak adapter sql-ddl adapter.toml | sqlite3
    works.sqlite3`. It may be run again, and must be after the tables or columns in adapter.toml were changed.
    """
    config = AdapterConfig.load(adapter)
    ids = [served.id for served in config.agencies]
    if agency and agency not in ids:
        raise Misconfigured(f"{adapter} has no agency {agency!r}. {nearest(agency, ids)}")
    found = False
    for served in config.agencies:
        if agency in ("", served.id):
            for heading, statements in needs(
                served, adapter.parent.absolute(), config.database_url, offline=offline, drop=drop
            ):
                found = True
                typer.echo(f"-- {heading}")
                for statement in statements:
                    typer.echo(f"{statement};")
    if not found:
        raise Misconfigured(f"{adapter} has no source or target of kind sql that needs anything in a database.")
