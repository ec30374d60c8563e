"""How a process or a command says who it is to the casebook: a token of its own (client credentials), kept and renewed.

Renewed from half its life on: while the provider is away the old one serves until it ends.
"""

from __future__ import annotations

import time
from collections.abc import AsyncGenerator, Callable, Generator
from typing import Any

import httpx

from bus.identity.issuer import ANSWER_SECONDS_MAX, IssuerAway, Metadata
from bus.identity.settings import Identity
from bus.identity.signing_in import as_client
from bus.logs import get_logger
from schemas.failures import Misconfigured

log = get_logger("identity")

AGAIN_SECONDS = 5.0
"""Pause before a provider that was away is asked again for a renewal."""


class MachineToken(httpx.Auth):
    """Give it to an httpx client as `auth`, synchronous or not."""

    def __init__(self, identity: Identity, clock: Callable[[], float] = time.monotonic) -> None:
        identity.require_client("asking the casebook")
        self._identity = identity
        self._clock = clock
        self._token = ""
        self._renew_at = self._ends_at = 0.0

    def sync_auth_flow(self, request: httpx.Request) -> Generator[httpx.Request, httpx.Response, None]:
        """Adds the token; where it is refused, a new one, once."""
        for _ in range(2):
            if self._clock() >= self._renew_at:
                with httpx.Client(timeout=ANSWER_SECONDS_MAX, verify=self._identity.tls) as client:
                    try:
                        self._take(client.request(**self._question(client.get(self._discovery))))
                    except (httpx.HTTPError, ValueError, KeyError, TypeError) as error:
                        self._was_away(error)
            if (yield self._signed(request)).status_code != httpx.codes.UNAUTHORIZED:
                return
            self._renew_at = 0.0

    async def async_auth_flow(self, request: httpx.Request) -> AsyncGenerator[httpx.Request, httpx.Response]:
        """Adds the token; where it is refused, a new one, once."""
        for _ in range(2):
            if self._clock() >= self._renew_at:
                async with httpx.AsyncClient(timeout=ANSWER_SECONDS_MAX, verify=self._identity.tls) as client:
                    try:
                        self._take(await client.request(**self._question(await client.get(self._discovery))))
                    except (httpx.HTTPError, ValueError, KeyError, TypeError) as error:
                        self._was_away(error)
            if (yield self._signed(request)).status_code != httpx.codes.UNAUTHORIZED:
                return
            self._renew_at = 0.0

    @property
    def _discovery(self) -> str:
        return self._identity.issuer.rstrip("/") + "/.well-known/openid-configuration"

    def _question(self, answer: httpx.Response) -> dict[str, Any]:
        answer.raise_for_status()
        metadata = Metadata.model_validate(answer.json())
        if metadata.issuer != self._identity.issuer:
            raise ValueError(f"the provider calls itself {metadata.issuer}")
        fields = {"grant_type": "client_credentials"}
        if self._identity.machine_scope:
            fields["scope"] = self._identity.machine_scope
        if ":" in self._identity.audience:  # RFC 8707: a resource is named by its URI
            fields["resource"] = self._identity.audience
        known = as_client(self._identity.client_id, self._identity.client_secret, metadata, fields)
        return {"method": "POST", "url": metadata.token_endpoint, **known}

    def _take(self, answer: httpx.Response) -> None:
        found = answer.json()
        if answer.is_client_error:
            raise Misconfigured(
                f"the provider gives {self._identity.client_id} no token: "
                f"{found.get('error_description') or found.get('error')}. Check the client, its secret, and whether "
                f"it may ask for {self._identity.audience}."
            )
        answer.raise_for_status()
        self._token = str(found["access_token"])
        now, seconds = self._clock(), float(found.get("expires_in", 60))
        self._renew_at, self._ends_at = now + seconds / 2, now + seconds

    def _was_away(self, error: Exception) -> None:
        now = self._clock()
        if now >= self._ends_at:
            raise IssuerAway(
                f"the provider {self._identity.issuer} gives no token now ({type(error).__name__}): the casebook "
                "cannot be asked."
            ) from error
        log.warning("token_not_renewed", error=f"{type(error).__name__}", left_seconds=round(self._ends_at - now))
        self._renew_at = min(now + AGAIN_SECONDS, self._ends_at)

    def _signed(self, request: httpx.Request) -> httpx.Request:
        request.headers["authorization"] = f"Bearer {self._token}"
        return request
