"""An import of old records, on a real Kafka with the real stages: killed again and again, each is in the log once, no
faster than stated, and nobody is told of any."""

from __future__ import annotations

import asyncio
import contextlib
import csv
import json
import os
import signal
import sqlite3
import sys
import time
from pathlib import Path

import pytest

from bus.topics import EVENTS, in_topic
from deploy.local.kafka import LocalKafka
from deploy.local.ports import free_ports
from schemas.envelope import Event
from services.casebook.projection import Known, project
from tests.support.bus import SmallBus
from tests.support.counting import settings_for

pytestmark = [pytest.mark.kafka, pytest.mark.timeout(400)]

ROWS = 600
RATE = 100.0
SUBAK = (sys.executable, "-c", "from services.cli.main import main; main()")


class Desk:
    """The citizens' channel of San Francisco: an adapter, and a file of what it had before."""

    def __init__(self, folder: Path, bus: SmallBus, kafka: LocalKafka, rows: int = ROWS) -> None:
        self.folder = folder
        self.agency = bus.city.citizens_channel
        self.database = folder / "desk.sqlite3"
        (port,) = free_ports(1)
        (folder / "adapter.toml").write_text(
            f"""
[adapter]
name = "desk"
listen = "127.0.0.1:{port}"
[[agency]]
id = "{self.agency}"
token = "a-token-that-is-long-enough"
  [[agency.source]]
  kind = "files"
  name = "complaints"
  folder = "arriving"
  mapping = "mapping.toml"
""",
            encoding="utf-8",
        )
        (folder / "arriving").mkdir()
        (folder / "mapping.toml").write_text(
            'key = "number"\n[[event]]\ntype = "subak.request.submitted.v1"\ntime = "made"\n'
            '  [event.data]\n  service_code = "service"\n  area = "area"\n  description = "text"\n',
            encoding="utf-8",
        )
        service, area = sorted(bus.city.services)[0], bus.city.area
        with (folder / "2019.csv").open("w", encoding="utf-8", newline="") as file:
            writer = csv.writer(file)
            writer.writerow(["number", "made", "service", "area", "text"])
            for number in range(rows):
                writer.writerow([f"R-{number:06}", "2019-03-01T08:00:00-08:00", service, area, f"Complaint {number}"])
        self.environment = {
            **{name: value for name, value in os.environ.items() if not name.startswith("SUBAK_")},
            "SUBAK_KAFKA_BOOTSTRAP_SERVERS": kafka.bootstrap_servers,
            "SUBAK_KAFKA_PARTITIONS": str(bus.settings.partitions),
            "SUBAK_CITY": "san-francisco",
            "SUBAK_HOME": str(folder),
        }

    async def start(self, *words: str) -> asyncio.subprocess.Process:
        """A command of Subak."""
        return await asyncio.create_subprocess_exec(
            *SUBAK, *words, cwd=self.folder, env=self.environment,
            stdout=asyncio.subprocess.PIPE, stderr=asyncio.subprocess.DEVNULL,
        )  # fmt: skip

    async def start_adapter(self) -> asyncio.subprocess.Process:
        """Its adapter."""
        return await self.start("run", "adapter", "adapter.toml")

    async def start_import(self, rate: float = RATE) -> asyncio.subprocess.Process:
        """The import, from wherever it is."""
        return await self.start(
            "adapter", "import", "2019.csv", "--adapter", "adapter.toml", f"--rate={rate}", "--json"
        )

    def stored(self) -> int:
        """Events in the outbox."""
        with contextlib.closing(sqlite3.connect(self.database)) as database:
            try:
                return int(database.execute("SELECT count(*) FROM subak_outbox").fetchone()[0])
            except sqlite3.OperationalError:
                return 0

    async def until_stored(self, count: int) -> None:
        """Wait until so many events are in the outbox."""
        async with asyncio.timeout(120):
            while self.stored() < count:
                await asyncio.sleep(0.02)


async def kill(process: asyncio.subprocess.Process) -> None:
    with contextlib.suppress(ProcessLookupError):
        process.send_signal(signal.SIGKILL)
    await process.wait()


async def test_an_import_that_is_killed_goes_on_and_nobody_is_told(tmp_path: Path, kafka: LocalKafka) -> None:
    bus = SmallBus(settings_for(kafka.bootstrap_servers))
    await bus.prepare()
    desk = Desk(tmp_path, bus, kafka)
    processes = [await desk.start_adapter()]
    try:
        async with bus.running():
            for share in (0.2, 0.4, 0.6):
                importing = await desk.start_import()
                processes.append(importing)
                await desk.until_stored(int(ROWS * share))
                await kill(importing)
                if share == 0.4:  # and the adapter, in the midst of it
                    await kill(processes[0])
                    processes[0] = await desk.start_adapter()
            before, began = desk.stored(), time.monotonic()
            importing = await desk.start_import()
            said, _ = await importing.communicate()
            took = time.monotonic() - began
            told = json.loads(said)
            assert (told["taken"] + told["known"], told["refused"], importing.returncode) == (ROWS, 0, 0)
            assert (ROWS - before) / took <= RATE * 1.5, "no faster than stated, but for the batch that was begun"
            log = await bus.until(EVENTS, lambda found: len(found) >= ROWS, 90)
            events = [Event.from_record(record.headers, record.value) for record in log]
            assert len(events) == len({event.id for event in events}) == ROWS
            assert {event.history for event in events} == {"2019"}
            again = await desk.start_import(rate=5000)
            assert json.loads((await again.communicate())[0]) == told, "the file is done: nothing new is said"
            for agency in bus.city.agencies:
                assert await bus.read(in_topic(agency)) == [], f"{agency} was told"
    finally:
        for process in processes:
            await kill(process)
    cases = project(log, Known({}, {}, {})).cases
    assert {(case.state, case.outcome, case.opened_at[:10]) for case in cases.values()} == {
        ("closed", "history", "2019-03-01")
    }


@pytest.mark.soak
@pytest.mark.timeout(0)
async def test_a_hundred_thousand_old_records(tmp_path: Path, kafka: LocalKafka) -> None:
    rows = 100_000
    bus = SmallBus(settings_for(kafka.bootstrap_servers))
    await bus.prepare()
    desk = Desk(tmp_path, bus, kafka, rows)
    adapter, importing = await desk.start_adapter(), await desk.start_import(rate=5000)
    began = time.monotonic()
    try:
        async with bus.running():
            await asyncio.sleep(10)
            await kill(importing)
            importing = await desk.start_import(rate=5000)
            told = json.loads((await importing.communicate())[0])
            seconds = time.monotonic() - began
            log = await bus.until(EVENTS, lambda found: len(found) >= rows, 600)
            ended = time.monotonic() - began
            for agency in bus.city.agencies:
                assert await bus.read(in_topic(agency)) == []
    finally:
        await kill(importing)
        await kill(adapter)
    print(f"{rows} records: in the outbox after {seconds:.0f} s, in the log after {ended:.0f} s")
    assert (told["refused"], len(log)) == (0, rows)
