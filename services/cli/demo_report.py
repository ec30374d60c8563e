"""What the demo tells at its end: who did what, how the cases ended, how fast, what was lost, and two stories."""

from __future__ import annotations

import json
import re
from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from rich.box import SIMPLE_HEAD
from rich.console import Console
from rich.markup import escape
from rich.panel import Panel
from rich.table import Table
from rich.text import Text

from bus.city import City
from bus.city.model import Agency
from deploy.simulation.counts import Counts, latencies, percentile
from deploy.simulation.ledger import Ledger
from deploy.simulation.own_system import OwnSystem
from deploy.simulation.requests import SUBMITTED
from deploy.simulation.timeline import telling_cases, timeline

_ID = re.compile(r"[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}")

LINES_MAX = 10
"""Sentences shown of each kind of trouble; the rest is counted."""

TOGETHER_FROM = 8
"""Agencies of one level are shown as one line where there are so many of them (a city's villages)."""


@dataclass(frozen=True, slots=True)
class Outcome:
    """Everything that the report is made from."""

    city: City
    ledgers: Mapping[str, Ledger]
    """What concerns this run's cases."""
    counts: Counts
    kafka_version: str
    stuck: Mapping[str, str]
    """Case → where it stands, for those that did not close."""
    own: Mapping[str, OwnSystem] = field(default_factory=dict)
    """The agencies that have a system in their own words, and where it lies."""

    @property
    def seconds(self) -> float:
        """From the first request's POST to the last thing that an agency heard."""
        began = [sent.posted_at for ledger in self.ledgers.values() for sent in ledger.sent if sent.posted_at]
        ended = [received.received_at for ledger in self.ledgers.values() for received in ledger.heard]
        return max(ended) - min(began) if began and ended else 0.0

    @property
    def lifecycles_per_second(self) -> float:
        """Closed cases in a second, over the whole run, its slow beginning and end included."""
        return self.counts.closed / self.seconds if self.seconds > 0 else 0.0

    def as_dict(self) -> dict[str, Any]:
        """The outcome for `--json`."""
        found = latencies(self.ledgers, leaving_out=self.own)  # files and looks at a database have pauses of their own
        counts = self.counts
        return {
            "submitted": counts.submitted,
            "accepted": counts.accepted,
            "rejected": counts.rejected,
            "cases": counts.cases,
            "closed": counts.closed,
            "lost": len(counts.lost),
            "duplicated": len(counts.duplicated),
            "out_of_order": len(counts.out_of_order),
            "lifecycles_per_second": round(self.lifecycles_per_second, 2),
            "latency_ms": {
                "p50": round(percentile(found, 0.5) * 1000, 1),
                "p99": round(percentile(found, 0.99) * 1000, 1),
            },
            "kafka_version": self.kafka_version,
        }


def troubles(outcome: Outcome) -> list[str]:
    """A sentence for everything that did not go as it must; none where all is well."""
    counts = outcome.counts
    lines: list[str] = []
    for name, found in (
        ("lost", counts.lost),
        ("duplicated", counts.duplicated),
        ("out of order", counts.out_of_order),
        ("misdelivered", counts.misdelivered),
        ("not closed", [f"case {case}: {where}" for case, where in outcome.stuck.items()]),
    ):
        lines += [f"{name}: {sentence}" for sentence in found[:LINES_MAX]]
        if len(found) > LINES_MAX:
            lines.append(f"{name}: and {len(found) - LINES_MAX} more")
    return lines


def print_report(console: Console, outcome: Outcome) -> None:
    """The whole report."""
    console.print()
    console.print(_by_agency(outcome))
    console.print(_by_state(outcome))
    if outcome.counts.events_refused:
        console.print(_refusals(outcome))
    for case in telling_cases(outcome.ledgers, _closed(outcome)):
        console.print(_story(outcome, case))
        console.print()
    console.print(_verdict(outcome))


def _by_agency(outcome: Outcome) -> Table:
    city = outcome.city
    table = Table(title="What each agency's own system sent and heard", box=SIMPLE_HEAD, title_justify="left")
    table.add_column("agency")
    for name in ("sent", "refused", "heard", "redelivered"):
        table.add_column(name, justify="right")
    sizes = Counter(agency.level for agency in city.agencies.values())
    rows: dict[str, list[str]] = {}
    for agency in city.agencies.values():
        if agency.id in outcome.ledgers:
            together = sizes[agency.level] >= TOGETHER_FROM and agency.level == _lowest_of(city, agency)
            rows.setdefault(agency.level if together else agency.id, []).append(agency.id)
    levels = {level.id: level for level in city.levels}
    for key, ids in rows.items():
        numbers = [sum(column) for column in zip(*(_numbers(outcome.ledgers[id]) for id in ids), strict=True)]
        if not any(numbers):
            continue
        level = levels[city.agencies[ids[0]].level]
        name = city.text(city.agencies[key].name) if len(ids) == 1 else f"{city.text(level.name)} ({len(ids)})"
        table.add_row(name, *(f"{number:,}" if number else "·" for number in numbers))
    return table


def _lowest_of(city: City, agency: Agency) -> str:
    """The agency's level where it is below the city's own; nothing otherwise."""
    order = [level.id for level in city.levels]
    own = city.areas[city.area].level
    return agency.level if order.index(agency.level) < order.index(own) else ""


def _numbers(ledger: Ledger) -> tuple[int, int, int, int]:
    return (
        sum(sent.state in ("accepted", "refused") for sent in ledger.sent),
        sum(sent.state == "refused" for sent in ledger.sent),
        len(ledger.heard),
        sum(received.redeliveries for received in ledger.heard),
    )


def _by_state(outcome: Outcome) -> Table:
    counts = outcome.counts
    table = Table(title="Where the cases are", box=SIMPLE_HEAD, title_justify="left")
    table.add_column("state")
    table.add_column("cases", justify="right")
    table.add_column("why", style="dim")
    why = {
        "rated": "done, inspected, and the citizen gave a rating",
        "unrated": "done and inspected; the citizen said nothing more",
        "refused": "the approver refused the money",
        "withdrawn": "the citizen withdrew the request",
        "merged": "the matter goes on in another case",
        "unserviceable": "nobody could do the work",
    }
    for name, number in counts.outcomes.most_common():
        table.add_row(f"closed, {name}", f"{number:,}", why.get(name, ""))
    for where, number in Counter(outcome.stuck.values()).most_common():
        table.add_row("[red]open[/]", f"{number:,}", where)
    if counts.rejected:
        table.add_row("[yellow]not taken[/]", f"{counts.rejected:,}", "the request was refused, with its reasons")
    return table


def _refusals(outcome: Outcome) -> Table:
    table = Table(title="What was refused, and why", box=SIMPLE_HEAD, title_justify="left")
    table.add_column("event")
    table.add_column("times", justify="right")
    table.add_column("why", style="dim")
    found = Counter(
        (sent.type.removeprefix("subak.").rpartition(".")[0], _ID.sub("…", sent.problem or ""))
        for ledger in outcome.ledgers.values()
        for sent in ledger.sent
        if sent.state == "refused"
    )
    for (name, why), number in found.most_common(LINES_MAX):
        table.add_row(name, str(number), escape(why))
    return table


def _verdict(outcome: Outcome) -> Panel:
    result = outcome.as_dict()
    counts = outcome.counts
    text = Text()
    for name in ("lost", "duplicated", "out_of_order"):
        style = "bold green" if result[name] == 0 else "bold red"
        text.append(f"{name.replace('_', ' ')} {result[name]}", style)
        text.append("   ")
    text.append(f"closed {counts.closed:,} of {counts.accepted:,}", "bold green" if counts.clean else "bold red")
    text.append("\ncounted from the agencies' own databases: ", "dim")
    text.append(f"{counts.events_sent:,} events sent, {counts.events_heard:,} heard", "dim")
    if counts.redeliveries:
        text.append(f", {counts.redeliveries:,} brought again and recognised", "dim")
    if counts.events_refused:
        text.append(f", {counts.events_refused:,} refused with a reason", "dim")
    latency = result["latency_ms"]
    text.append(
        f"\n{result['lifecycles_per_second']} cases/s from request to closed on Apache Kafka {outcome.kafka_version}"
    )
    way = " by HTTP" if outcome.own else ""
    text.append(f"\nsource to target, one event{way}: p50 {latency['p50']:.0f} ms, p99 {latency['p99']:.0f} ms")
    return Panel(text, title="The verdict", title_align="left", border_style="green" if counts.clean else "red")


def _closed(outcome: Outcome) -> list[str]:
    opened = [sent.case for sent in outcome.ledgers[outcome.city.citizens_channel].sent if sent.type == SUBMITTED]
    return [case for case in opened if case not in outcome.stuck]


def _story(outcome: Outcome, case: str) -> Table:
    entries = timeline(outcome.city, outcome.ledgers, case)
    table = Table(
        title=f"Case {case}", box=None, title_justify="left", show_header=False, padding=(0, 1), title_style="bold"
    )
    table.add_column(justify="right", style="dim", no_wrap=True)
    table.add_column(justify="right", style="dim", no_wrap=True)
    table.add_column(overflow="fold")
    numbers = {entry.event_id: number for number, entry in enumerate(entries, 1)}
    for number, entry in enumerate(entries, 1):
        line = Text.assemble(
            (entry.who, "cyan" if entry.who in outcome.city.agencies else "magenta"),
            " ",
            (entry.type.removeprefix("subak.").rpartition(".")[0], "bold"),
        )
        if (cause := numbers.get(entry.cause or "")) is not None:
            line.append(f" because of #{cause}", "dim")
        if entry.to:
            line.append(f" → {', '.join(entry.to)}", "dim cyan")
        if entry.what:
            line.append(f"\n{entry.what}")
        table.add_row(f"#{number}", f"{entry.moment - entries[0].moment:.1f} s", line)
    return table


def last_line(outcome: Outcome) -> str:
    """The one JSON object of `--json`."""
    return json.dumps(outcome.as_dict())
