"""Reads a clock time by one of strptime's patterns: the common patterns in a fifth of strptime's time. Pure.

A pattern of numbers alone (day, month, year, hour, minute, second) is made into one regular expression, with the same
alternatives in the same order as strptime's own. Whatever that does not read, strptime reads or refuses.
"""

from __future__ import annotations

import re
from datetime import datetime
from functools import lru_cache

PATTERNS_MAX = 256

_PARTS = {  # from year to second, as `datetime` takes them
    "Y": r"(?P<Y>[0-9]{4})",
    "m": r"(?P<m>1[0-2]|0[1-9]|[1-9])",
    "d": r"(?P<d>3[0-1]|[1-2][0-9]|0[1-9]|[1-9])",
    "H": r"(?P<H>2[0-3]|[0-1][0-9]|[0-9])",
    "M": r"(?P<M>[0-5][0-9]|[0-9])",
    "S": r"(?P<S>[0-5][0-9]|[0-9])",
}
_pieces = re.compile(r"%(?P<part>.)|(?P<plain>[^%]+)", re.DOTALL)


def parse_clock(text: str, pattern: str) -> datetime:
    """What `datetime.strptime(text, pattern)` says: a clock time, or an aware one where the pattern has an offset.

    Raises:
        ValueError, re.error: as strptime does.
    """
    quick = _quick(pattern)
    if quick is not None:
        expression, order = quick
        found = expression.match(text)
        if found is not None and found.end() == len(text):
            return datetime(*map(int, found.group(*order)))  # type: ignore[arg-type]  # noqa: DTZ001 - placed by the agency's clock
    return datetime.strptime(text, pattern)  # noqa: DTZ007 - placed by the agency's clock


@lru_cache(PATTERNS_MAX)
def _quick(pattern: str) -> tuple[re.Pattern[str], tuple[str, ...]] | None:
    """The pattern as one regular expression, and its parts from year to second; None where strptime alone knows it."""
    written, seen = "", []
    for piece in _pieces.finditer(pattern):
        if piece["part"] is None:
            if any(character.isspace() for character in piece["plain"].replace(" ", "")):
                return None
            written += re.escape(piece["plain"]).replace("\\ ", r"\s+")
            continue
        if piece["part"] not in _PARTS or piece["part"] in seen:
            return None
        seen.append(piece["part"])
        written += _PARTS[piece["part"]]
    letters = any(character.isalpha() for character in re.sub("%.", "", pattern))  # ignoring their case is slow
    order = tuple(_PARTS)[: len(seen)]
    if len(order) < len("Ymd") or set(order) != set(seen):
        return None
    return re.compile(written, re.IGNORECASE if letters else 0), order
