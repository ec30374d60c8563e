"""What a reader would take for something else: a filter that is not shown, a figure of another window, a dead link."""

from __future__ import annotations

import asyncio
import html
import re

import pytest

from bus.repairing import NotDone
from bus.topics import EVENTS
from services.console import words
from services.console.live import EVENTS_MAX, Live
from services.console.pages.parked import data_in
from tests.console.conftest import Shown


def test_one_of_a_thing_has_the_word_for_one() -> None:
    assert words.text("en", "deed.confirm_replay_parked", count="1") == "Replay 1 parked case?"
    assert words.text("en", "deed.confirm_replay_parked", count="1,001") == "Replay 1,001 parked cases?"
    assert words.text("en", "now.bar", cases="1", overdue="0") == "1 case, 0 overdue"
    assert words.text("en", "case.escalated_times", count=1) == "1 time"
    assert words.text("id", "deed.confirm_replay_parked", count="1") == "Jalankan ulang 1 kasus yang ditahan?"


@pytest.mark.parametrize("name", ["area", "agency", "service_code"])
async def test_a_filter_by_what_is_no_longer_of_the_city_stands_in_its_field(
    shown: Shown, name: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    async def ask(*_: object, **__: object) -> dict[str, object]:
        return {"cases": [], "next": None}

    monkeypatch.setattr(shown.parts.casebook, "ask", ask)
    async with shown.client() as client:
        text = (await client.get(f"/cases?{name}=gone")).text
        assert '<option value="gone" selected>gone</option>' in text
        assert text.count("<option value=") == (await client.get("/cases")).text.count("<option value=") + 1


async def test_an_empty_list_says_whether_a_filter_made_it_so(shown: Shown) -> None:
    async with shown.client() as client:
        for page, says, wrong in (
            ("/parked?error=another", "No parked case is like that.", "No case is parked."),
            ("/rejected?code=another", "No refused event is like that.", "Nothing was refused."),
        ):
            text = (await client.get(page)).text
            assert says in text
            assert wrong not in text


async def test_without_the_casebook_nobody_is_told_that_no_case_is_open(
    shown: Shown, monkeypatch: pytest.MonkeyPatch
) -> None:
    from services.console.casebook import CasebookAway

    async def away() -> None:
        raise CasebookAway("away")

    monkeypatch.setattr(shown.parts.casebook, "summary", away)
    async with shown.client() as client:
        for page in ("/", "/now/states"):
            text = (await client.get(page)).text
            assert "The casebook does not answer now" in text
            assert "No case is open." not in text


async def test_a_choice_of_language_after_a_form_that_failed_leads_back_to_the_form(shown: Shown) -> None:
    form = f"/parked/replay?id={shown.logbook.case_id('parked')}"
    async with shown.client() as client:
        token = re.findall(r'name="token" value="([0-9a-f]+)"', (await client.get(form)).text)[0]
        data = {"token": token, "id": shown.logbook.case_id("parked"), "by": "ops-7", "reason": ""}
        for referer, back in ((f"{shown.url}{form}", form), ("https://evil.example/x", "/"), ("http://[", "/")):
            answer = await client.post("/parked/replay", data=data, headers={"referer": referer})
            assert answer.status_code == 422
            assert f'name="back" value="{html.escape(back)}"' in answer.text


@pytest.mark.parametrize("page", ["/parked?error=" + "x" * 3500, "/cases/a%3Fb%23c"])
async def test_a_choice_of_language_stays_on_a_page_with_a_strange_address(shown: Shown, page: str) -> None:
    async with shown.client() as client:
        text = (await client.get(page)).text
        found = {name: re.findall(rf'name="{name}" value="([^"]*)"', text)[-1] for name in ("token", "back")}
        answer = await client.post("/preferences", data={**found, "language": "id"})
    assert (answer.status_code, answer.headers["location"]) == (303, page)


def test_the_window_is_as_long_as_what_is_remembered(shown: Shown) -> None:
    records = [record for record in shown.logbook.records if record.topic == EVENTS]
    live = Live(shown.parts.kafka, shown.parts.city)
    live.clock = shown.logbook.now.timestamp
    live.take(records)
    assert live.window_seconds == 900
    while len(live._recent) < EVENTS_MAX:
        live.take(records[-3:])
    assert live.window_seconds == live.clock() - live._recent[0].at < 900


async def test_a_stream_that_was_cut_off_goes_on_behind_the_last_event_that_the_browser_has(shown: Shown) -> None:
    recent = shown.parts.live.recent()

    async def first_rows(last: str, count: int) -> list[str]:
        found: list[str] = []
        async with shown.client() as client, client.stream("GET", "/now/events", headers={"last-event-id": last}) as it:
            async for line in it.aiter_lines():
                found += [line.removeprefix("id: ")] if line.startswith("id: ") else []
                if len(found) == count:
                    return found
        return found

    async with asyncio.timeout(20):
        assert await first_rows(recent[-3].id, 2) == [recent[-2].id, recent[-1].id]
        assert await first_rows("too-long-ago", 5) == [each.id for each in recent[-30:][:5]]


async def test_a_refused_event_leads_to_its_case_only_where_there_is_one(
    shown: Shown, monkeypatch: pytest.MonkeyPatch
) -> None:
    casebook = shown.parts.casebook
    found = (await casebook.ask("/api/rejected", code="unknown_service"))["rejected"][0]
    whole, real = await casebook.ask(f"/api/rejected/{found['id']}"), casebook.ask
    async with shown.client() as client:
        for case_id, is_link in ((shown.logbook.case_id("parked"), True), ("no such case", False)):

            async def ask(address: str, case_id: str = case_id, **asked: object) -> dict[str, object]:
                return {**whole, "case_id": case_id} if "rejected" in address else await real(address, **asked)

            monkeypatch.setattr(casebook, "ask", ask)
            text = (await client.get("/rejected/x")).text
            assert case_id in text
            assert ('href="/cases/' in text) is is_link
            assert ("There is no such case." in text) is not is_link


@pytest.mark.parametrize("page", ["/cases?stat=closed", "/rejected?cod=unknown_service", "/parked?eror=another"])
async def test_a_filter_that_is_spelled_wrong_is_refused_and_not_passed_over(shown: Shown, page: str) -> None:
    async with shown.client() as client:
        answer = await client.get(page)
    assert answer.status_code == 422
    assert page.split("?")[1].split("=")[0] in answer.text


async def test_a_level_is_said_in_the_reader_s_language(shown: Shown) -> None:
    async with shown.client() as client:
        for language, word in (("id", "Kecamatan"), ("en", "District")):
            asked = {"accept-language": language}
            assert f">{word}</td>" in (await client.get("/catalogue", headers=asked)).text
    city = shown.parts.city
    assert shown.parts.pages.level_name("id", "of old") == "of old"
    assert {agency.level for agency in city.agencies.values()} <= {level.id for level in city.levels}


async def test_an_agency_that_has_no_page_is_no_link(shown: Shown, monkeypatch: pytest.MonkeyPatch) -> None:
    found = (await shown.parts.casebook.ask("/api/rejected", code="unknown_service"))["rejected"][0]
    whole = await shown.parts.casebook.ask(f"/api/rejected/{found['id']}")
    case = await shown.parts.casebook.ask(f"/api/cases/{shown.logbook.case_id('parked')}")
    timeline = await shown.parts.casebook.ask(f"/api/cases/{shown.logbook.case_id('parked')}/timeline")
    timeline["entries"][0]["type"] = "subak.of.tomorrow.v9"

    async def ask(address: str, **_: object) -> dict[str, object]:
        if address.startswith("/api/rejected"):
            return {**whole, "agency": "left"}
        return dict(timeline) if address.endswith("/timeline") else {**case, "holder": "gone"}

    monkeypatch.setattr(shown.parts.casebook, "ask", ask)
    async with shown.client() as client:
        pages = [(await client.get(page)).text for page in ("/rejected/x", "/cases/x")]
    assert "/catalogue/agencies/left" not in pages[0]
    assert "/catalogue/agencies/gone" not in pages[1]
    assert "/catalogue/types/subak.of.tomorrow.v9" not in pages[1]
    assert "subak.of.tomorrow.v9" in pages[1]


@pytest.mark.parametrize("text", ['{"a": "\\ud800"}', '{"a": NaN}', '{"a": 1e999}', "[]", "{"])
def test_data_that_no_event_can_hold_are_refused_before_anything_is_sent(text: str) -> None:
    with pytest.raises(NotDone, match=r"Nothing was done\."):
        data_in(text)


async def test_an_open_page_of_an_act_that_is_forgotten_is_loaded_anew(shown: Shown) -> None:
    async with shown.client() as client:
        part = await client.get("/acts/forgotten", headers={"hx-request": "true"})
        whole = await client.get("/acts/forgotten")
    assert (part.status_code, part.headers.get("hx-refresh")) == (404, "true")
    assert (whole.status_code, whole.headers.get("hx-refresh")) == (404, None)


async def test_a_text_that_turns_the_reading_direction_turns_nothing_beside_it(shown: Shown) -> None:
    async with shown.client() as client:
        acts = (await client.get("/acts")).text
        case = (await client.get(f"/cases/{shown.logbook.case_id('parked')}")).text
    assert "<bdi>ops-7</bdi>" in acts
    assert "<h1><bdi>" in case


async def test_a_fault_of_the_console_s_own_is_told_with_a_way_on(
    shown: Shown, monkeypatch: pytest.MonkeyPatch
) -> None:
    async def fail(*_: object, **__: object) -> None:
        raise ZeroDivisionError("a secret")

    monkeypatch.setattr(shown.parts.casebook, "ask", fail)
    async with shown.client() as client:
        answer = await client.get("/cases/x")
    assert answer.status_code == 500
    assert "content-security-policy" in answer.headers
    assert "This page failed" in answer.text
    assert "ZeroDivisionError" in answer.text
    assert "a secret" not in answer.text
    assert 'href="/cases"' in answer.text
