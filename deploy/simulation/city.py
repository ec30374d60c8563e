"""A whole city that acts by itself: a local bus, and the systems of all its agencies at work on it.

`subak demo`, the fault tests and the measurements use it. The simulator is one more process that the bus's supervisor
keeps running, so it can be killed like any other.
"""

from __future__ import annotations

import contextlib
import os
import secrets
import sys
import time
import urllib.request
from base64 import b64encode
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

from bus.city import City
from deploy.local.adapter_files import AgencyKinds
from deploy.local.ports import HOST, free_ports
from deploy.local.supervisor import ProcessSpec, Report
from deploy.local.up import LocalCity
from deploy.simulation.arrangement import AdapterAccess, Arrangement, Open311Access, webhook_url
from deploy.simulation.counts import Counts, count
from deploy.simulation.examples import Example, examples
from deploy.simulation.ledger import Ledger, of_cases, read_ledgers
from deploy.simulation.musrenbang import planned, proposal_of
from deploy.simulation.own_system import OwnSystem
from deploy.simulation.phrasebook import Phrasebook, load_phrasebook
from deploy.simulation.records import AgencyRecords
from deploy.simulation.refusals import Refusal, refusals
from deploy.simulation.requests import SUBMITTED, made_up, plan
from deploy.simulation.roster import roster
from deploy.simulation.timeline import timeline
from deploy.simulation.watch import Standing, Watch
from schemas.failures import Misconfigured

NAME = "simulation"
READY_SECONDS_MAX = 30.0
LOOK_EVERY_SECONDS = 0.2
STUCK_AFTER_SECONDS = 60.0
"""When nothing was posted or heard for so long, what is open counts as stuck."""
SETTLE_SECONDS_MAX = 15.0
"""How long the last events may take to reach everybody once all cases are closed."""
START_SECONDS = 0.5
"""From planning the requests to the first of them."""


class SimulatedCity:
    """A local city with its simulated agencies. `start`, `submit`, `follow`, `outcome`, `stop`."""

    def __init__(
        self,
        city: str,
        *,
        home: Path = Path(".subak"),
        fresh: bool = False,
        bootstrap_servers: str = "",
        partitions: int = 1,
        replication_factor: int = 1,
        brokers: int = 1,
        secure: bool = False,
        seed: int = 1,
        speed: float = 1.0,
        http_only: bool = False,
        databases: Mapping[str, str] | None = None,
        report: Report = lambda *_: None,
        environment: Mapping[str, str] | None = None,
    ) -> None:
        """
        Args:
            seed: decides the requests and all that agencies do; the same seed, the same decisions.
            speed: how much faster than normal agencies act.
            http_only: every agency speaks and hears by HTTP, those that the city has worked examples of too.
            databases: agency → SQLAlchemy's URL of a database for its own tables; a SQLite file where none is named.
            others: as `LocalCity` takes them.
        """
        self._port = free_ports(1)[0]
        self._secret = "whsec_" + b64encode(secrets.token_bytes(32)).decode()
        self._seed = seed
        self._speed = speed
        self._databases = dict(databases or {})
        self.local = LocalCity(
            city,
            home=home,
            fresh=fresh,
            bootstrap_servers=bootstrap_servers,
            partitions=partitions,
            replication_factor=replication_factor,
            brokers=brokers,
            secure=secure,
            webhook_urls=lambda agency: webhook_url(HOST, self._port, agency),
            webhook_secret=self._secret,
            kinds=self._kinds,
            report=report,
            environment=environment,
        )
        self.city: City = self.local.city
        self.book: Phrasebook = load_phrasebook(self.local.path, self.city)
        self.examples: dict[str, Example] = {} if http_only else examples(self.local.path, self.city)
        """The agencies that have a system in their own words, as the city's folder shows it."""
        self.own: dict[str, OwnSystem] = {}
        """Where these systems lie, once they are laid out."""
        speak_sql = {id for id, one in self.examples.items() if one.source["kind"] == "sql"}
        if unknown := sorted(set(self._databases) - speak_sql):
            raise Misconfigured(f"{unknown[0]!r} is no agency of {self.city.id} that speaks by its own SQL database.")
        self.cases: list[str] = []
        """The cases of the requests submitted here, in their order."""
        self.records: dict[str, AgencyRecords] = {}
        self.watch: Watch | None = None

    def start(self) -> None:
        """Start the bus, then the agencies' systems; return when all are ready.

        Raises:
            Misconfigured: something cannot run; in words.
        """
        run = self.local.start()
        try:
            path = self.local.home / "simulation.json"
            arrangement = Arrangement(
                city=str(self.local.path),
                folder=str(self.systems),
                seed=self._seed,
                speed=self._speed,
                port=self._port,
                agencies={
                    id: AdapterAccess(
                        url=access["url"],
                        token=access["token"],
                        secret=self._secret,
                        open311=Open311Access(**run.open311[id]) if id in run.open311 else None,
                        own=self.own.get(id),
                    )
                    for id, access in run.adapters.items()
                    if id in roster(self.city, self.book)
                },
            )
            arrangement.write(path)
            self.records = {id: arrangement.records(id) for id in arrangement.agencies}
            spec = ProcessSpec(
                name=NAME,
                argv=[sys.executable, "-m", "deploy.simulation", str(path)],
                env={key: value for key, value in os.environ.items() if not key.startswith("SUBAK_")},
                url=f"http://{HOST}:{self._port}",
                log=self.local.home / "logs" / f"{NAME}.log",
            )
            self.local.supervisor.start([spec])
            self.local.supervisor.wait_until_ready(seconds=READY_SECONDS_MAX)
        except BaseException:
            self.stop()
            raise

    def stop(self) -> None:
        """End everything. The data stay."""
        self.local.stop()
        for records in self.records.values():
            records.close()
        self.records = {}

    @property
    def systems(self) -> Path:
        """The folder of the agencies' own systems: a database for each, and what its example asks for."""
        return self.local.home / "agency-systems"

    def made_up(self, count: int) -> list[dict[str, Any]]:
        """The next requests that the city's citizens would make."""
        return list(made_up(self.city, self.book, count=count, seed=self._seed, first=self._next_number()))

    def submit(self, requests: Sequence[Mapping[str, Any]], *, per_second: float) -> Watch:
        """Let these requests come in at the citizens' channel from now on, at a steady rate."""
        planned = list(
            plan(
                requests,
                book=self.book,
                city=self.city,
                seed=self._seed,
                first=self._next_number(),
                starts_at=time.time() + START_SECONDS,
                per_second=per_second,
                open311=self.local.run is not None and self.city.citizens_channel in self.local.run.open311,
            )
        )
        self.cases += [case for _, case, *_ in planned]
        self.watch = Watch(list(self.records.values()), self.cases)
        self._channel.plan(planned)
        self._tell_simulator()
        return self.watch

    def hold_meetings(self, *, proposals: int, permits: int) -> list[str]:
        """Let a small round of proposals and permits run beside the requests. Returns the proposals' cases.

        None in a city that takes none. They are no part of the requests' counts.
        """
        for sender, post in planned(
            self.city, seed=self._seed, proposals=proposals, permits=permits, starts_at=time.time() + START_SECONDS
        ):
            self.records[sender].plan([post])
        self._tell_simulator()
        return (
            [proposal_of(self.city, self._seed, number) for number in range(1, proposals + 1)]
            if (self.city.proposals is not None)
            else []
        )

    def follow(self, *, stuck_after_seconds: float = STUCK_AFTER_SECONDS) -> Iterator[Standing]:
        """How far the cases are, again and again, until all is done or nothing has moved for so long.

        Raises:
            Misconfigured: a process of the city stopped for good; in its words.
        """
        assert self.watch is not None, "submit something first"
        silent_seconds = 0.0
        while not self.watch.finished:
            standing = self.watch.look()
            yield standing
            if self.local.supervisor.failure is not None:
                raise self.local.supervisor.failure
            # Counted in looks, not by a clock: a machine that slept, or a process that was paused, is not stuck.
            silent_seconds = 0.0 if standing.changed else silent_seconds + LOOK_EVERY_SECONDS
            if silent_seconds > stuck_after_seconds:
                return
            time.sleep(LOOK_EVERY_SECONDS)
        yield self.watch.look()

    def outcome(self) -> tuple[dict[str, Ledger], Counts]:
        """This run's part of the agencies' databases, and what follows from it, once the last events have arrived."""
        until = time.monotonic() + SETTLE_SECONDS_MAX
        while True:
            ledgers = of_cases(read_ledgers(self.records.values()), self.cases)
            counts = count(self.city, ledgers, self.cases)
            if not counts.lost or counts.open_cases or time.monotonic() > until:
                return ledgers, counts
            time.sleep(0.5)

    def stuck(self, ledgers: Mapping[str, Ledger], counts: Counts) -> dict[str, str]:
        """Each case that is not closed, and where it stands."""
        found: dict[str, str] = {}
        for case in counts.open_cases:
            entries = timeline(self.city, ledgers, case)
            last = entries[-1] if entries else None
            name = last.type.removeprefix("subak.").rpartition(".")[0] if last else "nothing"
            where = f", heard by {', '.join(last.to)}" if last and last.to else ", heard by nobody"
            found[case] = f"after {name} of {last.who}{where}" if last else "no agency knows of it"
        return found

    def make_mistakes(self) -> None:
        """Let clerks write into their own systems what no adapter can take: see `refusals`."""
        for agency, own in self.own.items():
            self.examples[agency].make_mistakes(own)

    def refusals(self) -> dict[str, list[Refusal]]:
        """What the adapters could not take of the agencies' own systems, by agency."""
        databases = {agency: file.database for file in self.local.adapters for agency in file.tokens}
        return {id: refusals(own, id, databases[id]) for id, own in sorted(self.own.items())}

    def _kinds(self, agency: str) -> AgencyKinds | None:
        """Lay an agency's example out, for its adapter and for whoever simulates it."""
        if (example := self.examples.get(agency)) is None:
            return None
        kinds, self.own[agency] = example.laid_out(self.systems / agency, self._databases.get(agency))
        return kinds

    def _tell_simulator(self) -> None:
        """Let it take up what is planned. Where it is down it does so when it starts."""
        request = urllib.request.Request(f"http://{HOST}:{self._port}/planned", method="POST")
        with contextlib.suppress(OSError), urllib.request.urlopen(request, timeout=10):  # noqa: S310
            pass

    @property
    def _channel(self) -> AgencyRecords:
        return self.records[self.city.citizens_channel]

    def _next_number(self) -> int:
        return self._channel.count_of(SUBMITTED) + 1
