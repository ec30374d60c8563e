"""Times: one grammar for every time on the bus, RFC 3339 with an offset, between 1970 and 2100.

Anything else would be guessed at: a number (seconds or milliseconds?), a time without an offset (whose wall clock?),
the year 1970 or 33658 (a wrong unit). Of what RFC 3339 leaves open, lower-case `t` and `z` and leap seconds are
refused: not every database and library reads them.
"""

from __future__ import annotations

import re
from datetime import UTC, datetime, timedelta

MOMENT_PATTERN = (
    r"^(19[7-9][0-9]|20[0-9]{2}|2100)-(0[1-9]|1[0-2])-(0[1-9]|[12][0-9]|3[01])"
    r"T([01][0-9]|2[0-3]):[0-5][0-9]:[0-5][0-9](\.[0-9]{1,9})?"
    r"(Z|[+-]([01][0-9]|2[0-3]):[0-5][0-9])$"
)
"""RFC 3339 `date-time` in the years 1970 to 2100. A day that its month lacks is found by `parse_moment`."""

_moment = re.compile(MOMENT_PATTERN.removesuffix("$")).fullmatch
YEAR_MIN, YEAR_MAX = 1970, 2100


class NotAMoment(ValueError):
    """A value that is no time as the bus writes them, with a sentence that says why."""


def parse_moment(text: str) -> datetime:
    """The time that `text` says, aware. Beyond microseconds, digits are cut.

    Raises:
        NotAMoment: saying what is wrong.
    """
    if _moment(text) is None:
        raise NotAMoment(_problem(text))
    try:
        return datetime.fromisoformat(text)
    except ValueError as error:
        raise NotAMoment(f"{text!r} is no day of the calendar ({error})") from error


def check_moment(moment: datetime) -> datetime:
    """`moment` itself, where it is aware, in range, and its offset is whole minutes (RFC 3339 has no others).

    Raises:
        NotAMoment: saying what is wrong.
    """
    if moment.tzinfo is UTC and YEAR_MIN <= moment.year <= YEAR_MAX:
        return moment  # what the bus itself makes: half of all times
    offset = moment.utcoffset()
    if offset is None:
        raise NotAMoment("the time has no offset from UTC")
    if offset % timedelta(minutes=1):
        raise NotAMoment(f"the offset {offset} is not whole minutes")
    if not YEAR_MIN <= moment.year <= YEAR_MAX:
        raise NotAMoment(f"the year {moment.year} is outside {YEAR_MIN} to {YEAR_MAX}")
    return moment


def is_moment(text: str) -> bool:
    """Whether `text` is a time as the bus writes them."""
    try:
        parse_moment(text)
    except NotAMoment:
        return False
    return True


def _problem(text: str) -> str:
    shown = repr(text[:60])
    if not text or text.lstrip("+-").replace(".", "", 1).isdigit():
        return f"{shown} is a number, not a time"
    try:
        moment = datetime.fromisoformat(text)
    except ValueError:
        return f"{shown} is not a time of RFC 3339"
    if not YEAR_MIN <= moment.year <= YEAR_MAX:
        return f"the year of {shown} is outside {YEAR_MIN} to {YEAR_MAX}"
    if moment.utcoffset() is None:
        return f"{shown} has no offset from UTC"
    return f"{shown} is ISO 8601, but not RFC 3339"
