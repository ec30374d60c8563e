"""What concerns the agency becomes its rows, in its own words; what does not fit them is refused by its column."""

from __future__ import annotations

from datetime import date, datetime
from decimal import Decimal
from pathlib import Path
from typing import Any

import msgspec
import pytest

from adapters.mapping import AgencyRow, Mapping
from schemas.envelope import Event
from schemas.failures import Refused
from tests.adapters.mapping.controls import COMPLAINTS, mapping
from tests.support.events import case_id

ORDER: dict[str, Any] = {
    "agency": "water-utility",
    "service_code": "clean-water",
    "area": "51.71.01.1005",
    "description": "Pipa bocor di depan pasar Renon.",
    "location": {"type": "Point", "coordinates": [115.2373, -8.6733]},
    "due": "2026-11-24T00:00:00Z",
    "amount": {"amount": "1250.5", "currency": "IDR"},
    "attempt": 1,
}


def event(type: str = "subak.workorder.issued.v1", **changes: Any) -> Event:
    data = {name: value for name, value in {**ORDER, **changes}.items() if value is not None}
    return Event(
        id="order-1",
        type=type,
        source="urn:subak:denpasar:workflows",
        subject=case_id(1),
        time="2026-11-20T08:00:00+08:00",
        data=msgspec.json.encode(data),
    )


@pytest.fixture(scope="module")
def orders(tmp_path_factory: pytest.TempPathFactory) -> Mapping:
    return mapping(tmp_path_factory.mktemp("orders"))


def test_a_work_order_becomes_a_row_in_the_agencys_words(orders: Mapping) -> None:
    assert orders.to_agency(event()) == [
        AgencyRow(
            table="pekerjaan",
            key={"kasus": case_id(1)},
            values={
                "jenis": "AIR",  # the first of its codes for this service
                "desa": "RENON",
                "uraian": "Pipa bocor di depan ",
                "bujur": 115.2373,
                "lintang": -8.6733,
                "timur": pytest.approx(306_054.5, abs=0.1),
                "batas": "24/11/2026 08.00",
                "batas_waktu": datetime(2026, 11, 24, 8),  # noqa: DTZ001 - by the agency's clock
                "anggaran": Decimal("1250.5"),
                "asal": "urn:subak:denpasar:workflows water-utility",
                "status": "BARU",
            },
        )
    ]


def test_what_an_event_does_not_say_leaves_the_column_as_it_is(orders: Mapping) -> None:
    (row,) = orders.to_agency(event(description=None, location=None, due=None, amount=None))
    assert set(row.values) == {"jenis", "desa", "uraian", "asal", "status"}
    assert row.values["uraian"] == "-"


def test_a_value_that_the_agency_has_no_word_for_is_refused_or_the_stated_one(orders: Mapping) -> None:
    with pytest.raises(Refused) as caught:
        orders.to_agency(event(service_code="noise"))
    (reason,) = caught.value.reasons
    assert (reason.code, reason.field) == ("unmapped_code", "jenis")
    (row,) = orders.to_agency(event(area="51.71.02.1001"))
    assert row.values["desa"] == "LAIN"


def test_types_that_do_not_concern_the_agency_become_nothing(orders: Mapping) -> None:
    assert orders.to_agency(event("subak.request.commented.v1")) == []
    assert orders.to_agency(event("subak.nonsense.happened.v9")) == []


def test_a_condition_decides_on_the_data_and_the_envelope(tmp_path: Path) -> None:
    picky = mapping(
        tmp_path,
        """
        [[row]]
        type = "subak.workorder.*"
        when = 'data.attempt == 1 && event.type.endsWith("issued.v1") && event.id == "order-1"'
        table = "a"
        key.no = { attribute = "id" }
        values = { tanggal = { field = "due", form = "date" }, ke = { field = "attempt", form = "integer" } }
        [[row]]
        type = "subak.workorder.issued.v1"
        table = "b"
        key.no = "attempt"
        """,
    )
    assert picky.to_agency(event()) == [
        AgencyRow("a", {"no": "order-1"}, {"tanggal": date(2026, 11, 24), "ke": 1}),
        AgencyRow("b", {"no": "1"}, {}),
    ]
    assert [row.table for row in picky.to_agency(event(attempt=2))] == ["b"]


@pytest.mark.parametrize(
    ("changes", "code", "column"),
    [
        ({"due": "tomorrow"}, "not_a_moment", "batas"),
        ({"due": 7}, "not_a_moment", "batas"),
        ({"location": "here"}, "not_a_place", "bujur"),
        ({"location": {"coordinates": [1]}}, "not_a_place", "bujur"),
        ({"location": {"coordinates": [float(10**30), 91.0]}}, "not_a_place", "timur"),
        ({"amount": {"amount": "many"}}, "not_a_number", "anggaran"),
        ({"service_code": ["a"]}, "not_a_text", "jenis"),
        ({"agency": 5}, "expression_failed", "asal"),
    ],
)
def test_data_that_does_not_fit_a_column_is_refused_by_the_column(
    orders: Mapping, changes: dict[str, Any], code: str, column: str
) -> None:
    with pytest.raises(Refused) as caught:
        orders.to_agency(event(**changes))
    assert (code, column) in [(reason.code, reason.field) for reason in caught.value.reasons]


@pytest.mark.parametrize("form", ["integer", "number"])
@pytest.mark.parametrize(
    "sent",
    ["9e999999999", "1E-999999999", "-9e999999999", "0e999999999", "NaN", "sNaN", "-Infinity", "9" * 60, "1.5.1"],
)
def test_a_number_that_its_sender_made_endless_is_refused_at_once(tmp_path: Path, form: str, sent: str) -> None:
    """`sequence` is text, which any agency may choose."""
    numbered = mapping(
        tmp_path,
        f"""
        [[row]]
        type = "subak.workorder.*"
        table = "a"
        key.no = {{ attribute = "id" }}
        values = {{ langkah = {{ attribute = "sequence", form = "{form}" }} }}
        """,
    )
    with pytest.raises(Refused) as caught:
        numbered.to_agency(msgspec.structs.replace(event(), sequence=sent))
    assert [(reason.code, reason.field) for reason in caught.value.reasons] == [("not_a_number", "langkah")]


def test_a_whole_number_is_not_made_of_one_that_is_none(orders: Mapping, tmp_path: Path) -> None:
    whole = mapping(
        tmp_path,
        """
        [[row]]
        type = "subak.workorder.*"
        table = "a"
        key.no = { attribute = "id" }
        values = { anggaran = { field = "amount", form = "integer" } }
        """,
    )
    (row,) = whole.to_agency(event(amount={"amount": "1250.00", "currency": "IDR"}))
    assert row.values == {"anggaran": 1250}
    with pytest.raises(Refused, match="anggaran: the number is not whole"):
        whole.to_agency(event(amount={"amount": "1250.50", "currency": "IDR"}))


def test_an_empty_key_is_refused(tmp_path: Path) -> None:
    keyed = mapping(tmp_path, COMPLAINTS.replace('{ attribute = "subject" }', '"description"'))
    with pytest.raises(Refused, match="kasus: the row's key is empty"):
        keyed.to_agency(event(description=None))


@pytest.mark.parametrize("data", [b"", b"null", b"[]", b"{", b"\xff"])
def test_data_that_is_no_object_is_refused(orders: Mapping, data: bytes) -> None:
    with pytest.raises(Refused, match="no JSON object"):
        orders.to_agency(msgspec.structs.replace(event(), data=data))
