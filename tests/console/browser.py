"""A real browser, Debian's chromium, driven from Python; and axe, the checks of accessibility, where npm has put it."""

from __future__ import annotations

import shutil
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import pytest
from playwright.async_api import Browser, Page, async_playwright

AXE = Path(__file__).parent / "axe" / "node_modules" / "axe-core" / "axe.min.js"
"""`npm ci --prefix tests/console/axe` puts it there: CI does."""

SERIOUS = ("serious", "critical")


def chromium_path() -> str:
    """Where chromium is; skips where it is not."""
    found = shutil.which("chromium") or shutil.which("chromium-browser") or shutil.which("google-chrome")
    if found is None:
        pytest.skip("chromium is not installed (apt-get install chromium), so nothing can look at the console")
    return found


@asynccontextmanager
async def a_browser(path: str) -> AsyncIterator[Browser]:
    """It, until the block ends."""
    async with async_playwright() as playwright:
        browser = await playwright.chromium.launch(executable_path=path, args=["--no-sandbox"])
        yield browser
        await browser.close()


@asynccontextmanager
async def a_page(browser: Browser, url: str, *, width: int = 1280, scheme: Any = "light") -> AsyncIterator[Page]:
    """A page in a window of its own. What it complains about (a script that fails, a policy that forbids) fails."""
    context = await browser.new_context(
        base_url=url, viewport={"width": width, "height": 800}, color_scheme=scheme, locale="en"
    )
    page = await context.new_page()
    complaints: list[str] = []
    page.on("pageerror", lambda error: complaints.append(str(error)))
    page.on("console", lambda said: complaints.append(said.text) if said.type == "error" else None)
    page.on("dialog", lambda dialog: complaints.append(f"a dialog: {dialog.message}"))
    yield page
    await context.close()
    assert [text for text in complaints if "status of" not in text and "ERR_INCOMPLETE_CHUNKED" not in text] == []


async def findings(page: Page) -> list[str]:
    """What axe finds that is serious, each with the places."""
    if not AXE.is_file():
        pytest.skip("axe-core is not there: npm ci --ignore-scripts --prefix tests/console/axe")
    await page.evaluate(AXE.read_text("utf-8"))
    result = await page.evaluate("axe.run(document, {resultTypes: ['violations']})")
    return [
        f"{found['id']} ({found['impact']}): {found['help']}: {[node['target'] for node in found['nodes']][:4]}"
        for found in result["violations"]
        if found["impact"] in SERIOUS
    ]
