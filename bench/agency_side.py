"""One agency's side without Kafka, in a process of its own: what the benches of adapters measure.

`python -m bench.agency_side http FOLDER` serves the HTTP source and prints its port; `... files FOLDER FILE` reads a
file of the folder and prints what it took; `... slow SECONDS` is an agency's system that answers after so long, and
prints its port.
"""

from __future__ import annotations

import asyncio
import contextlib
import json
import os
import resource
import sys
import time
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import uvloop
from starlette.applications import Starlette

from adapters.http_app import HttpApp
from adapters.http_source import HttpSource
from adapters.intake import Intake
from adapters.kinds import Place
from adapters.sources.files.config import FilesConfig
from adapters.sources.files.source import KIND
from bus.agency_tables import NAME, TABLES, VERSION
from bus.cases import KnownCases
from bus.city import City, city_path, load_city
from bus.collecting import tune_collector
from bus.database import Database
from bus.inbox import Inbox
from bus.logs import configure_logs
from bus.outbox import Outbox
from bus.process import serving
from bus.topics import in_topic

AGENCY = "communications"
TOKEN = "a-token-of-the-bench"

MAPPING = """
key = "nomor"

[formats]
time = "%d/%m/%Y %H:%M"
decimal = ","

[codes.jenis]
SALURAN = "drain"

[[event]]
type = "subak.request.submitted.v1"
time = "dibuat"

  [event.data]
  service_code = { column = "jenis", codes = "jenis" }
  area = "wilayah"
  description = "keluhan"
  location = { longitude = "bujur", latitude = "lintang" }
  service_request_id = "nomor"
"""
HEADER = ("nomor", "dibuat", "jenis", "wilayah", "keluhan", "bujur", "lintang", "petugas")


def row(number: int) -> tuple[str, ...]:
    """A row of an agency's export."""
    minute = f"{number // 60 % 24:02}:{number % 60:02}"
    text = f"Saluran air tersumbat di depan rumah nomor {number}, jalan tergenang setiap hujan deras."
    return (f"R-{number:07}", f"24/11/2026 {minute}", "SALURAN", "51.71.01.1005", text, "115,2373", "-8,6733", "Ketut")


@contextlib.asynccontextmanager
async def parts(folder: Path) -> AsyncIterator[tuple[City, Database, Intake, Inbox]]:
    """Database, intake and inbox of one agency of Denpasar."""
    city = load_city(city_path("denpasar"))
    database = Database(f"sqlite:///{folder / 'agency.sqlite3'}", tables=TABLES, name=NAME, version=VERSION)
    await database.start()
    cases = KnownCases(database)
    outbox = Outbox(database, cases)
    await outbox.start([AGENCY])
    inbox = Inbox(database, cases, agency_of={in_topic(AGENCY): AGENCY}, source_of=city.source_of)
    try:
        yield city, database, Intake(city, outbox, cases), inbox
    finally:
        await database.stop()


async def serve_http(folder: Path) -> None:
    """Serve the HTTP source until standard input ends."""
    async with parts(folder) as (city, _, intake, inbox):
        source = HttpSource(intake, inbox, {}, source_of=city.source_of)
        app = HttpApp({AGENCY: TOKEN}, source.routes(), Starlette())
        async with serving(app, host="127.0.0.1", port=0) as port:
            say({"port": port})
            await asyncio.to_thread(sys.stdin.read)


async def read_file(folder: Path, name: str) -> None:
    """Read one file to its end."""
    (folder / "mapping.toml").write_text(MAPPING, encoding="utf-8")
    config = FilesConfig(folder="incoming", mapping="mapping.toml", settle_seconds=0.1, poll_seconds=0.05)
    async with parts(folder) as (city, database, intake, _):
        place = Place(
            agency=AGENCY, name="exports", folder=folder, environment=os.environ, city=city, database=database
        )
        source = asyncio.create_task(KIND.build(config, place, intake).run())
        began = time.perf_counter()
        done = folder / "incoming" / "done" / name
        while not done.exists() and not source.done():  # noqa: ASYNC110 - a file tells nobody
            await asyncio.sleep(0.05)
        seconds = time.perf_counter() - began
        source.cancel()
        await asyncio.gather(source, return_exceptions=True)
        taken = await database.run(
            lambda connection: connection.exec_driver_sql("SELECT count(*) FROM subak_outbox").scalar()
        )
    used = [resource.getrusage(who) for who in (resource.RUSAGE_SELF, resource.RUSAGE_CHILDREN)]
    cpu_seconds = sum(who.ru_utime + who.ru_stime for who in used)
    say({"events": taken, "seconds": seconds, "cpu_seconds": cpu_seconds})


async def answer_slowly(seconds: float) -> None:
    """Be an agency's system that answers 204 after so long, until standard input ends."""
    from aiohttp import web  # not in the processes whose memory is measured: an adapter has none of it

    heard: list[tuple[str, str]] = []

    async def receive(request: web.Request) -> web.Response:
        event = json.loads(await request.read())
        await asyncio.sleep(seconds)
        heard.append((event["subject"], event["id"]))
        return web.Response(status=204)

    async def tell(_: web.Request) -> web.Response:
        return web.json_response(heard)

    app = web.Application()
    app.add_routes([web.post("/events", receive), web.get("/heard", tell)])
    runner = web.AppRunner(app)
    await runner.setup()
    site = web.TCPSite(runner, "127.0.0.1", 0)
    await site.start()
    say({"port": site._server.sockets[0].getsockname()[1]})  # type: ignore[union-attr]
    await asyncio.to_thread(sys.stdin.read)
    await runner.cleanup()


def say(what: dict[str, Any]) -> None:
    """Tell the process that started this one."""
    print(json.dumps(what), flush=True)


def main() -> None:
    """Do what the arguments say."""
    configure_logs("error", "console")
    tune_collector()
    what, *rest = sys.argv[1:]
    if what == "http":
        uvloop.run(serve_http(Path(rest[0])))
    elif what == "files":
        uvloop.run(read_file(Path(rest[0]), rest[1]))
    else:
        uvloop.run(answer_slowly(float(rest[0])))


if __name__ == "__main__":
    main()
