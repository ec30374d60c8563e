"""All that is wrong with a mapping.toml is told at once: the key, the problem, the fix with the nearest known."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from adapters.mapping import Mapping
from schemas.failures import Misconfigured
from services.cli.adapter_reference import mapping_page
from tests.adapters.mapping.controls import COMPLAINTS, mapping
from tests.support.adapter import denpasar

MISTAKES = [
    ('key = "nomor"', "", "key: it is missing"),
    ('key = "nomor"', 'keys = "nomor"', 'keys: there is no such key. Did you mean "key"?'),
    ('time = ["%d/%m/%Y %H.%M", "iso"]', 'time = "dd/mm/yyyy"', "formats.time: 'dd/mm/yyyy' is no form of a time"),
    ('decimal = ","', 'decimal = ";"', "formats.decimal: "),
    ('currency = "IDR"', "", 'event[2].data.cost: the currency is not stated. State currency = "IDR"'),
    ('currency = "IDR"', 'currency = "Rp"', "event[2].data.cost: 'Rp' is no code of ISO 4217"),
    ('currency = "IDR"', 'zone = "Asia/Bali"', "formats.zone: there is no time zone 'Asia/Bali'"),
    ('currency = "IDR"', 'projection = "UTM50S"', "formats.projection: there is no projection 'UTM50S'"),
    ('SALURAN = "drain"', 'SALURAN = "drains"', "the city has no service 'drains'. Did you mean \"drain\"?"),
    ('SESETAN = "51.71.01.1003"', 'SESETAN = "51.71.1003"', "the city has no area '51.71.1003'"),
    ("subak.request.submitted.v1", "subak.request.submited.v1", 'Did you mean "subak.request.submitted.v1"?'),
    ("subak.request.submitted.v1", "subak.request.closed.v1", "subak.request.closed.v1 is the bus's own"),
    ("when = 'status == \"BARU\"'", "when = 'status = \"BARU\"'", "is not CEL"),
    ("when = 'status == \"BARU\"'", 'whne = "true"', 'event[1].whne: there is no such key. Did you mean "when"?'),
    ('codes = "jenis" }\n  area', 'codes = "jenus" }\n  area', '[codes.jenus]. Did you mean "jenis"?'),
    ('description = "keluhan"', 'descripton = "keluhan"', 'has no such field. Did you mean "description"?'),
    ('description = "keluhan"', "description = 3", "For a constant write { value = 3 }."),
    ('description = "keluhan"', "description = { value = 3 }", "3 does not fit the field: it is a text"),
    ('description = "keluhan"', 'description = { column = "a", cel = "b" }', "it says column and cel"),
    ('description = "keluhan"', "description = {}", "it does not say where it comes from"),
    ('description = "keluhan"', 'description = { column = "a", colum = "b" }', 'colum: there is no such key. Did'),
    ('description = "keluhan"', 'description = { column = "a", decimal = "," }', "the field is no number"),
    ('description = "keluhan"', 'description = { column = "a", unmapped = "b" }', "it stands without codes"),
    (', latitude = "lintang" }', " }", "it says only one of longitude and latitude"),
    ('location = { longitude = "bujur", latitude = "lintang" }', 'location = "titik"', "comes from two columns"),
    ('reporter.name = "pelapor"', 'reporter = "pelapor"', 'Name what is in it, such as reporter.name = "column"'),
    ('reporter.name = "pelapor"', 'reporter.nama = "pelapor"', 'has no such field. Did you mean "name"?'),
    ('  area = { column = "desa", codes = "desa" }\n', "", "data.area: subak.request.submitted.v1 requires it"),
    ('case = { column = "kasus", reference = "nomor" }', "", "opens no case, and the rule does not say which case"),
    ('case = { column = "kasus", reference = "nomor" }', "case = {}", "it says neither a column nor a reference"),
    ('case = { column = "kasus", reference = "nomor" }', 'case = { column = "k", of = "x" }', "without a reference"),
    ("skip = true", 'skip = true\ntype = "subak.request.submitted.v1"', "it has a type and skip"),
    ('"subak.request.forwarded.v1", ', '"subak.requests.*", ', "no event type is 'subak.requests.*'"),
    ('key.kasus = { attribute = "subject" }', "key = {}", "row[1].key: "),
    ('{ attribute = "subject" }', '{ attribute = "case" }', "events have no attribute 'case'"),
    ('field = "service_code"', 'field = "servicecode"', 'has a field \'servicecode\'. Did you mean "service_code"?'),
    ('field = "description", default', 'field = "location", default', "a place does not fit one column"),
    ('bujur = { field = "location"', 'bujur = { field = "area"', "area is no place"),
    ("event.source", "evnt.source", "the expression names 'evnt', which is not there. Did you mean \"event\"?"),
    ('form = "number"', 'form = "decimal"', "row[1].values.anggaran.form: "),
    ('table = "pekerjaan"\n', "", "row[1].table: it is missing. Add it."),
]  # fmt: skip


@pytest.mark.parametrize(("right", "mistake", "told"), MISTAKES, ids=[mistake[:40] for _, mistake, _ in MISTAKES])
def test_a_mistake_is_told_with_its_key_and_its_fix(tmp_path: Path, right: str, mistake: str, told: str) -> None:
    assert right in COMPLAINTS
    with pytest.raises(Misconfigured) as caught:
        mapping(tmp_path, COMPLAINTS.replace(right, mistake, 1))
    lines = str(caught.value).splitlines()
    assert any(told in line for line in lines), lines
    assert all(line.startswith(f"{tmp_path}/mapping.toml: ") for line in lines)
    assert len(lines) <= 3


def test_all_mistakes_of_a_file_are_told_at_once(tmp_path: Path) -> None:
    text = COMPLAINTS
    for right, mistake in (
        ('description = "keluhan"', 'descripton = "keluhan"'),
        ('reporter.name = "pelapor"', 'reporter.nama = "pelapor"'),
        ('SALURAN = "drain"', 'SALURAN = "drains"'),
        ('table = "pekerjaan"', 'table = "pekerjaan"\nwhen = "1 +"'),
    ):
        text = text.replace(right, mistake, 1)
    with pytest.raises(Misconfigured) as caught:
        mapping(tmp_path, text)
    assert len(str(caught.value).splitlines()) == 4


@pytest.mark.parametrize("content", [b"key = ", b"\xff\xfe", b"key = 1", b'event = "x"', b"[[event]]\n[[event]]"])
def test_what_is_no_mapping_at_all_is_told_in_a_sentence(tmp_path: Path, content: bytes) -> None:
    path = tmp_path / "mapping.toml"
    path.write_bytes(content)
    with pytest.raises(Misconfigured, match=r"mapping\.toml"):
        Mapping.load(path, denpasar())
    with pytest.raises(Misconfigured, match="No such file"):
        Mapping.load(tmp_path / "nothing.toml", denpasar())


def test_the_reference_has_every_key_and_its_example_is_right(tmp_path: Path) -> None:
    page = (Path(__file__).parents[3] / "docs" / "reference" / "mapping.md").read_text("utf-8")
    assert page == mapping_page() + "\n", "run `subak adapter mapping-reference > docs/reference/mapping.md`"
    assert "|  |\n" not in page, "a key without its words"
    (example,) = re.findall(r"^```toml\n(.*?)^```", page, re.MULTILINE | re.DOTALL)
    assert mapping(tmp_path, example).events[0].type == "subak.request.submitted.v1"
