"""Whether a published schema may follow another one within a major version, and in words why not.

FULL_TRANSITIVE: between the new schema and **every** revision published before, data passes in both directions. Both
directions are not the same here, because the door is strict and what lies behind it is tolerant:

- *old events, new door*: adapters in the field send the old form, and a replay sends the whole past. The new schema
  must admit every old event, and it refuses a field that it does not name.
- *new events, old readers*: what lies behind the gateway is upgraded later. An old reader ignores a field that it does
  not name, but what it names must be there and must be as it expects. (Upgrade the gateway first, then adapters: an
  old gateway refuses a new field.)

| change | allowed | because |
| --- | --- | --- |
| an optional field is added to a closed object | yes | old events lack it, old readers ignore it |
| the same to an object that was open | only if old content fits | old events may hold anything under that name |
| a required field is added; an optional one becomes required | no | old events lack it |
| a required field becomes optional | no | old readers need it |
| a field is removed | no | old events that have it are refused at the door; old readers of a required one need it |
| the type changes, integer to number too | no | one side cannot read the other |
| a value is added to an enum; null becomes allowed | no | old readers refuse it |
| a value is taken from an enum; null is no longer allowed | no | old events may have it |
| a range, length or count becomes narrower | no | old events may lie outside |
| a range, length or count becomes wider | no | old readers refuse what lies outside |
| pattern, format, multipleOf, uniqueItems change | no | whether two patterns admit the same is not decided here |
| `const: x` for `enum: [x]`, `$ref` for its target, another order of `anyOf` | yes | they say the same |
| the rules above, within objects, lists, maps and unions | the same | |
| an open object is closed | no | old events may hold fields without a name |
| a closed object is opened | yes | old readers ignore what they do not name |
| a default changes | no | an event without the field would mean something else |
| a field is no longer personal | no | what was sent under that promise would be shown |
| a field becomes personal | yes | |
| event becomes command, or the reverse | no | the bus delivers them differently |
| it no longer opens a case, or fewer may publish it | no | old events that did would be refused |
| title, description, examples, owner | yes | they admit the same data |

What a rule does not cover (`oneOf`, `allOf`, `not`, `if` ...) must stay exactly as it is. So the check may refuse what
a clever reader would allow; it never allows what breaks somebody.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any

from schemas.shapes import (
    Limit,
    Schema,
    bound,
    branches,
    canonical,
    described,
    follow,
    kind_of,
    limit_in_words,
    limits,
    uncomparable,
    within,
    without_annotations,
)

Assumed = frozenset[tuple[int, int]]
"""Pairs of schemas, by identity, that are under comparison further out."""


def incompatibilities(old: Mapping[str, Any], new: Mapping[str, Any]) -> list[str]:
    """Every reason, one sentence each, why `new` may not follow `old`; empty where it may."""
    if canonical(without_annotations(old)) == canonical(without_annotations(new)):
        return []
    backward = _Passage(old, new, forward=False)
    forward = _Passage(new, old, forward=True)
    found = [*_marks(old, new), *backward.problems(), *forward.problems()]
    return list(dict.fromkeys(found))


def incompatibilities_with_all(revisions: Iterable[Mapping[str, Any]], new: Mapping[str, Any]) -> list[str]:
    """The reasons against `new` in the light of every revision published before, each sentence once."""
    return list(dict.fromkeys(reason for old in revisions for reason in incompatibilities(old, new)))


def _marks(old: Mapping[str, Any], new: Mapping[str, Any]) -> list[str]:
    """What the schema as a whole promises beside its data."""
    found = []
    if old.get("x-kind") != new.get("x-kind"):
        found.append(
            f"the kind went from {old.get('x-kind')} to {new.get('x-kind')}: the bus delivers them differently"
        )
    if old.get("x-opens-case") and not new.get("x-opens-case"):
        found.append("it no longer opens a case: old events that did would be refused")
    if (was := old.get("x-publisher")) != (now := new.get("x-publisher")) and now != "any":
        found.append(f"the publisher went from {was} to {now}: events of others would be refused")
    return found


class _Passage:
    """One direction: data of the writer's schema comes to the reader's."""

    def __init__(self, writer: Mapping[str, Any], reader: Mapping[str, Any], *, forward: bool) -> None:
        self._writer, self._reader = writer, reader
        self._forward = forward
        """Whether new data comes to an old, tolerant reader; otherwise old data comes to the new door."""
        self._written, self._read = writer.get("$defs", {}), reader.get("$defs", {})

    def problems(self) -> list[str]:
        return self._compare(self._writer, self._reader, "", frozenset())

    def _compare(self, writer: Schema, reader: Schema, path: str, assumed: Assumed) -> list[str]:
        """Why data of `writer` may not fit `reader`. A pair under comparison counts as fitting: types may recur."""
        pair = (id(writer), id(reader))
        if pair in assumed:
            return []
        assumed |= {pair}
        found = [] if self._forward else self._unmarked(writer, reader, path)
        readers = list(branches(reader, self._read))
        writers = list(branches(writer, self._written))
        alone = all(len([each for each in side if kind_of(each) != "null"]) == 1 for side in (writers, readers))
        for written in writers:
            found += self._union(written, readers, path, assumed, alone=alone)
        return found

    def _union(
        self, writer: Mapping[str, Any], readers: list[Mapping[str, Any]], path: str, assumed: Assumed, *, alone: bool
    ) -> list[str]:
        """Why data of one branch may not fit any of the reader's. `alone`: beside null, each side has one."""
        tried = [(kind_of(reader), self._branch(writer, reader, path, assumed)) for reader in readers]
        if any(not problems for _, problems in tried):
            return []
        alike = [problems for kind, problems in tried if kind == kind_of(writer)]
        if alone and kind_of(writer) != "null":
            alike = [problems for kind, problems in tried if kind != "null"]
        if len(alike) == 1:
            return alike[0]
        what = described(writer)
        if self._forward:
            return [_say(path, f"now allows {what}: old readers refuse it")]
        return [_say(path, f"no longer allows {what}: old events may have it")]

    def _branch(self, writer: Mapping[str, Any], reader: Mapping[str, Any], path: str, assumed: Assumed) -> list[str]:
        hidden = uncomparable(writer) | uncomparable(reader)
        if hidden and not _the_same(writer, reader, hidden):
            words = ", ".join(sorted(hidden))
            return [
                _say(path, f"uses {words}, which this check does not compare: keep it exactly, or make a new major")
            ]
        kind = kind_of(reader)
        if kind is None:
            return []
        if kind == "enum" or kind_of(writer) == "enum":
            return self._enum(writer, reader, path)
        if kind != kind_of(writer):
            old, new = self._in_order(described(writer), described(reader))
            return [_say(path, f"type went from {old} to {new}: one side cannot read the other")]
        if kind == "string":
            return self._string(writer, reader, path)
        if kind in {"integer", "number"}:
            return self._number(writer, reader, path)
        if kind == "array":
            return self._array(writer, reader, path, assumed)
        return self._object(writer, reader, path, assumed) if kind == "object" else []

    def _enum(self, writer: Mapping[str, Any], reader: Mapping[str, Any], path: str) -> list[str]:
        if "enum" not in writer or "enum" not in reader:
            old, new = self._in_order(described(writer), described(reader))
            return [_say(path, f"went from {old} to {new}: one side refuses what the other sends")]
        known = {canonical(value) for value in reader["enum"]}
        words = (
            "now allows {}: old readers refuse it" if self._forward else "no longer allows {}: old events may have it"
        )
        return [_say(path, words.format(text)) for text in map(canonical, writer["enum"]) if text not in known]

    def _string(self, writer: Mapping[str, Any], reader: Mapping[str, Any], path: str) -> list[str]:
        return [
            *self._range(writer, reader, path, "Length", "length"),
            *self._equal(writer, reader, path, "pattern", "format"),
        ]

    def _number(self, writer: Mapping[str, Any], reader: Mapping[str, Any], path: str) -> list[str]:
        found = []
        for upper in (True, False):
            write, read = limits(writer, upper=upper), limits(reader, upper=upper)
            if read is not None and not within(write, read, upper=upper):
                found.append(self._moved(path, "maximum" if upper else "minimum", write, read, upper=upper))
        return found + self._equal(writer, reader, path, "multipleOf")

    def _array(self, writer: Mapping[str, Any], reader: Mapping[str, Any], path: str, assumed: Assumed) -> list[str]:
        found = self._range(writer, reader, path, "Items", "number of items")
        found += self._equal(writer, reader, path, "uniqueItems")
        write, read = writer.get("prefixItems", []), reader.get("prefixItems", [])
        rest_write, rest_read = writer.get("items", True), reader.get("items", True)
        greatest = bound(writer, "Items", upper=True)
        for n in range(max(len(write), len(read))):
            if greatest is not None and n >= greatest[0]:
                break
            one = write[n] if n < len(write) else rest_write
            other = read[n] if n < len(read) else rest_read
            found += self._compare(one, other, f"{path}[{n}]", assumed)
        if greatest is None or greatest[0] > max(len(write), len(read)):
            found += self._compare(rest_write, rest_read, f"{path}[]", assumed)
        return found

    def _object(self, writer: Mapping[str, Any], reader: Mapping[str, Any], path: str, assumed: Assumed) -> list[str]:
        write, read = writer.get("properties", {}), reader.get("properties", {})
        rest_write, rest_read = writer.get("additionalProperties", True), reader.get("additionalProperties", True)
        if self._forward and rest_read is False:
            rest_read = True  # behind the door, a reader ignores what it does not name
        found = self._patterns(writer, reader, path, assumed)
        found += self._range(writer, reader, path, "Properties", "number of fields")
        if "propertyNames" in reader or "propertyNames" in writer:
            names = writer.get("propertyNames", True), reader.get("propertyNames", True)
            found += self._compare(*names, f"{path} names" if path else "names", assumed)
        for name in [*write, *(name for name in read if name not in write)]:
            inner = f"{path}.{name}" if path else name
            if name not in write:
                if self._compare(rest_write, read[name], inner, assumed):
                    found.append(_say(inner, "got a meaning: until now anything could stand under this name"))
            elif name in read:
                found += self._compare(write[name], read[name], inner, assumed)
                found += self._default(write[name], read[name], inner)
            elif rest_read is False:
                found.append(
                    _say(inner, "was removed: old events that have it would be refused at the door and in a replay")
                )
            elif rest_read is not True:
                found += self._compare(write[name], rest_read, inner, assumed)
        found += self._required(writer, reader, path)
        if rest_write is not False and rest_read is False:
            found.append(_say(path, "no longer allows fields that it does not name: old events may have them"))
        elif rest_write is not False:
            found += self._compare(rest_write, rest_read, f"{path}.*" if path else "*", assumed)
        return found

    def _required(self, writer: Mapping[str, Any], reader: Mapping[str, Any], path: str) -> list[str]:
        found = []
        for name in reader.get("required", ()):
            if name in writer.get("required", ()):
                continue
            inner = f"{path}.{name}" if path else name
            if self._forward and name in writer.get("properties", {}):
                found.append(_say(inner, "became optional: old readers need it"))
            elif self._forward:
                found.append(_say(inner, "was removed: old readers need it"))
            elif name in writer.get("properties", {}):
                found.append(_say(inner, "became required: old events lack it"))
            else:
                found.append(_say(inner, "is new and required: old events lack it"))
        return found

    def _patterns(self, writer: Mapping[str, Any], reader: Mapping[str, Any], path: str, assumed: Assumed) -> list[str]:
        write, read = writer.get("patternProperties", {}), reader.get("patternProperties", {})
        if not write and not read:
            return []
        if write.keys() != read.keys() or writer.get("properties", {}).keys() != reader.get("properties", {}).keys():
            return [_say(path, "names its fields by other patterns: it cannot be shown that both allow the same")]
        inner = f"{path}.*" if path else "*"
        return [reason for each in write for reason in self._compare(write[each], read[each], inner, assumed)]

    def _default(self, writer: Any, reader: Any, path: str) -> list[str]:
        none = object()
        write, read = (each.get("default", none) if isinstance(each, Mapping) else none for each in (writer, reader))
        if none in (write, read) or canonical(write) == canonical(read):
            return []
        old, new = self._in_order(canonical(write), canonical(read))
        return [_say(path, f"default went from {old} to {new}: an event without it would mean something else")]

    def _unmarked(self, writer: Schema, reader: Schema, path: str) -> list[str]:
        if _is_personal(writer, self._written) and not _is_personal(reader, self._read):
            return [_say(path, "is no longer marked personal: what was sent under that promise would be shown")]
        return []

    def _equal(self, writer: Mapping[str, Any], reader: Mapping[str, Any], path: str, *keywords: str) -> list[str]:
        found = []
        for keyword in keywords:
            write, read = writer.get(keyword), reader.get(keyword)
            if not read or canonical(write) == canonical(read):
                continue
            if write:
                old, new = self._in_order(write, read)
                found.append(_say(path, f"{keyword} went from {old} to {new}: nothing shows that both allow the same"))
            elif self._forward:
                found.append(_say(path, f"{keyword} went from {read} to none: old readers refuse what does not fit it"))
            else:
                found.append(_say(path, f"{keyword} went from none to {read}: old events may not fit it"))
        return found

    def _range(
        self, writer: Mapping[str, Any], reader: Mapping[str, Any], path: str, keyword: str, noun: str
    ) -> list[str]:
        found = []
        for upper in (True, False):
            write, read = bound(writer, keyword, upper=upper), bound(reader, keyword, upper=upper)
            if read is not None and not within(write, read, upper=upper):
                word = ("maximum " if upper else "minimum ") + noun
                found.append(self._moved(path, word, write, read, upper=upper))
        return found

    def _moved(self, path: str, noun: str, write: Limit | None, read: Limit, *, upper: bool) -> str:
        old, new = self._in_order(limit_in_words(write), limit_in_words(read))
        more = "more" if upper else "less"
        why = f"old readers refuse {more} than {old}" if self._forward else f"old events may have {more}"
        return _say(path, f"{noun} went from {old} to {new}: {why}")

    def _in_order(self, writer: Any, reader: Any) -> tuple[Any, Any]:
        """The two in the order of time: old, new."""
        return (reader, writer) if self._forward else (writer, reader)


def _is_personal(schema: Schema, definitions: Mapping[str, Any]) -> bool:
    if isinstance(schema, Mapping) and schema.get("x-personal"):
        return True
    target = follow(schema, definitions)
    if isinstance(target, bool):
        return False
    return bool(target.get("x-personal")) or any(_is_personal(each, definitions) for each in target.get("anyOf", ()))


def _the_same(writer: Mapping[str, Any], reader: Mapping[str, Any], keywords: set[str]) -> bool:
    one, other = ({keyword: each.get(keyword) for keyword in keywords} for each in (writer, reader))
    return canonical(one) == canonical(other) and "$ref" not in canonical(one)


def _say(path: str, problem: str) -> str:
    return f"`{path}` {problem}" if path else f"the data {problem}"
