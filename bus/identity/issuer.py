"""The provider as it says of itself (OpenID Connect Discovery) and its keys (JWKS), kept while it is away.

Both are read again every minute, so an outage is told before anybody signs in, and a key that is new is asked for at
once. While the provider is away what is known counts on: tokens and sessions that were given stay good until they end.
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable
from typing import Any

import httpx
from joserfc.errors import JoseError
from joserfc.jwk import ECKey, Key, KeySet, OKPKey, RSAKey
from pydantic import BaseModel, ValidationError

from bus import metrics
from bus.identity.settings import Identity, require_safe
from bus.logs import get_logger
from schemas.failures import Misconfigured, Retryable

log = get_logger("identity")

KEEP_SECONDS = 60.0
"""How often both are read again."""

AGAIN_SECONDS = 5.0
"""How soon an unknown key, or a provider that was away, is asked for again."""

ANSWER_SECONDS_MAX = 5.0
"""How long the provider may take."""

ANSWER_BYTES_MAX = 1_000_000

_KINDS: dict[str, Callable[[Any], Key]] = {
    "RSA": RSAKey.import_key,
    "EC": ECKey.import_key,
    "OKP": OKPKey.import_key,
}
"""Kinds of keys that sign with a secret which only the provider holds."""


class IssuerAway(Retryable):
    """The provider does not answer, or not as it must."""


class Metadata(BaseModel):
    """What the provider says of itself, as far as it is used."""

    issuer: str
    jwks_uri: str
    authorization_endpoint: str
    token_endpoint: str
    userinfo_endpoint: str | None = None
    end_session_endpoint: str | None = None
    token_endpoint_auth_methods_supported: list[str] = ["client_secret_basic"]
    authorization_response_iss_parameter_supported: bool = False

    def endpoints(self) -> list[str]:
        """All addresses that are asked, or to which a browser is led."""
        found = [self.jwks_uri, self.authorization_endpoint, self.token_endpoint]
        return [*found, *(each for each in (self.userinfo_endpoint, self.end_session_endpoint) if each)]


class Issuer:
    """One provider. `keep` it in the background; ask `metadata` and `key`."""

    def __init__(self, identity: Identity, clock: Callable[[], float] = time.monotonic) -> None:
        self.identity = identity
        self.away: str | None = "the provider has not been asked yet"
        """Why nobody can sign in now, in words; None where all is well."""
        self.client = httpx.AsyncClient(timeout=ANSWER_SECONDS_MAX, verify=identity.tls, follow_redirects=False)
        self.known: Metadata | None = None
        self._clock = clock
        self._keys = KeySet([])
        self._read_at: float | None = None
        self._reading = asyncio.Lock()

    async def keep(self) -> None:
        """Read both again and again, until cancelled."""
        while True:
            await self._read(older_than_seconds=0)
            await asyncio.sleep(KEEP_SECONDS if self.away is None else AGAIN_SECONDS)

    async def metadata(self) -> Metadata:
        """What the provider says of itself.

        Raises:
            IssuerAway: it was never heard.
        """
        if self.known is None:
            await self._read(older_than_seconds=AGAIN_SECONDS)
        if self.known is None:
            raise IssuerAway(f"the provider {self.identity.issuer} cannot be asked: {self.away}")
        return self.known

    async def key(self, kid: str | None) -> Key | None:
        """The key of that id; without one the only key. None where the provider has no such key.

        Raises:
            IssuerAway: its keys were never read.
        """
        if (found := self._find(kid)) is None:
            await self._read(older_than_seconds=AGAIN_SECONDS)
            found = self._find(kid)
        if found is None and not self._keys.keys:
            raise IssuerAway(f"the keys of {self.identity.issuer} cannot be read: {self.away}")
        return found

    def _find(self, kid: str | None) -> Key | None:
        keys = self._keys.keys
        if kid is None:
            return keys[0] if len(keys) == 1 else None
        return next((key for key in keys if key.kid == kid), None)

    async def _read(self, *, older_than_seconds: float) -> None:
        async with self._reading:
            if self._read_at is not None and self._clock() - self._read_at < older_than_seconds:
                return
            before = self.away
            try:
                metadata = await self._ask_metadata()
                keys = _signing(await self._ask(metadata.jwks_uri))
                if not keys:
                    raise IssuerAway(f"{metadata.jwks_uri} has no key that signs")
                self.known, self._keys, self.away = metadata, KeySet(keys), None
            except IssuerAway as error:
                self.away = str(error)
            self._read_at = self._clock()
            metrics.identity_provider_up.labels(self.identity.issuer).set(self.away is None)
            if self.away is not None and self.away != before:
                log.warning("provider_away", issuer=self.identity.issuer, error=self.away)
            elif self.away is None and before is not None:
                log.info("provider_answers", issuer=self.identity.issuer)

    async def _ask_metadata(self) -> Metadata:
        issuer = self.identity.issuer
        answer = await self._ask(issuer.rstrip("/") + "/.well-known/openid-configuration")
        try:
            found = Metadata.model_validate(answer)
            for each in found.endpoints():
                require_safe(each, "an endpoint of the provider")
        except (ValidationError, Misconfigured) as error:
            raise IssuerAway(f"what {issuer} says of itself is not usable: {error}") from error
        if found.issuer != issuer:
            raise IssuerAway(
                f"SUBAK_OIDC_ISSUER is {issuer!r} and the provider calls itself {found.issuer!r}: both must be "
                "the same to the letter."
            )
        return found

    async def _ask(self, address: str) -> Any:
        try:
            answer = await self.client.get(address)
            if answer.status_code != httpx.codes.OK or len(answer.content) > ANSWER_BYTES_MAX:
                raise IssuerAway(f"{address} answered {answer.status_code}")
            return answer.json()
        except (httpx.HTTPError, httpx.InvalidURL, ValueError) as error:
            raise IssuerAway(f"{address} does not answer ({type(error).__name__})") from error

    async def close(self) -> None:
        """Let connections go."""
        await self.client.aclose()


def _signing(answer: Any) -> list[Key]:
    """The keys that sign; a kind that is not known is left out (RFC 7517, 5)."""
    found = []
    for data in answer.get("keys", []) if isinstance(answer, dict) else []:
        if isinstance(data, dict) and data.get("kty") in _KINDS and data.get("use", "sig") == "sig":
            try:
                found.append(_KINDS[data["kty"]](data))
            except (JoseError, ValueError, TypeError, KeyError):
                continue
    return found
