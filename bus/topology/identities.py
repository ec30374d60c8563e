"""Who is known to Kafka: each agency and each process of the bus, under a user whose name ends in a number.

`agency-public-works.1` is the agency public-works by its first credentials. New credentials are a new user (`.2`)
beside the old one, with the same grants, until the old one is taken away: so both work while the adapter changes over,
and no event waits. A suspended identity keeps a grant that denies it everything, which a later plan sees and leaves.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field, replace

from bus.city.model import OPERATIONS
from bus.topology.model import Found, Grant, Kind

IDENTITIES_OF_SERVICES = ("gateway", "workflows", "router", "places", "casebook", "console", "operator")
"""The bus's own processes, and who works with the operators' commands."""

_user = re.compile(
    rf"(?P<identity>agency-[a-z0-9-]+|{'|'.join(IDENTITIES_OF_SERVICES)})\.(?P<number>[1-9][0-9]{{0,5}})"
)
_KINDS: tuple[Kind, ...] = ("topic", "group", "transactional_id")


def agency_identity(agency: str) -> str:
    """The identity of an agency."""
    return f"agency-{agency}"


def user_of(identity: str, number: int = 1) -> str:
    """The user's name of an identity's credentials."""
    return f"{identity}.{number}"


def parted(user: str) -> tuple[str, int] | None:
    """The identity and the number of a user of ours; None for any other user of the cluster."""
    found = _user.fullmatch(user)
    return (found["identity"], int(found["number"])) if found else None


def identities(agencies: Iterable[str]) -> list[str]:
    """All identities of a bus. The operators' own pseudo-agency has no adapter: the operator speaks for it."""
    return [*IDENTITIES_OF_SERVICES, *(agency_identity(agency) for agency in agencies if agency != OPERATIONS)]


def denials(user: str) -> set[Grant]:
    """What cuts a user off at once, connections that stand included: a denial wins over every grant."""
    return {Grant(user, "all", kind, "*", allow=False) for kind in _KINDS}


@dataclass(frozen=True, kw_only=True)
class Standing:
    """Which credentials of each identity count now."""

    numbers: Mapping[str, tuple[int, ...]] = field(default_factory=dict)
    """Identity → the numbers of its users, oldest first."""
    suspended: Mapping[str, tuple[int, ...]] = field(default_factory=dict)
    """Identity → the numbers that are denied everything."""

    def current(self, identity: str) -> tuple[int, ...]:
        """The numbers that count; for one that has none yet, the first."""
        if identity in self.suspended:
            return ()
        return self.numbers.get(identity) or (1,)

    def next_number(self, identity: str) -> int:
        """A number that it never had."""
        return max((*self.numbers.get(identity, ()), *self.suspended.get(identity, ()), 0)) + 1

    def with_next(self, identity: str) -> Standing:
        """With new credentials beside those that it has."""
        numbers = (*self.numbers.get(identity, ()), self.next_number(identity))
        return replace(self, numbers={**self.numbers, identity: numbers}, suspended=_without(self.suspended, identity))

    def with_newest(self, identity: str) -> Standing:
        """With its newest credentials alone."""
        return replace(self, numbers={**self.numbers, identity: self.numbers[identity][-1:]})

    def with_suspended(self, identity: str) -> Standing:
        """With none, and denied everything."""
        numbers = self.numbers.get(identity) or self.suspended.get(identity) or (1,)
        return replace(self, numbers=_without(self.numbers, identity), suspended={**self.suspended, identity: numbers})


def standing_of(found: Found) -> Standing:
    """Which credentials count on a cluster: users with a password, and (mutual TLS) users with grants alone."""
    numbers: dict[str, set[int]] = {}
    suspended: dict[str, set[int]] = {}
    denied = {grant.user for grant in found.grants if denials(grant.user) <= found.grants}
    for user in found.users | {grant.user for grant in found.grants}:
        if (known := parted(user)) is not None:
            identity, number = known
            (suspended if user in denied else numbers).setdefault(identity, set()).add(number)
    return Standing(
        numbers={identity: tuple(sorted(found)) for identity, found in numbers.items() if identity not in suspended},
        suspended={identity: tuple(sorted(found)) for identity, found in suspended.items()},
    )


def _without(numbers: Mapping[str, tuple[int, ...]], identity: str) -> dict[str, tuple[int, ...]]:
    return {name: found for name, found in numbers.items() if name != identity}
