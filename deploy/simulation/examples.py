"""A city's worked examples: `adapters/<agency>/` in its folder, each an adapter as an agency would have it.

    adapter.toml    how the agency's system speaks and is told: kinds, columns, folders
    mapping.toml    its words and the city's, both ways
    tables.*.sql    its own tables, where it has a database
    system.toml     for the simulation alone: what its simulated staff writes, in its own words
    mistakes.*      for the simulation alone: what a hurried clerk writes, to be refused

Here the example is laid out on this machine (folders, tables, triggers) and its sections are turned to where it lies,
with pauses that suit somebody who watches. All else, the mapping first of all, is used as it stands.
"""

from __future__ import annotations

import sqlite3
import tomllib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from importlib.util import find_spec
from pathlib import Path
from typing import Any

from sqlalchemy import URL, create_engine
from sqlalchemy.exc import SQLAlchemyError

from adapters.agency_database import agency_url
from adapters.sources.sql.config import SqlSourceConfig
from adapters.sources.sql.ddl import ddl
from adapters.targets.sql.rows import TAKEN_DDL
from bus.city import City
from deploy.local.adapter_files import AgencyKinds
from deploy.simulation.own_system import OwnSystem
from schemas.failures import Misconfigured

FOLDER = "adapters"
DATABASE = "system.sqlite3"

QUICK: Mapping[str, Mapping[str, Any]] = {
    "source sql": {"poll_seconds": 0.1},
    "source python": {"poll_seconds": 0.1},
    "source files": {"settle_seconds": 0.2, "poll_seconds": 0.2},
    "target files": {"period": "second", "look_seconds": 0.2},
}
"""What is other than in the examples: nobody who watches waits for an hour."""


@dataclass(frozen=True)
class Example:
    """One agency's example, as its files say."""

    agency: str
    folder: Path
    source: Mapping[str, Any]
    target: Mapping[str, Any] | None

    def laid_out(self, home: Path, database: str | None = None) -> tuple[AgencyKinds, OwnSystem]:
        """Make its folders, or its tables with the triggers, in `home`; what is there stays.

        Args:
            database: SQLAlchemy's URL of a database for its tables; a SQLite file in `home` where it is None.

        Raises:
            Misconfigured: the database cannot be used; says why.
        """
        if any(name.endswith(".xlsx") for name in self.source.get("files", ())) and not find_spec("openpyxl"):
            raise Misconfigured(f"the simulated staff of {self.agency} writes XLSX: install subak[local].")
        home.mkdir(parents=True, exist_ok=True)
        url = str(database or f"sqlite:///{home / DATABASE}")
        source = self._section("source", self.source, home, url)
        target = self._section("target", self.target, home, url) if self.target is not None else None
        has_database = "url" in source or "handler" in source
        if has_database:
            self._make_tables(agency_url(url, home))
        for section in filter(None, (source, target)):
            if "folder" in section:
                Path(section["folder"]).mkdir(parents=True, exist_ok=True)
        own = OwnSystem(
            example=str(self.folder),
            source=self.source["kind"],
            source_name=self.source.get("name", self.source["kind"]),
            target=self.target["kind"] if self.target is not None else None,
            url=url if has_database else None,
            outgoing=source.get("folder"),
            incoming=target.get("folder") if target is not None else None,
            spreadsheet=any(name.lower().endswith(".xlsx") for name in source.get("files", ())),
            delimiters=(source.get("delimiter", ","), (target or {}).get("delimiter", ",")),
        )
        modules, environment = {}, {}
        if "handler" in source:  # one adapter serves many agencies here: each has its module under a name of its own
            modules[self._module("handlers")] = self.folder / "handlers.py"
            environment[f"{self.agency.upper().replace('-', '_')}_DATABASE"] = str(home / DATABASE)
        return AgencyKinds(sources=(source,), target=target, modules=modules, environment=environment), own

    def make_mistakes(self, own: OwnSystem) -> None:
        """Write what the example's `mistakes` file holds into the agency's system, where it has one."""
        if own.url is not None and (script := self.folder / "mistakes.sql").exists():
            _run(agency_url(own.url, self.folder), [script.read_text(encoding="utf-8")])
        if own.outgoing is not None:
            for path in self.folder.glob("mistakes.csv"):
                hidden = Path(own.outgoing) / f".{path.name}"
                hidden.write_bytes(path.read_bytes())
                hidden.replace(hidden.with_name(path.name))

    def _section(self, what: str, section: Mapping[str, Any], home: Path, url: str) -> dict[str, Any]:
        found = {**section, **QUICK.get(f"{what} {section['kind']}", {})}
        if "mapping" in found:
            found["mapping"] = str(self.folder / found["mapping"])
        if "folder" in found:
            found["folder"] = str(home / found["folder"])
        if "url" in found:
            found["url"] = url
        if "handler" in found:
            module, _, function = found["handler"].partition(":")
            found["handler"] = f"{self._module(module)}:{function}"
        return found

    def _module(self, name: str) -> str:
        return f"{self.agency.replace('-', '_')}_{name}"

    def _make_tables(self, url: URL) -> None:
        """The agency's own tables, then what `subak adapter sql-ddl` prints for them."""
        kind = url.get_backend_name()
        tables = self.folder / f"tables.{kind}.sql"
        if not tables.exists():
            raise Misconfigured(f"the example {self.folder.name} has no {tables.name}: choose another database for it.")
        scripts = [tables.read_text(encoding="utf-8")]
        if "url" in self.source:
            keys = {key: value for key, value in self.source.items() if key not in ("kind", "name")}
            config = SqlSourceConfig.model_validate(_tuples(keys))
            scripts += [*ddl(kind, config.changes, config.table), TAKEN_DDL]
        try:
            _run(url, scripts)
        except (sqlite3.Error, SQLAlchemyError) as error:
            shown = url.render_as_string(hide_password=True)
            raise Misconfigured(f"the tables of {self.agency} cannot be made in {shown}: {error}") from error


def _run(url: URL, scripts: Sequence[str]) -> None:
    """Run these in one transaction where the database can, one after the other where it is SQLite."""
    if url.get_backend_name() == "sqlite":
        connection = sqlite3.connect(str(url.database), timeout=10)
        try:
            connection.execute("PRAGMA journal_mode = WAL")  # so that staff and adapter wait less for each other
            for script in scripts:
                connection.executescript(script)
        finally:
            connection.close()
        return
    engine = create_engine(url)
    try:
        with engine.begin() as transaction:
            for script in scripts:
                transaction.exec_driver_sql(script)
    finally:
        engine.dispose()


def examples(city_folder: Path, city: City) -> dict[str, Example]:
    """Every example of a city, by agency; none where it has no such folder.

    Raises:
        Misconfigured: an adapter.toml there is not one.
    """
    found: dict[str, Example] = {}
    for path in sorted((city_folder / FOLDER).glob("*/adapter.toml")):
        try:
            (agency,) = tomllib.loads(path.read_text(encoding="utf-8"))["agency"]
            (source,) = agency["source"]
            example = Example(agency["id"], path.parent, source, agency.get("target"))
        except (ValueError, KeyError, OSError) as error:
            raise Misconfigured(
                f"{path} is no example that can be simulated ({error!r}): give it one agency with one source."
            ) from error
        if example.agency not in city.agencies:
            raise Misconfigured(f"{path}: {city.id} has no agency {example.agency!r}.")
        found[example.agency] = example
    return found


def _tuples(value: Any) -> Any:
    if isinstance(value, list):
        return tuple(_tuples(each) for each in value)
    return {key: _tuples(each) for key, each in value.items()} if isinstance(value, dict) else value
