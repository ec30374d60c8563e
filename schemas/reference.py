"""The event types as a page for people: docs/reference/event-types.md, made from the classes and never by hand."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any

from schemas.asyncapi import shared_definitions
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
    for each in types:
        schema = schemas[each.name]
        kind = "a command" if each.kind == "command" else "an event"
        opens = ", may open a case" if each.opens_case else ""
        lines += ["", f"## {each.name}", "", each.description, ""]
        lines += [f"{kind.capitalize()}, published by {_WHO[each.publisher]}{opens}. Owner: {each.owner}.", ""]
        lines += _table(schema)
    lines += ["", "## Values within them"]
    for name, schema in sorted(shared_definitions(schemas).items()):
        lines += ["", f"### {name}", "", schema.get("description", ""), "", *_table(schema)]
    return "\n".join(lines) + "\n"


def field_rows(schema: Mapping[str, Any]) -> list[tuple[str, str, str]]:
    """Each field of an object: its name, its form and marks in plain words, what it says."""
    return [
        (name, ", ".join([_form(field, link=False), *_marks(name, schema)]), field.get("description", ""))
        for name, field in schema.get("properties", {}).items()
    ]


def _table(schema: Mapping[str, Any]) -> list[str]:
    fields = schema.get("properties", {})
    if not fields:
        return ["It has no fields."]
    lines = ["| field | form | what it says |", "| --- | --- | --- |"]
    for name, field in fields.items():
        form = ", ".join([_form(field, link=True), *(f"*{mark}*" for mark in _marks(name, schema))])
        lines.append(f"| `{name}` | {_cell(form)} | {_cell(field.get('description', ''))} |")
    return lines


def _marks(name: str, schema: Mapping[str, Any]) -> list[str]:
    marks = [] if name in schema.get("required", ()) else ["optional"]
    return [*marks, "personal"] if _is_personal(schema["properties"][name]) else marks


def _form(schema: Mapping[str, Any], *, link: bool) -> str:
    """A field's form in a few words: `text, 1 to 4000 characters`. `link`: to the values of this page."""
    shapes = [each for each in schema.get("anyOf", [schema]) if each.get("type") != "null"]
    return " or ".join(_form_of(each, link=link) for each in shapes)


def _form_of(schema: Mapping[str, Any], *, link: bool) -> str:
    if "$ref" in schema:
        name = schema["$ref"].rpartition("/")[2]
        return f"[{name}](#{_anchor(name)})" if link else str(name)
    if "const" in schema or "enum" in schema:
        return " or ".join(f"`{value}`" if link else str(value) for value in schema.get("enum", [schema.get("const")]))
    kind = schema.get("type")
    if kind == "array":
        return _list_form(schema, link=link)
    if kind in {"integer", "number"}:
        word = "whole number" if kind == "integer" else "number"
        least, most = schema.get("minimum"), schema.get("maximum")
        return word if least is None or most is None else f"{word}, {least} to {most}"
    if schema.get("format") == "date-time":
        return "time with offset (RFC 3339)"
    return _text_form(schema) if kind == "string" else str(kind or "anything")


def _list_form(schema: Mapping[str, Any], *, link: bool) -> str:
    if "prefixItems" in schema:
        return "list of " + ", then ".join(_form(each, link=link) for each in schema["prefixItems"])
    most = f", at most {schema['maxItems']}" if "maxItems" in schema else ""
    return f"list of {_form(schema.get('items', {}), link=link)}{most}"


def _text_form(schema: Mapping[str, Any]) -> str:
    least, most = schema.get("minLength", 0), schema.get("maxLength")
    length = f", {least} to {most} characters" if least and most else f", at most {most} characters" if most else ""
    pattern = schema.get("pattern", "")
    name = name_of_pattern(pattern) if pattern else "text"
    return (name.removeprefix("a ").removeprefix("an ") if name else f"text like `{pattern}`") + length


def _is_personal(schema: Mapping[str, Any]) -> bool:
    return bool(schema.get("x-personal")) or any(_is_personal(each) for each in schema.get("anyOf", ()))


def _cell(text: str) -> str:
    return text.replace("\n", " ").replace("|", "\\|")


def _anchor(heading: str) -> str:
    """GitHub's anchor for a heading."""
    return heading.lower().replace(".", "")
