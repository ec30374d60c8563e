"""Who is told when those who were asked are silent: the levels above, each once, then the last resort. Pure."""

from __future__ import annotations

from collections.abc import Sequence

from bus.city import City


def told_next(city: City, asked: Sequence[str]) -> str | None:
    """Who is told that the last of `asked` was silent; None where nobody is left, and the last is told again.

    The way leads from parent to parent, then to the default agency and on to whoever is above that. It may meet itself
    only there, and all that is above the place where it does was told before.

    Args:
        asked: the agency whose turn it was, and those that this function has named since, in order.
    """
    above = city.parent_of(asked[-1])
    if above is not None and above not in asked:
        return above
    return city.default_agency if city.default_agency not in asked else None
