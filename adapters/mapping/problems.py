"""What is wrong with a mapping.toml, gathered: file, key, problem, fix."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, TypeVar

from pydantic import ValidationError

from adapters.mapping.model import CaseRule, EventRule, FormatsSection, RowRule
from bus.city.problems import nearest
from bus.expressions import Expression, WrongExpression
from schemas.strict import Strict

M = TypeVar("M", bound=Strict)

_INNER: dict[str, type[Strict]] = {"formats": FormatsSection, "event": EventRule, "row": RowRule, "case": CaseRule}


class Problems(list[str]):
    """The problems found so far, each a sentence."""

    def __init__(self, file: str) -> None:
        super().__init__()
        self._file = file

    def note(self, key: str, problem: str, fix: str) -> None:
        """Add one."""
        self.append(": ".join(part for part in (self._file, key, f"{problem}. {fix}") if part))

    def read(self, model: type[M], content: Any, where: str) -> M | None:
        """The content as a section; None where it is not one, and noted."""
        try:
            return model.model_validate(tuples(content))
        except ValidationError as error:
            for detail in error.errors(include_url=False):
                self._note_detail(model, detail, where)
            return None

    def expression(self, text: str | None, where: str, *, names: Sequence[str] = ()) -> Expression | None:
        """The expression, compiled; None where there is none, or it is wrong and noted.

        `names`: all that it may refer to; none, where that is known only from the record.
        """
        if text is None:
            return None
        try:
            found = Expression(text)
        except WrongExpression as error:
            self.note(where, str(error), "Correct it.")
            return None
        for name in found.names:
            if names and name not in names:
                self.note(where, f"the expression names {name!r}, which is not there", nearest(name, names))
        return found

    def _note_detail(self, model: type[Strict], detail: Any, where: str) -> None:
        steps = [step for step in detail["loc"] if not _is_branch(step)]
        path = "".join(f"[{step + 1}]" if isinstance(step, int) else f".{step}" for step in steps)
        key = f"{where}{path}".lstrip(".")
        if detail["type"] == "extra_forbidden":
            sections = [step for step in steps[:-1] if isinstance(step, str)]
            known = _INNER.get(sections[-1], model) if sections else model
            self.note(key, "there is no such key", nearest(str(steps[-1]), known.model_fields))
        elif detail["type"] == "missing":
            self.note(key, "it is missing", "Add it.")
        elif not any(
            line.startswith(f"{self._file}: {key}: ") for line in self
        ):  # one a value, not one a union's branch
            message = detail["msg"].removeprefix("Input ")
            self.note(key, message[:1].lower() + message[1:], "Correct it.")


def tuples(value: Any) -> Any:
    """TOML's lists as tuples, which is what strict models take."""
    if isinstance(value, list):
        return tuple(tuples(item) for item in value)
    if isinstance(value, dict):
        return {key: tuples(item) for key, item in value.items()}
    return value


def _is_branch(step: Any) -> bool:
    """Whether a step of pydantic's path names a branch of a union and no key."""
    return isinstance(step, str) and (step in ("str", "int", "float", "bool") or "[" in step)
