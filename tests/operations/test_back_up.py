"""What docs/how-to/back-up.md says of copies and their return, done with a real SQLite and a real Kafka."""

from __future__ import annotations

import asyncio
import shutil
import sqlite3
from pathlib import Path

import pytest

from bus.agency_tables import NAME, TABLES, VERSION
from bus.database import Database
from bus.kafka import ensure_topics
from deploy.local.kafka import LocalKafka
from tests.bus.test_relay import Side
from tests.support.adapter import SmallAdapter
from tests.support.counting import settings_for
from tests.support.databases import sqlite_url
from tests.support.events import comment

AGENCY = "communications"


async def test_a_copy_of_an_adapters_database_made_while_it_works_has_all_that_it_had_answered_for(
    tmp_path: Path,
) -> None:
    """The copy is made as `sqlite3 FILE ".backup COPY"` makes it, by the same function of SQLite."""
    (tmp_path / "backup").mkdir()
    async with SmallAdapter.opened(tmp_path) as adapter:
        answered: list[str] = []

        async def work() -> None:
            for number in range(200):
                await adapter.outbox.add(AGENCY, [comment(id=f"e-{number}", agency=AGENCY)])
                answered.append(f"e-{number}")

        working = asyncio.create_task(work())
        while len(answered) < 50:
            await asyncio.sleep(0.001)
        before = list(answered)
        await asyncio.to_thread(copy, file_of(tmp_path), file_of(tmp_path / "backup"))
        await working
    kept = sqlite3.connect(file_of(tmp_path / "backup"))
    assert kept.execute("PRAGMA integrity_check").fetchone() == ("ok",)
    ids = {row[0] for row in kept.execute("SELECT event_id FROM subak_outbox")}
    kept.close()
    assert set(before) <= ids
    restored = Database(sqlite_url(tmp_path / "backup"), tables=TABLES, name=NAME, version=VERSION)
    await restored.start()
    await restored.stop()


def file_of(folder: Path) -> str:
    return sqlite_url(folder).removeprefix("sqlite:///")


def copy(source: str, target: str) -> None:
    """SQLite's own online copy."""
    with sqlite3.connect(source) as here, sqlite3.connect(target) as there:
        here.backup(there)
    here.close()
    there.close()


@pytest.mark.kafka
@pytest.mark.slow
async def test_a_kafka_that_goes_back_to_an_older_copy_gets_again_what_the_outbox_still_has(tmp_path: Path) -> None:
    kafka = LocalKafka(tmp_path / "kafka")
    kafka.start()
    try:
        settings = settings_for(kafka.bootstrap_servers)
        await ensure_topics(settings, [AGENCY])
        async with Side(tmp_path / "side", AGENCY, settings) as side:
            await side.add("a", "b")
            await side.relay_all()
            kafka.stop()
            shutil.copytree(tmp_path / "kafka", tmp_path / "copy")
            kafka.start()
            await side.add("c", "d")
            await side.relay_all()
            assert sorted(await side.published_ids()) == ["a", "b", "c", "d"]
            kafka.stop()
            shutil.rmtree(tmp_path / "kafka")
            shutil.copytree(tmp_path / "copy", tmp_path / "kafka")
            kafka.start()
            assert sorted(await side.published_ids()) == ["a", "b"]
            await side.add("e")
            await side.relay_all()
            assert sorted(await side.published_ids()) == ["a", "b", "c", "d", "e"]
    finally:
        kafka.stop()
