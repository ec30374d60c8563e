"""A record becomes the same shared events whenever it is read, or is refused with every reason, by its columns."""

from __future__ import annotations

import math
from datetime import UTC, date, datetime
from decimal import Decimal
from pathlib import Path
from typing import Any

import pytest

from adapters.mapping import Mapping
from schemas.failures import Refused
from schemas.identifiers import derived_id
from tests.adapters.mapping.controls import COMPLAINTS, RECORD, SOURCE, mapping, refused


@pytest.fixture(scope="module")
def complaints(tmp_path_factory: pytest.TempPathFactory) -> Mapping:
    return mapping(tmp_path_factory.mktemp("complaints"))


def test_a_complaint_becomes_a_request_in_the_shared_words(complaints: Mapping) -> None:
    (event,) = complaints.to_shared(RECORD, source=SOURCE)
    assert event == {
        "type": "subak.request.submitted.v1",
        "id": derived_id(SOURCE, 'subak.request.submitted.v1 ["17"]'),
        "subject": derived_id(SOURCE, 'case ["17"]'),
        "time": "2026-11-24T08:00:00+08:00",
        "data": {
            "service_code": "clean-water",
            "area": "51.71.01.1005",
            "description": "Pipa bocor di depan pasar.",
            "location": {"type": "Point", "coordinates": [115.2373, -8.6733]},
            "service_request_id": "17",
            "attributes": [{"code": "DEPTH_CM", "value": "12"}],
        },
    }


def test_the_key_alone_decides_the_ids_however_it_is_written(complaints: Mapping) -> None:
    ids = set()
    for number in (17, "17", " 17 ", 17.0, Decimal("17.00"), b"17"):
        (event,) = complaints.to_shared({**RECORD, "nomor": number, "keluhan": str(number)}, source=SOURCE)
        ids.add((event["id"], event["subject"]))
    assert len(ids) == 1
    (other,) = complaints.to_shared({**RECORD, "nomor": 18}, source=SOURCE)
    assert (other["id"], other["subject"]) not in ids


def test_what_the_agency_says_later_of_its_own_record_is_about_the_same_case(complaints: Mapping) -> None:
    (opened,) = complaints.to_shared(RECORD, source=SOURCE)
    (done,) = complaints.to_shared({**RECORD, "status": "SELESAI"}, source=SOURCE)
    assert done["subject"] == opened["subject"]
    assert done["id"] != opened["id"]
    assert done["data"] == {
        "cost": {"amount": "1250000.5", "currency": "IDR"},
        "status_notes": "Selesai: Pipa bocor di depan pasar.",
    }


def test_a_case_that_came_from_the_bus_is_named_by_its_column(complaints: Mapping) -> None:
    case = derived_id("somebody else's", "case")
    (done,) = complaints.to_shared({**RECORD, "status": "SELESAI", "kasus": case.upper()}, source=SOURCE)
    assert done["subject"] == case
    assert refused(complaints, {**RECORD, "status": "SELESAI", "kasus": "17"}) == [("not_a_case", "kasus")]


def test_the_case_of_another_source_is_found_by_that_sources_name(tmp_path: Path) -> None:
    notes = mapping(
        tmp_path,
        """
        key = "id"
        [[event]]
        type = "subak.request.commented.v1"
        case = { reference = "nomor", of = "complaints" }
        data = { text = "isi" }
        """,
    )
    (note,) = notes.to_shared({"id": 1, "nomor": 17, "isi": "x"}, source="urn:subak:denpasar:water-utility/notes")
    assert note["subject"] == derived_id(SOURCE, 'case ["17"]')


def test_what_the_mapping_skips_is_no_event_and_what_fits_nothing_is_refused(
    complaints: Mapping, tmp_path: Path
) -> None:
    assert complaints.to_shared({**RECORD, "status": "DRAF"}, source=SOURCE) == []
    assert refused(complaints, {**RECORD, "status": "??"}) == [("no_rule", "status")]
    lenient = mapping(tmp_path, 'otherwise = "skip"\n' + COMPLAINTS)
    assert lenient.to_shared({**RECORD, "status": "??"}, source=SOURCE) == []


def test_one_record_may_become_several_events_each_known_by_its_name(tmp_path: Path) -> None:
    both = mapping(
        tmp_path,
        """
        key = ["seri", "nomor"]
        match = "all"
        [[event]]
        type = "subak.workorder.started.v1"
        case.column = "kasus"
        [[event]]
        type = "subak.request.commented.v1"
        name = "remark"
        case.column = "kasus"
        when = 'catatan != null'
        data.text = "catatan"
        """,
    )
    record = {"seri": "A", "nomor": 1, "kasus": derived_id("a", "b"), "catatan": "Mulai."}
    started, remark = both.to_shared(record, source=SOURCE)
    assert started["id"] == derived_id(SOURCE, 'subak.workorder.started.v1 ["A","1"]')
    assert remark["id"] == derived_id(SOURCE, 'remark ["A","1"]')
    assert len(both.to_shared({**record, "catatan": None}, source=SOURCE)) == 1


def test_everything_that_is_wrong_is_told_at_once_with_the_agencys_columns(complaints: Mapping) -> None:
    record = {**RECORD, "jenis": "BOCR", "desa": " ", "bujur": "x", "dibuat": "kemarin", "dalam": [1]}
    assert refused(complaints, record) == [
        ("unmapped_code", "jenis"),
        ("missing", "desa"),
        ("not_a_number", "bujur"),
        ("not_a_text", "dalam"),
        ("not_a_moment", "dibuat"),
    ]


def test_an_unmapped_code_is_told_with_the_nearest_known_ones(complaints: Mapping, tmp_path: Path) -> None:
    with pytest.raises(Refused) as caught:
        complaints.to_shared({**RECORD, "jenis": "salurn"}, source=SOURCE)
    (reason,) = caught.value.reasons
    assert (reason.code, reason.field) == ("unmapped_code", "jenis")
    assert "'salurn'" in reason.problem
    assert reason.fix.startswith("The nearest: SALURAN.")
    stated = mapping(tmp_path, COMPLAINTS.replace('codes = "jenis" }', 'codes = "jenis", unmapped = "general" }', 1))
    (event,) = stated.to_shared({**RECORD, "jenis": "salurn"}, source=SOURCE)
    assert event["data"]["service_code"] == "general"


def test_a_default_counts_only_where_the_column_is_empty(tmp_path: Path) -> None:
    stated = mapping(tmp_path, COMPLAINTS.replace('codes = "desa" }', 'codes = "desa", default = "51.71" }', 1))
    (event,) = stated.to_shared({**RECORD, "desa": None}, source=SOURCE)
    assert event["data"]["area"] == "51.71"
    assert refused(stated, {**RECORD, "desa": "RENUN"}) == [("unmapped_code", "desa")]


def test_a_renamed_column_is_an_error_and_no_empty_value(complaints: Mapping, tmp_path: Path) -> None:
    renamed = {("kluhan" if name == "keluhan" else name): value for name, value in RECORD.items()}
    with pytest.raises(Refused, match=r'no column .keluhan.*Did you mean "kluhan"'):
        complaints.to_shared(renamed, source=SOURCE)
    tolerant = mapping(tmp_path, 'missing_columns = "empty"\n' + COMPLAINTS)
    (event,) = tolerant.to_shared(renamed, source=SOURCE)
    assert "description" not in event["data"]


def test_nested_records_are_reached_by_path(tmp_path: Path) -> None:
    nested = mapping(
        tmp_path,
        """
        key = "report.id"
        missing_columns = "empty"
        [[event]]
        type = "subak.request.submitted.v1"
        when = 'report.kind == "new" && "urgent" in report.tags'
        data.service_code = { value = "drain" }
        data.area = "report.places.1.code"
        data.media_url = "report.photos.0.url"
        data.description = { cel = 'record["report"]["text"]' }
        """,
    )
    record = {
        "report": {
            "id": 5,
            "kind": "new",
            "tags": ["urgent"],
            "text": "x",
            "places": [{"code": "51"}, {"code": "51.71.01.1005"}],
            "photos": [],
        }
    }
    (event,) = nested.to_shared(record, source=SOURCE)
    assert event["data"] == {"service_code": "drain", "area": "51.71.01.1005", "description": "x"}


def test_a_place_in_the_agencys_projection_becomes_degrees_longitude_first(tmp_path: Path) -> None:
    text = COMPLAINTS.replace(
        'longitude = "bujur", latitude = "lintang"', 'x = "timur", y = "utara", projection = "EPSG:32750"'
    )
    metres = mapping(tmp_path, text)
    (event,) = metres.to_shared({**RECORD, "timur": "306.054,515", "utara": 9040804.0}, source=SOURCE)
    longitude, latitude = event["data"]["location"]["coordinates"]
    assert longitude == pytest.approx(115.2373, abs=1e-4)
    assert latitude == pytest.approx(-8.6733, abs=1e-2)
    assert refused(metres, {**RECORD, "timur": "1e9", "utara": "1"}) == [("not_a_number", "timur")]
    assert refused(metres, {**RECORD, "timur": 10**30, "utara": 1}) == [("not_a_place", "timur, utara")]
    assert refused(metres, {**RECORD, "timur": 306054, "utara": None}) == [("missing", "utara")]
    (event,) = metres.to_shared({**RECORD, "timur": None, "utara": None}, source=SOURCE)
    assert "location" not in event["data"]


@pytest.mark.parametrize(
    ("value", "code"),
    [
        ("a\0b", "pattern"),
        ("x" * 10_000, "too_long"),
        (math.nan, "not_finite"),
        (math.inf, "not_finite"),
        (Decimal("NaN"), "not_finite"),
        (Decimal("1e999999"), "not_a_number"),
        (10**5000, "not_a_number"),
        (b"\xff", "not_utf8"),
        ("\ud800", "not_utf8"),
        ({"a": 1}, "not_a_text"),
    ],
    ids=["nul", "10-kB", "nan", "infinite", "decimal-nan", "1e999999", "5000-digits", "bytes", "surrogate", "object"],
)
@pytest.mark.parametrize("column", ["keluhan", "jenis", "nomor", "pelapor"])
def test_hostile_values_are_refused_shortly_in_every_column(
    complaints: Mapping, column: str, value: Any, code: str
) -> None:
    with pytest.raises(Refused) as caught:
        complaints.to_shared({**RECORD, column: value}, source=SOURCE)
    assert {reason.field for reason in caught.value.reasons} == {column}
    if column == "pelapor" or (column == "keluhan" and code != "too_long"):
        assert [reason.code for reason in caught.value.reasons] == [code]
    assert len(str(caught.value)) < 1000


def test_a_text_is_cut_only_where_the_mapping_says_so(tmp_path: Path) -> None:
    cut = mapping(
        tmp_path, COMPLAINTS.replace('description = "keluhan"', 'description = { column = "keluhan", cut = true }')
    )
    (event,) = cut.to_shared({**RECORD, "keluhan": "x" * 9000}, source=SOURCE)
    assert event["data"]["description"] == "x" * 4000


def test_times_of_every_kind_that_a_driver_gives_are_read(complaints: Mapping) -> None:
    moments = set()
    for value in (
        "24/11/2026 08.00",
        "2026-11-24 08:00:00",
        "2026-11-24T00:00Z",
        "2026-11-24 00:00:00 +0000",
        datetime(2026, 11, 24, 8),  # noqa: DTZ001 - as drivers give it
        datetime(2026, 11, 24, tzinfo=UTC),
    ):
        (event,) = complaints.to_shared({**RECORD, "dibuat": value}, source=SOURCE)
        moments.add(datetime.fromisoformat(event["time"]))
    assert moments == {datetime(2026, 11, 24, tzinfo=UTC)}
    for wrong in ("2026-11-24", date(2026, 11, 24), 1795507200, "1795507200", "0001-01-01 00:00", "31/02/2026 08.00"):
        assert refused(complaints, {**RECORD, "dibuat": wrong}) == [("not_a_moment", "dibuat")]
