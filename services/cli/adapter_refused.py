"""`subak adapter refused`: the rows of an SQL source that became no event, why, and another try after the mending."""

from __future__ import annotations

import asyncio
import os
from collections.abc import Awaitable, Callable
from datetime import UTC, datetime
from pathlib import Path
from typing import Annotated, Any, TypeVar

import msgspec
import typer
from rich.markup import escape

from adapters.config import AdapterConfig, Named, ServedAgency
from adapters.intake import Intake
from adapters.kinds import Place
from adapters.sources.sql.build import refused_rows
from adapters.sources.sql.config import SqlSourceConfig
from adapters.sources.sql.refused import BATCH_ROWS, Kept, RefusedRows
from bus.agency_migrations import STEPS
from bus.agency_tables import NAME, TABLES, VERSION
from bus.cases import KnownCases
from bus.city import city_path, load_city
from bus.city.problems import nearest
from bus.database import Database
from bus.outbox import Outbox
from bus.settings import read_settings
from schemas.failures import Misconfigured
from services.cli.showing import console, say_json, table

T = TypeVar("T")

app = typer.Typer(no_args_is_help=True, help="Rows of an SQL source that became no event: list, retry, drop them.")

EXIT_REFUSED = 1

AdapterFile = Annotated[Path, typer.Argument(help="The adapter's adapter.toml.", exists=True, dir_okay=False)]
Numbers = Annotated[list[int] | None, typer.Argument(help="The numbers that `list` shows.")]
All = Annotated[bool, typer.Option("--all", help="All that are kept.")]
AgencyOption = Annotated[str, typer.Option(help="Whose rows. Default: the only agency with a source of kind sql.")]
SourceOption = Annotated[str, typer.Option(help="Which source's rows. Default: the only one of kind sql.")]
CityOption = Annotated[str, typer.Option("--city", help="The city, or its folder. Default: SUBAK_CITY.")]
AsJson = Annotated[bool, typer.Option("--json", help="One JSON object.")]


@app.command("list")
def list_refused(
    adapter: AdapterFile,
    agency: AgencyOption = "",
    source: SourceOption = "",
    limit: Annotated[int, typer.Option(min=1, max=100_000, help="At most so many, the oldest first.")] = 50,
    city: CityOption = "",
    as_json: AsJson = False,
) -> None:
    """List the rows that were refused, each with its reasons; with --json the rows themselves, too."""
    found = _with_rows(adapter, agency, source, city, lambda rows: rows.list(rows_max=limit))
    if as_json:
        say_json({"refused": [_as_dict(kept) for kept in found]})
        return
    out = console()
    if not found:
        out.print("No refused row is kept.")
        return
    shown = table("number", "refused at", "table", "operation", "why")
    for kept in found:
        why = "; ".join(f"{reason['field']}: {reason['problem']}. {reason['fix']}" for reason in kept.reasons)
        shown.add_row(str(kept.number), _moment(kept), kept.change.table, kept.change.operation, escape(why))
    out.print(shown)
    out.print("Mend the rows or the mapping, and try again: subak adapter refused retry adapter.toml --all")


@app.command("retry")
def retry_refused(
    adapter: AdapterFile,
    numbers: Numbers = None,
    all_: All = False,
    as_kept: Annotated[
        bool, typer.Option("--as-kept", help="As the rows were when they were refused, not as they are now.")
    ] = False,
    agency: AgencyOption = "",
    source: SourceOption = "",
    city: CityOption = "",
    as_json: AsJson = False,
) -> None:
    """Try refused rows again: as they stand in the agency's table now, with the mapping as it is now. Exit code 1 where
    some are refused again."""
    _require_choice(numbers, all_)

    async def work(rows: RefusedRows) -> tuple[int, dict[int, list[dict[str, str]]]]:
        taken, again, after = 0, {}, 0
        while batch := await rows.list(after=after, only=numbers or ()):
            after = batch[-1].number
            for number, refused in (await rows.retry(batch, as_kept=as_kept)).items():
                if refused is None:
                    taken += 1
                else:
                    again[number] = [reason.as_dict() for reason in refused.reasons]
        return taken, again

    taken, again = _with_rows(adapter, agency, source, city, work)
    if as_json:
        say_json({"taken": taken, "refused": {str(number): reasons for number, reasons in again.items()}})
    else:
        out = console()
        for number, reasons in again.items():
            why = "; ".join(f"{reason['field']}: {reason['problem']}. {reason['fix']}" for reason in reasons)
            out.print(f"{number}: {escape(why)}")
        out.print(f"{taken} taken, {len(again)} refused again.")
    raise typer.Exit(EXIT_REFUSED if again else 0)


@app.command("drop")
def drop_refused(
    adapter: AdapterFile,
    numbers: Numbers = None,
    all_: All = False,
    agency: AgencyOption = "",
    source: SourceOption = "",
    city: CityOption = "",
) -> None:
    """Keep refused rows no longer: they become no event, ever."""
    _require_choice(numbers, all_)

    async def work(rows: RefusedRows) -> int:
        gone = 0
        while batch := await rows.list(only=numbers or ()):
            gone += await rows.drop([kept.number for kept in batch])
        return gone

    console().print(f"{_with_rows(adapter, agency, source, city, work)} dropped.")


def _require_choice(numbers: list[int] | None, all_: bool) -> None:
    if bool(numbers) == all_:
        raise Misconfigured("say which: the numbers that `subak adapter refused list` shows, or --all.")
    if numbers and len(numbers) > BATCH_ROWS:
        raise Misconfigured(f"name at most {BATCH_ROWS} at once, or --all.")


def _with_rows(path: Path, agency: str, source: str, city_name: str, work: Callable[[RefusedRows], Awaitable[T]]) -> T:
    config = AdapterConfig.load(path)
    city = load_city(city_path(city_name or read_settings().city))
    served, named = _source(config, agency, source)
    settings, folder = named.settings, path.resolve().parent
    assert isinstance(settings, SqlSourceConfig)

    async def run() -> T:
        database = Database(config.database_url, tables=TABLES, name=NAME, version=VERSION, steps=STEPS)
        await database.start()
        try:
            place = Place(
                agency=served.id,
                name=named.name,
                folder=folder,
                environment=os.environ,
                city=city,
                database=database,
            )
            cases = KnownCases(database)
            outbox = Outbox(database, cases, rows_max=config.outbox_rows_max)
            await outbox.start([served.id])
            rows = refused_rows(settings, place, Intake(city, outbox, cases))
            try:
                return await work(rows)
            finally:
                await rows.close()
        finally:
            await database.stop()

    return asyncio.run(run())


def _source(config: AdapterConfig, agency: str, source: str) -> tuple[ServedAgency, Named]:
    ids = [served.id for served in config.agencies]
    if agency and agency not in ids:
        raise Misconfigured(f"this adapter serves no agency {agency!r}. {nearest(agency, ids)}")
    found = [
        (served, named)
        for served in config.agencies
        for named in served.sources
        if agency in ("", served.id) and named.kind == "sql"
    ]
    names = [named.name for _, named in found]
    if source and source not in names:
        raise Misconfigured(f"there is no source {source!r} of kind sql. {nearest(source, names)}")
    found = [one for one in found if source in ("", one[1].name)]
    if len(found) != 1:
        many = "several sources are" if found else "no source is"
        raise Misconfigured(f"{many} of kind sql: name one with --agency and --source. {nearest('', names)}")
    return found[0]


def _as_dict(kept: Kept) -> dict[str, Any]:
    change = kept.change
    try:
        row: Any = msgspec.json.decode(change.row)
    except msgspec.DecodeError:
        row = change.row
    return {
        "number": kept.number,
        "refused_at": _moment(kept),
        "table": change.table,
        "operation": change.operation,
        "changed_at": change.changed_at,
        "row": row,
        "reasons": kept.reasons,
    }


def _moment(kept: Kept) -> str:
    return datetime.fromtimestamp(kept.refused_at, UTC).isoformat(timespec="seconds")
