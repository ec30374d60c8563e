"""Whatever an app sends, it is told in words, nothing is half stored, and nobody else waits for it."""

from __future__ import annotations

import asyncio
import time
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any
from urllib.parse import quote

import httpx
import pytest
from defusedxml import ElementTree as Xml

from tests.support.open311 import AREA, KEY, OTHER_KEY, Open311, post


@pytest.fixture
async def open311(tmp_path: Path) -> AsyncIterator[Open311]:
    async with Open311.opened(tmp_path, body_wait_seconds=2.0, bodies_max=20) as found:
        yield found


async def refused(open311: Open311, answer: httpx.Response, status: int, *expected: str) -> None:
    """The answer says why, and nothing was stored."""
    assert answer.status_code == status, answer.text
    root = Xml.fromstring(answer.content)
    assert root.tag == "errors"
    said = [error.findtext("description") or "" for error in root]
    assert {error.findtext("code") for error in root} == {str(status)}
    for part in expected:
        assert any(part in one for one in said), said
    assert max(len(one) for one in said) <= 2000
    assert await open311.stored() == []


@pytest.mark.parametrize(
    ("changed", "status", "expected"),
    [
        ({"api_key": None}, 403, ["api_key is missing"]),
        ({"api_key": "x"}, 403, ["api_key is not one of this server's"]),
        ({"api_key": OTHER_KEY}, 403, ["api_key is not one of this server's"]),
        ({"api_key": [KEY, OTHER_KEY]}, 400, ["api_key: the field stands 2 times"]),
        ({"jurisdiction_id": "city.gov"}, 404, ["jurisdiction_id 'city.gov' was not found"]),
        ({"service_code": None}, 400, ["service_code: it is missing"]),
        ({"service_code": "drane"}, 404, ['Did you mean "drain"?']),
        ({"service_code": ["drain", "flood"]}, 400, ["service_code: the field stands 2 times"]),
        ({"lat": None, "long": None}, 400, ["the place is missing"]),
        ({"lat": None}, 400, ["lat: it is missing"]),
        ({"lat": "91"}, 400, ["lat: 91 is not between -90 and 90"]),
        ({"long": "-181"}, 400, ["long: -181 is not between"]),
        (
            {"lat": "115.2373", "long": "-8.6733"},
            400,
            ["they are swapped. Send lat=-8.6733 and long=115.237"],
        ),
        ({"lat": "-8.9", "long": "115.2"}, 400, ["lies outside denpasar"]),
        ({"lat": "NaN"}, 400, ["lat: 'NaN' is not degrees"]),
        ({"lat": "1e400"}, 400, ["is not degrees"]),
        ({"lat": "-8,67"}, 400, ["is not degrees"]),
        ({"lat": "٨"}, 400, ["is not degrees"]),
        ({"lat": "9" * 10_000}, 400, ["is not degrees"]),
        ({"lat": None, "long": None, "address_id": "no-such"}, 400, ["is no area code of denpasar"]),
        ({"lat": None, "long": None, "address_id": "51"}, 400, ["is no area code of denpasar"]),
        ({"description": "x" * 4001}, 400, ["description: ", "4000 characters"]),
        ({"description": "a\x00b"}, 400, ["NUL character"]),
        ({"media_url": "javascript:alert(1)"}, 400, ["media_url: this is not a web address"]),
        ({"media_url": "file:///etc/passwd"}, 400, ["media_url: this is not a web address"]),
        ({"email": "x" * 201}, 400, ["email: "]),
        ({"first_name": "x" * 150, "last_name": "y" * 150}, 400, ["first_name, last_name: "]),
        ({"attribute[../../etc]": "x"}, 400, ["this is no attribute's code"]),
        ({"attribute[x]": "y" * 1001}, 400, ["attribute[x]: the answer has more than 1000"]),
        ({f"attribute[a{n}]": "x" for n in range(51)}, 400, ["there are 51 answers, more than 50"]),
        ({f"field{n}": "x" for n in range(200)}, 400, ["Too many fields"]),
        ({"service_code": "school-building"}, 400, ["attribute[SCHOOL]: the service school-building needs an answer"]),
        ({"service_code": "road-damage", "attribute[SIZE]": "huge"}, 400, ["Send one of small, medium, large"]),
        ({"service_code": "road-damage", "attribute[DEPTH_CM]": "deep"}, 400, ["'deep' is not a number"]),
        ({"service_code": "road-damage", "attribute[SIZE]": ["small", "large"]}, 400, ["it stands 2 times"]),
        ({"service_code": "street-light", "attribute[POLE]": "1\n2"}, 400, ["the answer has line breaks"]),
    ],
)
async def test_a_wrong_post_is_refused_with_the_field_and_the_fix(
    open311: Open311, changed: dict[str, Any], status: int, expected: list[str]
) -> None:
    await refused(open311, await open311.client.post("requests.xml", data=post(**changed)), status, *expected)


async def test_everything_that_is_wrong_is_told_at_once(open311: Open311) -> None:
    sent = post(service_code="school-building", lat="91", **{"attribute[?]": "x"})
    await refused(
        open311,
        await open311.client.post("requests.xml", data=sent),
        400,
        "lat: 91",
        "attribute[SCHOOL]",
        "attribute[?]",
    )


BOMB = (
    b'<?xml version="1.0"?><!DOCTYPE r [<!ENTITY a "aaaaaaaaaa">'
    + b"".join(b'<!ENTITY %c "%s">' % (98 + n, b"&%c;" % (97 + n) * 10) for n in range(9))
    + b"]><r>&j;</r>"
)
EXTERNAL = b'<?xml version="1.0"?><!DOCTYPE r [<!ENTITY x SYSTEM "file:///etc/passwd">]><request>&x;</request>'


@pytest.mark.parametrize(
    ("kind", "body"),
    [
        ("text/xml", BOMB),
        ("application/xml", EXTERNAL),
        ("application/json", b"[" * 100_000),
        ("", b"api_key=x"),
        ("multipart/form-data", b"no boundary"),
        ("multipart/form-data; boundary=", b"--\r\n"),
        ("multipart/form-data; boundary=b", b"--b\r\nContent-Disposition: form-data\r\n\r\nx\r\n--b--\r\n"),
        ("multipart/form-data; boundary=b", b"--c\r\n\r\n"),
        ("multipart/form-data; boundary=" + "b" * 5000, b"x"),
        ("multipart/form-data; boundary=b", b'--b\r\nContent-Disposition: form-data; name="a"; filename="../../x"\r\n'),
    ],
)
async def test_what_is_no_form_is_refused_at_once_and_no_xml_is_read(open311: Open311, kind: str, body: bytes) -> None:
    began = time.monotonic()
    answer = await open311.client.post("requests.xml", content=body, headers={"Content-Type": kind} if kind else {})
    assert answer.status_code in (400, 403), answer.text
    await refused(open311, answer, answer.status_code)
    assert b"root:" not in answer.content
    assert time.monotonic() - began < 5


async def test_a_file_is_refused_with_what_to_do_instead(open311: Open311) -> None:
    files = {"media": ("../../../etc/cron.d/x", b"\x89PNG" * 100, "image/png")}
    answer = await open311.client.post("requests.xml", data=post(), files=files)
    await refused(open311, answer, 400, "send media_url")


async def test_a_post_that_is_too_large_is_refused_before_it_is_read(open311: Open311) -> None:
    answer = await open311.client.post("requests.xml", data=post(description="x" * 300_000))
    await refused(open311, answer, 413, "the post has more than 262144 bytes")

    async def endless() -> AsyncIterator[bytes]:
        for _ in range(400):
            yield b"x" * 1024

    headers = {"Content-Type": "application/x-www-form-urlencoded"}
    answer = await open311.client.post("requests.xml", content=endless(), headers=headers)
    await refused(open311, answer, 413)


@pytest.mark.parametrize("id", ["x" * 10_000, "..%2F..%2Fetc%2Fpasswd", "%00", "1' OR '1'='1"])
@pytest.mark.parametrize("path", ["requests/{}.xml", "tokens/{}.xml", "services/{}.xml"])
async def test_no_id_leads_anywhere_but_to_a_404(open311: Open311, path: str, id: str) -> None:
    await refused(open311, await open311.client.get(path.format(id)), 404)


async def test_a_line_break_in_a_path_starts_no_header(open311: Open311) -> None:
    answer = await open311.client.get("requests/a%0d%0aSet-Cookie:x.xml")
    assert answer.status_code == 404
    assert "set-cookie" not in answer.headers


async def test_a_path_that_climbs_and_a_method_that_is_not_are_told_in_the_format(open311: Open311) -> None:
    answer = await open311.client.request("DELETE", "requests.xml")
    await refused(open311, answer, 405, "DELETE is not possible here")
    raw = open311.client.build_request("GET", open311.url + "/a/b/c.xml")
    await refused(open311, await open311.client.send(raw), 404, "there is nothing under this path")
    answer = await open311.client.get(quote("../../../health", safe="") + ".json")
    assert answer.status_code == 404


async def test_control_characters_leave_the_xml_readable(open311: Open311) -> None:
    id = await open311.submit(description="bell \x07, half a pair \\ud800, <b>&amp;]]></b>")
    root = Xml.fromstring((await open311.client.get(f"requests/{id}.xml")).content)
    assert root.findtext("request/description") == "bell \ufffd, half a pair \\ud800, <b>&amp;]]></b>"


async def raw(open311: Open311, *parts: bytes, wait: float = 0.0) -> bytes:
    """Send these bytes; gives all that comes back until the server closes."""
    url = httpx.URL(open311.url)
    reader, writer = await asyncio.open_connection(url.host, url.port)
    try:
        for part in parts:
            writer.write(part)
            await writer.drain()
            await asyncio.sleep(wait)
        return await asyncio.wait_for(reader.read(), 30)
    except ConnectionError:
        return b""
    finally:
        writer.close()


def head(length: int | str) -> bytes:
    return (
        b"POST /open311/communications/v2/requests.xml HTTP/1.1\r\nHost: x\r\nConnection: close\r\n"
        b"Content-Type: application/x-www-form-urlencoded\r\nContent-Length: " + str(length).encode() + b"\r\n\r\n"
    )


async def test_a_content_length_that_lies_costs_only_its_sender(open311: Open311) -> None:
    body = f"api_key={KEY}&service_code=drain&address_id={AREA}".encode()
    longer = await raw(open311, head(len(body) + 100) + body)
    assert b" 408 " in longer.split(b"\r\n")[0]
    for wrong in (-1, "12abc", "9" * 30):
        answer = await raw(open311, head(wrong) + body)
        assert not answer or b" 4" in answer.split(b"\r\n")[0], answer[:200]
    assert await open311.stored() == []
    await raw(open311, head(len(body)) + body + b"GET /smuggled HTTP/1.1\r\n\r\n")
    assert len(await open311.stored()) == 1


async def test_slow_posts_hold_a_bounded_number_of_places_and_nobody_who_reads_waits(open311: Open311) -> None:
    slow = [asyncio.create_task(raw(open311, head(1000) + b"api_key=")) for _ in range(300)]
    await asyncio.sleep(1.0)
    began = time.monotonic()
    assert (await open311.client.get("requests.json")).status_code == 200
    assert time.monotonic() - began < 2
    answers = [answer.split(b"\r\n")[0] for answer in await asyncio.gather(*slow)]
    assert {answer.split()[1] for answer in answers} <= {b"408", b"503"}
    assert sum(b" 408 " in answer for answer in answers) <= 20 * 3
    await open311.submit()


async def test_a_hundred_of_the_same_post_at_once_are_one_request(open311: Open311) -> None:
    open311.source.clock = lambda: 1_795_500_000.0  # in the middle of no turn, and standing still
    limits = httpx.Limits(max_connections=20)
    async with httpx.AsyncClient(base_url=open311.url + "/", limits=limits, timeout=60) as client:
        answers = await asyncio.gather(*(client.post("requests.json", data=post()) for _ in range(60)))
    taken = [answer for answer in answers if answer.status_code == 200]
    assert len({answer.json()[0]["service_request_id"] for answer in taken}) == 1
    assert len(await open311.stored()) == 1


async def test_where_the_disk_is_full_the_app_is_told_and_can_send_it_again(
    open311: Open311, monkeypatch: pytest.MonkeyPatch
) -> None:
    from bus.database import DiskFull

    async def full(*_: Any, **__: Any) -> None:
        raise DiskFull("the disk is full")

    with monkeypatch.context() as patch:
        patch.setattr(open311.adapter.outbox, "add", full)
        await refused(open311, await open311.client.post("requests.xml", data=post()), 507, "the disk is full")
    await open311.submit()
