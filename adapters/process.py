"""The adapter process: outbox, relays, inbox, deliveries and the HTTP side, composed and run until stopped.

It starts, and answers 202, whether or not Kafka is there: what it took is on disk. It stops by itself only where a
person must act (`Misconfigured`), and says what.
"""

from __future__ import annotations

import asyncio
import contextlib
import os
from collections.abc import AsyncIterator, Coroutine, Iterator
from pathlib import Path
from typing import Any

from starlette.applications import Starlette
from starlette.routing import Mount

from adapters.attachments import attachment_routes
from adapters.config import AdapterConfig, Named, ServedAgency
from adapters.delivery import Delivery
from adapters.http_app import HttpApp
from adapters.http_source import HttpSource
from adapters.intake import Intake
from adapters.kinds import ListeningSource, Place, Target, WorkingTarget, source_kind, target_kind
from adapters.ledger import Ledger
from adapters.schedule import ScheduleSettings
from adapters.status import EventStatus, casebook_reader
from adapters.webhook import WebhookTarget
from bus.agency_migrations import STEPS
from bus.agency_tables import NAME, TABLES, VERSION
from bus.backoff import Backoff
from bus.cases import KnownCases
from bus.city import City, city_path, load_city
from bus.database import Database
from bus.health import health_routes
from bus.inbox import Inbox, InboxReader
from bus.kafka import KafkaSettings
from bus.logs import get_logger
from bus.outbox import Horizon, Outbox, Relay
from bus.process import serving, until_stopped
from bus.settings import Settings
from bus.topics import in_topic, inbox_group
from schemas.failures import Misconfigured, Retryable

log = get_logger("adapter")

MEASURE_SECONDS = 5.0
"""How often depths and ages are measured."""

TIDY_SECONDS = 3600.0
"""How often what was kept long enough is removed."""

TARGET_CALLS_MAX = 8
"""Events handed at once to a target that is no webhook, each of another case."""

RELAYS_AT_ONCE = 4
"""Relays of one process that may be in a Kafka transaction at once. Those that wait gather more rows meanwhile."""


async def run_adapter(path: Path, settings: Settings, stopping: asyncio.Event) -> None:
    """Run the adapter that `path` (an adapter.toml) describes, until `stopping` is set.

    Raises:
        Misconfigured: a person must change a file, a setting or a position; says which.
    """
    config = AdapterConfig.load(path)
    city = load_city(city_path(settings.city))
    for agency in config.agencies:
        city.agency(agency.id)
    async with Adapter(config, city, settings.kafka, folder=path.parent.absolute()).running() as (port, tasks):
        log.info("adapter_started", name=config.name, port=port, agencies=len(config.agencies))
        await until_stopped(stopping, *tasks)


class Adapter:
    """One adapter, in parts."""

    def __init__(self, config: AdapterConfig, city: City, kafka: KafkaSettings, *, folder: Path = Path()) -> None:
        """
        Args:
            folder: where adapter.toml lies: the files that it names are found from there.
        """
        self.config = config
        self.problem: str | None = "the adapter is starting"
        """Why it cannot take events, in words; None when all is well."""
        self._agencies = [agency.id for agency in config.agencies]
        self._database = Database(config.database_url, tables=TABLES, name=NAME, version=VERSION, steps=STEPS)
        cases = KnownCases(self._database)
        self.outbox = Outbox(self._database, cases, rows_max=config.outbox_rows_max)
        self.inbox = Inbox(
            self._database,
            cases,
            agency_of={in_topic(agency): agency for agency in self._agencies},
            source_of=city.source_of,
        )
        self._intake = Intake(city, self.outbox, cases)
        self._source_of = city.source_of
        self._casebook = casebook_reader(config.casebook, city)
        self._agency_of = city.agency_of
        horizon, turns = Horizon(), asyncio.Semaphore(RELAYS_AT_ONCE)
        self.relays = [
            Relay(
                agency.id,
                self.outbox,
                kafka if agency.kafka is None else kafka.known_as(agency.kafka),
                horizon=horizon,
                turns=turns,
                accept_new_outbox=agency.accept_new_outbox,
            )
            for agency in config.agencies
        ]
        self.readers = list(self._readers(kafka))
        self.sources = [
            source_kind(named.kind).build(named.settings, self._place(agency.id, named, city, folder), self._intake)
            for agency in config.agencies
            for named in agency.sources
        ]
        owners = [agency.id for agency in config.agencies for _ in agency.sources]
        self._listening = [source for source in self.sources if isinstance(source, ListeningSource)]
        for owner, source in zip(owners, self.sources, strict=True):
            if isinstance(source, ListeningSource):
                self.outbox.listeners.add(owner, source.hear)
                self.inbox.listeners.add(owner, source.hear)
        self._targets: dict[str, Target] = {
            agency.id: target_kind(named.kind).build(named.settings, self._place(agency.id, named, city, folder))
            for agency in config.agencies
            if (named := agency.target) is not None
        }

    def _readers(self, kafka: KafkaSettings) -> Iterator[InboxReader]:
        """One reader for all agencies that share the adapter's identity, and one for each that has its own."""
        shared = [agency.id for agency in self.config.agencies if agency.kafka is None]
        if shared:
            yield InboxReader(f"adapter-{self.config.name}", shared, self.inbox, kafka)
        for agency in self.config.agencies:
            if agency.kafka is not None:
                yield InboxReader(inbox_group(agency.id), [agency.id], self.inbox, kafka.known_as(agency.kafka))

    def _place(self, agency: str, named: Named, city: City, folder: Path) -> Place:
        return Place(
            agency=agency,
            name=named.name,
            folder=folder,
            environment=os.environ,
            city=city,
            database=self._database,
            attachments=self.config.attachments,
            casebook=self.config.casebook,
        )

    @contextlib.asynccontextmanager
    async def running(self) -> AsyncIterator[tuple[int, list[asyncio.Task[None]]]]:
        """Run while the block does; gives the port and the tasks, whose failure is the adapter's."""
        await self._open()
        webhooks: dict[str, WebhookTarget] = {}
        try:
            webhooks |= {agency.id: WebhookTarget(agency.webhook) for agency in self.config.agencies if agency.webhook}
            deliveries = {
                agency.id: self._delivery(agency, webhooks[agency.id])
                for agency in self.config.agencies
                if agency.id in webhooks
            }
            deliveries |= {
                id: Delivery(id, self.inbox, target, concurrency_max=TARGET_CALLS_MAX)
                for id, target in self._targets.items()
            }
            async with serving(self._app(deliveries), host=self.config.host, port=self.config.port) as port:
                self.problem = None
                work: list[Coroutine[Any, Any, None]] = [
                    *(relay.run() for relay in self.relays),
                    *(reader.run() for reader in self.readers),
                    *(delivery.run() for delivery in deliveries.values()),
                    *(source.run() for source in self.sources),
                    *(target.run() for target in self._targets.values() if isinstance(target, WorkingTarget)),
                    self._keep_house(),
                ]
                tasks = [asyncio.create_task(one) for one in work]
                try:
                    yield port, tasks
                finally:
                    for task in tasks:
                        task.cancel()
                    await asyncio.gather(*tasks, return_exceptions=True)
        finally:
            for webhook in webhooks.values():
                await webhook.close()
            for target in self._targets.values():
                await target.close()
            if self._casebook is not None:
                await self._casebook.close()
            await self._database.stop()

    async def _open(self) -> None:
        """Open the database, for which an adapter may have to wait after a power cut."""
        backoff = Backoff(0.5, 10.0)
        while True:
            try:
                await self._database.start()
                for source in self._listening:
                    await source.open()
                await self.outbox.start(self._agencies)
                await self.inbox.measure(self._agencies)
                return
            except Retryable as error:
                log.warning("adapter_waited", error=str(error))
                await self._database.stop()
                await asyncio.sleep(backoff.next_seconds())

    def _delivery(self, agency: ServedAgency, target: WebhookTarget) -> Delivery:
        webhook = agency.webhook
        if webhook is None:
            raise Misconfigured(f"{agency.id} has no webhook")
        return Delivery(
            agency.id,
            self.inbox,
            target,
            concurrency_max=webhook.concurrency_max,
            settings=ScheduleSettings(
                tries_max=webhook.tries_max,
                retry_seconds_first=webhook.retry_seconds_first,
                retry_seconds_max=webhook.retry_seconds_max,
            ),
        )

    def _app(self, deliveries: dict[str, Delivery]) -> HttpApp:
        status = EventStatus(self._database, self._source_of, self._casebook)
        source = HttpSource(self._intake, self.inbox, deliveries, source_of=self._source_of, status=status)
        found = [mount for source in self.sources if (mount := source.mount()) is not None]
        paths = [path for path, _ in found]
        if twice := sorted({path for path in paths if paths.count(path) > 1}):
            raise Misconfigured(f"two sources answer under {twice[0]}: give one of them another path.")
        mounts = [Mount(*mount) for mount in found]
        others = Starlette(routes=[*health_routes(why_not_ready=lambda: self.problem), *mounts])
        ledger = Ledger(self._database, agency_of=self._agency_of, outbox_keep_seconds=self.config.outbox_keep_seconds)
        routes = [*source.routes(), *ledger.routes()]
        if self.config.attachments is not None:
            routes += attachment_routes(self.config.attachments)
        agencies = self.config.agencies
        ledger_tokens = {agency.id: agency.ledger_token for agency in agencies if agency.ledger_token is not None}
        return HttpApp({agency.id: agency.token for agency in agencies}, routes, others, ledger_tokens=ledger_tokens)

    async def _keep_house(self) -> None:
        """Measure, and remove what was kept long enough. A database that is away makes the adapter not ready."""
        loop = asyncio.get_running_loop()
        tidied_at = loop.time()
        while True:
            await asyncio.sleep(MEASURE_SECONDS)
            try:
                await self.outbox.measure(self._agencies)
                await self.inbox.measure(self._agencies)
                self.problem = None
                if loop.time() - tidied_at > TIDY_SECONDS:
                    tidied_at = loop.time()
                    for agency in self._agencies:
                        await self.outbox.prune(agency, self.config.outbox_keep_seconds)
                        await self.inbox.forget(agency, self.config.inbox_keep_seconds)
            except Retryable as error:
                self.problem = str(error)
                log.warning("adapter_database_away", error=str(error))
