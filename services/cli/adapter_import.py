"""`subak adapter import`: an agency's old records as history, at a bounded rate, without notifying anybody."""

from __future__ import annotations

import asyncio
import re
import time
from pathlib import Path
from typing import Annotated

import typer
from rich.markup import escape

from adapters.checking import mapping_of
from adapters.config import AdapterConfig, ServedAgency
from adapters.history import HistoryImport, ImportSettings
from adapters.mapping import Mapping
from adapters.sources.files.config import FilesConfig
from adapters.sources.files.memory import Progress
from adapters.sources.files.table import FileRefused
from bus.agency_tables import NAME, TABLES, VERSION
from bus.city import city_path, load_city
from bus.city.problems import nearest
from bus.database import Database
from bus.settings import read_settings
from schemas.failures import Misconfigured
from services.cli.showing import console, say_json

TELL_SECONDS = 5.0
"""How often an import says how far it is."""

EXIT_REFUSED = 1

_name = re.compile(r"[a-z0-9]+(-[a-z0-9]+)*")


def import_history(
    file: Annotated[Path, typer.Argument(help="CSV, with a line of column names.", exists=True, dir_okay=False)],
    adapter: Annotated[Path, typer.Option(help="The adapter's adapter.toml.", exists=True, dir_okay=False)],
    mapping: Annotated[
        Path | None, typer.Option(help="What a row becomes. Default: the mapping of the source.", dir_okay=False)
    ] = None,
    rate: Annotated[float, typer.Option(min=0.1, max=5000, help="Rows a second, at most.")] = 200.0,
    agency: Annotated[str, typer.Option(help="Whose records. Default: the only agency of the adapter.")] = "",
    source: Annotated[str, typer.Option(help="Which source's records. Default: the only one with a mapping.")] = "",
    name: Annotated[str, typer.Option(help="What the import is called. Default: as the file.")] = "",
    delimiter: Annotated[str, typer.Option(help="What stands between cells. Default: as the source's files.")] = "",
    encoding: Annotated[str, typer.Option(help="utf-8 or cp1252. Default: as the source's files.")] = "",
    city: Annotated[str, typer.Option("--city", help="The city, or its folder. Default: SUBAK_CITY.")] = "",
    as_json: Annotated[bool, typer.Option("--json", help="One JSON object: taken, known, refused, errors.")] = False,
) -> None:
    """Bring old records in as history: kept and shown, and nobody is told. Broken off, it goes on where it was. Exit
    code 1 where rows were refused."""
    config = AdapterConfig.load(adapter)
    folder = adapter.resolve().parent
    found = load_city(city_path(city or read_settings().city))
    served = _agency(config, agency)
    place, kept, named = _source(served, source)
    path = mapping if mapping is not None else folder / named if named is not None else None
    if path is None:
        raise Misconfigured("no mapping says what a row becomes. Name one with --mapping.")
    settings = ImportSettings(agency=served.id, source=place, name=_import_name(name, file), rows_per_second=rate)
    reading = _reading(kept, delimiter, encoding)
    out = console()

    async def work() -> tuple[Progress, Path]:
        database = Database(config.database_url, tables=TABLES, name=NAME, version=VERSION)
        await database.start()
        last = time.monotonic()

        def went_on(progress: Progress) -> None:
            nonlocal last
            if not as_json and time.monotonic() - last >= TELL_SECONDS:
                last = time.monotonic()
                out.print(f"[dim]row {progress.row_number}: {_counts(progress)}[/]")

        try:
            importing = HistoryImport(
                file, reading, Mapping.load(path, found), found, database, settings,
                tell=lambda sentence: None if as_json else out.print(f"[yellow]{escape(sentence)}[/]"),
            )  # fmt: skip
            return await importing.run(went_on), importing.errors.path
        finally:
            await database.stop()

    try:
        progress, errors = asyncio.run(work())
    except FileRefused as error:
        raise Misconfigured(f"{file}: {error}") from error
    except OSError as error:
        raise Misconfigured(f"{error.filename or file}: {error.strerror}.") from error
    if as_json:
        say_json(
            {
                "name": settings.name,
                "taken": progress.rows_taken,
                "known": progress.rows_known,
                "refused": progress.rows_refused,
                "errors": str(errors) if progress.rows_refused else None,
            }
        )
    else:
        out.print(f"[green]{escape(settings.name)}[/]: {_counts(progress)}.")
        if progress.rows_refused:
            out.print(f"Refused rows, with their reasons: {escape(str(errors))}. Correct them, and import that file.")
    raise typer.Exit(EXIT_REFUSED if progress.rows_refused else 0)


def _counts(progress: Progress) -> str:
    return f"{progress.rows_taken} taken, {progress.rows_known} known or skipped, {progress.rows_refused} refused"


def _agency(config: AdapterConfig, name: str) -> ServedAgency:
    found = {agency.id: agency for agency in config.agencies}
    if not name and len(found) == 1:
        return config.agencies[0]
    if name not in found:
        problem = f"this adapter serves no agency {name!r}" if name else "this adapter serves several agencies"
        raise Misconfigured(f"{problem}. Name one with --agency. {nearest(name, found)}")
    return found[name]


def _source(agency: ServedAgency, name: str) -> tuple[str, FilesConfig | None, str | None]:
    """The name of the source, how it reads files if it does, and its mapping."""
    sources = {source.name: source for source in agency.sources}
    mapped = [source for source in agency.sources if mapping_of(source) is not None]
    if name and name not in sources:
        raise Misconfigured(f"{agency.id} has no source {name!r}. {nearest(name, sources)}")
    if not name and len(mapped) != 1:
        many = "several sources have a mapping" if mapped else "no source has a mapping"
        raise Misconfigured(f"{many}: name the one whose records these are with --source. {nearest('', sources)}")
    found = sources[name] if name else mapped[0]
    reading = found.settings if isinstance(found.settings, FilesConfig) else None
    return found.name, reading, mapping_of(found)


def _reading(kept: FilesConfig | None, delimiter: str, encoding: str) -> FilesConfig:
    stated = {key: value for key, value in (("delimiter", delimiter), ("encoding", encoding)) if value}
    before = kept.model_dump() if kept is not None else {"folder": ".", "mapping": "mapping.toml"}
    try:
        return FilesConfig.model_validate(before | stated)
    except ValueError as error:
        raise Misconfigured("--delimiter is one character, and --encoding utf-8 or cp1252.") from error


def _import_name(name: str, file: Path) -> str:
    found = name or "-".join(re.findall(r"[a-z0-9]+", file.stem.lower()))[:64].strip("-")
    if not _name.fullmatch(found) or len(found) > 64:
        raise Misconfigured(f'{found[:100]!r} names no import: use lower-case letters, digits and "-" with --name.')
    return found
