"""Times as the casebook's tables hold them: UTC, as text of one width, so that text order is time order. Pure.

The same on SQLite and PostgreSQL, read by people without a tool, cast by PostgreSQL with `::timestamptz`.
"""

from __future__ import annotations

from datetime import UTC, datetime
from functools import lru_cache


def utc_text(moment: datetime) -> str:
    """`2026-11-24T08:00:00.000000Z`. `moment` must be aware."""
    return moment.astimezone(UTC).isoformat(timespec="microseconds")[:-6] + "Z"


@lru_cache(4096)  # a transaction's records share their moment
def utc_text_of_ms(timestamp_ms: int) -> str:
    """The same for milliseconds since 1970."""
    return utc_text(datetime.fromtimestamp(timestamp_ms / 1000, UTC))


def utc_text_or_none(text: object) -> str | None:
    """The same for a time of RFC 3339 as it came; None for anything else."""
    return _of_text(text) if isinstance(text, str) else None


@lru_cache(4096)  # what a decision sends shares its moment
def _of_text(text: str) -> str | None:
    try:
        moment = datetime.fromisoformat(text.upper())
        return utc_text(moment) if moment.tzinfo is not None else None
    except (ValueError, OverflowError):
        return None
