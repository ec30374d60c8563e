"""Of each event it is told who must have it and who has, and never more than the adapters say."""

from __future__ import annotations

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import httpx
import pytest

from bus.deliveries import AdapterBook, Delivered, deliveries
from bus.hearing import heard_by
from schemas.envelope import Event
from schemas.failures import Misconfigured
from services.cli.deliveries import have_it
from tests.city.control import harbour

CITY = harbour()
ADAPTERS = {id: {"url": f"http://{id}/agencies/{id}/events", "token": f"t-{id}"} for id in CITY.agencies}


def event(number: int = 1, **more: Any) -> Event:
    return Event(
        id=f"e-{number}", type="subak.request.submitted.v1", source="urn:subak:harbour:desk", subject="c-1",
        time="2026-11-24T08:00:00Z", jurisdiction="h-1", data=b'{"service_code":"quay"}', **more,
    )  # fmt: skip


def adapter(states: Mapping[tuple[str, str], str], asked: list[httpx.Request]) -> httpx.MockTransport:
    """All adapters: (agency, event id) → the state that it tells; what is not there it does not have."""

    def answer(request: httpx.Request) -> httpx.Response:
        asked.append(request)
        agency = request.url.host
        if agency == "mayor":
            raise httpx.ConnectError("nobody is there")
        assert request.headers["authorization"] == f"Bearer t-{agency}"
        assert request.url.path == f"/agencies/{agency}/ledger/deliveries"
        pairs = [one.split(" ", 1) for one in request.url.params.get_list("event")]
        rows = [
            {"source": source, "id": id, "state": states[agency, id], "at": "2026-11-24T08:00:01Z", "reason": None}
            for source, id in pairs
            if (agency, id) in states
        ]
        return httpx.Response(200, json={"events": rows})

    return httpx.MockTransport(answer)


async def matrix(states: Mapping[tuple[str, str], str], *events: Event, **more: Any) -> list[Delivered]:
    return await deliveries(CITY, events, more.get("adapters", ADAPTERS), adapter(states, more.get("asked", [])))


async def test_everybody_who_must_have_it_has_it() -> None:
    (found,) = await matrix({("archive", "e-1"): "delivered", ("docks", "e-1"): "delivered"}, event())
    assert [one.agency for one in found.deliveries] == list(heard_by(CITY, event()).agencies) == ["archive", "docks"]
    assert (found.count("applied"), len(found.deliveries)) == (2, 2)


async def test_what_waits_is_parked_or_is_not_there_counts_as_such() -> None:
    found = await matrix(
        {("archive", "e-1"): "waiting", ("docks", "e-1"): "parked", ("archive", "e-2"): "delivered"},
        event(1),
        event(2),
    )
    states = [{one.agency: one.state for one in each.deliveries} for each in found]
    assert states == [{"archive": "waiting", "docks": "parked"}, {"archive": "applied", "docks": "not_there"}]


async def test_an_adapter_that_is_away_or_not_named_is_unknown_and_harms_no_other() -> None:
    known = {id: ADAPTERS[id] for id in ("archive", "mayor")}
    (found,) = await matrix({("archive", "e-1"): "delivered"}, event(recipient="mayor"), adapters=known)
    states = {one.agency: (one.state, one.why) for one in found.deliveries}
    assert states["archive"] == ("applied", None)
    assert states["docks"] == ("unknown", "nothing says where its adapter is")
    assert states["mayor"] == ("unknown", "its adapter does not answer (ConnectError)")


@pytest.mark.parametrize("body", [b"no json", b"[]", b'{"events":7}', b'{"events":[{}]}', b'{"events":[7]}'])
async def test_an_adapter_that_answers_nonsense_is_unknown(body: bytes) -> None:
    transport = httpx.MockTransport(lambda request: httpx.Response(200, content=body))
    (found,) = await deliveries(CITY, [event()], ADAPTERS, transport)
    assert {one.state for one in found.deliveries} == {"unknown"}


async def test_many_events_are_asked_for_in_few_questions() -> None:
    asked: list[httpx.Request] = []
    await matrix({}, *(event(number) for number in range(120)), asked=asked)
    assert len(asked) == 6  # three for each of two agencies


async def test_nobody_must_have_history() -> None:
    (found,) = await matrix({}, event(history="old"))
    assert found.deliveries == ()


def test_where_the_adapters_are_may_come_later_and_in_two_forms(tmp_path: Path) -> None:
    file = tmp_path / "adapters.json"
    book = AdapterBook(file)
    assert book.read() == AdapterBook(None).read() == {}
    file.write_text(json.dumps({"docks": {"url": "http://d", "ledger_token": "reads", "token": "writes"}}))
    assert book.read() == {"docks": {"url": "http://d", "token": "reads"}}
    file.write_text(json.dumps({"city": "harbour", "adapters": {"docks": {"url": "http://d", "token": "t"}}}))
    assert book.read() == {"docks": {"url": "http://d", "token": "t"}}
    file.write_text("[]")
    with pytest.raises(Misconfigured, match="must hold an object"):
        book.read()


@pytest.mark.parametrize(
    ("due", "applied", "unknown", "said"),
    [(7, 7, 0, "7 of 7"), (7, 3, 0, "3 of 7"), (7, 3, 1, "3 of 7?"), (7, 0, 7, "7 must"), (0, 0, 0, "")],
)
def test_it_is_said_in_few_words(due: int, applied: int, unknown: int, said: str) -> None:
    assert said in have_it({"due": due, "applied": applied, "unknown": unknown})
    assert bool(have_it({"due": due, "applied": applied, "unknown": unknown})) is bool(said)
