"""In a real browser: signing in, acting under one's own name, and out, with nothing serious that axe would find."""

from __future__ import annotations

import re

import pytest

from tests.console.browser import a_browser, a_page, chromium_path, findings
from tests.doors.conftest import Locked

pytestmark = pytest.mark.slow


@pytest.mark.parametrize("scheme", ["light", "dark"])
async def test_a_person_signs_in_and_out_in_a_browser(locked: Locked, scheme: str) -> None:
    found = {}
    async with a_browser(chromium_path()) as browser, a_page(browser, locked.url, scheme=scheme) as page:
        await page.goto("/parked")
        await page.fill("input[name=login]", "wayan")
        await page.click("button")
        await page.wait_for_url("**/parked")
        assert "Signed in as wayan." in await page.inner_text("footer")
        found["signed in"] = await findings(page)
        await page.goto(f"/parked/replay?id={locked.logbook.case_id('parked')}")
        found["deed"] = await findings(page)
        assert "wayan did this" in await page.inner_text("main")
        await page.goto("/")
        await page.wait_for_function("document.getElementById('live-status').className.includes('good')")
        await page.click("footer >> text=Sign out")
        await page.wait_for_url(re.compile("/session/end"))
        await page.click("button[name=logout]")
        await page.wait_for_url("**/auth/bye")
        found["signed out"] = await findings(page)
        await page.goto("/cases")
        assert "/interaction/" in page.url, "who is out is asked again"
        await page.fill("input[name=login]", "nobody of that name")
        await page.click("button")
        await page.wait_for_url("**/auth/callback?*")
        assert await page.inner_text("h1") == "The sign-in came to nothing"
        found["failed"] = await findings(page)
        await page.goto("/cases")
        await page.fill("input[name=login]", "ketut")
        await page.click("button")
        await page.wait_for_url("**/cases")
        await page.goto("/acts")
        assert await page.inner_text("h1") == "Your role may not do this"
        found["no right"] = await findings(page)
        width = await page.evaluate("document.documentElement.scrollWidth")
        assert width <= 1280
    assert {each: told for each, told in found.items() if told} == {}
