"""Who asks for a page: what the gate found, for those behind it."""

from __future__ import annotations

from starlette.requests import Request

from bus.identity import EVERYBODY, Caller


def caller_in(request: Request) -> Caller:
    """Whoever is signed in; everybody, where nobody is asked."""
    found: Caller = getattr(request.state, "caller", EVERYBODY)
    return found
