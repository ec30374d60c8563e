"""Where a kind of source or target joins the adapter: a name in adapter.toml, and a package with its `KIND`.

`[[agency.source]]` and `[agency.target]` name a `kind`. Its package is imported only then, so an adapter needs no
library of a kind that it does not use. A source says what happened, through `Intake`, which holds it against the shared
schema and stores it; a target takes what concerns the agency, one event at a time. HTTP in the shared form (in) and the
webhook (out) are there without being named.
"""

from __future__ import annotations

import importlib
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Generic, Protocol, TypeVar, runtime_checkable

from sqlalchemy import Connection
from starlette.types import ASGIApp

from adapters.attachments.config import AttachmentsConfig
from adapters.intake import Intake
from adapters.outcome import Outcome
from bus.city import City
from bus.city.problems import nearest
from bus.database import Database
from bus.inbox import Arrived
from schemas.envelope import Event
from schemas.failures import Misconfigured
from schemas.strict import Strict

SOURCES: Mapping[str, str] = {
    "files": "adapters.sources.files",
    "http": "adapters.sources.http",
    "open311": "adapters.sources.open311",
    "python": "adapters.sources.python",
    "sql": "adapters.sources.sql",
}
TARGETS: Mapping[str, str] = {
    "files": "adapters.targets.files",
    "python": "adapters.targets.python",
    "sql": "adapters.targets.sql",
}


@dataclass(frozen=True, kw_only=True)
class Place:
    """Where a source or a target stands: whose it is, and what it may use."""

    agency: str
    name: str
    """Unlike that of any other source or target of the agency; part of the ids that a source derives."""
    folder: Path
    """Of adapter.toml: relative paths begin there."""
    environment: Mapping[str, str]
    city: City
    database: Database
    """The adapter's own, with outbox and inbox in it."""
    attachments: AttachmentsConfig | None = None
    """Where the adapter keeps photos and documents; None: it takes none."""
    casebook: str | None = None
    """The casebook's address, to ask what the bus took; None: it is not asked."""


class Source(Protocol):
    """The agency's system, as far as it says something."""

    async def run(self) -> None:
        """Read for ever; wait out what is away. A crash between reading and storing reads again: ids are derived.

        Raises:
            Misconfigured: a person must act; says what.
        """

    def mount(self) -> tuple[str, ASGIApp] | None:
        """A path of the adapter's HTTP side and what answers below it, for a source that is called."""

    async def check(self) -> list[str]:
        """What is wrong with the connection, a sentence each; nothing is read or changed."""


@runtime_checkable
class ListeningSource(Source, Protocol):
    """A source that keeps what became of the agency's cases, to tell whoever asks it."""

    async def open(self) -> None:
        """Make its tables. Called before anything is stored.

        Raises:
            DatabaseUnavailable: it is called again.
        """

    def hear(self, connection: Connection, events: Sequence[Event]) -> None:
        """See `bus.listening`: what the agency says and hears, in the transaction that stores it."""


class Target(Protocol):
    """The agency's system, as far as it is told something."""

    async def call(self, event: Arrived) -> Outcome:
        """Hand one event over; never raises for what the system does. The same event may come again."""

    async def check(self) -> list[str]:
        """What is wrong with the connection, a sentence each; nothing is written."""

    async def close(self) -> None:
        """Let connections go."""


@runtime_checkable
class WorkingTarget(Target, Protocol):
    """A target that has something to do besides being called."""

    async def run(self) -> None:
        """Do it for ever; wait out what is away.

        Raises:
            Misconfigured: a person must act; says what.
        """


C = TypeVar("C", bound=Strict)


@dataclass(frozen=True)
class SourceKind(Generic[C]):
    """What a source's package names `KIND`."""

    config: type[C]
    """The keys of its `[[agency.source]]`, besides `kind` and `name`."""
    build: Callable[[C, Place, Intake], Source]
    """Raises Misconfigured: a file that it names is wrong. No connection is made yet."""


@dataclass(frozen=True)
class TargetKind(Generic[C]):
    """What a target's package names `KIND`."""

    config: type[C]
    """The keys of its `[agency.target]`, besides `kind`."""
    build: Callable[[C, Place], Target]
    """Raises Misconfigured: a file that it names is wrong. No connection is made yet."""


def source_kind(name: str) -> SourceKind[Any]:
    """The kind of source of that name.

    Raises:
        Misconfigured: there is none, or a library that it needs is not installed.
    """
    found: SourceKind[Any] = _kind(name, SOURCES, "source")
    return found


def target_kind(name: str) -> TargetKind[Any]:
    """The kind of target of that name.

    Raises:
        Misconfigured: there is none, or a library that it needs is not installed.
    """
    found: TargetKind[Any] = _kind(name, TARGETS, "target")
    return found


def _kind(name: str, kinds: Mapping[str, str], what: str) -> Any:
    if name not in kinds:
        raise Misconfigured(f"there is no {what} of kind {name!r}. {nearest(name, kinds)}")
    try:
        return importlib.import_module(kinds[name]).KIND
    except ModuleNotFoundError as error:
        if error.name and error.name.startswith("adapters"):
            raise Misconfigured(f"this Subak has no {what} of kind {name!r} yet.") from error
        raise Misconfigured(
            f"the {what} of kind {name!r} needs the library {error.name}: install subak[adapters]."
        ) from error
