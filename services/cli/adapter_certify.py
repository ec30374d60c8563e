"""`subak adapter certify`: an adapter against a hostile bus and a hostile agency system, and what it withstood."""

from __future__ import annotations

import asyncio
import json
from pathlib import Path
from typing import Annotated

import typer
from rich.console import Console
from rich.markup import escape

from adapters.config import AdapterConfig, ServedAgency
from bus.city import City, city_path, load_city
from bus.settings import read_settings
from deploy.certification.certify import Result, certificate, certify, chosen
from deploy.certification.trials import TRIALS, Trial
from schemas.failures import Misconfigured
from services.cli.showing import console, say_json

EXIT_FAILED = 1


def certify_adapter(
    file: Annotated[Path, typer.Argument(help="The adapter's adapter.toml.", exists=True, dir_okay=False)],
    agency: Annotated[str | None, typer.Option(help="Which agency of the file. Default: the first.")] = None,
    city: Annotated[
        str, typer.Option("--city", help="A city that comes with Subak, or the folder of one. Default: SUBAK_CITY.")
    ] = "",
    only: Annotated[
        list[str] | None, typer.Option("--only", help=f"Only these trials: {', '.join(one.name for one in TRIALS)}.")
    ] = None,
    report: Annotated[Path | None, typer.Option("--report", help="Keep the certificate in this file, as JSON.")] = None,
    as_json: Annotated[bool, typer.Option("--json", help="One JSON object: the certificate.")] = False,
) -> None:
    """Kill it, double it, cut it off, answer it badly: and see that nothing is lost, doubled or out of order.

    A real Kafka of this run, the adapter as a process, and a system that stands in for the agency's: nothing of your
    own is called or changed. It takes about a minute. Exit code 1 where a promise was not kept.
    """
    name = city or read_settings().city
    found = load_city(city_path(name))
    config = AdapterConfig.load(file)
    served = chosen(config, agency)
    found.agency(served.id)
    trials = _trials(only)
    results = asyncio.run(_run(found, served, name, trials, None if as_json else console()))
    kept = certificate(file, found, served, results)
    if report is not None:
        report.write_text(json.dumps(kept, ensure_ascii=False, indent=1) + "\n", encoding="utf-8")
    if as_json:
        say_json(kept)
    else:
        _conclude(served.id, results, report)
    if not kept["passed"]:
        raise typer.Exit(EXIT_FAILED)


def _trials(only: list[str] | None) -> list[Trial]:
    known = {one.name: one for one in TRIALS}
    if unknown := sorted(set(only or ()) - set(known)):
        raise Misconfigured(f"there is no trial {unknown[0]!r}. There are {', '.join(known)}.")
    return [known[name] for name in only] if only else TRIALS


async def _run(city: City, served: ServedAgency, name: str, trials: list[Trial], out: Console | None) -> list[Result]:
    if out is not None:
        out.print(f"[bold]{escape(served.id)}[/] against a hostile bus and a hostile system: {len(trials)} trials.\n")
    results: list[Result] = []
    async for result in certify(city, served, city_name=name, trials=trials):
        results.append(result)
        if out is not None:
            mark = "[green]✓[/]" if result.passed else "[bold red]✗[/]"
            out.print(f"{mark} {escape(result.promise)} [dim]{result.name}, {result.seconds:g} s[/]")
            if result.seen:
                out.print(f"  [red]{escape(result.seen)}[/]")
    return results


def _conclude(agency: str, results: list[Result], report: Path | None) -> None:
    out = console()
    failed = [result.name for result in results if not result.passed]
    out.print()
    if failed:
        again = " ".join(f"--only {name}" for name in failed)
        out.print(f"[bold red]{len(failed)} of {len(results)} promises were not kept.[/] Try them again: {again}")
    else:
        out.print(f"[bold green]{agency} withstood all {len(results)} trials.[/]")
    if report is not None:
        out.print(f"The certificate is in {report}.")
