"""The outbox's rows, as plain functions of a connection: for units of work, and for an agency's own transaction.

An agency whose system shares the database calls `insert_events` within the transaction that changes its own tables:
then the event exists exactly when the change does.
"""

from __future__ import annotations

import json
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Any

import msgspec
from sqlalchemy import Connection, Select, bindparam, func, select, tuple_, update

from bus.agency_tables import outbox
from bus.statements import insert_new
from schemas.envelope import Event
from schemas.failures import Reason, Refused

IDS_ASKED_MAX = 400
"""Ids in one question: below the number of variables that SQLite takes."""


@dataclass(frozen=True, slots=True)
class Receipt:
    """Proof that the outbox has an event."""

    id: str
    subject: str
    recorded_at: float
    """When it was stored first: seconds since 1970."""
    known: bool = False
    """Whether it was there already, with the same content: then nothing was stored again."""


@dataclass(frozen=True, slots=True)
class Submission:
    """The events of one request: all are stored or none."""

    agency: str
    events: tuple[Event, ...]
    recorded_at: float


def insert_events(connection: Connection, submission: Submission) -> list[Receipt]:
    """Store events within the caller's transaction.

    Raises:
        Refused: `id_reused`, for each event whose id stands for other content. Nothing is stored.
    """
    (outcome,) = insert_submissions(connection, [submission])
    if isinstance(outcome, Refused):
        raise outcome
    return outcome


def insert_submissions(connection: Connection, submissions: Sequence[Submission]) -> list[list[Receipt] | Refused]:
    """Store many requests' events in one go; the answer of each stands at its place.

    That all are new is tried first, since they mostly are: one statement. Where some are known, they are looked at.
    """
    rows = [_row(submission, event) for submission in submissions for event in submission.events]
    savepoint = connection.begin_nested()
    if insert_new(connection, outbox, rows) == len(rows):
        savepoint.commit()
        return [[_new(submission, event) for event in submission.events] for submission in submissions]
    savepoint.rollback()
    while True:  # ends: each round that finds its rows taken meanwhile knows them in the next
        savepoint = connection.begin_nested()
        outcomes, rows = _sort(submissions, _known(connection, submissions))
        if not rows or insert_new(connection, outbox, rows) == len(rows):
            savepoint.commit()
            return outcomes
        savepoint.rollback()


def known_event(connection: Connection, source: str, event_id: str) -> Any:
    """The row of an event, or None."""
    columns = (outbox.c.id, outbox.c.type, outbox.c.subject, outbox.c.recorded_at, outbox.c.rejected)
    return connection.execute(
        select(*columns).where(outbox.c.source == source, outbox.c.event_id == event_id)
    ).one_or_none()


def mark_rejected(connection: Connection, rejections: Iterable[tuple[str, str, str]]) -> None:
    """Keep the reasons of rejections that came back: (source, event id, reasons as a JSON list)."""
    for source, event_id, reasons in rejections:
        connection.execute(
            update(outbox).where(outbox.c.source == source, outbox.c.event_id == event_id).values(rejected=reasons)
        )


@dataclass(frozen=True, slots=True)
class Waiting:
    """One row that waits for Kafka."""

    id: int
    attributes: dict[str, str]
    data: bytes
    recorded_at: float


def read_rows(
    connection: Connection, agency: str, *, position: int, up_to: int | None, rows_max: int, bytes_max: int
) -> list[Waiting]:
    """The oldest rows at or after `position`, in order: at most `rows_max`, and `bytes_max` of data or little more."""
    rows = connection.execute(
        _READ,
        {
            "agency": agency,
            "position": position,
            "up_to": up_to if up_to is not None else _NO_BOUND,
            "rows_max": rows_max,
            "bytes_max": bytes_max,
        },
    )
    return [Waiting(id, msgspec.json.decode(attributes), data, at) for id, attributes, data, at in rows]


_NO_BOUND = 2**63 - 1


def _reading() -> Select[Any]:
    length = func.length(outbox.c.data)
    first = (
        select(outbox.c.id, (func.sum(length).over(order_by=outbox.c.id) - length).label("bytes_before"))
        .where(outbox.c.agency == bindparam("agency"), outbox.c.id.between(bindparam("position"), bindparam("up_to")))
        .order_by(outbox.c.id)
        .limit(bindparam("rows_max"))
        .subquery()
    )
    return (
        select(outbox.c.id, outbox.c.attributes, outbox.c.data, outbox.c.recorded_at)
        .join(first, first.c.id == outbox.c.id)
        .where(first.c.bytes_before < bindparam("bytes_max"))
        .order_by(outbox.c.id)
    )


_READ = _reading()


def _row(submission: Submission, event: Event) -> dict[str, Any]:
    return {
        "agency": submission.agency,
        "source": event.source,
        "event_id": event.id,
        "type": event.type,
        "subject": event.subject,
        "attributes": msgspec.json.encode(event.attributes()).decode(),
        "data": event.data,
        "recorded_at": submission.recorded_at,
    }


def _new(submission: Submission, event: Event) -> Receipt:
    return Receipt(event.id, event.subject, submission.recorded_at)


_Content = tuple[str, str, bytes, float]
"""Type, case, data, and when it was recorded."""


def _known(connection: Connection, submissions: Sequence[Submission]) -> dict[tuple[str, str], _Content]:
    ids = sorted({(event.source, event.id) for submission in submissions for event in submission.events})
    columns = (outbox.c.type, outbox.c.subject, outbox.c.data, outbox.c.recorded_at)
    known: dict[tuple[str, str], _Content] = {}
    for start in range(0, len(ids), IDS_ASKED_MAX):
        asked = tuple_(outbox.c.source, outbox.c.event_id).in_(ids[start : start + IDS_ASKED_MAX])
        for source, event_id, *content in connection.execute(
            select(outbox.c.source, outbox.c.event_id, *columns).where(asked)
        ):
            known[source, event_id] = (content[0], content[1], content[2], content[3])
    return known


def _sort(
    submissions: Sequence[Submission], known: dict[tuple[str, str], _Content]
) -> tuple[list[list[Receipt] | Refused], list[dict[str, Any]]]:
    """Each request's answer, and the rows that are new. An earlier request of the same batch counts as known."""
    outcomes: list[list[Receipt] | Refused] = []
    rows: list[dict[str, Any]] = []
    for submission in submissions:
        receipts, reasons = [], []
        fresh: dict[tuple[str, str], Event] = {}
        for number, event in enumerate(submission.events):
            key = (event.source, event.id)
            earlier = fresh.get(key)
            found = _content(earlier, submission) if earlier is not None else known.get(key)
            if found is None:
                fresh[key] = event
                receipts.append(_new(submission, event))
            elif _same(found, event):
                receipts.append(Receipt(event.id, event.subject, found[3], known=True))
            else:
                reasons.append(_id_reused(number if len(submission.events) > 1 else None, event, found))
        if reasons:
            outcomes.append(Refused(reasons))
            continue
        outcomes.append(receipts)
        rows += [_row(submission, event) for event in fresh.values()]
        known.update((key, _content(event, submission)) for key, event in fresh.items())
    return outcomes, rows


def _content(event: Event, submission: Submission) -> _Content:
    return event.type, event.subject, event.data, submission.recorded_at


def _same(found: _Content, event: Event) -> bool:
    """What makes two events with one id the same: type, case and data, whatever the spelling of its JSON."""
    if found[:2] != (event.type, event.subject):
        return False
    return found[2] == event.data or bool(json.loads(found[2]) == json.loads(event.data))


def _id_reused(number: int | None, event: Event, found: _Content) -> Reason:
    differs = "type" if found[0] != event.type else "subject" if found[1] != event.subject else "data"
    return Reason(
        "id_reused",
        "id" if number is None else f"[{number}].id",
        f"another event with this id was stored before, with another {differs}",
        "Give each event an id of its own; to correct one, send a new event.",
    )
