"""`subak demo`: a real Kafka and a whole city on this machine, and requests that run through it to the closed case.

What it says at the end is counted from the simulated agencies' own databases: what each sent, what each heard. The exit
code is 0 where nothing was lost, doubled or out of order and every case closed, and 1 otherwise, with the stuck cases.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from datetime import datetime
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer
from rich.console import Console
from rich.markup import escape

from bus.city import city_path
from bus.settings import read_settings
from schemas.failures import Misconfigured
from services.cli.itself import command
from services.cli.up import StartProgress, ignore_interrupts, interrupt_on_signals, missing_extra, until_failure

if TYPE_CHECKING:
    from deploy.simulation.city import SimulatedCity

EXIT_NOT_CLEAN = 1
EXIT_INTERRUPTED = 130

PROPOSALS, PERMITS = 6, 4
"""What runs beside the requests, in a city that takes proposals and permits: outside of the requests' counts."""


def demo(
    city: Annotated[str, typer.Option(help="A city that comes with Subak, or the folder of one.")] = "",
    requests: Annotated[
        Path | None,
        typer.Option(help="Play this Open311 GeoReport v2 JSON array in place of made-up requests.", dir_okay=False),
    ] = None,
    count: Annotated[int, typer.Option(min=1, help="How many requests to make up.")] = 500,
    rate: Annotated[float, typer.Option(min=0.01, max=10_000, help="Requests that come in, in a second.")] = 10.0,
    speed: Annotated[float, typer.Option(min=0.01, max=1000, help="How much faster than normal agencies act.")] = 1.0,
    seed: Annotated[int, typer.Option(help="Same seed, same requests and decisions.")] = 1,
    leave: Annotated[bool, typer.Option("--exit", help="End when all is told, instead of staying up.")] = False,
    meetings: Annotated[
        bool,
        typer.Option("--meetings/--no-meetings", help="Play a round of proposals and permits beside the requests."),
    ] = True,
    http_only: Annotated[
        bool, typer.Option("--http-only", help="Every agency speaks and hears by HTTP: what the bench measures.")
    ] = False,
    agency_database: Annotated[
        list[str] | None,
        typer.Option(
            help="Where an agency that has a database keeps its tables: AGENCY=URL, such as "
            "public-works=postgresql://me@localhost/pupr. Default: SQLite."
        ),
    ] = None,
    as_json: Annotated[
        bool, typer.Option("--json", help="Print one JSON object as the last line, and end: implies --exit.")
    ] = False,
    fresh: Annotated[bool, typer.Option("--fresh/--keep", help="Forget what earlier runs left, or go on.")] = False,
    home: Annotated[Path | None, typer.Option(help="Where all data lie. Default: SUBAK_HOME, or .subak.")] = None,
    secure: Annotated[
        bool, typer.Option("--secure", help="With TLS, and a user with its rights for each process and agency.")
    ] = False,
) -> None:
    """Start a real Kafka and a whole city, and play requests through it to the closed case."""
    try:
        from deploy.simulation.city import SimulatedCity
    except ImportError as error:
        raise missing_extra(error) from error
    from deploy.simulation.feed import read_requests

    settings = read_settings()
    console = Console(stderr=as_json, highlight=False)
    folder = city_path(city or settings.city)
    progress = StartProgress(console)
    simulated = SimulatedCity(
        str(folder),
        home=home or settings.home,
        fresh=fresh,
        bootstrap_servers=settings.kafka_bootstrap_servers,
        partitions=settings.kafka_partitions,
        replication_factor=settings.kafka_replication_factor if settings.kafka_bootstrap_servers else 1,
        secure=secure,
        seed=seed,
        speed=speed,
        http_only=http_only,
        databases=_databases(agency_database or ()),
        report=progress.report,
    )
    read, unread = read_requests(requests, simulated.city, folder) if requests else (None, [])
    interrupt_on_signals()
    try:
        with console.status("Starting ...") as progress.status:
            simulated.start()
        progress.is_up()
        played = read if read is not None else simulated.made_up(count)
        clean = _play(console, simulated, played, unread, rate=rate, meetings=meetings, as_json=as_json)
        if not (leave or as_json):
            _stay(console, simulated)
    except KeyboardInterrupt:
        console.print("\nInterrupted: stopping. The data stay; --fresh forgets them.")
        raise typer.Exit(EXIT_INTERRUPTED) from None
    finally:
        ignore_interrupts()
        simulated.stop()
    if not clean:
        raise typer.Exit(EXIT_NOT_CLEAN)


def _databases(said: Sequence[str]) -> dict[str, str]:
    found = dict(one.partition("=")[::2] for one in said)
    if wrong := next((agency for agency, url in found.items() if not url), None):
        raise Misconfigured(f"--agency-database {wrong}: write AGENCY=URL.")
    return found


def _play(
    console: Console,
    simulated: SimulatedCity,
    requests: Sequence[Mapping[str, Any]],
    unread: Sequence[str],
    *,
    rate: float,
    meetings: bool,
    as_json: bool,
) -> bool:
    """Let the requests come in, watch, report. Whether all was as it must be."""
    from services.cli.demo_neighbours import tell_neighbours
    from services.cli.demo_progress import Display
    from services.cli.demo_report import Outcome, last_line, print_report, troubles
    from services.cli.demo_story import tell_story
    from services.cli.demo_systems import print_systems
    from services.cli.demo_year import tell_year

    for sentence in unread:
        console.print(f"[yellow]not a request:[/] {escape(sentence)}")
    total = len(requests)
    name = simulated.city.text(simulated.city.name)
    console.print(f"\n[bold]{name}[/]: {total:,} requests come in, {rate:g} a second.\n")
    watch = simulated.submit(requests, per_second=rate)
    simulated.make_mistakes()
    proposals = simulated.hold_meetings(proposals=PROPOSALS, permits=PERMITS) if meetings else []
    display = Display(console, watch, total)
    with display.shown():
        for _ in simulated.follow():
            display.update()
        ledgers, counts = simulated.outcome()
    counts.submitted += len(unread)
    counts.rejected += len(unread)
    outcome = Outcome(
        simulated.city, ledgers, counts, _kafka_version(simulated), simulated.stuck(ledgers, counts), simulated.own
    )
    if not as_json:
        print_report(console, outcome)
    for sentence in troubles(outcome):
        console.print(f"[red]{escape(sentence)}[/]")
    if not as_json:
        assert simulated.local.run is not None, "it has started"
        tell_story(console, simulated.local.run.casebook_url, simulated.city, proposals)
        tell_neighbours(console, simulated.local.run.casebook_url, simulated.city, simulated.cases)
        tell_year(console, simulated.city, datetime.now(simulated.city.zone).year)
        print_systems(console, simulated, ledgers)
        _where_to_look(console, simulated)
    if as_json:
        print(last_line(outcome), flush=True)
    return counts.clean


def _kafka_version(simulated: SimulatedCity) -> str:
    from deploy.local.jars import KAFKA_VERSION

    return KAFKA_VERSION if simulated.local.kafka is not None else "unknown: a cluster that you named"


def _where_to_look(console: Console, simulated: SimulatedCity) -> None:
    run = simulated.local.run
    assert run is not None, "it has started"
    home = simulated.local.home.parent
    prefix = "" if home == Path(".subak").resolve() else f"SUBAK_HOME={home} "
    cases = simulated.cases
    subak = command()
    console.print("[bold]Where to look further[/], in another terminal:")
    for hint, what in (
        (f"{subak} case list", "all cases, who holds them, what is overdue"),
        (f"{subak} case show {cases[0] if cases else 'ID'}", "one case's timeline"),
        (f"{subak} trace --vanished", "proposals that ended nowhere, or rest without a next step"),
        (f"{subak} tail", "the city's log as it grows"),
        (f"{subak} lag", "whether any process is behind"),
        (f"{subak} rejected list", "what was refused at the door, and why"),
    ):
        console.print(f"  [cyan]{prefix}{hint}[/]  [dim]{what}[/]", soft_wrap=True)
    console.print(f"  [cyan]{run.processes['console']['url']}[/]  [dim]the console, in a browser[/]", soft_wrap=True)
    console.print(f"  [cyan]{run.casebook_url}/docs[/]  [dim]the casebook's API[/]", soft_wrap=True)
    for place in run.open311.values():
        what = "the citizens' channel, in Open311 (GeoReport v2)"
        console.print(f"  [cyan]{place['url']}/requests.json[/]  [dim]{what}[/]", soft_wrap=True)
    folder = simulated.local.home / "agency-systems"
    console.print(f"  [cyan]{folder}[/]  [dim]the agencies' own databases, SQLite[/]", soft_wrap=True)


def _stay(console: Console, simulated: SimulatedCity) -> None:
    """Stay up until Ctrl-C."""
    console.print("\nEverything stays up. [bold]Ctrl-C[/] ends it; the data stay.")
    try:
        until_failure(simulated.local)
    except KeyboardInterrupt:
        console.print("\nStopping.")
