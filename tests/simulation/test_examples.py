"""The worked examples say what their agencies' staff means: a step becomes the event that was foretold, on real parts.

The staff writes by `system.toml`, the adapter reads by `mapping.toml`; neither knows of the other.
"""

from __future__ import annotations

import json
import sqlite3
from contextlib import closing
from datetime import UTC, datetime
from functools import partial
from importlib.util import module_from_spec, spec_from_file_location
from pathlib import Path
from typing import Any

import pytest

from adapters.agency_database import AgencyDatabase, agency_url
from adapters.config import AdapterConfig
from adapters.mapping import Mapping
from adapters.sources.files.config import FilesConfig
from adapters.sources.files.csv_rows import csv_rows
from adapters.sources.files.table import Row
from adapters.sources.files.xlsx_rows import xlsx_rows
from adapters.sources.sql.changes import changes_table, read_changes
from bus.city import city_path
from deploy.simulation.behaviour import (
    ACCEPTED,
    ACKNOWLEDGED,
    COMPLETED,
    DECLINED,
    FORWARDED,
    STARTED,
    SUSPENDED,
    Post,
)
from deploy.simulation.examples import Example, examples
from deploy.simulation.own_system import OwnSystem
from deploy.simulation.records import REJECTED, AgencyRecords, Sent
from deploy.simulation.staff import Staff
from deploy.simulation.vocabulary import Vocabulary
from schemas.envelope import Event
from schemas.registry import registry
from tests.simulation.in_memory import denpasar
from tests.support.postgresql import PostgreSQL

CITY, _ = denpasar()
FOLDER = city_path("denpasar")
EXAMPLES = examples(FOLDER, CITY)
CASE = "01900000-0000-7000-8000-000000000001"
MONEY = {"amount": "1250000", "currency": "IDR"}


def said(agency: str) -> list[Post]:
    """Everything that the agency's staff writes into its own system."""
    posts = [
        Post(ACKNOWLEDGED, {"status_notes": 'Laporan diterima; "segera", kata petugas.', "estimate": MONEY}),
        Post(ACKNOWLEDGED, {"status_notes": "=1+1"}),
        Post(ACCEPTED, {"status_notes": "Dijadwalkan."}),
        Post(STARTED, {"status_notes": "Pekerjaan dimulai."}),
        Post(SUSPENDED, {"reason": "Hujan lebat.", "responsible": agency}),
        Post(STARTED, {"status_notes": "Pekerjaan dimulai."}),
        Post(COMPLETED, {"cost": MONEY, "status_notes": "Selesai; lokasi dibersihkan."}),
        Post(DECLINED, {"reason": "Regu penuh."}),
    ]
    further = [
        Post("subak.permit.opiniongiven.v1", {"opinion": "favourable", "reason": "Sesuai ketentuan."}),
        Post("subak.proposal.ranked.v1", {"rank": 7}),
        Post("subak.proposal.forwarded.v1", {"agency": "bali-province"}),
        Post("subak.proposal.rejected.v1", {"reason": "Bukan kewenangan kota."}),
    ]
    vocabulary = Vocabulary(
        OwnSystem(example=str(EXAMPLES[agency].folder), source="", source_name="", target=None), CITY, agency
    )
    return posts + [post for post in further if vocabulary.speaks(post.type)]


class Office:
    """One agency's example, laid out in a folder, with its staff."""

    def __init__(self, example: Example, home: Path, database: str | None = None) -> None:
        self.kinds, self.own = example.laid_out(home / "system", database)
        self.vocabulary = Vocabulary(self.own, CITY, example.agency)
        self.records = AgencyRecords(home / "records.sqlite3", example.agency, ids=self.vocabulary.event_id)
        self.staff = Staff(self.own, self.vocabulary, self.records, CITY)
        self.mapping = Mapping.load(example.folder / "mapping.toml", CITY)
        self.source = f"{CITY.source_of(example.agency)}/{self.own.source_name}"
        self.example = example

    async def write(self, *posts: Post) -> list[Sent]:
        """Let the staff write these, one after the other."""
        for number, post in enumerate(posts, 1):
            id = self.vocabulary.event_id(post.type, CASE, number)
            assert id is not None
            self.records.plan([(id, CASE, None, post, 1_800_000_000.5 + number)])
        sent = self.records.waiting()
        for one in sent:
            await self.staff.write(one)
        return sent

    async def found(self) -> list[dict[str, Any]]:
        """What the adapter's source makes of all that stands there, in the short form."""
        return [
            event for record in await self._records() for event in self.mapping.to_shared(record, source=self.source)
        ]

    async def _handed_over(self) -> list[dict[str, Any]]:
        """What the agency's own function gives."""
        (path,) = self.kinds.modules.values()
        with pytest.MonkeyPatch.context() as patch:
            for name, value in self.kinds.environment.items():
                patch.setenv(name, value)
            function = getattr(_module(path), self.example.source["handler"].partition(":")[2])
            first = [record for record, _ in function(None)]
            assert list(function(first[-1]["nomor"])) == [], "it goes on behind its cursor"
        return first

    async def _records(self) -> list[dict[str, Any]]:
        if self.own.source == "python":
            return await self._handed_over()
        if self.own.url is not None:
            database = AgencyDatabase(agency_url(self.own.url, Path()))
            table = changes_table(database.kind, "subak_changes")
            changes = await database.run(partial(read_changes, table=table, rows_max=1000))
            database.close()
            return [change.record() for change in changes]
        assert self.own.outgoing is not None
        keys = {key: tuple(value) if isinstance(value, list) else value for key, value in self.kinds.sources[0].items()}
        config = FilesConfig.model_validate({key: value for key, value in keys.items() if key not in ("kind", "name")})
        found: list[dict[str, Any]] = []
        for path in sorted(Path(self.own.outgoing).glob("*.*")):
            with open(path, "rb") as file:
                rows = xlsx_rows(path, config) if path.suffix == ".xlsx" else csv_rows(file, config)
                for row in rows:
                    if isinstance(row, Row):
                        assert not row.reasons, row.reasons
                        found.append(row.record)
        return found


def _module(path: Path) -> Any:
    spec = spec_from_file_location(f"example_{path.parent.name}", path)
    assert spec is not None
    assert spec.loader is not None
    module = module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def _told(event: dict[str, Any]) -> tuple[str, str, str, Any]:
    return event["id"], event["type"], event["subject"], event["data"]


async def _becomes_what_was_foretold(office: Office) -> None:
    posts = said(office.example.agency)
    sent = await office.write(*posts)
    found = await office.found()
    assert [_told(event) for event in found] == [(one.event_id, one.type, CASE, json.loads(one.data)) for one in sent]
    assert datetime.fromisoformat(found[0]["time"]) == datetime(2027, 1, 15, 8, 0, 1, tzinfo=UTC)
    assert set(office.records.states()) == {"accepted"}
    for event in found:
        registry.get(event["type"]).read_strictly(json.dumps(event["data"]).encode())
    await office.staff.close()


@pytest.mark.parametrize("agency", sorted(EXAMPLES))
async def test_what_the_staff_writes_becomes_the_event_that_was_foretold(agency: str, tmp_path: Path) -> None:
    await _becomes_what_was_foretold(Office(EXAMPLES[agency], tmp_path))


@pytest.mark.parametrize("agency", [id for id, one in sorted(EXAMPLES.items()) if "url" in one.source])
async def test_the_same_holds_where_the_agencys_tables_are_on_postgresql(
    agency: str, tmp_path: Path, postgresql: PostgreSQL
) -> None:
    await _becomes_what_was_foretold(Office(EXAMPLES[agency], tmp_path, postgresql.new_database()))


@pytest.mark.parametrize("agency", sorted(EXAMPLES))
async def test_a_step_that_is_written_again_after_a_kill_is_no_second_event(agency: str, tmp_path: Path) -> None:
    office = Office(EXAMPLES[agency], tmp_path)
    sent = await office.write(*said(agency)[:3])
    for one in sent[1:]:  # as if the simulator had died before it noted that they stand there
        await office.staff._desk.put(office.vocabulary.row(one, office.records.step_of(one)))
    assert {event["id"] for event in await office.found()} == {one.event_id for one in sent}
    await office.staff.close()


FORWARDED_EVENT = Event(
    id="e-1",
    type=FORWARDED,
    source="urn:subak:denpasar:workflows",
    subject=CASE,
    time="2026-11-24T08:00:00+08:00",
    data=json.dumps(
        {"agency": "public-works", "service_code": "drain", "area": "51.71.01.1005", "description": "=cmd"}
    ).encode(),
    causationid="c-1",
    recipient="public-works",
    jurisdiction="51.71.01.1005",
    parties="public-works,communications",
    sequence="3",
)


def test_a_post_that_an_earlier_run_decided_to_send_by_http_goes_on_by_http(tmp_path: Path) -> None:
    office = Office(EXAMPLES["planning"], tmp_path)
    foretold = office.vocabulary.event_id(ACCEPTED, CASE, 1)
    assert foretold is not None
    office.records.plan([(foretold, CASE, None, Post(ACCEPTED, {}), 0), ("by-http", CASE, None, Post(STARTED, {}), 0)])
    assert [office.staff.means(post) for post in office.records.waiting()] == [True, False]


@pytest.mark.parametrize("agency", [id for id, one in sorted(EXAMPLES.items()) if one.target is not None])
def test_a_letter_tells_the_staff_what_the_event_said(agency: str) -> None:
    example = EXAMPLES[agency]
    own = OwnSystem(example=str(example.folder), source="sql", source_name="x", target="sql")
    vocabulary = Vocabulary(own, CITY, agency)
    mapping = Mapping.load(example.folder / "mapping.toml", CITY)
    row = next(row for row in mapping.to_agency(FORWARDED_EVENT) if row.table == vocabulary.register)
    heard = vocabulary.heard({**row.key, **row.values})
    assert (heard.id, heard.type, heard.source, heard.case) == ("e-1", FORWARDED, FORWARDED_EVENT.source, CASE)
    assert (heard.recipient, heard.causation, heard.parties) == ("public-works", "c-1", "public-works,communications")
    assert heard.data["service_code"] == "drain"
    rejection = {
        "reasons": [{"code": "case_closed", "field": "subject", "problem": "the case is closed", "fix": "-"}],
        "agency": agency, "event_id": "e-9", "topic": "t", "partition": 0, "offset": 1,
    }  # fmt: skip
    rejected = Event(
        id="e-2",
        type=REJECTED,
        source="s",
        subject=CASE,
        time="2026-11-24T08:00:00+08:00",
        data=json.dumps(rejection).encode(),
    )
    row = next(row for row in mapping.to_agency(rejected) if row.table == vocabulary.register)
    heard = vocabulary.heard({**row.key, **row.values})
    assert heard.data["event_id"] == "e-9"
    assert "the case is closed" in heard.data["reasons"][0]["problem"]


@pytest.mark.parametrize("agency", [id for id, one in sorted(EXAMPLES.items()) if "handler" in one.source])
def test_a_function_that_is_told_a_letter_twice_puts_it_into_the_box_once(agency: str, tmp_path: Path) -> None:
    example = EXAMPLES[agency]
    kinds, own = example.laid_out(tmp_path)
    rows = Mapping.load(example.folder / "mapping.toml", CITY).to_agency(FORWARDED_EVENT)
    assert example.target is not None
    (path,) = kinds.modules.values()
    with pytest.MonkeyPatch.context() as patch:
        for name, value in kinds.environment.items():
            patch.setenv(name, value)
        for _ in range(2):
            getattr(_module(path), example.target["handler"].partition(":")[2])({}, rows)
    assert own.url is not None
    with closing(sqlite3.connect(own.url.removeprefix("sqlite:///"))) as database:
        assert database.execute(f"SELECT id_surat FROM {rows[0].table}").fetchall() == [("e-1",)]


@pytest.mark.parametrize("agency", sorted(EXAMPLES))
def test_an_example_is_an_adapter_that_its_agency_could_run(agency: str) -> None:
    environment = {
        f"{agency.upper().replace('-', '_')}_{name}": "a secret of more than 24 bytes, for a test"
        for name in ("TOKEN", "WEBHOOK_SECRET")
    }
    config = AdapterConfig.load(EXAMPLES[agency].folder / "adapter.toml", environment)
    assert [one.id for one in config.agencies] == [agency]
