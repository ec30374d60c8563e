"""What `subak doctor` looks at, one examination each. A finding says what is wrong and what to do. Changes nothing."""

from __future__ import annotations

import asyncio
import http.client
import json
import shutil
import time
from collections.abc import Iterator, Mapping
from dataclasses import asdict, dataclass
from email.utils import parsedate_to_datetime
from pathlib import Path
from typing import Any, Literal
from urllib.parse import urlsplit

from prometheus_client.parser import text_string_to_metric_families

from bus.behind import measure
from bus.city import City
from bus.kafka import KafkaSettings, ends, group_positions
from bus.kafka.offsets import admin_client, asked_again
from bus.kafka.refusal import silent_addresses, why_refused
from bus.topics import EVENTS
from bus.topology import Plan
from schemas.failures import SubakError

Level = Literal["ok", "warning", "wrong"]

STANDS_SECONDS = 60.0
"""A process whose oldest waiting record is older stands still."""
OUTBOX_SECONDS_MAX = 60.0
"""A relay whose oldest row is older waits for something."""
SKEW_SECONDS_MAX = 2.0
FREE_BYTES_MIN, FREE_SHARE_MIN = 2 * 1024**3, 0.1
ANSWER_SECONDS_MAX = 5.0
LOOK_SECONDS_MAX = 60.0


@dataclass(frozen=True, kw_only=True)
class Finding:
    """What one look found."""

    about: str
    level: Level
    what: str
    fix: str = ""

    def as_dict(self) -> dict[str, str]:
        """For `--json`."""
        return asdict(self)


def kafka(settings: KafkaSettings) -> Finding:
    """Whether the cluster is there and takes us."""
    why = asyncio.run(why_refused(settings))
    if why is not None:
        return Finding(about="kafka", level="wrong", what=why, fix="docs/how-to/put-it-on-your-cluster.md")
    try:
        asyncio.run(_connect(settings))
    except SubakError as error:
        fix = "Is the broker running, and is SUBAK_KAFKA_BOOTSTRAP_SERVERS right? Locally: `subak up`."
        return Finding(about="kafka", level="wrong", what=str(error), fix=fix)
    who = "" if settings.security.protocol == "PLAINTEXT" else f", as {settings.security.who}"
    return Finding(about="kafka", level="ok", what=f"{settings.bootstrap_servers} answers{who}")


def brokers(settings: KafkaSettings, names: Mapping[str, str]) -> Iterator[Finding]:
    """Which of several brokers does not answer. Clients find the others: this stops nothing yet.

    Args:
        names: address → name, of those that have one.
    """
    known = settings.bootstrap_servers.split(",")
    if len(known) == 1:
        return
    for address in asyncio.run(silent_addresses(settings)):
        name = f"{names[address]} at {address}" if address in names else f"the broker at {address}"
        fix = "Look at its process, its log and its disk, and bring it back. The others go on meanwhile."
        yield Finding(about="kafka", level="warning", what=f"{name} does not answer", fix=fix)


async def _connect(settings: KafkaSettings) -> None:
    async with admin_client(settings, "connecting"):
        return


def topology(plan: Plan) -> Iterator[Finding]:
    """Whether the cluster has what the directory asks for."""
    fix = "`subak topology plan` shows it, `subak topology apply` puts it right."
    kinds: dict[str, list[str]] = {}
    for change in plan.changes:
        what = "missing" if change.act == "create" else "to be taken away" if change.act == "delete" else "set wrongly"
        name = f"{change.name} {change.key}={change.before or '(none)'}" if change.key else change.name
        kinds.setdefault(f"{change.what}s {what}", []).append(name)
    for kind, names in kinds.items():
        some = ", ".join(names[:3]) + (f" and {len(names) - 3} more" if len(names) > 3 else "")
        yield Finding(about="topology", level="wrong", what=f"{len(names)} {kind}: {some}", fix=fix)
    for problem in plan.problems:
        yield Finding(about="topology", level="wrong", what=problem)
    for note in plan.notes:
        yield Finding(about="topology", level="warning", what=note)
    if plan.empty:
        yield Finding(
            about="topology", level="ok", what="topics, settings, users, rights and quotas are as the city asks"
        )


def copies(settings: KafkaSettings, city: City) -> Iterator[Finding]:
    """Whether every partition has a leader and its copies."""
    try:
        found = asyncio.run(asked_again(lambda: _partitions(settings, list(city.topics()))))
    except SubakError as error:
        yield Finding(about="copies", level="wrong", what=str(error))
        return
    few = [name for name, partition in found if len(partition["isr"]) < settings.min_insync_replicas]
    behind = [name for name, partition in found if len(partition["isr"]) < len(partition["replicas"])]
    if few:
        what = f"{len(few)} partitions take no writes, since too few copies are in sync: {', '.join(few[:3])}"
        yield Finding(about="copies", level="wrong", what=what, fix="Bring the broker back that is down.")
    elif behind:
        what = f"{len(behind)} partitions have copies that are behind: {', '.join(behind[:3])}"
        yield Finding(about="copies", level="warning", what=what, fix="One more broker lost would stop writes.")
    else:
        yield Finding(about="copies", level="ok", what=f"{len(found)} partitions have all their copies in sync")


async def _partitions(settings: KafkaSettings, topics: list[str]) -> list[tuple[str, Mapping[str, Any]]]:
    async with admin_client(settings, "looking at the copies") as admin:
        there = set(await admin.list_topics()) & set(topics)
        described = await admin.describe_topics(sorted(there)) if there else []
    return [(f"{topic['topic']}-{p['partition']}", p) for topic in described for p in topic["partitions"]]


def positions(settings: KafkaSettings, city: City) -> Iterator[Finding]:
    """Whether each process moves, and stands at a place that its topic still holds."""
    try:
        behind = asyncio.run(_bounded(measure(settings, sorted(city.agencies))))
        groups = asyncio.run(_bounded(group_positions(settings)))
        bounds = asyncio.run(_bounded(ends(settings, [EVENTS])))
    except (SubakError, TimeoutError) as error:
        yield Finding(about="positions", level="wrong", what=f"the positions cannot be asked for: {error}")
        return
    stands = sorted({one.process for one in behind if one.lag_seconds > STANDS_SECONDS})
    for process in stands:
        age = max(one.lag_seconds for one in behind if one.process == process)
        what = f"{process} stands: its oldest record has waited for {age:.0f} s"
        yield Finding(about="positions", level="wrong", what=what, fix="Look at its log and /health; `subak lag -p`.")
    used = any(last > 0 for _, last in bounds.values())
    for stage in ("workflows", "router", "places"):
        held = {place: at for place, at in groups.get(stage, {}).items() if place[0] == EVENTS}
        gone = [place for place, at in held.items() if place in bounds and at < bounds[place][0]]
        if used and not held:
            what = f"Kafka holds no position of {stage}, though the log is used: it has not worked yet, or it was lost"
            fix = f"Start it: it knows its own copy. If it refuses: `subak topics create --first-start {stage}`."
            yield Finding(about="positions", level="warning", what=what, fix=fix)
        if gone:
            what = f"{stage} stands before the beginning of {EVENTS}: events were removed before it read them"
            yield Finding(about="positions", level="wrong", what=what, fix="Restore the log: city-events keeps all.")
    if not stands:
        yield Finding(about="positions", level="ok", what=f"{len({one.process for one in behind})} readers keep up")


async def _bounded(work: Any) -> Any:
    async with asyncio.timeout(LOOK_SECONDS_MAX):
        return await work


def process(name: str, url: str) -> Iterator[Finding]:
    """Whether a process runs, is ready, has a clock like ours, and its relays move."""
    about = f"process {name}"
    try:
        status, body, date = _get(url, "/health/ready")
    except (OSError, http.client.HTTPException) as error:
        fix = "Start it, and look at the end of its log."
        yield Finding(about=about, level="wrong", what=f"it does not answer at {url}: {error}", fix=fix)
        return
    if status == http.client.OK:
        yield Finding(about=about, level="ok", what=f"ready at {url}")
    else:
        yield Finding(about=about, level="wrong", what=f"not ready: {_output(body)}", fix="Its log says more.")
    if date:
        skew = parsedate_to_datetime(date).timestamp() - time.time()
        if abs(skew) > SKEW_SECONDS_MAX + 1:  # the header has whole seconds
            what = f"its clock is {abs(skew):.0f} s {'ahead of' if skew > 0 else 'behind'} this machine's"
            yield Finding(about=about, level="wrong", what=what, fix="Let both follow the same time server (NTP).")
    yield from _relays(about, url)


def _relays(about: str, url: str) -> Iterator[Finding]:
    try:
        _, body, _ = _get(url, "/metrics")
        families = list(text_string_to_metric_families(body.decode()))
    except (OSError, http.client.HTTPException, ValueError):
        return
    for family in families:
        if family.name != "subak_outbox_oldest_age_seconds":
            continue
        for sample in family.samples:
            if sample.value > OUTBOX_SECONDS_MAX:
                agency = sample.labels.get("agency", "?")
                what = f"the relay of {agency} waits: its oldest event is {sample.value:.0f} s old"
                fix = "Its log says why (outbox_relay_waited, outbox_relay_refused). Nothing is lost meanwhile."
                yield Finding(about=about, level="wrong", what=what, fix=fix)


def disk(folder: Path) -> Finding:
    """Whether there is room where the data lie."""
    while not folder.exists():
        folder = folder.parent
    usage = shutil.disk_usage(folder)
    what = f"{usage.free / 1024**3:.1f} GiB of {usage.total / 1024**3:.0f} are free in {folder}"
    if usage.free < FREE_BYTES_MIN or usage.free < usage.total * FREE_SHARE_MIN:
        return Finding(about="disk", level="warning", what=what, fix="A full disk stops a broker. Make room.")
    return Finding(about="disk", level="ok", what=what)


def _get(url: str, path: str) -> tuple[int, bytes, str | None]:
    address = urlsplit(url)
    connection = http.client.HTTPConnection(address.hostname or "", address.port or 80, timeout=ANSWER_SECONDS_MAX)
    try:
        connection.request("GET", path)
        answer = connection.getresponse()
        return answer.status, answer.read(5_000_000), answer.getheader("Date")
    finally:
        connection.close()


def _output(body: bytes) -> str:
    try:
        return str(json.loads(body)["output"])
    except (ValueError, KeyError, TypeError):
        return "it gives no reason"
