"""No personal field is in any table or any answer: of what entered the log, and of what was refused at the door."""

from __future__ import annotations

import json

import httpx
import msgspec
import pytest
from sqlalchemy import Engine

from bus.city import load_city
from bus.city.load import city_path
from bus.records import Record
from bus.topics import EVENTS
from schemas.envelope import Event
from schemas.failures import Reason
from schemas.types.requests import RequestCommented, RequestSubmitted
from schemas.values import Reporter
from services.casebook.api import casebook_api
from services.casebook.public import public_data
from services.casebook.questions import Questions
from tests.casebook.tables import contents, fill, rows
from tests.support.logbook import PERSONAL, Logbook

CITY = load_city(city_path("denpasar"))
SERVICE, AREA = "road-damage", "51.71.01.1005"
REASON = Reason("unknown_field", "data.x", "there is no field x", "Remove it.")


def refused(type_: str, data: object) -> Event:
    value = data if isinstance(data, bytes) else msgspec.json.encode(data)
    return Event(
        id="r",
        type=type_,
        source=CITY.source_of(CITY.citizens_channel),
        subject="00000000-0000-8000-8000-000000000001",
        time="2026-11-24T16:00:00+08:00",
        data=value,
    )


REFUSED = {
    "a misspelled type": refused("subak.request.submited.v1", {"reporter": PERSONAL}),
    "a field that the schema has not": refused("subak.workorder.started.v1", {"citizen": PERSONAL["name"]}),
    "an unknown field in a known object": refused(
        "subak.request.submitted.v1", {"area": AREA, "location": {"type": "Point", "who": PERSONAL["phone"]}}
    ),
    "a bare text for an object": refused("subak.request.submitted.v1", {"reporter": PERSONAL["name"]}),
    "an object for a text": refused("subak.request.submitted.v1", {"description": {"reporter": PERSONAL}}),
    "an object in a list": refused(
        "subak.request.submitted.v1", {"attributes": [[PERSONAL], PERSONAL, PERSONAL["name"]]}
    ),
    "data that is no object": refused("subak.request.submitted.v1", [PERSONAL]),
    "data that is not JSON": refused("subak.request.submitted.v1", json.dumps(PERSONAL).encode()[:-1]),
    "a reporter in the right place": refused("subak.request.submitted.v1", {"reporter": PERSONAL, "service_code": "?"}),
}


@pytest.fixture
def logbook() -> Logbook:
    found = Logbook(CITY)
    for number in range(3):
        found.repair(number, service=SERVICE, area=AREA)
    commented = RequestCommented(text="seen", author=PERSONAL["name"])
    found.say(CITY.citizens_channel, commented, case=0)  # the case is closed: refused by workflows, record and all
    opening = RequestSubmitted(service_code=SERVICE, area=AREA, reporter=Reporter(**PERSONAL))
    new = found.say(CITY.citizens_channel, opening, case="new")
    number = next(record.partition for record in found.records if record.key == new.key)
    for type_, data in (
        ("subak.request.blessed.v1", {"by": PERSONAL["name"]}),
        ("subak.request.commented.v1", {"text": "x", "author": PERSONAL["name"], "phone": PERSONAL["phone"]}),
        ("subak.workorder.started.v1", {"newer_field": PERSONAL["email"]}),
    ):
        later = refused(type_, data)
        headers = [*later.headers(), ("x-reporter", PERSONAL["name"].encode())]
        found.append(Record(EVENTS, number, 0, 0, new.key, later.data, headers))
    for event in REFUSED.values():
        found.refuse_at_the_door(CITY.citizens_channel, event, [REASON], more=[("x-by", PERSONAL["name"].encode())])
    return found


def assert_nothing_personal(text: str, where: str) -> None:
    for value in PERSONAL.values():
        assert value not in text, f"{value} is in {where}"


def test_no_personal_field_is_in_any_table(writing: Engine, logbook: Logbook) -> None:
    fill(writing, logbook)
    found = contents(writing)
    assert len(found["rejected"]) == len(REFUSED) + 1
    assert any(PERSONAL["name"].encode() in (record.value or b"") for record in logbook.records), "the log has it"
    for table, lines in found.items():
        assert_nothing_personal(json.dumps(lines, ensure_ascii=False), table)


async def test_no_personal_field_is_in_any_answer(writing: Engine, reading: Engine, logbook: Logbook) -> None:
    fill(writing, logbook)
    app = casebook_api(Questions(reading), CITY, why_not_ready=lambda: None)
    transport = httpx.ASGITransport(app=app)
    async with httpx.AsyncClient(transport=transport, base_url="http://casebook") as client:
        asked = ["/api/cases", "/api/summary", "/api/rejected", "/api/parked", "/openapi.json", "/metrics"]
        asked += [f"/api/cases/{row['id']}" for row in rows(writing, "cases")]
        asked += [f"/api/cases/{row['id']}/timeline" for row in rows(writing, "cases")]
        asked += [f"/api/events/{row['event_id']}" for row in rows(writing, "timeline")]
        asked += [f"/api/rejected/{row['id']}" for row in rows(writing, "rejected")]
        for address in asked:
            answer = await client.get(address)
            assert answer.status_code == 200, address
            assert_nothing_personal(answer.text, address)


def test_what_is_not_personal_stays(writing: Engine, logbook: Logbook) -> None:
    fill(writing, logbook)
    opened = next(row for row in rows(writing, "timeline") if row["type"] == "subak.request.submitted.v1")
    assert json.loads(opened["data"])["description"] == "A hole"
    assert json.loads(opened["data"])["reporter"] == {}


@pytest.mark.parametrize("name", sorted(REFUSED))
def test_of_a_refused_record_stays_what_the_schema_names_and_does_not_mark(name: str) -> None:
    event = REFUSED[name]
    shown, withheld = public_data(event.type, event.data)
    assert_nothing_personal(json.dumps(shown), name)
    assert (shown is None) == (withheld is not None)
