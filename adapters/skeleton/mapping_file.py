"""The first mapping of an agency, with samples that it understands, both ways. Pure."""

from __future__ import annotations

from typing import Any

from adapters.mapping.shapes import Shape, shapes_of
from adapters.skeleton.examples import column_values, example_data
from adapters.skeleton.vocabulary import Said, Vocabulary
from schemas.registry import registry

HEAD = """\
# Between the system of {agency} and the shared events, both ways. Every key: docs/reference/mapping.md.
# The columns and codes on the left are a made-up system's: put those of yours there.
# After each change: subak adapter check adapter.toml --offline

{key}"""

_IN = """\
key = "number"                      # identifies a record: from it ids are derived, so reading again says nothing new

[formats]
time = "iso"                        # or "%d/%m/%Y %H.%M", "epoch"; local times are {zone}'s
decimal = "."                       # or ","
currency = "{currency}"
"""


def mapping_text(agency: str, zone: str, words: Vocabulary, *, both: tuple[bool, bool]) -> str:
    """mapping.toml. `both`: whether there is a source to map, and a target."""
    reads, writes = both
    key = _IN.format(zone=zone, currency=words.currency) if reads else ""
    parts = [HEAD.format(agency=agency, key=key)]
    fields = {name for said in words.says for name in said.shapes}
    if (reads and "service_code" in fields) or writes:
        parts.append(_codes("service", "your code = the city's service_code", words.services))
    if (reads and "area" in fields) or writes:
        parts.append(_codes("area", "your code = the city's area code", words.areas))
    if reads:
        parts += [_event(said) for said in words.says]
    if writes:
        parts.append(_row(words))
    return "\n".join(parts)


def records(words: Vocabulary) -> list[dict[str, Any]]:
    """A record of the made-up system for each type that it says."""
    columns = ["number", "status", "changed_at"]
    if any(not said.opens_case for said in words.says):
        columns.append("case_id")
    for said in words.says:
        columns += [column for name in said.shapes for column in _columns(name) if column not in columns]
    found = []
    for number, said in enumerate(words.says, start=1):
        filled = {"number", "status", "changed_at", *(column for name in said.shapes for column in _columns(name))}
        if not said.opens_case:
            filled.add("case_id")
        values = column_values(words) | {"number": number, "status": said.status}
        found.append({column: values[column] if column in filled else None for column in columns})
    return found


def events(words: Vocabulary) -> list[dict[str, Any]]:
    """An event of each type that the agency hears, as it might arrive."""
    return [{"type": name, "data": example_data(name, words)} for name in words.hears]


def _codes(name: str, comment: str, codes: dict[str, str]) -> str:
    lines = "".join(f'{code} = "{shared}"\n' for code, shared in codes.items())
    return f"[codes.{name}]                      # {comment}\n{lines}"


def _event(said: Said) -> str:
    lines = ["[[event]]", f'type = "{said.type}"', f"when = 'status == \"{said.status}\"'"]
    lines.append('id = ["number", "status"]           # a record is said once for each status')
    if not said.opens_case:
        lines.append('case = { column = "case_id" }       # as it stood in the event that brought the case')
    lines.append('time = "changed_at"')
    lines += ["", "  [event.data]", *(f"  {_rule(name)}" for name in said.shapes)]
    return "\n".join(lines) + "\n"


def _rule(name: str) -> str:
    if name == "location":
        return 'location = { longitude = "longitude", latitude = "latitude" }'
    if name in ("service_code", "area"):
        short = name.removesuffix("_code")
        return f'{name} = {{ column = "{short}", codes = "{short}" }}'
    return f'{name} = "{name}"'


def _columns(name: str) -> tuple[str, ...]:
    if name == "location":
        return ("longitude", "latitude")
    return ("service",) if name == "service_code" else (name,)


def _row(words: Vocabulary) -> str:
    fields: dict[str, Shape] = {}
    for name in words.hears:
        fields |= shapes_of(registry.get(name).model)
    types = ", ".join(f'"{name}"' for name in words.hears)
    lines = ["[[row]]", f"type = [{types}]", 'table = "incoming"']
    lines += ['key.event_id = { attribute = "id" }', "", "  [row.values]"]
    lines.append('  case_id = { attribute = "subject" }   # keep it: what you say later of this case names it')
    lines.append('  type = { attribute = "type" }')
    simple = ("description", "address_string", "reason", "text", "status_notes")
    lines += [f'  {name} = "{name}"' for name in simple if name in fields]
    for name in ("service_code", "area"):
        if name in fields:
            short = name.removesuffix("_code")
            lines.append(f'  {short} = {{ field = "{name}", codes = "{short}", unmapped = "OTHER" }}')
    if "location" in fields:
        lines.append('  longitude = { field = "location", form = "x" }')
        lines.append('  latitude = { field = "location", form = "y" }')
    times = ("due", "acknowledge_by", "expected_datetime")
    lines += [f'  {name} = {{ field = "{name}", form = "local-time" }}' for name in times if name in fields]
    return "\n".join(lines) + "\n"
