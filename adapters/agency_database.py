"""The agency's own database (SQLite, PostgreSQL, MySQL or MariaDB), in a thread of its own, with its errors sorted.

It is somebody else's: nothing is made in it that `subak adapter sql-ddl` did not print, no lock is held longer than a
statement needs, and no mode of it is changed. Each unit of work is one transaction. What it raises says who must wait:
`AgencyDatabaseAway` (nothing is wrong but time), `AgencyDatabaseChanged` (a person must mend it, and until then it is
as good as away); whatever else a statement raises is about its own values.
"""

from __future__ import annotations

import asyncio
import queue
import sqlite3
import threading
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any, TypeVar
from urllib.parse import quote

from sqlalchemy import URL, Connection, Engine, QueuePool, create_engine, event, make_url
from sqlalchemy.exc import ArgumentError, DBAPIError, NoSuchModuleError

from adapters.postgresql_moments import read_all_moments
from schemas.failures import Misconfigured, Retryable

T = TypeVar("T")

CONNECT_SECONDS_MAX = 10
STATEMENT_SECONDS_MAX = 60
BUSY_SECONDS_MAX = 5
"""How long SQLite waits for the agency's own writer."""

DRIVERS: Mapping[str, str] = {
    "sqlite": "sqlite+pysqlite",
    "postgresql": "postgresql+psycopg",
    "mysql": "mysql+pymysql",
    "mariadb": "mysql+pymysql",
}


class AgencyDatabaseAway(Retryable):
    """The agency's database does not answer, or is busy."""


class AgencyDatabaseChanged(Retryable):
    """A table or a column that the adapter needs is not there, or it may not use it."""


def agency_url(text: str, folder: Path) -> URL:
    """The URL with the driver that is used; SQLite's file is found from `folder`.

    Raises:
        Misconfigured: it is no URL, or of no database that is known.
    """
    wanted = "Write sqlite:///<file>, postgresql://user@host/name or mysql://user@host/name."
    try:
        url = make_url(text)
        kind = url.get_backend_name()
    except (ArgumentError, NoSuchModuleError, ValueError) as error:
        raise Misconfigured(f"the url of the agency's database is not an SQLAlchemy URL. {wanted}") from error
    if kind not in DRIVERS:
        raise Misconfigured(f"the agency's database is of a kind that is not known: {kind}. {wanted}")
    if kind == "sqlite":
        if url.database in (None, "", ":memory:"):
            raise Misconfigured("the agency's SQLite database needs a file: sqlite:///<file>.")
        url = url.set(database=str((folder / str(url.database)).absolute()))
    if kind in ("mysql", "mariadb"):
        url = url.update_query_dict({"charset": "utf8mb4"})
    return url.set(drivername=DRIVERS[kind])


class AgencyDatabase:
    """Runs units of work in one thread, in the order in which they come."""

    def __init__(self, url: URL) -> None:
        """
        Raises:
            Misconfigured: its driver is not installed.
        """
        self.url = url
        self.kind = url.get_backend_name()
        """`sqlite`, `postgresql` or `mysql`."""
        self._begin = "BEGIN"
        self._queue: queue.SimpleQueue[tuple[Callable[[], Any], asyncio.Future[Any]] | None] = queue.SimpleQueue()
        self._thread: threading.Thread | None = None
        self._engine = self._new_engine()

    @property
    def shown(self) -> str:
        """The URL without its password."""
        return self.url.set(query={}).render_as_string(hide_password=True)

    async def run(self, work: Callable[[Connection], T], *, writes: bool = False) -> T:
        """Do `work` in one transaction; returns once that is committed.

        Raises:
            AgencyDatabaseAway, AgencyDatabaseChanged: the outcome may be unknown.
            DBAPIError: the statement's values do not fit; nothing was changed.
        """
        return await self.call(lambda: self._transaction(work, writes))

    async def call(self, work: Callable[[], T]) -> T:
        """Do `work` in the thread, outside of any transaction."""
        done: asyncio.Future[T] = asyncio.get_running_loop().create_future()
        if self._thread is None:
            self._thread = threading.Thread(target=self._work, args=(done.get_loop(),), daemon=True)
            self._thread.start()
        self._queue.put((work, done))
        return await done

    def close(self) -> None:
        """Let the connection go, once what is under way has ended; waits for nothing."""
        if self._thread is not None:
            self._thread = None
            self._queue.put(None)

    def _work(self, loop: asyncio.AbstractEventLoop) -> None:
        while (taken := self._queue.get()) is not None:
            work, done = taken
            try:
                outcome, error = work(), None
            except BaseException as raised:
                outcome, error = None, raised
            try:
                loop.call_soon_threadsafe(_settle, done, outcome, error)
            except RuntimeError:
                break  # the loop is closed: nobody waits
        self._engine.dispose()

    def _transaction(self, work: Callable[[Connection], T], writes: bool) -> T:
        self._begin = "BEGIN IMMEDIATE" if writes else "BEGIN"
        try:
            with self._engine.begin() as connection:
                return work(connection)
        except DBAPIError as error:
            raise (self.sorted_error(error) or error) from error

    def sorted_error(self, error: DBAPIError) -> Retryable | None:
        """Ours for what the driver raised; None where it is about the values of the statement."""
        said = " ".join(str(error.orig).split())[:300]
        if error.connection_invalidated:
            return AgencyDatabaseAway(f"the agency's database {self.shown} is away: {said}")
        if self.kind == "postgresql":
            state = getattr(error.orig, "sqlstate", None) or "08000"
            changed = state.startswith(("42", "3D", "3F", "28"))
            away = state.startswith(("08", "40", "53", "55", "57", "58", "XX", "25"))
        elif self.kind == "mysql":
            number = error.orig.args[0] if error.orig is not None and error.orig.args else 0
            changed = number in _MYSQL_CHANGED
            away = number in _MYSQL_AWAY or (isinstance(number, int) and 2000 <= number < 3000) or number == 0
        else:
            changed = any(sign in said for sign in ("no such table", "no such column", "has no column", "readonly"))
            away = isinstance(error.orig, sqlite3.OperationalError | sqlite3.DatabaseError) and not isinstance(
                error.orig, sqlite3.IntegrityError | sqlite3.DataError | sqlite3.ProgrammingError
            )
        if changed:
            return AgencyDatabaseChanged(
                f"the agency's database {self.shown} is not as the adapter needs it: {said}. Mend it, or change the "
                "section in adapter.toml or the mapping; `subak adapter sql-ddl` prints what it must have."
            )
        if away:
            return AgencyDatabaseAway(f"the agency's database {self.shown} is away: {said}")
        return None

    def _new_engine(self) -> Engine:
        try:
            if self.kind == "sqlite":
                engine = create_engine(
                    "sqlite://", creator=self._connect_sqlite, poolclass=QueuePool, pool_size=1, hide_parameters=True
                )
                event.listen(engine, "begin", lambda connection: connection.exec_driver_sql(self._begin))
                return engine
            arguments: dict[str, Any] = {"connect_timeout": CONNECT_SECONDS_MAX}
            if self.kind == "postgresql":
                arguments |= {
                    "options": f"-c statement_timeout={STATEMENT_SECONDS_MAX}s -c lock_timeout={BUSY_SECONDS_MAX}s "
                    "-c datestyle=ISO -c intervalstyle=postgres",  # whatever the agency's own programs like to read
                    "keepalives_idle": 30,
                    "keepalives_interval": 10,
                    "keepalives_count": 3,
                    "tcp_user_timeout": STATEMENT_SECONDS_MAX * 1000,
                }
            else:
                arguments |= {
                    "read_timeout": STATEMENT_SECONDS_MAX,
                    "write_timeout": STATEMENT_SECONDS_MAX,
                    # A server that is not strict cuts what is too long, in silence.
                    "init_command": "SET SESSION sql_mode = CONCAT(@@sql_mode, ',STRICT_ALL_TABLES'), "
                    f"SESSION innodb_lock_wait_timeout = {BUSY_SECONDS_MAX}",
                }
            # Committed rows and no more: a snapshot kept for longer would show old ones, and lock gaps between keys.
            engine = create_engine(
                self.url,
                pool_size=1,
                max_overflow=0,
                connect_args=arguments,
                isolation_level="READ COMMITTED",
                hide_parameters=True,
            )
            if self.kind == "postgresql":
                event.listen(engine, "connect", read_all_moments)
            return engine
        except ModuleNotFoundError as error:
            extra = "postgresql" if self.kind == "postgresql" else "mysql"
            raise Misconfigured(
                f"the agency's database {self.shown} needs the library {error.name}: install subak[{extra}]."
            ) from error

    def _connect_sqlite(self) -> sqlite3.Connection:
        """A connection to a file that is there; text that is no UTF-8 is read all the same."""
        connection = sqlite3.connect(
            f"file:{quote(str(self.url.database))}?mode=rw",
            uri=True,
            timeout=BUSY_SECONDS_MAX,
            isolation_level=None,
            check_same_thread=False,
        )
        connection.text_factory = lambda text: text.decode("utf-8", "replace")
        return connection


_MYSQL_CHANGED = frozenset({1044, 1045, 1049, 1054, 1142, 1143, 1146, 1227, 1290, 1305})
"""Access denied, unknown database, column, table; not allowed; read only."""
_MYSQL_AWAY = frozenset(
    {1021, 1037, 1040, 1041, 1053, 1077, 1114, 1152, 1158, 1159, 1160, 1161, 1205, 1213, 1317, 1927}
)
"""No room, too many connections, shutting down, network, lock wait, deadlock, killed."""


def _settle(done: asyncio.Future[Any], outcome: Any, error: BaseException | None) -> None:
    if done.done():
        return  # its caller was cancelled
    if error is not None:
        done.set_exception(error)
    else:
        done.set_result(outcome)
