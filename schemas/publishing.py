"""Publishing: the event types as documents that others build on, and the proof that nobody's work breaks by a change.

`schemas/published/<type>.json` is a type's JSON Schema (draft 2020-12), `history/<type>/<n>.json` every earlier form of
it, `asyncapi.json` the whole bus, `docs/reference/event-types.md` the same for people. All are made from the classes by
one command and checked by CI: current, and compatible with everything published before (`schemas/compatibility.py`).
"""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from schemas.asyncapi import asyncapi_document
from schemas.compatibility import incompatibilities_with_all
from schemas.example_files import EXAMPLES, example_problems, examples_of
from schemas.failures import Misconfigured, Refused
from schemas.personal import personal_fields, redact
from schemas.reference import reference_page
from schemas.registry import EventType, Registry, registry
from schemas.shapes import canonical, without_annotations

PUBLISHED = Path(__file__).parent / "published"
REFERENCE = Path(__file__).parent.parent / "docs" / "reference" / "event-types.md"

SKELETON_DESCRIPTION = "Say here in one sentence what happened, in the past tense."
"""What `subak new event-type` writes in the place of a description, and nothing may be published with."""


@dataclass(frozen=True, slots=True)
class Finding:
    """One thing that `subak schemas check` holds against the shared language."""

    type: str
    """The event type, or the document."""
    kind: str
    """`incompatible`, `removed`, `stale` (publish again), `example`, `description`, `personal` or `upcaster`."""
    problem: str
    """In words."""


class Unpublishable(Misconfigured):
    """A schema may not be published as it is. Its findings say why."""

    def __init__(self, findings: list[Finding]) -> None:
        self.findings = findings
        super().__init__("; ".join(f"{finding.type}: {finding.problem}" for finding in findings))


def schema_of(event_type: EventType, examples: Path = EXAMPLES) -> dict[str, Any]:
    """The published JSON Schema of a type: closed, as the door reads it, with the valid examples."""
    schema = event_type.model.model_json_schema()
    definitions = schema.pop("$defs", {})
    for each in (schema, *definitions.values()):
        for field in each.get("properties", {}).values():
            field.pop("title", None)
    for said_below in ("title", "description"):
        schema.pop(said_below, None)
    shown = [example.data for example in examples_of(event_type, examples) if example.reasons is None]
    return {
        "$schema": "https://json-schema.org/draft/2020-12/schema",
        "$id": f"urn:subak:schema:{event_type.name}",
        "title": event_type.name,
        "description": event_type.description,
        "x-owner": event_type.owner,
        "x-kind": event_type.kind,
        "x-publisher": event_type.publisher,
        "x-opens-case": event_type.opens_case,
        **schema,
        **({"$defs": definitions} if definitions else {}),
        "examples": shown,
    }


@dataclass(frozen=True, slots=True)
class Publication:
    """The documents on disk, against the classes in the registry."""

    types: Registry = registry
    folder: Path = PUBLISHED
    examples: Path = EXAMPLES
    reference: Path | None = REFERENCE
    """The page for people; None where there is no source tree (an installed package)."""

    def findings(self) -> list[Finding]:
        """Everything that CI refuses; empty where the documents are current and nothing breaks."""
        found = [*self.breaking(), *self._laws()]
        for path, text in self._documents():
            if not path.is_file():
                found.append(Finding(path.stem, "stale", "it was never published: run `subak schemas publish`"))
            elif path.read_text(encoding="utf-8") != text:
                words = "what is published is not what the code says: run `subak schemas publish`"
                found.append(Finding(path.stem, "stale", words))
        return found

    def breaking(self) -> list[Finding]:
        """What would break somebody who relies on what is published, now or in an earlier revision."""
        found = []
        for event_type in self.types:
            new = schema_of(event_type, self.examples)
            for reason in incompatibilities_with_all(self.revisions(event_type.name), new):
                found.append(Finding(event_type.name, "incompatible", reason))
        for path in self._published():
            if path.stem not in self.types:
                words = "the class is gone, but the log holds such events for ever: keep it"
                found.append(Finding(path.stem, "removed", words))
        return found

    def write(self) -> list[Path]:
        """Write every document that is not current, and keep the schemas that it replaces. Gives what was written.

        Raises:
            Unpublishable: nothing is written.
        """
        nameless = [finding for event_type in self.types for finding in _undescribed(event_type)]
        if refused := [*self.breaking(), *nameless]:
            raise Unpublishable(refused)
        written = []
        for path, text in self._documents():
            before = path.read_text(encoding="utf-8") if path.is_file() else None
            if before == text:
                continue
            if before is not None and path.stem in self.types:
                self._keep(path.stem, before, text)
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_text(text, encoding="utf-8")
            written.append(path)
        return written

    def revisions(self, name: str) -> list[dict[str, Any]]:
        """Every published form of a type's schema, the oldest first, the current one last."""
        files = sorted((self.folder / "history" / name).glob("*.json"), key=lambda path: int(path.stem))
        current = self.folder / f"{name}.json"
        return [json.loads(path.read_text(encoding="utf-8")) for path in (*files, current) if path.is_file()]

    def _keep(self, name: str, before: str, after: str) -> None:
        """Put the schema that is about to be replaced into the history, unless only its words change."""
        old, new = (canonical(without_annotations(json.loads(text))) for text in (before, after))
        if old == new:
            return
        home = self.folder / "history" / name
        home.mkdir(parents=True, exist_ok=True)
        number = 1 + max((int(path.stem) for path in home.glob("*.json")), default=0)
        (home / f"{number}.json").write_text(before, encoding="utf-8")

    def _documents(self) -> Iterator[tuple[Path, str]]:
        """Every document with the text that it should have."""
        schemas = {event_type.name: schema_of(event_type, self.examples) for event_type in self.types}
        for name, schema in schemas.items():
            yield self.folder / f"{name}.json", _written(schema)
        yield self.folder / "asyncapi.json", _written(asyncapi_document(self.types, schemas))
        if self.reference is not None and self.reference.parent.parent.is_dir():
            yield self.reference, reference_page(self.types, schemas)

    def _published(self) -> list[Path]:
        return sorted(path for path in self.folder.glob("subak.*.json"))

    def _laws(self) -> Iterator[Finding]:
        for problem in example_problems(self.types, self.examples):
            yield Finding(problem.split(":", 1)[0].split(" ", 1)[0], "example", problem)
        for name in self.types.without_upcaster():
            yield Finding(name, "upcaster", "there is a later version, but nothing makes this one new: add an @upcast")
        for event_type in self.types:
            yield from _undescribed(event_type)
            yield from self._still_valid_when_redacted(event_type)

    def _still_valid_when_redacted(self, event_type: EventType) -> Iterator[Finding]:
        fields = personal_fields(event_type.name, self.types)
        for example in examples_of(event_type, self.examples) if fields else ():
            if example.reasons is None:
                try:
                    event_type.read(redact(event_type.name, example.encoded, self.types))
                except Refused as error:
                    words = f"without its personal fields ({', '.join(fields)}) the example {example.name} is not valid"
                    yield Finding(event_type.name, "personal", f"{words}: make them optional ({error})")


def _undescribed(event_type: EventType) -> Iterator[Finding]:
    if event_type.description in {"", SKELETON_DESCRIPTION}:
        words = f"say in the docstring of {event_type.model.__name__} what happened"
        yield Finding(event_type.name, "description", words)
    schema = event_type.model.model_json_schema()
    for each in (schema, *schema.get("$defs", {}).values()):
        for name, field in each.get("properties", {}).items():
            if not field.get("description"):
                words = f"{each['title']}.{name} has no description: write one below it, in three double quotes"
                yield Finding(event_type.name, "description", words)


def _written(document: Mapping[str, Any]) -> str:
    return json.dumps(document, indent=2, ensure_ascii=False) + "\n"
