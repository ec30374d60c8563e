"""`python -m deploy.simulation FILE`: the systems of all a city's agencies, in one process; FILE: an `Arrangement`."""

from __future__ import annotations

import asyncio
import sys
from pathlib import Path

from aiohttp import web

from bus.city import City, city_path, load_city
from bus.logs import configure_logs, get_logger
from bus.process import run_process, until_stopped
from deploy.simulation.arrangement import Arrangement
from deploy.simulation.client import Client
from deploy.simulation.open311 import App
from deploy.simulation.phrasebook import load_phrasebook
from deploy.simulation.poster import Door, Poster
from deploy.simulation.receiver import Receiver, System
from deploy.simulation.roster import roster
from deploy.simulation.signature import secret_key
from schemas.failures import Misconfigured

log = get_logger("simulation")


async def simulate(arrangement: Arrangement, stopping: asyncio.Event) -> None:
    """Take webhooks and send what is due until `stopping` is set, going on with what an earlier run left.

    Raises:
        Misconfigured: the port is taken, or an agency of the arrangement is not the city's.
    """
    folder = city_path(arrangement.city)
    city = load_city(folder)
    systems = _systems(arrangement, city, folder)
    client = Client()
    poster = Poster(
        client,
        {id: _door(arrangement, city, id) for id in arrangement.agencies},
        {id: system.records for id, system in systems.items()},
        city=city,
        connections_max=arrangement.connections_max,
    )
    poster.look_again()
    receiver = Receiver(systems, poster.add, poster.look_again, seed=arrangement.seed, speed=arrangement.speed)
    runner = web.AppRunner(receiver.app(), access_log=None, handle_signals=False)
    await runner.setup()
    posting = asyncio.create_task(poster.run())
    try:
        await _listen(runner, arrangement)
        log.info("simulation_started", agencies=len(systems), port=arrangement.port)
        await until_stopped(stopping, posting)
    finally:
        await runner.cleanup()
        posting.cancel()
        await asyncio.gather(posting, return_exceptions=True)
        await client.close()
        for system in systems.values():
            system.records.close()


def _door(arrangement: Arrangement, city: City, id: str) -> Door:
    access, source = arrangement.agencies[id], city.source_of(id)
    if (open311 := access.open311) is None:
        return Door(access.url, access.token, source)
    return Door(access.url, access.token, source, App(open311.url, open311.api_key, source, arrangement.seed))


def _systems(arrangement: Arrangement, city: City, folder: Path) -> dict[str, System]:
    agencies = roster(city, load_phrasebook(folder, city))
    if unknown := sorted(set(arrangement.agencies) - set(agencies)):
        raise Misconfigured(f"{city.id} has no agency {unknown[0]!r} to simulate; correct the arrangement's file")
    return {
        id: System(agencies[id], arrangement.records(id), secret_key(access.secret))
        for id, access in arrangement.agencies.items()
    }


async def _listen(runner: web.AppRunner, arrangement: Arrangement) -> None:
    try:
        await web.TCPSite(runner, arrangement.host, arrangement.port).start()
    except OSError as error:
        address = f"{arrangement.host}:{arrangement.port}"
        raise Misconfigured(f"cannot listen on {address}: {error.strerror}. Choose another port.") from error


def main() -> int:
    """Run it; returns the exit code."""
    if len(sys.argv) != 2:
        sys.stderr.write("usage: python -m deploy.simulation FILE (the file that `subak demo` wrote)\n")
        return 2
    configure_logs(process="simulation")
    path = Path(sys.argv[1])
    return run_process(lambda stopping: simulate(Arrangement.load(path), stopping))


if __name__ == "__main__":
    sys.exit(main())
