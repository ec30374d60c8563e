"""What became of one event, for the system that said it: stored, relayed, accepted, or rejected with the reasons.

`stored` and `relayed` the adapter knows by itself, and a rejection comes back to its inbox. That the bus took an event
stands in the city's log, which an agency may not read: where adapter.toml names the casebook, it is asked, and says
when the log took the event and, where it can, which agencies have applied it; which must hear of it follows from the
directory. A casebook that does not answer costs the sender nothing but that.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping
from datetime import UTC, datetime
from typing import Any
from urllib.parse import quote

import httpx
from sqlalchemy import Connection, select

from bus.agency_tables import outbox_positions
from bus.city import City
from bus.database import Database
from bus.hearing import heard_by
from bus.history import HISTORY
from bus.logs import get_logger
from bus.outbox.rows import known_event
from schemas.envelope import Event

log = get_logger("status")

ANSWER_SECONDS_MAX = 2.0
"""How long the casebook may take: who asks for a status waits for it."""


class CasebookReader:
    """Asks the casebook for an event of the city's log."""

    def __init__(self, url: str, city: City) -> None:
        self._url = url.rstrip("/")
        self._city = city
        self._client = httpx.AsyncClient(timeout=ANSWER_SECONDS_MAX, follow_redirects=False)

    async def close(self) -> None:
        """Let connections go."""
        await self._client.aclose()

    async def taken(self, source: str, event_id: str) -> dict[str, Any] | None:
        """When the log took the event and who hears of it; None where that is not known (yet)."""
        try:
            answer = await self._client.get(f"{self._url}/api/events/{quote(event_id, safe='')}")
            if answer.status_code == 404:
                return None
            answer.raise_for_status()
            found = [entry for entry in answer.json()["events"] if entry["source"] == source]
        except (httpx.HTTPError, ValueError, KeyError, TypeError) as error:
            log.warning("casebook_did_not_answer", error=f"{type(error).__name__}: {error}"[:300])
            return None
        return self._told(found[0]) | await self._applied(source, event_id) if found else None

    async def _applied(self, source: str, event_id: str) -> dict[str, Any]:
        """Which agencies have applied the event, as far as the casebook can tell; nothing where it cannot."""
        try:
            answer = await self._client.get(f"{self._url}/api/deliveries/{quote(event_id, safe='')}")
            answer.raise_for_status()
            found = [event for event in answer.json()["events"] if event["source"] == source]
            if not found or found[0]["unknown"] == found[0]["due"]:
                return {}
            return {"applied": [one["agency"] for one in found[0]["deliveries"] if one["state"] == "applied"]}
        except (httpx.HTTPError, ValueError, KeyError, TypeError):
            return {}

    def _told(self, entry: Mapping[str, Any]) -> dict[str, Any]:
        event = Event(
            id=entry["event_id"],
            type=entry["type"],
            source=entry["source"],
            subject=entry.get("case_id", ""),
            time=entry.get("time", ""),
            data=json.dumps(entry.get("data") or {}).encode(),
            jurisdiction=entry.get("jurisdiction"),
            recipient=entry.get("recipient"),
            parties=",".join(entry.get("parties") or ()) or None,
            history="history" if entry.get("workflowversion") == HISTORY else None,
        )
        return {"accepted_at": entry["logged_at"], "told": list(heard_by(self._city, event).agencies)}


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


def moment(seconds: float) -> str:
    """As it stands in answers: RFC 3339, in UTC."""
    return datetime.fromtimestamp(seconds, UTC).isoformat(timespec="milliseconds")
