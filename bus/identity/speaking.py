"""How the console says for whom it asks the casebook, beside its own token: who it is, with which roles.

Worth nothing by itself: the casebook reads it only where the token has the role `console`, and gives the person's
rights, never the console's.
"""

from __future__ import annotations

import base64
import json
from contextvars import ContextVar

from bus.identity.callers import EVERYBODY, PERSON_ROLES, Caller
from schemas.failures import Unprocessable

HEADER = "subak-for"

LENGTH_MAX = 4_096

ASKING: ContextVar[Caller] = ContextVar("asking", default=EVERYBODY)
"""The person for whom this request is handled."""


class NotSaid(Unprocessable):
    """What stands in the header says nothing."""


def said(caller: Caller) -> str:
    """The header's value."""
    content = {
        "sub": caller.subject,
        "name": caller.name,
        "roles": sorted(caller.roles),
        "agency": caller.agency,
    }
    return base64.urlsafe_b64encode(json.dumps(content).encode()).decode()


def heard(text: str, agencies: frozenset[str]) -> Caller:
    """The person that `said` names.

    Raises:
        NotSaid: it names none, or one that cannot be.
    """
    try:
        if len(text) > LENGTH_MAX:
            raise ValueError("too long")
        content = json.loads(base64.urlsafe_b64decode(text.encode()))
        subject, name, agency = content["sub"], content["name"], content["agency"]
        roles = frozenset(content["roles"])
        if not (isinstance(subject, str) and subject and isinstance(name, str) and roles <= PERSON_ROLES):
            raise ValueError("another form")
        if (agency is not None and agency not in agencies) or ("agency" in roles and agency is None):
            raise ValueError("no such agency")
    except (ValueError, KeyError, TypeError, RecursionError) as error:
        raise NotSaid("the header Subak-For does not say for whom this is asked") from error
    return Caller(subject, name, roles, agency)
