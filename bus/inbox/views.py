"""What an inbox is asked: what waits and may be delivered, how full it is, what is parked. No row is changed here."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from sqlalchemy import Connection, Select, bindparam, func, literal_column, select

from bus.agency_tables import inbox
from bus.inbox.rows import UNREADABLE, Arrived

_ARRIVED = (
    inbox.c.id,
    inbox.c.subject,
    inbox.c.event_id,
    inbox.c.attributes,
    inbox.c.data,
    inbox.c.tries,
    inbox.c.refusals,
    inbox.c.next_try_at,
)


def read_waiting(
    connection: Connection,
    agency: str,
    *,
    after: int,
    up_to: int | None = None,
    rows_max: int,
    bytes_max: int,
    subject: str | None = None,
) -> list[Arrived]:
    """What waits, in the order of arrival, after the row `after`: of one case, or of all. Without parked cases."""
    statement = _WAITING if subject is None else _WAITING_OF_CASE
    rows = connection.execute(
        statement,
        {
            "agency": agency,
            "case": subject,
            "after": after,
            "up_to": up_to if up_to is not None else _NO_BOUND,
            "rows_max": rows_max,
            "bytes_max": bytes_max,
        },
    )
    return [Arrived(*row) for row in rows]


_NO_BOUND = 2**63 - 1


def _reading(*, of_case: bool) -> Select[Any]:
    parked = inbox.alias()
    behind_parked = (
        select(parked.c.id)
        .where(
            parked.c.agency == inbox.c.agency, parked.c.subject == inbox.c.subject, parked.c.state == _literal("parked")
        )
        .exists()
    )
    length = func.length(inbox.c.data)
    first = (
        select(inbox.c.id, (func.sum(length).over(order_by=inbox.c.id) - length).label("bytes_before"))
        .where(
            inbox.c.agency == bindparam("agency"),
            inbox.c.state == _literal("waiting"),
            inbox.c.id > bindparam("after"),
            inbox.c.id <= bindparam("up_to"),
            ~behind_parked,
        )
        .order_by(inbox.c.id)
        .limit(bindparam("rows_max"))
    )
    if of_case:
        first = first.where(inbox.c.subject == bindparam("case"))
    first_rows = first.subquery()
    return (
        select(*_ARRIVED)
        .join(first_rows, first_rows.c.id == inbox.c.id)
        .where(first_rows.c.bytes_before < bindparam("bytes_max"))
        .order_by(inbox.c.id)
    )


def _literal(state: str) -> Any:
    """A state in the statement's text: a partial index is used only for what the planner can see."""
    return literal_column(f"'{state}'")


_WAITING = _reading(of_case=False)
_WAITING_OF_CASE = _reading(of_case=True)


@dataclass(slots=True)
class Depth:
    """How full one inbox is."""

    waiting: int = 0
    oldest_at: float | None = None
    """When the oldest that waits arrived."""
    parked: int = 0


def depths(connection: Connection) -> dict[str, Depth]:
    """How full each agency's inbox is; who is not named has nothing that waits."""
    found: dict[str, Depth] = {}
    oldest: dict[int, str] = {}
    for agency, count, first in connection.execute(_WAITING_COUNTS):
        found[agency] = Depth(waiting=count)
        oldest[first] = agency
    for id, agency in oldest.items():
        found[agency].oldest_at = connection.scalar(_RECEIVED_AT, {"row": id})
    for agency, count in connection.execute(_PARKED_COUNTS):
        found.setdefault(agency, Depth()).parked = count
    return found


_WAITING_COUNTS = (
    select(inbox.c.agency, func.count(), func.min(inbox.c.id))
    .where(inbox.c.state == _literal("waiting"))
    .group_by(inbox.c.agency)
)
_PARKED_COUNTS = (
    select(inbox.c.agency, func.count()).where(inbox.c.state == _literal("parked")).group_by(inbox.c.agency)
)
_RECEIVED_AT = select(inbox.c.received_at).where(inbox.c.id == bindparam("row"))


def read_page(connection: Connection, agency: str, *, after: int, rows_max: int) -> list[Arrived]:
    """Events after the row `after`, whatever became of them, as far as their content is kept."""
    page = (
        select(*_ARRIVED)
        .where(inbox.c.agency == agency, inbox.c.id > after, inbox.c.data.is_not(None), inbox.c.type != UNREADABLE)
        .order_by(inbox.c.id)
        .limit(rows_max)
    )
    return [Arrived(*row) for row in connection.execute(page)]


def parked_rows(connection: Connection, agency: str, *, rows_max: int) -> list[dict[str, Any]]:
    """What is parked, oldest first, with the reason and how much waits behind it."""
    behind = inbox.alias()
    waits = (
        select(func.count())
        .where(behind.c.agency == inbox.c.agency, behind.c.subject == inbox.c.subject, behind.c.state == "waiting")
        .scalar_subquery()
        .label("waiting_behind")
    )
    columns = (
        inbox.c.event_id,
        inbox.c.source,
        inbox.c.type,
        inbox.c.subject,
        inbox.c.received_at,
        inbox.c.parked_at,
        inbox.c.tries,
        inbox.c.reason,
        waits,
    )
    found: Select[Any] = (
        select(*columns).where(inbox.c.agency == agency, inbox.c.state == "parked").order_by(inbox.c.id).limit(rows_max)
    )
    return [dict(row._mapping) for row in connection.execute(found)]
