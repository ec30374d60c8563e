"""One simulated city over several lives, with its data kept between them, and the waits of the fault tests.

Each wait has a deadline, and when it is over says what is stuck: which case after which step, which stage how far
behind, which process not ready and why. The tests kill by process id, as a crash does it; who starts again what died
is the product's own supervisor.
"""

from __future__ import annotations

import os
import signal
import sys
import time
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path

import pytest

from bus.city import City, load_city
from deploy.local.children import log_tail
from deploy.simulation.city import SimulatedCity
from deploy.simulation.records import AgencyRecords
from deploy.simulation.requests import SUBMITTED
from deploy.simulation.watch import Watch
from tests.faults import evidence
from tests.faults.words import in_their_own_words

PARTITIONS = 2
"""So that members can share a stage, and a record can come on the wrong one."""

SPEED = 4.0
READY_SECONDS_MAX = 180.0
LOOK_SECONDS = 0.2


class Town:
    """A city that can end and begin again on the same data. For one thread."""

    def __init__(self, home: Path, *, seed: int, brokers: int = 1) -> None:
        self.seed = seed
        self.brokers = brokers
        self.trusted = False
        """Whether the last test left it as it should be: otherwise the next one begins anew."""
        self._forged = False
        self.news: list[str] = []
        """What started, was ready, died, with the seconds since this test began."""
        self._home = home
        self._city: SimulatedCity | None = None
        self._began = time.monotonic()
        self.folder = in_their_own_words(home / "city")
        self.directory: City = load_city(self.folder)

    # -- lives

    @property
    def home(self) -> Path:
        """The city's own folder."""
        return self._home.resolve() / self.directory.id

    @property
    def city(self) -> SimulatedCity:
        """The city that runs now."""
        assert self._city is not None, "open the town first"
        return self._city

    @property
    def is_open(self) -> bool:
        """Whether it runs."""
        return self._city is not None

    def open(self, *, fresh: bool = False, cases: Sequence[str] = ()) -> None:
        """Start it on the data that are there. `cases`: of an earlier life, to follow in this one."""
        self._forged = self._forged and not fresh
        self._city = SimulatedCity(
            str(self.folder),
            partitions=PARTITIONS,
            brokers=self.brokers,
            home=self._home,
            fresh=fresh,
            seed=self.seed,
            speed=SPEED,
            report=self._told,
        )
        try:
            self._city.start()
        except BaseException:
            self._city = None
            raise
        self.adopt(cases)

    def adopt(self, cases: Sequence[str]) -> None:
        """Follow these cases, and no others."""
        self.city.cases = list(cases)
        self.city.watch = Watch(list(self.city.records.values()), self.city.cases)

    def close(self) -> None:
        """Stop it: SIGTERM to every process. The data stay."""
        city, self._city = self._city, None
        if city is not None:
            city.stop()

    def begin(self) -> None:
        """A new test begins."""
        self.trusted = False
        self.news.clear()
        self._began = time.monotonic()
        self.until_ready()
        self.adopt(())

    # -- the work

    def submit(self, count: int, *, per_second: float) -> list[str]:
        """Let this many more requests come in from now on; their cases."""
        known = len(self.city.cases)
        self.city.submit(self.city.made_up(count), per_second=per_second)
        return self.city.cases[known:]

    def until_done(self, *, seconds: float, meanwhile: Iterator[object] | None = None) -> None:
        """Return when every post has its answer and every case is closed. `meanwhile` is drawn upon at each look."""
        watch = self.city.watch
        assert watch is not None, "submit something first"

        def done() -> bool:
            watch.look()
            busy = meanwhile is not None and next(meanwhile, None) is not None
            return not busy and watch.finished

        self.until(done, "every case is closed", seconds=seconds)

    def progress(self) -> float:
        """The share of the work that is done, 0 to 1: each case comes in, is taken on, is closed."""
        watch = self.city.watch
        assert watch is not None, "submit something first"
        reached = sum(watch.standing.reached(stage) for stage in ("submitted", "taken on", "closed"))
        return reached / (3 * len(self.city.cases))

    def until_ready(self, *, seconds: float = READY_SECONDS_MAX) -> None:
        """Return when every process is ready and the broker runs."""
        local = self.city.local

        def ready() -> bool:
            assert local.kafka is not None
            return local.kafka.is_running() and all(map(local.supervisor.is_ready, local.supervisor.names()))

        self.until(ready, "every process is ready", seconds=seconds)

    def until(self, holds: Callable[[], bool], what: str, *, seconds: float) -> None:
        """Wait until it holds; at the deadline, fail with what is stuck."""
        deadline = time.monotonic() + seconds
        while not holds():
            if self.city.local.supervisor.failure is not None:
                pytest.fail(f"a process cannot run: {self.city.local.supervisor.failure}\n{self.situation()}")
            if time.monotonic() > deadline:
                pytest.fail(f"after {seconds:.0f} s it does not hold that {what}.\n{self.situation()}")
            time.sleep(LOOK_SECONDS)

    # -- breaking it

    def kill(self, name: str) -> bool:
        """SIGKILL a process by its id, or the broker. False where it is down just now."""
        pid = self.city.local.pids.get(name)
        if pid is None:
            return False
        self._told(name, "killed by the test", f"pid {pid}, {self.progress():.0%} of the work done")
        os.kill(pid, signal.SIGKILL)
        return True

    @property
    def processes(self) -> list[str]:
        """Everything that can be killed."""
        return [*self.city.local.brokers, *self.city.local.supervisor.names()]

    def environment(self) -> dict[str, str]:
        """What a process of this bus that a test starts by hand needs."""
        local = self.city.local
        return dict(os.environ) | {
            "SUBAK_KAFKA_BOOTSTRAP_SERVERS": local.bootstrap_servers,
            "SUBAK_KAFKA_PARTITIONS": str(local.partitions),
            "SUBAK_KAFKA_REPLICATION_FACTOR": str(local.replication_factor),
            "SUBAK_CITY": str(local.path),
            "SUBAK_HOME": str(local.home),
        }

    @staticmethod
    def command(*words: str) -> list[str]:
        """The argument list of `subak <words>`."""
        return [sys.executable, "-m", "services.cli", *words]

    # -- looking at it

    def channel(self) -> AgencyRecords:
        """The citizens' channel's database, to be closed by the caller."""
        path = self.home / "agency-systems" / f"{self.directory.citizens_channel}.sqlite3"
        return AgencyRecords(path, self.directory.citizens_channel, read_only=True)

    def planned(self) -> list[tuple[str, str]]:
        """(case, state of its post) of every request that was ever planned, in their order."""
        channel = self.channel()
        try:
            return [(sent.case, sent.state) for sent in channel.sent_since() if sent.type == SUBMITTED]
        finally:
            channel.close()

    def situation(self) -> str:
        """What is stuck, in words."""
        words = [f"seed {self.seed}, home {self.home}"]
        words += ["what happened:", *(f"  {line}" for line in self.news[-60:])]
        local = self.city.local
        for name in local.supervisor.names():
            if not local.supervisor.is_ready(name):
                words.append(f"{name} is not ready. Its log ends:\n{log_tail(self.home / 'logs' / f'{name}.log', 6)}")
        ledgers, counts = self.city.outcome()
        stuck = self.city.stuck(ledgers, counts)
        words.append(f"{len(stuck)} of {len(self.city.cases)} cases are open")
        words += [f"  {case}: {where}" for case, where in list(stuck.items())[:10]]
        waiting = {id: count for id, each in self.city.records.items() if (count := each.waiting_count())}
        words.append(f"posts without an answer: {waiting or 'none'}")
        return "\n".join([*words, *evidence.lag(local.settings)])

    def check(self, *, forged: bool = False) -> None:
        """Everything that must hold after a run: see `evidence.py`. Then the town may be used again."""
        self._forged = self._forged or forged  # what was written stays in the topics
        problems = evidence.problems(self.city, forged=self._forged)
        if problems:
            listed = "\n".join(f"  {problem}" for problem in problems[:40])
            pytest.fail(f"{len(problems)} things are wrong:\n{listed}\n{self.situation()}")
        self.trusted = True

    def _told(self, name: str, event: str, detail: str) -> None:
        self.news.append(f"{time.monotonic() - self._began:6.1f} s  {name} {event} {detail}".rstrip())
