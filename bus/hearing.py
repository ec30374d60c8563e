"""Who must hear of an event of the log: the router's rule, and what `subak reconcile` holds its work against. Pure."""

from __future__ import annotations

from bus.city import City


def heard_by(
    city: City,
    type: str,
    *,
    source: str,
    jurisdiction: str | None,
    recipient: str | None,
    parties: str | None,
    history: str | None,
) -> tuple[str, ...]:
    """The agencies, sorted. Nobody is told of history."""
    if history is not None:
        return ()
    return city.recipients(
        type, jurisdiction, recipient, tuple(parties.split(",")) if parties else (), city.agency_of(source)
    )
