"""Roles and what each may do: one table for the console and the casebook. Pure.

A right that no role of a caller has is refused. Personal fields are no right of a role: an agency reads those that the
city's files entitle it to, of events that it hears of, and nobody else reads any.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Literal, get_args

Role = Literal["citizen", "agency", "operator", "auditor", "console"]

Right = Literal["cases", "parked", "deliveries", "rejected", "rejected_of_all", "acts", "act", "entitled", "speak_for"]
"""`cases`: cases, timelines, figures. `rejected`: refused events, an agency its own; `rejected_of_all`: everybody's.
`acts`: what operators did, with their names. `act`: replay, discard, correct. `entitled`: personal fields by the city's
files. `speak_for`: ask for a person who is signed in at the console."""

PERSON_ROLES: frozenset[Role] = frozenset({"citizen", "agency", "operator", "auditor"})

_READS_ALL: frozenset[Right] = frozenset({"cases", "parked", "deliveries", "rejected", "rejected_of_all", "acts"})

RIGHTS: Mapping[Role, frozenset[Right]] = {
    "citizen": frozenset({"cases"}),
    "agency": frozenset({"cases", "parked", "deliveries", "rejected", "entitled"}),
    "operator": _READS_ALL | {"act"},
    "auditor": _READS_ALL,
    "console": frozenset({"cases", "speak_for"}),
}


@dataclass(frozen=True)
class Caller:
    """Whoever asks: a person or a machine."""

    subject: str
    """Who it is to the provider, for ever (`sub`)."""
    name: str
    """By which people know them: it stands in the log beside what they do."""
    roles: frozenset[Role] = field(default_factory=frozenset)
    agency: str | None = None
    """For which agency, with the role `agency`."""
    is_asked: bool = True
    """False where nobody is asked who they are."""

    def may(self, right: Right) -> bool:
        """Whether one of the roles has the right."""
        return not self.is_asked or any(right in RIGHTS[role] for role in self.roles)

    @property
    def own_agency(self) -> str | None:
        """The agency to which what is seen is limited; None where it is not."""
        return self.agency if self.is_asked and not self.may("rejected_of_all") else None


EVERYBODY = Caller("", "", is_asked=False)
"""Nobody is asked: whoever reaches the address may do all that it offers."""

ROLES: tuple[Role, ...] = get_args(Role)
