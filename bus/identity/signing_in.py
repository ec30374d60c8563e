"""How a person signs in: OpenID Connect's authorization code flow with PKCE, state and nonce; and out again.

What begins in a browser ends in the same one, once: the state, the nonce and the verifier lie sealed in its cookie. The
answer's code is worth nothing without the verifier, and what comes for it must carry the nonce.
"""

from __future__ import annotations

import base64
import hashlib
import hmac
import secrets
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any
from urllib.parse import urlencode, urlsplit

import httpx

from bus.identity.callers import PERSON_ROLES, Caller
from bus.identity.claims import caller_of, found_at
from bus.identity.issuer import Issuer, IssuerAway, Metadata
from bus.identity.tokens import TokenRefused, checked
from schemas.failures import Unprocessable

SECONDS_MAX = 600.0
"""How long a sign-in may take."""

HINT_MAX = 1_800
"""Characters of a proof of sign-in that a session still keeps, to be shown at the way out: a cookie is small."""


class NotSignedIn(Unprocessable):
    """A sign-in that came to nothing, in words."""


@dataclass(frozen=True)
class Begun:
    """A sign-in on its way."""

    state: str
    nonce: str
    verifier: str
    next: str
    """The page to which it leads."""

    @classmethod
    def new(cls, next: str) -> Begun:
        """One that nobody can guess."""
        state, nonce, verifier = (secrets.token_urlsafe(32) for _ in range(3))
        return cls(state, nonce, verifier, next)


@dataclass(frozen=True)
class SignedIn:
    """Who it is, and what the provider wants to see at the way out."""

    caller: Caller
    hint: str


class SigningIn:
    """One client's conversation with the provider."""

    def __init__(self, issuer: Issuer) -> None:
        self._issuer = issuer
        self._identity = issuer.identity

    async def address(self, begun: Begun, redirect_uri: str) -> str:
        """Where to send the browser.

        Raises:
            IssuerAway: nobody can sign in now.
        """
        if self._issuer.away is not None:  # a browser that is sent into the void sees no page of ours
            raise IssuerAway(f"the provider does not answer: {self._issuer.away}")
        metadata = await self._issuer.metadata()
        challenge = base64.urlsafe_b64encode(hashlib.sha256(begun.verifier.encode()).digest()).rstrip(b"=").decode()
        return _with(
            metadata.authorization_endpoint,
            response_type="code",
            client_id=self._identity.client_id,
            redirect_uri=redirect_uri,
            scope=self._identity.scope,
            state=begun.state,
            nonce=begun.nonce,
            code_challenge=challenge,
            code_challenge_method="S256",
        )

    async def finish(self, begun: Begun, answer: Mapping[str, str], redirect_uri: str) -> SignedIn:
        """Who it is, by the provider's answer.

        Raises:
            NotSignedIn: it is no answer to this, or it says no.
            IssuerAway: the provider does not answer.
        """
        metadata = await self._issuer.metadata()
        if not hmac.compare_digest(answer.get("state", "").encode("utf-8", "replace"), begun.state.encode()):
            raise NotSignedIn("the answer belongs to another sign-in")
        iss = answer.get("iss")
        if (iss is None and metadata.authorization_response_iss_parameter_supported) or iss not in (
            None,
            self._identity.issuer,
        ):
            raise NotSignedIn("the answer comes from another provider")
        if "error" in answer or not answer.get("code"):
            said = answer.get("error_description") or answer.get("error") or "it gave no code"
            raise NotSignedIn(f"the provider says: {said[:300]}")
        found = await self._tokens(metadata, answer["code"], begun.verifier, redirect_uri)
        token = found.get("id_token")
        if not isinstance(token, str):
            raise NotSignedIn("the provider gave no id_token: is `openid` in SUBAK_OIDC_SCOPE?")
        try:
            _, claims = await checked(self._issuer, token, audience=self._identity.client_id)
        except TokenRefused as error:
            raise NotSignedIn(str(error)) from error
        if not hmac.compare_digest(str(claims.get("nonce", "")).encode(), begun.nonce.encode()):
            raise NotSignedIn("the provider's proof is of another sign-in: its nonce is missing or another")
        if claims.get("azp", self._identity.client_id) != self._identity.client_id:
            raise NotSignedIn("the provider's proof was made for another client")
        claims = await self._with_more(metadata, claims, found.get("access_token"))
        caller = caller_of(self._identity, claims)
        person = Caller(caller.subject, caller.name, caller.roles & PERSON_ROLES, caller.agency)
        return SignedIn(person, token if len(token) <= HINT_MAX else "")

    def way_out(self, hint: str, back: str) -> str | None:
        """Where a browser signs out at the provider too; None where the provider has no such place, or is not known."""
        metadata = self._issuer.known
        if metadata is None or metadata.end_session_endpoint is None or self._issuer.away is not None:
            return None
        known = {"id_token_hint": hint} if hint else {}
        return _with(
            metadata.end_session_endpoint, client_id=self._identity.client_id, post_logout_redirect_uri=back, **known
        )

    async def _tokens(self, metadata: Metadata, code: str, verifier: str, redirect_uri: str) -> dict[str, Any]:
        fields = {
            "grant_type": "authorization_code",
            "code": code,
            "redirect_uri": redirect_uri,
            "code_verifier": verifier,
        }
        try:
            answer = await self._issuer.client.post(
                metadata.token_endpoint,
                **as_client(self._identity.client_id, self._identity.client_secret, metadata, fields),
            )
            found: dict[str, Any] = answer.json()
        except (httpx.HTTPError, ValueError) as error:
            raise IssuerAway(f"{metadata.token_endpoint} does not answer ({type(error).__name__})") from error
        if answer.status_code >= 500:
            raise IssuerAway(f"{metadata.token_endpoint} answered {answer.status_code}")
        if not answer.is_success:
            said = found.get("error_description") or found.get("error") if isinstance(found, dict) else None
            raise NotSignedIn(f"the provider gives nothing for the code: {str(said)[:300]}")
        return found if isinstance(found, dict) else {}

    async def _with_more(self, metadata: Metadata, claims: dict[str, Any], access_token: Any) -> dict[str, Any]:
        """The claims, and the provider's further ones where these do not tell the roles."""
        told = found_at(claims, self._identity.roles_claim) is not None
        if told or metadata.userinfo_endpoint is None or not isinstance(access_token, str):
            return claims
        try:
            answer = await self._issuer.client.get(
                metadata.userinfo_endpoint, headers={"authorization": f"Bearer {access_token}"}
            )
            more = answer.json() if answer.is_success else {}
        except (httpx.HTTPError, ValueError) as error:
            raise IssuerAway(f"{metadata.userinfo_endpoint} does not answer ({type(error).__name__})") from error
        if not isinstance(more, dict) or more.get("sub") != claims["sub"]:  # as the standard asks: 5.3.2
            return claims
        return {**more, **claims}


def as_client(id: str, secret: str, metadata: Metadata, fields: Mapping[str, str]) -> dict[str, Any]:
    """How a client of the provider sends a form and says who it is: as the provider takes it."""
    if "client_secret_basic" in metadata.token_endpoint_auth_methods_supported:
        quoted = (urlencode({"": part})[1:] for part in (id, secret))  # RFC 6749, 2.3.1
        return {"data": dict(fields), "auth": httpx.BasicAuth(*quoted)}
    return {"data": {**fields, "client_id": id, "client_secret": secret}}


def _with(address: str, **parameters: str) -> str:
    return f"{address}{'&' if urlsplit(address).query else '?'}{urlencode(parameters)}"
