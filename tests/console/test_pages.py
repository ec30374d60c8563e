"""Every page answers in both languages, escapes what it shows, and shows no personal field."""

from __future__ import annotations

import html
import re

import pytest

from bus.topics import EVENTS
from services.console.casebook import Casebook
from services.console.live import EVENTS_MAX, WAITING_MAX, Live, Passed
from services.console.pages import cases
from tests.console.conftest import HOSTILE, Shown
from tests.support.logbook import PERSONAL

PAGES = [
    "/", "/now/figures", "/now/states", "/now/flow", "/now/waiting", "/cases", "/cases?overdue=true", "case",
    "/rejected", "/rejected?code=unknown_service", "rejection", "/parked", "replay", "/parked/replay?error=",
    "/parked/discard?error=",
    "/rejected/replay?code=unknown_service", "/rejected/discard?code=unknown_service", "/acts",
    "/catalogue", "/catalogue/types/subak.request.submitted.v1", "/catalogue/types/subak.workorder.issued.v1",
    "/catalogue/agencies/public-works",
]  # fmt: skip


async def address(shown: Shown, page: str) -> str:
    """The address of a page that a test calls so."""
    if page == "case":
        return f"/cases/{shown.logbook.case_id('parked')}"
    if page == "replay":
        return f"/parked/replay?id={shown.logbook.case_id('parked')}"
    if page == "rejection":
        found = await shown.parts.casebook.ask("/api/rejected", code="unknown_service")
        return f"/rejected/{found['rejected'][0]['id']}"
    return page


@pytest.mark.parametrize("language", ["id", "en"])
@pytest.mark.parametrize("page", PAGES)
async def test_a_page_answers_in_the_reader_s_language_and_shows_nothing_personal(
    shown: Shown, page: str, language: str
) -> None:
    async with shown.client(**{"accept-language": language}) as client:
        answer = await client.get(await address(shown, page))
    assert answer.status_code == 200, answer.text
    assert answer.headers["content-language"] == language
    assert HOSTILE not in answer.text
    assert "<script>" not in answer.text
    assert "onerror=alert" not in answer.text.replace("&lt;img src=x onerror=alert(1)&gt;", "")
    assert not [value for value in PERSONAL.values() if value in answer.text]


async def test_a_case_tells_who_holds_it_what_waits_and_what_caused_what(shown: Shown) -> None:
    async with shown.client() as client:
        text = (await client.get(await address(shown, "case"))).text
    assert "ZeroDivisionError" in text
    assert "2 events wait behind it" in text
    assert 'href="#e1"' in text, "the forwarding was caused by the request"


async def test_a_rejection_shows_its_reasons_and_hides_what_may_be_personal(shown: Shown) -> None:
    async with shown.client() as client:
        text = (await client.get(await address(shown, "rejection"))).text
    assert "unknown_service" in text
    assert "outside_city" in text
    assert "Check the coordinates." in text
    assert "x-note" in text, "the name of a header that an agency added is shown, its value is not"
    assert text.count("hidden, ") == 1


async def test_causes_lead_to_their_cases_and_rejections(shown: Shown) -> None:
    async with shown.client() as client:
        parked, rejected = (await client.get("/parked")).text, (await client.get("/rejected")).text
        assert "Replay 2" in parked
        [link] = [part for part in parked.split('"') if part.startswith("/parked/replay?event_type=")]
        confirm = (await client.get(html.unescape(link))).text
        assert confirm.count('name="id"') == 2
        assert "Replay 2 parked cases?" in confirm
    assert "/rejected?code=unknown_service&amp;agency=" in rejected


@pytest.mark.parametrize(
    ("language", "runs", "says"),
    [
        ("en", "runs again", "Runs again, events run: 3"),
        ("id", "berjalan lagi", "Berjalan lagi, peristiwa yang dijala"),
    ],
)
async def test_a_replay_that_helped_is_seen_among_the_acts_and_in_the_cases_timeline(
    shown: Shown, language: str, runs: str, says: str
) -> None:
    id = shown.logbook.case_id("replayed")
    async with shown.client() as client:
        client.headers["accept-language"] = language
        acts = (await client.get("/acts")).text
        [(link, badge)] = re.findall(rf'<a class="badge" href="/cases/{id}#(e\d+)">([^<]+)</a>', acts)
        assert badge == runs
        page = (await client.get(f"/cases/{id}")).text
    [entry] = re.findall(rf'<li id="{link}"[\s\S]*?</li>', page)
    assert says in entry
    assert "case.replayed" in entry
    assert "<script" not in entry, "the operator's reason was not escaped"


async def test_pages_are_turned_by_key_and_no_case_comes_twice(shown: Shown, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(cases, "ROWS", 5)
    seen: list[str] = []
    link: str | None = "/cases?agency=public-works"
    async with shown.client() as client:
        while link is not None:
            text = (await client.get(html.unescape(link))).text
            seen += re.findall(r'<th scope="row"><a href="/cases/([^"]+)"', text)
            found = re.search(r'rel="next" href="([^"]+)"', text)
            link = found[1] if found else None
    assert len(seen) == len(set(seen)) > 5


@pytest.mark.parametrize(
    ("page", "status"),
    [
        ("/cases/nothing", 404),
        ("/cases/" + "x" * 200, 422),
        ("/cases/..%2F..%2Fapi%2Fsummary", 404),
        ("/cases/%3Cscript%3Ealert(1)%3C%2Fscript%3E", 404),
        ("/cases?state=%3Cscript%3Ealert(1)%3C%2Fscript%3E", 422),
        ("/cases?cursor=abc", 422),
        ("/cases?agency=nobody", 422),
        ("/cases?id=zzz", 422),
        ("/rejected/nothing", 404),
        ("/rejected?cursor=abc", 422),
        ("/parked/replay?id=nothing", 404),
        ("/parked/replay?error=another", 404),
        ("/acts/nothing", 404),
        ("/rejected/replay?id=nothing", 404),
        ("/parked/edit?id=nothing", 404),
        ("/parked/burn?id=nothing", 404),
        ("/catalogue/types/subak.no.type.v1", 404),
        ("/catalogue/agencies/%3Cscript%3E", 404),
        ("/nothing", 404),
        ("/static/../process.py", 404),
        ("/static/%2e%2e/process.py", 404),
    ],
)
async def test_a_wrong_address_is_told_in_words_and_escaped(shown: Shown, page: str, status: int) -> None:
    async with shown.client() as client:
        answer = await client.get(page)
    assert answer.status_code == status, answer.text
    assert "<script>" not in answer.text
    assert 'role="alert"' in answer.text


async def test_the_page_says_that_the_casebook_is_away_and_comes_back_with_it(shown: Shown) -> None:
    kept = shown.parts.casebook
    away = Casebook("http://127.0.0.1:1")
    client_of, kept._client, kept._summary = kept._client, away._client, None
    try:
        async with shown.client() as client:
            now, cases_ = await client.get("/"), await client.get("/cases")
            part = await client.get("/cases", headers={"hx-request": "true"})
    finally:
        kept._client = client_of
        await away.close()
    assert now.status_code == 200, "the flow and the lag do not need the casebook"
    assert "The casebook does not answer now" in now.text
    assert cases_.status_code == part.status_code == 503
    assert "The casebook does not answer now" in cases_.text
    assert "<html" not in part.text
    async with shown.client() as client:
        assert (await client.get("/cases")).status_code == 200


async def test_a_new_event_reaches_whoever_looks_as_escaped_html(shown: Shown) -> None:
    hostile = Passed("e", "<b>", "subak.x<script>.y.v1", "<i>", None, None, None, shown.parts.live.clock())
    async with shown.client() as client, client.stream("GET", "/now/events") as stream:
        assert stream.headers["content-type"].startswith("text/event-stream")
        lines = stream.aiter_lines()
        assert await anext(lines) == ": here"
        for browser in shown.parts.live._browsers:
            browser.put_nowait(hostile)
        while not (line := await anext(lines)).startswith("data:"):
            pass
    assert "&lt;script&gt;" in line
    assert "<script>" not in line


async def test_a_browser_that_does_not_keep_up_loses_the_oldest_and_memory_stays_bounded(shown: Shown) -> None:
    records = [record for record in shown.logbook.records if record.topic == EVENTS]
    live = Live(shown.parts.kafka, shown.parts.city)
    with live.following() as browser:
        assert browser is not None
        for _ in range(EVENTS_MAX // len(records) + 2):
            live.take(records)
        assert browser.qsize() == WAITING_MAX
    assert len(live._recent) == EVENTS_MAX
