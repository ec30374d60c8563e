"""`subak up`: a real Kafka and a city's whole bus on this machine, until Ctrl-C.

It says what it starts, then where everything is, then what dies and comes back. Another terminal finds the bus by the
run file; `subak case list`, `subak lag` and the others need no address.
"""

from __future__ import annotations

import signal
import threading
import time
from pathlib import Path
from types import FrameType
from typing import TYPE_CHECKING, Annotated

import typer
from rich.box import SIMPLE_HEAD
from rich.console import Console
from rich.markup import escape
from rich.status import Status
from rich.table import Table

from bus.settings import read_settings
from schemas.failures import Misconfigured
from services.cli.itself import command

if TYPE_CHECKING:
    from bus.runfile import RunFile
    from deploy.local.supervisor import Event
    from deploy.local.up import LocalCity

LOOK_SECONDS = 0.5


def up(
    city: Annotated[str, typer.Option(help="A city that comes with Subak, or the folder of one.")] = "",
    fresh: Annotated[bool, typer.Option("--fresh/--keep", help="Forget what earlier runs left, or go on.")] = False,
    home: Annotated[Path | None, typer.Option(help="Where all data lie. Default: SUBAK_HOME, or .subak.")] = None,
    adapters: Annotated[
        bool, typer.Option("--adapters/--no-adapters", help="Run every agency's adapter too, or leave that to you.")
    ] = True,
    brokers: Annotated[
        int, typer.Option(help="Kafka brokers to run: 1, or 3 as a city has them, of which one may be lost.")
    ] = 1,
    secure: Annotated[
        bool, typer.Option("--secure", help="With TLS, and a user with its rights for each process and agency.")
    ] = False,
) -> None:
    """Start a real Kafka and a city's whole bus on this machine; Ctrl-C ends it, and the data stay."""
    settings = read_settings()
    console = Console(highlight=False)
    progress = StartProgress(console)
    bus = _local_city()(
        city or settings.city,
        home=home or settings.home,
        fresh=fresh,
        brokers=brokers,
        secure=secure,
        with_adapters=adapters,
        bootstrap_servers=settings.kafka_bootstrap_servers,
        partitions=settings.kafka_partitions,
        replication_factor=settings.kafka_replication_factor if settings.kafka_bootstrap_servers else 1,
        report=progress.report,
    )
    interrupt_on_signals()
    try:
        with console.status("Starting ...") as progress.status:
            run = bus.start()
        progress.is_up()
        _where(console, bus, run)
        until_failure(bus)
    except KeyboardInterrupt:
        console.print("\nStopping. The data stay; --fresh forgets them.")
    finally:
        ignore_interrupts()
        bus.stop()


def _local_city() -> type[LocalCity]:
    try:
        from deploy.local.up import LocalCity
    except ImportError as error:
        raise missing_extra(error) from error
    return LocalCity


def missing_extra(error: ImportError) -> Misconfigured:
    """What to tell where this distribution came without what a local bus needs."""
    return Misconfigured(
        f"this needs the extra `local`, which is not installed ({error.name} is missing): pip install 'subak[local]'."
    )


def interrupt_on_signals() -> None:
    """Let SIGTERM and SIGHUP do what Ctrl-C does: raise KeyboardInterrupt."""
    for number in (signal.SIGTERM, signal.SIGHUP):
        signal.signal(number, _interrupt)


def ignore_interrupts() -> None:
    """For the stop: a second Ctrl-C would leave Kafka to recover at the next start."""
    for number in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP):
        signal.signal(number, signal.SIG_IGN)


def _interrupt(number: int, frame: FrameType | None) -> None:
    raise KeyboardInterrupt


def until_failure(bus: LocalCity) -> None:
    """Stay until something cannot be started again.

    Raises:
        Misconfigured: that, in its own words.
    """
    while bus.supervisor.failure is None:
        time.sleep(LOOK_SECONDS)
    raise bus.supervisor.failure


def _where(console: Console, bus: LocalCity, run: RunFile) -> None:
    table = Table("process", "pid", "address", box=SIMPLE_HEAD)
    for name, broker in bus.brokers.items():
        table.add_row(name, str(broker.pid), broker.bootstrap_servers)
    if not bus.brokers:
        table.add_row("kafka", "not ours", run.bootstrap_servers)
    for name, process in run.processes.items():
        table.add_row(name, str(process["pid"]), str(process["url"]))
    console.print(table)
    issuer = read_settings().oidc_issuer
    asks = f"people sign in at {issuer}" if issuer else "it asks nobody who they are"
    for where, what in (
        (str(run.processes["console"]["url"]), f"the console: all of it in a browser; {asks}"),
        (f"{run.casebook_url}/docs", "the cases' API"),
        (f"{next(iter(run.processes.values()))['url']}/metrics", "measurements, the same at each process"),
        *(
            (f"{place['url']}/discovery.xml", "Open311 (GeoReport v2), for citizens' apps")
            for place in run.open311.values()
        ),
        (str(bus.home / "run.json"), f"the {len(run.adapters)} agencies' addresses and tokens"),
        (str(bus.home / "logs"), "what each process says"),
    ):
        console.print(f"  [cyan]{escape(where)}[/]  [dim]{what}[/]", soft_wrap=True)
    subak = command()
    console.print(f"\nIn another terminal: [cyan]{subak} case list[/], [cyan]{subak} tail[/], [cyan]{subak} lag[/].")
    console.print("[bold]Ctrl-C[/] ends it; the data stay.")


class StartProgress:
    """What starts, in few words; later, what dies and comes back. Called from several threads."""

    def __init__(self, console: Console) -> None:
        self.status: Status | None = None
        self._console = console
        self._lock = threading.Lock()
        self._began = time.monotonic()
        self._starting: dict[str, bool] = {}
        self._up = False

    def is_up(self) -> None:
        """Everything is ready: from now on only what changes is told."""
        self._console.print(f"[green]✓[/] ready  [dim]after {self._seconds()}[/]")
        self._up = True

    def report(self, name: str, event: Event, detail: str) -> None:
        """As the supervisor calls it."""
        with self._lock:
            if event == "died":
                why = f": {escape(detail)}" if detail else ""
                self._console.print(f"[yellow]{name} died{why}[/]")
            elif self._up and event == "ready":
                self._console.print(f"[green]✓[/] {name} is ready again")
            elif not self._up:
                self._at_start(name, event, detail)

    def _at_start(self, name: str, event: Event, detail: str) -> None:
        if event == "ready":
            extra = f" {escape(detail)}" if detail else ""
            self._console.print(f"[green]✓[/] {name}[dim]{extra}  {self._seconds()}[/]")
        if name.startswith("kafka") and event == "started" and self.status is not None:
            self.status.update(f"{escape(detail)} ...")
        elif name != "topics" and not name.startswith("kafka"):
            self._starting[name] = event == "ready"
            ready = sum(self._starting.values())
            if self.status is not None:
                self.status.update(f"Starting the processes: {ready} of {len(self._starting)} ready ...")

    def _seconds(self) -> str:
        return f"{time.monotonic() - self._began:.1f} s"
