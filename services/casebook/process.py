"""The process `subak run casebook`: the loop that writes the tables, and the API that reads them, in one."""

from __future__ import annotations

import asyncio
from functools import partial

from bus.acting import records_at
from bus.city import load_city
from bus.city.load import city_path
from bus.deliveries import AdapterBook
from bus.http_door import Door
from bus.identity import Issuer, identity_of
from bus.logs import get_logger
from bus.process import serving, until_stopped
from bus.settings import Settings
from bus.topics import EVENTS
from services.casebook.api import casebook_api
from services.casebook.database import reader_engine, writer_engine
from services.casebook.entrance import Entrance
from services.casebook.following import NAME, Following, FollowingSettings
from services.casebook.measuring import measure_often
from services.casebook.questions import Questions
from services.casebook.writer import Writer

log = get_logger("process")


async def run_casebook(settings: Settings, stopping: asyncio.Event, *, rebuild: bool = False) -> None:
    """Run until `stopping` is set; the batch in hand is finished first.

    Args:
        rebuild: forget the tables and read the log again from its beginning.

    Raises:
        Misconfigured: a person must change something first.
    """
    city = load_city(city_path(settings.city))
    url = settings.database(NAME)
    writing, reading = writer_engine(url), reader_engine(url)
    following = Following(
        Writer(writing),
        city=city.id,
        kafka=settings.kafka,
        rebuild=rebuild,
        settings=FollowingSettings(batch_records_max=settings.batch_records_max),
    )
    questions = Questions(reading)
    adapters = AdapterBook(settings.adapters_file)
    identity = identity_of(settings, city)
    issuer = Issuer(identity) if identity is not None else None
    api = casebook_api(
        questions,
        city,
        why_not_ready=following.why_not_ready,
        warning=lambda: issuer.away if issuer is not None else None,
        adapters=adapters,
        read_log=partial(records_at, settings.kafka, EVENTS),
    )
    app = Door(Entrance(api, issuer), requests_per_second=settings.http_requests_per_second)
    try:
        async with serving(app, host=settings.http_host, port=settings.http_port) as port:
            log.info("process_serving", url=f"http://{settings.http_host}:{port}")
            work = asyncio.create_task(following.run(), name=NAME)
            beside = [asyncio.create_task(measure_often(questions, opened=following.opened), name=f"{NAME}-measuring")]
            if issuer is not None:
                beside.append(asyncio.create_task(issuer.keep(), name="keeping the provider's keys"))
            try:
                await until_stopped(stopping, work)
            finally:
                following.stop()
                for task in beside:
                    task.cancel()
                await asyncio.gather(work, *beside, return_exceptions=True)
    finally:
        if issuer is not None:
            await issuer.close()
        writing.dispose()
        reading.dispose()
