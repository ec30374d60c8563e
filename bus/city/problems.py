"""What is wrong with a city's files, as sentences for the person who writes them: file, key, problem, fix.

All problems are gathered before anyone is told, so that a wrong file is put right in one go and not in twenty.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import asdict, dataclass
from difflib import get_close_matches

from schemas.failures import Misconfigured

NAMES_MAX = 12
"""Names listed where none is near: more would hide the sentence."""


@dataclass(frozen=True, slots=True)
class Problem:
    """One thing that is wrong in one file."""

    file: str
    key: str
    """Where in the file, such as `agency "public-works".parent`; empty for the whole file."""
    problem: str
    fix: str

    def __str__(self) -> str:
        return ": ".join(part for part in (self.file, self.key, f"{self.problem}. {self.fix}") if part)

    def as_dict(self) -> dict[str, str]:
        """The problem as plain strings."""
        return asdict(self)


class WrongCity(Misconfigured):
    """A city whose files cannot be used, with every problem at once."""

    def __init__(self, where: str, problems: Iterable[Problem]) -> None:
        self.problems = tuple(problems)
        count = len(self.problems)
        lines = "".join(f"\n- {problem}" for problem in self.problems)
        super().__init__(f"the city in {where} has {count} {'problem' if count == 1 else 'problems'}:{lines}")


class Problems(list[Problem]):
    """The problems found so far."""

    def note(self, file: str, key: str, problem: str, fix: str) -> None:
        """Add a problem, once: two checks may come upon the same thing."""
        found = Problem(file, key, problem, fix)
        if found not in self:
            self.append(found)

    def concern(self, file: str, key: str) -> bool:
        """Whether something was noted at this key of a file or under it: what rests on it is then not worth saying."""
        return any(
            found.file == file and (found.key == key or found.key.startswith((f"{key}.", f"{key}["))) for found in self
        )


def nearest(name: str, known: Iterable[str]) -> str:
    """Advice for a name that nobody knows: the nearest known one, or which there are."""
    names = sorted(known)
    near = get_close_matches(name, names, n=1, cutoff=0.6)
    if near:
        return f'Did you mean "{near[0]}"?'
    if not names:
        return "None is known yet."
    more = f" and {len(names) - NAMES_MAX} more" if len(names) > NAMES_MAX else ""
    return f"Known: {', '.join(names[:NAMES_MAX])}{more}."
