"""A system's own records over HTTP, as an agency runs it: the adapter is a process, killed, and Kafka has each once."""

from __future__ import annotations

import asyncio
import contextlib
import signal
from pathlib import Path

import aiohttp
import pytest

from bus.kafka import KafkaSettings
from deploy.local.kafka import LocalKafka
from tests.adapters.test_process import AGENCY, AdapterProcess, System, published, settings, system
from tests.support.events import case_id

assert settings, system
"""Fixtures."""

pytestmark = pytest.mark.kafka

TOKEN = "the-token-of-the-records"
SOURCE = f"""
  [[agency.source]]
  kind = "http"
  name = "works"
  mapping = "mapping.toml"
  token = "{TOKEN}"
"""
MAPPING = """
key = "nomor"
[[event]]
type = "subak.workorder.started.v1"
case = { column = "kasus" }
  [event.data]
  status_notes = "catatan"
"""
RECORDS = 60


async def test_killed_among_posts_each_record_is_in_kafka_once_and_its_status_says_so(
    tmp_path: Path, kafka: LocalKafka, settings: KafkaSettings, system: System
) -> None:
    (tmp_path / "mapping.toml").write_text(MAPPING, encoding="utf-8")
    adapter = AdapterProcess(tmp_path, kafka, system.url, webhook_keys=SOURCE)
    await adapter.start()
    url = f"{adapter.url}/sources/{AGENCY}/works"
    told: dict[int, str] = {}

    async def post(session: aiohttp.ClientSession, number: int) -> None:
        """As a careful system does: again, until it is answered 202."""
        record = {"nomor": number, "kasus": case_id(number % 5), "catatan": f"mulai {number}"}
        while number not in told:
            with contextlib.suppress(aiohttp.ClientError, OSError):
                async with session.post(f"{url}/records", json=record) as answer:
                    assert answer.status == 202, await answer.text()
                    told[number] = (await answer.json())["events"][0]["id"]
            await asyncio.sleep(0.02)

    try:
        async with aiohttp.ClientSession(headers={"Authorization": f"Bearer {TOKEN}"}) as session:
            posting = asyncio.gather(*(post(session, number) for number in range(RECORDS)))
            for _ in range(2):
                await asyncio.sleep(0.3)
                await adapter.end(signal.SIGKILL)
                await adapter.start()
            await posting
            async with asyncio.timeout(90):
                while len(out := await published(settings)) < RECORDS:
                    await asyncio.sleep(0.2)
            assert sorted(event.id for event in out) == sorted(told.values())
            async with asyncio.timeout(30):
                while True:
                    async with session.get(f"{url}/events/{told[0]}") as answer:
                        if (await answer.json())["status"] == "relayed":
                            break
                    await asyncio.sleep(0.1)
            async with session.post(f"{url}/records", json={"nomor": 1}) as answer:
                fields = {reason["field"] for reason in (await answer.json())["reasons"]}
                assert (answer.status, fields) == (422, {"kasus", "catatan"})
    finally:
        await adapter.end(signal.SIGKILL)
    assert TOKEN not in (tmp_path / "adapter.log").read_text()
