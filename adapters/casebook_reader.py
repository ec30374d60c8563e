"""Asks the casebook what became of an event: when the city's log took it, who must hear of it, who has applied it.

Imported only by an adapter whose adapter.toml names the casebook: its library is some megabytes.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import Any
from urllib.parse import quote

import httpx

from bus.city import City
from bus.hearing import heard_by
from bus.history import HISTORY
from bus.logs import get_logger
from schemas.envelope import Event
from schemas.failures import SubakError

log = get_logger("status")

ANSWER_SECONDS_MAX = 2.0
"""How long the casebook may take: who asks for a status waits for it."""


class CasebookReader:
    """Asks the casebook for an event of the city's log."""

    def __init__(self, url: str, city: City, auth: httpx.Auth | None = None) -> None:
        self._url = url.rstrip("/")
        self._city = city
        self._client = httpx.AsyncClient(timeout=ANSWER_SECONDS_MAX, follow_redirects=False, auth=auth)

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
        except (httpx.HTTPError, SubakError, ValueError, KeyError, TypeError) as error:
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
        except (httpx.HTTPError, SubakError, ValueError, KeyError, TypeError):
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
