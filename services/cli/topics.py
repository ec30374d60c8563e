"""`subak topics`: the bus's topics on a cluster, with the right settings, and the stages' explicit first start."""

from __future__ import annotations

import asyncio
import json
from typing import Annotated

import typer
from rich.console import Console

from bus.city import load_city
from bus.city.load import city_path
from bus.topics import STAGES
from schemas.failures import Misconfigured

app = typer.Typer(no_args_is_help=True, help="The topics of the bus on a Kafka cluster.")


@app.command()
def create(
    first_start: Annotated[
        list[str] | None,
        typer.Option(
            help="State that this stage (gateway, workflows, places, router) begins at the beginning of its topics. "
            "Only for a stage whose position is lost, or that is new; may be given several times."
        ),
    ] = None,
) -> None:
    """Create the topics that the city's directory asks for, where they are missing."""
    from bus.kafka.topics import ensure_topics, write_first_positions
    from bus.settings import read_settings

    unknown = set(first_start or ()) - set(STAGES)
    if unknown:
        raise Misconfigured(f"there is no stage {', '.join(sorted(unknown))}. The stages are {', '.join(STAGES)}.")
    settings = read_settings()
    city = load_city(city_path(settings.city))

    async def work() -> list[str]:
        created = await ensure_topics(settings.kafka, city.agencies)
        if first_start:
            await write_first_positions(settings.kafka, first_start)
        return created

    created = asyncio.run(work())
    console = Console()
    for topic in created:
        console.print(f"[green]created[/] {topic}")
    console.print(f"{len(created)} topics created, {len(city.topics()) - len(created)} were there.")
    for stage in first_start or ():
        console.print(f"[yellow]{stage}[/] begins at the beginning when it starts next.")


@app.command()
def check(
    as_json: Annotated[bool, typer.Option("--json", help="One JSON object: topic to partitions.")] = False,
) -> None:
    """Compare the cluster's topics with what the city's directory asks for; exit 1 where they differ."""
    from bus.kafka.topics import partition_counts
    from bus.settings import read_settings

    settings = read_settings()
    city = load_city(city_path(settings.city))
    counts = asyncio.run(partition_counts(settings.kafka, city.topics()))
    wrong = {topic: count for topic, count in counts.items() if count != settings.kafka_partitions}
    if as_json:
        typer.echo(json.dumps(counts))
    else:
        console = Console()
        for topic, count in sorted(wrong.items()):
            says = f"has {count} partitions, not {settings.kafka_partitions}" if count else "is missing"
            console.print(f"[red]{topic}[/] {says}")
        console.print(f"{len(counts) - len(wrong)} of {len(counts)} topics are as the bus needs them.")
    raise typer.Exit(1 if wrong else 0)
