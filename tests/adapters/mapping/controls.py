"""A mapping for tests: the water utility's complaints, in its own words, and the rows that it gets."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from adapters.mapping import Mapping
from schemas.failures import Refused
from tests.support.adapter import denpasar

SOURCE = "urn:subak:denpasar:water-utility/complaints"

COMPLAINTS = """
key = "nomor"

[formats]
time = ["%d/%m/%Y %H.%M", "iso"]
decimal = ","
thousands = "."
currency = "IDR"

[codes.jenis]
AIR = "clean-water"
BOCOR = "clean-water"
SALURAN = "drain"
JALAN = "road-damage"

[codes.desa]
RENON = "51.71.01.1005"
SESETAN = "51.71.01.1003"

[[event]]
type = "subak.request.submitted.v1"
when = 'status == "BARU"'
time = "dibuat"

  [event.data]
  service_code = { column = "jenis", codes = "jenis" }
  area = { column = "desa", codes = "desa" }
  description = "keluhan"
  location = { longitude = "bujur", latitude = "lintang" }
  service_request_id = "nomor"
  reporter.name = "pelapor"
  attributes.DEPTH_CM = "dalam"

[[event]]
type = "subak.workorder.completed.v1"
when = 'status == "SELESAI"'
case = { column = "kasus", reference = "nomor" }

  [event.data]
  cost = "biaya"
  status_notes = { cel = '"Selesai: " + trim(keluhan)' }

[[event]]
when = 'status == "DRAF"'
skip = true

[[row]]
type = ["subak.request.forwarded.v1", "subak.workorder.issued.v1"]
table = "pekerjaan"
key.kasus = { attribute = "subject" }

  [row.values]
  jenis = { field = "service_code", codes = "jenis" }
  desa = { field = "area", codes = "desa", unmapped = "LAIN" }
  uraian = { field = "description", default = "-", cut = 20 }
  bujur = { field = "location", form = "x" }
  lintang = { field = "location", form = "y" }
  timur = { field = "location", form = "x", projection = "EPSG:32750" }
  batas = { field = "due", time = "%d/%m/%Y %H.%M" }
  batas_waktu = { field = "due", form = "local-time" }
  anggaran = { field = "amount", form = "number" }
  asal = { cel = 'event.source + " " + (has(data.agency) ? data.agency : "-")' }
  status = { value = "BARU" }
"""

RECORD: dict[str, Any] = {
    "nomor": 17,
    "status": "BARU",
    "dibuat": "24/11/2026 08.00",
    "jenis": "BOCOR",
    "desa": "RENON",
    "keluhan": "  Pipa bocor di depan pasar.  ",
    "bujur": "115,2373",
    "lintang": "-8,6733",
    "pelapor": "",
    "dalam": 12.0,
    "biaya": "1.250.000,50",
    "kasus": None,
}


def mapping(folder: Path, text: str = COMPLAINTS) -> Mapping:
    """The mapping that `text` is, loaded from a file for Denpasar."""
    path = folder / "mapping.toml"
    path.write_text(text, encoding="utf-8")
    return Mapping.load(path, denpasar())


def refused(mapping: Mapping, record: dict[str, Any]) -> list[tuple[str, str]]:
    """The codes and columns of what is wrong with a record."""
    try:
        events = mapping.to_shared(record, source=SOURCE)
    except Refused as refusal:
        return [(reason.code, reason.field) for reason in refusal.reasons]
    raise AssertionError(f"it was taken: {events}")
