"""The event types as a page for people: docs/reference/event-types.md, made from the classes and never by hand."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any

from schemas.registry import EventType
from schemas.strict import name_of_pattern

_HEAD = """# Event types

<!-- Made by `subak schemas publish` from schemas/types/. Change the classes, not this page. -->

Everything that the city's agencies say to each other. The JSON Schemas are in `schemas/published/`, examples, valid and
refused, in `schemas/examples/`; [add an event type](../how-to/add-an-event-type.md) says how to make one more.

*Optional* fields may be left out or null. A field that is not named here is refused at the door. *Personal* fields are
taken out for agencies that are not entitled to them.
"""

_WHO = {"agency": "agencies", "bus": "the bus alone", "any": "agencies and the bus"}


def reference_page(types: Iterable[EventType], schemas: Mapping[str, Mapping[str, Any]]) -> str:
    """The page. `schemas` are the published JSON Schemas, by type."""
    types = list(types)
    lines = [_HEAD, "| type | says | published by |", "| --- | --- | --- |"]
    for each in types:
        first = each.description.split(". ")[0].rstrip(".")
        lines.append(f"| [`{each.name}`](#{_anchor(each.name)}) | {first} | {_WHO[each.publisher]} |")
    shared: dict[str, Mapping[str, Any]] = {}
    for each in types:
        schema = schemas[each.name]
        shared |= schema.get("$defs", {})
        kind = "a command" if each.kind == "command" else "an event"
        opens = ", may open a case" if each.opens_case else ""
        lines += ["", f"## {each.name}", "", each.description, ""]
        lines += [f"{kind.capitalize()}, published by {_WHO[each.publisher]}{opens}. Owner: {each.owner}.", ""]
        lines += _table(schema)
    lines += ["", "## Values within them"]
    for name, schema in sorted(shared.items()):
        lines += ["", f"### {name}", "", schema.get("description", ""), "", *_table(schema)]
    return "\n".join(lines) + "\n"


def _table(schema: Mapping[str, Any]) -> list[str]:
    fields = schema.get("properties", {})
    if not fields:
        return ["It has no fields."]
    lines = ["| field | form | what it says |", "| --- | --- | --- |"]
    for name, field in fields.items():
        marks = [] if name in schema.get("required", ()) else ["optional"]
        marks += ["personal"] if _is_personal(field) else []
        form = ", ".join([_form(field), *(f"*{mark}*" for mark in marks)])
        lines.append(f"| `{name}` | {form} | {_cell(field.get('description', ''))} |")
    return lines


def _form(schema: Mapping[str, Any]) -> str:
    """A field's form in a few words: `text, 1 to 4000 characters`."""
    shapes = [each for each in schema.get("anyOf", [schema]) if each.get("type") != "null"]
    return " or ".join(_form_of(each) for each in shapes)


def _form_of(schema: Mapping[str, Any]) -> str:
    if "$ref" in schema:
        name = schema["$ref"].rpartition("/")[2]
        return f"[{name}](#{_anchor(name)})"
    if "const" in schema or "enum" in schema:
        return " or ".join(f"`{value}`" for value in schema.get("enum", [schema.get("const")]))
    kind = schema.get("type")
    if kind == "array":
        return _list_form(schema)
    if kind in {"integer", "number"}:
        word = "whole number" if kind == "integer" else "number"
        least, most = schema.get("minimum"), schema.get("maximum")
        return word if least is None or most is None else f"{word}, {least} to {most}"
    if schema.get("format") == "date-time":
        return "time with offset (RFC 3339)"
    return _text_form(schema) if kind == "string" else str(kind or "anything")


def _list_form(schema: Mapping[str, Any]) -> str:
    if "prefixItems" in schema:
        return "list of " + ", then ".join(_form(each) for each in schema["prefixItems"])
    most = f", at most {schema['maxItems']}" if "maxItems" in schema else ""
    return f"list of {_form(schema.get('items', {}))}{most}"


def _text_form(schema: Mapping[str, Any]) -> str:
    least, most = schema.get("minLength", 0), schema.get("maxLength")
    length = f", {least} to {most} characters" if least and most else f", at most {most} characters" if most else ""
    pattern = schema.get("pattern", "")
    name = name_of_pattern(pattern) if pattern else "text"
    return (name.removeprefix("a ").removeprefix("an ") if name else f"text like `{_cell(pattern)}`") + length


def _is_personal(schema: Mapping[str, Any]) -> bool:
    return bool(schema.get("x-personal")) or any(_is_personal(each) for each in schema.get("anyOf", ()))


def _cell(text: str) -> str:
    return text.replace("\n", " ").replace("|", "\\|")


def _anchor(heading: str) -> str:
    """GitHub's anchor for a heading."""
    return heading.lower().replace(".", "")
