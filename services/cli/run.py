"""`subak run`: one process of the bus in the foreground. It imports that process and nothing else."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from pathlib import Path
from typing import Annotated

import typer

from bus.settings import Settings

app = typer.Typer(no_args_is_help=True, help="Run one process of the bus in the foreground, until SIGTERM.")

Process = Callable[[Settings, asyncio.Event], Awaitable[None]]


def run(name: str, process: Process) -> None:
    """Run a process with this environment's settings, and exit with its code."""
    from bus.kafka.certificates import certificates_watched
    from bus.logs import configure_logs
    from bus.process import run_process
    from bus.settings import read_settings
    from bus.tracing import exported

    settings = read_settings()
    configure_logs(settings.log_level, settings.log_format, process=name)

    async def watched(stopping: asyncio.Event) -> None:
        if not settings.kafka_bootstrap_servers:  # that none is named is told where it is needed
            await process(settings, stopping)
            return
        async with certificates_watched(settings.kafka):
            await process(settings, stopping)

    with exported(settings.otlp_endpoint, process=name, share=settings.trace_share):
        code = run_process(watched)
    raise typer.Exit(code)


def at_local_bus(settings: Settings) -> Settings:
    """The settings, with the address of the local bus and its city where no cluster is named and one runs.

    Of a secured one: what an adapter needs before its agencies' own credentials.
    """
    from bus.runfile import RunFile
    from schemas.failures import Misconfigured

    if settings.kafka_bootstrap_servers:
        return settings
    try:
        found = RunFile.load(settings.home)
    except Misconfigured:
        return settings  # that none is named is told where it is needed
    known: dict[str, object] = {
        "kafka_bootstrap_servers": found.bootstrap_servers,
        "kafka_partitions": found.partitions,
        "kafka_replication_factor": found.replication_factor,
    }
    if found.security_protocol != "PLAINTEXT":
        known |= {"kafka_security_protocol": found.security_protocol, "kafka_ca_file": Path(found.ca_file)}
    if "city" not in settings.model_fields_set:
        known["city"] = found.city
    return settings.model_copy(update=known)


@app.command()
def gateway() -> None:
    """The one door into the city's log: identity, rights, schema, no event twice."""
    from services.gateway.process import run_gateway

    run("gateway", run_gateway)


@app.command()
def workflows() -> None:
    """Each case's workflow decides what follows from an event, and when a deadline passes."""
    from services.workflows.process import run_workflows

    run("workflows", run_workflows)


@app.command()
def router() -> None:
    """Copies each event to the agencies that must hear of it."""
    from services.router.process import run_router

    run("router", run_router)


@app.command()
def places() -> None:
    """Finds requests that tell of one matter, and works of two agencies at one place."""
    from services.places.process import run_places

    run("places", run_places)


@app.command()
def casebook(
    rebuild: Annotated[bool, typer.Option(help="Forget the tables and read the log again from its beginning.")] = False,
) -> None:
    """The readable truth: cases and timelines in SQL, with a JSON API."""
    from services.casebook.process import run_casebook

    run("casebook", lambda settings, stopping: run_casebook(settings, stopping, rebuild=rebuild))


@app.command()
def console() -> None:
    """What an operator sees of the whole bus in a browser, on loopback, or for whoever signs in."""
    from services.console.process import run_console

    run("console", run_console)


@app.command()
def adapter(
    file: Annotated[Path, typer.Argument(help="The adapter's adapter.toml.", exists=True, dir_okay=False)],
) -> None:
    """An agency's adapter: its system POSTs events to it, and it calls the system's webhook."""
    from adapters.process import run_adapter

    run(f"adapter-{file.stem}", lambda settings, stopping: run_adapter(file, at_local_bus(settings), stopping))
