"""People sign in at the city's provider, come to the page that they wanted, and are gone when they sign out."""

from __future__ import annotations

from tests.doors.conftest import Locked, sign_in


async def test_whoever_is_not_signed_in_is_led_to_the_provider_and_back_to_the_page(locked: Locked) -> None:
    async with locked.browser() as browser:
        page = await sign_in(browser, "wayan", "/cases?overdue=true")
        assert str(page.url) == f"{locked.url}/cases?overdue=true"
        assert page.status_code == 200
        assert "Signed in as wayan." in page.text
        assert "operator" in page.text
        assert "asks nobody" not in page.text
        assert (await browser.get("/")).status_code == 200
