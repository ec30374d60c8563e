"""The event that is to be explained: what a file tells, or one of the running bus, by its id or its place in a case."""

from __future__ import annotations

import asyncio
import json
import re
import sys
from pathlib import Path
from typing import Any
from urllib.parse import quote

from bus.city import City
from bus.city.problems import nearest
from bus.kafka import KafkaSettings, TopicReader
from bus.topics import EVENTS
from schemas.envelope import OPTIONAL_ATTRIBUTES, REQUIRED_ATTRIBUTES, Event
from schemas.failures import Retryable, Unprocessable
from schemas.registry import registry
from services.cli.asking import Casebook, NotThere
from services.cli.finding import Whereabouts

READ_SECONDS_MAX = 15.0
"""How long the event may take to come from Kafka."""

KEYS = (*REQUIRED_ATTRIBUTES, *OPTIONAL_ATTRIBUTES, "data", "specversion", "datacontenttype", "partitionkey")
"""What a file may say of an event: CloudEvents' JSON form."""

BLANK = "-"
"""The id and the case of an event that a file tells without them."""

IN_CASE = re.compile(r"(?P<case>[^#]+)#(?P<place>\d{1,9})")
"""`8ce78bc0#5`: an event by its case, as `subak case show` numbers them."""


def is_file(name: str) -> bool:
    """Whether a file is meant, and no event's id."""
    if name == "-" or name.endswith(".json"):
        return True
    try:
        return Path(name).is_file()
    except (OSError, ValueError):
        return False


def event_of_file(name: str, city: City) -> Event:
    """The event that a file tells, in CloudEvents' JSON form; all but its type may be left out.

    Raises:
        Unprocessable: it tells none, in words.
    """
    try:
        told: Any = json.loads(sys.stdin.read() if name == "-" else Path(name).read_text(encoding="utf-8"))
    except OSError as error:
        raise Unprocessable(f"{name}: {error.strerror}. Name a file, or an event's id.") from error
    except ValueError as error:
        raise Unprocessable(f"{name} is not JSON: {error}.") from error
    if not isinstance(told, dict) or not isinstance(told.get("type"), str):
        raise Unprocessable(f'{name} tells no event: write an object with at least "type", and "data".')
    for key, value in told.items():
        if key not in KEYS:
            raise Unprocessable(f"{name}: events have no {key!r}. {nearest(key, KEYS)}")
        if key != "data" and not isinstance(value, str):
            raise Unprocessable(f"{name}: {key} must be a text.")
    if told["type"] not in registry:
        raise Unprocessable(
            f"{name}: there is no type {told['type']}. {nearest(told['type'], (known.name for known in registry))}"
        )
    area = told.get("jurisdiction")
    if area is not None and area not in city.areas:
        raise Unprocessable(f"{name}: {city.id} has no area {area}. {nearest(area, city.areas)}")
    attributes = {key: told[key] for key in (*REQUIRED_ATTRIBUTES, *OPTIONAL_ATTRIBUTES) if key in told}
    if (source := attributes.get("source")) in city.agencies:
        attributes["source"] = city.source_of(source)
    blank = {"id": BLANK, "source": "", "subject": BLANK, "time": ""}
    return Event(**{**blank, **attributes}, data=json.dumps(told.get("data", {})).encode())


async def event_on_bus(here: Whereabouts, ref: str) -> Event:
    """The event of that id, or of that place in a case, whole, from the city's log: the casebook says where it stands.

    Raises:
        NotThere: the casebook has no such event.
        Unprocessable: several senders have given that id.
        Retryable: Kafka does not answer.
    """
    with Casebook.at(here) as casebook:
        entries = _in_case(casebook, ref) if IN_CASE.fullmatch(ref) else _by_id(casebook, ref)
    if len(entries) > 1:
        senders = ", ".join(str(entry["agency"]) for entry in entries)
        raise Unprocessable(f"{len(entries)} events have the id {ref}, of {senders}: name one as CASE#5.")
    return await read_event(here.kafka, int(entries[0]["partition"]), int(entries[0]["offset"]))


def _by_id(casebook: Casebook, id: str) -> list[dict[str, Any]]:
    try:
        found: list[dict[str, Any]] = casebook.ask(f"/api/events/{quote(id, safe='')}")["events"]
    except NotThere as error:
        if id and _is_case(casebook, id):
            raise NotThere(
                f"{id} is a case, and a case has many events: name one as {id[:8]}#1. `subak case show {id[:8]}` "
                "numbers them."
            ) from error
        raise NotThere(
            f"there is no event {id!r} in the city's log. Name one by its case as CASE#5 (`subak case show CASE` "
            "numbers them), or by its whole id; what was refused is in `subak rejected list`."
        ) from error
    return found


def _is_case(casebook: Casebook, id: str) -> bool:
    try:
        return bool(list(casebook.rows("/api/cases", "cases", limit=1, id=id.lower())))
    except Unprocessable:
        return False


def _in_case(casebook: Casebook, ref: str) -> list[dict[str, Any]]:
    id, _, place = ref.rpartition("#")
    case = casebook.whole_id(id)
    entries = list(casebook.rows(f"/api/cases/{case}/timeline", "entries", limit=None))
    found = [entry for entry in entries if entry["seq"] == int(place)]
    if not found:
        raise NotThere(f"the case {case} has {len(entries)} events, and none with the number {place}.")
    return found


async def read_event(kafka: KafkaSettings, number: int, offset: int) -> Event:
    """The event at a place of the city's log.

    Raises:
        Retryable: Kafka does not give it in time.
        NotThere: the log does not reach so far: it is another one.
    """
    place = (EVENTS, number)
    reader = TopicReader(kafka, name="route-explain")
    try:
        async with asyncio.timeout(READ_SECONDS_MAX):
            await reader.start({place: offset})
            if (await reader.end_offsets())[place] <= offset:
                raise NotThere(f"{EVENTS}/{number} does not hold offset {offset}: is it another cluster?")
            while not (records := await reader.read(records_max=1)):
                pass
    except TimeoutError as error:
        raise Retryable(f"Kafka did not give the event within {READ_SECONDS_MAX:.0f} s; try again.") from error
    finally:
        await reader.stop()
    return Event.from_record(records[0].headers, records[0].value)
