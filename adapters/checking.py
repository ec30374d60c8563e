"""Checks an adapter's folder before it runs: adapter.toml, mappings, handlers, samples; and, if asked, its connections.

Nothing is read from the agency's system or changed in it. All that is wrong is gathered, each with its fix.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from collections.abc import Mapping as Environment
from dataclasses import dataclass, field
from datetime import datetime
from functools import partial
from pathlib import Path
from typing import Literal

from adapters.config import AdapterConfig, Named, ServedAgency
from adapters.intake import Intake
from adapters.kinds import Place, Source, Target, source_kind, target_kind
from adapters.mapping import Mapping
from adapters.samples import Sample, sample_files, source_samples, target_samples
from bus.agency_tables import NAME, TABLES, VERSION
from bus.cases import KnownCases
from bus.city import City
from bus.database import Database
from bus.outbox import Outbox
from schemas.failures import Misconfigured, SubakError
from schemas.strict import Strict

HTTP = Named(kind="http", name="http", settings=Strict())
"""The source that every adapter has: its samples are events, as its system POSTs them."""

CONNECTION_SECONDS_MAX = 30.0
"""How long one source or target may take to say whether it is connected."""


@dataclass
class Checked:
    """What was found."""

    config: AdapterConfig
    folder: Path
    database: Database
    problems: list[str] = field(default_factory=list)
    samples: list[Sample] = field(default_factory=list)
    parts: list[tuple[str, str, Source | Target]] = field(default_factory=list)
    """Agency, name, and the source or target itself, of those that could be built."""
    unsampled: list[str] = field(default_factory=list)
    """Where samples would lie that are not there."""

    def place(self, agency: ServedAgency, named: Named, city: City, environment: Environment[str, str]) -> Place:
        """Where a source or target stands."""
        return Place(
            agency=agency.id,
            name=named.name,
            folder=self.folder,
            environment=environment,
            city=city,
            database=self.database,
        )

    def build(self, agency: ServedAgency, named: Named, make: Callable[[], Source | Target]) -> None:
        """Make a source or target, and note what is wrong with the files that it names."""
        try:
            self.parts.append((agency.id, named.name, make()))
        except Misconfigured as error:
            self._note(error)

    def add_samples(
        self, way: Literal["in", "out"], agency: ServedAgency, named: Named, city: City, now: datetime
    ) -> None:
        """Run the samples of a source or target."""
        home = self.folder / "samples"
        if (home / agency.id).is_dir():
            home = home / agency.id
        folder = home / way / named.name
        mapping: Mapping | None = None
        if (name := mapping_of(named)) is not None:
            try:
                mapping = Mapping.load(self.folder / name, city)
            except Misconfigured as error:
                self._note(error)
                return
        if not sample_files(folder):
            if mapping is not None:
                self.unsampled.append(str(folder.relative_to(self.folder)))
        elif way == "in":
            self.samples += source_samples(folder, named.name, mapping, agency.id, city, now)
        elif mapping is not None:
            self.samples += target_samples(folder, named.name, mapping, city, now)

    def _note(self, error: Misconfigured) -> None:
        self.problems += [line for line in str(error).splitlines() if line not in self.problems]

    @property
    def ok(self) -> bool:
        """Whether nothing is wrong."""
        return not self.problems and not any(sample.reasons for sample in self.samples)


def check_files(path: Path, city: City, environment: Environment[str, str], now: datetime) -> Checked:
    """Check what can be checked without a connection.

    Raises:
        Misconfigured: adapter.toml itself cannot be used.
    """
    config = AdapterConfig.load(path, environment)
    database = Database(config.database_url, tables=TABLES, name=NAME, version=VERSION)
    checked = Checked(config, path.resolve().parent, database)
    cases = KnownCases(database)
    intake = Intake(city, Outbox(database, cases), cases)
    for agency in config.agencies:
        try:
            city.agency(agency.id)
        except Misconfigured as error:
            checked.problems.append(str(error))
            continue
        for named in agency.sources:
            make = partial(
                source_kind(named.kind).build, named.settings, checked.place(agency, named, city, environment)
            )
            checked.build(agency, named, partial(make, intake))
            checked.add_samples("in", agency, named, city, now)
        if not any(named.name == HTTP.name for named in agency.sources):
            checked.add_samples("in", agency, HTTP, city, now)
        if (target := agency.target) is not None:
            build = target_kind(target.kind).build
            place = checked.place(agency, target, city, environment)
            checked.build(agency, target, partial(build, target.settings, place))
            checked.add_samples("out", agency, target, city, now)
    return checked


async def check_connections(checked: Checked) -> list[str]:
    """What each source and target says of its connection, side by side, and whether the adapter's database opens."""
    problems: list[str] = []
    try:
        await checked.database.start()
    except SubakError as error:
        problems.append(f"the adapter's database: {error}")

    async def one(agency: str, name: str, part: Source | Target) -> None:
        try:
            found = await asyncio.wait_for(part.check(), CONNECTION_SECONDS_MAX)
        except TimeoutError:
            found = [f"no answer within {CONNECTION_SECONDS_MAX:g} s."]
        except SubakError as error:
            found = [str(error)]
        problems.extend(f"{agency}, {name}: {problem}" for problem in found)

    try:
        await asyncio.gather(*(one(agency, name, part) for agency, name, part in checked.parts))
    finally:
        for *_, part in checked.parts:
            if hasattr(part, "close"):
                await part.close()
        await checked.database.stop()
    return problems


def mapping_of(named: Named) -> str | None:
    """The file that a source or target names as its mapping, whatever its kind."""
    found = getattr(named.settings, "mapping", None)
    return found if isinstance(found, str) else None
