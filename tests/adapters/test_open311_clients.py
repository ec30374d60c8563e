"""Apps that others wrote point at Subak and work, unchanged.

`georeport` 0.3.1 (PyPI) reads in JSON and in XML; `civicbot` 0.4.0 (PyPI) reads, checks what it sends against the
service's definition, and posts. Both are pinned in the dev group. By hand, and not here, since it needs Perl's modules:
FixMyStreet's own `Open311.pm` (mySociety), which posts requests and updates and reads both in XML.
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import pytest

from tests.support.open311 import KEY, Open311

georeport = pytest.importorskip("georeport", reason="the client georeport of the dev group is not installed")
civicbot = pytest.importorskip("civicbot.open311", reason="the client civicbot of the dev group is not installed")
civicbot_http = pytest.importorskip("civicbot.http")
civicbot_registry = pytest.importorskip("civicbot.registry")


@pytest.fixture
async def open311(tmp_path: Path) -> AsyncIterator[Open311]:
    async with Open311.opened(tmp_path) as found:
        yield found


def bot(open311: Open311) -> Any:
    endpoint = civicbot_registry.Endpoint(
        id="denpasar", name="Denpasar", base_url=open311.url, write=True, api_key_required_for_write=True
    )
    quick = civicbot_http.HttpTransport(rate_limiter=civicbot_http.RateLimiter(min_interval=0))
    return civicbot.Open311Client(endpoint, transport=quick, jurisdiction_id="denpasar")


@pytest.mark.parametrize("format", ["json", "xml"])
async def test_georeport_reads_services_definitions_and_requests(open311: Open311, format: str) -> None:
    id = await open311.submit()
    await open311.submit(description="Lain.")
    await open311.hear(id, "subak.request.closed.v1", outcome="refused", reason="Tidak ada anggaran.")
    client = georeport.GeoReport(open311.url, jurisdiction="denpasar", output_format=format)
    services = await asyncio.to_thread(client.get_service_list)
    assert len(services) == len(open311.adapter.city.services)
    definition = await asyncio.to_thread(client.get_service_definition, "road-damage")
    assert definition["service_code"] == "road-damage"
    one = await asyncio.to_thread(client.get_service_request, id)
    assert (one["status"], one["status_notes"]) == ("closed", "Tidak ada anggaran.")
    several = await asyncio.to_thread(client.get_service_requests)
    assert len(several) == 2
    closed = await asyncio.to_thread(client.get_service_requests, status="closed", service_code="drain")
    found = closed if isinstance(closed, list) else [closed]  # what reads XML makes one element of a list of one
    assert [request["service_request_id"] for request in found] == [id]


async def test_civicbot_posts_what_it_has_checked_against_the_definition_and_finds_it_again(open311: Open311) -> None:
    client = bot(open311)
    said: dict[str, Any] = {"dry_run": False, "confirm": "SEND", "api_key": KEY, "validate_remote": True}
    place = {"lat": -8.6733, "lng": 115.2373, "description": "Atap bocor."}
    with pytest.raises(civicbot.ValidationError, match="SCHOOL"):
        await asyncio.to_thread(client.create_request, "school-building", **said, **place)
    answers = {"SCHOOL": "SD 1"}
    sent = await asyncio.to_thread(client.create_request, "school-building", **said, **place, attributes=answers)
    id = sent.response[0]["service_request_id"]
    found = await asyncio.to_thread(client.get_request, id)
    assert (found["status"], found["description"]) == ("open", "Atap bocor.")
    (listed,) = await asyncio.to_thread(client.list_requests, service_request_ids=[id])
    assert listed == found
    (event,) = await open311.stored()
    assert event.subject == id


async def test_civicbot_is_told_in_words_why_not(open311: Open311) -> None:
    client = bot(open311)
    said: dict[str, Any] = {"dry_run": False, "confirm": "SEND", "api_key": "a-key-of-nobody"}
    with pytest.raises(civicbot_http.HttpError, match="api_key is not one of this server's") as refused:
        await asyncio.to_thread(client.create_request, "drain", lat=-8.6733, lng=115.2373, **said)
    assert refused.value.status == 403


async def test_civicbot_follows_a_token(open311: Open311) -> None:
    client = bot(open311)
    said: dict[str, Any] = {"dry_run": False, "confirm": "SEND", "api_key": KEY}
    sent = await asyncio.to_thread(client.create_request, "development-proposal", address_string="Balai banjar", **said)
    (found,) = await asyncio.to_thread(client.get_token, sent.response[0]["token"])
    assert (await open311.get(found["service_request_id"]))["address"] == "Balai banjar"
