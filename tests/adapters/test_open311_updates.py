"""A council's system exchanges updates of requests (mySociety's extension): what it posts is said on the bus, once."""

from __future__ import annotations

import json
from collections.abc import AsyncIterator
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
from defusedxml import ElementTree as Xml

from tests.support.open311 import KEY, Open311


@pytest.fixture
async def open311(tmp_path: Path) -> AsyncIterator[Open311]:
    async with Open311.opened(tmp_path) as found:
        yield found


def update(id: str, **fields: Any) -> dict[str, Any]:
    good = {
        "api_key": KEY,
        "service_request_id": id,
        "update_id": "1001",
        "status": "OPEN",
        "description": "Masih tersumbat.",
        "updated_datetime": "2026-11-24T08:00:00+08:00",
        "first_name": "Warga",
        "last_name": "Dua",
        "email": "warga@example.com",
    }
    return {name: value for name, value in {**good, **fields}.items() if value is not None}


async def said(open311: Open311) -> list[tuple[str, dict[str, Any]]]:
    return [(event.type.split(".")[2], json.loads(event.data)) for event in (await open311.stored())[1:]]


async def test_a_remark_is_said_once_and_shown_without_its_author(open311: Open311) -> None:
    id = await open311.submit()
    answers = [await open311.client.post("servicerequestupdates.xml", data=update(id)) for _ in range(2)]
    assert {answer.status_code for answer in answers} == {200}
    ids = [Xml.fromstring(answer.content).findtext("request_update/update_id") for answer in answers]
    assert ids[0] == ids[1]
    assert await said(open311) == [("commented", {"text": "Masih tersumbat.", "author": "Warga Dua"})]
    found = await open311.client.get("servicerequestupdates.xml", params={"api_key": KEY})
    (shown,) = Xml.fromstring(found.content)
    assert [element.tag for element in shown] == [
        "update_id",
        "service_request_id",
        "status",
        "description",
        "media_url",
        "updated_datetime",
    ]
    assert (shown.findtext("update_id"), shown.findtext("status")) == (ids[0], "open")
    assert "Warga" not in found.text


async def test_a_closed_status_on_an_open_request_withdraws_it(open311: Open311) -> None:
    id = await open311.submit()
    answer = await open311.client.post("servicerequestupdates.json", data=update(id, status="FIXED"))
    assert answer.status_code == 200, answer.text
    assert await said(open311) == [("withdrawn", {"reason": "Masih tersumbat."})]


@pytest.mark.parametrize(
    ("status", "moment", "expected"),
    [
        ("REOPEN", "2026-11-24T08:00:00+08:00", "reopened"),
        ("OPEN", "2026-11-24T08:00:00+08:00", "commented"),  # written before the request was closed here
        ("CLOSED", "2026-11-24T08:00:00+08:00", "commented"),
    ],
)
async def test_what_is_said_of_a_closed_request_reopens_it_only_where_that_is_meant(
    open311: Open311, status: str, moment: str, expected: str
) -> None:
    id = await open311.submit()
    await open311.hear(id, "subak.request.resolved.v1", agency="public-works")
    sent = update(id, status=status, updated_datetime=moment)
    answer = await open311.client.post("servicerequestupdates.json", data=sent)
    assert answer.status_code == 200, answer.text
    assert [kind for kind, _ in await said(open311)] == [expected]


async def test_updates_are_found_by_when_they_became_known(open311: Open311) -> None:
    id = await open311.submit()
    await open311.hear(id, "subak.request.resolved.v1", agency="public-works", status_notes="Sudah bersih.")
    now = datetime.now(UTC)
    for first, last, count in ((-2, 1, 1), (-48, -2, 0), (1, 2, 0)):
        window = {
            "start_date": (now + timedelta(hours=first)).isoformat(timespec="seconds"),
            "end_date": (now + timedelta(hours=last)).isoformat(timespec="seconds"),
        }
        found = (await open311.client.get("servicerequestupdates.json", params=window)).json()
        assert len(found) == count, window


async def test_an_update_that_the_bus_refused_is_no_longer_shown(open311: Open311) -> None:
    id = await open311.submit()
    await open311.client.post("servicerequestupdates.json", data=update(id))
    event = (await open311.stored())[1]
    place: dict[str, Any] = {"topic": "t", "partition": 0, "offset": 1, "agency": "communications"}
    reason = {"code": "x", "field": "type", "problem": "the case is closed", "fix": "Nothing."}
    await open311.hear(id, "subak.event.rejected.v1", event_id=event.id, reasons=[reason], **place)
    assert (await open311.client.get("servicerequestupdates.json")).json() == []
    assert (await open311.get(id))["status"] == "open"


@pytest.mark.parametrize(
    ("changed", "status", "expected"),
    [
        ({"status": None}, 400, "status: it is missing"),
        ({"status": "vanished"}, 400, "status: 'vanished' is none"),
        ({"description": None}, 400, "description: it is missing"),
        ({"update_id": None}, 400, "update_id: it is missing"),
        ({"updated_datetime": "soon"}, 400, "updated_datetime: 'soon' is not a time"),
        ({"updated_datetime": "2099-01-01T00:00:00Z"}, 400, "lies in the future"),
        ({"service_request_id": "no-such"}, 404, "service_request_id 'no-such' was not found"),
        ({"api_key": None}, 403, "api_key is missing"),
    ],
)
async def test_what_is_wrong_with_an_update_is_told(
    open311: Open311, changed: dict[str, Any], status: int, expected: str
) -> None:
    id = await open311.submit()
    answer = await open311.client.post("servicerequestupdates.json", data=update(id, **changed))
    assert answer.status_code == status
    assert expected in answer.json()[0]["description"]
    assert len(await open311.stored()) == 1
