"""How far an outbox may be read without passing over a row whose transaction is still running.

SQLite has one writer at a time, so rows become visible in the order of their numbers and there is nothing to bound.
PostgreSQL gives numbers when a row is inserted and shows the row when its transaction commits, in any order: a relay
that reads "id > position" skips the late one for ever. "Only rows of transactions below `pg_snapshot_xmin`" is not
enough either: a transaction that began first may insert last, so that a row with a lower number still hides behind a
running transaction with a higher one.

So numbers are bounded instead. In `outbox.id`'s default the transaction takes its own number (xid) before the row takes
its id. Read the last id given out, and after that take an xid: whoever holds one of those ids has a lower xid. Once
`pg_snapshot_xmin` has reached that xid, all of them have ended, and every row up to that id is either visible or never
will be.
"""

from __future__ import annotations

from sqlalchemy import Connection, text

from bus.agency_tables import OUTBOX_SEQUENCE

_LAST_ID = text(f"SELECT CASE WHEN is_called THEN last_value ELSE last_value - 1 END FROM {OUTBOX_SEQUENCE}")  # noqa: S608
_OWN_XID = text("SELECT CAST(CAST(pg_current_xact_id() AS text) AS bigint)")
_OLDEST_RUNNING = text("SELECT CAST(CAST(pg_snapshot_xmin(pg_current_snapshot()) AS text) AS bigint)")


class Horizon:
    """The highest id up to which every row is final. Only grows. Used in the database's writer thread alone."""

    def __init__(self) -> None:
        self._final = 0
        self._next: tuple[int, int] | None = None
        """An id that was given out, and the xid that `pg_snapshot_xmin` must reach for it to be final."""

    def reach(self, connection: Connection) -> int | None:
        """How far rows may be read now; None for no bound.

        On PostgreSQL it must come first in a transaction that it has for itself (`Database.run(alone=True)`): an xid
        that was taken earlier would bound nothing.
        """
        if connection.dialect.name != "postgresql":
            return None
        last: int = connection.scalar(_LAST_ID)
        own: int = connection.scalar(_OWN_XID)
        oldest: int = connection.scalar(_OLDEST_RUNNING)
        if oldest >= own:
            self._final, self._next = max(self._final, last), None
        else:
            if self._next is not None and oldest >= self._next[1]:
                self._final, self._next = max(self._final, self._next[0]), None
            if self._next is None:
                self._next = (last, own)
        return self._final
