"""How parked cases are held: what waits in each, and by which workflow's decision. Read from the timelines."""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

from sqlalchemy import Connection, and_, func, select

from bus.city.model import RESERVED_AGENCY_IDS
from services.casebook import tables

_case, _line = tables.cases.c, tables.timeline.c


class Held(NamedTuple):
    """How one parked case is held."""

    waiting: int
    """Events of agencies that wait behind the one at which it is parked."""
    workflow: str | None
    """The workflow and version that decided; None where the case had not begun."""


def held(connection: Connection, ids: Sequence[str]) -> dict[str, Held]:
    """Those of these cases that are parked, by their ids."""
    if not ids:
        return {}
    word = and_(_case.id == _line.case_id, _case.parked_seq == _line.seq)
    question = select(_line.case_id, _line.workflowversion).join(tables.cases, word).where(_line.case_id.in_(ids))
    waiting = _waiting(connection, ids)
    return {row[0]: Held(waiting.get(row[0], 0), row[1]) for row in connection.execute(question)}


def _waiting(connection: Connection, ids: Sequence[str]) -> dict[str, int]:
    """How many events of agencies wait behind the one at which these cases are parked.

    They may have come into the log before the word that the case is parked.
    """
    at = tables.timeline.alias()
    place = select(func.min(at.c.seq)).where(at.c.case_id == _case.id, at.c.event_id == _case.parked_event_id)
    question = (
        select(_line.case_id, func.count())
        .join(tables.cases, _case.id == _line.case_id)
        .where(
            _line.case_id.in_(ids),
            _line.seq > func.coalesce(place.scalar_subquery(), _case.parked_seq),
            _line.agency.not_in(sorted(RESERVED_AGENCY_IDS)),
            _line.refusal_id.is_(None),
        )
        .group_by(_line.case_id)
    )
    return {row[0]: row[1] for row in connection.execute(question)}
