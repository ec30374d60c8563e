"""The process `subak run places`: the stage that finds requests and works at one place."""

from __future__ import annotations

import asyncio

from bus.city import load_city
from bus.city.load import city_path
from bus.settings import Settings
from bus.stage_process import run_stage
from bus.topics import EVENTS, PLACES
from services.places.logic import Places

GATHER_SECONDS = 0.25
"""What lies near is found so much later, and each transaction looks at all that came meanwhile."""


async def run_places(settings: Settings, stopping: asyncio.Event) -> None:
    """Run until `stopping` is set."""
    city = load_city(city_path(settings.city))
    partitions = settings.kafka.partitions
    await run_stage(
        "places",
        lambda number: Places(number, city=city, partitions=partitions),
        settings,
        stopping,
        topics=(EVENTS, PLACES),
        gather_seconds=GATHER_SECONDS,
    )
