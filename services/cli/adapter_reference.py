"""The page docs/reference/mapping.md, made from the models of mapping.toml and never by hand."""

from __future__ import annotations

import typing
from collections.abc import Iterator

from adapters.mapping.model import CaseRule, CellRule, EventRule, FieldRule, FormatsSection, MappingFile, RowRule
from bus.expressions import EXPRESSION_CHARACTERS_MAX, FUNCTIONS, TEXT_CHARACTERS_MAX
from schemas.strict import Strict

HEAD = """# The mapping

Between an agency's records and the shared events, both ways: `mapping.toml`, named by a source or a target of
[adapter.toml](../how-to/connect-an-agency.md). Made by `subak adapter mapping-reference`: change the models, not this
page.

```toml
key = "nomor"                          # identifies a record

[formats]
time = "%d/%m/%Y %H.%M"
decimal = ","
currency = "IDR"

[codes.jenis]                          # the agency's code = the shared one
SALURAN = "drain"
JALAN = "road-damage"

[[event]]                              # a record that meets the condition becomes this event
type = "subak.request.submitted.v1"
when = 'status == "BARU"'
time = "dibuat"                        # a bare text is the name of a column

  [event.data]
  service_code = { column = "jenis", codes = "jenis" }
  area = "kode_desa"
  description = { column = "keluhan", cut = true }
  location = { longitude = "bujur", latitude = "lintang" }
  reporter.name = "pelapor"
  attributes.DEPTH_CM = "dalam"

[[row]]                                # an event becomes this row in the agency's system
type = ["subak.request.forwarded.v1", "subak.workorder.issued.v1"]
table = "pekerjaan"
key.kasus = { attribute = "subject" }

  [row.values]
  jenis = { field = "service_code", codes = "jenis", unmapped = "LAIN" }
  uraian = "description"
  status = { value = "BARU" }
```

- All that is wrong with the file is told at once, with the key and the fix, by `subak adapter check`.
- The same record gives the same events with the same ids, whenever it is read. A record that is said several times
  (once for each status, say) needs more than its key in the event's `id`.
- What a record lacks, or has in another form, refuses it with the agency's own column. Nothing is guessed: no default
  that is not stated, no date for a time, no clock time that was twice, no point that may be a decimal or a thousand.
- An unmapped code is refused with the nearest known ones, unless `unmapped` states what counts for it.
"""

_SECTIONS: tuple[tuple[str, type[Strict], str], ...] = (
    ("The file", MappingFile, ""),
    ("`[formats]`", FormatsSection, ""),
    ("`[[event]]`", EventRule, ""),
    ("`case` of an `[[event]]`", CaseRule, ""),
    ("A field of `[event.data]`, `time`, `jurisdiction`", FieldRule, ""),
    ("`[[row]]`", RowRule, ""),
    ("A column of `[row.values]` and `key`", CellRule, ""),
)

_WHAT = {
    "codes": "`[codes.<name>]`: the agency's code = the shared one. Read backwards, the first of several counts.",
    "formats": "How the agency writes numbers and times: below.",
    "event": "What a record becomes: below.",
    "row": "What an event becomes: below.",
}


def mapping_page() -> str:
    """The page."""
    lines = [HEAD]
    for title, model, _ in _SECTIONS:
        lines += [f"## {title}", "", "| key | default | what it says |", "| --- | --- | --- |"]
        lines += _rows(model)
        lines.append("")
    names = ", ".join(f"`{name}`" for name in FUNCTIONS)
    lines += [
        "## Expressions",
        "",
        "[CEL](https://cel.dev), over the record's columns (or over `data` and `event`), with its own functions",
        "(`size`, `contains`, `startsWith`, `endsWith`, `matches`, `string`, `int`, `double`, `has`) and",
        f"{names}. Times are texts in ISO 8601, decimals are numbers.",
        "An expression cannot walk a list, has at most",
        f"{EXPRESSION_CHARACTERS_MAX} characters, and is given texts of at most {TEXT_CHARACTERS_MAX}.",
    ]
    return "\n".join(lines)


def _rows(model: type[Strict]) -> Iterator[str]:
    for name, field in model.model_fields.items():
        text = " ".join((field.description or _WHAT.get(name, "")).split())
        default = ""
        if field.is_required():
            default = "*required*"
        elif isinstance(field.default, (str, bool, int)) and field.default not in ("", False):
            default = f"`{field.default}`"
        choices = typing.get_args(field.annotation) if typing.get_origin(field.annotation) is typing.Literal else ()
        among = f" One of {', '.join(f'`{choice}`' for choice in choices)}." if choices else ""
        yield f"| `{name}` | {default} | {(text + among).replace('|', chr(92) + '|')} |"
