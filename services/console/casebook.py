"""Asks the casebook's API for a page, with a deadline. What the casebook refuses comes back as the page to show.

The one answer that costs the casebook a look at all cases, the summary, is kept for a moment: however many browsers
look, it is asked once, and behind their backs while the one before is young enough to be shown.
"""

from __future__ import annotations

import asyncio
import contextvars
import time
from typing import Any
from urllib.parse import quote

import httpx

from bus.identity.speaking import ASKING, HEADER, said
from schemas.failures import Retryable, SubakError, Unprocessable

ANSWER_SECONDS_MAX = 10.0
"""How long one answer may take."""

FRESH_SECONDS, KEEP_SECONDS = 2.0, 30.0
"""How old a kept summary may be before a newer one is asked for, and before nobody is shown it any more."""

Answer = dict[str, Any]


class CasebookAway(Retryable):
    """The casebook does not answer."""


class NotThere(Unprocessable):
    """There is no such case, event or rejection; in words."""


class WrongQuestion(Unprocessable):
    """A parameter is wrong; in words."""


class NotAllowed(Unprocessable):
    """The casebook does not show this to whoever asks; in words."""


class Casebook:
    """One process's conversation with the casebook: with its own token, and for whoever is signed in."""

    def __init__(self, url: str, auth: httpx.Auth | None = None) -> None:
        self.url = url.rstrip("/")
        self._asks = auth is not None
        self._client = httpx.AsyncClient(base_url=self.url, timeout=ANSWER_SECONDS_MAX, auth=auth)
        self._summary: Answer | None = None
        self._summary_at = 0.0
        self._asking: asyncio.Task[Answer | SubakError] | None = None

    async def ask(self, address: str, **parameters: Any) -> Answer:
        """One answer.

        Raises:
            CasebookAway: no answer in time, or not now.
            NotThere: there is no such thing.
            WrongQuestion: a parameter is wrong.
            NotAllowed: not for whoever asks.
            IssuerAway: the provider gives this process no token.
        """
        caller = ASKING.get()
        said_for = {HEADER: said(caller)} if self._asks and caller.subject else {}
        known = {name: value for name, value in parameters.items() if value not in (None, "")}
        try:
            answer = await self._client.get(address, params=known, headers=said_for)
            found: Answer = answer.json()
            detail = str(found.get("detail", ""))
        except (httpx.HTTPError, httpx.InvalidURL, ValueError, AttributeError) as error:
            raise CasebookAway(f"the casebook at {self.url} does not answer ({type(error).__name__})") from error
        if answer.is_success:
            return found
        if answer.status_code == httpx.codes.NOT_FOUND:
            raise NotThere(detail)
        if answer.status_code == httpx.codes.UNPROCESSABLE_ENTITY:
            raise WrongQuestion(detail)
        if answer.status_code == httpx.codes.FORBIDDEN:
            raise NotAllowed(detail)
        raise CasebookAway(f"the casebook cannot answer now ({answer.status_code}): {detail}")

    async def has_case(self, id: str) -> bool:
        """Whether there is such a case: what was refused may never have become one.

        Raises:
            CasebookAway, NotAllowed, IssuerAway: as `ask`.
        """
        try:
            await self.ask(f"/api/cases/{quote(id, safe='')}")
        except (NotThere, WrongQuestion):
            return False
        return True

    async def summary(self) -> Answer:
        """The whole city, as it was at most `KEEP_SECONDS` ago.

        Raises:
            CasebookAway: no answer in time, or not now.
        """
        age = time.monotonic() - self._summary_at
        if self._summary is not None and age <= FRESH_SECONDS:
            return self._summary
        if self._asking is None or self._asking.done():
            nobody = contextvars.Context()  # one answer for all who look: asked by this process, for nobody
            self._asking = asyncio.create_task(self._ask_summary(), name="asking for the summary", context=nobody)
        if self._summary is not None and age <= KEEP_SECONDS:
            return self._summary
        found = await asyncio.shield(self._asking)
        if isinstance(found, SubakError):
            raise CasebookAway(str(found))
        return found

    async def _ask_summary(self) -> Answer | SubakError:
        """The answer, or why there is none: it may be that nobody waits for it."""
        try:
            self._summary = await self.ask("/api/summary")
        except SubakError as error:
            self._summary = None
            return error
        self._summary_at = time.monotonic()
        return self._summary

    def forget(self) -> None:
        """Ask for the summary anew the next time."""
        self._summary = None

    async def close(self) -> None:
        """End the conversation."""
        if self._asking is not None:
            self._asking.cancel()
            await asyncio.gather(self._asking, return_exceptions=True)
        await self._client.aclose()
