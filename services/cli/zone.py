"""The city's time zone, for times that people read. Showing a time must not fail because a city's file is wrong."""

from __future__ import annotations

from zoneinfo import ZoneInfo

from schemas.failures import SubakError
from services.cli.finding import Whereabouts


def zone_here() -> ZoneInfo | None:
    """The zone of this environment's city; None where it cannot be told."""
    try:
        return Whereabouts.here().city.zone
    except SubakError:
        return None
