"""Asks the casebook's API, with a deadline, and turns each refusal into the sentence that the API gives."""

from __future__ import annotations

from collections.abc import Iterator
from types import TracebackType
from typing import Any, Self

import httpx

from bus.identity import identity_of
from bus.identity.machine import MachineToken
from schemas.failures import Misconfigured, Retryable, Unprocessable
from services.cli.finding import Whereabouts

ANSWER_SECONDS_MAX = 15.0
"""How long one answer may take."""

PAGE_ROWS_MAX = 500
"""Rows that the API gives at once."""


class CasebookAway(Retryable):
    """The casebook does not answer."""


class NotThere(Unprocessable):
    """There is no such case, event or rejection."""


class Casebook:
    """One conversation with the casebook. Use it as a context."""

    def __init__(self, url: str, auth: httpx.Auth | None = None) -> None:
        self.url = url
        self._client = httpx.Client(base_url=url, timeout=ANSWER_SECONDS_MAX, auth=auth)

    @classmethod
    def here(cls) -> Casebook:
        """The casebook of this environment.

        Raises:
            Misconfigured: nothing says where it is.
        """
        return cls.at(Whereabouts.here())

    @classmethod
    def at(cls, here: Whereabouts) -> Casebook:
        """The casebook of that bus, asked with a token of our own where an issuer is set.

        Raises:
            Misconfigured: nothing says where it is, or who we are.
        """
        identity = identity_of(here.settings, here.city)
        return cls(here.casebook_url, MachineToken(identity) if identity is not None else None)

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._client.close()

    def ask(self, address: str, **parameters: Any) -> dict[str, Any]:
        """One answer.

        Raises:
            CasebookAway: no answer in time, or not now.
            NotThere: there is no such thing, in words.
            Unprocessable: the question is wrong, in words.
            Misconfigured: somebody else answers there, or it asks who we are and we cannot say.
        """
        known = {name: value for name, value in parameters.items() if value is not None}
        try:
            answer = self._client.get(address, params=known)
        except httpx.TransportError as error:
            raise CasebookAway(
                f"the casebook at {self.url} does not answer ({type(error).__name__}). Is the bus running? "
                "Start it with `subak up`; `subak lag` shows whether Kafka is there."
            ) from error
        try:
            found: dict[str, Any] = answer.json()
            detail = str(found.get("detail", ""))
        except (ValueError, AttributeError) as error:
            raise Misconfigured(
                f"{self.url} is no casebook: it answered {answer.status_code} with something else than JSON. "
                "Check SUBAK_CASEBOOK_URL."
            ) from error
        if answer.is_success:
            return found
        if answer.status_code == httpx.codes.NOT_FOUND:
            raise NotThere(detail)
        if answer.status_code == httpx.codes.UNAUTHORIZED:
            raise Misconfigured(
                f"the casebook at {self.url} asks who we are. Set SUBAK_OIDC_ISSUER, SUBAK_OIDC_CLIENT_ID and "
                f"SUBAK_OIDC_CLIENT_SECRET_FILE. It says: {detail}"
            )
        if answer.status_code >= 500:
            raise CasebookAway(f"the casebook cannot answer now ({answer.status_code}): {detail}")
        raise Unprocessable(detail)

    def rows(self, address: str, name: str, *, limit: int | None, **parameters: Any) -> Iterator[dict[str, Any]]:
        """Up to `limit` rows of a list (all where it is None), turning pages as needed."""
        cursor: str | None = None
        left = limit
        while left is None or left > 0:
            size = PAGE_ROWS_MAX if left is None else min(left, PAGE_ROWS_MAX)
            page = self.ask(address, limit=size, cursor=cursor, **parameters)
            yield from page[name]
            left = None if left is None else left - len(page[name])
            cursor = page["next"]
            if cursor is None:
                return

    def whole_id(self, beginning: str) -> str:
        """The one case whose id begins so.

        Raises:
            NotThere: none does, or several do; it says which.
        """
        found = [case["id"] for case in self.rows("/api/cases", "cases", limit=6, id=beginning.lower())]
        if not found:
            raise NotThere(f"no case begins with {beginning}. `subak case list` shows them.")
        if len(found) > 1 and beginning not in found:
            shown = "\n".join(f"  {id}" for id in found[:5])
            raise NotThere(f"{'more than 5' if len(found) > 5 else len(found)} cases begin with {beginning}:\n{shown}")
        return str(found[0] if beginning not in found else beginning)
