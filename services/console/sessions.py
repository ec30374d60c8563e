"""Who is signed in: a sealed cookie, good until its time or until its person signs out; nothing is kept here.

A browser can neither read nor change it. What was signed out does not come back, as long as this process lives.
"""

from __future__ import annotations

import hashlib
import secrets
import time
from collections.abc import Mapping
from dataclasses import asdict, dataclass
from typing import Any

from starlette.requests import HTTPConnection
from starlette.responses import Response

from bus.identity import Caller, Identity, Issuer
from bus.identity.callers import PERSON_ROLES
from bus.identity.sealing import Seal, Spent
from bus.identity.signing_in import SECONDS_MAX, Begun, NotSignedIn, SignedIn, SigningIn
from bus.logs import get_logger

log = get_logger("sessions")

COOKIE, ON_ITS_WAY = "subak-session", "subak-signing-in"

HERE = "/auth/callback"
"""Where the provider leads a browser back to."""

LETTERS_OF_STATE = 12
"""Each sign-in on its way has a cookie of its own, so that two tabs do not disturb each other."""


@dataclass(frozen=True)
class Session:
    """Somebody who is signed in."""

    id: str
    caller: Caller
    until: float
    """In seconds since 1970."""
    hint: str = ""
    """What the provider wants to see at the way out."""


class Sessions:
    """Begins, finds and ends them."""

    def __init__(self, identity: Identity, console_url: str) -> None:
        self.issuer = Issuer(identity)
        self._identity = identity
        self._url = console_url.rstrip("/")
        self._signing = SigningIn(self.issuer)
        secret = identity.session_secret.encode() or secrets.token_bytes(32)
        self._seal = Seal(secret)
        self._spent = Spent()

    # -- in

    async def begin(self, request: HTTPConnection, next: str) -> tuple[str, tuple[str, str]]:
        """Where to send the browser, and the cookie that it needs to come back.

        Raises:
            IssuerAway: nobody can sign in now.
        """
        begun = Begun.new(next)
        address = await self._signing.address(begun, self._base(request) + HERE)
        sealed = self._seal.seal(ON_ITS_WAY, asdict(begun), until=time.time() + SECONDS_MAX)
        return address, (self._name(request, _on_its_way(begun.state)), sealed)

    async def finish(self, request: HTTPConnection, answer: Mapping[str, str]) -> tuple[Session, str]:
        """Who came back, and the page to which they wanted.

        Raises:
            NotSignedIn: the answer is no answer to what began in this browser, or it says no.
            IssuerAway: the provider does not answer.
        """
        name = self._name(request, _on_its_way(answer.get("state", "")))
        found = self._seal.open(ON_ITS_WAY, request.cookies.get(name))
        if found is None:
            raise NotSignedIn("this sign-in did not begin in this browser, or it took too long")
        until = float(found.pop("exp"))
        begun = Begun(**found)
        if not self._spent.spend(begun.state, until=until):
            raise NotSignedIn("this sign-in has been answered already")
        who: SignedIn = await self._signing.finish(begun, answer, self._base(request) + HERE)
        session = Session(secrets.token_urlsafe(16), who.caller, time.time() + self._identity.session_seconds, who.hint)
        log.info("signed_in", subject=who.caller.subject, roles=sorted(who.caller.roles), agency=who.caller.agency)
        return session, begun.next

    # -- while

    def of(self, request: HTTPConnection) -> Session | None:
        """Who this browser belongs to; None where nobody is signed in."""
        found = self._seal.open(COOKIE, request.cookies.get(self._name(request, COOKIE)))
        session = _session(found) if found is not None else None
        return None if session is None or session.id in self._spent else session

    def is_over(self, session: Session) -> bool:
        """Whether it has ended since it was found."""
        return session.id in self._spent or session.until <= time.time()

    def keep(self, request: HTTPConnection, answer: Response, session: Session) -> None:
        """Give the browser the session, and take the sign-in that led to it."""
        content = {
            "id": session.id,
            "sub": session.caller.subject,
            "name": session.caller.name,
            "roles": sorted(session.caller.roles),
            "agency": session.caller.agency,
            "hint": session.hint,
        }
        self.set(request, answer, self._name(request, COOKIE), self._seal.seal(COOKIE, content, until=session.until))
        self.drop(request, answer, self._name(request, _on_its_way(request.query_params.get("state", ""))))

    # -- out

    def end(self, request: HTTPConnection, session: Session, back: str) -> str:
        """End it; gives the address to which the browser goes: the provider's way out, or `back`, a page of ours."""
        self._spent.spend(session.id, until=session.until)
        log.info("signed_out", subject=session.caller.subject)
        return self._signing.way_out(session.hint, self._base(request) + back) or back

    def forget(self, request: HTTPConnection, answer: Response) -> None:
        """Take the session from the browser."""
        self.drop(request, answer, self._name(request, COOKIE))

    # -- cookies

    def set(self, request: HTTPConnection, answer: Response, name: str, value: str) -> None:
        """Lax, because the provider's page leads back here; gone when the browser closes."""
        answer.set_cookie(name, value, path="/", httponly=True, samesite="lax", secure=self._is_secure(request))

    def drop(self, request: HTTPConnection, answer: Response, name: str) -> None:
        """Take one from the browser."""
        answer.delete_cookie(name, path="/", httponly=True, samesite="lax", secure=self._is_secure(request))

    def form_targets(self) -> list[str]:
        """Origins to which a form of ours may lead: the provider's way out."""
        known = self.issuer.known
        address = known.end_session_endpoint if known is not None else None
        return ["/".join(address.split("/", 3)[:3])] if address else []

    def _base(self, request: HTTPConnection) -> str:
        """Where people find us. Without a setting we listen on loopback alone, and the host was checked."""
        return self._url or f"http://{request.headers.get('host', '')}"

    def _is_secure(self, request: HTTPConnection) -> bool:
        return self._base(request).startswith("https:")

    def _name(self, request: HTTPConnection, name: str) -> str:
        """With https no other host of the domain can set it (RFC 6265bis, 4.1.3.2)."""
        return f"__Host-{name}" if self._is_secure(request) else name


def _on_its_way(state: str) -> str:
    return f"{ON_ITS_WAY}-{hashlib.sha256(state.encode('utf-8', 'replace')).hexdigest()[:LETTERS_OF_STATE]}"


def _session(found: Mapping[str, Any]) -> Session | None:
    try:
        caller = Caller(found["sub"], found["name"], frozenset(found["roles"]) & PERSON_ROLES, found["agency"])
        return Session(found["id"], caller, float(found["exp"]), found["hint"])
    except (KeyError, TypeError, ValueError):
        return None
