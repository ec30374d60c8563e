"""In a real browser: for everybody in both themes, on a phone, by keyboard alone, and new events as they come."""

from __future__ import annotations

from collections.abc import AsyncIterator

import pytest
from playwright.async_api import Browser, Page

from bus.topics import EVENTS
from schemas.types.requests import RequestSubmitted
from tests.console.browser import a_browser, a_page, chromium_path, findings
from tests.console.conftest import AREA, CITY, SERVICE, Shown
from tests.console.test_pages import address

pytestmark = pytest.mark.slow

PAGES = [
    "/", "/cases", "case", "/rejected", "rejection", "/parked", "replay", "/rejected/discard?code=unknown_service",
    "/acts", "/catalogue",
    "/catalogue/types/subak.request.submitted.v1", "/catalogue/agencies/public-works", "/nothing",
]  # fmt: skip


@pytest.fixture(scope="session")
async def browser() -> AsyncIterator[Browser]:
    async with a_browser(chromium_path()) as found:
        yield found


@pytest.mark.parametrize("scheme", ["light", "dark"])
async def test_axe_finds_nothing_serious(shown: Shown, browser: Browser, scheme: str) -> None:
    found = {}
    async with a_page(browser, shown.url, scheme=scheme) as page:
        for each in PAGES:
            await page.goto(await address(shown, each))
            await page.evaluate("document.querySelectorAll('details').forEach((each) => { each.open = true })")
            await page.wait_for_timeout(100)
            found[each] = await findings(page)
    assert {each: told for each, told in found.items() if told} == {}


async def test_a_phone_of_360_pixels_shows_every_page_without_scrolling_sideways(
    shown: Shown, browser: Browser
) -> None:
    wide = {}
    async with a_page(browser, shown.url, width=360) as page:
        for each in PAGES:
            await page.goto(await address(shown, each))
            await page.evaluate("document.querySelectorAll('details').forEach((each) => { each.open = true })")
            if (width := await page.evaluate("document.documentElement.scrollWidth")) > 360:
                wide[each] = width
    assert wide == {}


async def focused(page: Page) -> str:
    """What has the focus now, as a reader would name it."""
    text: str = await page.evaluate(
        "() => { const e = document.activeElement;"
        " return (e.getAttribute('aria-label') || e.innerText || e.name || e.id || e.tagName).trim() }"
    )
    return text


async def tab_to(page: Page, name: str) -> None:
    """Press Tab until that has the focus, each time visibly."""
    for _ in range(200):
        await page.keyboard.press("Tab")
        seen = await page.evaluate(
            "() => { const e = document.activeElement;"
            " return e === document.body || getComputedStyle(e).outlineStyle !== 'none' }"
        )
        assert seen, f"the focus on {await focused(page)} cannot be seen"
        if await focused(page) == name:
            return
    pytest.fail(f"Tab never came to {name}")


async def test_by_keyboard_alone_one_skips_goes_chooses_and_comes_to_a_replay(shown: Shown, browser: Browser) -> None:
    async with a_page(browser, shown.url) as page:
        await page.goto("/")
        await tab_to(page, "Skip to the content")
        await page.keyboard.press("Enter")
        assert await page.evaluate("document.activeElement.id") == "main"
        await page.goto("/")
        await tab_to(page, "Parked")
        await page.keyboard.press("Enter")
        await page.wait_for_url("**/parked")
        await tab_to(page, "Replay 2")
        await page.keyboard.press("Enter")
        await page.wait_for_url("**/parked/replay?*")
        assert await page.inner_text("h1") == "Replay 2 parked cases?"
        await tab_to(page, "reason")
        await page.keyboard.type("mended")
        await tab_to(page, "Replay 2")
        await page.goto("/cases")
        await tab_to(page, "id")
        await page.keyboard.type(shown.logbook.case_id("parked")[:8])
        await page.keyboard.press("Enter")
        await page.wait_for_url("**/cases?id=*")
        assert await page.locator("tbody tr").count() == 1


async def test_language_and_theme_are_chosen_by_keyboard_and_stay(shown: Shown, browser: Browser) -> None:
    async with a_page(browser, shown.url) as page:
        await page.goto("/cases?overdue=true")
        paper = await page.evaluate("getComputedStyle(document.body).backgroundColor")
        await tab_to(page, "Indonesia")
        await page.keyboard.press("Enter")
        await page.wait_for_selector("html[lang=id]")
        assert page.url.endswith("/cases?overdue=true")
        await tab_to(page, "Gelap")
        await page.keyboard.press("Enter")
        await page.wait_for_selector("html[data-theme=dark]")
        await page.goto("/")
        assert await page.inner_text("h1") == "Sekarang"
        assert await page.evaluate("getComputedStyle(document.body).backgroundColor") != paper


async def test_a_new_event_appears_by_itself_and_a_hostile_one_does_nothing(shown: Shown, browser: Browser) -> None:
    async with a_page(browser, shown.url) as page:
        await page.goto("/")
        await page.wait_for_function("document.getElementById('live-status').className.includes('good')")
        before = len(shown.logbook.records)
        shown.logbook.say(CITY.citizens_channel, RequestSubmitted(service_code=SERVICE, area=AREA), case="live")
        shown.parts.live.take(record for record in shown.logbook.records[before:] if record.topic == EVENTS)
        await page.wait_for_selector(f"#live-list li.fresh a[href='/cases/{shown.logbook.case_id('live')}']")
        assert await page.locator("#live-list li").count() <= 30
        for each in ("/rejected", "rejection", "/parked"):
            await page.goto(await address(shown, each))
            assert "taken" not in await page.title()


async def test_what_renews_itself_stands_still_while_somebody_is_in_it(shown: Shown, browser: Browser) -> None:
    async with a_page(browser, shown.url) as page:
        await page.goto("/")
        await page.focus("#figures a")
        await page.wait_for_timeout(6500)
        assert await page.evaluate("document.querySelector('#figures').contains(document.activeElement)")


async def test_without_scripts_every_page_is_whole(shown: Shown, browser: Browser) -> None:
    context = await browser.new_context(base_url=shown.url, java_script_enabled=False, locale="en")
    page = await context.new_page()
    await page.goto("/")
    assert await page.locator("#live-list li").count() > 10
    await page.goto("/cases")
    await page.select_option("#f-state", "closed")
    await page.click("button.primary")
    assert "state=closed" in page.url
    await context.close()
