"""How an SQL source looks again and again: what is away is waited out, and a defect of ours stops no other source."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable

from bus.backoff import Backoff
from bus.logs import get_logger
from schemas.failures import Misconfigured, Retryable

log = get_logger("sql_source")


class Trying:
    """The looks of one source."""

    def __init__(self, source: str) -> None:
        self.problem: str | None = None
        """Why nothing is read just now; None when all is well."""
        self._source = source
        self._backoff = Backoff(0.2, 30.0)

    async def once(self, read: Callable[[], Awaitable[int]]) -> int | None:
        """How many rows one look handled; None where it failed, after a pause that grows from one failure to the next.

        Raises:
            Misconfigured: no other look would help.
        """
        try:
            handled = await read()
        except Misconfigured:
            raise
        except Retryable as error:
            self.problem = str(error)
            log.warning("sql_source_waited", source=self._source, error=str(error), failures=self._backoff.failures)
        except Exception as error:
            self.problem = f"the adapter itself failed: {type(error).__name__}"
            log.exception("sql_source_failed", source=self._source, failures=self._backoff.failures)
        else:
            self._backoff.reset()
            self.problem = None
            return handled
        await asyncio.sleep(self._backoff.next_seconds())
        return None
