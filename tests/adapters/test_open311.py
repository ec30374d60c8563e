"""An app that speaks Open311 GeoReport v2 asks and posts as the specification says, in XML and in JSON.

What it posts becomes the agency's event, with longitude first; what became of it comes back from the bus.
"""

from __future__ import annotations

import json
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any
from xml.etree.ElementTree import Element

import httpx
import pytest
from defusedxml import ElementTree as Xml

from tests.support.open311 import AREA, KEY, OTHER_KEY, Open311, post

REQUEST_FIELDS = [
    "service_request_id",
    "status",
    "status_notes",
    "service_name",
    "service_code",
    "description",
    "agency_responsible",
    "service_notice",
    "requested_datetime",
    "updated_datetime",
    "expected_datetime",
    "address",
    "address_id",
    "zipcode",
    "lat",
    "long",
    "media_url",
]


@pytest.fixture
async def open311(tmp_path: Path) -> AsyncIterator[Open311]:
    async with Open311.opened(tmp_path, service_notice="Dijawab dalam {days} hari.") as found:
        yield found


def xml(answer: httpx.Response) -> Element:
    assert answer.headers["content-type"] == "text/xml; charset=utf-8"
    assert answer.content.startswith(b"<?xml")
    found: Element = Xml.fromstring(answer.content)
    return found


def errors(answer: httpx.Response) -> list[str]:
    """The descriptions of an answer's errors, which have its status as their code."""
    if "json" in answer.headers["content-type"]:
        found = answer.json()
    else:
        found = [{"code": int(e.findtext("code", "")), "description": e.findtext("description")} for e in xml(answer)]
    assert {one["code"] for one in found} == {answer.status_code}, answer.text
    return [one["description"] for one in found]


async def test_discovery_names_the_server_in_both_formats(open311: Open311) -> None:
    said = (await open311.client.get("discovery.json")).json()
    assert [endpoint["url"] for endpoint in said["endpoints"]] == [open311.url]
    root = xml(await open311.client.get("discovery.xml"))
    assert root.findtext("endpoints/endpoint/url") == open311.url
    assert [format.text for format in root.iter("format")] == ["text/xml", "application/json"]
    liar = await open311.client.get("discovery.json", headers={"Host": "evil.example"})
    assert "evil" not in liar.text


async def test_the_citys_services_are_listed_alike_in_both_formats(open311: Open311) -> None:
    said = (await open311.client.get("services.json")).json()
    assert [service["service_code"] for service in said] == list(open311.adapter.city.services)
    root = xml(await open311.client.get("services.xml"))
    assert root.tag == "services"
    assert [service.findtext("service_code") for service in root.findall("service")] == [
        s["service_code"] for s in said
    ]
    drain = next(service for service in said if service["service_code"] == "drain")
    assert drain == {
        "service_code": "drain",
        "service_name": "Saluran drainase tersumbat",
        "description": "Got atau saluran drainase tersumbat, rusak atau berbau.",
        "metadata": False,
        "type": "realtime",
        "keywords": "got, drainase, selokan",
        "group": "water",
    }


async def test_a_service_with_questions_says_so_and_defines_them(open311: Open311) -> None:
    said = (await open311.client.get("services/road-damage.json")).json()
    assert [attribute["code"] for attribute in said["attributes"]] == ["SIZE", "DEPTH_CM"]
    assert said["attributes"][0]["values"][0] == {"key": "small", "name": "Kurang dari 30 cm"}
    root = xml(await open311.client.get("services/road-damage.xml"))
    assert root.tag == "service_definition"
    assert [value.findtext("key") for value in root.iter("value")] == ["small", "medium", "large"]
    assert [one.findtext("required") for one in root.findall("attributes/attribute")] == ["false", "false"]


async def test_a_post_becomes_an_event_with_longitude_first_and_can_be_asked_for(open311: Open311) -> None:
    sent = post(
        address_string="Jl. Raya Puputan 12",
        first_name="Warga",
        last_name="Satu",
        phone="000-0001",
        email="warga@example.com",
        device_id="d-1",
        account_id="a-1",
        media_url="https://example.com/1.jpg",
    )
    answer = await open311.client.post("requests.xml", data=sent)
    assert answer.status_code == 200, answer.text
    root = xml(answer)
    id = root.findtext("request/service_request_id")
    assert root.findtext("request/service_notice") == "Dijawab dalam 7 hari."
    (event,) = await open311.stored()
    assert event.subject == id
    assert json.loads(event.data) == {
        "service_code": "drain",
        "area": "51.71",
        "location": {"type": "Point", "coordinates": [115.2373, -8.6733]},
        "address_string": "Jl. Raya Puputan 12",
        "description": "Saluran air tersumbat.",
        "media_url": "https://example.com/1.jpg",
        "reporter": {"name": "Warga Satu", "phone": "000-0001", "email": "warga@example.com"},
    }
    shown = await open311.get(event.subject)
    assert list(shown) == REQUEST_FIELDS
    assert (shown["status"], shown["lat"], shown["long"]) == ("open", -8.6733, 115.2373)
    assert (shown["address"], shown["address_id"]) == ("Jl. Raya Puputan 12", "51.71")
    request = xml(await open311.client.get(f"requests/{id}.xml")).find("request")
    assert request is not None
    assert [element.tag for element in request] == REQUEST_FIELDS
    everything = await open311.client.get("requests.json")
    for personal in ("Warga", "000-0001", "warga@example.com"):
        assert personal not in everything.text
        assert personal not in (await open311.client.get("servicerequestupdates.json")).text


async def test_multipart_is_taken_as_a_form_is(open311: Open311) -> None:
    parts = {name: (None, value) for name, value in post().items()}
    answer = await open311.client.post("requests.json", files=parts)
    assert answer.status_code == 200, answer.text
    assert len(await open311.stored()) == 1


async def test_an_area_code_as_address_id_decides_where_it_lies(open311: Open311) -> None:
    id = await open311.submit(address_id=AREA, lat=None, long=None)
    (event,) = await open311.stored()
    assert (json.loads(event.data)["area"], event.jurisdiction) == (AREA, AREA)
    assert (await open311.get(id))["address_id"] == AREA


async def test_answers_to_a_services_questions_travel_with_it(open311: Open311) -> None:
    await open311.submit(
        service_code="mosquito", **{"attribute[SIGNS][]": ["larvae", "illness"], "attribute[easting]": "12"}
    )
    (event,) = await open311.stored()
    assert json.loads(event.data)["attributes"] == [
        {"code": "SIGNS", "value": "larvae"},
        {"code": "SIGNS", "value": "illness"},
        {"code": "easting", "value": "12"},
    ]


async def test_a_batch_service_gives_a_token_that_leads_to_the_request(open311: Open311) -> None:
    answer = await open311.client.post("requests.json", data=post(service_code="development-proposal"))
    (told,) = answer.json()
    assert "service_request_id" not in told
    (found,) = (await open311.client.get(f"tokens/{told['token']}.json")).json()
    assert found["token"] == told["token"]
    (event,) = await open311.stored()
    assert found["service_request_id"] == event.subject
    assert xml(await open311.client.get(f"tokens/{told['token']}.xml")).findtext("request/token") == told["token"]


async def test_the_same_post_again_is_the_same_request(open311: Open311) -> None:
    first, again = await open311.submit(), await open311.submit()
    other = await open311.submit(description="Lain.")
    assert first == again
    assert other != first
    assert len(await open311.stored()) == 2


async def test_an_idempotency_key_decides_for_good(open311: Open311) -> None:
    headers = {"Idempotency-Key": "report-17"}
    answers = [await open311.client.post("requests.json", data=post(), headers=headers) for _ in range(2)]
    assert answers[0].json() == answers[1].json()
    changed = await open311.client.post("requests.json", data=post(description="Lain."), headers=headers)
    assert changed.status_code == 400
    assert "another event with this id was stored before" in errors(changed)[0]
    assert len(await open311.stored()) == 1


async def test_status_and_notes_come_back_from_the_bus(open311: Open311) -> None:
    id = await open311.submit()
    expected = "2026-12-04T09:00:00+08:00"
    await open311.hear(
        id,
        "subak.request.assigned.v1",
        agency="public-works",
        service_code="drain",
        area="51.71",
        expected_datetime=expected,
    )
    shown = await open311.get(id)
    assert (shown["status"], shown["expected_datetime"]) == ("open", expected)
    assert shown["agency_responsible"] == open311.adapter.city.text(open311.adapter.city.agency("public-works").name)
    await open311.hear(id, "subak.request.resolved.v1", agency="public-works", status_notes="Sudah bersih.")
    shown = await open311.get(id)
    assert (shown["status"], shown["status_notes"]) == ("closed", "Sudah bersih.")
    assert shown["updated_datetime"] == "2026-11-25T09:00:00+08:00"
    await open311.hear(id, "subak.request.closed.v1", outcome="unrated")
    assert (await open311.get(id))["status_notes"] == "Sudah bersih."


async def test_what_the_bus_refuses_is_told_to_the_app(open311: Open311) -> None:
    id = await open311.submit()
    (event,) = await open311.stored()
    reason = {"code": "x", "field": "data", "problem": "the area is closed to traffic", "fix": "Wait."}
    place: dict[str, Any] = {"topic": "t", "partition": 0, "offset": 1, "agency": "communications"}
    await open311.hear(id, "subak.event.rejected.v1", event_id=event.id, reasons=[reason], **place)
    shown = await open311.get(id)
    assert (shown["status"], shown["status_notes"]) == (
        "closed",
        "The request was not accepted: the area is closed to traffic.",
    )


async def test_an_event_that_comes_again_changes_nothing(open311: Open311) -> None:
    id = await open311.submit()
    said = {"agency": "public-works", "status_notes": "Sudah bersih."}
    await open311.hear(id, "subak.request.resolved.v1", id="r", **said)
    await open311.hear(id, "subak.request.reopened.v1", id="o", by="communications", reason="Masih tersumbat.")
    await open311.hear(id, "subak.request.resolved.v1", id="r", **said)
    assert (await open311.get(id))["status"] == "open"
    found = (await open311.client.get("servicerequestupdates.json")).json()
    assert [(one["status"], one["description"]) for one in found] == [
        ("closed", "Sudah bersih."),
        ("open", "Masih tersumbat."),
    ]


async def test_a_restart_finds_everything_again(tmp_path: Path) -> None:
    async with Open311.opened(tmp_path) as open311:
        id = await open311.submit()
    async with Open311.opened(tmp_path) as open311:
        assert (await open311.get(id))["status"] == "open"
        assert await open311.submit() == id, "the same post, within the minute"


@pytest.mark.parametrize(
    ("asked", "expected"),
    [
        ({}, "abc"),
        ({"service_code": "drain"}, "ab"),
        ({"service_code": "drain,flood"}, "abc"),
        ({"service_code": "no-such-service"}, ""),
        ({"status": "closed"}, "a"),
        ({"status": "open,closed"}, "abc"),
        ({"status": "", "service_code": "", "start_date": ""}, "abc"),
        ({"start_date": "2020-01-01T00:00:00Z"}, ""),
        ({"end_date": "2020-01-01T00:00:00Z"}, ""),
        ({"end_date": "2099-01-01T00:00:00Z"}, ""),
        ({"page_size": "2"}, "bc"),
        ({"page_size": "2", "page": "2"}, "a"),
        ({"jurisdiction_id": "denpasar"}, "abc"),
        ({"api_key": KEY}, "abc"),
    ],
)
async def test_every_filter_finds_what_it_says(open311: Open311, asked: dict[str, str], expected: str) -> None:
    ids = [await open311.submit(), await open311.submit(description="b"), await open311.submit(service_code="flood")]
    await open311.hear(ids[0], "subak.request.closed.v1", outcome="refused", reason="Tidak ada anggaran.")
    answer = await open311.client.get("requests.json", params=asked)
    assert answer.status_code == 200, answer.text
    assert {one["service_request_id"] for one in answer.json()} == {ids["abc".index(letter)] for letter in expected}


async def test_a_list_of_ids_overrides_all_other_filters(open311: Open311) -> None:
    first, second = await open311.submit(), await open311.submit(description="b")
    asked = {"service_request_id": f"{first}, {second},not-an-id", "status": "closed", "start_date": "nonsense"}
    answer = await open311.client.get("requests.json", params=asked)
    assert [one["service_request_id"] for one in answer.json()] == [first, second]


@pytest.mark.parametrize("format", ["xml", "json"])
@pytest.mark.parametrize(
    ("path", "params", "status", "said"),
    [
        ("services", {"jurisdiction_id": "city.gov"}, 404, "This server is of denpasar"),
        ("services/no-such", {}, 404, "service_code 'no-such' was not found"),
        ("requests/no-such", {}, 404, "was not found"),
        ("tokens/no-such", {}, 404, "was not found"),
        ("requests", {"status": "pending"}, 400, "Send open, closed"),
        ("requests", {"start_date": "yesterday"}, 400, "start_date: 'yesterday' is not a time"),
        ("requests", {"start_date": "2026-11-24"}, 400, "Send it as 2026-11-24T00:00:00Z"),
        ("requests", {"start_date": "2026-01-01T00:00:00Z", "end_date": "2026-11-01T00:00:00Z"}, 400, "90 days"),
        ("requests", {"start_date": "2026-02-01T00:00:00Z", "end_date": "2026-01-01T00:00:00Z"}, 400, "Exchange"),
        ("requests", {"page_size": "1001"}, 400, "from 1 to 1000"),
        ("requests", {"api_key": OTHER_KEY}, 403, "api_key is not one of this server's"),
    ],
)
async def test_what_cannot_be_answered_says_why_in_the_format_asked_for(
    open311: Open311, format: str, path: str, params: dict[str, str], status: int, said: str
) -> None:
    answer = await open311.client.get(f"{path}.{format}", params=params)
    assert answer.status_code == status, answer.text
    assert said in errors(answer)[0]


async def test_a_plus_sign_that_became_a_blank_is_understood(open311: Open311) -> None:
    await open311.submit()
    answer = await open311.client.get("requests.json?start_date=2026-11-01T00:00:00+08:00")
    assert answer.status_code == 200


async def test_a_server_whose_reads_need_a_key_refuses_those_without(tmp_path: Path) -> None:
    async with Open311.opened(tmp_path, reads_need_key=True) as open311:
        assert (await open311.client.get("discovery.xml")).status_code == 200
        for path in ("services.json", "requests.json", "servicerequestupdates.json"):
            assert (await open311.client.get(path)).status_code == 403
            assert (await open311.client.get(path, params={"api_key": KEY})).status_code == 200


async def test_who_asks_too_much_waits_and_nobody_else_does(tmp_path: Path) -> None:
    app = {"name": "greedy", "key": KEY, "requests_per_minute": 3}
    async with Open311.opened(tmp_path, app=(app, {"name": "other", "key": KEY + "-other"})) as open311:
        answers = [await open311.client.post("requests.json", data=post(description=str(n))) for n in range(4)]
        assert [answer.status_code for answer in answers] == [200, 200, 200, 429]
        assert 1 <= int(answers[3].headers["Retry-After"]) <= 20
        assert (await open311.client.post("requests.json", data=post(api_key=KEY + "-other"))).status_code == 200


async def test_who_guesses_keys_is_slowed_down_and_the_app_beside_it_is_not(
    open311: Open311, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("adapters.sources.open311.app.GUESSES_PER_MINUTE", 3)
    wrong = [(await open311.client.post("requests.json", data=post(api_key=str(n)))).status_code for n in range(4)]
    assert wrong == [403, 403, 403, 429]
    await open311.submit()
