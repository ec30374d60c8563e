"""The examples that every event type ships with: data that is valid, and data that is refused, with the reasons.

They stand in `schemas/examples/<type>/valid/<name>.json` (`{"data": ...}`) and `.../refused/<name>.json`
(`{"data": ..., "reasons": [[code, field], ...]}`). Valid ones are published with the schema. Tests, simulations and
agencies' own developers read the same files.
"""

from __future__ import annotations

import json
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from schemas.failures import Misconfigured, Refused
from schemas.registry import EventType, Registry, registry

EXAMPLES = Path(__file__).parent / "examples"

COUNT_MIN = 2
"""Every type has at least so many valid and so many refused examples."""


@dataclass(frozen=True, slots=True)
class Example:
    """One example of one type's data."""

    type: str
    name: str
    data: Any
    """As JSON has it."""
    reasons: tuple[tuple[str, str], ...] | None
    """The code and field of every reason for which it is refused; None where it is valid."""

    @property
    def encoded(self) -> bytes:
        """The data as it would travel."""
        return json.dumps(self.data, ensure_ascii=False).encode()

    @property
    def problem(self) -> str | None:
        """How the registry disagrees with the example, in words; None where it agrees."""
        return self.problem_with(registry)

    def problem_with(self, types: Registry) -> str | None:
        """As `problem`, for another registry."""
        try:
            types.get(self.type).read_strictly(self.encoded)
        except Refused as refused:
            found = tuple((reason.code, reason.field) for reason in refused.reasons)
            if self.reasons is None:
                return f"{self.type}: the valid example {self.name} is refused: {refused}"
            if found != self.reasons:
                said, is_now = json.dumps(self.reasons), json.dumps(found)
                return f"{self.type}: the example {self.name} says the reasons {said}, but they are {is_now}"
            return None
        return None if self.reasons is None else f"{self.type}: the refused example {self.name} is accepted"


def examples_of(event_type: EventType, folder: Path = EXAMPLES) -> list[Example]:
    """The examples of one type, valid ones first, each by name.

    Raises:
        Misconfigured: a file does not have the form of an example.
    """
    home = folder / event_type.name
    return [_read(path, event_type.name) for kind in ("valid", "refused") for path in sorted((home / kind).glob("*"))]


def example_problems(types: Registry = registry, folder: Path = EXAMPLES) -> list[str]:
    """What is wrong with the examples as a whole, a sentence each; empty where nothing is."""
    found = []
    for event_type in types:
        examples = examples_of(event_type, folder)
        found += [problem for example in examples if (problem := example.problem_with(types))]
        for kind, count in (
            ("valid", sum(example.reasons is None for example in examples)),
            ("refused", sum(example.reasons is not None for example in examples)),
        ):
            if count < COUNT_MIN:
                home = f"schemas/examples/{event_type.name}/{kind}"
                found.append(f"{event_type.name} has {count} {kind} examples: add {COUNT_MIN - count} to {home}")
        shown = {name for example in examples if example.reasons is None for name in example.data}
        fields = {field.alias or name for name, field in event_type.model.model_fields.items()}
        if hidden := sorted(fields - shown):
            found.append(f"{event_type.name}: no valid example shows {', '.join(hidden)}: add it to one")
    for path in sorted(folder.iterdir()):
        if path.name not in types:
            found.append(f"schemas/examples/{path.name} belongs to no event type: remove it, or register the type")
        elif strange := sorted(each.name for each in path.iterdir() if each.name not in {"valid", "refused"}):
            found.append(f"schemas/examples/{path.name} holds {', '.join(strange)}: examples are in valid or refused")
    return found


def _read(path: Path, event_type: str) -> Example:
    try:
        content = json.loads(path.read_text(encoding="utf-8"))
        refused = path.parent.name == "refused"
        if not isinstance(content, dict) or content.keys() != ({"data", "reasons"} if refused else {"data"}):
            raise ValueError('it is not {"data": ..., "reasons": [[code, field], ...]}, without reasons where valid')
        reasons = tuple((str(code), str(field)) for code, field in content["reasons"]) if refused else None
    except (OSError, ValueError, TypeError) as error:
        raise Misconfigured(f"{event_type}: {path.parent.name}/{path.name} is not an example: {error}") from error
    return Example(event_type, path.stem, content["data"], reasons)
