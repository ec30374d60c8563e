"""A hostile page can neither read the console, nor frame it, nor act through it."""

from __future__ import annotations

import re

import pytest

from bus.settings import Settings
from schemas.failures import Misconfigured
from services.console.security import hosts_of
from tests.console.conftest import Shown


@pytest.mark.parametrize("page", ["/", "/cases", "/nothing", "/static/console.css", "/now/flow", "/health/live"])
async def test_every_answer_forbids_scripts_frames_and_strangers(shown: Shown, page: str) -> None:
    async with shown.client() as client:
        headers = (await client.get(page)).headers
    policy = headers["content-security-policy"]
    assert "default-src 'none'" in policy
    assert "frame-ancestors 'none'" in policy
    assert "unsafe" not in policy
    assert "http" not in policy
    assert headers["x-content-type-options"] == "nosniff"
    assert headers["referrer-policy"] == "same-origin"
    assert "server" not in headers


async def test_no_page_has_a_script_or_a_style_of_its_own(shown: Shown) -> None:
    async with shown.client() as client:
        for page in ("/", "/cases", "/rejected", "/parked", "/catalogue"):
            text = (await client.get(page)).text
            own = r"<script(?![^>]*\bsrc=\"/static/)|<style|<[^>]*\s(?:style|on[a-z]+)=|<[^>]*javascript:"
            assert not re.search(own, text), page
            assert not re.search(r"(?:src|href)=\"(?:https?:)?//", text), page


@pytest.mark.parametrize("host", ["evil.example", "127.0.0.1.evil.example:80", "", "[::1", "localhost@evil.example"])
async def test_it_answers_under_no_foreign_name(shown: Shown, host: str) -> None:
    async with shown.client(host=host) as client:
        answer = await client.get("/cases")
        assert answer.status_code == 421
        assert "SUBAK_CONSOLE_HOSTS" in answer.text
        assert (await client.get("/health/live")).status_code == 200, "a probe asks by address"


@pytest.mark.parametrize(
    "headers", [{"origin": "http://evil.example"}, {"sec-fetch-site": "cross-site"}, {"sec-fetch-site": "same-site"}]
)
@pytest.mark.parametrize("address", ["/parked/replay", "/rejected/discard", "/parked/edit", "/preferences"])
async def test_a_write_from_another_site_is_refused(shown: Shown, address: str, headers: dict[str, str]) -> None:
    async with shown.client() as client:
        token = re.findall(r'name="token" value="([0-9a-f]+)"', (await client.get("/")).text)[0]
        answer = await client.post(address, data={"token": token, "language": "id"}, headers=headers)
    assert answer.status_code == 403
    assert "set-cookie" not in answer.headers


@pytest.mark.parametrize("token", ["", "0" * 64, "é"])
async def test_a_write_without_a_token_of_this_browser_is_refused(shown: Shown, token: str) -> None:
    id = shown.logbook.case_id("parked")
    async with shown.client() as client, shown.client() as other:
        theirs = re.findall(r'name="token" value="([0-9a-f]+)"', (await other.get("/")).text)[0]
        await client.get("/")
        for used in (token, theirs):
            answer = await client.post("/parked/replay", data={"token": used, "id": id, "by": "x", "reason": "x"})
            assert answer.status_code == 403
            assert "Nothing was done." in answer.text
    async with shown.client() as nobody:
        assert (await nobody.post("/parked/replay", data={"token": theirs, "id": id})).status_code == 403


async def test_the_cookie_is_for_this_site_alone_and_scripts_cannot_read_it(shown: Shown) -> None:
    async with shown.client() as client:
        cookie = (await client.get("/")).headers["set-cookie"]
    assert "HttpOnly" in cookie
    assert "SameSite=strict" in cookie


@pytest.mark.parametrize("back", ["//evil.example", "https://evil.example", "/\\evil.example", "/a\r\nset-cookie: x=1"])
async def test_a_choice_leads_back_to_a_page_of_ours_only(shown: Shown, back: str) -> None:
    async with shown.client() as client:
        token = re.findall(r'name="token" value="([0-9a-f]+)"', (await client.get("/")).text)[0]
        answer = await client.post("/preferences", data={"token": token, "language": "id", "back": back})
        assert (answer.status_code, answer.headers["location"]) == (303, "/")
        assert (await client.get("/")).headers["content-language"] == "id"


def test_it_listens_beyond_this_machine_only_where_names_are_given() -> None:
    with pytest.raises(Misconfigured, match="it asks nobody who they are"):
        hosts_of(Settings(http_host="0.0.0.0"))
    assert "console.city.example" in hosts_of(Settings(http_host="0.0.0.0", console_hosts="Console.City.Example, x"))
    assert hosts_of(Settings()) == {"127.0.0.1", "localhost", "::1"}


async def test_the_page_says_that_nobody_is_asked(shown: Shown) -> None:
    async with shown.client() as client:
        assert "This console asks nobody who they are" in (await client.get("/")).text
