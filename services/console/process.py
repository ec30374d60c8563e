"""The process `subak run console`: serves the pages and follows the log. It keeps nothing: a restart loses nothing."""

from __future__ import annotations

import asyncio

from bus.city import load_city
from bus.city.load import city_path
from bus.identity import identity_of
from bus.logs import get_logger
from bus.process import serving, until_stopped
from bus.runfile import RunFile
from bus.settings import Settings
from schemas.failures import Misconfigured
from services.console.app import console_app
from services.console.parts import Parts
from services.console.security import hosts_of

log = get_logger("process")


async def run_console(settings: Settings, stopping: asyncio.Event) -> None:
    """Run until `stopping` is set.

    Raises:
        Misconfigured: a person must change something first.
    """
    hosts = hosts_of(settings)
    city = load_city(city_path(settings.city))
    identity = identity_of(settings, city)
    parts = Parts.of(city, settings.kafka, casebook_url(settings), identity, settings.console_url)
    app = console_app(parts, hosts)
    try:
        async with serving(app, host=settings.http_host, port=settings.http_port) as port:
            log.info("process_serving", url=f"http://{settings.http_host}:{port}")
            following = asyncio.create_task(parts.live.run(), name="following the log")
            work = [following]
            if parts.sessions is not None:
                work.append(asyncio.create_task(parts.sessions.issuer.keep(), name="keeping the provider's keys"))
            else:
                log.warning(
                    "nobody_is_asked_who_they_are",
                    hosts=sorted(hosts),
                    advice="Whoever reaches this address may read all cases and replay parked ones.",
                )
            try:
                await until_stopped(stopping, *work)
            finally:
                parts.stopping.set()
                for task in work:
                    task.cancel()
                await asyncio.gather(*work, return_exceptions=True)
    finally:
        await parts.close()


def casebook_url(settings: Settings) -> str:
    """The casebook's API: the settings', or that of the local bus.

    Raises:
        Misconfigured: nothing says where it is.
    """
    if settings.casebook_url:
        return settings.casebook_url
    try:
        return RunFile.load(settings.home).casebook_url
    except Misconfigured as error:
        raise Misconfigured(
            f"nothing says where the casebook is. Set SUBAK_CASEBOOK_URL, such as http://casebook:8000. ({error})"
        ) from error
