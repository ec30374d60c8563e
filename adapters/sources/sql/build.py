"""An SQL source, or the rows that it refused, from its section of adapter.toml."""

from __future__ import annotations

from adapters.agency_database import AgencyDatabase, agency_url
from adapters.intake import Intake
from adapters.kinds import Place, Source, SourceKind
from adapters.mapping import Mapping
from adapters.secrets import read_secret
from adapters.sources.sql.config import SqlSourceConfig
from adapters.sources.sql.cursor import CursorSource
from adapters.sources.sql.memory import Memory
from adapters.sources.sql.refused import RefusedRows
from adapters.sources.sql.shaping import Shaping
from adapters.sources.sql.taking import Taking
from adapters.sources.sql.triggers import TriggerSource


def build(config: SqlSourceConfig, place: Place, intake: Intake) -> Source:
    """The source that a section describes. Nothing is connected yet.

    Raises:
        Misconfigured: the URL, its secret or the mapping is wrong.
    """
    database, _, memory, taking = _parts(config, place, intake)
    if config.way == "cursor":
        return CursorSource(place.name, config, database, taking, memory)
    return TriggerSource(place.name, config, database, taking)


def refused_rows(config: SqlSourceConfig, place: Place, intake: Intake) -> RefusedRows:
    """The rows that this source refused, for a command.

    Raises:
        Misconfigured: the URL, its secret or the mapping is wrong.
    """
    database, mapping, _, taking = _parts(config, place, intake)
    return RefusedRows(
        place.database,
        place.agency,
        place.name,
        tables=config.table,
        mapping=mapping,
        agency_database=database,
        taking=taking,
    )


def _parts(
    config: SqlSourceConfig, place: Place, intake: Intake
) -> tuple[AgencyDatabase, Mapping | None, Memory, Taking]:
    database = AgencyDatabase(agency_url(read_secret(config, "url", place.folder, place.environment), place.folder))
    mapping = Mapping.load(place.folder / config.mapping, place.city) if config.mapping is not None else None
    shaping = Shaping(mapping, f"{place.city.source_of(place.agency)}/{place.name}")
    memory = Memory(place.database, place.agency, place.name, refused_max=config.refused_rows_max)
    return database, mapping, memory, Taking(place.agency, database, shaping, intake, memory)


KIND: SourceKind[SqlSourceConfig] = SourceKind(SqlSourceConfig, build)
