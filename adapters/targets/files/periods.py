"""Which month, day, hour, minute or second of the city's clock a moment belongs to. Pure.

A period is over when the clock shows another one: the hour that summer time repeats is one period of two hours.
Minutes and seconds are for a system that looks for files all the time; their names hold no colon, which not every disk
takes.
"""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Literal
from zoneinfo import ZoneInfo

Length = Literal["second", "minute", "hour", "day", "month"]

_FORMS: dict[Length, str] = {
    "second": "%Y-%m-%dT%H%M%S",
    "minute": "%Y-%m-%dT%H%M",
    "hour": "%Y-%m-%dT%H",
    "day": "%Y-%m-%d",
    "month": "%Y-%m",
}


def period_of(moment: float, length: Length, zone: ZoneInfo) -> str:
    """The period's name, as it stands in the names of files: `2026-11-24`, `2026-11-24T08`, `2026-11`."""
    return datetime.fromtimestamp(moment, UTC).astimezone(zone).strftime(_FORMS[length])
