"""What became of one event, for the system that said it: stored, relayed, accepted, or rejected with the reasons.

`stored` and `relayed` the adapter knows by itself, and a rejection comes back to its inbox. That the bus took an event
stands in the city's log, which an agency may not read: where adapter.toml names the casebook, it is asked, and says
when the log took the event and, where it can, which agencies have applied it; which must hear of it follows from the
directory. A casebook that does not answer costs the sender nothing but that.
"""

from __future__ import annotations

import json
from collections.abc import Callable
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any

from sqlalchemy import Connection, select

from bus.agency_tables import outbox_positions
from bus.database import Database
from bus.outbox.rows import known_event

if TYPE_CHECKING:
    from adapters.casebook_reader import CasebookReader
    from bus.city import City


class EventStatus:
    """The statuses of one adapter's events."""

    def __init__(
        self, database: Database, source_of: Callable[[str], str], casebook: CasebookReader | None = None
    ) -> None:
        self._database = database
        self._source_of = source_of
        self._casebook = casebook

    async def of(self, agency: str, event_id: str) -> dict[str, Any] | None:
        """What is known of an event of this agency; None where this adapter has none of that id (any more).

        Raises:
            DatabaseUnavailable: ask again.
        """
        source = self._source_of(agency)

        def unit(connection: Connection) -> tuple[Any, int]:
            position = select(outbox_positions.c.position).where(outbox_positions.c.agency == agency)
            return known_event(connection, source, event_id), connection.scalar(position) or 0

        row, position = await self._database.run(unit)
        if row is None:
            return None
        told: dict[str, Any] = {
            "id": event_id,
            "type": row.type,
            "subject": row.subject,
            "recorded_at": moment(row.recorded_at),
            "status": "rejected" if row.rejected else "relayed" if row.id < position else "stored",
        }
        if row.rejected:
            told["reasons"] = json.loads(row.rejected)
        elif told["status"] == "relayed" and self._casebook is not None:
            taken = await self._casebook.taken(source, event_id)
            if taken is not None:
                told |= {"status": "accepted", **taken}
        return told


def casebook_reader(url: str | None, city: City) -> CasebookReader | None:
    """What asks the casebook there, with a token of its own where an issuer is set; None where none is named.

    Raises:
        Misconfigured: there is an issuer, and this adapter has no client of its own there.
    """
    if url is None:
        return None
    from adapters.casebook_reader import CasebookReader
    from bus.identity import identity_of
    from bus.identity.machine import MachineToken
    from bus.settings import read_settings

    identity = identity_of(read_settings(), city)
    return CasebookReader(url, city, MachineToken(identity) if identity is not None else None)


def moment(seconds: float) -> str:
    """As it stands in answers: RFC 3339, in UTC."""
    return datetime.fromtimestamp(seconds, UTC).isoformat(timespec="milliseconds")
