"""Checks a JWT of the provider: by whom, for whom, until when, signed with a key that only the provider has.

Which algorithms count is said here and nowhere else: none that needs a shared secret, so a public key can never pass
for one, and never `none`. What a token says of itself (`alg`, `kid`) chooses among the provider's keys and no more.
"""

from __future__ import annotations

from typing import Any

from joserfc import jws, jwt
from joserfc.errors import ExpiredTokenError, InvalidClaimError, JoseError, MissingClaimError
from joserfc.jwt import JWTClaimsRegistry

from bus.identity.callers import Caller
from bus.identity.claims import caller_of
from bus.identity.issuer import Issuer
from schemas.failures import Unprocessable

ALGORITHMS = ("RS256", "RS384", "RS512", "PS256", "PS384", "PS512", "ES256", "ES384", "ES512", "EdDSA", "Ed25519")

LEEWAY_SECONDS = 30
"""How far the provider's clock may be off."""

LENGTH_MAX = 16_384
"""Characters of a token."""

_ACCESS_TYPES = frozenset({"", "jwt", "at+jwt", "application/at+jwt"})
"""`typ` in the header of what may be an access token (RFC 9068; many providers say JWT)."""

_OTHER_TYPES = frozenset({"ID", "Refresh", "Offline", "Logout"})
"""`typ` among Keycloak's claims of what is none."""


class TokenRefused(Unprocessable):
    """A token that proves nothing here, with the reason."""


async def caller_by(issuer: Issuer, token: str) -> Caller:
    """Whoever this access token was given to.

    Raises:
        TokenRefused: it proves nothing, or not here, or not any more.
        IssuerAway: the provider's keys were never read.
    """
    header, claims = await checked(issuer, token, audience=issuer.identity.audience)
    if str(header.get("typ", "")).lower() not in _ACCESS_TYPES or claims.get("typ") in _OTHER_TYPES:
        raise TokenRefused("this is no access token: ask the provider for one")
    return caller_of(issuer.identity, claims)


async def checked(issuer: Issuer, token: str, *, audience: str) -> tuple[dict[str, Any], dict[str, Any]]:
    """The header and the claims of a token that is good.

    Raises:
        TokenRefused: it is not.
        IssuerAway: the provider's keys were never read.
    """
    try:
        if len(token) > LENGTH_MAX:
            raise TokenRefused("the token is too long")
        header = jws.extract_compact(token.encode()).headers()
        if header.get("alg") not in ALGORITHMS:
            raise TokenRefused("the token is signed with an algorithm that does not count here")
        kid = header.get("kid")
        key = await issuer.key(kid if isinstance(kid, str) else None)
        if key is None:
            raise TokenRefused("the provider has no such key: the token is another's, or older than the newest keys")
        claims = jwt.decode(token, key, algorithms=ALGORITHMS).claims
        JWTClaimsRegistry(
            leeway=LEEWAY_SECONDS,
            iss={"essential": True, "value": issuer.identity.issuer},
            aud={"essential": True, "value": audience},
            exp={"essential": True},
            sub={"essential": True},
        ).validate(claims)
    except ExpiredTokenError as error:
        raise TokenRefused("the token has expired: ask for a new one") from error
    except (InvalidClaimError, MissingClaimError) as error:
        raise TokenRefused(f"the token is not for here: its {error.claim} is missing or another") from error
    except (JoseError, ValueError, TypeError, KeyError, RecursionError) as error:
        raise TokenRefused("this is no token of the provider") from error
    return header, claims
