"""What every page of the console stands on, in one value."""

from __future__ import annotations

import asyncio
from dataclasses import dataclass, field
from functools import partial

from bus.behind import measure
from bus.city import City
from bus.kafka import KafkaSettings
from services.console.casebook import Casebook
from services.console.doings import Doings
from services.console.live import Live
from services.console.rendering import Pages
from services.console.security import Tokens
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
    stopping: asyncio.Event = field(default_factory=asyncio.Event)
    """Set when the process ends: streams end too."""

    @classmethod
    def of(cls, city: City, kafka: KafkaSettings, casebook_url: str) -> Parts:
        """The parts for one city's bus."""
        tokens = Tokens()
        casebook = Casebook(casebook_url)
        return cls(
            city=city,
            kafka=kafka,
            casebook=casebook,
            pages=Pages(city, tokens),
            tokens=tokens,
            live=Live(kafka, city),
            doings=Doings(kafka),
            waiting=Waiting(partial(measure, kafka, sorted(city.agencies))),
        )

    async def close(self) -> None:
        """End the conversations."""
        await self.waiting.close()
        await self.doings.close()
        await self.casebook.close()
