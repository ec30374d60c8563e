"""The process `subak run gateway`: the stage that lets agencies' events into the city's log."""

from __future__ import annotations

import asyncio

from bus.city import load_city
from bus.city.load import city_path
from bus.settings import Settings
from bus.stage_process import run_stage
from bus.topics import OUTBOXES_PATTERN
from services.gateway.logic import Gateway


async def run_gateway(settings: Settings, stopping: asyncio.Event) -> None:
    """Run until `stopping` is set."""
    city = load_city(city_path(settings.city))
    await run_stage(
        "gateway",
        lambda number: Gateway(
            number, city=city, partitions=settings.kafka_partitions, remember_seconds=settings.remember_ids_seconds
        ),
        settings,
        stopping,
        pattern=OUTBOXES_PATTERN,
    )
