"""Times as the casebook's tables hold them: UTC, as text of one width, so that text order is time order. Pure.

The same on SQLite and PostgreSQL, read by people without a tool, cast by PostgreSQL with `::timestamptz`.
"""

from __future__ import annotations

from datetime import UTC, datetime


def utc_text(moment: datetime) -> str:
    """`2026-11-24T08:00:00.000000Z`. `moment` must be aware."""
    return moment.astimezone(UTC).isoformat(timespec="microseconds")[:-6] + "Z"


def utc_text_of_ms(timestamp_ms: int) -> str:
    """The same for milliseconds since 1970."""
    return utc_text(datetime.fromtimestamp(timestamp_ms / 1000, UTC))


def utc_text_or_none(text: object) -> str | None:
    """The same for a time of RFC 3339 as it came; None for anything else."""
    if not isinstance(text, str):
        return None
    try:
        moment = datetime.fromisoformat(text.upper())
        return utc_text(moment) if moment.tzinfo is not None else None
    except (ValueError, OverflowError):
        return None
