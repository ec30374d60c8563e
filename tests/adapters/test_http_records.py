"""A system POSTs JSON in its own columns: on disk before the answer, or every reason why not with its own column."""

from __future__ import annotations

import asyncio
import hashlib
import hmac
import json
import os
import time
from base64 import b64encode
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import httpx
import msgspec
import pytest
from pydantic import ValidationError
from sqlalchemy import select
from starlette.applications import Starlette
from starlette.routing import Mount

from adapters import http_app
from adapters.casebook_reader import CasebookReader
from adapters.intake import Intake
from adapters.kinds import Place
from adapters.sources.http import KIND
from adapters.sources.http.config import HttpSourceConfig
from bus.agency_tables import outbox, outbox_positions
from bus.database import DiskFull
from bus.process import serving
from bus.statements import set_rows
from schemas.envelope import Event
from schemas.failures import Misconfigured
from schemas.types.bus import EventRejected, Rejection
from tests.adapters.mapping.controls import COMPLAINTS, RECORD
from tests.support.adapter import SmallAdapter
from tests.support.events import case_id, source

AGENCY = "communications"
TOKEN = "the-token-of-the-complaints"
SECRET = "whsec_" + b64encode(b"a-secret-of-the-water-utility-here").decode()
BASE = f"/sources/{AGENCY}/complaints"
RECORDS = f"{BASE}/records"
BEARER = {"Authorization": f"Bearer {TOKEN}"}


@asynccontextmanager
async def served(
    adapter: SmallAdapter, folder: Path, *, mapping: str = COMPLAINTS, casebook: str | None = None, **keys: Any
) -> AsyncIterator[httpx.AsyncClient]:
    (folder / "mapping.toml").write_text(mapping, encoding="utf-8")
    place = Place(
        agency=AGENCY,
        name="complaints",
        folder=folder,
        environment={},
        city=adapter.city,
        database=adapter.database,
        casebook=casebook,
    )
    if not any(key.startswith("secret") for key in keys):
        keys.setdefault("token", TOKEN)
    config = HttpSourceConfig.model_validate({"mapping": "mapping.toml", **keys})
    found = KIND.build(config, place, Intake(adapter.city, adapter.outbox, adapter.cases))
    mount = found.mount()
    assert mount is not None
    app = Starlette(routes=[Mount(*mount)])
    headers = BEARER if "token" in keys else {}
    async with (
        serving(app, host="127.0.0.1", port=0) as port,
        httpx.AsyncClient(base_url=f"http://127.0.0.1:{port}", headers=headers, timeout=60) as client,
    ):
        running = asyncio.create_task(found.run())
        await asyncio.sleep(0)
        yield client
        running.cancel()
        await asyncio.gather(running, return_exceptions=True)


@pytest.fixture
async def adapter(tmp_path: Path) -> AsyncIterator[SmallAdapter]:
    async with SmallAdapter.opened(tmp_path) as adapter:
        yield adapter


@pytest.fixture
async def client(adapter: SmallAdapter, tmp_path: Path) -> AsyncIterator[httpx.AsyncClient]:
    async with served(adapter, tmp_path) as client:
        yield client


async def stored(adapter: SmallAdapter) -> list[Event]:
    query = select(outbox.c.attributes, outbox.c.data).order_by(outbox.c.id)
    rows = await adapter.database.run(lambda connection: list(connection.execute(query)))
    return [Event(data=data, **msgspec.json.decode(attributes)) for attributes, data in rows]


def record(**columns: Any) -> dict[str, Any]:
    return {**RECORD, **columns}


def reasons(answer: httpx.Response) -> list[tuple[str, str]]:
    found = answer.json()["reasons"]
    assert all(set(reason) == {"code", "field", "problem", "fix"} for reason in found)
    assert all(reason["problem"] and reason["fix"] for reason in found)
    return [(reason["code"], reason["field"]) for reason in found]


async def test_a_record_in_the_systems_own_columns_becomes_a_shared_event(
    adapter: SmallAdapter, client: httpx.AsyncClient
) -> None:
    answer = await client.post(RECORDS, json=record())
    assert answer.status_code == 202, answer.text
    (event,) = await stored(adapter)
    (told,) = answer.json()["events"]
    assert (told["id"], told["subject"], told["type"]) == (event.id, event.subject, "subak.request.submitted.v1")
    assert (event.source, event.jurisdiction) == (source(AGENCY), "51.71.01.1005")
    assert json.loads(event.data)["location"]["coordinates"] == [115.2373, -8.6733]
    status = await client.get(told["status_url"])
    assert (status.status_code, status.json()["status"], status.json()["id"]) == (200, "stored", event.id)


async def test_many_records_are_stored_whole_each_with_its_events(
    adapter: SmallAdapter, client: httpx.AsyncClient
) -> None:
    sent = [record(nomor=number, status="DRAF" if number == 3 else "BARU") for number in range(5)]
    answer = await client.post(RECORDS, json=sent)
    assert answer.status_code == 202, answer.text
    assert [len(one["events"]) for one in answer.json()] == [1, 1, 1, 0, 1], "a draft is skipped, as the mapping says"
    assert [event.id for event in await stored(adapter)] == [
        event["id"] for one in answer.json() for event in one["events"]
    ]


async def test_one_bad_record_refuses_all_with_its_place_and_the_systems_own_columns(
    adapter: SmallAdapter, client: httpx.AsyncClient
) -> None:
    without_text = {key: value for key, value in record(nomor=3).items() if key != "keluhan"}
    sent = [record(), record(nomor=2, jenis="BOCCOR", bujur="east"), without_text, "no record"]
    answer = await client.post(RECORDS, json=sent)
    assert answer.status_code == 422
    assert set(reasons(answer)) == {
        ("unmapped_code", "[1].jenis"),
        ("not_a_number", "[1].bujur"),
        ("missing_column", "[2].keluhan"),
        ("not_a_record", "[3].record"),
    }
    assert await stored(adapter) == []
    answer = await client.post(RECORDS, json=record(jenis="BOCCOR"))
    assert reasons(answer) == [("unmapped_code", "jenis")]
    assert "BOCOR" in answer.json()["reasons"][0]["fix"]


async def test_what_the_citys_rules_refuse_is_told_with_the_column(adapter: SmallAdapter, tmp_path: Path) -> None:
    mapping = COMPLAINTS.replace('area = { column = "desa", codes = "desa" }', 'area = "desa"')
    async with served(adapter, tmp_path, mapping=mapping) as client:
        answer = await client.post(RECORDS, json=[record(desa="51.71.01.1005"), record(nomor=2, desa="99.99")])
        assert answer.status_code == 422
        assert reasons(answer) == [("unknown_area", "[1].desa")], answer.text
        assert await stored(adapter) == []


async def test_the_same_record_again_is_known_and_another_under_its_key_is_refused(
    adapter: SmallAdapter, client: httpx.AsyncClient
) -> None:
    first = await client.post(RECORDS, json=record())
    again = await client.post(RECORDS, json=record())
    assert [answer.json()["events"][0]["known"] for answer in (first, again)] == [False, True]
    other = await client.post(RECORDS, json=record(keluhan="Lain."))
    assert (other.status_code, reasons(other)[0][0]) == (422, "id_reused")
    assert len(await stored(adapter)) == 1


async def test_an_idempotency_key_stands_for_its_body_once_that_is_stored(
    adapter: SmallAdapter, client: httpx.AsyncClient
) -> None:
    key = {"Idempotency-Key": '"8e03978e-40d5-43dd-bc93-6894a57f9324"'}
    wrong = await client.post(RECORDS, json=record(jenis="?"), headers=key)
    assert wrong.status_code == 422
    mended = await client.post(RECORDS, json=record(), headers=key)
    assert mended.status_code == 202, "what was refused stands for nothing"
    again = await client.post(RECORDS, json=record(), headers=key)
    assert again.json()["events"][0]["known"] is True
    other = await client.post(RECORDS, json=record(nomor=99), headers=key)
    assert (other.status_code, reasons(other)) == (422, [("key_reused", "Idempotency-Key")])
    assert len(await stored(adapter)) == 1
    for bad in ("", "x" * 10_240):
        assert (await client.post(RECORDS, json=record(), headers={"Idempotency-Key": bad})).status_code == 422


async def test_a_system_without_numbers_of_its_own_is_known_by_its_idempotency_key(
    adapter: SmallAdapter, tmp_path: Path
) -> None:
    mapping = COMPLAINTS.replace('key = "nomor"', 'key = ["request.key", "request.number"]', 1)
    async with served(adapter, tmp_path, mapping=mapping) as client:
        for key in ("a-1", "a-1", "a-2"):
            answer = await client.post(RECORDS, json=[record(), record()], headers={"Idempotency-Key": key})
            assert answer.status_code == 202, answer.text
        assert len(await stored(adapter)) == 4
        for _ in range(2):
            await client.post(RECORDS, json=record())
        assert len(await stored(adapter)) == 5, "without a key the body stands for itself"


async def test_records_are_found_in_the_wrapping_that_is_stated(adapter: SmallAdapter, tmp_path: Path) -> None:
    async with served(adapter, tmp_path, records="data.items") as client:
        answer = await client.post(RECORDS, json={"data": {"items": [record()], "next": None}})
        assert answer.status_code == 202, answer.text
        assert len(answer.json()) == 1
        answer = await client.post(RECORDS, json={"data": [record()]})
        assert (answer.status_code, reasons(answer)) == (422, [("missing", "data.items")])


@pytest.mark.parametrize(
    ("body", "status", "code"),
    [
        (b"", 400, "not_json"),
        (b"{", 400, "not_json"),
        (b'{"nomor": NaN}', 400, "not_json"),
        (b"[" * 100_000, 400, "too_deep"),
        (b'{"nomor": 1, "nomor": 2}', 422, "duplicate_key"),
        (b"[]", 422, "batch_size"),
        (b"[" + b",".join([b"{}"] * 1001) + b"]", 422, "batch_size"),
        (b"7", 422, "not_a_record"),
        (b'"\\u0000"', 422, "not_a_record"),
        (b'{"nomor": 1' + b" " * (1 << 20) + b"}", 413, "too_large"),
    ],
    ids=("nothing", "half", "nan", "deep", "twice", "empty", "too-many", "number", "text", "large"),
)
async def test_a_hostile_body_gets_its_status_and_its_reason(
    adapter: SmallAdapter, client: httpx.AsyncClient, body: bytes, status: int, code: str
) -> None:
    answer = await client.post(RECORDS, content=body, headers={"Content-Type": "application/json"})
    assert (answer.status_code, answer.json()["reasons"][0]["code"]) == (status, code), answer.text
    assert len(answer.content) < 10_000
    assert (await client.post(RECORDS, json=record())).status_code == 202, "nobody else is held up"
    assert len(await stored(adapter)) == 1


@pytest.mark.parametrize(
    ("column", "value", "code"),
    [
        ("nomor", None, "no_key"),
        ("nomor", "x" * 10_240, "too_long"),
        ("nomor", {"a": 1}, "not_a_text"),
        ("keluhan", "a\x00b", None),
        ("keluhan", "\ud800", None),
        ("bujur", 10**400, None),
        ("jenis", "=cmd|' /C calc'!A0", "unmapped_code"),
        ("dibuat", "31/02/2026 08.00", None),
    ],
)
async def test_hostile_values_are_refused_shortly_with_their_column(
    adapter: SmallAdapter, client: httpx.AsyncClient, column: str, value: Any, code: str | None
) -> None:
    answer = await client.post(
        RECORDS, content=json.dumps(record(**{column: value})), headers={"Content-Type": "application/json"}
    )
    assert answer.status_code in (400, 422), answer.text
    assert len(answer.content) < 2000
    assert code in (None, reasons(answer)[0][0]), answer.text
    assert await stored(adapter) == []


async def test_without_the_token_nothing_is_read_or_told(
    adapter: SmallAdapter, client: httpx.AsyncClient, tmp_path: Path
) -> None:
    for wrong in ("", "Bearer", f"Basic {TOKEN}", f"Bearer {TOKEN}x", "Bearer public-works-has-a-long-token"):
        for method, path in (("POST", RECORDS), ("GET", f"{BASE}/events/x")):
            answer = await client.request(method, path, json=record(), headers={"Authorization": wrong})
            assert (answer.status_code, reasons(answer)) == (401, [("unauthorized", "Authorization")])
            assert TOKEN not in answer.text
    assert await stored(adapter) == []


@pytest.mark.parametrize(
    ("method", "path", "status"),
    [
        ("GET", RECORDS, 405),
        ("POST", f"{BASE}/events/x", 405),
        ("GET", f"{BASE}/events/x", 404),
        ("GET", f"{BASE}/events/", 404),
        ("POST", f"{BASE}/../records", 404),
        ("POST", BASE + "/", 404),
    ],
)
async def test_what_is_not_there_is_said(client: httpx.AsyncClient, method: str, path: str, status: int) -> None:
    assert (await client.request(method, path, json=record())).status_code == status


async def test_another_kind_of_body_is_refused(client: httpx.AsyncClient) -> None:
    for kind in ("text/csv", "application/x-www-form-urlencoded", "multipart/form-data", "application/json; charset=x"):
        answer = await client.post(RECORDS, content=b"{}", headers={"Content-Type": kind})
        assert (answer.status_code, reasons(answer)) == (415, [("content_type", "Content-Type")])


async def test_a_length_that_lies_stores_nothing(
    adapter: SmallAdapter, client: httpx.AsyncClient, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(http_app, "BODY_WAIT_SECONDS_MAX", 0.3)
    monkeypatch.setattr(http_app, "READ_AWAY_SECONDS_MAX", 0.3)
    host, port = client.base_url.host, client.base_url.port
    body = json.dumps(record()).encode()
    for said, expected in ((len(body) + 100, b"408"), (len(body) - 100, b"400"), (10**12, b"413")):
        reader, writer = await asyncio.open_connection(host, port)
        head = f"POST {RECORDS} HTTP/1.1\r\nHost: x\r\nContent-Type: application/json\r\nContent-Length: {said}\r\n"
        writer.write(head.encode() + f"Authorization: Bearer {TOKEN}\r\n\r\n".encode() + body)
        assert (await reader.read(20)).split()[1] == expected
        writer.close()
    assert await stored(adapter) == []


# -- signatures


def signed(secret: str, body: bytes, *, id: str = "m-1", at: float | None = None) -> dict[str, str]:
    from adapters.secrets import signing_key

    stamp = str(int(time.time() if at is None else at))
    mac = hmac.new(signing_key(secret), f"{id}.{stamp}.".encode() + body, hashlib.sha256).digest()
    return {
        "webhook-id": id,
        "webhook-timestamp": stamp,
        "webhook-signature": f"v1,AAAA v1,{b64encode(mac).decode()}",
        "Content-Type": "application/json",
    }


async def test_a_signed_message_is_taken_and_a_changed_old_or_unsigned_one_is_not(
    adapter: SmallAdapter, tmp_path: Path
) -> None:
    async with served(adapter, tmp_path, secret=SECRET) as client:
        body = json.dumps(record()).encode()
        good = signed(SECRET, body)
        answer = await client.post(RECORDS, content=body, headers=good)
        assert answer.status_code == 202, answer.text
        for headers, content, field in (
            (good, body + b" ", "webhook-signature"),
            ({**good, "webhook-id": "m-2"}, body, "webhook-signature"),
            ({"Content-Type": "application/json"}, body, "webhook-signature"),
            (signed("another-secret-of-24-bytes-or-more", body), body, "webhook-signature"),
            (signed(SECRET, body, at=time.time() - 3600), body, "webhook-timestamp"),
            (signed(SECRET, body, at=time.time() + 3600), body, "webhook-timestamp"),
        ):
            refused = await client.post(RECORDS, content=content, headers=headers)
            assert (refused.status_code, reasons(refused)[0][1]) == (401, field), refused.text
        assert "3600" in refused.json()["reasons"][0]["problem"] or "3599" in refused.json()["reasons"][0]["problem"]
        path = answer.json()["events"][0]["status_url"]
        assert (await client.get(path, headers=signed(SECRET, path.encode()))).status_code == 200
        assert (await client.get(path, headers=signed(SECRET, b""))).status_code == 401
    assert len(await stored(adapter)) == 1


async def test_a_vendors_signature_of_the_body_is_taken(adapter: SmallAdapter, tmp_path: Path) -> None:
    from adapters.secrets import signing_key

    async with served(adapter, tmp_path, secret=SECRET, signed="body", signature_header="X-Vendor") as client:
        body = json.dumps(record()).encode()
        mac = hmac.new(signing_key(SECRET), body, hashlib.sha256).hexdigest()
        kind = {"Content-Type": "application/json"}
        for given, status in ((f"sha256={mac}", 202), (mac.upper(), 202), (mac[:-1] + "x", 401), ("", 401)):
            answer = await client.post(RECORDS, content=body, headers={"X-Vendor": given, **kind})
            assert answer.status_code == status, answer.text


@pytest.mark.parametrize(
    "keys", [{}, {"token": TOKEN, "secret": SECRET}, {"token": TOKEN, "records": "a..b"}, {"token": TOKEN, "path": "x"}]
)
def test_a_source_without_one_proof_or_with_a_wrong_key_is_told(keys: dict[str, Any]) -> None:
    with pytest.raises(ValidationError):
        HttpSourceConfig.model_validate({"mapping": "mapping.toml", **keys})


async def test_a_token_that_can_be_guessed_is_refused(adapter: SmallAdapter, tmp_path: Path) -> None:
    with pytest.raises(Misconfigured, match="fewer than 16"):
        async with served(adapter, tmp_path, token="short"):
            pass


# -- what becomes of an event


async def test_a_full_disk_or_an_away_database_is_told_and_nothing_is_half_stored(
    adapter: SmallAdapter, client: httpx.AsyncClient, monkeypatch: pytest.MonkeyPatch
) -> None:
    true_add = adapter.outbox.add

    async def full(*_: Any) -> Any:
        raise DiskFull("the disk of the database is full, nothing was stored. Free space on it.")

    monkeypatch.setattr(adapter.outbox, "add", full)
    answer = await client.post(RECORDS, json=[record(), record(nomor=2)], headers={"Idempotency-Key": "k"})
    assert (answer.status_code, reasons(answer)[0][0]) == (507, "disk_full")
    assert await stored(adapter) == []
    monkeypatch.setattr(adapter.outbox, "add", true_add)
    answer = await client.post(RECORDS, json=[record(), record(nomor=2)], headers={"Idempotency-Key": "k"})
    assert answer.status_code == 202
    assert len(await stored(adapter)) == 2


async def relayed(adapter: SmallAdapter) -> None:
    row = {"agency": AGENCY, "position": 2**62, "committed_at": time.time()}
    await adapter.database.run(lambda connection: set_rows(connection, outbox_positions, [row]))


async def test_a_rejection_that_came_back_is_told_with_its_reasons(
    adapter: SmallAdapter, client: httpx.AsyncClient
) -> None:
    (told,) = (await client.post(RECORDS, json=record())).json()["events"]
    await relayed(adapter)
    assert (await client.get(told["status_url"])).json()["status"] == "relayed"
    (event,) = await stored(adapter)
    reason = {"code": "case_closed", "field": "subject", "problem": "the case is closed", "fix": "Open another."}
    rejected = EventRejected(
        reasons=(Rejection(**reason),), agency=AGENCY, event_id=event.id, topic="t", partition=0, offset=0
    )
    back = Event.of(rejected, source=source("gateway"), subject=event.subject, time="2026-11-24T08:00:00+08:00")
    await adapter.arrive(AGENCY, [back])
    found = (await client.get(told["status_url"])).json()
    assert (found["status"], found["reasons"][0]["problem"]) == ("rejected", "the case is closed")


async def test_where_the_casebook_is_named_a_status_says_accepted_and_who_hears(
    adapter: SmallAdapter, tmp_path: Path
) -> None:
    answers: dict[str, tuple[int, bytes]] = {}

    async def casebook(scope: Any, receive: Any, send: Any) -> None:
        status, body = answers.get(scope["path"].rpartition("/")[2], (404, b"{}"))
        await send({"type": "http.response.start", "status": status, "headers": []})
        await send({"type": "http.response.body", "body": body})

    async with (
        serving(casebook, host="127.0.0.1", port=0) as port,
        served(adapter, tmp_path, casebook=f"http://127.0.0.1:{port}/") as client,
    ):
        (told,) = (await client.post(RECORDS, json=record())).json()["events"]
        (event,) = await stored(adapter)
        entry = {
            "event_id": event.id,
            "type": event.type,
            "source": event.source,
            "jurisdiction": event.jurisdiction,
            "parties": ["public-works"],
            "recipient": None,
            "logged_at": "2026-11-24T00:00:01.000000Z",
        }
        answers[event.id] = (200, msgspec.json.encode({"events": [{**entry, "source": "urn:else"}, entry]}))
        assert (await client.get(told["status_url"])).json()["status"] == "stored", "it has not left"
        await relayed(adapter)
        found = (await client.get(told["status_url"])).json()
        assert (found["status"], found["accepted_at"]) == ("accepted", "2026-11-24T00:00:01.000000Z")
        assert found["told"] == sorted(found["told"])
        for answer in ((404, b"{}"), (500, b"no"), (200, b"not json"), (200, b'{"events": [{}]}')):
            answers[event.id] = answer
            assert (await client.get(told["status_url"])).json()["status"] == "relayed", answer


async def test_a_casebook_that_is_not_there_costs_nothing_but_that(adapter: SmallAdapter) -> None:
    reader = CasebookReader("http://127.0.0.1:9", adapter.city)
    assert await reader.taken(source(AGENCY), case_id(1)) is None
    await reader.close()


async def test_the_references_own_command_works_and_every_key_stands_there(
    adapter: SmallAdapter, tmp_path: Path
) -> None:
    page = (Path(__file__).parents[2] / "docs/reference/http.md").read_text("utf-8")
    assert [name for name in HttpSourceConfig.model_fields if f"`{name}`" not in page] == []
    mapping = """
key = "nomor"
[codes.jenis]
SALURAN = "drain"
[[event]]
type = "subak.request.submitted.v1"
  [event.data]
  service_code = { column = "jenis", codes = "jenis" }
  area = "wilayah"
  description = "keluhan"
"""
    command = page.split("```sh\n")[1].split("```")[0]
    async with served(adapter, tmp_path, mapping=mapping) as client:
        environment = {**os.environ, "ADAPTER": str(client.base_url).rstrip("/"), "COMPLAINTS_TOKEN": TOKEN}
        done = await asyncio.create_subprocess_exec(
            "sh", "-c", command, env=environment, stdout=asyncio.subprocess.PIPE, stderr=asyncio.subprocess.PIPE
        )
        said, error = await done.communicate()
        assert done.returncode == 0, (said, error)
        assert json.loads(said)["events"][0]["status_url"].startswith(f"{BASE}/events/")
    assert len(await stored(adapter)) == 1
