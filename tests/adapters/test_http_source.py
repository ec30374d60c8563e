"""A system that POSTs an event learns at once: stored, with a receipt, or every reason why not. Nothing in between."""

from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import httpx
import msgspec
import pytest
from sqlalchemy import select

from bus.agency_tables import outbox
from bus.database import DatabaseUnavailable, DiskFull
from bus.outbox.outbox import OutboxFull
from schemas.envelope import Event
from schemas.types.bus import EventRejected, Rejection
from tests.support.adapter import SmallAdapter, bearer
from tests.support.events import case_id, comment, source

AREA = "51.71.01.1005"
SUBMITTED: dict[str, Any] = {
    "type": "subak.request.submitted.v1",
    "data": {
        "service_code": "drain-blocked",
        "area": AREA,
        "description": "Saluran air tersumbat.",
        "location": {"type": "Point", "coordinates": [115.2373, -8.6733]},
    },
}
URL = "/agencies/communications/events"


@pytest.fixture
async def adapter(tmp_path: Path) -> AsyncIterator[SmallAdapter]:
    async with SmallAdapter.opened(tmp_path) as adapter:
        SUBMITTED["data"]["service_code"] = sorted(adapter.city.services)[0]
        yield adapter


@pytest.fixture
async def client(adapter: SmallAdapter) -> AsyncIterator[httpx.AsyncClient]:
    async with adapter.served() as client:
        yield client


async def stored(adapter: SmallAdapter) -> list[Event]:
    query = select(outbox.c.attributes, outbox.c.data).order_by(outbox.c.id)
    rows = await adapter.database.run(lambda connection: list(connection.execute(query)))
    return [Event(data=data, **msgspec.json.decode(attributes)) for attributes, data in rows]


def with_data(**fields: Any) -> dict[str, Any]:
    return {**SUBMITTED, "data": {**SUBMITTED["data"], **fields}}


def reasons(answer: httpx.Response) -> list[tuple[str, str]]:
    found = answer.json()["reasons"]
    assert all(set(reason) == {"code", "field", "problem", "fix"} for reason in found)
    assert all(reason["problem"] and reason["fix"] for reason in found)
    return [(reason["code"], reason["field"]) for reason in found]


async def test_the_short_form_becomes_a_whole_event(adapter: SmallAdapter, client: httpx.AsyncClient) -> None:
    answer = await client.post(URL, json=SUBMITTED)
    assert answer.status_code == 202, answer.text
    (event,) = await stored(adapter)
    told = answer.json()
    assert (told["id"], told["subject"], told["known"]) == (event.id, event.subject, False)
    assert event.source == source("communications")
    assert event.jurisdiction == AREA
    assert event.recordedtime is not None
    assert json.loads(event.data) == SUBMITTED["data"]
    status = await client.get(told["status_url"])
    assert (status.status_code, status.json()["status"], status.json()["id"]) == (200, "stored", event.id)


async def test_a_whole_cloudevent_is_taken_as_it_is(adapter: SmallAdapter, client: httpx.AsyncClient) -> None:
    whole = {
        "specversion": "1.0",
        "id": "REQ-2026/0042",
        "source": source("communications"),
        "subject": case_id("whole"),
        "time": "2026-11-24T07:00:00+08:00",
        "datacontenttype": "application/json",
        "correlationid": "earlier",
        **SUBMITTED,
    }
    headers = {"Content-Type": "application/cloudevents+json; charset=UTF-8"}
    answer = await client.post(URL, content=json.dumps(whole), headers=headers)
    assert answer.status_code == 202, answer.text
    (event,) = await stored(adapter)
    assert (event.id, event.subject, event.time, event.correlationid) == (
        "REQ-2026/0042",
        case_id("whole"),
        "2026-11-24T07:00:00+08:00",
        "earlier",
    )
    status = await client.get(answer.json()["status_url"])
    assert status.json()["id"] == "REQ-2026/0042"


async def test_the_same_post_again_is_stored_once(adapter: SmallAdapter, client: httpx.AsyncClient) -> None:
    headers = {"Idempotency-Key": "8e03978e-40d5-43dd-bc93-6894a57f9324"}
    first = await client.post(URL, json=SUBMITTED, headers=headers)
    quoted = {"Idempotency-Key": '"8e03978e-40d5-43dd-bc93-6894a57f9324"'}
    again = await client.post(URL, json=SUBMITTED, headers=quoted)
    assert (first.status_code, again.status_code) == (202, 202)
    assert again.json() == {**first.json(), "known": True}
    assert len(await stored(adapter)) == 1


async def test_an_idempotency_key_with_other_content_is_refused(
    adapter: SmallAdapter, client: httpx.AsyncClient
) -> None:
    headers = {"Idempotency-Key": "my-reference-1"}
    await client.post(URL, json=SUBMITTED, headers=headers)
    answer = await client.post(URL, json=with_data(description="Lain."), headers=headers)
    assert answer.status_code == 422
    assert reasons(answer) == [("id_reused", "id")]
    assert len(await stored(adapter)) == 1


async def test_a_list_is_stored_whole_and_in_order(adapter: SmallAdapter, client: httpx.AsyncClient) -> None:
    events = [with_data(description=f"{number}") for number in range(20)]
    answer = await client.post(URL, json=events, headers={"Idempotency-Key": "list-1"})
    assert answer.status_code == 202
    assert [told["id"] for told in answer.json()] == [event.id for event in await stored(adapter)]
    again = await client.post(URL, json=events, headers={"Idempotency-Key": "list-1"})
    assert [told["known"] for told in again.json()] == [True] * 20
    assert [json.loads(event.data)["description"] for event in await stored(adapter)] == [f"{n}" for n in range(20)]


async def test_a_list_with_one_bad_event_is_refused_whole_with_every_reason(
    adapter: SmallAdapter, client: httpx.AsyncClient
) -> None:
    events = [SUBMITTED, with_data(area="51.71.99"), SUBMITTED, {"type": "subak.request.sumbitted.v1", "data": {}}]
    answer = await client.post(URL, json=events)
    assert answer.status_code == 422
    assert {field.split(".")[0] for _, field in reasons(answer)} == {"[3]"}, (
        "an envelope that cannot be read comes first"
    )
    answer = await client.post(URL, json=events[:3])
    assert {field.split(".")[0] for _, field in reasons(answer)} == {"[1]"}
    assert await stored(adapter) == []


async def test_what_is_known_of_the_case_is_added(adapter: SmallAdapter, client: httpx.AsyncClient) -> None:
    opened = (await client.post(URL, json=SUBMITTED)).json()
    remark = {"type": "subak.request.commented.v1", "subject": opened["subject"], "data": {"text": "Masih."}}
    assert (await client.post(URL, json=remark)).status_code == 202
    assert (await client.post(URL, json={**remark, "correlationid": "mine"})).status_code == 202
    _, second, third = await stored(adapter)
    assert (second.jurisdiction, second.correlationid) == (AREA, opened["id"])
    assert (third.jurisdiction, third.correlationid) == (AREA, "mine")


async def test_what_the_inbox_heard_of_a_case_is_known_too(adapter: SmallAdapter, client: httpx.AsyncClient) -> None:
    heard = msgspec.structs.replace(comment(jurisdiction=AREA, case="heard"), correlationid="first")
    await adapter.arrive("communications", [heard])
    remark = {"type": "subak.request.commented.v1", "subject": case_id("heard"), "data": {"text": "Masih."}}
    assert (await client.post(URL, json=remark)).status_code == 202
    (event,) = await stored(adapter)
    assert (event.jurisdiction, event.correlationid) == (AREA, "first")


async def test_events_of_one_list_know_of_each_other(adapter: SmallAdapter, client: httpx.AsyncClient) -> None:
    case = case_id("both")
    remark = {"type": "subak.request.commented.v1", "subject": case, "data": {"text": "Masih."}}
    answer = await client.post(URL, json=[{**SUBMITTED, "subject": case, "id": "first"}, remark])
    assert answer.status_code == 202, answer.text
    assert [event.correlationid for event in await stored(adapter)] == [None, "first"]
    assert [event.jurisdiction for event in await stored(adapter)] == [AREA, AREA]


@pytest.mark.parametrize(
    ("event", "expected"),
    [
        ({**SUBMITTED, "source": source("public-works")}, ("wrong_source", "source")),
        (
            {**SUBMITTED, "type": "subak.workorder.started.v1", "subject": case_id(1), "data": {}},
            ("type_not_allowed", "type"),
        ),
        ({**SUBMITTED, "type": "subak.request.assigned.v1", "subject": case_id(1)}, ("type_not_allowed", "type")),
        ({**SUBMITTED, "type": "subak.request.submitted.v9", "subject": case_id(1)}, ("unknown_version", "type")),
        ({**SUBMITTED, "type": "subak.request.submitted.v9"}, ("unknown_version", "type")),
        ({**SUBMITTED, "type": "subak.request.sumbitted.v1"}, ("unknown_type", "type")),
        ({**SUBMITTED, "recipient": "finance"}, ("reserved_attribute", "recipient")),
        ({**SUBMITTED, "parties": "finance"}, ("reserved_attribute", "parties")),
        ({**SUBMITTED, "recordedtime": "2026-11-24T07:00:00+08:00"}, ("reserved_attribute", "recordedtime")),
        ({**SUBMITTED, "time": "2026-11-24T07:00:00"}, ("malformed", "time")),
        ({**SUBMITTED, "time": 0}, ("string_type", "time")),
        ({**SUBMITTED, "id": "x" * 10_000}, ("malformed", "id")),
        ({**SUBMITTED, "subject": "drain-7"}, ("malformed", "subject")),
        ({**SUBMITTED, "urgency": None}, ("unknown_attribute", "urgency")),
        ({**SUBMITTED, "jurisdiction": "51.71.02.1001"}, ("wrong_jurisdiction", "jurisdiction")),
        ({"type": "subak.request.commented.v1", "data": {"text": "Which?"}}, ("missing", "subject")),
        ({"data": {}}, ("missing", "type")),
        (with_data(service_code="no-such-service"), ("unknown_service", "data.service_code")),
        (with_data(area="51.71.99"), ("unknown_area", "data.area")),
        (with_data(urgency="high"), ("unknown_field", "data.urgency")),
        (with_data(description=5), ("string_type", "data.description")),
        (with_data(description="a\u0000b"), None),
        (with_data(location={"type": "Point", "coordinates": [-8.6733, 115.2373]}), None),
        (with_data(location={"type": "Point", "coordinates": [115.2, 91]}), None),
        (
            with_data(location={"type": "Point", "coordinates": [2.35, 48.85]}),
            ("outside_city", "data.location.coordinates"),
        ),
        (with_data(requested_datetime="1"), None),
        (["not an object"], ("object_type", "[0].event")),
        ("text", ("object_type", "event")),
        ([], ("batch_size", "body")),
        ([{}] * 1001, ("batch_size", "body")),
    ],
    ids=lambda value: json.dumps(value)[:60] if not isinstance(value, tuple) else value[0],
)
async def test_what_the_schema_or_the_city_does_not_admit_is_refused_with_its_reason(
    adapter: SmallAdapter, client: httpx.AsyncClient, event: Any, expected: tuple[str, str] | None
) -> None:
    answer = await client.post(URL, json=event)
    assert answer.status_code == 422, answer.text
    found = reasons(answer)
    if expected is not None:
        assert expected in found
    assert await stored(adapter) == []


async def test_every_reason_is_told_at_once(client: httpx.AsyncClient) -> None:
    event = with_data(area="51.71.99", location={"type": "Point", "coordinates": [2.35, 48.85]}, service_code="none")
    answer = await client.post(URL, json={**event, "source": source("public-works")})
    assert {code for code, _ in reasons(answer)} >= {"wrong_source", "unknown_area", "outside_city", "unknown_service"}


NESTED = b"[" * 200_000 + b"]" * 200_000


@pytest.mark.parametrize(
    ("body", "status", "code"),
    [
        (b"", 400, "not_json"),
        (b"{", 400, "not_json"),
        (b"\xff\xfe{}", 400, "not_json"),
        (b"<event/>", 400, "not_json"),
        (NESTED, 400, "too_deep"),
        (b'{"type":"subak.request.submitted.v1","data":{"a":' + NESTED + b"}}", 400, "too_deep"),
        (b'{"type":"a","type":"b"}', 422, "duplicate_key"),
        (b'{"type":"subak.request.commented.v1","data":{"text":NaN}}', 400, "not_json"),
        (b'{"type":"subak.request.commented.v1","data":{"score":1e400}}', 422, None),
        (b"1" * 4000, 422, None),
        (b" " * 1_048_577, 413, "too_large"),
        (b'{"data":"' + b"x" * 1_048_576 + b'"}', 413, "too_large"),
    ],
    ids=[
        "empty",
        "half",
        "utf-16",
        "xml",
        "deep",
        "deep-data",
        "twice",
        "nan",
        "infinite",
        "digits",
        "1MiB+1",
        "large",
    ],
)
async def test_a_hostile_body_gets_its_status_and_its_reason(
    adapter: SmallAdapter, client: httpx.AsyncClient, body: bytes, status: int, code: str | None
) -> None:
    answer = await client.post(URL, content=body, headers={"Content-Type": "application/json"})
    assert answer.status_code == status, answer.text[:500]
    if code is not None:
        assert code in [found for found, _ in reasons(answer)]
    assert len(answer.content) < 20_000
    assert (await client.post(URL, json=SUBMITTED)).status_code == 202, "the next is taken"


async def test_a_body_without_a_stated_length_is_bounded_too(client: httpx.AsyncClient) -> None:
    async def endless() -> AsyncIterator[bytes]:
        for _ in range(40):
            yield b" " * 65_536

    answer = await client.post(URL, content=endless(), headers={"Content-Type": "application/json"})
    assert (answer.status_code, reasons(answer)) == (413, [("too_large", "body")])


async def test_a_sender_that_writes_all_before_it_reads_hears_why_its_body_is_refused(
    client: httpx.AsyncClient,
) -> None:
    reader, writer = await asyncio.open_connection("127.0.0.1", client.base_url.port)
    head = f"POST {URL} HTTP/1.1\r\nHost: a\r\nAuthorization: {client.headers['Authorization']}\r\n"
    writer.write(f"{head}Content-Length: 4000000\r\nConnection: close\r\n\r\n".encode())
    for _ in range(40):
        writer.write(b" " * 100_000)
        await writer.drain()  # a broken pipe ends this
        await asyncio.sleep(0.001)
    assert b" 413 " in await reader.readline()
    writer.close()
    await writer.wait_closed()


async def test_a_body_that_never_ends_is_given_up(client: httpx.AsyncClient, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("adapters.http_app.BODY_WAIT_SECONDS_MAX", 0.2)
    reader, writer = await asyncio.open_connection("127.0.0.1", client.base_url.port)
    token = client.headers["Authorization"]
    head = f"POST {URL} HTTP/1.1\r\nHost: x\r\nAuthorization: {token}\r\nContent-Type: application/json\r\n"
    writer.write(f"{head}Content-Length: 1000\r\n\r\n{{".encode())
    answer = await asyncio.wait_for(reader.read(), 10)
    writer.close()
    assert answer.startswith(b"HTTP/1.1 408 ")
    assert b"too_slow" in answer


async def test_a_body_of_exactly_one_mebibyte_is_taken(client: httpx.AsyncClient) -> None:
    body = json.dumps(SUBMITTED).encode()
    body += b" " * (1_048_576 - len(body))
    assert (await client.post(URL, content=body, headers={"Content-Type": "application/json"})).status_code == 202


@pytest.mark.parametrize("kind", ["text/plain", "", "application/xml", "application/json; charset=latin-1"])
async def test_another_kind_of_body_is_refused(client: httpx.AsyncClient, kind: str) -> None:
    answer = await client.post(URL, content=b"{}", headers={"Content-Type": kind})
    assert (answer.status_code, reasons(answer)) == (415, [("content_type", "Content-Type")])


@pytest.mark.parametrize(
    ("agency", "headers"),
    [
        ("communications", {}),
        ("communications", bearer("public-works")),
        ("public-works", bearer("communications")),
        ("nobody", bearer("communications")),
        ("communications", {"Authorization": "Basic Y29tbTpwYXNz"}),
        ("communications", {"Authorization": "Bearer x"}),
        ("communications", {"Authorization": b"Bearer \xff\xfe"}),
    ],
)
@pytest.mark.parametrize("path", ["events", "inbox", "parked", "events/e-1", "parked/e-1/replay"])
async def test_without_the_agencys_own_token_nothing_is_told(
    adapter: SmallAdapter, client: httpx.AsyncClient, agency: str, headers: dict[str, str], path: str
) -> None:
    del client.headers["Authorization"]
    method = "POST" if path in ("events", "parked/e-1/replay") else "GET"
    answer = await client.request(method, f"/agencies/{agency}/{path}", headers=headers, content=b"{}")
    assert (answer.status_code, reasons(answer)) == (401, [("unauthorized", "Authorization")])
    assert answer.headers["WWW-Authenticate"] == "Bearer"
    assert answer.headers["X-Content-Type-Options"] == "nosniff"
    assert answer.headers["Cache-Control"] == "no-store"
    assert await stored(adapter) == []


@pytest.mark.parametrize(
    ("method", "path", "status"),
    [
        ("GET", "/agencies/communications/nothing", 404),
        ("GET", "/agencies/communications", 404),
        ("PUT", "/agencies/communications/events", 405),
        ("DELETE", "/agencies/communications/events/e-1", 405),
        ("GET", "/agencies/communications/events/never-sent", 404),
        ("POST", "/agencies/communications/parked/e-1/replay", 409),
        ("GET", "/agencies/communications/inbox?after=-1", 400),
        ("GET", "/agencies/communications/inbox?after=1e3", 400),
        ("GET", "/agencies/communications/inbox?limit=%D9%A3", 400),
    ],
)
async def test_what_is_not_there_is_said(client: httpx.AsyncClient, method: str, path: str, status: int) -> None:
    answer = await client.request(method, path)
    assert answer.status_code == status
    assert reasons(answer)


@pytest.mark.parametrize("key", ["", '""', "x" * 256, "caf\xe9", "a\tb"])
async def test_an_idempotency_key_that_is_none_is_refused(client: httpx.AsyncClient, key: str) -> None:
    answer = await client.post(URL, json=SUBMITTED, headers=[(b"Idempotency-Key", key.encode("latin-1"))])
    assert (answer.status_code, reasons(answer)) == (422, [("malformed", "Idempotency-Key")])


@pytest.mark.parametrize(
    ("error", "status"),
    [(OutboxFull("full"), 503), (DatabaseUnavailable("locked"), 503), (DiskFull("disk"), 507)],
)
async def test_what_cannot_be_stored_now_is_never_answered_as_stored(
    adapter: SmallAdapter, client: httpx.AsyncClient, error: Exception, status: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    async def fails(*_: object) -> None:
        raise error

    monkeypatch.setattr(adapter.outbox, "add", fails)
    answer = await client.post(URL, json=SUBMITTED)
    assert answer.status_code == status
    assert reasons(answer)
    assert ("retry-after" in answer.headers) == (status == 503)


async def test_a_rejection_that_came_back_is_told_with_its_reasons(
    adapter: SmallAdapter, client: httpx.AsyncClient
) -> None:
    told = (await client.post(URL, json={**SUBMITTED, "id": "e-1"})).json()
    reason = {"code": "case_closed", "field": "subject", "problem": "the case is closed", "fix": "Open another."}
    rejected = EventRejected(
        reasons=(Rejection(**reason),), agency="communications", event_id="e-1", topic="t", partition=0, offset=0
    )
    back = Event.of(rejected, source=source("gateway"), subject=told["subject"], time="2026-11-24T08:00:00+08:00")
    await adapter.arrive("communications", [back])
    status = (await client.get(told["status_url"])).json()
    assert (status["status"], status["reasons"]) == ("rejected", [reason])


async def test_a_system_without_a_webhook_asks_for_what_is_new(
    adapter: SmallAdapter, client: httpx.AsyncClient
) -> None:
    await adapter.arrive("communications", [comment(f"{n}", id=f"e-{n}", case=n) for n in range(5)])
    page = (await client.get("/agencies/communications/inbox?limit=3")).json()
    assert [event["id"] for event in page["events"]] == ["e-0", "e-1", "e-2"]
    assert page["events"][0]["data"] == {"text": "0"}
    assert page["events"][0]["specversion"] == "1.0"
    assert adapter.inbox.waiting["communications"] == 5
    rest = (await client.get(f"/agencies/communications/inbox?after={page['next']}")).json()
    assert [event["id"] for event in rest["events"]] == ["e-3", "e-4"]
    assert adapter.inbox.waiting["communications"] == 2, "what it asked past, it has taken"
    last = (await client.get(f"/agencies/communications/inbox?after={rest['next']}")).json()
    assert last == {"events": [], "next": rest["next"]}
    assert adapter.inbox.waiting["communications"] == 0


async def test_many_posts_at_once_are_all_stored(adapter: SmallAdapter, client: httpx.AsyncClient) -> None:
    answers = await asyncio.gather(*(client.post(URL, json=with_data(description=f"{n}")) for n in range(100)))
    assert {answer.status_code for answer in answers} == {202}
    assert len(await stored(adapter)) == 100
