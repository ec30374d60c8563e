"""What sources and targets of kind `sql` of one agency need in its database, as statements; and whether they fit it."""

from __future__ import annotations

import os
from collections.abc import Iterator, Sequence
from pathlib import Path

from sqlalchemy import Engine, create_engine, inspect
from sqlalchemy.exc import DBAPIError, NoSuchTableError
from sqlalchemy.pool import NullPool
from sqlalchemy.types import LargeBinary

from adapters.agency_database import CONNECT_SECONDS_MAX, agency_url
from adapters.config import ServedAgency
from adapters.secrets import read_secret
from adapters.sources.sql.config import SqlSourceConfig, TableConfig
from adapters.sources.sql.ddl import Binary, ddl, drop_ddl
from adapters.targets.sql.rows import TAKEN, TAKEN_DDL
from adapters.targets.sql.target import SqlTargetConfig, same_database
from bus.city.problems import nearest
from schemas.failures import Misconfigured

BINARY_TYPES = ("BIT", "GEOMETRY", "POINT", "LINESTRING", "POLYGON", "BINARY", "VARBINARY")


def needs(
    agency: ServedAgency, folder: Path, adapter_url: str, *, offline: bool, drop: bool
) -> Iterator[tuple[str, list[str]]]:
    """A heading and statements for each source and target that needs some.

    Raises:
        Misconfigured: a table or column is not there, or the database cannot be asked.
    """
    for source in agency.sources:
        config = source.settings
        if not isinstance(config, SqlSourceConfig) or config.way != "triggers":
            continue
        url = agency_url(read_secret(config, "url", folder, os.environ), folder)
        kind = url.get_backend_name()
        shown = url.set(query={}).render_as_string(hide_password=True)
        heading = f"{agency.id}: the source {source.name}, in {shown}"
        if drop:
            yield heading, drop_ddl(kind, config.changes, config.table)
            continue
        binary: Binary = frozenset()
        if not offline:
            seconds = {"timeout": 5} if kind == "sqlite" else {"connect_timeout": CONNECT_SECONDS_MAX}
            engine = create_engine(url, poolclass=NullPool, connect_args=seconds)
            if kind == "sqlite" and not Path(str(url.database)).exists():
                raise Misconfigured(f"there is no file {url.database}. Set url of the source, or give --offline.")
            binary = _binary(engine, config.table, source.name)
        yield heading, ddl(kind, config.changes, config.table, binary=binary)
    if agency.target is not None and isinstance(config := agency.target.settings, SqlTargetConfig):
        url = agency_url(read_secret(config, "url", folder, os.environ), folder)
        if not same_database(url, adapter_url):
            heading = f"{agency.id}: the target, in {url.set(query={}).render_as_string(hide_password=True)}"
            yield heading, [f"DROP TABLE IF EXISTS {TAKEN}" if drop else TAKEN_DDL]


def _binary(engine: Engine, tables: Sequence[TableConfig], source: str) -> Binary:
    """The columns that hold bytes, once all are found to be there."""
    problems: list[str] = []
    found: set[tuple[str, str]] = set()
    try:
        asked = inspect(engine)
        for table in tables:
            schema, _, name = table.name.rpartition(".")
            try:
                columns = {column["name"]: column["type"] for column in asked.get_columns(name, schema or None)}
            except NoSuchTableError:
                known = asked.get_table_names(schema or None)
                problems.append(f"{source}: the database has no table {table.name}. {nearest(name, known)}")
                continue
            problems += [
                f"{source}: the table {table.name} has no column {column}. {nearest(column, columns)}"
                for column in table.columns
                if column not in columns
            ]
            found |= {
                (table.name, column)
                for column, type in columns.items()
                if isinstance(type, LargeBinary) or type.__visit_name__.upper() in BINARY_TYPES
            }
    except DBAPIError as error:
        raise Misconfigured(
            f"{source}: the database cannot be asked: {error.orig}. Mend the url, or give --offline."
        ) from error
    if problems:
        raise Misconfigured("\n".join(problems))
    return found
