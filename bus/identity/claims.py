"""From what the provider says of somebody to a caller: names, roles, agency. Pure; whoever calls has checked the token.

Tolerant of form (a claim may be a text, a list, or lie deeper: `realm_access.roles`), strict in effect: a word that the
settings do not name gives nothing, and the role `agency` counts only with an agency that the city has.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any

from bus.identity.callers import Caller, Role
from bus.identity.settings import Identity

NAME_MAX = 200
"""Characters of a name, as the log keeps it."""

Claims = Mapping[str, Any]


def caller_of(identity: Identity, claims: Claims) -> Caller:
    """Whoever these claims are about."""
    roles: set[Role] = set()
    agencies: set[str] = set()
    for word in _words(found_at(claims, identity.roles_claim)):
        if (known := identity.roles.get(word)) is not None:
            roles.add(known[0])
            agencies |= {known[1]} if known[1] else set()
    if not agencies:
        agencies = set(_words(found_at(claims, identity.agency_claim)))
    agency = next(iter(agencies)) if len(agencies) == 1 and agencies <= identity.agencies else None
    if agency is None:
        roles.discard("agency")
    if not roles and identity.default_role is not None:
        roles.add(identity.default_role)
    subject = str(claims["sub"])
    return Caller(
        subject=subject,
        name=_name(claims.get(identity.name_claim)) or _name(claims.get("client_id")) or _name(subject) or "?",
        roles=frozenset(roles),
        agency=agency if "agency" in roles else None,
    )


def found_at(claims: Claims, path: str) -> Any:
    """The claim of that name; where there is none, the value at the dotted path. None where there is none."""
    if path in claims:
        return claims[path]
    found: Any = claims
    for step in path.split("."):
        if not isinstance(found, Mapping) or step not in found:
            return None
        found = found[step]
    return found


def _words(value: Any) -> Iterable[str]:
    if isinstance(value, str):
        return (value,) if value else ()
    return [each for each in value if isinstance(each, str) and each] if isinstance(value, list) else ()


def _name(value: Any) -> str:
    """One line, as it may stand in a log: without control characters and without marks that turn the text around."""
    text = value if isinstance(value, str) else ""
    return " ".join("".join(each if each.isprintable() else " " for each in text).split())[:NAME_MAX]
