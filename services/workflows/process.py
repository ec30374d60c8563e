"""The process `subak run workflows`: the stage that lets each case's workflow decide."""

from __future__ import annotations

import asyncio

from bus.city import load_city
from bus.city.load import city_path
from bus.settings import Settings
from bus.stage_process import run_stage
from bus.topics import EVENTS
from services.workflows.catalogue import WORKFLOWS
from services.workflows.logic import Workflows
from services.workflows.watch import Watch


async def run_workflows(settings: Settings, stopping: asyncio.Event) -> None:
    """Run until `stopping` is set."""
    city = load_city(city_path(settings.city))
    watch = Watch()
    watch.start()
    try:
        await run_stage(
            "workflows",
            lambda number: Workflows(number, city=city, workflows=WORKFLOWS, watch=watch),
            settings,
            stopping,
            topics=(EVENTS,),
        )
    finally:
        watch.stop()
