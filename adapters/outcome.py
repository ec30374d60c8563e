"""What an answer of the agency's system means for an event: taken, refused, or to be tried again. Pure.

The difference decides who waits. A *refusal* (4xx) is about this event: it is tried a bounded number of times, then
parked, and only its own case waits. *Away* (no answer, 5xx, 408, 425, 429, a redirect) is about the system: nothing is
parked, however long it lasts.
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import UTC, datetime
from email.utils import parsedate_to_datetime
from typing import Literal

AWAY_STATUSES = frozenset({408, 425, 429})

RETRY_AFTER_SECONDS_MAX = 3600.0
"""A system may ask for that much patience at once, and no more."""

REASON_CHARACTERS_MAX = 500


@dataclass(frozen=True, slots=True)
class Outcome:
    """What became of one call."""

    kind: Literal["delivered", "refused", "away"]
    reason: str = ""
    """In words, for whoever looks at what is parked or waits."""
    retry_after_seconds: float | None = None
    """How long the whole system wishes to be left alone."""


DELIVERED = Outcome("delivered")


def judge(status: int, *, said: str = "", retry_after: str | None = None, location: str | None = None) -> Outcome:
    """The outcome of an answer with this status.

    Args:
        said: the beginning of the answer's body.
        retry_after: the header `Retry-After`: seconds, or an HTTP date.
        location: the header `Location`.
    """
    if 200 <= status < 300:
        return DELIVERED
    reason = " ".join(f"the system answered {status}: {said}".split())[:REASON_CHARACTERS_MAX].rstrip(": ")
    if 300 <= status < 400:
        where = f" to {location[:200]}" if location else ""
        advice = f"the system answered {status}, a redirect{where}, which is not followed. Set webhook.url to its end."
        return Outcome("away", advice)
    if status in AWAY_STATUSES or status >= 500:
        return Outcome("away", reason, _seconds(retry_after))
    return Outcome("refused", reason)


def _seconds(retry_after: str | None) -> float | None:
    if retry_after is None:
        return None
    text = retry_after.strip()
    if text.isascii() and text.isdigit():
        return min(float(text[:9]), RETRY_AFTER_SECONDS_MAX)
    try:
        until = parsedate_to_datetime(text)
    except ValueError:
        return None
    seconds = (until if until.tzinfo else until.replace(tzinfo=UTC)).timestamp() - datetime.now(UTC).timestamp()
    return min(max(0.0, seconds), RETRY_AFTER_SECONDS_MAX)
