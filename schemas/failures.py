"""The three kinds of failure, and the reasons that a refusal carries. Every error of Subak is one of these.

A caller needs to know one thing of an error: what to do next. So the kind is the answer: wait and try again
(`Retryable`), set this one thing aside and go on (`Unprocessable`), or stop and ask a person (`Misconfigured`).
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import asdict, dataclass


class SubakError(Exception):
    """Base of all errors that Subak raises on purpose. Its text is a sentence for the person who must act."""


class Retryable(SubakError):
    """Something outside is away (broker, database, an agency's system): wait with backoff, lose nothing."""


class Unprocessable(SubakError):
    """This one input cannot be handled, now or later: set it aside with the reason, and go on."""


class Misconfigured(SubakError):
    """Nothing will work until a person changes a setting or a file: the process stops and says which."""


@dataclass(frozen=True, slots=True)
class Reason:
    """One thing that is wrong with an event: what, where, and what to do about it."""

    code: str
    """Stable, for machines: `missing`, `unknown_field`, `type_not_allowed` ..."""
    field: str
    """Where: a path such as `data.location.coordinates[1]`, or an attribute's name, such as `source`."""
    problem: str
    """What is wrong, in words."""
    fix: str
    """What the sender can do."""

    def as_dict(self) -> dict[str, str]:
        """The reason as plain strings, as it travels in `subak.event.rejected.v1`."""
        return asdict(self)

    def __str__(self) -> str:
        return f"{self.field}: {self.problem}. {self.fix}"


class Refused(Unprocessable):
    """An event that the shared schema or the city's rules do not admit, with every reason at once."""

    def __init__(self, reasons: Sequence[Reason]) -> None:
        self.reasons = tuple(reasons)
        super().__init__("; ".join(str(reason) for reason in reasons))
