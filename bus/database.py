"""One database, one writer: units of work run in one thread, and those that wait together commit together.

A unit is a plain function of a `Connection`. When `run` returns, what the unit wrote is on disk (SQLite in WAL mode
with `synchronous=FULL`, or PostgreSQL's commit). Units that queue while a commit is under way share the next
transaction: one flush to disk for all of them, so throughput grows with load and a lone unit waits for nobody. Where
one of them fails, the transaction is rolled back and each runs again in a transaction of its own, so that none suffers
for another.

What bends it: a commit whose outcome is unknown (the connection to PostgreSQL breaks). The unit is then run again, here
or by the caller, so **every unit must be safe to run twice**: it inserts where nothing is there, it sets what it was
told, and it changes nothing but the database.
"""

from __future__ import annotations

import asyncio
import queue
import threading
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from types import MappingProxyType
from typing import Any, TypeVar

from sqlalchemy import (
    Column,
    Connection,
    Engine,
    Integer,
    MetaData,
    String,
    Table,
    create_engine,
    event,
    insert,
    select,
    text,
    update,
)
from sqlalchemy.engine import make_url
from sqlalchemy.exc import ArgumentError, DBAPIError, NoSuchModuleError

from bus.logs import get_logger
from bus.migrations import Steps, can_upgrade, upgrade
from bus.restored import require_keys
from schemas.failures import Misconfigured, Retryable, SubakError

log = get_logger("database")

T = TypeVar("T")

BUSY_WAIT_SECONDS = 5.0
"""How long SQLite waits for another process that holds the file's lock."""


class DatabaseUnavailable(Retryable):
    """The database did not answer, or another process holds it. Whether the last unit stands may be unknown."""


class DiskFull(DatabaseUnavailable):
    """The database's disk is full: nothing was stored. Free space; nothing else is needed."""


@dataclass(slots=True)
class _Unit:
    run: Callable[[Connection], Any]
    done: asyncio.Future[Any]
    result: Any = None
    error: BaseException | None = None
    alone: bool = False


class Database:
    """Runs units of work against one database, in order of their arrival."""

    def __init__(
        self,
        url: str,
        *,
        tables: MetaData,
        name: str,
        version: int,
        steps: Steps = MappingProxyType({}),
        units_max: int = 500,
        waiting_max: int = 20_000,
    ) -> None:
        """
        Args:
            url: `sqlite:///<file>` or `postgresql+psycopg://...`.
            tables: created at the start where they are missing.
            name: of the tables as a whole, for the version check.
            version: of the tables. A database with an older one is upgraded, in one transaction; one with a newer is
                refused.
            steps: how to upgrade.
            units_max: units in one transaction. More is faster; one that fails makes so many run again.
            waiting_max: units that may wait. Beyond, `run` refuses at once.
        """
        self.url = url
        self._tables = tables
        self._name = name
        self._version = version
        self._steps = steps
        self._units_max = units_max
        self._waiting_max = waiting_max
        self._queue: queue.SimpleQueue[_Unit | None] = queue.SimpleQueue()
        self._engine = _engine(url)
        self._thread: threading.Thread | None = None
        self._loop: asyncio.AbstractEventLoop | None = None

    @property
    def dialect(self) -> str:
        """`sqlite` or `postgresql`."""
        return self._engine.dialect.name

    async def start(self) -> None:
        """Open the database; create its tables where they are missing, upgrade them where they are old.

        Raises:
            Misconfigured: it cannot be opened, its tables are of an unknown version, or restored only in part.
            DatabaseUnavailable: it does not answer; call again.
        """
        self._loop = asyncio.get_running_loop()
        self._thread = threading.Thread(target=self._work, name=f"database-{self._name}", daemon=True)
        self._thread.start()
        try:
            await self.run(self._create)
        except BaseException:
            await self.stop()
            raise

    async def run(self, unit: Callable[[Connection], T], *, alone: bool = False) -> T:
        """Run `unit` in a transaction and return its result once that has been committed.

        A caller that is cancelled does not stop the unit: it may run all the same.

        Args:
            alone: in a transaction that no other unit shares.

        Raises:
            DiskFull: nothing was stored.
            DatabaseUnavailable: the outcome may be unknown; run the unit again.
            whatever `unit` raises: nothing of it was stored.
        """
        if self._thread is None or self._loop is None:
            raise DatabaseUnavailable(f"the database {self._name} is not started")
        if self._queue.qsize() >= self._waiting_max:
            raise DatabaseUnavailable(f"{self._waiting_max} units wait for the database {self._name}: try again later")
        waiting = _Unit(unit, self._loop.create_future(), alone=alone)
        self._queue.put(waiting)
        result: T = await waiting.done
        return result

    async def stop(self) -> None:
        """Finish what waits, and close."""
        thread, self._thread = self._thread, None
        if thread is not None:
            self._queue.put(None)
            await asyncio.get_running_loop().run_in_executor(None, thread.join)

    def _work(self) -> None:
        """The writer thread: takes what waits, commits it together, and hands the results back in one go."""
        assert self._loop is not None
        going_on = True
        while going_on:
            taken = [self._queue.get()]
            while len(taken) < self._units_max and not self._queue.empty():
                taken.append(self._queue.get())
            units = [unit for unit in taken if unit is not None]
            going_on = len(units) == len(taken)
            for group in _groups(units):
                self._commit(group)
                try:
                    self._loop.call_soon_threadsafe(_hand_back, group)
                except RuntimeError:
                    going_on = False  # the loop is closed: nobody waits
        self._engine.dispose()

    def _commit(self, units: Sequence[_Unit], *, again: bool = False) -> None:
        try:
            with self._engine.begin() as connection:
                for unit in units:
                    unit.result = unit.run(connection)
        except BaseException as error:
            broken = isinstance(error, DBAPIError) and error.connection_invalidated
            if len(units) > 1:
                for unit in units:
                    self._commit([unit])
            elif broken and not again:  # the server was started anew: the pool has a fresh connection by now
                self._commit(units, again=True)
            else:
                units[0].error = sorted_error(error, self._name)

    def _create(self, connection: Connection) -> None:
        if self.dialect == "postgresql":  # two processes that start together would create the same tables
            connection.execute(text("SELECT pg_advisory_xact_lock(hashtext(:name))"), {"name": f"subak {self._name}"})
        _versions.create(connection, checkfirst=True)
        found = connection.scalar(select(_versions.c.version).where(_versions.c.name == self._name))
        if found is None:
            self._tables.create_all(connection)
            connection.execute(insert(_versions).values(name=self._name, version=self._version))
        elif can_upgrade(self._steps, found, self._version):
            upgrade(connection, self._steps, found, self._version)
            connection.execute(update(_versions).where(_versions.c.name == self._name).values(version=self._version))
            log.info("database_upgraded", name=self._name, version_before=found, version=self._version)
        elif found != self._version:
            raise Misconfigured(
                f"the tables of {self._name} in {self._shown} are of version {found}, and this program knows version "
                f"{self._version}. Run the program that made them, or name another database."
            )
        require_keys(connection, self._tables, self._shown)

    @property
    def _shown(self) -> str:
        """The URL without its password."""
        return self._engine.url.render_as_string(hide_password=True)


_versions = Table(
    "subak_schema",
    MetaData(),
    Column("name", String(64), primary_key=True),
    Column("version", Integer, nullable=False),
)


def _groups(units: Sequence[_Unit]) -> Iterator[list[_Unit]]:
    """The units in their order, those together that may share a transaction."""
    group: list[_Unit] = []
    for unit in units:
        if group and (unit.alone or group[-1].alone):
            yield group
            group = []
        group.append(unit)
    if group:
        yield group


def _hand_back(units: Sequence[_Unit]) -> None:
    for unit in units:
        if unit.done.done():
            continue  # its caller was cancelled
        if unit.error is not None:
            unit.done.set_exception(unit.error)
        else:
            unit.done.set_result(unit.result)


def _engine(url: str) -> Engine:
    # `hide_parameters`: an error is logged, and what a statement carries may be somebody's name.
    try:
        found = make_url(url)
        if found.get_backend_name() == "sqlite":
            engine = create_engine(found, hide_parameters=True, connect_args={"timeout": BUSY_WAIT_SECONDS})
            event.listen(engine, "connect", _prepare_sqlite)
            event.listen(engine, "begin", _begin_immediate)
            return engine
        return create_engine(found, hide_parameters=True, pool_size=1, max_overflow=0)
    except (ArgumentError, NoSuchModuleError, ModuleNotFoundError) as error:
        raise Misconfigured(
            f"this is not the URL of a database that Subak can use: {error}. Give sqlite:///<file>, or "
            "postgresql+psycopg://<user>@<host>/<name> (which needs the extra subak[postgresql])."
        ) from error


def _prepare_sqlite(connection: Any, _: Any) -> None:
    """Every option that durability rests on, stated. sqlite3's own BEGIN comes too late: it is switched off."""
    connection.isolation_level = None
    connection.execute("PRAGMA journal_mode = WAL")
    connection.execute("PRAGMA synchronous = FULL")
    connection.execute(f"PRAGMA busy_timeout = {int(BUSY_WAIT_SECONDS * 1000)}")
    connection.execute("PRAGMA foreign_keys = ON")
    connection.execute("PRAGMA journal_size_limit = 67108864")


def _begin_immediate(connection: Connection) -> None:
    """Take the write lock at once: a transaction that reads first and writes later can fail in between."""
    connection.exec_driver_sql("BEGIN IMMEDIATE")


_CANNOT_OPEN = ("unable to open database file", "file is not a database", "readonly database", "malformed")
_POSTGRES_REFUSES = ("28", "3D", "42501")
"""SQLSTATE: wrong password or user, no such database, not allowed."""


def sorted_error(error: BaseException, name: str) -> BaseException:
    """The error of Subak for what the database raised; any other as it is."""
    if isinstance(error, SubakError) or not isinstance(error, DBAPIError):
        return error
    said = str(error.orig).strip() or repr(error.orig)
    state = getattr(error.orig, "sqlstate", None) or ""
    if "disk is full" in said or state == "53100":
        found: SubakError = DiskFull(f"the disk of the database {name} is full, nothing was stored. Free space on it.")
    elif any(sign in said for sign in _CANNOT_OPEN) or (state and state.startswith(_POSTGRES_REFUSES)):
        found = Misconfigured(f"the database {name} cannot be used: {said}. Check its URL and who may write there.")
    elif error.connection_invalidated or type(error).__name__ in ("OperationalError", "InterfaceError"):
        found = DatabaseUnavailable(f"the database {name} did not answer: {said}")
    else:
        return error
    found.__cause__ = error
    return found
