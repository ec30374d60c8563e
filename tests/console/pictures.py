"""Makes docs/images/console-*.png anew, from a made-up log of Denpasar: `python -m tests.console.pictures`."""

from __future__ import annotations

import asyncio
import tempfile
from datetime import timedelta
from pathlib import Path

import pytest

from bus.logs import configure_logs
from schemas.failures import Reason
from schemas.types.requests import RequestAcknowledged, RequestSubmitted
from schemas.types.workorders import WorkOrderAccepted
from services.workflows.repair import joint as repair_module
from tests.console.browser import a_browser, a_page, chromium_path
from tests.console.conftest import CITY, showing
from tests.support.logbook import Logbook

IMAGES = Path(__file__).parents[2] / "docs" / "images"
CASES = 160


def made_up() -> Logbook:
    """Cases of every service and area at every step, late ones, parked ones, refused events; the newest at the end."""
    logbook = Logbook(CITY)
    services, areas = sorted(CITY.services), [code for code in CITY.areas if CITY.within(code, CITY.area)]
    for number in range(CASES):
        service, area = services[number * 7 % len(services)], areas[number * 11 % len(areas)]
        logbook.repair(number, service=service, area=area, steps=1 + number % 8)
        if number == CASES // 4:
            logbook.wait(timedelta(days=4))
    with pytest.MonkeyPatch.context() as broken:
        broken.setattr(repair_module, "order", lambda *_, **__: 1 / 0)
        for number in range(6):
            service, area = services[number], areas[number]
            holder = CITY.candidates(service, area)[0]
            logbook.say(CITY.citizens_channel, RequestSubmitted(service_code=service, area=area), case=f"p{number}")
            logbook.say(holder, RequestAcknowledged(), case=f"p{number}")
            logbook.say(holder, WorkOrderAccepted(), case=f"p{number}")
    request = RequestSubmitted(service_code=services[0], area=areas[0])
    event = logbook.say(CITY.citizens_channel, request, case="refused")
    for code, count in (("unknown_service", 5), ("outside_city", 3), ("unknown_field", 2)):
        reason = Reason(code, "data", "it does not fit the city's directory", "Correct it, and send it again.")
        for _ in range(count):
            logbook.refuse_at_the_door(CITY.citizens_channel, event, [reason])
    return logbook


async def main() -> None:
    """Make them."""
    configure_logs("error", "console")
    logbook = made_up()
    pictures = [
        ("now", "/", 1080, 760, "light"),
        ("phone", "/", 360, 760, "dark"),
        ("case", f"/cases/{logbook.case_id(5)}", 1080, 760, "light"),
        ("parked", "/parked", 1080, 560, "light"),
    ]
    with tempfile.TemporaryDirectory() as folder:
        async with showing(logbook, Path(folder)) as shown, a_browser(chromium_path()) as browser:
            for name, address, width, height, scheme in pictures:
                async with a_page(browser, shown.url, width=width, scheme=scheme) as page:
                    await page.set_viewport_size({"width": width, "height": height})
                    await page.goto(address)
                    await page.wait_for_timeout(2500)
                    await page.screenshot(path=IMAGES / f"console-{name}.png")


if __name__ == "__main__":
    asyncio.run(main())
