"""Every page answers in both languages, escapes what it shows, and shows no personal field."""

from __future__ import annotations

import pytest

from tests.console.conftest import HOSTILE, Shown
from tests.support.logbook import PERSONAL

PAGES = ["/", "/now/figures", "/now/states", "/now/flow", "/now/waiting", "/cases", "/cases?overdue=true", "case"]


def address(shown: Shown, page: str) -> str:
    """The address of a page that a test calls so."""
    return f"/cases/{shown.logbook.case_id('parked')}" if page == "case" else page


@pytest.mark.parametrize("language", ["id", "en"])
@pytest.mark.parametrize("page", PAGES)
async def test_a_page_answers_in_the_reader_s_language_and_shows_nothing_personal(
    shown: Shown, page: str, language: str
) -> None:
    async with shown.client(**{"accept-language": language}) as client:
        answer = await client.get(address(shown, page))
    assert answer.status_code == 200, answer.text
    assert answer.headers["content-language"] == language
    assert HOSTILE not in answer.text
    assert "<script>" not in answer.text
    assert "onerror=alert" not in answer.text.replace("&lt;img src=x onerror=alert(1)&gt;", "")
    assert not [value for value in PERSONAL.values() if value in answer.text]


async def test_a_case_tells_who_holds_it_what_waits_and_what_caused_what(shown: Shown) -> None:
    async with shown.client() as client:
        text = (await client.get(address(shown, "case"))).text
    assert "ZeroDivisionError" in text
    assert "2 events wait behind it" in text
    assert 'href="#e1"' in text, "the forwarding was caused by the request"
