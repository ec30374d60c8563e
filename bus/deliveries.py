"""Who has an event: which agencies must hear of it, and which of them have applied it ("7 of 7").

Who must hear follows from the event and the city's files (`bus/hearing.py`). Who has it is asked of the adapters, since
nobody else knows: an adapter that is not named, or does not answer in time, is told as unknown and never guessed.
"""

from __future__ import annotations

import asyncio
import json
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

import httpx

from bus.city import City
from bus.hearing import heard_by
from schemas.envelope import Event
from schemas.failures import Misconfigured

State = Literal["applied", "waiting", "parked", "not_there", "unknown"]
"""What an agency has. `applied`: its system has taken it. `waiting` or `parked`: it is in the inbox. `not_there`: it is
not in the inbox (yet). `unknown`: its adapter did not say."""

STATES: Mapping[str, State] = {"delivered": "applied", "waiting": "waiting", "parked": "parked"}

ASKED_AT_ONCE = 16
"""Adapters asked side by side."""

ANSWER_SECONDS_MAX = 1.5
"""How long one adapter may take: a person waits for the whole."""

EVENTS_ASKED_MAX = 50
"""Events in one question."""

EVENTS_MAX = 500
"""Events of one matrix, the newest first: a case rarely has more."""


@dataclass(frozen=True, slots=True)
class Delivery:
    """One event at one agency."""

    agency: str
    state: State
    at: str | None = None
    """Since when, where its adapter says."""
    why: str | None = None
    """Why it is parked, or why that is not known."""


@dataclass(frozen=True, slots=True)
class Delivered:
    """One event and everyone who must have it."""

    event: Event
    deliveries: tuple[Delivery, ...]

    def count(self, *states: State) -> int:
        """How many agencies are in one of these states."""
        return sum(one.state in states for one in self.deliveries)


class AdapterBook:
    """Where the adapters are: agency → `url` and `token`, in a file that may come later and change."""

    def __init__(self, path: Path | None) -> None:
        """
        Args:
            path: JSON, agency → `url` and `ledger_token` (or `token`); or a run file, whose `adapters` count. None: no
                adapter is known.
        """
        self._path = path

    def read(self) -> dict[str, dict[str, str]]:
        """What it says now; nothing where it is not there yet.

        Raises:
            Misconfigured: it is no such file.
        """
        if self._path is None or not self._path.is_file():
            return {}
        try:
            found = json.loads(self._path.read_text(encoding="utf-8"))
            found = found["adapters"] if isinstance(found.get("adapters"), dict) else found
            return {
                id: {"url": str(one["url"]), "token": str(one.get("ledger_token") or one["token"])}
                for id, one in found.items()
            }
        except (OSError, ValueError, KeyError, TypeError, AttributeError) as error:
            raise Misconfigured(
                f'{self._path} must hold an object, agency → {{"url": "http://...", "ledger_token": "..."}}: {error!r}.'
            ) from error


async def deliveries(
    city: City,
    events: Sequence[Event],
    adapters: Mapping[str, Mapping[str, str]],
    transport: httpx.AsyncBaseTransport | None = None,
) -> list[Delivered]:
    """Every event with everyone who must have it. Never fails for an adapter's sake."""
    due = [(event, heard_by(city, event).agencies) for event in events]
    asked: dict[str, list[Event]] = {}
    for event, agencies in due:
        for agency in agencies:
            asked.setdefault(agency, []).append(event)
    turns = asyncio.Semaphore(ASKED_AT_ONCE)
    found: dict[tuple[str, str, str], Delivery] = {}
    async with httpx.AsyncClient(timeout=ANSWER_SECONDS_MAX, transport=transport) as client:

        async def ask(agency: str, wanted: Sequence[Event]) -> None:
            async with turns:
                for one, event in zip(await _ask(client, agency, adapters.get(agency), wanted), wanted, strict=True):
                    found[agency, event.source, event.id] = one

        await asyncio.gather(*(ask(agency, part) for agency, wanted in asked.items() for part in _parts(wanted)))
    return [
        Delivered(event, tuple(found[agency, event.source, event.id] for agency in agencies)) for event, agencies in due
    ]


async def _ask(
    client: httpx.AsyncClient, agency: str, access: Mapping[str, str] | None, events: Sequence[Event]
) -> list[Delivery]:
    """What one adapter says of these events."""
    if access is None:
        return [Delivery(agency, "unknown", why="nothing says where its adapter is") for _ in events]
    try:
        answer = await client.get(
            f"{access['url'].removesuffix('/events')}/ledger/deliveries",
            params=[("event", f"{event.source} {event.id}") for event in events],
            headers={"Authorization": f"Bearer {access['token']}"},
        )
        if not answer.is_success:
            why = f"its adapter answers {answer.status_code}"
            return [Delivery(agency, "unknown", why=why) for _ in events]
        rows: dict[tuple[str, str], dict[str, Any]] = {
            (row["source"], row["id"]): row for row in answer.json()["events"]
        }
        return [_delivery(agency, rows.get((event.source, event.id))) for event in events]
    except (httpx.HTTPError, ValueError, KeyError, TypeError) as error:
        why = f"its adapter does not answer ({type(error).__name__})"
        return [Delivery(agency, "unknown", why=why) for _ in events]


def _delivery(agency: str, row: Mapping[str, Any] | None) -> Delivery:
    if row is None:
        return Delivery(agency, "not_there")
    return Delivery(agency, STATES.get(str(row["state"]), "unknown"), row.get("at"), row.get("reason"))


def _parts(events: Sequence[Event]) -> Iterable[Sequence[Event]]:
    for start in range(0, len(events), EVENTS_ASKED_MAX):
        yield events[start : start + EVENTS_ASKED_MAX]
