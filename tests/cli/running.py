"""A casebook that follows the real Kafka, for commands that ask it; and waiting for what it shows."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import pytest

from bus.process import serving
from services.casebook.api import casebook_api
from services.casebook.database import reader_engine, writer_engine
from services.casebook.following import Following, FollowingSettings
from services.casebook.questions import Questions
from services.casebook.writer import Writer
from tests.support.bus import SmallBus


@asynccontextmanager
async def casebook(bus: SmallBus, folder: Path, monkeypatch: pytest.MonkeyPatch) -> AsyncIterator[None]:
    """A casebook at work, with its API where the commands find it."""
    url = f"sqlite:///{folder / 'casebook.sqlite3'}"
    writing, reading = writer_engine(url), reader_engine(url)
    quick = FollowingSettings(read_wait_seconds=0.05, report_seconds=0.2)
    following = Following(Writer(writing), city=bus.city.id, kafka=bus.settings, settings=quick)
    work = asyncio.create_task(following.run())
    app = casebook_api(Questions(reading), bus.city, why_not_ready=following.why_not_ready)
    async with serving(app, host="127.0.0.1", port=0) as port:
        monkeypatch.setenv("SUBAK_CASEBOOK_URL", f"http://127.0.0.1:{port}")
        try:
            yield
        finally:
            following.stop()
            await work
    writing.dispose()
    reading.dispose()


async def until(check: Callable[[], Any], seconds: float = 60) -> None:
    deadline = asyncio.get_running_loop().time() + seconds
    while not await asyncio.to_thread(check):
        assert asyncio.get_running_loop().time() < deadline, "it did not happen in time"
        await asyncio.sleep(0.1)
