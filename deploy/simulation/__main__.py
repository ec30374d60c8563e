"""`python -m deploy.simulation FILE`: the systems of all a city's agencies, in one process; FILE: an `Arrangement`."""

from __future__ import annotations

import asyncio
import sys
from collections.abc import Mapping
from functools import partial
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
from deploy.simulation.records import AgencyRecords
from deploy.simulation.roster import roster
from deploy.simulation.signature import secret_key
from deploy.simulation.staff import Staff
from deploy.simulation.vocabulary import Vocabulary
from schemas.failures import Misconfigured

log = get_logger("simulation")


async def simulate(arrangement: Arrangement, stopping: asyncio.Event) -> None:
    """Take webhooks and send what is due until `stopping` is set, going on with what an earlier run left.

    Raises:
        Misconfigured: the port is taken, or an agency of the arrangement is not the city's.
    """
    folder = city_path(arrangement.city)
    city = load_city(folder)
    vocabularies = {
        id: Vocabulary(access.own, city, id) for id, access in arrangement.agencies.items() if access.own is not None
    }
    systems = _systems(arrangement, city, folder, vocabularies)
    client = Client()
    staffs = {
        id: Staff(access.own, vocabularies[id], systems[id].records, city)
        for id, access in arrangement.agencies.items()
        if access.own is not None
    }
    poster = Poster(
        client,
        {id: _door(arrangement, city, id, staffs.get(id)) for id in arrangement.agencies},
        {id: system.records for id, system in systems.items()},
        city=city,
        connections_max=arrangement.connections_max,
    )
    poster.look_again()
    receiver = Receiver(systems, poster.add, poster.look_again, seed=arrangement.seed, speed=arrangement.speed)
    runner = web.AppRunner(receiver.app(), access_log=None, handle_signals=False)
    await runner.setup()
    working = [asyncio.create_task(poster.run())]
    working += [asyncio.create_task(staff.read(partial(receiver.hear, systems[id]))) for id, staff in staffs.items()]
    try:
        await _listen(runner, arrangement)
        log.info("simulation_started", agencies=len(systems), port=arrangement.port)
        await until_stopped(stopping, *working)
    finally:
        await runner.cleanup()
        for task in working:
            task.cancel()
        await asyncio.gather(*working, return_exceptions=True)
        for staff in staffs.values():
            await staff.close()
        await client.close()
        for system in systems.values():
            system.records.close()


def _door(arrangement: Arrangement, city: City, id: str, staff: Staff | None) -> Door:
    access, source = arrangement.agencies[id], city.source_of(id)
    app = None
    if (open311 := access.open311) is not None:
        app = App(open311.url, open311.api_key, source, arrangement.seed)
    return Door(access.url, access.token, source, app, staff)


def _systems(
    arrangement: Arrangement, city: City, folder: Path, vocabularies: Mapping[str, Vocabulary]
) -> dict[str, System]:
    agencies = roster(city, load_phrasebook(folder, city))
    if unknown := sorted(set(arrangement.agencies) - set(agencies)):
        raise Misconfigured(f"{city.id} has no agency {unknown[0]!r} to simulate; correct the arrangement's file")

    def records(id: str) -> AgencyRecords:
        return arrangement.records(id, ids=vocabularies[id].event_id) if id in vocabularies else arrangement.records(id)

    return {
        id: System(agencies[id], records(id), secret_key(access.secret)) for id, access in arrangement.agencies.items()
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
