"""Takes the adapters' webhooks: `POST /<agency id>/events`, answered 204 once the event is in the agency's database.

401 where the signature is not the adapter's, 400 where the body is no event, 404 for an agency that is not simulated.
An event that was there already is answered 204 again and changes nothing but the count of redeliveries.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass

from aiohttp import web

from bus.logs import get_logger
from deploy.simulation.behaviour import Heard, SimulatedAgency, random_for
from deploy.simulation.musrenbang import react
from deploy.simulation.records import AgencyRecords, Sent
from deploy.simulation.signature import problem_with
from deploy.simulation.wire import heard_from

log = get_logger(__name__)

BODY_BYTES_MAX = 2 * 1_048_576
"""Twice the data that an event may have: room for its envelope."""


@dataclass(frozen=True, slots=True)
class System:
    """One agency's system: who it is, its database, the bytes of its webhook's secret."""

    agency: SimulatedAgency
    records: AgencyRecords
    key: bytes


class Receiver:
    """The incoming half of all simulated systems."""

    def __init__(
        self,
        systems: Mapping[str, System],
        then_post: Callable[[str, Sequence[Sent]], None],
        look_again: Callable[[], None],
        *,
        seed: int,
        speed: float,
    ) -> None:
        self._systems = systems
        self._then_post = then_post
        self._look_again = look_again
        self._seed = seed
        self._speed = speed

    def app(self) -> web.Application:
        """The web application."""
        app = web.Application(client_max_size=BODY_BYTES_MAX)
        app.router.add_post("/{agency}/events", self.receive)
        app.router.add_post("/planned", self.planned)
        app.router.add_get("/health/ready", _ready)
        return app

    async def receive(self, request: web.Request) -> web.Response:
        """One webhook call."""
        system = self._systems.get(request.match_info["agency"])
        if system is None:
            return web.Response(status=404, text=f"no agency {request.match_info['agency']!r} is simulated here")
        body = await request.read()
        now = time.time()
        if problem := problem_with(request.headers, body, key=system.key, now=now):
            log.warning("webhook_refused", agency=system.agency.id, problem=problem)
            return web.Response(status=401, text=problem)
        try:
            event = heard_from(body)
        except ValueError as error:
            return web.Response(status=400, text=str(error))
        self.hear(system, event, now)
        return web.Response(status=204)

    def hear(self, system: System, event: Heard, now: float, *, read_to: int | None = None) -> None:
        """Take up one event, however it came; once this returns it is in the agency's database.

        Args:
            read_to: see `AgencyRecords.take`.
        """
        agency, records = system.agency, system.records
        file = records.file_of(event.case)
        nth = sum(told.type == event.type for told in file)
        rng = random_for(self._seed, event.case, agency.id, event.type, nth)
        posts = [(delay / self._speed, post) for delay, post in react(agency, event, rng, file)]
        stored = records.take(event, posts, now, read_to=read_to)
        if stored:
            self._then_post(agency.id, stored)

    async def planned(self, _: web.Request) -> web.Response:
        """Somebody has planned posts in a database: take them up."""
        self._look_again()
        return web.Response(status=204)


async def _ready(_: web.Request) -> web.Response:
    return web.Response(text="ready")
