"""Events for tests, named by what they are for."""

from __future__ import annotations

from schemas.envelope import Event
from schemas.identifiers import derived_id, new_id

CITY = "denpasar"


def source(agency: str) -> str:
    """The URI of an agency of Denpasar."""
    return f"urn:subak:{CITY}:{agency}"


def case_id(name: str | int) -> str:
    """The id of a case that a test calls by a short name."""
    return derived_id("case", name)


def comment(
    text: str = "Still blocked.",
    *,
    agency: str = "public-works",
    case: str | int = 1,
    id: str | None = None,
    jurisdiction: str | None = None,
) -> Event:
    """A small event of an agency about a case."""
    return Event(
        id=id or new_id(),
        type="subak.request.commented.v1",
        source=source(agency),
        subject=case_id(case),
        time="2026-11-24T08:00:00+08:00",
        jurisdiction=jurisdiction,
        data=b'{"text":"' + text.encode() + b'"}',
    )
