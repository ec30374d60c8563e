"""What is tried, a promise each. A trial leaves the stand as it found it: adapter and Kafka run, all is quiet."""

from __future__ import annotations

import asyncio
import signal
from collections import Counter
from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from typing import Any

import httpx

from bus.records import Record
from deploy.certification.stand import Failed, Stand, id_of
from deploy.certification.system import Answer

EVENTS = 40
"""Events in one trial: enough to be killed among them."""


@dataclass(frozen=True, slots=True)
class Trial:
    """One promise and how it is tried."""

    name: str
    promise: str
    run: Callable[[Stand], Awaitable[None]]


TRIALS: list[Trial] = []


def trial(promise: str) -> Callable[[Callable[[Stand], Awaitable[None]]], Callable[[Stand], Awaitable[None]]]:
    """Register a trial; its name is the function's."""

    def register(run: Callable[[Stand], Awaitable[None]]) -> Callable[[Stand], Awaitable[None]]:
        TRIALS.append(Trial(run.__name__, promise, run))
        return run

    return register


# -- from the agency to the bus


@trial("An event that was taken reaches Kafka once, though the adapter is killed in the midst of it, again and again.")
async def killed_while_taking(stand: Stand) -> None:
    ids: list[str] = []
    for round in range(3):
        events = [stand.says(f"kill-{round}-{number % 5}", f"{number:03}") for number in range(EVENTS)]
        posting = asyncio.gather(*(_post_patiently(stand, event) for event in events))
        await asyncio.sleep(0.05 * (round + 1))
        await stand.end_adapter(signal.SIGKILL)
        await stand.start_adapter()
        await posting
        ids += [str(event["id"]) for event in events]
    _each_once(await stand.until_published(ids), ids)


async def _post_patiently(stand: Stand, event: dict[str, Any]) -> None:
    """As a good system does: send again, with the same id, until there is an answer."""
    while True:
        try:
            answer = await stand.post(event)
            if answer.status_code == 202:
                return
            if answer.status_code < 500:
                raise Failed(f"a good event was answered {answer.status_code}: {answer.text[:300]}")
        except httpx.TransportError:
            pass
        await asyncio.sleep(0.1)


@trial("The same POST twice, by id or by Idempotency-Key, is one event; the same id with other content is refused.")
async def sent_twice(stand: Stand) -> None:
    event = stand.says("twice", "once")
    first, again = await stand.post(event), await stand.post(event)
    without_id = {name: value for name, value in stand.says("twice", "by key").items() if name != "id"}
    by_key = [await stand.post(without_id, key="certification-1") for _ in range(2)]
    for answer in (first, again, *by_key):
        _expect(answer.status_code, 202, "a repeated POST")
    if by_key[0].json()["id"] != by_key[1].json()["id"]:
        raise Failed("the same Idempotency-Key gave two ids")
    other = await stand.post({**event, "data": {stand.field: "something else"}})
    _expect(other.status_code, 422, "the same id with other content")
    ids = [str(event["id"]), by_key[0].json()["id"]]
    _each_once(await stand.until_published(ids), ids)


@trial("While the bus is away events are taken all the same, and reach it in order when it is back.")
async def bus_away(stand: Stand) -> None:
    await asyncio.to_thread(stand.kafka.kill)
    events = [stand.says("away", f"{number:03}") for number in range(EVENTS)]
    for event in events:
        _expect((await stand.post(event)).status_code, 202, "an event while the bus is away")
    await stand.end_adapter(signal.SIGKILL)
    await stand.start_adapter()
    await asyncio.to_thread(stand.kafka.start)
    ids = [str(event["id"]) for event in events]
    records = await stand.until_published(ids)
    _each_once(records, ids)
    _in_order(records, ids)


@trial("What is wrong is refused at once with every reason, and what is good beside it is not harmed.")
async def bad_input(stand: Stand) -> None:
    good = stand.says("bad", "good")
    wrong: list[tuple[str, bytes | list[dict[str, Any]] | dict[str, Any], set[int]]] = [
        ("no JSON", b"{", {400}),
        ("200,000 brackets", b"[" * 200_000, {400}),
        ("a body of more than 1 MiB", b" " * 1_048_577, {413}),
        ("an unknown type", {**good, "type": "subak.nothing.happened.v1"}, {422}),
        ("another agency's source", {**good, "source": "urn:subak:nowhere:nobody"}, {422}),
        ("an unknown field", {**good, "data": {stand.field: "x", "colour": "red"}}, {422}),
        ("a NUL", {**good, "data": {stand.field: "a\x00b"}}, {422}),
        ("a key that stands twice", b'{"type":"a","type":"b"}', {400, 422}),
        ("one wrong event among good ones", [good, {**good, "id": "other", "subject": "no-uuid"}], {422}),
    ]
    for what, body, statuses in wrong:
        answer = await stand.post(body)
        if answer.status_code not in statuses or not answer.json().get("reasons"):
            raise Failed(f"{what} was answered {answer.status_code}: {answer.text[:200]}")
    stranger = await stand.post(good, token="x" * 24)
    _expect(stranger.status_code, 401, "a wrong token")
    _expect((await stand.post(good)).status_code, 202, "the good event")
    ids = [str(good["id"])]
    _each_once(await stand.until_published(ids), ids)


# -- from the bus to the agency


@trial(
    "The agency is told each thing, signed, a case's in order, though its system fails, stalls and cuts connections."
)
async def hostile_system(stand: Stand) -> None:
    moods = (
        Answer(status=500),
        Answer(cut=True),
        Answer(status=429, headers=(("Retry-After", "0"),)),
        Answer(status=302, headers=(("Location", "http://127.0.0.1:9/"),)),
        Answer(after_seconds=3),
    )

    def nasty(event: dict[str, Any], times: int) -> Answer:
        number = int(event["data"]["text"])
        return moods[number % len(moods)] if times == 0 and number % 3 == 0 else Answer()

    stand.system.behaviour = nasty
    events = [stand.told(f"nasty-{number % 4}", f"{number:03}") for number in range(EVENTS)]
    await stand.deliver(events)
    await stand.until(lambda: _all_taken(stand, [event.id for event in events]), "that every event is taken")
    for call in stand.system.calls:
        if call.problem is not None:
            raise Failed(f"a call is not signed well: {call.problem}")
        if call.key != call.id:
            raise Failed(f"the Idempotency-Key of {call.id} is {call.key!r}")
    _cases_in_order(stand, [event.id for event in events])
    stand.quiet()


@trial("An event that comes twice on the bus is told once; killed between call and mark, the same id comes again.")
async def doubled_bus(stand: Stand) -> None:
    events = [stand.told("double", f"{number:03}") for number in range(10)]
    await stand.deliver(events)
    await stand.deliver(events, name="somebody-else")
    await stand.until(lambda: _all_taken(stand, [event.id for event in events]), "that every event is taken")
    await asyncio.sleep(1)
    twice = [id for id, count in Counter(call.id for call in stand.system.taken()).items() if count > 1]
    if twice:
        raise Failed(f"{len(twice)} events were told twice although nothing failed, such as {twice[0]}")
    stand.quiet()
    more = [stand.told("marks", f"{number:03}") for number in range(EVENTS)]
    await stand.deliver(more)
    await stand.until(lambda: len(stand.system.calls) > 3, "that deliveries begin")
    await stand.end_adapter(signal.SIGKILL)
    await stand.start_adapter()
    await stand.until(lambda: _all_taken(stand, [event.id for event in more]), "that every event is taken")
    _cases_in_order(stand, [event.id for event in more])
    stand.quiet()


@trial("A refusal stops its own case alone: it is parked with the reason, the rest waits behind it, a replay goes on.")
async def refusing_system(stand: Stand) -> None:
    def refuses(event: dict[str, Any], times: int) -> Answer:
        return Answer(status=400) if event["data"]["text"] == "bad-000" else Answer()

    stand.system.behaviour = refuses
    bad = [stand.told("refused", f"bad-{number:03}") for number in range(3)]
    good = [stand.told(f"fine-{number}", f"{number:03}") for number in range(5)]
    await stand.deliver([*bad, *good])
    await stand.until(lambda: _all_taken(stand, [event.id for event in good]), "that other cases go on")
    parked: list[dict[str, Any]] = []
    for _ in range(200):
        parked = (await stand.ask("GET", "parked")).json()["parked"]
        if parked:
            break
        await asyncio.sleep(0.1)
    if [row["id"] for row in parked] != [bad[0].id] or "400" not in str(parked[0]["reason"]):
        raise Failed(f"parked is {parked}, and should be the refused event with the answer 400")
    if {call.id for call in stand.system.taken()} & {event.id for event in bad}:
        raise Failed("what waits behind a parked event was delivered before it")
    stand.system.behaviour = lambda _event, _times: Answer()
    _expect((await stand.ask("POST", f"parked/{bad[0].id}/replay")).status_code, 202, "the replay")
    await stand.until(lambda: _all_taken(stand, [event.id for event in bad]), "that the parked case goes on")
    _cases_in_order(stand, [event.id for event in bad])
    stand.quiet()


@trial("While the agency's system is away nothing is parked, however long; when it is back it is told everything.")
async def system_away(stand: Stand) -> None:
    await stand.system.stop()
    events = [stand.told(f"gone-{number % 3}", f"{number:03}") for number in range(EVENTS)]
    await stand.deliver(events)
    await asyncio.sleep(4)
    if parked := (await stand.ask("GET", "parked")).json()["parked"]:
        raise Failed(f"{len(parked)} events are parked although the system was only away")
    await stand.system.start()
    await stand.until(lambda: _all_taken(stand, [event.id for event in events]), "that every event is taken")
    _cases_in_order(stand, [event.id for event in events])
    stand.quiet()


@trial("It stops cleanly when asked, and no token or secret is in its log.")
async def stops_and_keeps_secrets(stand: Stand) -> None:
    code = await stand.end_adapter(signal.SIGTERM)
    _expect(code, 0, "the exit code after SIGTERM")
    text = stand.log.read_text(encoding="utf-8", errors="replace")
    if any(secret in text for secret in stand.secrets()):
        raise Failed("a token or a secret is in the log")
    await stand.start_adapter()


# -- what was seen


def _expect(found: int, wanted: int, what: str) -> None:
    if found != wanted:
        raise Failed(f"{what} was answered {found}, not {wanted}")


def _each_once(records: list[Record], ids: list[str]) -> None:
    counts = Counter(id_of(record) for record in records)
    if twice := [id for id in ids if counts[id] > 1]:
        raise Failed(f"{len(twice)} events stand more than once in Kafka, such as {twice[0]}")


def _in_order(records: list[Record], ids: list[str]) -> None:
    wanted = set(ids)
    if [id for record in records if (id := id_of(record)) in wanted] != ids:
        raise Failed("a case's events stand in another order than they were sent in")


def _all_taken(stand: Stand, ids: list[str]) -> bool:
    return set(ids) <= {call.id for call in stand.system.taken()}


def _cases_in_order(stand: Stand, ids: list[str]) -> None:
    """The first success of each event, by case, in the order in which the events were made."""
    place = {id: number for number, id in enumerate(ids)}
    last: dict[str, int] = {}
    seen: set[str] = set()
    for call in stand.system.taken():
        if call.id in place and call.id not in seen:
            seen.add(call.id)
            if place[call.id] < last.get(call.case, -1):
                raise Failed(f"the event {call.id} was told after a later one of its case")
            last[call.case] = place[call.id]
