"""A stage as a process of its own: the stage, its HTTP side, and the lag that it reports, until it is asked to stop."""

from __future__ import annotations

import asyncio
from collections.abc import Callable

from starlette.applications import Starlette

from bus.health import health_routes
from bus.kafka import LaneSettings
from bus.kafka.stage import Stage, StageSettings
from bus.logic import Logic
from bus.logs import get_logger
from bus.process import serving, until_stopped
from bus.settings import Settings

log = get_logger("process")


async def run_stage(
    name: str,
    logic: Callable[[int], Logic],
    settings: Settings,
    stopping: asyncio.Event,
    *,
    topics: tuple[str, ...] = (),
    pattern: str | None = None,
    gather_seconds: float | None = None,
) -> None:
    """Run the stage `name` until `stopping` is set. What is in hand then is committed first.

    Args:
        gather_seconds: nobody waits for what this stage says, so it lets records come together for so long.

    Raises:
        Misconfigured: a person must change something first.
    """
    stage = Stage(
        name=name,
        logic=logic,
        kafka=settings.kafka,
        topics=topics,
        pattern=pattern,
        settings=StageSettings(
            gather_seconds=gather_seconds, lane=LaneSettings(batch_records_max=settings.batch_records_max)
        ),
    )
    app = Starlette(routes=health_routes(why_not_ready=stage.why_not_ready, why_not_alive=stage.why_not_alive))
    async with serving(app, host=settings.http_host, port=settings.http_port) as port:
        log.info("process_serving", url=f"http://{settings.http_host}:{port}")
        reporter = asyncio.create_task(_report(stage))
        starting = asyncio.create_task(stage.start())
        try:
            await until_stopped(stopping, starting)
            if not stopping.is_set():
                await until_stopped(stopping, stage.failed)
        finally:
            for task in (starting, reporter):
                task.cancel()
            await asyncio.gather(starting, reporter, return_exceptions=True)
            await stage.stop()


async def _report(stage: Stage) -> None:
    while True:
        await asyncio.sleep(2)
        await stage.report()
