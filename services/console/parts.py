"""What every page of the console stands on, in one value."""

from __future__ import annotations

import asyncio
from dataclasses import dataclass, field
from functools import partial

from bus.behind import measure
from bus.city import City
from bus.identity import Identity
from bus.identity.machine import MachineToken
from bus.kafka import KafkaSettings
from services.console.casebook import Casebook
from services.console.doings import Doings
from services.console.live import Live
from services.console.rendering import Pages
from services.console.security import Tokens
from services.console.sessions import Sessions
from services.console.waiting import Waiting


@dataclass
class Parts:
    """Made once for a process."""

    city: City
    kafka: KafkaSettings
    casebook: Casebook
    pages: Pages
    tokens: Tokens
    live: Live
    waiting: Waiting
    doings: Doings
    sessions: Sessions | None = None
    """Who is signed in; None where nobody is asked."""
    stopping: asyncio.Event = field(default_factory=asyncio.Event)
    """Set when the process ends: streams end too."""

    @classmethod
    def of(
        cls,
        city: City,
        kafka: KafkaSettings,
        casebook_url: str,
        identity: Identity | None = None,
        console_url: str = "",
    ) -> Parts:
        """The parts for one city's bus. `identity`: who is asked; None asks nobody.

        Raises:
            Misconfigured: there is an issuer, and this process has no client of its own there.
        """
        tokens = Tokens()
        if identity is not None:
            identity.require_client("the console")
        casebook = Casebook(casebook_url, MachineToken(identity) if identity is not None else None)
        return cls(
            city=city,
            kafka=kafka,
            casebook=casebook,
            pages=Pages(city, tokens),
            tokens=tokens,
            live=Live(kafka, city),
            doings=Doings(kafka),
            waiting=Waiting(partial(measure, kafka, sorted(city.agencies))),
            sessions=Sessions(identity, console_url) if identity is not None else None,
        )

    def warning(self) -> str | None:
        """What is wrong and stops nothing: nobody new can sign in."""
        return self.sessions.issuer.away if self.sessions is not None else None

    async def close(self) -> None:
        """End the conversations."""
        await self.waiting.close()
        await self.doings.close()
        await self.casebook.close()
        if self.sessions is not None:
            await self.sessions.issuer.close()
