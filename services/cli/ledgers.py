"""Asks the adapters what their outboxes and inboxes hold (`adapters/ledger.py`), for `subak reconcile`."""

from __future__ import annotations

import asyncio
from collections.abc import Mapping, Sequence
from datetime import datetime
from typing import Any
from zoneinfo import ZoneInfo

import httpx

from schemas.failures import Retryable

ASKED_AT_ONCE = 8
"""Adapters asked side by side."""

ANSWER_SECONDS_MAX = 120.0
"""How long an adapter may count."""


class AdapterAway(Retryable):
    """An adapter does not tell what it holds."""


class AdapterLedgers:
    """The adapters of one bus, as far as it is known where they are."""

    def __init__(
        self,
        adapters: Mapping[str, Mapping[str, str]],
        agencies: Sequence[str],
        *,
        until: datetime,
        zone: ZoneInfo,
    ) -> None:
        """
        Args:
            adapters: agency → `url` (of its HTTP source, as in the run file), and `ledger_token` or `token`.
            agencies: all of the city.
            until: events of a later moment are not told of.
            zone: what a day is.
        """
        self._adapters = adapters
        self._agencies = agencies
        self._until = until
        self._zone = zone

    async def all(self) -> tuple[dict[str, str], dict[str, dict[str, Any]]]:
        turns = asyncio.Semaphore(ASKED_AT_ONCE)
        unasked = {id: "nothing says where its adapter is" for id in self._agencies if id not in self._adapters}
        ledgers: dict[str, dict[str, Any]] = {}

        async def ask(agency: str) -> None:
            async with turns:
                try:
                    ledgers[agency] = await self._ask(client, agency, "ledger")
                except AdapterAway as error:
                    unasked[agency] = str(error)

        async with httpx.AsyncClient(timeout=ANSWER_SECONDS_MAX) as client:
            await asyncio.gather(*(ask(agency) for agency in self._adapters if agency in self._agencies))
        return unasked, ledgers

    async def _ask(self, client: httpx.AsyncClient, agency: str, path: str, **more: str) -> dict[str, Any]:
        access = self._adapters[agency]
        asked = {"until": self._until.isoformat(), "zone": self._zone.key, **more}
        base, token = access["url"].removesuffix("/events"), access.get("ledger_token") or access["token"]
        try:
            answer = await client.get(f"{base}/{path}", params=asked, headers={"Authorization": f"Bearer {token}"})
            if not answer.is_success:
                raise AdapterAway(f"its adapter answers {answer.status_code}")
            found: dict[str, Any] = answer.json()
            return found
        except (httpx.HTTPError, ValueError) as error:
            raise AdapterAway(f"its adapter does not answer ({type(error).__name__})") from error

    async def entries(self, agency: str, side: str, day: str, sender: str) -> list[dict[str, str]]:
        found: list[dict[str, str]] = []
        after: str | None = "0"
        async with httpx.AsyncClient(timeout=ANSWER_SECONDS_MAX) as client:
            while after is not None:
                page = await self._ask(client, agency, f"ledger/{side}", day=day, sender=sender, after=after)
                found += page["entries"]
                after = str(page["next"]) if page["next"] is not None else None
        return found
