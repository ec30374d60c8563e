"""The process `subak run router`: the stage that copies each event to the agencies that must hear of it."""

from __future__ import annotations

import asyncio

from bus.city import load_city
from bus.city.load import city_path
from bus.settings import Settings
from bus.stage_process import run_stage
from bus.topics import EVENTS
from services.router.logic import Router


async def run_router(settings: Settings, stopping: asyncio.Event) -> None:
    """Run until `stopping` is set."""
    city = load_city(city_path(settings.city))
    await run_stage("router", lambda number: Router(number, city=city), settings, stopping, topics=(EVENTS,))
